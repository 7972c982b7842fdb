"""A cluster in the middle of a run, for strategies that draw what happens in it.

- Every step is one of the machine's own: each state that a cluster has reached is reachable.
- Each save succeeds at once. A crash takes all that is not on the disk; old timers may still fire.
- Nothing here draws: ``strategies.py`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

from attrs import Factory, define, frozen

from paxos import (
    From,
    Message,
    QuorumSystem,
    Server,
    ServerId,
    server,
)
from paxos.proposer import Accepting, Preparing
from paxos.reader import Querying
from paxos.server import ServerTimer
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, SingleDriver, single

V = TypeVar("V")

Way: TypeAlias = tuple[ServerId, ServerId, Message[V]]
"""The sender, the receiver, and the message."""

Told: TypeAlias = tuple[ServerId, server.Report[V]]
"""Which server reports, and what."""


@frozen
class Situation(Generic[V]):
    """A cluster at one moment: states, disks, and all that can still happen.

    ``sent`` is every message ever sent: each can arrive late, or again. ``timers`` are those that
    have not fired, of earlier sessions too. ``reads`` is how many reads have begun.
    """

    quorum: QuorumSystem
    servers: Mapping[ServerId, Server[V]]
    disks: Mapping[ServerId, tuple[server.Record[V], ...]]
    sent: tuple[Way[V], ...]
    timers: tuple[tuple[ServerId, ServerTimer], ...]
    proposed: tuple[V, ...]
    reports: tuple[Told[V], ...]
    reads: int


@define
class RunningCluster(Generic[V]):
    """A cluster that takes one act after the other."""

    quorum: QuorumSystem
    machine: Single[V]
    drivers: dict[ServerId, SingleDriver[V]]
    sent: list[Way[V]] = Factory(list[Way[V]])
    in_flight: list[Way[V]] = Factory(list[Way[V]])
    timers: list[tuple[ServerId, ServerTimer]] = Factory(list[tuple[ServerId, ServerTimer]])
    proposed: list[V] = Factory(list[V])
    reports: list[Told[V]] = Factory(list[Told[V]])
    reads: int = 0

    @classmethod
    def begin(cls, quorum: QuorumSystem) -> RunningCluster[V]:
        """A new cluster: every server has started from an empty disk."""
        machine: Single[V] = single()
        members = sorted(quorum.members)
        return cls(quorum, machine, {me: Driver(machine, Place(me), quorum) for me in members})

    def step(self, me: ServerId, event: server.Event[V]) -> None:
        """One step, its save, and what leaves after it."""
        driver = self.drivers[me]
        effects = self.machine.sort(driver.process, driver.step(event))
        ways = [(me, receiver, message) for receiver, message in effects.messages]
        self.sent.extend(ways)
        self.in_flight.extend(ways)
        self.timers.extend((me, request.timer) for request in effects.timers)
        self.reports.extend((me, report) for report in effects.reports)

    def deliver(self, sender: ServerId, receiver: ServerId, message: Message[V]) -> None:
        """A message arrives; it may be one that arrived before."""
        self.step(receiver, From(sender, message))

    def crash(self, me: ServerId) -> None:
        """Start a server again from its disk."""
        disk = self.drivers[me].stop("crashes")
        self.drivers[me] = Driver(self.machine, Place(me), self.quorum, disk)

    def situation(self) -> Situation[V]:
        """The cluster as it is now."""
        return Situation(
            self.quorum,
            {me: it.process.state for me, it in self.drivers.items()},
            {me: it.process.disk for me, it in self.drivers.items()},
            tuple(self.sent),
            tuple(self.timers),
            tuple(self.proposed),
            tuple(self.reports),
            self.reads,
        )


def is_working(state: Server[V]) -> bool:
    """Whether a request is in progress, so that another one would raise Busy."""
    return isinstance(state.proposer.phase, Querying | Preparing | Accepting)
