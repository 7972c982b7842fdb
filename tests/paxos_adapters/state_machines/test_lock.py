"""Locks: by a table of every small case, and what holds after any commands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos_adapters.arguments import BadNumber
from paxos_adapters.state_machines import LOCK, lock
from paxos_adapters.state_machines.lock import (
    Acquire,
    Acquired,
    Command,
    Expired,
    Grant,
    Refused,
    Release,
    Released,
    Result,
)
from paxos_adapters.state_machines.ticks import Tick
from tests.support.state_machines import run_alone, run_replicated

NAMES = st.sampled_from(["l", "m"])
COMMANDS = st.lists(
    st.builds(Acquire, NAMES, st.sampled_from(["ann", "bob"]), st.none() | st.integers(1, 5))
    | st.builds(Release, NAMES, st.integers(0, 5))
    | st.builds(Tick, st.integers(0, 12)),
    min_size=1,
    max_size=16,
)

ANN, BOB = Acquire("l", "ann"), Acquire("l", "bob")
BRIEFLY = Acquire("l", "ann", ttl_s=5)
ANN_1, BOB_2 = Grant("ann", 1), Grant("bob", 2)
TABLE: list[tuple[list[Command], Command, Result, Grant | None]] = [
    ([], ANN, Acquired(1), ANN_1),
    ([ANN], ANN, Acquired(1), ANN_1),
    ([ANN], BOB, Refused(ANN_1), ANN_1),
    ([ANN], Acquire("m", "bob"), Acquired(2), ANN_1),
    ([Acquire("m", "ann")], BOB, Acquired(2), BOB_2),
    ([ANN, Release("l", 1)], BOB, Acquired(2), BOB_2),
    ([ANN, Release("l", 1)], ANN, Acquired(2), Grant("ann", 2)),
    ([], Release("l", 0), Refused(None), None),
    ([ANN], Release("l", 1), Released(), None),
    ([ANN], Release("l", 2), Refused(ANN_1), ANN_1),
    ([ANN], Release("m", 1), Refused(None), ANN_1),
    ([ANN, Release("l", 1)], Release("l", 1), Refused(None), None),
    ([ANN, Release("l", 1), BOB], Release("l", 1), Refused(BOB_2), BOB_2),
    ([], Tick(9), Expired(()), None),
    ([ANN], Tick(9), Expired(()), ANN_1),
    ([BRIEFLY], Tick(4), Expired(()), ANN_1),
    ([BRIEFLY], Tick(5), Expired(("l",)), None),
    ([BRIEFLY, Tick(5)], BOB, Acquired(2), BOB_2),
    ([BRIEFLY, Tick(5)], Release("l", 1), Refused(None), None),
    ([BRIEFLY, Tick(4)], BOB, Refused(ANN_1), ANN_1),
    ([BRIEFLY, Tick(4), BOB], Tick(5), Expired(("l",)), None),
    ([BRIEFLY, Tick(4), BRIEFLY], Tick(8), Expired(()), ANN_1),
    ([BRIEFLY, Tick(4), BRIEFLY], Tick(9), Expired(("l",)), None),
    ([BRIEFLY, ANN], Tick(9), Expired(()), ANN_1),
    ([ANN, BRIEFLY], Tick(9), Expired(("l",)), None),
    ([BRIEFLY, Release("l", 1)], Tick(9), Expired(()), None),
    ([BRIEFLY, Release("l", 1), BOB], Tick(9), Expired(()), BOB_2),
    ([Acquire("m", "ann", 1), BRIEFLY], Tick(5), Expired(("l", "m")), None),
]


@pytest.mark.parametrize(("before", "command", "result", "held"), TABLE)
def test_what_a_command_does(
    before: list[Command], command: Command, result: Result, held: Grant | None
) -> None:
    state, results = run_alone(LOCK, [*before, command])

    assert results[-1] == result
    assert lock.holder(state, "l") == held


@given(COMMANDS)
def test_a_token_is_of_one_grant_and_rises(commands: list[Command]) -> None:
    state, latest = LOCK.start, 0
    for command in commands:
        before = state
        state, result = LOCK.apply(state, command)
        if type(command) is Acquire and type(result) is Acquired:
            held = Grant(command.owner, result.token)
            assert lock.holder(state, command.name) == held
            assert result.token > latest or lock.holder(before, command.name) == held
            latest = max(latest, result.token)
    tokens = [grant.token for _, grant in state.held.scan()]
    assert len(set(tokens)) == len(tokens)


@given(COMMANDS)
def test_a_lock_goes_only_by_its_token_or_a_tick(commands: list[Command]) -> None:
    state = LOCK.start
    for command in commands:
        before = state.held.scan()
        state, result = LOCK.apply(state, command)
        gone = [(name, grant) for name, grant in before if state.held.get(name) != grant]
        if type(command) is Release:
            assert gone == [(command.name, Grant(it.owner, command.token)) for _, it in gone]
            assert (type(result) is Released) == bool(gone)
        elif type(command) is Tick:
            assert result == Expired(tuple(name for name, _ in gone))
        else:
            assert gone == []


@settings(max_examples=20)
@given(COMMANDS, st.integers(0, 1_000_000))
def test_it_goes_on_when_the_leader_crashes(commands: list[Command], seed: int) -> None:
    run_replicated(LOCK, commands, seed)


@pytest.mark.parametrize("ttl_s", [0, -1, 1.5, True])
def test_a_time_to_live_that_cannot_be(ttl_s: int) -> None:
    with pytest.raises(BadNumber, match="ttl_s"):
        Acquire("l", "ann", ttl_s)


def test_a_snapshot_stays_as_it_is() -> None:
    commands: list[Command] = [Tick(2), BRIEFLY, Acquire("m", "bob")]
    state, _ = run_alone(LOCK, commands)
    encoded = b'["Locks",[["l",["Grant","ann",1]],["m",["Grant","bob",2]]],2,["Clock",2,[["l",7]]]]'

    assert LOCK.states is not None
    assert LOCK.states.encode(state) == encoded
    assert LOCK.states.decode(encoded) == state
