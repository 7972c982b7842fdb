"""The wire of one server: encodes messages to datagrams, and decodes or rejects datagrams.

- Sealing: everything is encoded and checked before the first number is given away. Messages for one
  peer share datagrams, in order; one that is larger than a datagram goes in parts.
- Opening: whose is it, is it whole, is its session registered, is it new, what does it say; in this
  order. Whatever is wrong raises RejectedDatagram, and changes nothing.
- From a session that is not registered only control messages are received, see ``control.py``, and
  questions about the members, each once: see ``udp/registration.py``.
- Lost parts are requested and sent again, see ``resending.py``: ``request_missing`` is a tick.
- No socket, no clock, no answer: the owner of the socket counts what is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from attrs import evolve, frozen

from paxos import ServerId, UnknownServer
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.limits import MAX_SERVER
from paxos_adapters.log_messages import asks_for_members
from paxos_adapters.wire import fragments, resending
from paxos_adapters.wire.body import (
    NamedMessage,
    WireMessage,
    decode_body,
    encode_batch,
    encode_control,
    encode_message,
    read_body,
)
from paxos_adapters.wire.bounds import DATAGRAM_BYTES, MAX_DATAGRAM_BYTES, MAX_MESSAGES
from paxos_adapters.wire.control import Control
from paxos_adapters.wire.errors import OutOfBounds, Reason, RejectedDatagram
from paxos_adapters.wire.frame import (
    HEADER_BYTES,
    LAYOUT,
    MAGIC,
    MEMBERS_BYTES,
    TAG_BYTES,
    VERSION,
    Header,
    checked_epoch,
    cluster_digest,
    disk_status_of,
    pack_disk_status,
    read_header,
)
from paxos_adapters.wire.protection import Protection
from paxos_adapters.wire.replays import (
    EarlySessions,
    PeerSession,
    begin_session,
    end_session,
    note_early,
)
from paxos_adapters.wire.resending import Missing, SentBodies

_COUNT_BYTES = 3
"""What the length of a batch takes at most."""


@frozen
class Received:
    """What a datagram contains: its sender, the status of that one's disk, and the messages.

    ``is_registered``: whether that session is registered here; if not, there are ``controls`` only,
    and questions about the members.
    ``is_newest``: whether that session sent it later than all that was received from it before. A
    part of something larger has no messages, until the last one is there. A Missing among the
    ``controls`` is to be handed to ``resend``. ``epoch`` is that of the sender's decisions: its
    messages about decisions are for servers of the same epoch, see ``file/epochs.py``. ``unknown``
    messages more were of kinds that only a later version knows.
    """

    sender: ServerId
    disk_status: DiskStatus
    is_registered: bool
    messages: tuple[NamedMessage, ...]
    controls: tuple[Control | Missing, ...]
    is_newest: bool
    epoch: int = 0
    unknown: int = 0

    @property
    def is_part(self) -> bool:
        """Whether it was a part of something that is not there in whole."""
        return not (self.messages or self.controls or self.unknown)


class Wire:
    """Makes and opens the datagrams of one server. Not thread-safe.

    ``epoch`` is that of the decisions which the messages to be sealed are about.
    One wire for a session: a second one would use its numbers again.
    """

    def __init__(
        self,
        *,
        cluster: str,
        me: ServerId,
        members: Set[ServerId],
        digest: bytes,
        protection: Protection,
        disk_status: Callable[[ServerId], DiskStatus],
        registered: Callable[[ServerId], str | None],
    ) -> None:
        """A wire that has sent nothing.

        ``digest`` stands for the members: ``file.identity.digest``. ``disk_status`` is called for
        each receiver when something is sealed: one knows this session of the sender, another an
        earlier one. ``registered`` returns the session of a sender that is registered here, if any.

        Raises UnknownServer if ``me`` is not a member, OutOfBounds for an id or a digest that no
        frame has room for.
        """
        if me not in members:
            raise UnknownServer(me, members)
        if len(digest) != MEMBERS_BYTES:
            size = len(digest)
            raise OutOfBounds("the digest of the members", size, MEMBERS_BYTES, MEMBERS_BYTES)
        self._me = me
        self._cluster = cluster_digest(cluster)
        self._digest = digest
        self._protection = protection
        self._disk_status = disk_status
        self._registered = registered
        self.epoch = 0
        self._sequences = Counter[ServerId]()
        self._sessions: dict[ServerId, PeerSession] = {}
        self._early: dict[ServerId, EarlySessions] = {}
        self._sent: dict[ServerId, SentBodies] = {}
        self.set_members(members)

    def set_members(self, members: Set[ServerId], former: Set[ServerId] = frozenset()) -> None:
        """From now on these are the members; ``former`` are servers that were removed.

        Numbers and windows are kept, also of servers that are gone: a number is a nonce, and is
        never used again. Raises OutOfBounds for an id that no frame has room for.
        """
        for it in members | former:
            if not 0 <= it <= MAX_SERVER:
                raise OutOfBounds("the id of a server", it, 0, MAX_SERVER)
        self._peers = frozenset(members) - {self._me}
        self._former = frozenset(former) - members - {self._me}
        self._senders = self._peers | self._former
        for gone in self._sessions.keys() - self._peers:
            self._sessions[gone] = end_session(self._sessions[gone])
        for of_peers in self._early, self._sent:
            for gone in of_peers.keys() - self._peers:
                del of_peers[gone]

    def seal(
        self,
        receiver: ServerId,
        messages: Iterable[WireMessage],
        datagram_bytes: int = DATAGRAM_BYTES,
    ) -> tuple[bytes, ...]:
        """The datagrams that carry ``messages`` to ``receiver``, in order.

        None is larger than ``datagram_bytes``, which the path has to carry in one piece. Seal what
        was saved after the save, since the disk status goes along. Raises UnknownServer, TooLarge,
        OutOfBounds, NotBytes, BadDiskStatus; nothing is sent then.
        """
        if receiver not in self._senders:
            raise UnknownServer(receiver, self._peers)
        if not DATAGRAM_BYTES <= datagram_bytes <= MAX_DATAGRAM_BYTES:
            what = "the size of datagrams, in bytes,"
            raise OutOfBounds(what, datagram_bytes, DATAGRAM_BYTES, MAX_DATAGRAM_BYTES)
        encoded = [
            encode_message(*it) if isinstance(it, tuple) else encode_control(it) for it in messages
        ]
        status = pack_disk_status(self._disk_status(receiver))
        said = *status, checked_epoch(self.epoch)
        datagrams: list[bytes] = []
        for parts in _bodies(encoded, datagram_bytes - HEADER_BYTES - TAG_BYTES):
            datagrams += self._frames(receiver, parts, said)
        return tuple(datagrams)

    def resend(self, receiver: ServerId, missing: Missing) -> tuple[bytes, ...]:
        """The datagrams that ``receiver`` requests, as they were; none that are not kept."""
        sent = self._sent.get(receiver, ())
        self._sent[receiver], datagrams = resending.resend(sent, missing)
        return datagrams

    def request_missing(self) -> dict[ServerId, tuple[Missing, ...]]:
        """What to request from senders. To be called at intervals, as long as ``has_requests``."""
        requested: dict[ServerId, tuple[Missing, ...]] = {}
        for sender, session in self._sessions.items():
            requests, missing = resending.request(session.requests, session.unfinished)
            self._sessions[sender] = evolve(session, requests=requests)
            if missing:
                requested[sender] = missing
        return requested

    @property
    def has_requests(self) -> bool:
        """Whether anything is unfinished that will be requested."""
        return any(
            resending.has_requests(it.requests, it.unfinished) for it in self._sessions.values()
        )

    def open(self, datagram: bytes) -> Received:
        """What ``datagram`` contains. Raises RejectedDatagram only, with nothing changed."""
        header = self._addressed(datagram)
        body = self._protection.open(header, datagram)
        fragments.check(header, body)
        if header.members != self._digest:
            raise RejectedDatagram(Reason.OTHER_MEMBERS)
        if header.sender in self._former:
            raise RejectedDatagram(Reason.REMOVED_SENDER)
        status = disk_status_of(header)
        if status.session == self._registered(header.sender):
            return self._open_registered(header, status, body)
        return self._open_early(header, status, body)

    def _open_early(self, header: Header, status: DiskStatus, body: bytes) -> Received:
        """What a session sends that is not registered. A question is never taken twice."""
        messages, controls = decode_body(body) if header.parts == 1 else ((), ())
        may_ask = all(asks_for_members(*it) for it in messages)
        if not (messages or controls) or not may_ask or Missing in map(type, controls):
            raise RejectedDatagram(Reason.NOT_REGISTERED)
        early = self._early.get(header.sender, ())
        if messages:
            begin_session(early, status.session).window.accept(header.sequence)
        self._early[header.sender] = note_early(early, status.session, header.sequence)
        return Received(header.sender, status, False, messages, controls, False, header.epoch)

    def _open_registered(self, header: Header, status: DiskStatus, body: bytes) -> Received:
        """What a registered session sends; never twice."""
        sender, peer = header.sender, self._sessions.get(header.sender)
        if peer is None or peer.session != status.session:
            peer = begin_session(self._early.get(sender, ()), status.session)
        window, unfinished = peer.window.accept(header.sequence), peer.unfinished
        whole: bytes | None = body
        if header.parts > 1:
            unfinished, whole = fragments.reassemble(unfinished, header, body)
        messages, controls, unknown = ((), (), 0) if whole is None else read_body(whole)
        self._sessions[sender] = PeerSession(status.session, window, unfinished, peer.requests)
        is_newest = header.sequence > peer.window.newest
        return Received(sender, status, True, messages, controls, is_newest, header.epoch, unknown)

    def claimed_sender(self, datagram: bytes) -> ServerId:
        """Which server it claims to be from, unproven. Raises RejectedDatagram.

        For servers without keys, whose addresses are known: refuse what comes from elsewhere,
        WRONG_ADDRESS. It is another member: never this server.
        """
        return self._addressed(datagram).sender

    def _addressed(self, datagram: bytes) -> Header:
        header = read_header(datagram)
        if header.cluster != self._cluster:
            raise RejectedDatagram(Reason.OTHER_CLUSTER)
        if header.receiver != self._me:
            raise RejectedDatagram(Reason.NOT_FOR_US)
        if header.sender not in self._senders:
            raise RejectedDatagram(Reason.UNKNOWN_SENDER)
        if header.protection != self._protection.code:
            raise RejectedDatagram(Reason.OTHER_PROTECTION)
        return header

    def _frames(
        self, receiver: ServerId, parts: Sequence[bytes], said: tuple[bytes, int, bytes, int, int]
    ) -> list[bytes]:
        before, count, guard = self._sequences[receiver], len(parts), self._protection
        # Before anything is encrypted: no number is a nonce twice.
        self._sequences[receiver] = before + count
        me, cluster, key, digest = self._me, self._cluster, guard.key, self._digest
        frames: list[bytes] = []
        for part, body in enumerate(parts):
            about = (MAGIC, VERSION, guard.code, part, count, key, cluster, me, receiver, digest)
            frames.append(guard.close(LAYOUT.pack(*about, *said, before + 1 + part), body))
        if count > 1:
            sent = self._sent.get(receiver, ())
            self._sent[receiver] = resending.keep(sent, before + 1, tuple(frames))
        return frames


def _bodies(messages: Iterable[bytes], body_bytes: int) -> Iterator[tuple[bytes, ...]]:
    """The bodies of datagrams, in order; the parts of one body stand together."""
    together: list[bytes] = []
    room = body_bytes - _COUNT_BYTES
    for message in messages:
        if together and (len(message) > room or len(together) == MAX_MESSAGES):
            yield fragments.fragment(encode_batch(together), body_bytes)
            together, room = [], body_bytes - _COUNT_BYTES
        together.append(message)
        room -= len(message)
    if together:
        yield fragments.fragment(encode_batch(together), body_bytes)
