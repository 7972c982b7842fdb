"""What a node needs of what is around it: a memory, and links to its peers.

- ``FileStore`` and ``Mesh`` are those of real servers, on a file and UDP.
- ``MemoryFile`` and ``MemoryLinks`` are those of servers in one process, for tests.
- A message may be lost, late, repeated or out of order. Records must not be lost once they are
  saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from paxos import QuorumSystem, Saved, ServerId
from paxos_adapters.file.entries import AnyEntry, AnyRecord, Record
from paxos_adapters.file.epochs import AT_ONCE, Accepted, Settled
from paxos_adapters.file.rows import Epoch
from paxos_adapters.file.turns import Wait
from paxos_adapters.guard import Guard
from paxos_adapters.log_messages import AnyMessage
from paxos_adapters.replication.starting import LogsFile
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.endpoint import Buffers, SocketAddress
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.registration import Registration
from paxos_adapters.udp.sessions import Registering
from paxos_adapters.wire import Reason


class NodeFile(LogsFile, Protocol):
    """The memory of one server. ``FileStore`` says what each method does, and raises."""

    @property
    def path(self) -> Path:
        """Where it is, for people."""
        ...

    @property
    def saves(self) -> int:
        """How often it was saved."""
        ...

    @property
    def waits(self) -> Wait | None:
        """Why a save waits, and how long; None if none does."""
        ...

    @property
    def epoch(self) -> Epoch:
        """The epoch of the decisions."""
        ...

    def accepted(self, after: str = "", most: int = AT_ONCE) -> tuple[Accepted, ...]:
        """What is accepted for the next decisions."""
        ...

    def close_epoch(self, number: int) -> None:
        """Save nothing about a decision from now on, in that epoch or an earlier one."""
        ...

    def adopt(self, number: int, quorum: QuorumSystem, settled: Settled) -> None:
        """Begin that epoch with what was settled."""
        ...

    def decisions_after(self, name: str, most: int) -> tuple[str, ...]:
        """The first names of decisions behind ``name``, in order."""
        ...

    def logs(self) -> tuple[str, ...]:
        """The names of all logs that something was saved for, in order."""
        ...

    def has_log(self, name: str) -> bool:
        """Whether something was saved for a log of this name."""
        ...

    def decisions(self) -> tuple[str, ...]:
        """The names of all decisions that something was saved for."""
        ...

    def load(self, decision: str) -> Saved[Record]:
        """What was saved last for ``decision``."""
        ...

    def save_all(self, batch: Iterable[AnyEntry], *, wait: bool = True) -> Saved[AnyRecord]:
        """Make records of decisions and logs durable, together or not at all."""
        ...

    def stop_waiting(self) -> None:
        """A save that cannot begin fails from now on."""
        ...


class PeerSessions(Protocol):
    """Sessions of peers: a save makes them durable, and only then are they acknowledged."""

    def uncommitted(self) -> tuple[Registering, ...]:
        """What the next save makes durable."""
        ...

    def on_committed(self, committed: Iterable[Registering]) -> None:
        """It is durable."""
        ...


class EndpointFacts(Protocol):
    """What is known of the socket of a server. ``counts``: messages that were lost, and to what."""

    local_address: SocketAddress
    buffers: Buffers
    counts: Counter[str]


class Links(Protocol):
    """The links of one server to its peers. ``Mesh`` says what each method does, and raises."""

    @property
    def configured(self) -> dict[ServerId, Address]:
        """Where the servers are, as far as the program has said."""
        ...

    def check_address(self, server: ServerId, address: Address) -> None:
        """Raise BadAddress or Insecure if a server that is added cannot have ``address``."""
        ...

    def acquire_file(self) -> None:
        """Use the memory, and no other links do."""
        ...

    def release_file(self) -> None:
        """Nothing was sent for the memory, nor will be."""
        ...

    async def open(
        self,
        on_message: Callable[[ServerId, str, AnyMessage], None],
        on_idle: Callable[[], None],
        guard: Guard,
    ) -> None:
        """Listen: ``on_message`` gets each message, ``on_idle`` says that there is none left."""
        ...

    def close(self) -> None:
        """Stop listening and sending, at once."""
        ...

    async def wait_closed(self) -> None:
        """Wait until all its tasks have ended."""
        ...

    def set_members(
        self,
        addresses: Mapping[ServerId, Address],
        quorum: QuorumSystem,
        *,
        former: Collection[ServerId] = (),
        epoch: int = 0,
        steps: int = 0,
    ) -> None:
        """Link this server to all others of ``addresses``; registration counts ``quorum``."""
        ...

    def enqueue(self, receiver: ServerId, name: str, message: AnyMessage) -> None:
        """Send ``message`` about ``name`` with the next ``flush``, or lose it."""
        ...

    def flush(self) -> None:
        """Send what was enqueued, or lose it."""
        ...

    @property
    def registration(self) -> Registration:
        """Which peers have acknowledged the session of this server."""
        ...

    @property
    def sessions(self) -> PeerSessions:
        """The sessions of the peers, as far as a node has to save them."""
        ...

    @property
    def endpoint(self) -> EndpointFacts:
        """Where it listens, once it is open, and what was lost here."""
        ...

    @property
    def refused(self) -> Counter[Reason]:
        """How many datagrams were refused, by what was wrong with them."""
        ...

    def peers(self) -> dict[ServerId, Peer]:
        """What is known of each peer."""
        ...
