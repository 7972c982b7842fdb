"""The way to one peer: where it is, what goes out next, when it was heard, and of which disk.

Source: ``peers.py``, for what is known of a disk.
"""

from __future__ import annotations

from attrs import define

from paxos_adapters.node.status import Peer
from paxos_adapters.peers import Known
from paxos_adapters.udp import Address, Place
from paxos_adapters.wire import Entry, Reason


@define
class Link:
    """The way to one peer: where it is, what goes out next, and when it was heard.

    ``known`` is what is known of its disk; ``entry`` the earlier session of ours that it knows,
    with its end, if it has told us.
    """

    address: Address
    outbox: list[Entry]
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

    def is_at(self, place: Place) -> bool:
        """Whether a datagram from ``place`` can be from this peer."""
        return self.place is not None and place[:2] == self.place[:2]

    def peer(self, now_s: float) -> Peer:
        """What there is to tell of it."""
        heard_s = None if self.heard_at_s is None else now_s - self.heard_at_s
        answered_s = None if self.answered_at_s is None else now_s - self.answered_at_s
        refused = None if self.refused is None else self.refused.value
        return Peer(self.address, heard_s, self.trip_s, refused, self.is_found, answered_s)
