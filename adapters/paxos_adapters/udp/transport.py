"""Datagrams for a host that you run yourself: the port ``Transport``, for one decision.

    network = NetworkConfig(addresses, protection=Authenticated(keyring))
    async with DatagramTransport(file, network, decision="leader", receive=receive) as transport:
        ports = Ports(transport, timer, file.decision("leader"))
        host = Host(single(), me, quorum, ports)

- The same links as those of a node: before enough peers have acknowledged the session of the file,
  nothing is sent or received, nor by the server to itself, since it may be a quorum.
- A node does more: any number of decisions, and one save for all.
- An exception of ``receive``, or any other that is not expected, stops the transport for good.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from paxos import Message, ServerId, UnknownServer
from paxos_adapters import arguments, forks
from paxos_adapters.file import DiskBusy, FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.host import ServerStopped
from paxos_adapters.log_messages import AnyMessage, is_for_decision
from paxos_adapters.udp.endpoint import SocketAddress
from paxos_adapters.udp.errors import check_name
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.wire.body import encode_message

_logger = logging.getLogger(__name__)


class DatagramTransport:
    """The transport of one server. Belongs to the event loop that it is entered on."""

    def __init__(
        self,
        file: FileStore,
        network: NetworkConfig,
        *,
        decision: str,
        receive: Callable[[ServerId, Message[bytes]], None],
    ) -> None:
        """Between the members of ``network``; ``receive`` gets each message and its sender.

        The file says which server this is. Raises BadName, NotTheMembers, BadAddress, and
        BadArgument for an object of another type.
        """
        arguments.one_of("file", file, FileStore)
        arguments.one_of("network", network, NetworkConfig)
        arguments.callable_("receive", receive, "a function of a sender and a message")
        check_name(decision)
        self.me = file.identity.server
        self._file = file
        self._decision = decision
        self._receive = receive
        self._members = file.quorum.members
        self._is_open = False
        self._stopped: ServerStopped | None = None
        self._end = asyncio.Event()
        self._process = os.getpid()
        self._guard = Guard(self._stop)
        self._mesh = Mesh(file, network)

    async def __aenter__(self) -> Self:
        """Listen. Raises AddressError, ThreadNotStarted, and StoreAlreadyUsed as a node does."""
        self._mesh.acquire_file()
        self._loop = asyncio.get_running_loop()
        try:
            await self._mesh.open(self._on_message, self._on_idle, self._guard)
        except BaseException:
            self._mesh.close()
            raise
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop sending and receiving. In a forked process there is nothing to do."""
        if os.getpid() == self._process:
            self._is_open = False
            self._mesh.close()
            await self._mesh.wait_closed()

    async def stopped(self) -> ServerStopped:
        """Wait until an exception has stopped it, and return that. Raises Forked."""
        forks.check(self._process, "a transport")
        await self._end.wait()
        assert self._stopped is not None
        return self._stopped

    @property
    def local_address(self) -> SocketAddress:
        """Where it listens, as the operating system writes it."""
        return self._mesh.endpoint.local_address

    def send(self, receiver: ServerId, message: Message[bytes]) -> None:
        """Send ``message`` at once, or lose it.

        Raises UnknownServer, ServerStopped, Forked, and WireError for what is out of bounds.
        """
        forks.check(self._process, "a transport")
        if self._stopped is not None:
            raise self._stopped
        if receiver not in self._members:
            raise UnknownServer(receiver, self._members)
        encode_message(self._decision, message)  # raises what the links would only count
        if receiver != self.me:
            self._mesh.enqueue(receiver, self._decision, message)
            self._mesh.flush()
        elif self._mesh.registration.is_open:
            self._loop.call_soon(self._guard(self._on_message), self.me, self._decision, message)

    def _on_idle(self) -> None:
        if sessions := self._mesh.sessions.uncommitted():
            with suppress(DiskBusy):  # Another process has the file: again with the next ping.
                self._file.save((), wait=False)
                self._mesh.sessions.on_committed(sessions)
        self._mesh.flush()

    def _stop(self, cause: BaseException) -> None:
        if self._stopped is None:
            self._stopped = ServerStopped(self.me, cause)
            self._is_open = False
            self._end.set()
            facts = {"event": "stopped", "server": self.me, "reason": type(cause).__name__}
            _logger.critical("%s", self._stopped, extra=facts, exc_info=cause)
            self._mesh.close()

    def _on_message(self, sender: ServerId, name: str, message: AnyMessage) -> None:
        if self._is_open and name == self._decision and is_for_decision(message):
            self._receive(sender, message)
