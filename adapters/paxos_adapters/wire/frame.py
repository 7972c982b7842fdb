"""The frame of a datagram: a header of fixed size in plain view, a body, and a tag.

    magic version protection part parts | key id | cluster sender receiver incarnation life |
    opened mark sequence | body ... | tag

- Integers are big-endian. The tag stands for all that is before it.
- The cluster is a digest of its name. Incarnation, life, opened and mark are the sender's presence.
- The sender counts the datagrams to each receiver: sequence 1, 2, 3, ...
- A message that is larger than a datagram goes in parts, under sequences that follow one another.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from paxos import ServerId
from paxos_adapters.peers import Presence
from paxos_adapters.wire.bounds import MAX_DATAGRAM_BYTES, MAX_MARK
from paxos_adapters.wire.errors import BadPresence, Hostile, OutOfBounds, Reason

MAGIC, VERSION = b"PAX", 1
LAYOUT = struct.Struct(">3sBBBB8s8sII16s8sQQQ")
HEADER_BYTES, TAG_BYTES = LAYOUT.size, 16
BODY_BYTES = MAX_DATAGRAM_BYTES - HEADER_BYTES - TAG_BYTES
SESSION = slice(15, 55)
"""Where a header says who speaks to whom, and in which life: the cluster up to the life."""

CLUSTER_BYTES, INCARNATION_BYTES, LIFE_BYTES = 8, 16, 8


class Header(NamedTuple):
    """What a frame says of itself, in the order in which it is written."""

    magic: bytes
    version: int
    protection: int
    part: int
    parts: int
    key: bytes
    cluster: bytes
    sender: ServerId
    receiver: ServerId
    incarnation: bytes
    life: bytes
    opened: int
    mark: int
    sequence: int

    @property
    def first(self) -> int:
        """The sequence of the first part; of the datagram itself, if it is whole."""
        return self.sequence - self.part


def label(cluster: str) -> bytes:
    """What stands for the name of a cluster in each frame."""
    return sha256(cluster.encode()).digest()[:CLUSTER_BYTES]


def read(datagram: bytes) -> Header:
    """The header of a frame of this version. Raises Hostile."""
    if len(datagram) < HEADER_BYTES + TAG_BYTES:
        raise Hostile(Reason.TOO_SHORT)
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise Hostile(Reason.TOO_LONG)
    header = Header(*LAYOUT.unpack_from(datagram))
    if header.magic != MAGIC or header.version != VERSION:
        raise Hostile(Reason.WRONG_VERSION)
    return header


def presence_of(header: Header) -> Presence:
    """What the sender says of its disk. Raises Hostile."""
    if not header.opened <= header.mark <= MAX_MARK:
        raise Hostile(Reason.OUT_OF_BOUNDS)
    return Presence(header.incarnation.hex(), header.life.hex(), header.opened, header.mark)


def disk(presence: Presence) -> tuple[bytes, bytes, int, int]:
    """The fields of a header that say the same. Raises BadPresence, OutOfBounds."""
    incarnation = _unhexed("the incarnation of a disk", presence.incarnation, INCARNATION_BYTES)
    life = _unhexed("the life of a server", presence.life, LIFE_BYTES)
    if not 0 <= presence.mark <= MAX_MARK:
        raise OutOfBounds("the mark of a disk", presence.mark, 0, MAX_MARK)
    if not 0 <= presence.opened <= presence.mark:
        raise OutOfBounds("the mark at which a disk was opened", presence.opened, 0, presence.mark)
    return incarnation, life, presence.opened, presence.mark


@lru_cache(maxsize=8)
def _unhexed(what: str, text: str, size: int) -> bytes:
    try:
        unhexed = bytes.fromhex(text)
    except ValueError:
        unhexed = b""
    if len(unhexed) != size or unhexed.hex() != text:
        raise BadPresence(what, text, size)
    return unhexed
