"""A key-value map: by a table of every small case, and against a dict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos_adapters.arguments import BadNumber
from paxos_adapters.state_machines import KEY_VALUE, key_value
from paxos_adapters.state_machines.key_value import (
    Changed,
    Command,
    CompareAndSet,
    Delete,
    Expired,
    Item,
    KeyValues,
    Put,
    Result,
    Unchanged,
)
from paxos_adapters.state_machines.ticks import Tick
from tests.support.state_machines import run_alone, run_replicated

KEYS = st.sampled_from(["", "a", "a/b", "a/é", "b", "\ud7ff\0"])
VALUES = st.sampled_from([b"", b"x", b"\xff"])
TTLS = st.none() | st.integers(1, 5)
COMMANDS = st.lists(
    st.builds(Put, KEYS, VALUES, TTLS)
    | st.builds(Delete, KEYS)
    | st.builds(CompareAndSet, KEYS, st.integers(0, 8), VALUES, TTLS)
    | st.builds(Tick, st.integers(0, 12)),
    min_size=1,
    max_size=16,
)

X1 = Item(b"x", 1)
TABLE: list[tuple[list[Command], Command, Result, Item | None]] = [
    ([], Put("k", b"y"), Changed(1), Item(b"y", 1)),
    ([Put("k", b"x")], Put("k", b"x"), Changed(2), Item(b"x", 2)),
    ([Put("k", b"x"), Put("other", b"")], Put("k", b"y"), Changed(3), Item(b"y", 3)),
    ([], Delete("k"), Unchanged(None), None),
    ([Put("k", b"x")], Delete("k"), Changed(2), None),
    ([Put("k", b"x"), Delete("k")], Put("k", b"x"), Changed(3), Item(b"x", 3)),
    ([], CompareAndSet("k", 0, b"y"), Changed(1), Item(b"y", 1)),
    ([], CompareAndSet("k", 1, b"y"), Unchanged(None), None),
    ([Put("k", b"x")], CompareAndSet("k", 1, b"y"), Changed(2), Item(b"y", 2)),
    ([Put("k", b"x")], CompareAndSet("k", 0, b"y"), Unchanged(X1), X1),
    ([Put("k", b"x")], CompareAndSet("k", 2, b"y"), Unchanged(X1), X1),
    ([Put("k", b"x"), Delete("k")], CompareAndSet("k", 1, b"y"), Unchanged(None), None),
    ([], Tick(9), Expired((), 0), None),
    ([Put("k", b"x")], Tick(9), Expired((), 1), X1),
    ([Put("k", b"x", 9)], Tick(8), Expired((), 1), X1),
    ([Put("k", b"x", 9)], Tick(9), Expired(("k",), 2), None),
    ([Tick(3), Put("k", b"x", 9)], Tick(11), Expired((), 1), X1),
    ([Tick(3), Put("k", b"x", 9)], Tick(12), Expired(("k",), 2), None),
    ([Tick(3), Put("k", b"x", 9), Tick(2)], Tick(12), Expired(("k",), 2), None),
    ([Put("k", b"x", 9), Put("k", b"x")], Tick(9), Expired((), 2), Item(b"x", 2)),
    ([Put("k", b"x", 9), Delete("k"), Put("k", b"")], Tick(9), Expired((), 3), Item(b"", 3)),
    ([CompareAndSet("k", 0, b"x", 9)], Tick(9), Expired(("k",), 2), None),
    ([Put("k", b"x", 9), CompareAndSet("k", 0, b"y")], Tick(9), Expired(("k",), 2), None),
    ([Put("z", b"", 1), Put("k", b"", 2), Tick(2)], Tick(3), Expired((), 3), None),
    ([Put("z", b"", 1), Put("k", b"", 2)], Tick(2), Expired(("k", "z"), 3), None),
]


@pytest.mark.parametrize(("before", "command", "result", "item"), TABLE)
def test_what_a_command_does(
    before: list[Command], command: Command, result: Result, item: Item | None
) -> None:
    state, results = run_alone(KEY_VALUE, [*before, command])

    assert results[-1] == result
    assert key_value.get(state, "k") == item


def test_a_scan_is_in_order_and_of_one_prefix() -> None:
    keys = "b", "a/c", "a", "a/b", "", "a!"
    commands: list[Command] = [Put(key, key.encode()) for key in keys]
    state, _ = run_alone(KEY_VALUE, commands)

    assert [key for key, _ in key_value.scan(state)] == sorted(keys)
    assert key_value.scan(state, "a/") == [("a/b", Item(b"a/b", 4)), ("a/c", Item(b"a/c", 2))]
    assert key_value.scan(state, "c") == []


class Model:
    """The same on a dict: each key with its value, its revision and its end."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, int, int | None]] = {}
        self.revision, self.now_s = 0, 0

    def carry_out(self, command: Command) -> None:
        match command:
            case Tick(now_s):
                self.now_s = max(self.now_s, now_s)
                ends = {key: end for key, (_, _, end) in self.held.items() if end is not None}
                gone = [key for key, end in ends.items() if end <= self.now_s]
                self.revision += bool(gone)
                for key in gone:
                    del self.held[key]
            case Delete(key):
                self.revision += self.held.pop(key, None) is not None
            case CompareAndSet(key, revision) if self.held.get(key, (b"", 0))[1] != revision:
                pass
            case Put(key, value, ttl_s) | CompareAndSet(key, _, value, ttl_s):
                self.revision += 1
                end = None if ttl_s is None else self.now_s + ttl_s
                self.held[key] = value, self.revision, end


@given(COMMANDS)
def test_any_commands_leave_what_a_dict_holds(commands: list[Command]) -> None:
    model = Model()
    for command in commands:
        model.carry_out(command)
    state, _ = run_alone(KEY_VALUE, commands)

    items = {key: (it.value, it.revision) for key, it in key_value.scan(state)}
    assert items == {key: held[:2] for key, held in model.held.items()}
    ends = {key: end for key, (_, _, end) in model.held.items() if end is not None}
    assert dict(state.clock.expires_s.scan()) == ends
    assert (state.revision, state.clock.now_s) == (model.revision, model.now_s)


@given(COMMANDS)
def test_a_revision_is_of_one_change(commands: list[Command]) -> None:
    """A watcher can tell the changes apart, and a state that is the same has the same revision."""
    state = KEY_VALUE.start
    for command in commands:
        after, result = KEY_VALUE.apply(state, command)
        is_change = after.items != state.items
        assert after.revision == state.revision + is_change
        assert is_change == (
            type(result) is Changed or (type(result) is Expired and result.keys != ())
        )
        state = after


@settings(max_examples=20)
@given(COMMANDS, st.integers(0, 1_000_000))
def test_it_goes_on_when_the_leader_crashes(commands: list[Command], seed: int) -> None:
    run_replicated(KEY_VALUE, commands, seed)


@pytest.mark.parametrize("ttl_s", [0, -1, 1.5, True, 10**12 + 1])
def test_a_time_to_live_that_cannot_be(ttl_s: int) -> None:
    with pytest.raises(BadNumber, match="ttl_s"):
        Put("k", b"", ttl_s)
    with pytest.raises(BadNumber, match="ttl_s"):
        CompareAndSet("k", 0, b"", ttl_s)


def test_a_snapshot_is_readable_and_stays_as_it_is() -> None:
    """The bytes are chosen values and snapshots: what was written once must be read later."""
    commands: list[Command] = [Tick(2), Put("a", b"\xff", 5), Put("b", b"2")]
    state, _ = run_alone(KEY_VALUE, commands)
    encoded = (
        b'["KeyValues",[["a",["Item",{"base64":"/w=="},1]],["b",["Item","2",2]]],'
        b'2,["Clock",2,[["a",7]]]]'
    )

    assert KEY_VALUE.states is not None
    assert KEY_VALUE.states.encode(state) == encoded
    assert KEY_VALUE.states.decode(encoded) == state


def test_the_start_is_empty() -> None:
    assert KEY_VALUE.start == KeyValues()
    assert key_value.scan(KEY_VALUE.start) == []
