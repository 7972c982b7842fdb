"""How large a cluster to explore, and what may happen to it."""

from __future__ import annotations

from attrs import Factory, field, frozen

from paxos import PaxosError, QuorumSystem, ServerId, majority
from paxos_adapters import numbers
from paxos_adapters.protocols import PAXOS, VALUES, Protocol


class ScopeError(PaxosError, ValueError):
    """A cluster that cannot be explored as it was described."""


def _majority(scope: Scope) -> QuorumSystem:
    count = numbers.whole("acceptors", scope.acceptors, 0, numbers.MAX_SERVERS)
    return majority(map(ServerId, range(1, count + 1)))


@frozen
class Scope:
    """How large a cluster, and what may happen to it.

    ``ballots`` is how many each asker may use, ``crashes`` how many there may be in all. Readers
    inquire where proposers propose; each proposer has a value of its own, and another one after
    a crash. Without ``forgetful`` no message is forgotten; without ``reduced`` nothing is left out,
    which is slow, and the measure of what the reductions keep. Raises
    ScopeError, BadNumber.
    """

    acceptors: int = 3
    proposers: int = 2
    ballots: int = 2
    crashes: int = 0
    readers: int = 0
    protocol: Protocol = PAXOS
    quorum: QuorumSystem = field(default=Factory(_majority, takes_self=True))
    reduced: bool = True
    forgetful: bool = True

    @property
    def values(self) -> frozenset[str]:
        """All that may be proposed."""
        lives = range(self.crashes + 1)
        return frozenset(value + "'" * n for value in VALUES[: self.proposers] for n in lives)

    def __attrs_post_init__(self) -> None:
        for name in "acceptors", "proposers", "ballots", "crashes", "readers":
            numbers.whole(name, getattr(self, name), 0)
        askers = self.proposers + self.readers
        if len(self.quorum.members) != self.acceptors:
            raise ScopeError(
                f"{self.acceptors} acceptors, and a quorum system of {len(self.quorum.members)} "
                "members: name as many of the one as of the other."
            )
        if not 1 <= askers <= min(self.acceptors, len(VALUES)):
            raise ScopeError(
                f"{self.proposers} proposers and {self.readers} readers among {self.acceptors} "
                f"acceptors: there must be one at least, and {min(self.acceptors, len(VALUES))} "
                "at most, since each of them is a server too."
            )
        if self.ballots < 1:
            raise ScopeError("it takes at least one ballot each.")
