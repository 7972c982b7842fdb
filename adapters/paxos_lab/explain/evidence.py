"""Evidence: what is known of the servers of a decision, and what they were seen to do.

It is of one decision, or of one slot of a log: an acceptor, a proposer and a choice of each server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from attrs import frozen

from paxos import Accepted, Acceptor, Decision, From, Nack, Proposer, QuorumSystem, ServerId
from paxos.ballot import V


@frozen
class Known(Generic[V]):
    """What is known of one server: what its disk holds, and, if it is up, what it is doing."""

    acceptor: Acceptor[V]
    proposer: Proposer[V] | None = None
    choice: Decision[V] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self.proposer is not None


@frozen
class Evidence(Generic[V]):
    """What is known of one decision. A member that is not among ``servers`` is out of sight.

    Those of ``heard`` are up nevertheless.
    ``votes`` and ``refusals`` were seen, besides what the servers hold now. ``keeps_first``: its
    acceptors keep the first value that they see, as the lecture's first protocol has it.
    """

    quorum: QuorumSystem
    servers: Mapping[ServerId, Known[V]]
    votes: tuple[From[Accepted[V]], ...] = ()
    refusals: tuple[From[Nack], ...] = ()
    keeps_first: bool = False
    heard: frozenset[ServerId] = frozenset()
