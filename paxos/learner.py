"""The learner: finds out what was chosen.

Source: the lecture, "Who knows"; "Paxos Made Simple", section 2.3.

- A value is chosen once a phase-2 quorum has accepted it *under one ballot*. Votes for different
  ballots never add up.
- A vote is a member's statement that it accepted. Repeated and foreign votes change nothing.
- What is kept is bounded: the tallies of the highest ballots, one for each member.
- Alternatively, another server announces it with Chosen.
- A decision is final. A second, different one means that some server broke the protocol, and raises
  an error that names both quorums.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from paxos.ballot import Ballot, ServerId, V
from paxos.errors import assert_never
from paxos.invariants import Decision, agreement, one_value_per_ballot
from paxos.messages import Accepted, Chosen, From
from paxos.outbound import NO_MESSAGES, Now
from paxos.quorum import NO_SERVERS, QuorumSystem
from paxos.values import frozen


@final
@frozen
class Tally(Generic[V]):
    """The servers that have accepted ``value`` under ``ballot``."""

    ballot: Ballot
    value: V
    voters: frozenset[ServerId]


@final
@frozen
class Learner(Generic[V]):
    """The votes so far, and the decision that follows from them. None of it must be durable."""

    quorum: QuorumSystem
    tallies: tuple[Tally[V], ...] = ()
    choice: Decision[V] | None = None


Event: TypeAlias = From[Accepted[V]] | Chosen[V]
"""A vote, or an announcement by a server that has learned the value."""

Step: TypeAlias = tuple[Learner[V], Now[Chosen[V]]]
"""The state after an event, and what it has learned."""


def receive(state: Learner[V], event: Event[V]) -> Step[V]:
    """Count one vote, or take one announcement. Hands out Chosen once, when it learns the value.

    Raises AgreementBroken for a second choice, InvariantError for a ballot with two values.
    """
    if type(event) is From:
        if type(event.message) is not Accepted:
            assert_never(event.message)
        return _on_vote(state, event.sender, event.message)
    if type(event) is Chosen:
        _voters(state.tallies, event)
        return _decide(state, state.tallies, Decision(event, NO_SERVERS))
    assert_never(event)


def _on_vote(state: Learner[V], sender: ServerId, vote: Accepted[V]) -> Step[V]:
    if sender not in state.quorum.members:
        return state, NO_MESSAGES
    choice = state.choice
    if choice is not None and choice.chosen.ballot == vote.ballot:
        one_value_per_ballot(vote.ballot, choice.chosen.value, vote.value)
        return state, NO_MESSAGES
    voters = _voters(state.tallies, vote)
    if sender in voters:
        return state, NO_MESSAGES
    tally = Tally(vote.ballot, vote.value, voters | {sender})
    tallies = _highest(state, tally)
    if state.quorum.is_phase2(tally.voters):
        return _decide(state, tallies, Decision(Chosen(vote.ballot, vote.value), tally.voters))
    return Learner(state.quorum, tallies, choice), NO_MESSAGES


def _voters(tallies: tuple[Tally[V], ...], message: Accepted[V] | Chosen[V]) -> frozenset[ServerId]:
    """The servers that have accepted the proposal of ``message``, as counted so far."""
    for tally in tallies:
        if tally.ballot == message.ballot:
            one_value_per_ballot(message.ballot, tally.value, message.value)
            return tally.voters
    return NO_SERVERS


def _highest(state: Learner[V], new: Tally[V]) -> tuple[Tally[V], ...]:
    tallies = [tally for tally in state.tallies if tally.ballot != new.ballot]
    if not tallies:
        return (new,)
    tallies.append(new)
    tallies.sort(key=_ballot, reverse=True)
    return tuple(tallies[: len(state.quorum.members)])


def _ballot(tally: Tally[V]) -> Ballot:
    return tally.ballot


def _decide(state: Learner[V], tallies: tuple[Tally[V], ...], choice: Decision[V]) -> Step[V]:
    if state.choice is not None:
        agreement(state.choice, choice)
        return Learner(state.quorum, tallies, state.choice), NO_MESSAGES
    return Learner(state.quorum, tallies, choice), Now((choice.chosen,))
