"""The wire of one server: from messages to datagrams, and back, or not.

- Sealing: everything is encoded and checked before the first number is given away. Messages for one
  peer share datagrams, in order; one that is larger than a datagram goes in parts.
- Opening: whose is it, is it whole, is its session registered, is it new, what does it say; in this
  order. Whatever is wrong raises RejectedDatagram, and changes nothing.
- Of a session that is not registered here only control messages are taken, see ``control.py``.
- Parts that were lost are asked for and sent again, see ``resending.py``: ``ask`` is a tick.
- No socket, no clock, no answer: the owner of the socket counts what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from attrs import evolve, frozen

from paxos import ServerId, UnknownServer
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.wire import fragments
from paxos_adapters.wire.body import Entry, Line, batch, pack, pack_control, unpack_all
from paxos_adapters.wire.bounds import MAX_MESSAGES, MAX_SERVER
from paxos_adapters.wire.control import Control
from paxos_adapters.wire.errors import OutOfBounds, Reason, RejectedDatagram
from paxos_adapters.wire.frame import (
    BODY_BYTES,
    LAYOUT,
    MAGIC,
    MEMBERS_BYTES,
    VERSION,
    Header,
    disk,
    label,
    presence_of,
    read,
)
from paxos_adapters.wire.protection import Protection
from paxos_adapters.wire.replays import Early, PeerSession, begun, note, take
from paxos_adapters.wire.resending import Keeping, Missing, again, ask, is_to_ask, keep

_COUNT_BYTES = 3
"""What the length of a batch takes at most."""


@frozen
class Received:
    """What a datagram says: its sender, what that says of its disk, and the messages.

    ``is_registered``: whether this server hears that session; if not, there are ``controls`` only.
    ``is_newest``: whether that session has sent it later than all that was taken from it before.
    A part of something larger has no messages, until the last one is there. A Missing among the
    ``controls`` is to be handed to ``again``.
    """

    sender: ServerId
    presence: DiskStatus
    is_registered: bool
    messages: tuple[Entry, ...]
    controls: tuple[Control | Missing, ...]
    is_newest: bool

    @property
    def is_part(self) -> bool:
        """Whether it was a part of something that is not there in whole."""
        return not (self.messages or self.controls)


class Wire:
    """Makes and opens the datagrams of one server. Not thread-safe.

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
        presence: Callable[[ServerId], DiskStatus],
        registered: Callable[[ServerId], str | None],
    ) -> None:
        """A wire that has sent nothing.

        ``digest`` stands for the members: ``file.identity.digest``. ``presence`` is asked for each
        time when something is sealed for a receiver, which may know one session of the sender or
        another. ``registered`` says which session of a sender is registered here, if any is.

        Raises UnknownServer if ``me`` is not a member, OutOfBounds for an id or a digest that no
        frame has room for.
        """
        if me not in members:
            raise UnknownServer(me, members)
        for member in members:
            if not 0 <= member <= MAX_SERVER:
                raise OutOfBounds("the id of a server", member, 0, MAX_SERVER)
        if len(digest) != MEMBERS_BYTES:
            size = len(digest)
            raise OutOfBounds("the digest of the members", size, MEMBERS_BYTES, MEMBERS_BYTES)
        self._me = me
        self._cluster = label(cluster)
        self._digest = digest
        self._protection = protection
        self._presence = presence
        self._registered = registered
        self._sent = dict.fromkeys(members - {me}, 0)
        self._heard: dict[ServerId, PeerSession] = {}
        self._early: dict[ServerId, Early] = {}
        self._kept: dict[ServerId, Keeping] = {}

    def seal(self, receiver: ServerId, lines: Iterable[Line]) -> tuple[bytes, ...]:
        """The datagrams that carry ``lines`` to ``receiver``, in order.

        Seal what was saved after the save, since the presence goes along. Raises UnknownServer,
        TooLarge, OutOfBounds, NotBytes, BadDiskStatus; nothing is sent then.
        """
        if receiver not in self._sent:
            raise UnknownServer(receiver, self._sent.keys())
        packed = [pack(*it) if isinstance(it, tuple) else pack_control(it) for it in lines]
        said = disk(self._presence(receiver))
        datagrams: list[bytes] = []
        for bodies in _bodies(packed):
            datagrams += self._frames(receiver, bodies, said)
        return tuple(datagrams)

    def again(self, receiver: ServerId, missing: Missing) -> tuple[bytes, ...]:
        """The datagrams that ``receiver`` asks for, as they were; none that are not kept."""
        self._kept[receiver], datagrams = again(self._kept.get(receiver, ()), missing)
        return datagrams

    def ask(self) -> dict[ServerId, tuple[Missing, ...]]:
        """What to ask senders for. To be called at a pace, as long as ``is_to_ask``."""
        asked: dict[ServerId, tuple[Missing, ...]] = {}
        for sender, heard in self._heard.items():
            asking, missing = ask(heard.asking, heard.waiting)
            self._heard[sender] = evolve(heard, asking=asking)
            if missing:
                asked[sender] = missing
        return asked

    @property
    def is_to_ask(self) -> bool:
        """Whether anything is unfinished that will be asked for."""
        return any(is_to_ask(it.asking, it.waiting) for it in self._heard.values())

    def open(self, datagram: bytes) -> Received:
        """What ``datagram`` says. Raises RejectedDatagram only, with nothing changed."""
        header = self._addressed(datagram)
        body = self._protection.open(header, datagram)
        fragments.check(header, body)
        if header.members != self._digest:
            raise RejectedDatagram(Reason.OTHER_MEMBERS)
        said = presence_of(header)
        if said.session == self._registered(header.sender):
            return self._received(header, said, body)
        messages, controls = unpack_all(body) if header.parts == 1 else ((), ())
        if messages or not controls or Missing in map(type, controls):
            raise RejectedDatagram(Reason.NOT_REGISTERED)
        early = self._early.get(header.sender, ())
        self._early[header.sender] = note(early, said.session, header.sequence)
        return Received(header.sender, said, False, (), controls, False)

    def _received(self, header: Header, said: DiskStatus, body: bytes) -> Received:
        """What a registered session says, for the first time."""
        sender, session = header.sender, said.session
        heard = self._heard.get(sender)
        if heard is None or heard.session != session:
            heard = begun(self._early.get(sender, ()), session)
        window, waiting = take(heard.window, header.sequence), heard.waiting
        whole: bytes | None = body
        if header.parts > 1:
            waiting, whole = fragments.gather(waiting, header, body)
        messages, controls = ((), ()) if whole is None else unpack_all(whole)
        self._heard[sender] = PeerSession(session, window, waiting, heard.asking)
        is_newest = header.sequence > heard.window.newest
        return Received(sender, said, True, messages, controls, is_newest)

    def claimed_sender(self, datagram: bytes) -> ServerId:
        """Who it says that it is from, unproven. Raises RejectedDatagram.

        For servers without keys, whose addresses are known: refuse what comes from elsewhere,
        WRONG_ADDRESS. It is another member: never this server.
        """
        return self._addressed(datagram).sender

    def _addressed(self, datagram: bytes) -> Header:
        header = read(datagram)
        if header.cluster != self._cluster:
            raise RejectedDatagram(Reason.OTHER_CLUSTER)
        if header.receiver != self._me:
            raise RejectedDatagram(Reason.NOT_FOR_US)
        if header.sender not in self._sent:
            raise RejectedDatagram(Reason.UNKNOWN_SENDER)
        if header.protection != self._protection.code:
            raise RejectedDatagram(Reason.OTHER_PROTECTION)
        return header

    def _frames(
        self, receiver: ServerId, bodies: Sequence[bytes], said: tuple[bytes, int, bytes, int]
    ) -> list[bytes]:
        sent, of, guard = self._sent[receiver], len(bodies), self._protection
        # Before anything is encrypted: no number is a nonce twice.
        self._sent[receiver] = sent + of
        me, cluster, key, digest = self._me, self._cluster, guard.key, self._digest
        frames: list[bytes] = []
        for part, body in enumerate(bodies):
            about = (MAGIC, VERSION, guard.code, part, of, key, cluster, me, receiver, digest)
            frames.append(guard.close(LAYOUT.pack(*about, *said, sent + 1 + part), body))
        if of > 1:
            self._kept[receiver] = keep(self._kept.get(receiver, ()), sent + 1, tuple(frames))
        return frames


def _bodies(lines: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """The bodies of datagrams, in order; the parts of one body stand together."""
    together: list[bytes] = []
    room = BODY_BYTES - _COUNT_BYTES
    for line in lines:
        if together and (len(line) > room or len(together) == MAX_MESSAGES):
            yield fragments.split(batch(together))
            together, room = [], BODY_BYTES - _COUNT_BYTES
        together.append(line)
        room -= len(line)
    if together:
        yield fragments.split(batch(together))
