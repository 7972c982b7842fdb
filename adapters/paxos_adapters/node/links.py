"""The way to one peer: where it is, what goes out next, when it was heard, and of which disk.

Source: ``peers.py``, for what is known of a disk; ``registration.py``, for what a peer knows.
"""

from __future__ import annotations

from attrs import define

from paxos_adapters.node.status import Peer
from paxos_adapters.peers import Known
from paxos_adapters.udp import Address, Place
from paxos_adapters.wire import Line


@define
class Link:
    """The way to one peer: where it is, what goes out next, and when it was heard.

    - ``known`` is what is known of its disk, and its session is durable here. ``registering`` is a
      later session that a commit is to make so, asked for by ping number ``to_answer``.
    - ``entry`` is the earlier session of ours that it knows, with its end, if it has said so.
    - ``ponged`` is the newest ping that it has answered, ``asked`` the newest one with which it was
      asked to register us. ``votes``: whether it takes messages of the protocol.
    """

    address: Address
    outbox: list[Line]
    known: Known | None = None
    place: Place | None = None
    is_found: bool = True
    heard_at_s: float | None = None
    answered_at_s: float | None = None
    trip_s: float | None = None
    pinged_at_s: float = 0.0
    registering: Known | None = None
    to_answer: int = 0
    entry: Known | None = None
    ponged: int = 0
    asked: int = 0
    votes: bool = False

    @property
    def session(self) -> str | None:
        """Which session of its is heard here."""
        return None if self.known is None else self.known.session

    def is_at(self, place: Place) -> bool:
        """Whether a datagram from ``place`` can be from this peer."""
        return self.place is not None and place[:2] == self.place[:2]

    def is_quiet(self, now_s: float, limit_s: float) -> bool:
        """Whether it has not answered for so long, or not at all."""
        return self.answered_at_s is None or now_s - self.answered_at_s > limit_s

    def peer(self, now_s: float) -> Peer:
        """What there is to tell of it."""
        heard_s = None if self.heard_at_s is None else now_s - self.heard_at_s
        answered_s = None if self.answered_at_s is None else now_s - self.answered_at_s
        return Peer(self.address, heard_s, self.trip_s, self.votes, self.is_found, answered_s)
