"""The frame of a datagram: a header of fixed size in plain view, a body, and a tag.

    magic version protection part parts | key id | cluster sender receiver members session |
    saves previous previous_saves epoch sequence | body ... | tag

- Integers are big-endian. The tag stands for all that is before it.
- The cluster is a digest of its name, members one of cluster, quorum system and membership.
- Session, saves, previous and previous_saves are the status of the sender's disk. The entry of the
  sender's chain of sessions is chosen for the receiver; a previous session of zeros is none.
- The epoch is that of the sender's decisions: 0 for those of the founders, and one more for each
  change of members that the decisions have followed. Messages of logs do not depend on it.
- The sender counts the datagrams to each receiver: sequence 1, 2, 3, ...
- A message that is larger than a datagram goes in parts, under sequences that follow one another.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import NamedTuple

from paxos import ServerId
from paxos_adapters.disk_status import NO_SESSION, DiskStatus
from paxos_adapters.limits import MAX_EPOCH, MAX_SAVES
from paxos_adapters.wire.bounds import DATAGRAM_BYTES, MAX_DATAGRAM_BYTES
from paxos_adapters.wire.errors import OutOfBounds, Reason, RejectedDatagram
from paxos_adapters.wire.sessions import NO_SESSION_BYTES, session_bytes

MAGIC, VERSION = b"PAX", 3
LAYOUT = struct.Struct(">3sBBBB8s8sII8s8sQ8sQIQ")
HEADER_BYTES, TAG_BYTES = LAYOUT.size, 16
BODY_BYTES = DATAGRAM_BYTES - HEADER_BYTES - TAG_BYTES
"""The body of a datagram of the smallest size that a server may send."""

SESSION = slice(15, 47)
"""Where a header says who speaks to whom, and in which session: the cluster up to the session."""

CLUSTER_BYTES, MEMBERS_BYTES = 8, 8


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
    members: bytes
    session: bytes
    saves: int
    previous: bytes
    previous_saves: int
    epoch: int
    sequence: int

    @property
    def first(self) -> int:
        """The sequence of the first part; of the datagram itself, if it is whole."""
        return self.sequence - self.part


def cluster_digest(cluster: str) -> bytes:
    """Stands for the name of a cluster in each frame."""
    return sha256(cluster.encode()).digest()[:CLUSTER_BYTES]


def read_header(datagram: bytes) -> Header:
    """The header of a frame of this version. Raises RejectedDatagram."""
    if len(datagram) < HEADER_BYTES + TAG_BYTES:
        raise RejectedDatagram(Reason.TOO_SHORT)
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise RejectedDatagram(Reason.TOO_LONG)
    header = Header(*LAYOUT.unpack_from(datagram))
    if header.magic != MAGIC or header.version != VERSION:
        raise RejectedDatagram(Reason.WRONG_VERSION)
    return header


def disk_status_of(header: Header) -> DiskStatus:
    """What the sender says of its disk. Raises RejectedDatagram."""
    has_previous = header.previous != NO_SESSION_BYTES
    if not (
        header.session != NO_SESSION_BYTES
        and header.previous_saves <= header.saves <= MAX_SAVES
        and (has_previous or not header.previous_saves)
    ):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    previous = header.previous.hex() if has_previous else NO_SESSION
    return DiskStatus(header.session.hex(), header.saves, previous, header.previous_saves)


def pack_disk_status(status: DiskStatus) -> tuple[bytes, int, bytes, int]:
    """The fields of a header for ``status``. Raises BadDiskStatus, OutOfBounds."""
    session = session_bytes(status.session)
    previous = NO_SESSION_BYTES if status.previous == NO_SESSION else session_bytes(status.previous)
    if not 0 <= status.saves <= MAX_SAVES:
        raise OutOfBounds("the saves of a disk", status.saves, 0, MAX_SAVES)
    most = 0 if previous == NO_SESSION_BYTES else status.saves
    if not 0 <= status.previous_saves <= most:
        what = "the saves at the end of an earlier session"
        raise OutOfBounds(what, status.previous_saves, 0, most)
    return session, status.saves, previous, status.previous_saves


def checked_epoch(epoch: int) -> int:
    """``epoch``. Raises OutOfBounds."""
    if not 0 <= epoch <= MAX_EPOCH:
        raise OutOfBounds("an epoch", epoch, 0, MAX_EPOCH)
    return epoch
