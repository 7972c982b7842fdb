"""The predicates of a log: each accepts what is right, and names what is wrong."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import InvariantError, majority
from paxos.invariants import AgreementBroken
from paxos.log import Change, Command, Noop
from paxos.log.invariants import (
    agreement,
    memory_monotonic,
    one_entry_per_ballot,
    promise_covers_accepted,
    validity,
    window_holds,
)
from tests.support import S1, S2, ballot
from tests.support.logs import held, memory

RED, BLUE = Command("red"), Command("blue")
CHANGE = Change(majority([S1, S2]))


def test_one_entry_is_chosen_for_a_slot() -> None:
    """Under any ballots."""
    agreement(3, held("1.1", "red"), held("2.2", "red"))
    with pytest.raises(AgreementBroken, match=r"\(3, Command\(value='red'\)\) under ballot 1\.1"):
        agreement(3, held("1.1", "red"), held("2.2", "blue"))
    with pytest.raises(AgreementBroken):
        agreement(3, held("1.1", "red"), held("1.1", Noop()))


def test_only_what_was_proposed_is_chosen_or_a_noop() -> None:
    validity(RED, [BLUE, RED])
    validity(Noop(), [])
    validity(CHANGE, [CHANGE])
    for unasked in RED, CHANGE:
        with pytest.raises(InvariantError, match="no server ever proposed it"):
            validity(unasked, [BLUE, Noop()])


def test_a_ballot_carries_one_entry_for_a_slot() -> None:
    one_entry_per_ballot(ballot("3.1"), 2, RED, Command("red"))
    with pytest.raises(InvariantError, match=r"ballot 3\.1 carries both \(2, .*red.* \(2, Noop"):
        one_entry_per_ballot(ballot("3.1"), 2, RED, Noop())


def test_at_most_a_window_of_slots_is_open() -> None:
    two = memory(held("1.1", "red"), None, promised="1.1", first=5)
    window_holds(two, 2)
    with pytest.raises(InvariantError, match="2 slots are open from slot 5 on, in a window of 1"):
        window_holds(two, 1)


def test_a_promise_covers_what_is_accepted_in_every_slot() -> None:
    promise_covers_accepted(memory(held("1.1", "red"), None, held("2.2", "blue"), promised="2.2"))
    with pytest.raises(InvariantError, match=r"2\.2 was accepted above the promise 2\.1"):
        promise_covers_accepted(
            memory(held("1.1", "red"), None, held("2.2", "blue"), promised="2.1")
        )


@pytest.mark.parametrize(("promised", "first"), list(product(["1.1", "2.2", "3.1"], [1, 2, 3])))
def test_promise_and_first_only_rise(promised: str, first: int) -> None:
    before = memory(promised="2.2", first=2)
    after = memory(promised=promised, first=first)
    if promised >= "2.2" and first >= 2:
        memory_monotonic(before, after)
        return
    with pytest.raises(InvariantError) as broken:
        memory_monotonic(before, after)
    assert f"to promise {promised} and first slot {first}" in str(broken.value)


def test_what_is_accepted_only_rises_while_its_slot_is_open() -> None:
    before = memory(held("1.1", "red"), held("2.2", "blue"), promised="2.2")
    memory_monotonic(before, memory(held("2.2", "red"), held("2.2", "blue"), promised="2.2"))
    memory_monotonic(before, memory(held("2.2", "blue"), promised="2.2", first=2))
    with pytest.raises(InvariantError, match=r"from promise 2\.2 and accepted 2\.2 to promise 2"):
        memory_monotonic(before, memory(held("1.1", "red"), held("1.1", "blue"), promised="2.2"))
    with pytest.raises(InvariantError, match=r"accepted 0\.0"):
        memory_monotonic(before, memory(held("1.1", "red"), promised="2.2"))
    with pytest.raises(InvariantError, match="carries both"):
        memory_monotonic(before, memory(held("1.1", "red"), held("2.2", "red"), promised="2.2"))
    memory_monotonic(before, memory(promised="2.2", first=3))
