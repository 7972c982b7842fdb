"""The learner, compared with a clerk who keeps every vote and counts them ballot by ballot."""

from __future__ import annotations

from collections import Counter
from itertools import permutations, product
from typing import TypeAlias

import pytest

from paxos import Accepted, Ballot, Chosen, From, InvariantError, Learner, ServerId, flexible
from paxos.invariants import AgreementBroken, Decision
from paxos.learner import Event, Tally, receive
from tests.support import FIVE, NON_MEMBER, S1, S2, S3, S4, S5, THREE, ballot, free

Vote: TypeAlias = From[Accepted[str]]
Votes: TypeAlias = frozenset[Vote]
Known: TypeAlias = Chosen[str] | None

NO_SERVERS: frozenset[ServerId] = frozenset()
ROUNDS = ["1.1", "2.2", "3.3"]


def vote(sender: ServerId, number: str, value: str) -> Vote:
    """The sender's word that it accepted the value under the ballot of this number."""
    return From(sender, Accepted(ballot(number), value))


def chosen(number: str, value: str) -> Chosen[str]:
    """The news that the value was chosen under the ballot of this number."""
    return Chosen(ballot(number), value)


def after(state: Learner[str], *events: Event[str]) -> Learner[str]:
    """The learner after these events."""
    for event in events:
        state, _ = receive(state, event)
    return state


def known_to(state: Learner[str]) -> Known:
    """What the learner takes for chosen."""
    return state.choice and state.choice.chosen


def voters(votes: Votes) -> dict[Ballot, frozenset[ServerId]]:
    """Who accepted something, for each ballot."""
    ballots = {cast.message.ballot for cast in votes}
    return {
        b: frozenset(cast.sender for cast in votes if cast.message.ballot == b) for b in ballots
    }


def expected(
    state: Learner[str], votes: Votes, event: Event[str]
) -> tuple[Votes, Known] | type[InvariantError]:
    """What the clerk makes of it, who has kept all ``votes`` that members ever cast."""
    known = known_to(state)
    if isinstance(event, From) and event.sender not in state.quorum.members:
        return votes, known
    news = event.message if isinstance(event, From) else event
    words = {(cast.message.ballot, cast.message.value) for cast in votes}
    if known is not None:
        words.add((known.ballot, known.value))
    if any(number == news.ballot and value != news.value for number, value in words):
        return InvariantError
    if isinstance(event, From):
        votes |= {event}
        if len(voters(votes)[news.ballot]) <= len(state.quorum.members) // 2:
            return votes, known
    if known is not None and known.value != news.value:
        return AgreementBroken
    return votes, known or Chosen(news.ballot, news.value)


def check(state: Learner[str], votes: Votes, event: Event[str]) -> tuple[Learner[str], Votes, str]:
    """Compare one step with the clerk's, and say what came of it."""
    known, result = known_to(state), expected(state, votes, event)
    if isinstance(result, type):
        with pytest.raises(result):
            receive(state, event)
        return state, votes, result.__name__
    state, outbound = receive(state, event)
    votes, knows = result
    assert known_to(state) == knows
    assert free(outbound) == (() if known == knows else (knows,))
    tallied = {tally.ballot: tally.voters for tally in state.tallies}
    for number, who in voters(votes).items():
        if knows is None or knows.ballot != number:
            assert tallied[number] == who
    return state, votes, "silence" if known == knows else "news"


KNOWN = [None, *(chosen(number, value) for number, value in product([*ROUNDS, "4.4"], "ab"))]
STATES = [
    (tallied, known)
    for tallied, known in product([["2.2"], ["3.3", "2.2", "1.1"]], KNOWN)
    if known is None or known.value == "a" or str(known.ballot) not in tallied
]
"""S1 and S2 of five have accepted a under each tallied ballot.

The vote's ballot is below, at or above the only one tallied, or is one of three. What is known
bears that ballot or another one, that value or another one, and contradicts no tally.
"""


def row_id(part: list[str] | Known) -> str:
    """A short name for a part of a row."""
    if isinstance(part, list):
        return "tallied " + " ".join(part)
    return "nothing known" if part is None else f"{part.value} known under {part.ballot}"


def learner_that(tallied: list[str], known: Known) -> tuple[Learner[str], Votes]:
    """The learner in this state, and the votes that led to it."""
    tallies = tuple(Tally(ballot(number), "a", frozenset({S1, S2})) for number in tallied)
    votes = frozenset(vote(sender, number, "a") for sender, number in product([S1, S2], tallied))
    return Learner(FIVE, tallies, known and Decision(known, NO_SERVERS)), votes


@pytest.mark.parametrize(("tallied", "known"), STATES, ids=row_id)
@pytest.mark.parametrize("sender", [S1, S3], ids=["repeated", "new"])
@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("value", ["a", "b"])
def test_one_vote(
    tallied: list[str], known: Known, sender: ServerId, number: str, value: str
) -> None:
    """Each combination of tallies and knowledge with a sender, a ballot and a value."""
    state, votes = learner_that(tallied, known)
    check(state, votes, vote(sender, number, value))


@pytest.mark.parametrize(("tallied", "known"), STATES, ids=row_id)
@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("value", ["a", "b"])
def test_a_foreign_vote_changes_nothing(
    tallied: list[str], known: Known, number: str, value: str
) -> None:
    """In the same states. It proves nothing either: anybody can claim a second value."""
    state, _ = learner_that(tallied, known)
    same, outbound = receive(state, vote(NON_MEMBER, number, value))
    assert same is state
    assert free(outbound) == ()


def votes_of(*senders: ServerId) -> list[Event[str]]:
    """Each of these servers accepts a or b under 1.1 or 2.2."""
    return [vote(s, n, v) for s, n, v in product(senders, ["1.1", "2.2"], "ab")]


ALL_RESULTS = {"silence", "news", "InvariantError", "AgreementBroken"}
HONEST = [vote(s, n, v) for s, (n, v) in product([S1, S2], [("1.1", "a"), ("2.2", "b")])]
NEWS = [chosen(n, v) for n, v in [("1.1", "a"), ("2.2", "b"), ("3.3", "a"), ("3.3", "b")]]


@pytest.mark.parametrize(
    ("alphabet", "results"),
    [
        pytest.param(votes_of(S1, S2), ALL_RESULTS, id="members"),
        pytest.param([*HONEST, *NEWS], ALL_RESULTS, id="members and news"),
        pytest.param([*votes_of(S1, S2), *NEWS[:2]], ALL_RESULTS, id="news against votes"),
        pytest.param([HONEST[0], *votes_of(NON_MEMBER)], {"silence"}, id="non-members"),
    ],
)
def test_every_history_of_four_events(alphabet: list[Event[str]], results: set[str]) -> None:
    """Three servers; any of the events after any others, repeated and in any order.

    An error leaves the old state usable: the history goes on from there.
    """
    seen = Counter[str]()

    def explore(state: Learner[str], votes: Votes, events: int) -> None:
        if events == 0:
            return
        for event in alphabet:
            then, votes_then, result = check(state, votes, event)
            seen[result] += 1
            explore(then, votes_then, events - 1)

    explore(Learner(THREE), frozenset(), 4)
    assert set(seen) == results


def test_votes_for_different_ballots_never_add_up() -> None:
    """All of three servers accept the same value, each under another ballot."""
    state = after(Learner(THREE), vote(S1, "1.1", "a"), vote(S2, "2.2", "a"), vote(S3, "3.3", "a"))
    assert state.choice is None


def test_a_repeated_vote_never_counts_twice() -> None:
    """One server cannot make a majority."""
    state = after(Learner(THREE), *[vote(S1, "1.1", "a")] * 3)
    assert state.choice is None
    assert state.tallies == (Tally(ballot("1.1"), "a", frozenset({S1})),)


def test_a_quorum_of_phase_2_is_enough() -> None:
    """Two of five, where every look asks four."""
    quorum = flexible(FIVE.members, phase1=4, phase2=2)
    state = after(Learner(quorum), vote(S4, "1.1", "a"))
    assert state.choice is None
    state = after(state, vote(S5, "1.1", "a"))
    assert state.choice == Decision(chosen("1.1", "a"), frozenset({S4, S5}))


def test_what_was_chosen_is_said_once() -> None:
    """Further votes, repeated news and a later choice of the same value are no news."""
    state = after(Learner(THREE), vote(S1, "1.1", "a"))
    state, outbound = receive(state, vote(S2, "1.1", "a"))
    assert free(outbound) == (chosen("1.1", "a"),)
    again: list[Event[str]] = [
        vote(S2, "1.1", "a"),
        vote(S3, "1.1", "a"),
        chosen("1.1", "a"),
        chosen("2.2", "a"),
        vote(S1, "3.3", "a"),
        vote(S3, "3.3", "a"),
    ]
    for event in again:
        state, outbound = receive(state, event)
        assert free(outbound) == ()
    assert state.choice == Decision(chosen("1.1", "a"), frozenset({S1, S2}))


def test_news_is_believed() -> None:
    """Without a single vote; who voted, it does not say."""
    state, outbound = receive(Learner[str](THREE), chosen("3.1", "a"))
    assert free(outbound) == (chosen("3.1", "a"),)
    assert state.choice == Decision(chosen("3.1", "a"), NO_SERVERS)


@pytest.mark.parametrize("order", list(permutations(["1.1", "2.1", "3.1", "4.1", "5.1"])))
def test_the_highest_ballots_are_kept(order: tuple[str, ...]) -> None:
    """Three of five, as many as there are members, in whatever order the votes come."""
    state = after(Learner(THREE), *(vote(S1, number, "a") for number in order))
    assert {str(tally.ballot) for tally in state.tallies} == {"3.1", "4.1", "5.1"}


def test_tallies_are_bounded_all_the_time() -> None:
    """By the number of members, however many ballots are tried."""
    state = Learner[str](THREE)
    sizes: list[int] = []
    for number in [*range(1, 30), *range(30, 1, -1)]:
        state = after(state, vote(S1, f"{number}.1", "a"))
        sizes.append(len(state.tallies))
    assert sizes == [1, 2] + [3] * 56


def test_a_quorum_counts_under_a_ballot_too_low_to_keep() -> None:
    """One vote is a phase-2 quorum here."""
    quorum = flexible(THREE.members, phase1=3, phase2=1)
    high = tuple(Tally(ballot(number), "a", NO_SERVERS) for number in ["9.1", "8.1", "7.1"])
    state, outbound = receive(Learner(quorum, high), vote(S2, "1.2", "a"))
    assert free(outbound) == (chosen("1.2", "a"),)
    assert state.tallies == high


def test_two_choices_name_both_quorums() -> None:
    """Nobody can repair that; the error says whom to ask, and the old state still works."""
    state = after(Learner(THREE), vote(S1, "1.1", "a"), vote(S2, "1.1", "a"))
    state = after(state, vote(S2, "2.2", "b"))
    with pytest.raises(AgreementBroken) as broken:
        receive(state, vote(S3, "2.2", "b"))
    assert broken.value.first == Decision(chosen("1.1", "a"), frozenset({S1, S2}))
    assert broken.value.second == Decision(chosen("2.2", "b"), frozenset({S2, S3}))
    text = str(broken.value)
    assert "'a' under ballot 1.1 by the quorum {1, 2}" in text
    assert "'b' under ballot 2.2 by the quorum {2, 3}" in text
    assert known_to(after(state, vote(S3, "1.1", "a"))) == chosen("1.1", "a")


def test_news_against_what_is_known() -> None:
    """Whoever told keeps its quorum to itself."""
    state = after(Learner(THREE), vote(S1, "1.1", "a"), vote(S2, "1.1", "a"))
    with pytest.raises(AgreementBroken, match=r"'b' .* as announced") as broken:
        receive(state, chosen("2.2", "b"))
    assert broken.value.first.voters == {S1, S2}
    assert broken.value.second.voters == NO_SERVERS
    assert known_to(after(state, chosen("2.2", "a"))) == chosen("1.1", "a")


@pytest.mark.parametrize(
    "before", [vote(S1, "1.1", "a"), chosen("1.1", "a")], ids=["tallied", "known"]
)
def test_a_ballot_with_two_values_is_an_error(before: Event[str]) -> None:
    """Named with both values, from the same server or another one; the old state still works."""
    state = after(Learner(THREE), before)
    for sender in S1, S2:
        with pytest.raises(InvariantError, match=r"ballot 1\.1 carries both 'a' and 'b'"):
            receive(state, vote(sender, "1.1", "b"))
    with pytest.raises(InvariantError, match=r"'a' .*'b'"):
        receive(state, chosen("1.1", "b"))
    assert known_to(after(state, vote(S2, "1.1", "a"))) == chosen("1.1", "a")


def test_values_need_not_be_hashable() -> None:
    """Lists, here: counted, compared and chosen."""
    state = Learner[list[str]](THREE)
    for sender in S1, S2:
        state, _ = receive(state, From(sender, Accepted(ballot("1.1"), ["a"])))
    assert state.choice == Decision(Chosen(ballot("1.1"), ["a"]), frozenset({S1, S2}))
    with pytest.raises(AgreementBroken):
        receive(state, Chosen(ballot("2.2"), ["b"]))
