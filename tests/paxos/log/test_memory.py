"""What a replica must not forget: the sum of its deltas, in whatever form a disk keeps them."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import majority
from paxos.log import Change, Configuration, Delta, Memory, Prefix
from paxos.log.memory import (
    Record,
    Update,
    added,
    advanced,
    delta,
    fetched,
    fold,
    governing,
    placed,
    with_promise,
)
from paxos.log.memory import (
    held as held_at,
)
from tests.support import S1, S2, S3, S4, THREE, ballot
from tests.support.logs import held, memory

RED, BLUE, GREEN = held("1.1", "red"), held("2.2", "blue"), held("2.2", "green")
FOUR = majority([S1, S2, S3, S4])


def test_a_slot_is_held_if_it_is_open_and_accepted() -> None:
    state = memory(RED, None, BLUE, first=3)

    assert [held_at(state, slot) for slot in (2, 3, 4, 5, 6)] == [None, RED, None, BLUE, None]


def test_a_promise_changes_nothing_else() -> None:
    before = Memory((Configuration(3, THREE),), ballot("1.1"), 5, (RED, None), lease=7)
    assert with_promise(before, ballot("2.3")) == evolve(before, promised=ballot("2.3"))


def test_placing_fills_gaps_with_nothing_and_replaces() -> None:
    assert placed((), 2, RED) == (None, None, RED)
    assert placed((RED, BLUE), 0, GREEN) == (GREEN, BLUE)
    assert placed((RED,), 1, BLUE) == (RED, BLUE)


def test_what_is_below_the_open_slots_is_not_placed() -> None:
    assert placed((RED,), -1, BLUE) == (RED,)


def test_advancing_hands_out_what_is_chosen() -> None:
    found = advanced(memory(RED, BLUE, GREEN, promised="2.2"), 2, window=4)

    assert found == Update(memory(GREEN, promised="2.2", first=3), (), (RED, BLUE))


def test_advancing_by_nothing_changes_nothing() -> None:
    state = memory(RED)

    assert advanced(state, 0, window=4) == Update(state)


def test_a_chosen_change_governs_from_a_window_further_on() -> None:
    state = memory(held("1.1", Change(FOUR)), RED)
    found = advanced(state, 1, window=4).memory

    assert found.configurations == (Configuration(1, THREE), Configuration(5, FOUR))
    assert [governing(found.configurations, slot) for slot in (1, 4, 5, 9)] == [
        *(THREE, THREE, FOUR, FOUR)
    ]


def test_configurations_that_govern_no_open_slot_are_dropped() -> None:
    both = Configuration(1, THREE), Configuration(5, FOUR)
    at_4, at_5 = (Memory(both, first=first, open=(RED,)) for first in (3, 4))

    assert advanced(at_4, 1, window=4).memory.configurations == both
    assert advanced(at_5, 1, window=4).memory.configurations == both[1:]


def test_a_delta_carries_all_but_the_entries_that_were_there() -> None:
    state = memory(RED, BLUE, promised="2.2")

    assert delta(state, ((2, BLUE),)) == Delta(
        state.promised, 1, state.configurations, ((2, BLUE),)
    )


def test_a_memory_is_the_sum_of_its_deltas() -> None:
    one = Delta(RED.ballot, 1, memory().configurations, ((1, RED), (3, RED)))
    two = Delta(BLUE.ballot, 2, memory().configurations, ((3, BLUE),))

    assert added(added(memory(), one), two) == memory(None, BLUE, promised="2.2", first=2)


def test_a_snapshot_drops_what_it_stands_for() -> None:
    installed: Delta[str] = Delta(RED.ballot, 9, memory().configurations, (), floor=9)

    assert added(memory(RED, BLUE), installed) == memory(promised="1.1", first=9)


# --- disks ----------------------------------------------------------------------------------------

SLOTS = st.integers(1, 4)
HELD = st.sampled_from([RED, BLUE, GREEN])


@st.composite
def runs(draw: st.DrawFn) -> tuple[Delta[str], ...]:
    """The deltas of a replica: it writes, and then what it holds without a gap may be chosen."""
    state, deltas = memory(), list[Delta[str]]()
    for _ in range(draw(st.integers(0, 6))):
        slot = state.first + draw(st.integers(0, 3))
        proposal = draw(HELD)
        state = Memory(
            state.configurations,
            max(state.promised, proposal.ballot),
            state.first,
            placed(state.open, slot - state.first, proposal),
        )
        known = next((n for n, it in enumerate(state.open) if it is None), len(state.open))
        moved = advanced(state, draw(st.integers(0, known)), window=4).memory
        deltas.append(delta(moved, ((slot, proposal),)))
        state = moved
    return tuple(deltas)


def folded(records: tuple[Delta[str], ...]) -> tuple[Record[str], ...]:
    disk: tuple[Record[str], ...] = ()
    for record in records:
        disk = fold(disk, record)
    return disk


def start(records: tuple[Record[str], ...]) -> Memory[str]:
    state = memory()
    for record in records:
        if isinstance(record, Delta):
            state = added(state, record)
    return state


@given(runs())
def test_a_folded_disk_is_as_good_as_all_records(records: tuple[Delta[str], ...]) -> None:
    disk = folded(records)

    assert start(disk) == start(records)
    assert len(disk) <= 2


@given(runs(), st.integers(0, 6))
def test_to_save_a_record_twice_is_harmless(records: tuple[Delta[str], ...], place: int) -> None:
    twice = (*records[: place + 1], *records[place : place + 1], *records[place + 1 :])

    assert start(twice) == start(records)
    assert start(folded(twice)) == start(records)


@given(runs(), SLOTS)
def test_a_disk_gives_what_is_chosen_and_nothing_that_is_open(
    records: tuple[Delta[str], ...], slot: int
) -> None:
    disk, first = folded(records), start(records).first
    found = fetched(disk, slot, piece=2)

    assert len(found) == max(min(first - slot, 2), 0)


def test_below_its_floor_a_disk_has_nothing() -> None:
    configurations = memory().configurations
    written = Delta(RED.ballot, 3, configurations, ((1, RED), (2, BLUE)))
    disk = fold(fold((), written), Delta(RED.ballot, 3, configurations, (), floor=2))

    assert disk[0] == Prefix(2, (BLUE,))
    assert [fetched(disk, slot, 2) for slot in (1, 2, 3)] == [(), (BLUE,), ()]


def test_a_snapshot_beyond_all_that_is_held_empties_the_disk() -> None:
    configurations = memory().configurations
    written = Delta(RED.ballot, 2, configurations, ((1, RED), (2, BLUE)))
    disk = fold(fold((), written), Delta(RED.ballot, 9, configurations, (), floor=9))

    assert disk == (Prefix(9), Delta(RED.ballot, 9, configurations))


def test_a_slot_that_only_a_snapshot_stands_for_shifts_no_other() -> None:
    """Nothing is held in slot 1; the step that installs a snapshot finds 2 and 3 to be chosen."""
    configurations = memory().configurations
    written = Delta(RED.ballot, 1, configurations, ((2, RED), (3, BLUE), (4, RED)))
    disk = fold(fold((), written), Delta(RED.ballot, 4, configurations, (), floor=2))

    assert disk[0] == Prefix(2, (RED, BLUE))
    assert disk[1] == Delta(RED.ballot, 4, configurations, ((4, RED),))
    assert [fetched(disk, slot, 1) for slot in (1, 2, 3, 4)] == [(), (RED,), (BLUE,), ()]


def test_what_a_file_says_of_its_prefix_is_kept() -> None:
    assert fold((), Prefix(3)) == (Prefix(3),)
