"""The way to one peer: where it is, what goes out next, when it was heard, and of which disk.

What goes out next is bounded, by number and by the bytes of the values. A message beyond the bound
is lost, as any message may be; what it was a part of is sent again.

Source: ``peers.py``, for what is known of a disk; ``registration.py``, for what a peer knows.
"""

from __future__ import annotations

from attrs import define

from paxos import Accept, Accepted, Answer, Chosen, Message, Promise
from paxos_adapters.disk_status import Known
from paxos_adapters.udp.endpoint import Address, SocketAddress
from paxos_adapters.udp.peer import Peer
from paxos_adapters.wire import Line

MAX_OUTBOX, MAX_OUTBOX_BYTES = 10_000, 32 << 20
"""How many messages, and bytes of values, may wait for one flush to one peer."""


@define
class Link:
    """The way to one peer: where it is, what goes out next, and when it was heard.

    - ``known`` is what is known of its disk, and its session is durable here. ``to_answer`` is the
      ping with which it asked for a later one to be made so.
    - ``entry`` is the earlier session of ours that it knows, with its end, if it has said so.
    - ``ponged`` is the newest ping that it has answered, ``asked`` the newest one with which it was
      asked to register us. ``votes``: whether it takes messages of the protocol.
    - ``proven`` is the session of its that has answered this one: no repetition from before.
    """

    address: Address
    outbox: list[Line]
    outbox_bytes: int = 0
    known: Known | None = None
    place: SocketAddress | None = None
    is_found: bool = True
    heard_at_s: float | None = None
    answered_at_s: float | None = None
    round_trip_s: float | None = None
    pinged_at_s: float = 0.0
    to_answer: int = 0
    entry: Known | None = None
    ponged: int = 0
    asked: int = 0
    votes: bool = False
    proven: str | None = None

    @property
    def session(self) -> str | None:
        """Which session of its is heard here."""
        return None if self.known is None else self.known.session

    def post(self, name: str, message: Message[bytes]) -> bool:
        """Have ``message`` go out with all else; False if there is no room for it."""
        size_bytes = self.outbox_bytes + _value_bytes(message)
        if len(self.outbox) >= MAX_OUTBOX or size_bytes > MAX_OUTBOX_BYTES:
            return False
        self.outbox.append((name, message))
        self.outbox_bytes = size_bytes
        return True

    def take(self) -> list[Line]:
        """What goes out now, in order."""
        messages, self.outbox, self.outbox_bytes = self.outbox, [], 0
        return messages

    def is_at(self, place: SocketAddress) -> bool:
        """Whether a datagram from ``place`` can be from this peer."""
        return self.place is not None and place[:2] == self.place[:2]

    def is_quiet(self, now_s: float, limit_s: float) -> bool:
        """Whether it has not answered for so long, or not at all."""
        return self.answered_at_s is None or now_s - self.answered_at_s > limit_s

    def peer(self, now_s: float) -> Peer:
        """What there is to tell of it."""
        heard_s = None if self.heard_at_s is None else now_s - self.heard_at_s
        answered_s = None if self.answered_at_s is None else now_s - self.answered_at_s
        return Peer(self.address, heard_s, self.round_trip_s, self.votes, self.is_found, answered_s)


def _value_bytes(message: Message[bytes]) -> int:
    """The size of the value that ``message`` carries."""
    if type(message) is Accept or type(message) is Accepted or type(message) is Chosen:
        return len(message.value)
    if type(message) is Promise or type(message) is Answer:
        return 0 if message.accepted is None else len(message.accepted.value)
    return 0
