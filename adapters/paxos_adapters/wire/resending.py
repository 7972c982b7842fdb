"""Parts that were lost are asked for, and sent again as they were.

- A receiver that has some parts of a body asks its sender for the others, once the body has not
  grown for a while; again after twice that time, and so on, then no more. A body that grows is
  asked for as at first. Time is counted in ticks: no clock here.
- A sender keeps the datagrams of the newest bodies that it sent to a peer in parts, bounded in
  number and in bytes. What is asked for goes out again, byte for byte: the same sequence, so that
  the receiver's window takes what it lacks and refuses what it has.
- A body is sent again at most once in whole, however often it is asked for: so nobody draws more
  datagrams than twice those that the protocol sends.
- Lost parts that nobody keeps any more are a lost message: the protocol sends its messages again.

Source: selective repeat; "TCP Selective Acknowledgment Options" (RFC 2018), turned round: what is
missing is named, since nothing is acknowledged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, final

from attrs import evolve, frozen

from paxos_adapters.wire.bounds import MAX_ASKED, MAX_KEPT, MAX_KEPT_BYTES
from paxos_adapters.wire.fragments import Waiting


@final
@frozen
class Missing:
    """Asks for the parts of a body that have not arrived.

    ``first`` is the sequence of its first part; bit n of ``parts`` stands for part n.
    """

    first: int
    parts: int


# --- the sender: sends again ----------------------------------------------------------------------


@frozen
class Kept:
    """A body that was sent in parts, and how many datagrams of it may still be sent again."""

    first: int
    datagrams: tuple[bytes, ...]
    left: int

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return sum(map(len, self.datagrams))


Keeping: TypeAlias = tuple[Kept, ...]
"""What is kept for one receiver, in the order in which it was sent."""


def keep(keeping: Keeping, first: int, datagrams: tuple[bytes, ...]) -> Keeping:
    """What is kept after a body has been sealed; the oldest make room."""
    kept = (*keeping, Kept(first, datagrams, len(datagrams)))
    while len(kept) > MAX_KEPT or sum(it.size_bytes for it in kept) > MAX_KEPT_BYTES:
        kept = kept[1:]
    return kept


def again(keeping: Keeping, missing: Missing) -> tuple[Keeping, tuple[bytes, ...]]:
    """What is kept from now on, and the datagrams to send again: none of what is not kept."""
    found = next((it for it in keeping if it.first == missing.first), None)
    if found is None:
        return keeping, ()
    asked = [it for part, it in enumerate(found.datagrams) if missing.parts >> part & 1]
    sent = tuple(asked[: found.left])
    spent = evolve(found, left=found.left - len(sent))
    return tuple(spent if it is found else it for it in keeping), sent


# --- the receiver: asks ---------------------------------------------------------------------------


@frozen
class Asked:
    """A body that is unfinished: the parts that were there at the last tick, and since when.

    ``quiet`` counts the ticks since it grew or was asked for, ``times`` how often it was asked for
    since it grew.
    """

    there: int
    quiet: int = 0
    times: int = 0


Asking: TypeAlias = Mapping[int, Asked]
"""The unfinished bodies of one sender, by the sequence of their first part."""


def ask(asking: Asking, waiting: Waiting) -> tuple[Asking, tuple[Missing, ...]]:
    """One tick later: what is known then, and what to ask the sender for."""
    ticked = {it.first: _ticked(asking.get(it.first), it.there) for it in waiting}
    due = {first: it for first, it in ticked.items() if _is_due(it)}
    ticked |= {first: Asked(it.there, 0, it.times + 1) for first, it in due.items()}
    return ticked, tuple(Missing(it.first, it.missing) for it in waiting if it.first in due)


def is_to_ask(asking: Asking, waiting: Waiting) -> bool:
    """Whether there is anything unfinished that will be asked for at a later tick."""
    return any(_is_open(asking.get(it.first), it.there) for it in waiting)


def _ticked(asked: Asked | None, there: int) -> Asked:
    if asked is None or asked.there != there:
        return Asked(there)
    return Asked(there, asked.quiet + 1, asked.times)


def _is_due(asked: Asked) -> bool:
    return asked.times < MAX_ASKED and asked.quiet >= 1 << asked.times


def _is_open(asked: Asked | None, there: int) -> bool:
    return asked is None or asked.there != there or asked.times < MAX_ASKED
