"""The acceptor of a log: the table of all requests to small memories, and its rules."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import Accept as AcceptOne
from paxos import Accepted as AcceptedOne
from paxos import Acceptor, InvariantError, Nack
from paxos import acceptor as basic
from paxos.log import Accept, Accepted, Command, Confirm, Confirmed, Prepare, Promise
from paxos.log.acceptor import accept, confirm, prepare
from paxos.log.messages import Entry
from tests.support import ballot, opened
from tests.support.logs import held, memory

NUMBERS = "1.3", "2.1", "2.2"
HELD = (None, *(held(it, f"the value of {it}") for it in NUMBERS))
MEMORIES = [
    memory(*slots, promised=promised, first=3)
    for promised in ("0.0", *NUMBERS)
    for slots in product(HELD, repeat=2)
    if all(it is None or it.ballot <= ballot(promised) for it in slots)
]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_table_of_prepare(number: str) -> None:
    for before in MEMORIES:
        request = Prepare(ballot(number), 3)
        after, answer = prepare(before, request, piece=1)

        if request.ballot < before.promised:
            assert (after, answer) == (before, Nack(request.ballot, before.promised))
            continue
        found = [(slot, it) for slot, it in enumerate(before.open, 3) if it is not None]
        assert after == memory(*before.open, promised=number, first=3)
        assert answer == Promise(request.ballot, 3, 3, tuple(found[:1]), len(found) <= 1)


@pytest.mark.parametrize(("number", "slot"), [*product(NUMBERS, (3, 4))])
def test_the_table_of_accept_is_that_of_basic_paxos(number: str, slot: int) -> None:
    for before in MEMORIES:
        value: Entry[str] = Command(f"the value of {number}")
        request = Accept(ballot(number), slot, value, 3)
        one = Acceptor(before.promised, before.open[slot - 3])
        after_one, answer_one = basic.receive(one, AcceptOne(request.ballot, value))
        update, answer = accept(before, request)

        (expected,) = opened(answer_one)
        if isinstance(expected, AcceptedOne):
            assert answer == Accepted(request.ballot, slot)
            assert update.written == ((slot, after_one.accepted),)
        else:
            assert answer == expected
            assert update.written == ()
        assert update.memory.promised == after_one.promised
        assert update.memory.open[slot - 3] == after_one.accepted
        assert update.memory.open[4 - slot] == before.open[4 - slot]
        assert update.chosen == ()


def test_a_promise_tells_from_the_slot_that_was_asked_for() -> None:
    two, three = held("2.1", "red"), held("2.2", "blue")
    before = memory(two, None, two, three, promised="2.2", first=3)
    _, answer = prepare(before, Prepare(ballot("2.2"), 5), piece=9)

    assert answer == Promise(ballot("2.2"), 5, 3, ((5, two), (6, three)), True)


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_a_promise_comes_in_pieces(piece: int) -> None:
    _, answer = prepare(memory(*HELD, promised="2.2"), Prepare(ballot("2.2"), 1), piece)

    assert isinstance(answer, Promise)
    assert (len(answer.accepted), answer.is_last) == (piece, piece == 3)


def test_a_slot_beyond_those_that_are_held_leaves_a_gap() -> None:
    update, _ = accept(memory(), Accept(ballot("1.3"), 3, Command("red"), 1))

    assert update.memory.open == (None, None, held("1.3", "red"))


def test_a_ballot_carries_one_entry_for_a_slot() -> None:
    before = memory(held("1.3", "red"), promised="1.3")
    with pytest.raises(InvariantError, match=r"1\.3"):
        accept(before, Accept(ballot("1.3"), 1, Command("blue"), 1))

    assert accept(before, Accept(ballot("1.3"), 1, Command("red"), 1))[0].memory == before
    assert accept(before, Accept(ballot("1.3"), 2, Command("blue"), 1))[0].written


@pytest.mark.parametrize("promised", NUMBERS)
def test_a_confirmation_says_that_no_more_was_promised(promised: str) -> None:
    answer = confirm(memory(promised=promised), Confirm(ballot("2.1"), 7))

    refused = Nack(ballot("2.1"), ballot(promised))
    assert answer == (Confirmed(ballot("2.1"), 7) if ballot(promised) <= ballot("2.1") else refused)
