"""The links to all peers: authenticated datagrams between the members.

- Messages for one peer wait until they are flushed, and then share datagrams.
- A datagram that is refused is counted by reason, and not answered.
- With keys, the tag proves the sender; the address only says where to answer. Datagrams for a peer
  go to where its newest one came from, by sequence, once its session has answered this one: a late
  or repeated one moves nothing.
- Without keys, what comes from another address than its sender's is refused.
- Every second each peer is pinged, so that an idle server knows which are up; more often until this
  server may vote. Before that no message of the protocol goes out or comes in, and none goes to a
  peer that has not acknowledged this session: see ``sessions.py``.
- Lost parts of messages are requested, as long as some are missing; what a peer requests is sent
  again. See ``wire/resending.py``.
- The name of a peer that does not answer is resolved again every second, since it may have moved.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from weakref import WeakSet

from paxos import ServerId
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.log_messages import AnyMessage
from paxos_adapters.udp.addresses import format_address
from paxos_adapters.udp.endpoint import Endpoint, SocketAddress, resolve
from paxos_adapters.udp.errors import StoreAlreadyUsed
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.registration import Registration
from paxos_adapters.udp.sessions import Sessions
from paxos_adapters.wire import (
    Checksummed,
    Missing,
    Reason,
    Received,
    RejectedDatagram,
    Wire,
    WireError,
    WireMessage,
)

_logger = logging.getLogger(__name__)

PING_S, OPENING_S = 1.0, 0.1
"""How often peers are pinged: when this server votes, and before."""

SILENT_AFTER_S, LOOK_UP_S = 2.0, 1.0
"""After how long without an answer a peer's name is resolved again, and how often then."""

REQUEST_S = 0.02
"""The tick at which lost parts are requested, as long as some are missing."""

WARN_S = 60.0
"""The shortest time between two warnings about one peer."""

_acquired = WeakSet[object]()
"""Open files whose datagrams have been numbered."""


class Mesh:
    """The links of one server. Belongs to the event loop that it is opened on.

    ``sessions`` are those that are received, ``endpoint`` is its socket once it is open.
    """

    def __init__(self, file: FileStore, network: NetworkConfig) -> None:
        """The links of the server of ``file`` to all other members.

        Raises NotTheMembers, BadAddress; OlderCopy if the file was found to be one before.
        """
        me, members = file.identity.server, file.quorum.members
        network.check_members(me, members)
        addresses = network.addresses
        self._listen = addresses[me] if network.listen is None else network.listen
        self.me = me
        self._has_keys = network.has_keys
        self._datagram_bytes = network.datagram_bytes
        self.refused: Counter[Reason] = Counter()
        self._file = file
        self._links = {
            it: Link(at, list[WireMessage](), known=file.peers.get(it))
            for it, at in addresses.items()
            if it != me
        }
        self.sessions = Sessions(file, self._links, self.refused, is_strict=network.strict)
        self._wire = Wire(
            cluster=file.identity.cluster,
            me=me,
            members=members,
            digest=file.identity.digest,
            protection=network.protection or Checksummed(),
            disk_status=lambda peer: file.disk_status(self._links[peer].entry),
            registered=lambda peer: self._links[peer].session,
        )
        self._log = LimitedLog(_logger, every_s=WARN_S)
        self._chores: list[asyncio.Task[None]] = []
        self._is_open = self._is_requesting = False

    # --- opening and closing --------------------------------------------------------------------

    def acquire_file(self) -> None:
        """Use the open file, and no other mesh does. Raises StoreAlreadyUsed if one did before.

        Acquire it before the first write: another mesh may be using it.
        """
        if self._file in _acquired:
            raise StoreAlreadyUsed(self._file.path)
        _acquired.add(self._file)

    def release_file(self) -> None:
        """Nothing was sent for the file, nor will be: another mesh may use it."""
        _acquired.discard(self._file)

    async def open(
        self,
        on_message: Callable[[ServerId, str, AnyMessage], None],
        on_idle: Callable[[], None],
        guard: Guard,
    ) -> None:
        """Listen: ``on_message`` gets each message, ``on_idle`` says that there is none left.

        What the event loop calls is guarded. The file has been acquired. Raises AddressError and
        ThreadNotStarted, and releases the file then.
        """
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_idle, self._guard = on_message, on_idle, guard
        try:
            self.endpoint = await Endpoint.bind(
                self._listen, on_datagram=self._on_datagram, on_idle=on_idle, guard=guard
            )
        except BaseException:
            self.release_file()
            raise
        self._is_open = True
        # Numbers are resolved before the first ping; a name that hangs holds up nothing.
        looking_up = [partial(self._keep_looking_up, *it) for it in self._links.items()]
        self._chores = [guard.task(it) for it in looking_up]
        self._chores.append(guard.task(self._keep_pinging))

    def close(self) -> None:
        """Stop listening and sending, at once. May be called again, and before it was opened."""
        if not self._is_open:
            return
        self._is_open = False
        self.endpoint.close()
        for chore in self._chores:
            chore.cancel()

    async def wait_closed(self) -> None:
        """Wait until all its tasks have ended."""
        await asyncio.gather(*self._chores, return_exceptions=True)

    @property
    def registration(self) -> Registration:
        """Which peers have acknowledged the session of this server."""
        return self.sessions.registration

    def peers(self) -> dict[ServerId, Peer]:
        """What is known of each peer."""
        now_s = self._loop.time()
        return {it: link.snapshot(now_s) for it, link in sorted(self._links.items())}

    # --- out ------------------------------------------------------------------------------------

    def enqueue(self, receiver: ServerId, name: str, message: AnyMessage) -> None:
        """Send ``message`` about ``name`` to a peer with the next ``flush``.

        It is lost, and counted, unless this server votes, the peer has acknowledged its session,
        and there is room.
        """
        registration = self.registration
        if not (registration.is_open and receiver in registration.acknowledged):
            self.endpoint.counts["not acknowledged"] += 1
        elif not self._links[receiver].enqueue(name, message):
            self.endpoint.counts["waiting to be sent"] += 1

    def flush(self) -> None:
        """Send what was enqueued. What cannot be sent is lost, and counted."""
        for receiver, link in self._links.items():
            if link.outbox:
                self._send(receiver, link, link.drain())

    def _send(self, receiver: ServerId, link: Link, messages: list[WireMessage]) -> None:
        if link.socket_address is None:
            self.endpoint.counts["no address"] += 1
            return
        try:
            datagrams = self._wire.seal(receiver, messages, self._datagram_bytes)
        except WireError as error:
            if len(messages) == 1:
                self._lose(receiver, error)
            else:
                for message in messages:
                    self._send(receiver, link, [message])
            return
        self._send_all(datagrams, link.socket_address)

    def _send_all(self, datagrams: Iterable[bytes], address: SocketAddress | None) -> None:
        if address is not None:
            for datagram in datagrams:
                self.endpoint.send(datagram, address)

    def _lose(self, receiver: ServerId, error: WireError) -> None:
        """Count a message that cannot be sent, and warn of the first of its kind."""
        kind = type(error).__name__
        self.endpoint.counts[kind] += 1
        self._log.warning(
            (receiver, kind),
            "a message to server %s is lost: %s. More of these are counted only",
            receiver,
            error,
            extra={"event": "unsendable", "server": self.me, "peer": receiver},
        )

    # --- in -------------------------------------------------------------------------------------

    def _on_datagram(self, datagram: bytes, address: SocketAddress) -> None:
        try:
            if not self._has_keys and not self._is_resolved(datagram, address):
                self.endpoint.counts["received too early"] += 1
                return
            received = self._wire.open(datagram)
        except RejectedDatagram as rejected:
            self.refused[rejected.reason] += 1
            return
        link = self._links[received.sender]
        is_proven = link.proven_session == received.disk_status.session
        if self._has_keys and received.is_newest and is_proven:
            link.socket_address = address
        self._on_received(link, received)

    def _is_resolved(self, datagram: bytes, address: SocketAddress) -> bool:
        """Whether its sender's address is known. Raises RejectedDatagram if it is another one."""
        link = self._links[self._wire.claimed_sender(datagram)]
        if not (link.socket_address is None or link.is_at(address)):
            raise RejectedDatagram(Reason.WRONG_ADDRESS)
        return link.socket_address is not None

    def _on_received(self, link: Link, received: Received) -> None:
        now_s = self._loop.time()
        if received.is_registered:
            link.received_at_s = now_s
            self.sessions.on_frame(received)
        for control in received.controls:
            if type(control) is Missing:
                self._send_all(self._wire.resend(received.sender, control), link.socket_address)
            else:
                self.sessions.on_control(received, control, now_s)
        if received.unknown:
            self.endpoint.counts["of an unknown kind"] += received.unknown
        if received.is_part:
            self._request_later()
        if received.messages:
            link.votes = True
        if self.registration.is_open:
            for name, message in received.messages:
                self._on_message(received.sender, name, message)
        elif received.messages:
            self.endpoint.counts["not registered yet"] += len(received.messages)

    def _request_later(self) -> None:
        if not self._is_requesting and self._wire.has_requests:
            self._is_requesting = True
            self._loop.call_later(REQUEST_S, self._guard(self._request_missing))

    def _request_missing(self) -> None:
        """Request the parts that were lost, and come back if more requests may follow."""
        self._is_requesting = False
        if self._is_open:
            for sender, missing in self._wire.request_missing().items():
                self._links[sender].outbox += missing
            self._on_idle()
            self._request_later()

    # --- chores ---------------------------------------------------------------------------------

    async def _keep_pinging(self) -> None:
        while True:
            self.sessions.ping(self._loop.time())
            self._on_idle()
            await asyncio.sleep(PING_S if self.registration.is_open else OPENING_S)

    async def _keep_looking_up(self, peer: ServerId, link: Link) -> None:
        """One look-up at a time: each may take a thread, and as long as it likes."""
        await self._find(peer, link)
        while True:
            await asyncio.sleep(LOOK_UP_S)
            if link.is_silent(self._loop.time(), SILENT_AFTER_S):
                await self._find(peer, link)

    async def _find(self, peer: ServerId, link: Link) -> None:
        try:
            link.socket_address = await resolve(link.address, self.endpoint.family)
            link.is_found = True
        except OSError as error:
            if link.is_found:
                link.is_found = False
                self._log.warning(
                    (peer, "unresolved"),
                    "server %s is not to be found at %s: %s",
                    peer,
                    format_address(link.address),
                    error,
                    extra={"event": "unresolved", "server": self.me, "peer": peer},
                )
