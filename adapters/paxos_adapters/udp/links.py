"""The link to one peer: its address, what goes out next, when it answered, and what is known of it.

What goes out next is bounded, by number and by the bytes of the values. A message beyond the bound
is lost, as any message may be; what it was a part of is sent again.

Source: ``disk_status.py``, for what is known of a disk; ``registration.py``, for what a peer knows.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from paxos_adapters.disk_status import Known
from paxos_adapters.log_messages import AnyMessage, value_bytes
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.endpoint import SocketAddress
from paxos_adapters.udp.peer import Peer
from paxos_adapters.wire import WireMessage

MAX_OUTBOX, MAX_OUTBOX_BYTES = 10_000, 32 << 20
"""How many messages, and bytes of values, may wait for one flush to one peer."""


@define
class Link:
    """The link to one peer.

    - ``known`` is what is known of its disk, and its session is durable here. A Register numbered
      ``register_number`` has asked to make a later one so.
    - ``entry`` is the earlier session of ours that it knows, with its end, if it has said so.
    - ``answered_ping`` is the newest ping that it has answered, ``registering_ping`` the newest one
      with which it was asked to register us. ``votes``: whether it takes messages of the protocol.
    - ``proven_session`` of the peer has answered this process: it is not a repetition from before.
    """

    address: Address
    outbox: list[WireMessage]
    outbox_bytes: int = 0
    known: Known | None = None
    socket_address: SocketAddress | None = None
    is_found: bool = True
    received_at_s: float | None = None
    answered_at_s: float | None = None
    round_trip_s: float | None = None
    pinged_at_s: float = 0.0
    register_number: int = 0
    entry: Known | None = None
    answered_ping: int = 0
    registering_ping: int = 0
    votes: bool = False
    proven_session: str | None = None

    @property
    def session(self) -> str | None:
        """Which session of the peer is registered here."""
        return None if self.known is None else self.known.session

    def enqueue(self, name: str, message: AnyMessage) -> bool:
        """Have ``message`` go out with all else; False if there is no room for it."""
        size_bytes = self.outbox_bytes + value_bytes(message)
        if len(self.outbox) >= MAX_OUTBOX or size_bytes > MAX_OUTBOX_BYTES:
            return False
        self.outbox.append((name, message))
        self.outbox_bytes = size_bytes
        return True

    def drop(self, is_outdated: Callable[[str, AnyMessage], bool]) -> int:
        """Have what ``is_outdated`` not go out; how much that is."""
        kept = [it for it in self.outbox if not (isinstance(it, tuple) and is_outdated(*it))]
        dropped = len(self.outbox) - len(kept)
        self.outbox = kept
        self.outbox_bytes = sum(value_bytes(it[1]) for it in kept if isinstance(it, tuple))
        return dropped

    def drain(self) -> list[WireMessage]:
        """What goes out now, in order."""
        messages, self.outbox, self.outbox_bytes = self.outbox, [], 0
        return messages

    def is_at(self, address: SocketAddress) -> bool:
        """Whether a datagram from ``address`` can be from this peer."""
        return self.socket_address is not None and address[:2] == self.socket_address[:2]

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether it has not answered for so long, or not at all."""
        return self.answered_at_s is None or now_s - self.answered_at_s > limit_s

    def snapshot(self, now_s: float) -> Peer:
        """What is known of the peer, for people and metrics."""
        return Peer(
            self.address,
            None if self.received_at_s is None else now_s - self.received_at_s,
            self.round_trip_s,
            self.votes,
            self.is_found,
            None if self.answered_at_s is None else now_s - self.answered_at_s,
        )
