"""The messages between the replicas of a log.

Source: the lecture, "Multi-Paxos", from "Selecting log entries" to "Configuration changes".

    request                               reply
    Prepare(ballot, slot)                 Promise(ballot, slot, ...)  or  Nack(ballot, promised)
    Accept(ballot, slot, entry, first)    Accepted(ballot, slot)      or  Nack(ballot, promised)
    CatchUpRequest(first)                 CatchUp(slot, proposals)
    Confirm(ballot, number, lease)        Confirmed(ballot, ...)      or  Nack(ballot, promised)

    Heartbeat(ballot, first, ...)         to all, every T: the leader that the sender follows

- One ballot serves all slots: a Prepare asks for a promise for the whole log.
- Slots count from 1. ``first`` is everywhere the first slot that the sender does not know to be
  chosen; all slots below are chosen.
- Replies name the ballot, and the slot, that they answer. A vote carries no entry: a ballot carries
  one entry for a slot.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from paxos.ballot import Ballot, Proposal, V
from paxos.messages import Nack
from paxos.quorum import QuorumSystem
from paxos.values import frozen


@final
@frozen
class Command(Generic[V]):
    """An entry for the state machine: ``value``, which may stand for a batch of commands."""

    value: V


@final
@frozen
class Noop:
    """An entry that does nothing: it fills a slot that a new leader found empty."""


@final
@frozen
class Change:
    """An entry that changes the members: in slot n, ``quorum`` governs from n + window on."""

    quorum: QuorumSystem


Entry: TypeAlias = Command[V] | Noop | Change
"""What is chosen for a slot."""


@final
@frozen
class Prepare:
    """Phase 1 request: promise ``ballot`` for the whole log; report what you hold from ``slot``."""

    ballot: Ballot
    slot: int


@final
@frozen
class Promise(Generic[V]):
    """One piece of a promise of ``ballot``, the answer to a Prepare from ``slot`` on.

    ``accepted`` are the proposals accepted from ``slot`` on, by slot; all slots below ``first`` are
    known to be chosen, and are left out. ``is_last``: there are none above those.
    """

    ballot: Ballot
    slot: int
    first: int
    accepted: tuple[tuple[int, Proposal[Entry[V]]], ...]
    is_last: bool


@final
@frozen
class Accept(Generic[V]):
    """Phase 2 request: accept ``entry`` for ``slot``; all slots below ``first`` are chosen."""

    ballot: Ballot
    slot: int
    entry: Entry[V]
    first: int


@final
@frozen
class Accepted:
    """A vote: the entry of ``ballot`` for ``slot`` is accepted."""

    ballot: Ballot
    slot: int


@final
@frozen
class Heartbeat:
    """Sent to all every T, by every replica.

    ``ballot`` is the one that the sender leads under, if it ``leads``; else that of the leader that
    it follows, NO_BALLOT for none. ``in_contact``: a quorum answers the leader.
    """

    ballot: Ballot
    leads: bool
    in_contact: bool
    first: int


@final
@frozen
class CatchUpRequest:
    """Send what is chosen from ``first`` on."""

    first: int


@final
@frozen
class CatchUp(Generic[V]):
    """``proposals`` are chosen for ``slot`` and the slots behind it.

    Each ballot is one at or above which the entry was chosen.
    """

    slot: int
    proposals: tuple[Proposal[Entry[V]], ...]


@final
@frozen
class Confirm:
    """Have you promised more than ``ballot``? Serves the reads up to ``number``.

    ``lease``: for how long the leader asks to promise nothing to others; 0: it does not ask.
    """

    ballot: Ballot
    number: int
    lease: int = 0


@final
@frozen
class Confirmed:
    """When Confirm ``number`` arrived, no ballot above ``ballot`` was promised.

    ``grants``: and none will be for as long as was asked, but to the server of ``ballot``.
    """

    ballot: Ballot
    number: int
    grants: bool = False


Request: TypeAlias = Prepare | Accept[V] | Confirm | CatchUpRequest
"""What a replica asks of another."""

Reply: TypeAlias = Promise[V] | Accepted | Nack | Confirmed | CatchUp[V]
"""What it can receive in return."""

Message: TypeAlias = Request[V] | Reply[V] | Heartbeat
"""Everything that travels between replicas."""
