"""Lost parts are requested, and sent again as they were.

- A receiver that has some parts of a body requests the others from its sender, once the body has
  not grown for a while. It does so again after twice that time, and so on, then no more. A body
  that grows is requested as at first. Time is counted in ticks: no clock here.
- A sender keeps the datagrams of the newest bodies that it sent to a peer in parts, bounded in
  number and in bytes. What is requested goes out again, byte for byte: the same sequence, so that
  the receiver's window accepts what it lacks and refuses what it has.
- A body is sent again at most once in whole, however often it is requested: so nobody draws more
  datagrams than twice those that the protocol sends.
- Lost parts that nobody keeps any more are a lost message: the protocol sends its messages again.

Source: selective repeat; "TCP Selective Acknowledgment Options" (RFC 2018), turned round: what is
missing is named, since nothing is acknowledged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, final

from attrs import evolve, frozen

from paxos_adapters.wire.bounds import MAX_KEPT, MAX_KEPT_BYTES, MAX_REQUESTS
from paxos_adapters.wire.fragments import Unfinished


@final
@frozen
class Missing:
    """Requests the parts of a body that have not arrived.

    ``first`` is the sequence of its first part; bit n of ``parts`` stands for part n.
    """

    first: int
    parts: int


# --- the sender: sends again ----------------------------------------------------------------------


@frozen
class SentBody:
    """A body that was sent in parts, and how many datagrams of it may still be sent again."""

    first: int
    datagrams: tuple[bytes, ...]
    left: int

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return sum(map(len, self.datagrams))


SentBodies: TypeAlias = tuple[SentBody, ...]
"""What is kept for one receiver, in the order in which it was sent."""


def keep(sent: SentBodies, first: int, datagrams: tuple[bytes, ...]) -> SentBodies:
    """What is kept after a body has been sealed; the oldest make room."""
    kept = (*sent, SentBody(first, datagrams, len(datagrams)))
    while len(kept) > MAX_KEPT or sum(it.size_bytes for it in kept) > MAX_KEPT_BYTES:
        kept = kept[1:]
    return kept


def resend(sent: SentBodies, missing: Missing) -> tuple[SentBodies, tuple[bytes, ...]]:
    """What is kept from now on, and the datagrams to send again: none of what is not kept."""
    found = next((it for it in sent if it.first == missing.first), None)
    if found is None:
        return sent, ()
    requested = [it for part, it in enumerate(found.datagrams) if missing.parts >> part & 1]
    datagrams = tuple(requested[: found.left])
    spent = evolve(found, left=found.left - len(datagrams))
    return tuple(spent if it is found else it for it in sent), datagrams


# --- the receiver: requests -----------------------------------------------------------------------


@frozen
class Requested:
    """A body that is unfinished: the parts received at the last tick, and since when.

    ``quiet`` counts the ticks since it grew or was requested, ``times`` how often it was requested
    since it grew.
    """

    received: int
    quiet: int = 0
    times: int = 0


Requests: TypeAlias = Mapping[int, Requested]
"""The unfinished bodies of one sender, by the sequence of their first part."""


def request(requests: Requests, unfinished: Unfinished) -> tuple[Requests, tuple[Missing, ...]]:
    """One tick later: what is known then, and what to request from the sender."""
    ticked = {it.first: _ticked(requests.get(it.first), it.received) for it in unfinished}
    due = {first: it for first, it in ticked.items() if _is_due(it)}
    ticked |= {first: Requested(it.received, 0, it.times + 1) for first, it in due.items()}
    return ticked, tuple(Missing(it.first, it.missing) for it in unfinished if it.first in due)


def has_requests(requests: Requests, unfinished: Unfinished) -> bool:
    """Whether anything is unfinished that will be requested at a later tick."""
    return any(_is_open(requests.get(it.first), it.received) for it in unfinished)


def _ticked(requested: Requested | None, received: int) -> Requested:
    if requested is None or requested.received != received:
        return Requested(received)
    return Requested(received, requested.quiet + 1, requested.times)


def _is_due(requested: Requested) -> bool:
    return requested.times < MAX_REQUESTS and requested.quiet >= 1 << requested.times


def _is_open(requested: Requested | None, received: int) -> bool:
    return requested is None or requested.received != received or requested.times < MAX_REQUESTS
