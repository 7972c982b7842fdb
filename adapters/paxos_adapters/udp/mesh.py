"""The links to all peers: authenticated datagrams between the members.

- Messages for one peer wait until they are flushed, and then share datagrams.
- A datagram that is refused is counted by reason, and not answered: but for that of a server that
  was removed, which is told so, once a second at most.
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
- The members are learned before that: see ``registration.py``.
- The members may change at any time: links come, go and move while all others go on.
- Messages about decisions are for servers of the same epoch: see ``file/epochs.py``. Those of logs,
  which have their members in their own entries, are for all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from math import inf
from weakref import WeakSet

from paxos import QuorumSystem, ServerId, majority
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.log_messages import (
    AnyMessage,
    asks_for_members,
    is_for_decision,
    teaches_members,
)
from paxos_adapters.udp.addresses import Address, check_cluster, format_address
from paxos_adapters.udp.endpoint import Endpoint, SocketAddress, resolve
from paxos_adapters.udp.errors import Insecure, Removed, StoreAlreadyUsed
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
    Removal,
    Wire,
    WireError,
    WireMessage,
)

_logger = logging.getLogger(__name__)

PING_S, OPENING_S = 1.0, 0.1
"""How often peers are pinged: when this server votes, and before."""

SILENT_AFTER_S, LOOK_UP_S = 2.0, 1.0
"""After how long without an answer a peer's name is resolved again, and how often then."""

ANSWER_S = 1.0
"""The shortest time between two answers to a server that was removed."""

REQUEST_S = 0.02
"""The tick at which lost parts are requested, as long as some are missing."""

WARN_S = 60.0
"""The shortest time between two warnings about one peer."""

_acquired = WeakSet[object]()
"""Open files whose datagrams have been numbered."""


class Mesh:
    """The links of one server. Belongs to the event loop that it is opened on.

    ``sessions`` are those that are received, ``endpoint`` is its socket once it is open;
    ``configured`` are the addresses that it began with.
    """

    def __init__(self, file: FileStore, network: NetworkConfig) -> None:
        """The links of the server of ``file`` to all others of ``network``.

        Raises NotTheMembers, NoOtherServer, BadAddress; OlderCopy if the file was found to be one
        before.
        """
        me, addresses = file.identity.server, network.addresses
        has_changed = file.has_log(MEMBERS_LOG)
        network.check_members(me, file.quorum.members, changed=has_changed)
        self._listen = addresses[me] if network.listen is None else network.listen
        self.me = me
        self.configured = dict(addresses)
        self._has_keys = network.has_keys
        self._is_exposed = network.is_exposed
        self._datagram_bytes = network.datagram_bytes
        self.refused: Counter[Reason] = Counter()
        self._file = file
        self._links = {it: self._link(it, at) for it, at in addresses.items() if it != me}
        voting = file.epoch.quorum
        quorum = voting if me in voting.members else majority(addresses.keys() - {me})
        self.sessions = Sessions(file, self._links, self.refused, quorum, is_strict=network.strict)
        self._wire = Wire(
            cluster=file.identity.cluster,
            me=me,
            members=addresses.keys(),
            digest=file.identity.digest,
            protection=network.protection or Checksummed(),
            disk_status=self._disk_status,
            registered=lambda peer: self._links[peer].session,
        )
        self._log = LimitedLog(_logger, every_s=WARN_S)
        self._wire.epoch = file.epoch.number
        self._members_epoch = 0
        self._answered_at_s: dict[ServerId, float] = {}
        self._pinging: asyncio.Task[None] | None = None
        self._look_ups: dict[ServerId, asyncio.Task[None]] = {}
        self._is_open = self._is_requesting = False

    def _link(self, peer: ServerId, address: Address) -> Link:
        return Link(address, list[WireMessage](), known=self._file.peers.get(peer))

    def _disk_status(self, receiver: ServerId) -> DiskStatus:
        link = self._links.get(receiver)  # None: it was removed, and is told so.
        return self._file.disk_status(None if link is None else link.entry)

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
        for peer, link in self._links.items():
            self._look_up(peer, link)
        self._pinging = guard.task(self._keep_pinging)

    def close(self) -> None:
        """Stop listening and sending, at once. May be called again, and before it was opened."""
        if not self._is_open:
            return
        self._is_open = False
        self.endpoint.close()
        for chore in self._chores():
            chore.cancel()

    async def wait_closed(self) -> None:
        """Wait until all its tasks have ended."""
        await asyncio.gather(*self._chores(), return_exceptions=True)

    def _chores(self) -> list[asyncio.Task[None]]:
        pinging = [] if self._pinging is None else [self._pinging]
        return [*self._look_ups.values(), *pinging]

    # --- members --------------------------------------------------------------------------------

    def check_address(self, server: ServerId, address: Address) -> None:
        """Raise BadAddress or Insecure unless this server can send to ``address`` of another."""
        check_cluster({server: address}, listen=self._listen)
        if self._is_exposed(address):
            raise Insecure([address])

    def set_members(
        self,
        addresses: Mapping[ServerId, Address],
        quorum: QuorumSystem,
        *,
        former: Collection[ServerId] = (),
        epoch: int = 0,
        steps: int = 0,
    ) -> None:
        """Link this server to all others of ``addresses``, and to nobody else.

        A link whose address has changed moves there: its name is looked up at once. Registration
        counts the members of ``quorum``; others of ``addresses`` are linked, and do not count yet.
        ``former`` are servers that were removed: if one sends something, it is told so, with the
        ``epoch`` of the members. So many ``steps`` of their changes have led to all this.

        It may be called before the mesh is open, and again while it is; what did not change is not
        touched. Raises Removed if this server is one of ``former``.
        """
        if self.me in former:
            raise Removed(self.me, epoch)
        peers = addresses.keys() - {self.me}
        self._wire.set_members(peers, frozenset(former))
        self._members_epoch = epoch
        for gone in self._links.keys() - peers:
            del self._links[gone]
            if (task := self._look_ups.pop(gone, None)) is not None:
                task.cancel()
        for peer in sorted(peers):
            self._set_address(peer, addresses[peer])
        self.sessions.on_members(quorum, steps)

    def _set_address(self, peer: ServerId, address: Address) -> None:
        link = self._links.get(peer)
        if link is None:
            link = self._links[peer] = self._link(peer, address)
        elif link.address == address:
            return
        link.address, link.is_found = address, True
        if self._is_open:
            self._look_up(peer, link)

    def _look_up(self, peer: ServerId, link: Link) -> None:
        """Find the address of ``peer``, and again when it falls silent. What runs now ends."""
        if (task := self._look_ups.get(peer)) is not None:
            task.cancel()
        self._look_ups[peer] = self._guard.task(partial(self._keep_looking_up, peer, link))

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

        It is lost, and counted, unless there is such a peer, this server votes, the peer has
        acknowledged its session, and there is room. A peer that knows more of the members may be
        asked for them before.
        """
        registration = self.registration
        self._drop_outdated()
        learns = asks_for_members(name, message) and receiver in registration.teachers
        may_send = learns or (registration.is_open and receiver in registration.acknowledged)
        if receiver not in self._links:
            self.endpoint.counts["no such server"] += 1
        elif not may_send:
            self.endpoint.counts["not acknowledged"] += 1
        elif not self._links[receiver].enqueue(name, message):
            self.endpoint.counts["waiting to be sent"] += 1

    def flush(self) -> None:
        """Send what was enqueued. What cannot be sent is lost, and counted."""
        self._drop_outdated()
        for receiver, link in self._links.items():
            if link.outbox:
                self._send(receiver, link, link.drain())

    def _drop_outdated(self) -> None:
        """Drop what was enqueued in an earlier epoch of decisions: a frame says which one it is."""
        epoch = self._file.epoch.number
        if epoch != self._wire.epoch:
            self._wire.epoch = epoch
            for link in self._links.values():
                self.endpoint.counts["another epoch"] += link.drop(self._depends_on_epoch)

    def _depends_on_epoch(self, name: str, message: AnyMessage) -> bool:
        return is_for_decision(message) and not self._file.has_log(name)

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
            if rejected.reason is Reason.REMOVED_SENDER:
                self._tell_removed(self._wire.claimed_sender(datagram), address)
            return
        link = self._links[received.sender]
        is_proven = link.proven_session == received.disk_status.session
        if self._has_keys and received.is_newest and is_proven:
            link.socket_address = address
        self._on_received(link, received)

    def _is_resolved(self, datagram: bytes, address: SocketAddress) -> bool:
        """Whether its sender's address is known. Raises RejectedDatagram if it is another one."""
        link = self._links.get(self._wire.claimed_sender(datagram))
        if link is None:
            return True  # It was removed, and may be anywhere.
        if not (link.socket_address is None or link.is_at(address)):
            raise RejectedDatagram(Reason.WRONG_ADDRESS)
        return link.socket_address is not None

    def _tell_removed(self, sender: ServerId, address: SocketAddress) -> None:
        """The tag of its datagram was right. Answer it with one datagram a second at most."""
        now_s = self._loop.time()
        if now_s - self._answered_at_s.get(sender, -inf) >= ANSWER_S:
            self._answered_at_s[sender] = now_s
            self._send_all(self._wire.seal(sender, [Removal(self._members_epoch)]), address)

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
            link.votes = link.votes or received.is_registered
            self._on_messages(received)

    def _on_messages(self, received: Received) -> None:
        """Those about decisions are heard in the epoch in which they were sent, while it lasts."""
        if not self.registration.is_open:
            self._learn(received)
            return
        if not (received.is_registered or self._file.has_log(MEMBERS_LOG)):
            return  # A question about members that nothing is known of here.
        epoch = self._file.epoch
        is_same = received.epoch == epoch.number and not epoch.is_closed
        for name, message in received.messages:
            if is_same or not self._depends_on_epoch(name, message):
                self._on_message(received.sender, name, message)
            else:
                self.endpoint.counts["another epoch"] += 1

    def _learn(self, received: Received) -> None:
        """As long as this server does not vote, it hears of the members, and of nothing else."""
        for name, message in received.messages:
            if self.registration.teachers and teaches_members(name, message):
                self._on_message(received.sender, name, message)
            else:
                self.endpoint.counts["not registered yet"] += 1

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
            if self._is_exposed(link.address):
                raise OSError("without a key nothing is sent to other machines, unless insecure")
            link.socket_address = await resolve(
                link.address, self.endpoint.family, self.endpoint.takes_ipv4
            )
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
