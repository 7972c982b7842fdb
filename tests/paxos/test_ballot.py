"""Proposal numbers: unique, totally ordered, and how they are written."""

from __future__ import annotations

from itertools import product

import pytest
from attrs import fields
from attrs.exceptions import FrozenInstanceError

from paxos import NO_BALLOT, Ballot, Proposal, ServerId
from tests.support import S1, S2, S3, ballot

BALLOTS = tuple(Ballot(round_, server) for round_ in (1, 2, 3) for server in (S1, S2, S3))


def as_one_number(number: Ballot) -> int:
    """The lecture's proposal number: the round in the high digits, the server in the low one."""
    return 10 * number.round + number.server


@pytest.mark.parametrize(("a", "b"), list(product(BALLOTS, BALLOTS)), ids=str)
def test_ballots_are_ordered_like_numbers_with_the_round_in_the_high_digits(
    a: Ballot, b: Ballot
) -> None:
    left, right = as_one_number(a), as_one_number(b)
    assert (a < b, a <= b, a == b, a != b, a >= b, a > b) == (
        left < right,
        left <= right,
        left == right,
        left != right,
        left >= right,
        left > right,
    )


def test_a_higher_round_outranks_every_server_id() -> None:
    assert Ballot(2, S1) > Ballot(1, ServerId(1_000_000))


def test_within_a_round_the_higher_server_outranks_the_lower() -> None:
    assert ballot("3.5") > ballot("3.1")


def test_rounds_compare_as_numbers_and_not_as_text() -> None:
    assert ballot("10.1") > ballot("9.1")


def test_two_servers_never_draw_the_same_ballot() -> None:
    assert ballot("3.1") != ballot("3.2")


def test_a_server_that_moves_to_another_round_has_another_ballot() -> None:
    assert ballot("3.1") != ballot("4.1")


def test_a_ballot_is_the_same_ballot_wherever_it_was_made() -> None:
    assert Ballot(3, S1) == Ballot(3, ServerId(1))
    assert hash(Ballot(3, S1)) == hash(Ballot(3, ServerId(1)))


def test_nine_different_ballots_are_nine_members_of_a_set() -> None:
    assert len(frozenset(BALLOTS)) == 9


@pytest.mark.parametrize(
    ("number", "text"), [(Ballot(3, S1), "3.1"), (Ballot(10, ServerId(42)), "10.42")]
)
def test_a_ballot_is_written_as_round_and_server(number: Ballot, text: str) -> None:
    assert str(number) == text
    assert f"{number}" == text


@pytest.mark.parametrize("server", [-1_000_000, -1, 0, 1, 1_000_000])
def test_no_ballot_is_below_every_ballot_in_use_whatever_its_server(server: int) -> None:
    assert Ballot(1, ServerId(server)) > NO_BALLOT


@pytest.mark.parametrize("field", Ballot._fields)
def test_a_ballot_cannot_be_changed(field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(ballot("3.1"), field, 9)


@pytest.mark.parametrize("field", [attribute.name for attribute in fields(Proposal)])
def test_a_proposal_cannot_be_changed(field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(Proposal(ballot("3.1"), "red"), field, None)


def test_proposals_are_equal_by_ballot_and_value() -> None:
    red = Proposal(ballot("3.1"), "red")
    assert red == Proposal(ballot("3.1"), "red")
    assert red != Proposal(ballot("3.2"), "red")
    assert red != Proposal(ballot("3.1"), "blue")


def test_a_proposal_carries_a_value_that_cannot_be_hashed() -> None:
    assert Proposal(ballot("3.1"), ["red"]).value == ["red"]
