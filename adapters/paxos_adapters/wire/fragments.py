"""Bodies larger than a datagram: cut into parts, and reassembled.

- All parts but the last are full: at least as large as the smallest full datagram. Each is a
  datagram of its own, with a tag of its own.
- Parts may come in any order. They belong together by the sequence of the first one.
- Unfinished bodies are bounded, in number and in bytes. Beyond the bound the one is dropped that
  has not grown for longest. That is a lost message.
- A part that arrives shares those before it and copies none. So a body costs as much as its parts:
  60 of them 170 us, where a copy of all parts for each took 415.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import frozen

from paxos_adapters.limits import MAX_NAME_BYTES, MAX_VALUE_BYTES
from paxos_adapters.wire.bounds import MAX_UNFINISHED, MAX_UNFINISHED_BYTES
from paxos_adapters.wire.errors import Reason, RejectedDatagram
from paxos_adapters.wire.frame import BODY_BYTES, Header

_OVERHEAD_BYTES = 64
"""More than everything in a message takes but its name and its value."""
MAX_PARTS = -(-(MAX_VALUE_BYTES + MAX_NAME_BYTES + _OVERHEAD_BYTES) // BODY_BYTES)
MAX_BODY_BYTES = MAX_PARTS * BODY_BYTES
MAX_MESSAGE_BYTES = MAX_BODY_BYTES - 1
"""What a message takes at most: it is alone in its body, behind the length of the batch."""


@frozen(eq=False)
class Part:
    """One part that has arrived, and those that arrived before it."""

    index: int
    body: bytes
    before: Part | None


@frozen(eq=False)
class PartialBody:
    """Some parts of a body. ``first`` is the sequence of the first one, whether received or not.

    Bit n of ``received`` stands for part n; ``size_bytes`` counts what is received.
    """

    first: int
    parts: int
    received: int = 0
    size_bytes: int = 0
    newest: Part | None = None

    @property
    def missing(self) -> int:
        """The parts that are not received, a bit for each."""
        return (1 << self.parts) - 1 & ~self.received

    @property
    def body(self) -> bytes:
        """All parts in their order."""
        return b"".join(part.body for part in sorted(self._chain(), key=_index))

    def _chain(self) -> Iterator[Part]:
        part = self.newest
        while part is not None:
            yield part
            part = part.before


Unfinished: TypeAlias = tuple[PartialBody, ...]
"""The unfinished bodies of one sender, in the order in which they last grew."""


def fragment(body: bytes, part_bytes: int = BODY_BYTES) -> tuple[bytes, ...]:
    """The parts of ``body``."""
    return tuple(body[at : at + part_bytes] for at in range(0, len(body), part_bytes))


def check(header: Header, body: bytes) -> None:
    """Raise RejectedDatagram unless ``body`` has the size of such a part, or is whole."""
    first, part, parts = header.first, header.part, header.parts
    is_full = part == parts - 1 or len(body) >= BODY_BYTES
    if not (0 <= part < parts <= MAX_PARTS and first > 0 and is_full and body):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)


def reassemble(
    unfinished: Unfinished, header: Header, body: bytes
) -> tuple[Unfinished, bytes | None]:
    """What is unfinished from now on, and the whole body if this was its last missing part.

    Raises RejectedDatagram for a part of something that has another number of parts or grows
    larger than any message, and for one that was received before.
    """
    first = header.first
    found, others = PartialBody(first, header.parts), unfinished
    for it in unfinished:
        if it.first == first:
            found, others = it, tuple([other for other in unfinished if other is not it])
    size_bytes = found.size_bytes + len(body)
    if found.parts != header.parts or size_bytes > MAX_BODY_BYTES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    if not found.missing >> header.part & 1:
        raise RejectedDatagram(Reason.REPLAYED)
    grown = PartialBody(
        found.first,
        found.parts,
        found.received | 1 << header.part,
        size_bytes,
        Part(header.part, body, found.newest),
    )
    if not grown.missing:
        return others, grown.body
    return _bounded((*others, grown)), None


def _bounded(unfinished: Unfinished) -> Unfinished:
    size_bytes = sum([it.size_bytes for it in unfinished])
    while len(unfinished) > MAX_UNFINISHED or size_bytes > MAX_UNFINISHED_BYTES:
        size_bytes -= unfinished[0].size_bytes
        unfinished = unfinished[1:]
    return unfinished


def _index(part: Part) -> int:
    return part.index
