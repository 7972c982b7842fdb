"""What a server knows of one of its peers: a plain snapshot, for people and for metrics."""

from __future__ import annotations

from attrs import frozen

from paxos_adapters.udp.endpoint import Address

SILENT_S, ONE_WAY_AFTER_S = 3.5, 2.0
"""After how many seconds without a word, or without an answer while it speaks, a peer is down."""


@frozen
class Peer:
    """What is known of another server.

    ``heard_s`` and ``round_trip_s``: seconds since its last word, and for the last round trip.
    None: it was never heard. ``votes``: whether it takes messages of the protocol, as it said last;
    it does not before its session is registered. ``is_found``: whether its name has an address.
    ``answered_s``: seconds since it has answered us.
    """

    address: Address
    heard_s: float | None
    round_trip_s: float | None
    votes: bool = False
    is_found: bool = True
    answered_s: float | None = None

    @property
    def is_heard(self) -> bool:
        """Whether it was heard of late."""
        return self.heard_s is not None and self.heard_s < SILENT_S

    @property
    def is_one_way(self) -> bool:
        """Whether it speaks and does not answer, though it is asked every second."""
        gap_s = (
            None
            if self.answered_s is None or self.heard_s is None
            else (self.answered_s - self.heard_s)
        )
        return self.is_heard and (gap_s is None or gap_s > ONE_WAY_AFTER_S)

    @property
    def is_up(self) -> bool:
        """Whether it has answered of late, and votes."""
        return self.votes and self.answers

    @property
    def answers(self) -> bool:
        """Whether it has answered of late. One that is heard and does not may not hear us."""
        return self.answered_s is not None and self.answered_s < SILENT_S
