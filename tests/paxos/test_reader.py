"""The quorum read: when it may say "nothing", when "chosen", and when it has stalled.

First every history of up to five events, against a judge who reads the whole history. Then the
rules, one by one.
"""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import (
    NO_BALLOT,
    Chosen,
    InvariantError,
    Learner,
    NotYetChosen,
    Proposal,
    QuorumSystem,
    Read,
    ReadId,
    ServerId,
    flexible,
    weighted,
)
from paxos.reader import Outcome, Querying, again, count, highest, is_stalled
from tests.support import ANY_VALUES, FIVE, S1, S2, S3, THREE, ballot

READ = Read(ReadId(3, 4))
LOW, HIGH = Proposal(ballot("1.1"), "low"), Proposal(ballot("2.2"), "high")
LOOK_3_CHOOSE_1 = flexible([S1, S2, S3], phase1=3, phase2=1)
LOOK_1_CHOOSE_3 = flexible([S1, S2, S3], phase1=1, phase2=3)
HEAVY_S1 = weighted({S1: 2, S2: 1, S3: 1})
SYSTEMS: dict[str, QuorumSystem] = {
    "majority": THREE,
    "phase 1 takes 3": LOOK_3_CHOOSE_1,
    "phase 2 takes 3": LOOK_1_CHOOSE_3,
    "weighted": HEAVY_S1,
}

Told: TypeAlias = tuple[ServerId, Proposal[str] | None]
"""What a server has answered."""

Event: TypeAlias = Told | None
"""An answer, or a wake-up."""

ALPHABET: tuple[Event, ...] = (*product((S1, S2, S3), (None, LOW, HIGH)), None)


def judge(quorum: QuorumSystem, history: tuple[Event, ...]) -> Outcome[str] | None:
    """What the answers of the whole history prove, by their definition; None: nothing yet."""
    told = [event for event in history if event is not None]
    if quorum.is_phase1({sender for sender, accepted in told if accepted is None}):
        return NotYetChosen(READ.id)
    for proposal in LOW, HIGH:
        if quorum.is_phase2({sender for sender, accepted in told if accepted == proposal}):
            return Chosen(proposal.ballot, proposal.value)
    return None


def stalls(quorum: QuorumSystem, history: tuple[Event, ...]) -> bool:
    """Whether a wake-up now would find that a whole round has told nothing new."""
    named = {NO_BALLOT}
    before = NO_BALLOT
    answered = set[ServerId]()
    for event in history:
        if event is not None:
            answered.add(event[0])
            named |= set() if event[1] is None else {event[1].ballot}
        elif quorum.is_phase1(answered):
            before = max(named)
            answered = set[ServerId]()
    return quorum.is_phase1(answered) and before == max(named)


def take(read: Querying[str], event: Event) -> Outcome[str]:
    return again(read) if event is None else count(read, *event)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_history_of_up_to_five_events(name: str) -> None:
    quorum = SYSTEMS[name]
    reads: dict[tuple[Event, ...], Querying[str]] = {(): Querying(READ.id, Learner(quorum))}
    ends = set[Outcome[str]]()
    stalled = 0
    for _ in range(5):
        longer: dict[tuple[Event, ...], Querying[str]] = {}
        for (history, read), event in product(reads.items(), ALPHABET):
            history = (*history, event)
            outcome, expected = take(read, event), judge(quorum, history)
            if isinstance(outcome, Querying):
                assert expected is None, history
                assert is_stalled(outcome) == stalls(quorum, history), history
                assert outcome.attempt == history.count(None)
                stalled += is_stalled(outcome)
                longer[history] = outcome
            else:
                assert outcome == expected, history
                ends.add(outcome)
        reads = longer
    assert ends == {NotYetChosen(READ.id), Chosen(LOW.ballot, "low"), Chosen(HIGH.ballot, "high")}
    assert stalled or name == "phase 1 takes 3"


FIVE_SERVERS = st.sampled_from(sorted(FIVE.members))
PROPOSALS = st.sampled_from([None, LOW, HIGH, Proposal(ballot("3.1"), "higher")])


@given(answers=st.lists(st.tuples(FIVE_SERVERS, PROPOSALS), max_size=20))
def test_answers_prove_the_same_in_any_number_and_in_any_order(answers: list[Told]) -> None:
    """Of five: the first moment at which a quorum agrees is the end, and never before."""
    outcome: Outcome[str] = Querying(READ.id, Learner(FIVE))
    heard: list[Told] = []
    for sender, accepted in answers:
        assert isinstance(outcome, Querying)
        outcome = count(outcome, sender, accepted)
        heard.append((sender, accepted))
        sides = {who: {it for it, told in heard if told == who} for _, who in heard}
        if quorums := [it for it, servers in sides.items() if len(servers) > 2]:
            (proposal,) = quorums
            end = proposal and Chosen(proposal.ballot, proposal.value)
            assert outcome == (end or NotYetChosen(READ.id))
            return
    assert isinstance(outcome, Querying)


def answers(quorum: QuorumSystem, *told: Event) -> Outcome[str]:
    """The outcome after what was told; all but the last one must leave it open."""
    outcome: Outcome[str] = Querying(READ.id, Learner(quorum))
    for event in told:
        assert isinstance(outcome, Querying)
        outcome = take(outcome, event)
    return outcome


def test_nothing_takes_a_phase_1_quorum() -> None:
    two = answers(LOOK_3_CHOOSE_1, (S1, None), (S2, None))

    assert isinstance(two, Querying)
    assert count(two, S3, None) == NotYetChosen(READ.id)


def test_chosen_takes_a_phase_2_quorum() -> None:
    two = answers(LOOK_1_CHOOSE_3, (S1, LOW), (S2, LOW))

    assert isinstance(two, Querying)
    assert count(two, S3, LOW) == Chosen(LOW.ballot, "low")


def test_chosen_takes_one_ballot_and_not_one_value() -> None:
    later = Proposal(ballot("3.3"), "low")

    assert isinstance(answers(THREE, (S1, LOW), (S2, later)), Querying)


def test_one_server_that_answers_twice_is_no_quorum() -> None:
    assert isinstance(answers(THREE, (S1, None), (S1, None), (S1, LOW), (S1, LOW)), Querying)


def test_what_a_server_said_before_it_accepted_still_counts() -> None:
    """Nothing was chosen when the read began, whatever has been accepted since."""
    assert answers(THREE, (S1, None), (S1, LOW), (S2, None)) == NotYetChosen(READ.id)


def test_answers_of_several_rounds_add_up() -> None:
    assert answers(THREE, (S1, None), None, None, (S2, None)) == NotYetChosen(READ.id)
    assert answers(THREE, (S1, LOW), None, None, (S2, LOW)) == Chosen(LOW.ballot, "low")


def test_a_round_without_a_quorum_goes_on_over_wake_ups() -> None:
    read = answers(THREE, (S1, LOW), None, None, (S2, HIGH), None)

    assert isinstance(read, Querying)
    assert (read.before, read.answered) == (HIGH.ballot, frozenset())


def test_two_rounds_that_name_the_same_highest_ballot_stall() -> None:
    once = answers(THREE, (S1, LOW), (S2, None))
    assert isinstance(once, Querying)
    assert not is_stalled(once)

    twice = answers(THREE, (S1, LOW), (S2, None), None, (S1, LOW), (S3, HIGH))
    assert isinstance(twice, Querying)
    assert not is_stalled(twice), "a higher ballot: some proposer is getting ahead"

    thrice = answers(THREE, (S1, LOW), (S2, HIGH), None, (S1, LOW), (S2, HIGH))
    assert isinstance(thrice, Querying)
    assert is_stalled(thrice)


def test_the_highest_ballot_named() -> None:
    read = answers(THREE, (S1, HIGH), (S2, LOW))

    assert isinstance(read, Querying)
    assert highest(read) == HIGH.ballot


def test_a_ballot_with_two_values_raises() -> None:
    read = answers(FIVE, (S1, LOW))

    assert isinstance(read, Querying)
    with pytest.raises(InvariantError, match="used twice"):
        count(read, S2, Proposal(LOW.ballot, "other"))


@pytest.mark.parametrize("value", ANY_VALUES, ids=type)
def test_any_value_passes_through_untouched(value: object) -> None:
    read: Outcome[object] = Querying(READ.id, Learner(THREE))
    for server in S1, S2:
        assert isinstance(read, Querying)
        read = count(read, server, Proposal(LOW.ballot, value))

    assert isinstance(read, Chosen)
    assert read.value is value
