"""The bytes of an entry: what goes in comes out, and other bytes are no commands."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.limits import MAX_SLOT, MAX_VERSION
from paxos_adapters.replication.batches import (
    LAST_KIND,
    MAX_BATCH_BYTES,
    MAX_COMMAND_BYTES,
    Check,
    Commands,
    Item,
    NewerItem,
    Opening,
    SnapshotDue,
    VersionChange,
    batch,
    decoded,
    encoded,
    items_of,
)

NUMBERS = st.integers(0, (1 << 63) - 1)
OPENINGS = st.builds(Opening, NUMBERS)
COMMANDS = st.builds(
    Commands, NUMBERS, NUMBERS, st.lists(st.tuples(NUMBERS, st.binary(max_size=9)), min_size=1)
)
CHECKS = st.builds(
    Check,
    st.integers(1, MAX_SLOT),
    st.integers(1, MAX_VERSION),
    st.integers(1, MAX_VERSION),
    st.binary(min_size=16, max_size=16),
)
VERSIONS = st.builds(VersionChange, st.integers(1, MAX_VERSION))
ITEMS: st.SearchStrategy[list[Item]] = st.lists(
    OPENINGS | COMMANDS | VERSIONS | CHECKS | st.just(SnapshotDue()), min_size=1, max_size=40
)


@given(ITEMS)
def test_items_come_back(items: list[Item]) -> None:
    assert list(decoded(batch(map(encoded, items)))) == items


@given(ITEMS, ITEMS)
def test_batches_are_put_together_without_a_look_into_them(
    items: list[Item], more: list[Item]
) -> None:
    one, two = items_of(batch(map(encoded, items))), items_of(batch(map(encoded, more)))
    assert one is not None
    assert two is not None
    assert list(decoded(batch([one, two]))) == items + more
    assert one.commands == sum(len(it.commands) if isinstance(it, Commands) else 1 for it in items)


@given(st.binary(max_size=60))
def test_other_bytes_are_no_commands_or_some_that_come_back(junk: bytes) -> None:
    try:
        items = decoded(junk)
    except NewerItem:
        items = ()
    assert list(decoded(batch(map(encoded, items)))) == list(items)
    assert (items_of(junk) is None) == (not items)


def lines(*items: list[object]) -> bytes:
    return msgspec.msgpack.encode(items)


@pytest.mark.parametrize("number", [0, -1, MAX_VERSION + 1, 1.0, None], ids=repr)
def test_a_version_has_bounds(number: object) -> None:
    assert decoded(lines([3, number])) == ()


@pytest.mark.parametrize(
    "check",
    [
        [0, 1, 1, bytes(16)],
        [MAX_SLOT + 1, 1, 1, bytes(16)],
        [1, 0, 1, bytes(16)],
        [1, 1, MAX_VERSION + 1, bytes(16)],
        [1, 1, 1, bytes(15)],
        [1, 1, 1, bytes(17)],
        [1, 1, 1, "digest"],
        [1, 1, 1],
    ],
    ids=repr,
)
def test_a_check_has_bounds(check: list[object]) -> None:
    assert decoded(lines([4, *check])) == ()


def test_an_item_of_a_later_library_is_not_passed_over() -> None:
    """A server that ran the others of its batch would differ from those that know it."""
    known: list[object] = [1, 7]
    later: list[object] = [LAST_KIND + 1, "whatever"]
    for newer in lines(later), lines(known, later), lines(later, known):
        with pytest.raises(NewerItem):
            decoded(newer)
        assert items_of(newer) is None


@pytest.mark.parametrize(
    "junk", [[[], [9]], [[True]], [[0]], [[1, "x"], [9]], [["9"]], [9], [[-9]]], ids=repr
)
def test_what_no_library_writes_is_no_batch(junk: list[object]) -> None:
    assert decoded(msgspec.msgpack.encode(junk)) == ()


@pytest.mark.parametrize(
    "head", [b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"], ids=["short", "16 bits", "32 bits"]
)
def test_the_head_is_found_however_it_is_written(head: bytes) -> None:
    item = encoded(Opening(7))
    found = items_of(head + item.body)
    assert found == item


def test_the_largest_command_fits() -> None:
    largest = Commands((1 << 63) - 1, (1 << 63) - 1, [((1 << 63) - 1, b"x" * MAX_COMMAND_BYTES)])
    assert len(batch([encoded(largest)])) <= MAX_BATCH_BYTES
