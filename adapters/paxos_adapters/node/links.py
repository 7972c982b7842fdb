"""The way to one peer: where it is, what goes out next, when it was heard, and of which disk.

What goes out next is bounded, by number and by the bytes of the values. A message beyond the bound
is lost, as any message may be; what it was a part of is sent again.

Source: ``peers.py``, for what is known of a disk.
"""

from __future__ import annotations

from attrs import define

from paxos import Accept, Accepted, Answer, Chosen, Message, Promise
from paxos_adapters.node.status import Peer
from paxos_adapters.peers import Known
from paxos_adapters.udp import Address, Place
from paxos_adapters.wire import Entry, Reason

MAX_OUTBOX, MAX_OUTBOX_BYTES = 10_000, 32 << 20
"""How many messages, and bytes of values, may wait for one flush to one peer."""


@define
class Link:
    """The way to one peer: where it is, what goes out next, and when it was heard.

    ``known`` is what is known of its disk; ``entry`` the earlier session of ours that it knows,
    with its end, if it has told us.
    """

    address: Address
    outbox: list[Entry]
    outbox_bytes: int = 0
    place: Place | None = None
    is_found: bool = True
    heard_at_s: float | None = None
    answered_at_s: float | None = None
    trip_s: float | None = None
    asked_at_s: float = 0.0
    refused: Reason | None = None
    refused_at_s: float | None = None
    told_at_s: float | None = None
    known: Known | None = None
    entry: Known | None = None

    @property
    def knowledge(self) -> bytes:
        """What is known of its disk, as it is told to it."""
        return b"" if self.known is None else f"{self.known.session} {self.known.saves}".encode()

    def post(self, name: str, message: Message[bytes]) -> bool:
        """Have ``message`` go out with all else; False if there is no room for it."""
        size_bytes = self.outbox_bytes + _value_bytes(message)
        if len(self.outbox) >= MAX_OUTBOX or size_bytes > MAX_OUTBOX_BYTES:
            return False
        self.outbox.append((name, message))
        self.outbox_bytes = size_bytes
        return True

    def take(self) -> list[Entry]:
        """What goes out now, in order."""
        messages, self.outbox, self.outbox_bytes = self.outbox, [], 0
        return messages

    def is_at(self, place: Place) -> bool:
        """Whether a datagram from ``place`` can be from this peer."""
        return self.place is not None and place[:2] == self.place[:2]

    def peer(self, now_s: float) -> Peer:
        """What there is to tell of it."""
        heard_s = None if self.heard_at_s is None else now_s - self.heard_at_s
        answered_s = None if self.answered_at_s is None else now_s - self.answered_at_s
        refused = None if self.refused is None else self.refused.value
        return Peer(self.address, heard_s, self.trip_s, refused, self.is_found, answered_s)


def _value_bytes(message: Message[bytes]) -> int:
    """The size of the value that ``message`` carries."""
    if isinstance(message, Accept | Accepted | Chosen):
        return len(message.value)
    if isinstance(message, Promise | Answer) and message.accepted is not None:
        return len(message.accepted.value)
    return 0
