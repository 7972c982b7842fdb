"""What servers say to each other.

Source: the lecture, "The protocol" and "Who knows".

    request                  answer
    Prepare(ballot)          Promise(ballot, accepted)  or  Nack(ballot, promised)
    Accept(ballot, value)    Accepted(ballot, value)    or  Nack(ballot, promised)

    Chosen(ballot, value)    what a quorum accepted: told to all, and an answer to any request
    Heartbeat()              "I have a proposal under way"; see election.py

Every answer names the ballot that it answers, so that a late, repeated or reordered one is never
taken for an answer to something else.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar, final

from paxos.ballot import Ballot, Proposal, ServerId, V
from paxos.values import frozen

M_co = TypeVar("M_co", covariant=True)


@final
@frozen
class Prepare:
    """Phase 1 request: promise ``ballot``, and tell what you have accepted."""

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
class Chosen(Generic[V]):
    """A quorum accepted ``value`` under ``ballot``: it is chosen, for ever."""

    ballot: Ballot
    value: V


@final
@frozen
class Heartbeat:
    """The sender lives, hears from a quorum, and has a proposal under way."""


Request: TypeAlias = Prepare | Accept[V]
"""What a proposer asks an acceptor."""

Reply: TypeAlias = Promise[V] | Accepted[V] | Nack | Chosen[V]
"""What a proposer can hear back."""

Message: TypeAlias = Request[V] | Reply[V] | Heartbeat
"""Everything that travels between servers."""


@final
@frozen
class From(Generic[M_co]):
    """A message, and the server that sent it, as far as the transport vouches for it."""

    sender: ServerId
    message: M_co
