"""The quorum read: finds out what is chosen, without a ballot and without a promise.

Source: Charapko, Ailijiang and Demirbas, "Linearizable Quorum Reads in Paxos" (HotStorage 2019).

- Nothing: a *phase-1* quorum has answered "nothing accepted" to queries of this very read. It meets
  every phase-2 quorum, so none had accepted one proposal when the read began.
- Chosen: a *phase-2* quorum has named *one ballot*, just as in votes.
- Otherwise a ballot may be in progress: wait for the other answers, then query again. All queries
  of a read carry its id, and their answers add up. Those of two reads never do.
- A round ends at the first timer by which a phase-1 quorum has answered in it. If it brought no
  higher ballot than the rounds before, the read has stalled: no proposer makes progress, so the
  reader runs the protocol itself.

A query changes nothing at an acceptor, so a read delays no proposer unless it stalls.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from attrs import evolve

from paxos import learner
from paxos.ballot import NO_BALLOT, Ballot, Proposal, ServerId, V
from paxos.learner import Learner
from paxos.messages import Accepted, Chosen, From, ReadId
from paxos.quorum import NO_SERVERS
from paxos.values import frozen


@final
@frozen
class Read:
    """Request: find out what is chosen. ``id`` must never have been used before."""

    id: ReadId


@final
@frozen
class QueryTimer:
    """Time to query again in the read ``id``; stale in any other read."""

    id: ReadId


@final
@frozen
class NotYetChosen:
    """Report on the read ``id``: nothing was chosen when it began.

    It says nothing about later: a ballot that was in progress may still choose a value, even a
    low one. For a statement about ballots, use Inquire and its NothingChosen.
    """

    id: ReadId


@final
@frozen
class Querying(Generic[V]):
    """A read in progress: the servers that answered, and what they named.

    ``nothing`` have answered "nothing" since the read began, ``answered`` have answered in this
    round. ``before`` is the highest ballot that earlier rounds named.
    """

    id: ReadId
    found: Learner[V]
    attempt: int = 0
    nothing: frozenset[ServerId] = NO_SERVERS
    answered: frozenset[ServerId] = NO_SERVERS
    before: Ballot = NO_BALLOT


Outcome: TypeAlias = Querying[V] | NotYetChosen | Chosen[V]
"""The read goes on, or how it ends."""


def count(read: Querying[V], sender: ServerId, accepted: Proposal[V] | None) -> Outcome[V]:
    """Count the answer of a member to a query of this very read.

    Raises InvariantError if a ballot carries two values.
    """
    answered = read.answered | {sender}
    if accepted is None:
        nothing = read.nothing | {sender}
        if read.found.quorum.is_phase1(nothing):
            return NotYetChosen(read.id)
        return evolve(read, nothing=nothing, answered=answered)
    vote = From(sender, Accepted(accepted.ballot, accepted.value))
    found, news = learner.receive(read.found, vote)
    if news.messages:
        (chosen,) = news.messages
        return chosen
    return evolve(read, found=found, answered=answered)


def is_stalled(read: Querying[V]) -> bool:
    """Whether the round has ended, and named no higher ballot than the rounds before."""
    return _has_ended(read) and read.before == highest(read)


def again(read: Querying[V]) -> Querying[V]:
    """The read after one more timer: in its next round, if this one has ended."""
    read = evolve(read, attempt=read.attempt + 1)
    return evolve(read, answered=NO_SERVERS, before=highest(read)) if _has_ended(read) else read


def highest(read: Querying[V]) -> Ballot:
    """The highest ballot that was named since the read began."""
    return read.found.tallies[0].ballot if read.found.tallies else NO_BALLOT


def _has_ended(read: Querying[V]) -> bool:
    return read.found.quorum.is_phase1(read.answered)
