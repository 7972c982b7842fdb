"""A node as it sees itself and its peers: a plain snapshot, for people and for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from paxos import Ballot, ServerId
from paxos_adapters.udp import Address, Buffers

SILENT_S, DEAF_S = 3.5, 2.0
"""After how many seconds without a word, or without an answer while it speaks, a peer is down."""


@frozen
class Peer:
    """What is known of another server.

    ``heard_s`` and ``trip_s``: seconds since its last word, and for the last round trip. None: it
    was never heard. ``votes``: whether it takes messages of the protocol, as it said last; it does
    not before its session is registered. ``is_found``: whether its name has an address.
    ``answered_s``: seconds since it has answered us.
    """

    address: Address
    heard_s: float | None
    trip_s: float | None
    votes: bool = False
    is_found: bool = True
    answered_s: float | None = None

    @property
    def is_heard(self) -> bool:
        """Whether it was heard of late."""
        return self.heard_s is not None and self.heard_s < SILENT_S

    @property
    def is_deaf(self) -> bool:
        """Whether it speaks and does not answer, though it is asked every second."""
        gap_s = (
            None
            if self.answered_s is None or self.heard_s is None
            else (self.answered_s - self.heard_s)
        )
        return self.is_heard and (gap_s is None or gap_s > DEAF_S)

    @property
    def is_up(self) -> bool:
        """Whether it has answered of late, and votes."""
        return self.votes and self.answers

    @property
    def answers(self) -> bool:
        """Whether it has answered of late. One that is heard and does not may not hear us."""
        return self.answered_s is not None and self.answered_s < SILENT_S


@frozen
class Descent:
    """Whether it is sure that this server goes on from what it has saved, and votes.

    ``missing`` have not acknowledged its session. ``is_proven``: more than half of the others have,
    so no older copy of its file can be acknowledged. ``votes``: enough have acknowledged.
    """

    missing: tuple[ServerId, ...]
    is_proven: bool
    votes: bool


@frozen
class Status:
    """A node as it sees itself. ``tolerance`` is how many more servers may fail, -1: too many did.

    ``in_memory`` counts names, and ``in_memory_bytes`` the bytes of their values; ``asked`` counts
    the names that somebody waits for; ``unresolved`` the proposals that go on though their callers
    were cancelled, or came to the end of their time. ``promised`` is the highest promise for a name
    in memory. ``refused`` and ``lost`` count datagrams, by what was wrong with them. ``buffers`` is
    what the system gave to the socket. ``stopped``: why it has stopped for good; the tolerance is
    -1 then. ``waits``: why nothing can be saved, while another process keeps the file busy.
    """

    me: ServerId
    peers: Mapping[ServerId, Peer]
    tolerance: int
    saves: int
    in_memory: int
    asked: int
    refused: Mapping[str, int]
    lost: Mapping[str, int]
    promised: Ballot
    buffers: Buffers
    descent: Descent
    stopped: str | None = None
    in_memory_bytes: int = 0
    unresolved: int = 0
    waits: str | None = None
