"""How large a cluster to explore, and what may happen to it."""

from __future__ import annotations

from attrs import Factory, field, frozen

from paxos import QuorumSystem, ServerId, UsageError, majority
from paxos_adapters import arguments, limits
from paxos_lab.machines.protocols import PAXOS, VALUES, Protocol


class ScopeError(UsageError, ValueError):
    """A cluster that cannot be explored as it was described."""


def _majority(scope: Scope) -> QuorumSystem:
    count = arguments.whole("acceptors", scope.acceptors, 0, limits.MAX_SERVERS)
    return majority(map(ServerId, range(1, count + 1)))


@frozen
class Scope:
    """How large a cluster, and what may happen to it.

    ``ballots`` is how many each client may use, ``crashes`` how many there may be in all. Where
    proposers propose, readers read, ``reads`` times each, and inquirers inquire. Each proposer has
    a value of its own, and another one after a crash. Without ``drop_ignored_messages`` every
    message is kept; without ``reduced`` nothing is left out, which is slow, and the measure of what
    the reductions keep. Raises ScopeError, BadNumber.
    """

    acceptors: int = 3
    proposers: int = 2
    ballots: int = 2
    crashes: int = 0
    readers: int = 0
    protocol: Protocol = PAXOS
    quorum: QuorumSystem = field(default=Factory(_majority, takes_self=True))
    reduced: bool = True
    drop_ignored_messages: bool = True
    reads: int = 1
    inquirers: int = 0

    @property
    def clients(self) -> int:
        """How many processes propose, read or inquire."""
        return self.proposers + self.readers + self.inquirers

    @property
    def values(self) -> frozenset[str]:
        """All that may be proposed."""
        restarts = range(self.crashes + 1)
        return frozenset(value + "'" * n for value in VALUES[: self.proposers] for n in restarts)

    def __attrs_post_init__(self) -> None:
        for name in "acceptors", "proposers", "ballots", "crashes", "readers", "reads", "inquirers":
            arguments.whole(name, getattr(self, name), 0)
        if len(self.quorum.members) != self.acceptors:
            raise ScopeError(
                f"{self.acceptors} acceptors, and a quorum system of {len(self.quorum.members)} "
                "members: name as many of the one as of the other."
            )
        if not 1 <= self.clients <= min(self.acceptors, len(VALUES)):
            raise ScopeError(
                f"{self.proposers} proposers, {self.readers} readers and {self.inquirers} "
                f"inquirers among {self.acceptors} acceptors: there must be one at least, and "
                f"{min(self.acceptors, len(VALUES))} at most, since each of them is a server too."
            )
        if self.ballots < 1 or self.reads < 1:
            raise ScopeError("it takes at least one ballot and one read each.")
