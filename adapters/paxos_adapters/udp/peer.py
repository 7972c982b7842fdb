"""What a server knows of one of its peers: a plain snapshot, for people and for metrics."""

from __future__ import annotations

from attrs import frozen

from paxos_adapters.udp.addresses import Address

SILENT_S, ONE_WAY_AFTER_S = 3.5, 2.0
"""A peer is down after so long without a datagram, or without an answer while it sends."""


@frozen
class Peer:
    """What is known of another server.

    ``received_s`` and ``answered_s``: seconds since its last datagram, and since its last answer;
    ``round_trip_s``: of the last round trip. None: never. ``votes``: whether it takes messages of
    the protocol, as it said last; it does not before its session is registered. ``is_found``:
    whether its name has an address.
    """

    address: Address
    received_s: float | None
    round_trip_s: float | None
    votes: bool = False
    is_found: bool = True
    answered_s: float | None = None

    @property
    def is_sending(self) -> bool:
        """Whether a datagram of it came recently."""
        return self.received_s is not None and self.received_s < SILENT_S

    @property
    def is_one_way(self) -> bool:
        """Whether it sends and does not answer, though it is asked every second."""
        gap_s = (
            None
            if self.answered_s is None or self.received_s is None
            else (self.answered_s - self.received_s)
        )
        return self.is_sending and (gap_s is None or gap_s > ONE_WAY_AFTER_S)

    @property
    def is_up(self) -> bool:
        """Whether it has answered recently, and votes."""
        return self.votes and self.answers

    @property
    def answers(self) -> bool:
        """Whether it has answered recently. One that sends and does not may not receive from us."""
        return self.answered_s is not None and self.answered_s < SILENT_S
