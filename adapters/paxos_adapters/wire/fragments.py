"""Bodies larger than a datagram: cut into parts, and put together again.

- All parts but the last are full. Each is a datagram of its own, with a tag of its own.
- Parts may come in any order. They belong together by the sequence of the first one.
- What waits for its other parts is bounded, in number and in bytes; beyond that the one is dropped
  that has not grown for longest. That is a lost message.
- A part that arrives shares what was there before, so that a body costs as much as its parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import frozen

from paxos_adapters.wire.bounds import (
    MAX_NAME_BYTES,
    MAX_UNFINISHED,
    MAX_UNFINISHED_BYTES,
    MAX_VALUE_BYTES,
)
from paxos_adapters.wire.errors import Reason, RejectedDatagram
from paxos_adapters.wire.frame import BODY_BYTES, Header

_LINE_BYTES = 64
"""More than everything in a line takes but its name and its value."""
MAX_PARTS = -(-(MAX_VALUE_BYTES + MAX_NAME_BYTES + _LINE_BYTES) // BODY_BYTES)


@frozen(eq=False)
class Piece:
    """One part that has arrived, and those that arrived before it."""

    part: int
    body: bytes
    before: Piece | None


@frozen(eq=False)
class PartialBody:
    """Some parts of a body. ``first`` is the sequence of the first one, there or not.

    Bit n of ``there`` stands for part n; ``size_bytes`` counts what is there.
    """

    first: int
    parts: int
    there: int = 0
    size_bytes: int = 0
    newest: Piece | None = None

    @property
    def missing(self) -> int:
        """The parts that are not there, a bit for each."""
        return (1 << self.parts) - 1 & ~self.there

    @property
    def body(self) -> bytes:
        """All parts in their order."""
        return b"".join(piece.body for piece in sorted(self._pieces(), key=_part))

    def _pieces(self) -> Iterator[Piece]:
        piece = self.newest
        while piece is not None:
            yield piece
            piece = piece.before


Waiting: TypeAlias = tuple[PartialBody, ...]
"""What one sender has not finished, in the order in which it last grew."""


def split(body: bytes) -> tuple[bytes, ...]:
    """The parts of ``body``."""
    return tuple(body[at : at + BODY_BYTES] for at in range(0, len(body), BODY_BYTES))


def check(header: Header, body: bytes) -> None:
    """Raise RejectedDatagram unless ``body`` has the size of such a part, or is whole."""
    first, part, parts = header.first, header.part, header.parts
    is_full = part == parts - 1 or len(body) == BODY_BYTES
    if not (0 <= part < parts <= MAX_PARTS and first > 0 and is_full and body):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)


def gather(waiting: Waiting, header: Header, body: bytes) -> tuple[Waiting, bytes | None]:
    """What waits from now on, and the whole body if this was the part that it waited for.

    Raises RejectedDatagram for a part of something that has another number of parts, and for one
    that is there.
    """
    found = next((it for it in waiting if it.first == header.first), None)
    others = tuple(it for it in waiting if it is not found)
    if found is None:
        found = PartialBody(header.first, header.parts)
    if found.parts != header.parts:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    if not found.missing >> header.part & 1:
        raise RejectedDatagram(Reason.REPLAYED)
    grown = PartialBody(
        found.first,
        found.parts,
        found.there | 1 << header.part,
        found.size_bytes + len(body),
        Piece(header.part, body, found.newest),
    )
    if not grown.missing:
        return others, grown.body
    return _bounded((*others, grown)), None


def _bounded(waiting: Waiting) -> Waiting:
    size_bytes = sum(it.size_bytes for it in waiting)
    while len(waiting) > MAX_UNFINISHED or size_bytes > MAX_UNFINISHED_BYTES:
        size_bytes -= waiting[0].size_bytes
        waiting = waiting[1:]
    return waiting


def _part(piece: Piece) -> int:
    return piece.part
