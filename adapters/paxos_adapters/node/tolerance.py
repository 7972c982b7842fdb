"""How many more servers may fail, whichever they are, before a phase has no quorum.

- By number: those that are up beyond the larger of the two quorums.
- By weight: the heaviest ones fail first; what is left has to weigh as much as the larger quorum.
- By name: the fewest servers of which every quorum that is up needs one, for each phase. That is a
  minimum hitting set, which is hard in general, so the search is bounded. If it does not come to an
  end, the answer is what it has shown: at least so many may fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias

from paxos import QuorumSystem, ServerId
from paxos.errors import assert_never
from paxos.quorum import BySize, ByWeight, Explicit
from paxos_adapters.node.status import Status

MAX_CHECKS = 400_000
"""How often a set of servers is held against a quorum at most: some 20 ms."""

Servers: TypeAlias = frozenset[ServerId]


@lru_cache(maxsize=64)
def tolerance(quorum: QuorumSystem, up: Servers) -> int:
    """How many of ``up``, whichever they are, a quorum of each phase can do without; or -1.

    Never more than is true.
    """
    up &= quorum.members
    if type(quorum) is BySize:
        return max(-1, len(up) - max(quorum.phase1, quorum.phase2))
    if type(quorum) is ByWeight:
        enough = max(quorum.phase1, quorum.phase2)
        lightest_first = sorted(weight for server, weight in quorum.weights if server in up)
        return sum(weight >= enough for weight in accumulate(lightest_first)) - 1
    if type(quorum) is Explicit:
        return min(_fewest(it, up) for it in (quorum.phase1, quorum.phase2)) - 1
    assert_never(quorum)


def needed(quorum: QuorumSystem, up: Servers) -> int:
    """How many members more must be up, at least, before each phase has a quorum; 0: it has."""
    up &= quorum.members
    if type(quorum) is BySize:
        return max(0, max(quorum.phase1, quorum.phase2) - len(up))
    if type(quorum) is ByWeight:
        enough = max(quorum.phase1, quorum.phase2)
        heaviest_first = sorted(
            (it for server, it in quorum.weights if server not in up), reverse=True
        )
        present = sum(weight for server, weight in quorum.weights if server in up)
        sums = accumulate(heaviest_first, initial=present)
        return sum(weight < enough for weight in sums)
    if type(quorum) is Explicit:
        return max(min(len(it - up) for it in phase) for phase in (quorum.phase1, quorum.phase2))
    assert_never(quorum)


def up(status: Status) -> Servers:
    """The servers that are up, as this one sees it; it is one of them."""
    return frozenset(it for it, peer in status.peers.items() if peer.is_up) | {status.me}


def log_tolerance(quorums: Iterable[QuorumSystem], status: Status) -> int:
    """How many servers more may fail before a log of these ``quorums`` stands still; or -1."""
    running = frozenset[ServerId]() if status.stopped is not None else up(status)
    return min(tolerance(it, running) for it in quorums)


def _fewest(quorums: Iterable[Servers], up: Servers) -> int:
    """How many of ``up`` must fail at least so that none of ``quorums`` is left."""
    left = sorted((it for it in quorums if it <= up), key=len)
    checks = [MAX_CHECKS]
    size = 0
    while not _can_hit(left, size, checks):
        size += 1
    return size


def _can_hit(left: list[Servers], size: int, checks: list[int]) -> bool:
    """Whether ``size`` servers can hit all of ``left``; also if there are no ``checks`` left."""
    if not left or checks[0] <= 0:
        return True
    if size == 0:
        return False
    checks[0] -= len(left) * len(left[0])
    return any(
        _can_hit([it for it in left if server not in it], size - 1, checks) for server in left[0]
    )
