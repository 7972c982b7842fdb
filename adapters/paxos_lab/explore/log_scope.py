"""How large a log to explore, and what may happen to its replicas."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from enum import Enum
from typing import TypeAlias

from attrs import Factory, field, frozen

from paxos import QuorumSystem, ServerId, majority
from paxos.log import Change, Command, Rules
from paxos_adapters import arguments, limits
from paxos_adapters.log import Log
from paxos_lab.explore.log_claims import CLAIMED
from paxos_lab.explore.scopes import ScopeError
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.machines.protocols import VALUES

SlotEntry: TypeAlias = tuple[int, Hashable]
"""What is chosen for a slot."""


class Heartbeats(Enum):
    """Which replicas may send a heartbeat at any time."""

    NONE = "none"
    LEADERS = "leaders"
    ALL = "all"


def _servers(scope: LogScope) -> frozenset[ServerId]:
    count = arguments.whole("servers", scope.servers, 1, limits.MAX_SERVERS)
    return frozenset(map(ServerId, range(1, count + 1)))


def _quorum(scope: LogScope) -> QuorumSystem:
    return scope.founders or majority(scope.members)


def _rules(scope: LogScope) -> Rules:
    return Rules(window=scope.window or scope.slots, piece=scope.piece)


def _machine(scope: LogScope) -> Log[str]:
    return scope.protocol.machine(scope.rules)


@frozen
class LogScope:
    """How many servers and slots, and what may happen.

    The first ``leaders`` servers may ask for the lead, ``ballots`` times each. A leader proposes a
    value of its own for each slot; the first one proposes the ``change`` for the first slot, if
    there is one. ``founders`` decide until then, None for a majority of all. ``crashes`` is how
    many there may be in all. ``window`` is the log's, 0 for as many as there are slots;
    ``piece`` is how many entries a message carries. ``forgets`` are the kinds of messages that are
    forgotten once they are ignored: fewer are slower, and none is the measure of what forgetting
    keeps. Raises ScopeError, BadNumber.
    """

    servers: int = 3
    slots: int = 1
    leaders: int = 2
    ballots: int = 1
    heartbeats: Heartbeats = Heartbeats.NONE
    crashes: int = 0
    window: int = 0
    piece: int = 1
    founders: QuorumSystem | None = None
    change: QuorumSystem | None = None
    protocol: LogProtocol = LOG
    forgets: frozenset[type[object]] = CLAIMED
    members: frozenset[ServerId] = field(init=False, default=Factory(_servers, takes_self=True))
    quorum: QuorumSystem = field(init=False, default=Factory(_quorum, takes_self=True))
    rules: Rules = field(init=False, default=Factory(_rules, takes_self=True))
    machine: Log[str] = field(init=False, eq=False, default=Factory(_machine, takes_self=True))

    def __attrs_post_init__(self) -> None:
        for name in "slots", "leaders", "ballots", "piece":
            arguments.whole(name, getattr(self, name), 1)
        for name in "crashes", "window":
            arguments.whole(name, getattr(self, name), 0)
        for quorum in (self.quorum, self.change or self.quorum):
            if not quorum.members <= self.members:
                raise ScopeError(
                    f"the members {sorted(quorum.members)} are not all among the servers 1 to "
                    f"{self.servers}."
                )
        most = min(self.servers, len(VALUES))
        if self.leaders > most:
            raise ScopeError(
                f"{self.leaders} leaders among {self.servers} servers: there can be {most} at "
                "most, since each of them is a server."
            )

    def ballots_of(self, server: ServerId) -> int:
        """How often ``server`` may ask for the lead."""
        return self.ballots if server <= self.leaders else 0

    def governing(self, slot: int, chosen: Iterable[SlotEntry]) -> QuorumSystem:
        """The quorums of ``slot``, once these entries are ``chosen``."""
        changes = (
            it.quorum for at, it in chosen if type(it) is Change if at + self.rules.window <= slot
        )
        return next(changes, self.quorum)

    def entry(self, leader: ServerId, slot: int) -> Command[str] | Change:
        """What ``leader`` proposes for ``slot``."""
        if self.change is not None and (leader, slot) == (1, 1):
            return Change(self.change)
        return Command(f"{VALUES[leader - 1]}{slot}")

    def entries(self, slot: int) -> frozenset[Command[str] | Change]:
        """All that may be proposed for ``slot``."""
        return frozenset(self.entry(ServerId(it), slot) for it in range(1, self.leaders + 1))
