"""A network in one process, for tests of programs that embed nodes: a test cuts it, and heals it.

    network = MemoryNetwork(servers=3)
    network.cut(ServerId(1))             no message to server 1, nor from it
    network.lose(0.1)                    a tenth of all messages is lost
    network.crash(ServerId(2))           what it has saved is there when it starts again
    network.heal()                       no cut and no loss any more

- Messages are handed over as they are, without bytes, sockets or delays: in order, none twice.
- A server has its memory for as long as the network exists. Its session needs no proof, since no
  memory is ever an older copy: see ``registration.py``.
- Nodes may run on one event loop, or on several, in threads.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from random import Random
from threading import get_ident
from typing import TypeAlias

from attrs import define, field

from paxos import OperationalError, QuorumSystem, ServerId, UnknownServer, UsageError
from paxos_adapters.arguments import BadNumber
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.errors import AlreadyAMember
from paxos_adapters.guard import Guard
from paxos_adapters.host import EndedByProgram
from paxos_adapters.log_messages import AnyMessage, is_for_decision
from paxos_adapters.memory import ServerDown, majority_of
from paxos_adapters.node.memory_file import Disk, MemoryFile
from paxos_adapters.udp.addresses import Address, check
from paxos_adapters.udp.endpoint import Buffers, SocketAddress
from paxos_adapters.udp.errors import Removed
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.registration import Registration
from paxos_adapters.udp.sessions import Registering
from paxos_adapters.wire import Reason

HOST = "memory"
"""What stands where the others have a host; the id of the server stands for a port."""

Sent: TypeAlias = tuple[str, AnyMessage, int]
"""A message: the name it is about, and the epoch of decisions in which it was sent."""


class ServerRunning(UsageError):
    """A server was to run twice."""

    def __init__(self, server: ServerId) -> None:
        super().__init__(
            f"server {server} runs on this network, or this node was entered before; nothing was "
            "started. Close the node that runs, or crash the server, and make another MemoryNode."
        )
        self.server = server

    def __reduce__(self) -> tuple[object, ...]:
        return ServerRunning, (self.server,)


class Crashed(EndedByProgram, OperationalError):
    """A test has crashed the server."""

    def __init__(self, server: ServerId) -> None:
        super().__init__(
            "it was crashed by its MemoryNetwork. It has what it has saved: make another "
            "MemoryNode, and enter it."
        )
        self.server = server

    def __reduce__(self) -> tuple[object, ...]:
        return Crashed, (self.server,)


class MemoryNetwork:
    """Links between servers in this process, and the memory of each."""

    def __init__(
        self,
        servers: int = 3,
        *,
        quorum: QuorumSystem | None = None,
        random: Random | None = None,
    ) -> None:
        """Servers 1 to ``servers`` under their majority, or the members of ``quorum``.

        ``random`` draws which messages are lost. Raises QuorumError, BadNumber.
        """
        self.quorum = majority_of(servers) if quorum is None else quorum
        self.random = Random() if random is None else random
        self._disks = {
            it: Disk(identity_of(HOST, it, self.quorum, "")) for it in self.quorum.members
        }
        self._running: dict[ServerId, MemoryLinks] = {}
        self._cuts: set[frozenset[ServerId]] = set()
        self._loss = 0.0

    # --- what a test does -------------------------------------------------------------------------

    def cut(self, server: ServerId, *others: ServerId) -> None:
        """No message between ``server`` and ``others``; all others, if none is named.

        Raises UnknownServer.
        """
        for it in (server, *others):
            self._check_member(it)
        far = others or tuple(self._disks.keys() - {server})
        self._cuts |= {frozenset({server, it}) for it in far}

    def heal(self) -> None:
        """No link is cut, and no message is lost any more."""
        self._cuts.clear()
        self._loss = 0.0

    def lose(self, share: float) -> None:
        """From now on this share of all messages is lost, from 0 to below 1. Raises BadNumber."""
        if not 0 <= share < 1:
            raise BadNumber("the share of messages to lose", share, "from 0 to below 1")
        self._loss = share

    def crash(self, server: ServerId) -> None:
        """Stop the node of ``server``, at once; what it has saved is kept.

        Its calls raise as those of a node that has stopped: ServerStopped, with Crashed as cause.
        Raises UnknownServer, and ServerDown if no node runs there.
        """
        self._links_of(server).fail(Crashed(server))

    def fail_saves(self, server: ServerId) -> None:
        """The disk of ``server`` is full until the server is started again.

        Raises UnknownServer, and ServerDown if no node runs there.
        """
        self._links_of(server)
        self._disks[server].failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _links_of(self, server: ServerId) -> MemoryLinks:
        self._check_member(server)
        if server not in self._running:
            raise ServerDown(server)
        return self._running[server]

    def _check_member(self, server: ServerId) -> None:
        if server not in self._disks:
            raise UnknownServer(server, self._disks.keys())

    @property
    def servers(self) -> Collection[ServerId]:
        """All that were founders, or have joined."""
        return self._disks.keys()

    def join(self, server: ServerId) -> None:
        """A server that is to be added: it has an empty memory from now on, and can be started.

        Raises AlreadyAMember for a founder, or one that has joined.
        """
        if server in self._disks:
            raise AlreadyAMember(server, self._disks)
        self._disks[server] = Disk(identity_of(HOST, server, self.quorum, ""))

    # --- what its nodes do ------------------------------------------------------------------------

    def open_file(self, server: ServerId) -> MemoryFile:
        """The memory of ``server``, once more. Raises UnknownServer."""
        self._check_member(server)
        return MemoryFile(self._disks[server], f"{self.random.getrandbits(64):016x}")

    def start(self, links: MemoryLinks) -> None:
        """The server of ``links`` runs. Raises ServerRunning."""
        if links.me in self._running:
            raise ServerRunning(links.me)
        self._running[links.me] = links
        self._disks[links.me].failure = None

    def end(self, links: MemoryLinks) -> None:
        """It has ended, if it ran."""
        if self._running.get(links.me) is links:
            del self._running[links.me]

    def reaches(self, one: ServerId, other: ServerId) -> bool:
        """Whether ``other`` runs, and the link is not cut."""
        return other in self._running and frozenset({one, other}) not in self._cuts

    def tell_removed(self, server: ServerId, epoch: int) -> None:
        """The node of ``server`` learns that it was removed."""
        if server in self._running:
            self._running[server].fail(Removed(server, epoch))

    def send(self, sender: ServerId, receiver: ServerId, messages: Iterable[Sent]) -> None:
        """Some of these will arrive."""
        if self.reaches(sender, receiver):
            kept = [it for it in messages if not self._loss or self.random.random() >= self._loss]
            self._running[receiver].deliver(sender, kept)


@define
class MemoryEndpoint:
    """What stands for a socket."""

    local_address: SocketAddress
    buffers: Buffers = field(factory=lambda: Buffers(0, 0))
    counts: Counter[str] = field(factory=Counter[str])


class MemoryLinks:
    """The links of one server on ``network``. Belongs to the event loop that it is opened on."""

    def __init__(self, network: MemoryNetwork, file: MemoryFile) -> None:
        self.me = file.identity.server
        self.refused = Counter[Reason]()
        self.endpoint = MemoryEndpoint((HOST, self.me))
        founders = network.quorum.members
        known = founders if self.me in founders else network.servers
        self.configured: dict[ServerId, Address] = {it: (HOST, it) for it in sorted(known)}
        self._network = network
        self._file = file
        self._outboxes: dict[ServerId, list[Sent]] = {}
        self._link(self.configured, network.quorum, 0)
        self._former = frozenset[ServerId]()
        self._epoch = 0
        self._was_acquired = self._is_open = False

    def _link(self, servers: Collection[ServerId], quorum: QuorumSystem, steps: int) -> None:
        others = frozenset(servers) - {self.me}
        self._outboxes = {it: self._outboxes.get(it, []) for it in sorted(others)}
        self.registration = Registration(
            self.me, quorum, answered=others, acknowledged=others, is_open=True, steps=steps
        )

    def set_members(
        self,
        addresses: Mapping[ServerId, Address],
        quorum: QuorumSystem,
        *,
        former: Collection[ServerId] = (),
        epoch: int = 0,
        steps: int = 0,
    ) -> None:
        """See ``Mesh.set_members``. The network finds each server; its address says nothing."""
        if self.me in former:
            raise Removed(self.me, epoch)
        self._link(addresses, quorum, steps)
        self._former, self._epoch = frozenset(former), epoch

    def check_address(self, server: ServerId, address: Address) -> None:
        """See ``ports.Links``: nothing leaves this process."""
        check(f"server {server}", address)

    @property
    def sessions(self) -> MemoryLinks:
        """It has no sessions of peers to save."""
        return self

    def uncommitted(self) -> tuple[Registering, ...]:
        """See ``ports.PeerSessions``."""
        return ()

    def on_committed(self, committed: Iterable[Registering]) -> None:
        """See ``ports.PeerSessions``."""

    # --- opening and closing ----------------------------------------------------------------------

    def acquire_file(self) -> None:
        """See ``Mesh.acquire_file``. Raises ServerRunning."""
        if self._was_acquired:
            raise ServerRunning(self.me)
        self._network.start(self)
        self._was_acquired = True
        self._file.acquire()

    def release_file(self) -> None:
        """See ``Mesh.release_file``."""
        self._network.end(self)

    async def open(
        self,
        on_message: Callable[[ServerId, str, AnyMessage], None],
        on_idle: Callable[[], None],
        guard: Guard,
    ) -> None:
        """See ``Mesh.open``."""
        self._loop, self._thread = asyncio.get_running_loop(), get_ident()
        self._on_message, self._on_idle = on_message, on_idle
        self._receive_guarded, self._fail = guard(self._receive), guard(_raise)
        self._is_open = True

    def close(self) -> None:
        """See ``Mesh.close``."""
        self._is_open = False
        self._network.end(self)

    async def wait_closed(self) -> None:
        """See ``Mesh.wait_closed``: there are no tasks."""

    def fail(self, error: Exception) -> None:
        """Stop the node, with ``error`` as the cause."""
        if self._is_open:
            self.close()
            self._soon(lambda: self._fail(error))

    def peers(self) -> dict[ServerId, Peer]:
        """What is known of each peer: whether a message would arrive now."""
        return {it: self._peer(it, self._network.reaches(self.me, it)) for it in self._outboxes}

    def _peer(self, peer: ServerId, is_up: bool) -> Peer:
        age_s = 0.0 if is_up else None
        return Peer((HOST, peer), age_s, age_s, votes=is_up, answered_s=age_s)

    # --- messages ---------------------------------------------------------------------------------

    def enqueue(self, receiver: ServerId, name: str, message: AnyMessage) -> None:
        """See ``Mesh.enqueue``."""
        if receiver in self._outboxes:
            self._outboxes[receiver].append((name, message, self._file.epoch.number))
        else:
            self.endpoint.counts["no such server"] += 1

    def flush(self) -> None:
        """See ``Mesh.flush``."""
        for receiver, outbox in self._outboxes.items():
            if outbox:
                self._outboxes[receiver] = []
                self._network.send(self.me, receiver, outbox)

    def deliver(self, sender: ServerId, messages: list[Sent]) -> None:
        """Hand these messages to the node, soon."""
        if self._is_open:
            self._soon(lambda: self._receive_guarded(sender, messages))

    def _receive(self, sender: ServerId, messages: list[Sent]) -> None:
        if sender in self._former:
            self.refused[Reason.REMOVED_SENDER] += 1
            self._network.tell_removed(sender, self._epoch)
            return
        if sender not in self._outboxes:
            self.refused[Reason.UNKNOWN_SENDER] += 1
            return
        for name, message, epoch in messages:
            if not self._is_open:
                return
            if self._is_of_epoch(epoch) or not self._depends_on_epoch(name, message):
                self._on_message(sender, name, message)
            else:
                self.endpoint.counts["another epoch"] += 1
        if self._is_open:
            self._on_idle()

    def _is_of_epoch(self, epoch: int) -> bool:
        own = self._file.epoch
        return epoch == own.number and not own.is_closed

    def _depends_on_epoch(self, name: str, message: AnyMessage) -> bool:
        return is_for_decision(message) and not self._file.has_log(name)

    def _soon(self, call: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            self._loop.call_soon(call)
        else:
            with suppress(RuntimeError):  # That event loop has ended.
                self._loop.call_soon_threadsafe(call)


def _raise(error: Exception) -> None:
    raise error
