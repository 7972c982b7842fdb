"""Named decisions: the first value counts, against a dict."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos_adapters.state_machines import REGISTERS, registers
from paxos_adapters.state_machines.registers import Decide
from tests.support.state_machines import run_alone, run_replicated

COMMANDS = st.lists(
    st.builds(Decide, st.sampled_from(["", "a", "é"]), st.sampled_from([b"", b"x", b"\xff"])),
    min_size=1,
    max_size=10,
)


@given(COMMANDS)
def test_the_first_value_of_a_name_counts(commands: list[Decide]) -> None:
    first = dict[str, bytes]()
    state, results = run_alone(REGISTERS, commands)

    assert results == [first.setdefault(it.name, it.value) for it in commands]
    assert state.scan() == sorted(first.items())


def test_an_empty_value_is_decided_too() -> None:
    state, results = run_alone(REGISTERS, [Decide("a", b""), Decide("a", b"x")])

    assert results == [b"", b""]
    assert registers.get(state, "a") == b""
    assert registers.get(state, "b") is None


@settings(max_examples=20)
@given(COMMANDS, st.integers(0, 1_000_000))
def test_it_goes_on_when_the_leader_crashes(commands: list[Decide], seed: int) -> None:
    run_replicated(REGISTERS, commands, seed)


def test_a_snapshot_stays_as_it_is() -> None:
    state, _ = run_alone(REGISTERS, [Decide("b", b"\xff"), Decide("a", b"x")])
    encoded = b'[["a","x"],["b",{"base64":"/w=="}]]'

    assert REGISTERS.states is not None
    assert REGISTERS.states.encode(state) == encoded
    assert REGISTERS.states.decode(encoded) == state
