"""Rounds that are reserved in blocks: what a block says of every decision in the same memory.

- The block is a MaxRound record under a name that no decision has. No round above it was used by
  this server in any proposal, nor promised to any, unless a record of its own says so.
- So after a restart this server's rounds begin above the block, and it promises nothing below:
  what it has promised under the block is kept, though it was not saved by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import Acceptor, Ballot, MaxRound, ServerId, server
from paxos.ballot import V

RESERVED = ""
"""The name under which the block is saved."""


def reserved(records: Iterable[server.Record[V]]) -> int:
    """The highest round of ``records``, those of a block or of a decision; 0 without one."""
    return max((it.round for it in records if type(it) is MaxRound), default=0)


def with_reservation(
    records: Iterable[server.Record[V]], block: int
) -> tuple[Acceptor[V], MaxRound]:
    """What a decision starts from that has ``records`` of its own, under a block up to ``block``.

    The acceptor is the very one of ``records`` unless the block raises its promise.
    """
    own = tuple(records)
    memory: Acceptor[V] = Acceptor()
    for it in own:
        if type(it) is Acceptor:
            memory = it
    above = Ballot(block + 1, ServerId(0))
    if block and memory.promised < above:
        memory = Acceptor(above, memory.accepted)
    return memory, MaxRound(max(block, reserved(own)))
