"""The messages between servers.

Source: the lecture, "The protocol" and "Who knows"; Charapko, Ailijiang and Demirbas, "Linearizable
Quorum Reads in Paxos" (2019), for Query.

    request                  answer
    Prepare(ballot)          Promise(ballot, accepted)  or  Nack(ballot, promised)
    Accept(ballot, value)    Accepted(ballot, value)    or  Nack(ballot, promised)
    Query(id)                Answer(id, accepted)

    Chosen(ballot, value)    what a quorum accepted: sent to all, and an answer to any request
    Heartbeat()              a ballot is in progress at the sender; see election.py

Every answer names the ballot or the read that it answers. So a late, repeated or reordered one is
never taken for an answer to something else.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeAlias, TypeVar, final

from paxos.ballot import Ballot, Proposal, ServerId, V
from paxos.values import frozen

M_co = TypeVar("M_co", covariant=True)


class ReadId(NamedTuple):
    """Names one read: the ``number`` of the read within a ``session`` of the reading process.

    An id that is used again breaks reads: late answers to the first read count for the second.
    Draw ``session`` anew at each start: a random number of 64 bits, or a durable counter.
    """

    session: int
    number: int

    def __str__(self) -> str:
        return f"{self.session}/{self.number}"


@final
@frozen
class Prepare:
    """Phase 1 request: promise ``ballot``, and report what you have accepted."""

    ballot: Ballot


@final
@frozen
class Promise(Generic[V]):
    """Nothing below ``ballot`` will be accepted; ``accepted`` is the highest proposal so far."""

    ballot: Ballot
    accepted: Proposal[V] | None


@final
@frozen
class Accept(Generic[V]):
    """Phase 2 request: accept ``value`` under ``ballot``."""

    ballot: Ballot
    value: V


@final
@frozen
class Accepted(Generic[V]):
    """``value`` is accepted under ``ballot``. Accepted is not chosen: that takes a quorum."""

    ballot: Ballot
    value: V


@final
@frozen
class Nack:
    """``ballot`` is refused, because of the promise of a higher one, ``promised``."""

    ballot: Ballot
    promised: Ballot


@final
@frozen
class Query:
    """Request of the read ``id``: report what you have accepted. No promise, no change."""

    id: ReadId


@final
@frozen
class Answer(Generic[V]):
    """What the sender had accepted last, at a time after the read ``id`` began; None: nothing."""

    id: ReadId
    accepted: Proposal[V] | None


@final
@frozen
class Chosen(Generic[V]):
    """A quorum accepted ``value`` under ``ballot``: it is chosen, and stays so."""

    ballot: Ballot
    value: V


@final
@frozen
class Heartbeat:
    """The sender is alive, in contact with a quorum, and has a ballot in progress."""


Request: TypeAlias = Prepare | Accept[V] | Query
"""What a proposer asks an acceptor."""

Reply: TypeAlias = Promise[V] | Accepted[V] | Nack | Answer[V] | Chosen[V]
"""What a proposer can receive in return."""

Message: TypeAlias = Request[V] | Reply[V] | Heartbeat
"""Everything that travels between servers."""


@final
@frozen
class From(Generic[M_co]):
    """A message, and the server that sent it, as the transport authenticated it."""

    sender: ServerId
    message: M_co
