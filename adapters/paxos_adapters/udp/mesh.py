"""The way to all peers: authenticated datagrams between the members.

- Messages for one peer wait until they are flushed, and then share datagrams.
- What does not open is counted by reason, and answered by nothing.
- With keys, the tag proves who sends; the address only says where to answer. Datagrams for a peer
  go to where its newest one came from, by sequence, once its session has answered this one: a late
  or repeated one moves nothing.
- Without keys, what comes from another address than its sender's is refused.
- Every second each peer is asked whether it is there, so that an idle server knows too; more often
  until this server may vote. Before that no message of the protocol goes out or comes in, and none
  goes to a peer that has not acknowledged this session: see ``sessions.py``.
- Parts of messages that were lost are asked for, as long as some are missing; what a peer asks for
  is sent again. See ``wire/resending.py``.
- The name of a peer that does not answer is resolved again every second, since it may have moved.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import NoneType
from weakref import WeakSet

from paxos import Message, ServerId
from paxos_adapters import arguments, numbers
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.udp.addresses import check_cluster, is_loopback
from paxos_adapters.udp.endpoint import Address, Buffers, Endpoint, SocketAddress, resolve
from paxos_adapters.udp.errors import Insecure, NotTheMembers, StoreAlreadyUsed
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.registration import Registration
from paxos_adapters.udp.sessions import Registering, Sessions
from paxos_adapters.wire import (
    Authenticated,
    Checksummed,
    Encrypted,
    Line,
    Missing,
    Protection,
    Reason,
    Received,
    RejectedDatagram,
    Wire,
    WireError,
)

_logger = logging.getLogger(__name__)

PING_S, OPENING_S = 1.0, 0.1
"""How often peers are asked whether they are there: when this server votes, and before."""

QUIET_S, LOOK_UP_S = 2.0, 1.0
"""After how long without an answer a peer's name is resolved again, and how often then."""

ASK_S = 0.02
"""The tick at which parts that were lost are asked for, as long as some are missing."""

TELL_S = 60.0
"""How often to complain of a peer at most."""

_served = WeakSet[object]()
"""Open files whose datagrams have been numbered."""


class Mesh:
    """The links of one server. Belongs to the event loop that it is opened on."""

    def __init__(
        self,
        file: FileStore,
        addresses: Mapping[ServerId, Address],
        *,
        protection: Protection | None,
        insecure: bool,
        listen: Address | None,
        strict: bool,
    ) -> None:
        """The links of the server whose memory ``file`` is to all others of ``addresses``.

        It listens at ``listen``, at its own address if not said. ``strict`` waits for proof that
        no older copy of the file has voted. Raises BadNumber; BadArgument; NotTheMembers if the
        addresses are not those of the file's members; Insecure for addresses beyond loopback
        without ``protection``, unless ``insecure``; BadAddress for those that can never work;
        OlderCopy if the file was found to be one before.
        """
        numbers.servers(addresses)
        arguments.one_of("protection", protection, Checksummed, Authenticated, Encrypted, NoneType)
        me, members = file.identity.server, file.quorum.members
        if frozenset(addresses) != members:
            raise NotTheMembers(addresses, members)
        check_cluster(addresses, me=me, listen=listen)
        self._listen = addresses[me] if listen is None else listen
        exposed = {it for it in (self._listen, *addresses.values()) if not is_loopback(it)}
        if exposed and protection is None and not insecure:
            raise Insecure(exposed)
        self.me = me
        self._has_keys = protection is not None and type(protection) is not Checksummed
        self.refused: Counter[Reason] = Counter()
        self._file = file
        self._links = {
            it: Link(at, list[Line](), known=file.peers.get(it))
            for it, at in addresses.items()
            if it != me
        }
        self._sessions = Sessions(file, self._links, self.refused, is_strict=strict)
        self._wire = Wire(
            cluster=file.identity.cluster,
            me=me,
            members=members,
            digest=file.identity.digest,
            protection=Checksummed() if protection is None else protection,
            presence=lambda peer: file.presence(self._links[peer].entry),
            registered=lambda peer: self._links[peer].session,
        )
        self._log = LimitedLog(_logger, every_s=TELL_S)
        self._chores: list[asyncio.Task[None]] = []
        self._is_open = self._is_asking = False

    # --- life -----------------------------------------------------------------------------------

    def claim(self) -> None:
        """Have the open file for itself. Raises StoreAlreadyUsed if somebody had it before.

        Whoever does so writes nothing before: another one may be at work with that file.
        """
        if self._file in _served:
            raise StoreAlreadyUsed(self._file.path)
        _served.add(self._file)

    def disclaim(self) -> None:
        """Nothing was sent for the file, nor will be: another one may have it."""
        _served.discard(self._file)

    async def open(
        self,
        deliver: Callable[[ServerId, str, Message[bytes]], None],
        drained: Callable[[], None],
        guard: Guard,
    ) -> None:
        """Listen: ``deliver`` each message, and say when all that has arrived was ``drained``.

        What the event loop calls is guarded. The file has been claimed. Raises AddressError and
        ThreadNotStarted, and lets go of the file then.
        """
        self._loop = asyncio.get_running_loop()
        self._deliver, self._drained, self._guard = deliver, drained, guard
        try:
            self._endpoint = await Endpoint.bind(
                self._listen, receive=self._receive, drained=drained, guard=guard
            )
        except BaseException:
            self.disclaim()
            raise
        self._is_open = True
        # Numbers are resolved before the first ping; a name that hangs holds up nothing.
        looking_up = [partial(self._look_up_again, *it) for it in self._links.items()]
        self._chores = [guard.task(it) for it in looking_up]
        self._chores.append(guard.task(self._ping_again))

    def close(self) -> None:
        """Stop listening and sending, at once. May be called again, and before it was opened."""
        if not self._is_open:
            return
        self._is_open = False
        self._endpoint.close()
        for chore in self._chores:
            chore.cancel()

    async def closed(self) -> None:
        """Wait until nothing goes on any more."""
        await asyncio.gather(*self._chores, return_exceptions=True)

    @property
    def registration(self) -> Registration:
        """Which peers have acknowledged the session of this server."""
        return self._sessions.registration

    def uncommitted(self) -> tuple[Registering, ...]:
        """The sessions of peers that the next commit makes durable; for ``committed`` then."""
        return self._sessions.uncommitted()

    def committed(self, registered: Iterable[Registering]) -> None:
        """A commit has made these sessions durable: they are heard from now on."""
        self._sessions.committed(registered)

    @property
    def place(self) -> SocketAddress:
        """Where it listens, as the system says it."""
        return self._endpoint.place

    def peers(self) -> dict[ServerId, Peer]:
        """What there is to tell of each peer."""
        now_s = self._loop.time()
        return {it: link.peer(now_s) for it, link in sorted(self._links.items())}

    @property
    def buffers(self) -> Buffers:
        """What the system gave to the socket."""
        return self._endpoint.buffers

    @property
    def lost(self) -> dict[str, int]:
        """How many datagrams were lost here, by cause."""
        return dict(self._endpoint.counts)

    # --- out ------------------------------------------------------------------------------------

    def post(self, receiver: ServerId, name: str, message: Message[bytes]) -> None:
        """Have ``message`` about ``name`` go to a peer with the next ``flush``.

        It is lost, and counted, unless this server votes, the peer has acknowledged its session,
        and there is room.
        """
        registration = self.registration
        if not (registration.is_open and receiver in registration.acknowledged):
            self._endpoint.counts["not acknowledged"] += 1
        elif not self._links[receiver].post(name, message):
            self._endpoint.counts["waiting to be sent"] += 1

    def flush(self) -> None:
        """Send what was posted. What cannot be sent is lost, and counted."""
        for receiver, link in self._links.items():
            if link.outbox:
                self._send(receiver, link, link.take())

    def _send(self, receiver: ServerId, link: Link, messages: list[Line]) -> None:
        if link.place is None:
            self._endpoint.counts["no address"] += 1
            return
        try:
            datagrams = self._wire.seal(receiver, messages)
        except WireError as error:
            if len(messages) == 1:
                self._lose(receiver, error)
            else:
                for message in messages:
                    self._send(receiver, link, [message])
            return
        self._send_all(datagrams, link.place)

    def _send_all(self, datagrams: Iterable[bytes], place: SocketAddress | None) -> None:
        if place is not None:
            for datagram in datagrams:
                self._endpoint.send(datagram, place)

    def _lose(self, receiver: ServerId, error: WireError) -> None:
        """Count a message that cannot be sent, and complain of the first of its kind."""
        kind = type(error).__name__
        self._endpoint.counts[kind] += 1
        self._log.warning(
            (receiver, kind),
            "a message to server %s is lost: %s. More of these are counted only",
            receiver,
            error,
            extra={"event": "unsendable", "server": self.me, "peer": receiver},
        )

    # --- in -------------------------------------------------------------------------------------

    def _receive(self, datagram: bytes, place: SocketAddress) -> None:
        try:
            if not self._has_keys and not self._is_found(datagram, place):
                self._endpoint.counts["heard too early"] += 1
                return
            opened = self._wire.open(datagram)
        except RejectedDatagram as hostile:
            self._refuse(hostile.reason)
            return
        link = self._links[opened.sender]
        if self._has_keys and opened.is_newest and link.proven == opened.presence.session:
            link.place = place
        self._take(link, opened)

    def _is_found(self, datagram: bytes, place: SocketAddress) -> bool:
        """Whether its sender's address is known. Raises RejectedDatagram if it is another one."""
        link = self._links[self._wire.claimed_sender(datagram)]
        if not (link.place is None or link.is_at(place)):
            raise RejectedDatagram(Reason.WRONG_ADDRESS)
        return link.place is not None

    def _refuse(self, reason: Reason) -> None:
        self.refused[reason] += 1

    def _take(self, link: Link, opened: Received) -> None:
        now_s = self._loop.time()
        if opened.is_registered:
            link.heard_at_s = now_s
            self._sessions.saw(opened)
        for control in opened.controls:
            if type(control) is Missing:
                self._send_all(self._wire.again(opened.sender, control), link.place)
            else:
                self._sessions.take(opened, control, now_s)
        if opened.is_part:
            self._ask_later()
        if opened.messages:
            link.votes = True
        if self.registration.is_open:
            for name, message in opened.messages:
                self._deliver(opened.sender, name, message)
        elif opened.messages:
            self._endpoint.counts["not registered yet"] += len(opened.messages)

    def _ask_later(self) -> None:
        if self._wire.is_to_ask and not self._is_asking:
            self._is_asking = True
            self._loop.call_later(ASK_S, self._guard(self._ask))

    def _ask(self) -> None:
        """Ask for the parts that were lost, and come back if more may be to ask for."""
        self._is_asking = False
        if self._is_open:
            for sender, missing in self._wire.ask().items():
                self._links[sender].outbox += missing
            self._drained()
            self._ask_later()

    # --- chores ---------------------------------------------------------------------------------

    async def _ping_again(self) -> None:
        while True:
            self._sessions.ping(self._loop.time())
            self._drained()
            await asyncio.sleep(PING_S if self.registration.is_open else OPENING_S)

    async def _look_up_again(self, peer: ServerId, link: Link) -> None:
        """One look-up at a time: each may take a thread, and as long as it likes."""
        await self._find(peer, link)
        while True:
            await asyncio.sleep(LOOK_UP_S)
            if link.is_quiet(self._loop.time(), QUIET_S):
                await self._find(peer, link)

    async def _find(self, peer: ServerId, link: Link) -> None:
        try:
            link.place = await resolve(link.address, self._endpoint.family)
            link.is_found = True
        except OSError as error:
            if link.is_found:
                link.is_found = False
                self._log.warning(
                    (peer, "unresolved"),
                    "server %s is not to be found at %s:%s: %s",
                    peer,
                    *link.address,
                    error,
                    extra={"event": "unresolved", "server": self.me, "peer": peer},
                )
