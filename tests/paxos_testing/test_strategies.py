"""The strategies: what they draw is well-formed and reachable, and none of it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Chosen,
    Done,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    Learner,
    MaxRound,
    Message,
    Nack,
    NothingChosen,
    Now,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QuorumSystem,
    RetryTimer,
    Server,
    ServerId,
    acceptor,
    invariants,
    majority,
    proposer,
    server,
)
from paxos.proposer import Accepting, Idle, Preparing
from paxos.quorum import BySize, ByWeight, Explicit
from paxos_testing import strategies
from paxos_testing.reachable import Situation
from tests.support import ANY_VALUES, FIVE, S1, S2, S3

T = TypeVar("T")

COLOURS = st.sampled_from(["red", "blue", "green"])
MESSAGES = Prepare, Promise, Accept, Accepted, Nack, Chosen, Heartbeat
FIVE_MEMBERS = sorted(FIVE.members)


def turns_up(strategy: SearchStrategy[T], wanted: Callable[[T], bool]) -> bool:
    """Whether ``strategy`` draws what is wanted; raises NoSuchExample if not."""
    only_draw = settings(
        phases=[Phase.generate], max_examples=2000, derandomize=True, database=None
    )
    return wanted(find(strategy, wanted, settings=only_draw))


def _phase(state: Server[str], *kinds: type, **has: object) -> bool:
    """Whether the proposer is in a phase of these kinds that says so."""
    phase = state.proposer.phase
    return type(phase) in kinds and all(getattr(phase, name) == it for name, it in has.items())


WAYS_TO_BE: dict[str, Callable[[Server[str]], bool]] = {
    "has accepted": lambda it: it.acceptor.accepted is not None,
    "is in round 3": lambda it: it.acceptor.promised.round >= 3,
    "has votes, too few": lambda it: bool(it.learner.tallies) and it.learner.choice is None,
    "knows by votes": lambda it: it.learner.choice is not None and bool(it.learner.choice.voters),
    "knows by news": lambda it: it.learner.choice is not None and not it.learner.choice.voters,
    "is refused": lambda it: _phase(it, Preparing) and it.proposer.max_round > 1,
    "asks again": lambda it: _phase(it, Preparing, Accepting, resent=True),
    "is about to choose its own": lambda it: _phase(it, Accepting, own=True),
    "completes a foreign value": lambda it: _phase(it, Accepting, own=False),
    "hears a higher server": lambda it: bool(it.election.heard),
}


@pytest.mark.slow
class TestNothingIsMissing:
    """Each kind turns up within some thousand draws."""

    @pytest.mark.parametrize("kind", MESSAGES)
    def test_every_message_turns_up(self, kind: type) -> None:
        assert turns_up(strategies.messages(COLOURS), lambda it: type(it) is kind)

    @pytest.mark.parametrize("kind", MESSAGES)
    def test_every_message_turns_up_among_what_was_sent(self, kind: type) -> None:
        def has_kind(it: Situation[str]) -> bool:
            return any(type(message) is kind for _, _, message in it.sent)

        assert turns_up(strategies.situations(COLOURS), has_kind)

    @pytest.mark.parametrize("phase", [Idle, Preparing, Accepting, Done])
    def test_every_phase_turns_up(self, phase: type) -> None:
        assert turns_up(strategies.proposers(COLOURS), lambda it: type(it.phase) is phase)

    @pytest.mark.parametrize("kind", [Propose, Inquire, RetryTimer, HeartbeatTimer, From])
    def test_every_event_turns_up(self, kind: type) -> None:
        assert turns_up(strategies.any_events(COLOURS), lambda it: type(it) is kind)

    @pytest.mark.parametrize("kind", [Propose, Inquire, RetryTimer, HeartbeatTimer, From])
    def test_every_event_turns_up_as_one_that_comes_next(self, kind: type) -> None:
        next_events = strategies.situations(COLOURS).flatmap(
            lambda it: strategies.events(it, S1, COLOURS)
        )

        assert turns_up(next_events, lambda it: type(it) is kind)

    @pytest.mark.parametrize("kind", [BySize, ByWeight, Explicit])
    def test_every_kind_of_quorums_turns_up(self, kind: type) -> None:
        assert turns_up(strategies.quorum_systems(), lambda it: type(it) is kind)

    @pytest.mark.parametrize("kind", [Acceptor, MaxRound])
    def test_every_record_turns_up(self, kind: type) -> None:
        assert turns_up(strategies.records(COLOURS), lambda it: type(it) is kind)

    @pytest.mark.parametrize("kind", [Done, NothingChosen])
    def test_every_report_turns_up(self, kind: type) -> None:
        def has_kind(it: Situation[str]) -> bool:
            return any(type(report) is kind for _, report in it.reports)

        assert turns_up(strategies.situations(COLOURS), has_kind)

    @pytest.mark.parametrize("what", WAYS_TO_BE)
    def test_a_server_turns_up_that(self, what: str) -> None:
        assert turns_up(strategies.servers(COLOURS), WAYS_TO_BE[what])

    def test_a_cluster_that_lost_its_memory_but_not_its_disk_turns_up(self) -> None:
        def has_restarted(it: Situation[str]) -> bool:
            return any(
                it.disks[me] and state == server.start(me, it.quorum, it.disks[me])
                for me, state in it.servers.items()
            )

        assert turns_up(strategies.situations(COLOURS), has_restarted)


class TestParts:
    """What is drawn field by field is well-formed."""

    @given(strategies.member_sets(), st.data())
    def test_quorums_name_their_members_and_all_of_them_are_enough(
        self, members: frozenset[ServerId], data: st.DataObject
    ) -> None:
        quorum = data.draw(strategies.quorum_systems(members))

        assert quorum.members == members
        assert quorum.is_phase1(members)
        assert quorum.is_phase2(members)

    @given(strategies.majorities([S1, S2, S3]), strategies.flexibles(FIVE_MEMBERS))
    def test_quorums_by_number(self, most: QuorumSystem, some: QuorumSystem) -> None:
        assert most == majority([S1, S2, S3])
        assert isinstance(some, BySize)
        assert some.phase1 + some.phase2 > len(FIVE.members)

    @given(strategies.weighteds(), strategies.listeds())
    def test_quorums_by_weight_and_by_name(self, heavy: QuorumSystem, named: QuorumSystem) -> None:
        assert isinstance(heavy, ByWeight)
        assert isinstance(named, Explicit)

    @given(strategies.messages(COLOURS, FIVE_MEMBERS))
    def test_a_message_is_one_that_an_honest_server_could_send(self, message: Message[str]) -> None:
        if isinstance(message, Heartbeat | Query | Answer):
            return
        assert message.ballot.round >= 1
        assert message.ballot.server in FIVE.members
        if isinstance(message, Nack):
            assert message.promised > message.ballot
        if isinstance(message, Promise) and message.accepted is not None:
            assert message.accepted.ballot <= message.ballot
        if isinstance(message, Accept | Accepted | Chosen):
            assert message.value in ("red", "blue", "green")

    @given(strategies.proposals(COLOURS), strategies.ballots(most_rounds=2), strategies.nacks())
    def test_numbers_stay_small(self, proposal: Proposal[str], ballot: Ballot, nack: Nack) -> None:
        assert 1 <= proposal.ballot.round <= strategies.MOST_ROUNDS
        assert 1 <= ballot.round <= 2
        assert nack.promised.round <= strategies.MOST_ROUNDS

    @given(strategies.server_ids(3))
    def test_ids(self, me: ServerId) -> None:
        assert me in (S1, S2, S3)


class TestStates:
    """What random events have led to keeps the invariants, whatever comes next."""

    @given(strategies.situations(COLOURS), st.data())
    def test_what_comes_next_never_raises_and_keeps_the_memory(
        self, situation: Situation[str], data: st.DataObject
    ) -> None:
        me = data.draw(st.sampled_from(sorted(situation.servers)))
        before = situation.servers[me]
        after, outbound = server.receive(
            before, data.draw(strategies.events(situation, me, COLOURS))
        )

        invariants.acceptor_monotonic(before.acceptor, after.acceptor)
        invariants.promise_covers_accepted(after.acceptor)
        assert after.proposer.max_round >= before.proposer.max_round
        changed = after.acceptor != before.acceptor
        assert isinstance(outbound, AfterSave) or not changed

    @given(strategies.situations(COLOURS))
    def test_a_situation_keeps_the_promises_of_the_protocol(self, it: Situation[str]) -> None:
        votes = [From(by, vote) for by, _, vote in it.sent if isinstance(vote, Accepted)]
        choices = invariants.choices(votes, it.quorum)
        for choice in choices:
            invariants.agreement(choices[0], choice)
            invariants.validity(choice.chosen.value, it.proposed)
        for me, state in it.servers.items():
            again = server.start(me, it.quorum, it.disks[me])
            assert again.acceptor == state.acceptor, "a memory was not saved"
            assert state.learner.choice is None or choices, "nobody can have learnt that"

    @given(strategies.situations(COLOURS, st.just(FIVE), most_acts=10))
    def test_a_situation_of_the_quorums_that_are_asked_for(self, it: Situation[str]) -> None:
        assert it.quorum == FIVE
        assert it.servers.keys() == FIVE.members

    @given(
        strategies.acceptors(COLOURS), st.one_of(strategies.prepares(), strategies.accepts(COLOURS))
    )
    def test_an_acceptor_answers_whatever_it_is_asked(
        self, state: Acceptor[str], request: Prepare | Accept[str]
    ) -> None:
        after, outbound = acceptor.receive(state, request)

        invariants.acceptor_monotonic(state, Acceptor(after.promised, state.accepted))
        assert isinstance(outbound, Now) == (request.ballot < state.promised)

    @given(strategies.proposers(COLOURS))
    def test_a_proposer_prepares_above_all_that_it_has_seen(self, it: Proposer[str]) -> None:
        assume(isinstance(it.phase, Idle))
        after, outbound = proposer.receive(it, Inquire())

        assert isinstance(outbound, AfterSave)
        assert outbound.record == MaxRound(it.max_round + 1)
        assert after.max_round == it.max_round + 1

    @given(strategies.learners(COLOURS))
    def test_a_learner_with_a_quorum_of_votes_knows(self, it: Learner[str]) -> None:
        enough = any(it.quorum.is_phase2(tally.voters) for tally in it.tallies)

        assert it.choice is not None or not enough

    @given(strategies.situations(st.integers(0, len(ANY_VALUES) - 1).map(ANY_VALUES.__getitem__)))
    @settings(max_examples=50)
    def test_values_are_neither_compared_nor_hashed(self, it: Situation[object]) -> None:
        assert all(any(value is own for own in ANY_VALUES) for value in it.proposed)
