"""The way to all peers: authenticated datagrams between members whose addresses are known.

- Messages for one peer wait until they are flushed, and then share datagrams.
- What comes from an address that is not its sender's, or does not open, is counted by reason, and
  answered by nothing. As long as nobody knows where a peer is, it is not heard, nor spoken to.
- Every second each peer is asked whether it is there, so that an idle server knows too. These
  questions and their answers go by a name that no decision has, and carry what is known of the
  other one's disk. They are taken from a peer that is not heard, too.
- Names are resolved anew from time to time, since a peer may move.
- What is known of a peer's disk is remembered in the file: see ``peers.py``. Each frame names the
  session of ours that its receiver knows, as far as we know, with its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from weakref import WeakSet

from paxos import Accept, Accepted, Ballot, Message, ServerId
from paxos_adapters import numbers
from paxos_adapters.addresses import check_cluster, is_loopback
from paxos_adapters.file import FileStore, StoreError
from paxos_adapters.guard import Guard
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.node.errors import Insecure, NotTheMembers, ServedBefore
from paxos_adapters.node.links import Link
from paxos_adapters.node.status import Peer
from paxos_adapters.peers import Known
from paxos_adapters.udp import Address, Buffers, Endpoint, Place, resolve
from paxos_adapters.wire import (
    Checked,
    Entry,
    Hostile,
    NotDescendedFrom,
    Opened,
    Protection,
    Reason,
    Wire,
    WireError,
)

_logger = logging.getLogger(__name__)

NOBODY = ""
"""The name by which peers are asked whether they are there."""

PING_S = 1.0
RESOLVE_S, UNRESOLVED_S = 30.0, 1.0
"""How often names of peers are resolved anew: those that were found, and those that were not."""

DOUBT_S = 3.0
"""For how long a peer may name sessions that do not descend before somebody is told."""

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
    ) -> None:
        """The links of the server whose memory ``file`` is to all others of ``addresses``.

        It listens at ``listen``, at its own address if not said. Raises BadNumber; NotTheMembers if
        the addresses are not those of the file's members; Insecure for addresses beyond loopback
        without ``protection``, unless ``insecure``; BadAddress for those that can never work.
        """
        numbers.servers(addresses)
        me, members = file.identity.server, file.quorum.members
        if frozenset(addresses) != members:
            raise NotTheMembers(addresses, members)
        check_cluster(addresses, me=me, listen=listen)
        self._listen = addresses[me] if listen is None else listen
        exposed = {it for it in (self._listen, *addresses.values()) if not is_loopback(it)}
        if exposed and protection is None and not insecure:
            raise Insecure(exposed)
        self.me = me
        self.refused: Counter[Reason] = Counter()
        self._file = file
        self._links = {
            it: Link(at, list[Entry](), known=file.peers.get(it))
            for it, at in addresses.items()
            if it != me
        }
        self._wire = Wire(
            cluster=file.identity.cluster,
            me=me,
            members=members,
            digest=file.identity.digest,
            protection=Checked() if protection is None else protection,
            presence=lambda peer: file.presence(self._links[peer].entry),
            known=file.peers,
        )
        self._log = LimitedLog(_logger, every_s=TELL_S)
        self._pings = 0
        self._chores: list[asyncio.Task[None]] = []
        self._is_open = False

    # --- life -----------------------------------------------------------------------------------

    def claim(self) -> None:
        """Have the open file for itself. Raises ServedBefore if somebody had it before.

        Whoever does so writes nothing before: another one may be at work with that file.
        """
        if self._file in _served:
            raise ServedBefore(self._file.path)
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
        self._deliver, self._drained = deliver, drained
        try:
            self._endpoint = await Endpoint.bind(
                self._listen, receive=self._receive, drained=drained, guard=guard
            )
        except BaseException:
            self.disclaim()
            raise
        self._is_open = True
        await self._resolve()
        if self._is_open:
            chores = self._resolve_again, self._ping_again
            self._chores = [guard.task(it) for it in chores]

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
    def place(self) -> Place:
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
        """Have ``message`` about ``name`` go to a peer with the next ``flush``, or lose it."""
        if not self._links[receiver].post(name, message):
            self._endpoint.counts["waiting to be sent"] += 1

    def flush(self) -> None:
        """Send what was posted. What cannot be sent is lost, and counted."""
        for receiver, link in self._links.items():
            if link.outbox:
                self._send(receiver, link, link.take())

    def _send(self, receiver: ServerId, link: Link, messages: list[Entry]) -> None:
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
        for datagram in datagrams:
            self._endpoint.send(datagram, link.place)

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

    def _receive(self, datagram: bytes, place: Place) -> None:
        link = None
        try:
            link = self._links.get(self._wire.claimed_sender(datagram))
            if link is not None and link.place is None:
                self._endpoint.counts["heard too early"] += 1
                return
            if link is None or not link.is_at(place):
                raise Hostile(Reason.WRONG_ADDRESS)
            opened = self._wire.open(datagram)
        except Hostile as hostile:
            self._refuse(link, hostile.reason)
            if link is not None and isinstance(hostile, NotDescendedFrom):
                self._tell(link, hostile.messages)
            return
        self._note(link, opened)
        for name, message in opened.messages:
            if name == NOBODY:
                self._pinged(link, message)
            else:
                self._deliver(opened.sender, name, message)

    def _refuse(self, link: Link | None, reason: Reason) -> None:
        """Count it. That a peer has lost its memory is news for whoever runs it.

        From one that was heard just now it is none: somebody repeats what is old. Nor at once: the
        peer may not know yet which of its sessions to name.
        """
        self.refused[reason] += 1
        now_s = self._loop.time()
        if link is None or reason is not Reason.NOT_DESCENDED or link.peer(now_s).is_heard:
            return
        if link.refused_at_s is None:
            link.refused_at_s = now_s
        if link.refused is reason or now_s < link.refused_at_s + DOUBT_S:
            return
        link.refused = reason
        if link.told_at_s is None or now_s >= link.told_at_s + TELL_S:
            link.told_at_s = now_s
            _logger.error(
                "the server at %s:%s is not heard: %s. If it may be, see paxos readmit",
                *link.address,
                reason.value,
                extra={"event": "lost memory", "server": self.me, "reason": reason.name.lower()},
            )

    def _note(self, link: Link, opened: Opened) -> None:
        """Remember that a peer was heard, and what is known of its disk, with the next commit."""
        link.heard_at_s = self._loop.time()
        link.refused = link.refused_at_s = None
        if link.known != opened.known:
            link.known = opened.known
            with suppress(StoreError):  # A file that has failed, or is closed, says so to its user.
                self._file.remember(opened.sender, opened.known)

    def _tell(self, link: Link, messages: Iterable[Entry]) -> None:
        """Answer a ping of a peer that is not heard, so that it learns what is known of it.

        And learn what it knows of this server: it may know an earlier session, as this one does.
        """
        for name, message in messages:
            if name == NOBODY and type(message) is Accept:
                self._pinged(link, message)

    # --- chores ---------------------------------------------------------------------------------

    def _pinged(self, link: Link, message: Message[bytes]) -> None:
        if type(message) is Accept:
            self._learn(link, message.value)
            link.outbox.append((NOBODY, Accepted(message.ballot, link.knowledge)))
        elif type(message) is Accepted:
            self._learn(link, message.value)
            link.answered_at_s = self._loop.time()
            if message.ballot == Ballot(self._pings, self.me):
                link.trip_s = link.answered_at_s - link.asked_at_s

    def _learn(self, link: Link, told: bytes) -> None:
        """Name that earlier session in frames to this peer which it knows."""
        session, _, saves = told.decode(errors="replace").partition(" ")
        if not saves.isdecimal() or session == self._file.session:
            return
        with suppress(StoreError):  # A file that has failed, or is closed, says so to its user.
            end = self._file.ended(session)
            if end is not None and end >= int(saves):
                link.entry = Known(session, end)

    async def _ping_again(self) -> None:
        while True:
            self._pings += 1
            for link in self._links.values():
                link.asked_at_s = self._loop.time()
                ballot = Ballot(self._pings, self.me)
                link.outbox.append((NOBODY, Accept(ballot, link.knowledge)))
            self.flush()
            await asyncio.sleep(PING_S)

    async def _resolve_again(self) -> None:
        while True:
            is_lost = any(link.place is None for link in self._links.values())
            await asyncio.sleep(UNRESOLVED_S if is_lost else RESOLVE_S)
            await self._resolve()

    async def _resolve(self) -> None:
        await asyncio.gather(*(self._find(peer, link) for peer, link in self._links.items()))

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
