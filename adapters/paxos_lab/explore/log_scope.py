"""How large a log to explore, and what may happen to its replicas."""

from __future__ import annotations

from enum import Enum

from attrs import Factory, field, frozen

from paxos import QuorumSystem, ServerId, majority
from paxos.log import Command, Rules
from paxos_adapters import arguments, limits
from paxos_adapters.log import Log
from paxos_lab.explore.log_claims import CLAIMED
from paxos_lab.explore.scopes import ScopeError
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.machines.protocols import VALUES


class Heartbeats(Enum):
    """Which replicas may send a heartbeat at any time."""

    NONE = "none"
    LEADERS = "leaders"
    ALL = "all"


def _majority(scope: LogScope) -> QuorumSystem:
    count = arguments.whole("servers", scope.servers, 1, limits.MAX_SERVERS)
    return majority(map(ServerId, range(1, count + 1)))


def _rules(scope: LogScope) -> Rules:
    return Rules(window=scope.window or scope.slots, piece=scope.piece)


def _machine(scope: LogScope) -> Log[str]:
    return scope.protocol.machine(scope.rules)


@frozen
class LogScope:
    """How many servers and slots, and what may happen.

    The first ``leaders`` servers may ask for the lead, ``ballots`` times each. A leader proposes a
    value of its own for each slot. ``crashes`` is how many there may be in all. ``window`` is the
    log's, 0 for as many as there are slots; ``piece`` is how many entries a message carries.
    ``forgets`` are the kinds of messages that are forgotten once they are ignored: fewer are
    slower, and none is the measure of what forgetting keeps. Raises ScopeError, BadNumber.
    """

    servers: int = 3
    slots: int = 1
    leaders: int = 2
    ballots: int = 1
    heartbeats: Heartbeats = Heartbeats.NONE
    crashes: int = 0
    window: int = 0
    piece: int = 1
    protocol: LogProtocol = LOG
    forgets: frozenset[type[object]] = CLAIMED
    quorum: QuorumSystem = field(init=False, default=Factory(_majority, takes_self=True))
    rules: Rules = field(init=False, default=Factory(_rules, takes_self=True))
    machine: Log[str] = field(init=False, eq=False, default=Factory(_machine, takes_self=True))

    def __attrs_post_init__(self) -> None:
        for name in "slots", "leaders", "ballots", "piece":
            arguments.whole(name, getattr(self, name), 1)
        for name in "crashes", "window":
            arguments.whole(name, getattr(self, name), 0)
        most = min(self.servers, len(VALUES))
        if self.leaders > most:
            raise ScopeError(
                f"{self.leaders} leaders among {self.servers} servers: there can be {most} at "
                "most, since each of them is a server."
            )

    def ballots_of(self, server: ServerId) -> int:
        """How often ``server`` may ask for the lead."""
        return self.ballots if server <= self.leaders else 0

    def entry(self, leader: ServerId, slot: int) -> Command[str]:
        """What ``leader`` proposes for ``slot``."""
        return Command(f"{VALUES[leader - 1]}{slot}")

    def entries(self, slot: int) -> frozenset[Command[str]]:
        """All that may be proposed for ``slot``."""
        return frozenset(self.entry(ServerId(it), slot) for it in range(1, self.leaders + 1))
