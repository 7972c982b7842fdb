"""The election of a log: which replica is alive, and which one may lead."""

from __future__ import annotations

from paxos import NO_BALLOT
from paxos.log.election import (
    SILENT_INTERVALS,
    Election,
    aged,
    alive,
    heard,
    is_leaderless,
    leader_in_contact,
)
from tests.support import S1, S2, S3, ballot

ONE, TWO = ballot("1.2"), ballot("2.3")


def test_a_peer_is_alive_until_two_whole_intervals_have_passed() -> None:
    state = heard(Election(S1), S2, NO_BALLOT, in_contact=False)
    for _ in range(SILENT_INTERVALS):
        state = aged(state)
        assert alive(state) == {S1, S2}

    assert alive(aged(state)) == {S1}


def test_a_heartbeat_makes_it_young_again() -> None:
    state = heard(Election(S1), S2, NO_BALLOT, in_contact=False)
    for _ in range(5):
        state = heard(aged(aged(state)), S2, NO_BALLOT, in_contact=False)

    assert alive(state) == {S1, S2}
    assert state.beat == 10
    assert len(state.peers) == 1


def test_its_own_sign_of_life_says_nothing_of_others() -> None:
    assert heard(Election(S1), S1, ONE, in_contact=True) == Election(S1)


def test_the_higher_ballot_is_followed_whichever_comes_first() -> None:
    for first, second in ((ONE, TWO), (TWO, ONE)):
        state = heard(Election(S1), S2, first, in_contact=True)
        assert heard(state, S3, second, in_contact=True).follows == TWO


def test_a_leader_is_in_contact_as_long_as_it_says_so_itself() -> None:
    said_by_another = heard(Election(S1), S3, ONE, in_contact=True)
    said_by_itself = heard(said_by_another, S2, ONE, in_contact=True)
    lost = heard(said_by_itself, S2, ONE, in_contact=False)
    follows_another = heard(said_by_itself, S2, TWO, in_contact=True)

    assert not leader_in_contact(Election(S1))
    assert not leader_in_contact(said_by_another)
    assert leader_in_contact(said_by_itself)
    assert not leader_in_contact(lost)
    assert not leader_in_contact(follows_another)


def test_a_silent_leader_is_out_of_contact() -> None:
    state = heard(Election(S1), S2, ONE, in_contact=True)
    for _ in range(SILENT_INTERVALS + 1):
        state = aged(state)

    assert not leader_in_contact(state)


def test_it_is_leaderless_if_none_that_is_alive_is_in_contact() -> None:
    assert is_leaderless(Election(S1))
    assert not is_leaderless(Election(S1, in_contact=True))
    assert is_leaderless(heard(Election(S1), S2, ONE, in_contact=False))
    assert not is_leaderless(heard(Election(S1), S2, ONE, in_contact=True))
