"""Linearizable reads at the leader, without an entry in the log.

Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), section
8, on read-only requests.

- A read is ready once a phase-2 quorum has confirmed, at or after its beginning, that it has
  promised no higher ballot. All slots that may have been chosen before must be chosen here, too.
- One Confirm serves all reads that began before it.
- Nothing is saved. The end of the leadership ends all reads.
"""

from __future__ import annotations

from typing import final

from paxos.ballot import ServerId
from paxos.quorum import NO_SERVERS, QuorumSystem
from paxos.values import frozen


@final
@frozen
class PendingRead:
    """The read ``number`` waits for a quorum, and for all slots below ``first`` to be chosen."""

    number: int
    first: int
    confirmed: frozenset[ServerId] = NO_SERVERS


def confirmed(
    reads: tuple[PendingRead, ...], sender: ServerId, number: int
) -> tuple[PendingRead, ...]:
    """``sender`` has confirmed the reads up to ``number``."""
    return tuple(
        PendingRead(it.number, it.first, it.confirmed | {sender}) if it.number <= number else it
        for it in reads
    )


def is_ready(read: PendingRead, first: int, quorum: QuorumSystem) -> bool:
    """Whether ``read`` can be answered from what is applied below ``first``."""
    return read.first <= first and quorum.is_phase2(read.confirmed)
