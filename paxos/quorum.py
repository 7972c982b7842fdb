"""Quorums: which servers together are enough.

Source: the lecture, "The protocol" (a majority); Howard, Malkhi and Spiegelman, "Flexible Paxos"
(2016), for quorums that differ between the phases; Gifford (1979), for weights.

- Phase 1 is done when a phase-1 quorum has promised, phase 2 when a phase-2 quorum has accepted.
- Every phase-1 quorum meets every phase-2 quorum, so that phase 1 always observes a possibly chosen
  value. A system with two disjoint quorums is refused, by an error that names the two.
- Quorums of the same phase need not meet. A superset of a quorum is a quorum. Non-members never
  count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import TypeAlias, final

from attrs import Factory, field

from paxos.ballot import ServerId
from paxos.errors import DisjointQuorums, QuorumError
from paxos.values import frozen

MAX_TOTAL_WEIGHT = 100_000
"""Bound on the sum of weights, since the search for disjoint quorums grows with it."""

NO_SERVERS: frozenset[ServerId] = frozenset()
"""No server at all."""


@final
@frozen
class BySize:
    """Quorums by number: any ``phase1`` members, any ``phase2`` members.

    Raises QuorumError for a number outside 1..len(members), DisjointQuorums if two can be disjoint.
    """

    members: frozenset[ServerId]
    phase1: int
    phase2: int

    def __attrs_post_init__(self) -> None:
        _check_range(self.phase1, self.phase2, len(self.members), "members")
        if self.phase1 + self.phase2 <= len(self.members):
            ids = sorted(self.members)
            raise DisjointQuorums(set(ids[: self.phase1]), set(ids[-self.phase2 :]))

    def is_phase1(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-1 quorum."""
        return len(self.members & servers) >= self.phase1

    def is_phase2(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-2 quorum."""
        return len(self.members & servers) >= self.phase2


def _weighed(system: ByWeight) -> frozenset[ServerId]:
    return frozenset(server for server, _ in system.weights)


@final
@frozen
class ByWeight:
    """Quorums by weight: members that weigh ``phase1``, or ``phase2``, together.

    ``weights`` are whole numbers from 0; a member of weight 0 listens and never counts. Raises
    QuorumError for a weight or a threshold out of range, DisjointQuorums if two can be disjoint.
    """

    weights: tuple[tuple[ServerId, int], ...]
    phase1: int
    phase2: int
    members: frozenset[ServerId] = field(
        init=False, repr=False, eq=False, default=Factory(_weighed, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        for _, weight in self.weights:
            _check_whole("a weight", weight)
        total = sum(weight for _, weight in self.weights)
        if len(self.members) < len(self.weights):
            raise QuorumError(f"a server is weighed twice: {self.weights}. Weigh each one once.")
        if min((weight for _, weight in self.weights), default=0) < 0 or total > MAX_TOTAL_WEIGHT:
            raise QuorumError(
                f"the weights {self.weights} are out of range: use whole numbers from 0, "
                f"with a sum of at most {MAX_TOTAL_WEIGHT}."
            )
        _check_range(self.phase1, self.phase2, total, "weight")
        if disjoint := self._disjoint_pair(total):
            raise DisjointQuorums(*disjoint)

    def is_phase1(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-1 quorum."""
        return self._weight(servers) >= self.phase1

    def is_phase2(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-2 quorum."""
        return self._weight(servers) >= self.phase2

    def _weight(self, servers: Set[ServerId]) -> int:
        return sum(weight for server, weight in self.weights if server in servers)

    def _disjoint_pair(self, total: int) -> tuple[Set[ServerId], Set[ServerId]] | None:
        """Disjoint quorums split the members: one side weighs phase1, and leaves phase2 outside."""
        most = total - self.phase2
        sides: dict[int, frozenset[ServerId]] = {0: frozenset()}
        for server, weight in self.weights:
            larger = {sum_ + weight: side | {server} for sum_, side in sides.items()}
            sides |= {sum_: side for sum_, side in larger.items() if sum_ <= most}
        for weight, side in sides.items():
            if weight >= self.phase1:
                return side, self.members - side
        return None


def _named(system: Explicit) -> frozenset[ServerId]:
    return frozenset(server for quorum in system.phase1 | system.phase2 for server in quorum)


@final
@frozen
class Explicit:
    """Quorums by name: every phase-1 and every phase-2 quorum written out (a grid, a tree).

    Raises QuorumError if a phase has no quorum or an empty one, DisjointQuorums if two are.
    """

    phase1: frozenset[frozenset[ServerId]]
    phase2: frozenset[frozenset[ServerId]]
    members: frozenset[ServerId] = field(
        init=False, repr=False, eq=False, default=Factory(_named, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if not self.phase1 or not self.phase2:
            raise QuorumError("a phase without any quorum can never end: list at least one.")
        if frozenset() in self.phase1 | self.phase2:
            raise QuorumError("an empty quorum would choose without any server: name its servers.")
        for first in sorted(self.phase1, key=sorted):
            for second in sorted(self.phase2, key=sorted):
                if not first & second:
                    raise DisjointQuorums(first, second)

    def is_phase1(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-1 quorum."""
        return any(quorum <= servers for quorum in self.phase1)

    def is_phase2(self, servers: Set[ServerId]) -> bool:
        """Whether ``servers`` hold a phase-2 quorum."""
        return any(quorum <= servers for quorum in self.phase2)


QuorumSystem: TypeAlias = BySize | ByWeight | Explicit
"""Which servers are enough, in each of the two phases; any two of different phases meet."""


def majority(members: Iterable[ServerId]) -> BySize:
    """More than half of the members in both phases: 2 of 3, 3 of 4, 3 of 5."""
    ids = _distinct(members)
    half = len(ids) // 2
    return BySize(ids, half + 1, half + 1)


def flexible(members: Iterable[ServerId], *, phase1: int, phase2: int) -> BySize:
    """Any ``phase1`` members promise, any ``phase2`` accept; together more than all members."""
    return BySize(_distinct(members), phase1, phase2)


def weighted(
    weights: Mapping[ServerId, int], *, phase1: int | None = None, phase2: int | None = None
) -> ByWeight:
    """Members that weigh enough together; more than half of the whole weight if not said."""
    for weight in weights.values():
        _check_whole("a weight", weight)
    half = sum(weights.values()) // 2
    return ByWeight(
        tuple(sorted(weights.items())),
        half + 1 if phase1 is None else phase1,
        half + 1 if phase2 is None else phase2,
    )


def explicit(
    *, phase1: Iterable[Iterable[ServerId]], phase2: Iterable[Iterable[ServerId]]
) -> Explicit:
    """Any set system, written out."""
    return Explicit(frozenset(map(frozenset, phase1)), frozenset(map(frozenset, phase2)))


def _distinct(members: Iterable[ServerId]) -> frozenset[ServerId]:
    ids = tuple(members)
    distinct = frozenset(ids)
    if len(distinct) < len(ids):
        raise QuorumError(f"a member is named twice: {sorted(ids)}. Name each one once.")
    return distinct


def _check_whole(what: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int):
        raise QuorumError(f"{what} is {number!r:.80}: use a whole number.")


def _check_range(phase1: int, phase2: int, whole: int, of: str) -> None:
    if whole < 1:
        raise QuorumError(f"no {of} at all: nothing could be chosen. Name some servers.")
    for phase, needed in (1, phase1), (2, phase2):
        _check_whole(f"the size of a phase-{phase} quorum", needed)
        if not 1 <= needed <= whole:
            raise QuorumError(
                f"a phase-{phase} quorum of {needed} out of {whole} {of} cannot be: "
                f"it takes at least 1 and at most {whole}."
            )
