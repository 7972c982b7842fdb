"""A node as it sees itself and its peers: a plain snapshot, for people and for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from paxos import Ballot, ServerId
from paxos_adapters.udp.endpoint import Buffers
from paxos_adapters.udp.peer import Peer


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

    ``needed`` is how many members more must be up then, at least. ``in_memory`` counts names, and
    ``in_memory_bytes`` the bytes of their values; ``asked`` counts the names that somebody waits
    for; ``unresolved`` the proposals that go on though their callers were cancelled, or came to the
    end of their time. ``promised`` is the highest promise for a name in memory. ``refused`` and
    ``lost`` count datagrams, by what was wrong with them. ``buffers`` is what the system gave to
    the socket. ``stopped``: why it has stopped for good; the tolerance is -1 then. ``waits``: why
    nothing can be saved, while another process keeps the file busy.
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
    needed: int = 0
