"""The acceptor: what it promises, accepts and refuses, and what must be durable first.

First the table: every order in which the promise, the accepted proposal and the request can
stand. Then the rules, one by one.
"""

from __future__ import annotations

from itertools import filterfalse, product
from typing import TypeAlias

import pytest

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Nack,
    NotSaved,
    Now,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    Saved,
)
from paxos.acceptor import Response, receive
from paxos.invariants import promise_covers_accepted
from paxos.outbound import AfterSave
from tests.support import ANY_VALUES, ballot, free, sealed

# The table. 1.3 and 2.1 are told apart by the round, 2.1 and 2.2 by the server.

NUMBERS = (ballot("1.3"), ballot("2.1"), ballot("2.2"))


def proposal(number: Ballot) -> Proposal[str]:
    """The one proposal that ``number`` carries."""
    return Proposal(number, f"the value of {number}")


def possible(state: Acceptor[str]) -> bool:
    """Whether an acceptor can be in ``state``: accepting n promises n, and promises only rise."""
    return state.accepted is None or state.accepted.ballot <= state.promised


STATES = tuple(
    Acceptor(promised, accepted)
    for promised in (NO_BALLOT, *NUMBERS)
    for accepted in (None, *map(proposal, NUMBERS))
)
Numbered: TypeAlias = Prepare | Accept[str]
REQUESTS: tuple[Numbered, ...] = (
    *map(Prepare, NUMBERS),
    *(Accept(number, proposal(number).value) for number in NUMBERS),
)
READ = ReadId(8, 1)
ROWS = tuple(product(filter(possible, STATES), REQUESTS))
IMPOSSIBLE_ROWS = tuple(product(filterfalse(possible, STATES), REQUESTS))


def row_id(part: Acceptor[str] | Numbered) -> str:
    if isinstance(part, Acceptor):
        accepted = "nothing" if part.accepted is None else part.accepted.ballot
        return f"promised {part.promised} accepted {accepted}"
    return f"{type(part).__name__} {part.ballot}"


def by_the_lecture(state: Acceptor[str], asked: Numbered) -> tuple[Acceptor[str], Response[str]]:
    """The lecture: serve whoever brings the highest number heard of, refuse everyone else."""
    number = asked.ballot
    min_proposal = max(number, state.promised)
    if min_proposal != number:
        return state, Nack(number, min_proposal)
    if isinstance(asked, Prepare):
        return Acceptor(number, state.accepted), Promise(number, state.accepted)
    return Acceptor(number, Proposal(number, asked.value)), Accepted(number, asked.value)


@pytest.mark.parametrize(("state", "asked"), ROWS, ids=row_id)
def test_table(state: Acceptor[str], asked: Numbered) -> None:
    expected, answer = by_the_lecture(state, asked)

    after, outbound = receive(state, asked)

    assert after == expected
    assert (after is state) == (expected == state)
    if isinstance(answer, Nack):
        assert free(outbound) == (answer,)
    else:
        assert sealed(outbound, expected) == (answer,)


@pytest.mark.parametrize(("state", "asked"), IMPOSSIBLE_ROWS, ids=row_id)
def test_even_a_state_that_cannot_be_never_moves_back(
    state: Acceptor[str], asked: Numbered
) -> None:
    after, _ = receive(state, asked)

    assert state.accepted is not None
    assert after.accepted is not None
    assert after.promised >= state.promised
    assert after.accepted.ballot >= state.accepted.ballot


def order(a: Ballot, b: Ballot) -> int:
    """-1 for less, 0 for equal, 1 for greater."""
    return (a > b) - (a < b)


def test_the_tables_hold_every_order_of_the_numbers() -> None:
    orders = {
        (
            type(asked),
            order(asked.ballot, state.promised),
            state.accepted and order(asked.ballot, state.accepted.ballot),
            state.accepted and order(state.accepted.ballot, state.promised),
        )
        for state, asked in ROWS + IMPOSSIBLE_ROWS
    }
    three_numbers, two_numbers = 13, 3  # ways to order them, ties included
    assert len(orders) == 2 * (three_numbers + two_numbers)


@pytest.mark.parametrize("state", STATES, ids=row_id)
def test_table_of_queries(state: Acceptor[str]) -> None:
    """In every state, also in those that cannot be: told what was accepted, and nothing changes."""
    after, outbound = receive(state, Query(READ))

    assert after is state
    if state.accepted is None:
        assert free(outbound) == (Answer(READ, None),)
    else:
        assert isinstance(outbound, AfterSave)
        assert outbound.record is state
        assert sealed(outbound, state) == (Answer(READ, state.accepted),)


def test_the_table_holds_exactly_the_states_that_an_acceptor_can_reach() -> None:
    reached: set[Acceptor[str]] = set()
    coming = [Acceptor[str]()]
    while coming:
        state = coming.pop()
        if state not in reached:
            reached.add(state)
            coming += [receive(state, asked)[0] for asked in REQUESTS]

    assert reached == set(filter(possible, STATES))
    for state in reached:
        promise_covers_accepted(state)


# Prepare


def test_a_new_acceptor_has_promised_and_accepted_nothing() -> None:
    state = Acceptor[str]()
    assert state.promised == NO_BALLOT
    assert state.accepted is None


def test_prepare_raises_the_promise() -> None:
    state, outbound = receive(Acceptor[str](), Prepare(ballot("3.1")))

    assert state == Acceptor(ballot("3.1"), None)
    assert sealed(outbound, state) == (Promise(ballot("3.1"), None),)


def test_a_promise_tells_the_accepted_proposal_and_keeps_it() -> None:
    red = Proposal(ballot("3.1"), "red")

    state, outbound = receive(Acceptor(ballot("3.1"), red), Prepare(ballot("4.5")))

    assert state == Acceptor(ballot("4.5"), red)
    assert sealed(outbound, state) == (Promise(ballot("4.5"), red),)


def test_prepare_below_the_promise_is_refused() -> None:
    before = Acceptor(ballot("4.5"), Proposal(ballot("3.1"), "red"))

    state, outbound = receive(before, Prepare(ballot("4.4")))

    assert state is before
    assert free(outbound) == (Nack(ballot("4.4"), ballot("4.5")),)


# Accept


def test_accept_of_the_promised_ballot_is_accepted() -> None:
    state, outbound = receive(Acceptor(ballot("3.1"), None), Accept(ballot("3.1"), "red"))

    assert state == Acceptor(ballot("3.1"), Proposal(ballot("3.1"), "red"))
    assert sealed(outbound, state) == (Accepted(ballot("3.1"), "red"),)


def test_accept_above_the_promise_needs_no_prepare() -> None:
    state, outbound = receive(Acceptor[str](), Accept(ballot("3.1"), "red"))

    assert state.accepted == Proposal(ballot("3.1"), "red")
    assert sealed(outbound, state) == (Accepted(ballot("3.1"), "red"),)


def test_accepting_raises_the_promise() -> None:
    state, _ = receive(Acceptor[str](ballot("1.1"), None), Accept(ballot("2.5"), "X"))

    assert state.promised == ballot("2.5")


def test_after_accepting_a_lower_accept_is_refused_though_its_ballot_was_once_promised() -> None:
    promised, _ = receive(Acceptor[str](), Prepare(ballot("1.1")))
    accepted, _ = receive(promised, Accept(ballot("2.5"), "X"))

    state, outbound = receive(accepted, Accept(ballot("1.1"), "Y"))

    assert state is accepted
    assert free(outbound) == (Nack(ballot("1.1"), ballot("2.5")),)


def test_after_accepting_a_lower_prepare_is_refused() -> None:
    accepted, _ = receive(Acceptor[str](), Accept(ballot("2.5"), "X"))

    state, outbound = receive(accepted, Prepare(ballot("2.4")))

    assert state is accepted
    assert free(outbound) == (Nack(ballot("2.4"), ballot("2.5")),)


def test_accept_below_the_promise_is_refused_and_the_nack_names_that_promise() -> None:
    before = Acceptor[str](ballot("4.5"), None)

    state, outbound = receive(before, Accept(ballot("3.1"), "X"))

    assert state is before
    assert free(outbound) == (Nack(ballot("3.1"), ballot("4.5")),)


def test_an_acceptor_accepts_different_values_over_time() -> None:
    first, _ = receive(Acceptor[str](), Accept(ballot("1.1"), "red"))

    state, outbound = receive(first, Accept(ballot("2.2"), "blue"))

    assert state == Acceptor(ballot("2.2"), Proposal(ballot("2.2"), "blue"))
    assert sealed(outbound, state) == (Accepted(ballot("2.2"), "blue"),)


# Saved before sent


@pytest.mark.parametrize("asked", [Prepare(ballot("3.1")), Accept(ballot("3.1"), "red")], ids=repr)
def test_a_receipt_for_the_state_before_does_not_free_the_answer(asked: Numbered) -> None:
    before = Acceptor[str]()

    _, outbound = receive(before, asked)

    assert isinstance(outbound, AfterSave)
    with pytest.raises(NotSaved):
        outbound.release(Saved((before,)))


@pytest.mark.parametrize("asked", [Prepare(ballot("3.1")), Accept(ballot("3.1"), "red")], ids=repr)
def test_a_repeated_request_changes_nothing_and_is_answered_again_sealed_again(
    asked: Numbered,
) -> None:
    first, answer = receive(Acceptor[str](), asked)

    second, again = receive(first, asked)

    assert second is first
    assert sealed(again, first) == sealed(answer, first)


def test_a_prepare_that_arrives_again_after_its_accept_tells_the_accepted_proposal() -> None:
    red = Proposal(ballot("3.1"), "red")
    before = Acceptor(ballot("3.1"), red)

    state, outbound = receive(before, Prepare(ballot("3.1")))

    assert state is before
    assert sealed(outbound, before) == (Promise(ballot("3.1"), red),)


def test_a_repeated_request_is_refused_once_more_was_promised() -> None:
    accepted, _ = receive(Acceptor[str](), Accept(ballot("3.1"), "red"))
    promised, _ = receive(accepted, Prepare(ballot("4.5")))

    state, outbound = receive(promised, Accept(ballot("3.1"), "red"))

    assert state is promised
    assert free(outbound) == (Nack(ballot("3.1"), ballot("4.5")),)


def test_a_ballot_that_comes_with_a_second_value_keeps_the_first_and_says_so() -> None:
    before, _ = receive(Acceptor[str](), Accept(ballot("1.1"), "first"))

    state, outbound = receive(before, Accept(ballot("1.1"), "second"))

    assert state is before
    assert sealed(outbound, before) == (Accepted(ballot("1.1"), "first"),)


# Query


def test_a_query_makes_no_record_that_was_not_made_before() -> None:
    """What it waits for is the very record of the acceptance; "nothing" waits for no record."""
    promised, _ = receive(Acceptor[str](), Prepare(ballot("3.1")))
    _, nothing = receive(promised, Query(READ))
    accepted, vote = receive(promised, Accept(ballot("3.1"), "red"))
    _, told = receive(accepted, Query(READ))

    assert isinstance(nothing, Now)
    assert isinstance(vote, AfterSave)
    assert isinstance(told, AfterSave)
    assert told.record is vote.record


def test_an_acceptance_that_is_not_durable_is_not_told() -> None:
    promised, _ = receive(Acceptor[str](), Prepare(ballot("3.1")))
    accepted, _ = receive(promised, Accept(ballot("3.1"), "red"))

    _, outbound = receive(accepted, Query(READ))

    assert isinstance(outbound, AfterSave)
    with pytest.raises(NotSaved):
        outbound.release(Saved((promised,)))


# Any value


@pytest.mark.parametrize("value", ANY_VALUES, ids=type)
def test_any_value_passes_through_untouched(value: object) -> None:
    accept = Accept(ballot("3.1"), value)

    first, answer = receive(Acceptor[object](), accept)
    again, _ = receive(first, accept)
    later, promise = receive(again, Prepare(ballot("4.5")))

    assert isinstance(answer, AfterSave)
    assert isinstance(promise, AfterSave)
    (accepted,) = answer.release(Saved((first,)))
    (promised,) = promise.release(Saved((later,)))
    assert isinstance(accepted, Accepted)
    assert accepted.value is value
    assert again is first
    assert isinstance(promised, Promise)
    assert promised.accepted is not None
    assert promised.accepted.value is value
