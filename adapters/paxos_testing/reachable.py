"""A cluster in the middle of its work, for strategies that draw what happens in it.

- Every step is one of the core's own functions: what a world has come to can be come to.
- A save works. A crash takes all that is not on the disk, and old wake-ups may still come.
- Nothing here draws: ``strategies.py`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeAlias, TypeVar

from attrs import Factory, define, frozen

from paxos import (
    Broadcast,
    From,
    Message,
    QuorumSystem,
    Server,
    ServerId,
    SetTimer,
    Tell,
    To,
    server,
)
from paxos.errors import assert_never
from paxos.proposer import Accepting, Preparing
from paxos.reader import Querying
from paxos.server import ServerTimer
from paxos_lab.transitions import settle

V = TypeVar("V")

Way: TypeAlias = tuple[ServerId, ServerId, Message[V]]
"""Who sent it, to whom, and what."""

Told: TypeAlias = tuple[ServerId, server.Report[V]]
"""Which server reports, and what."""


@frozen
class Situation(Generic[V]):
    """How a cluster stands: states, disks, and all that can still happen.

    ``sent`` is every message ever sent: each can come late, or again. ``wakeups`` are those still
    owed to a server, old lives of it included. ``reads`` is how many reads have begun.
    """

    quorum: QuorumSystem
    servers: Mapping[ServerId, Server[V]]
    disks: Mapping[ServerId, tuple[server.Record[V], ...]]
    sent: tuple[Way[V], ...]
    wakeups: tuple[tuple[ServerId, ServerTimer], ...]
    proposed: tuple[V, ...]
    reports: tuple[Told[V], ...]
    reads: int


@define
class World(Generic[V]):
    """A cluster that is moved on, act by act."""

    quorum: QuorumSystem
    servers: dict[ServerId, Server[V]]
    disks: dict[ServerId, dict[type, server.Record[V]]]
    sent: list[Way[V]] = Factory(list[Way[V]])
    flying: list[Way[V]] = Factory(list[Way[V]])
    wakeups: list[tuple[ServerId, ServerTimer]] = Factory(list[tuple[ServerId, ServerTimer]])
    proposed: list[V] = Factory(list[V])
    reports: list[Told[V]] = Factory(list[Told[V]])
    reads: int = 0

    def step(self, me: ServerId, event: server.Event[V]) -> None:
        """One step, its save, and what leaves after it."""
        done = settle(server.receive(self.servers[me], event))
        self.servers[me] = done.state
        if done.record is not None:
            self.disks[me][type(done.record)] = done.record
        for effect in done.effects:
            self.carry_out(me, effect)

    def carry_out(self, me: ServerId, effect: server.Effect[V]) -> None:
        """Do what a server wants done."""
        if type(effect) is To:
            self.send(me, [effect.receiver], effect.message)
        elif type(effect) is Broadcast:
            self.send(me, self.servers, effect.message)
        elif type(effect) is SetTimer:
            self.wakeups.append((me, effect.timer))
        elif type(effect) is Tell:
            self.reports.append((me, effect.report))
        else:
            assert_never(effect)

    def send(self, me: ServerId, receivers: Iterable[ServerId], message: Message[V]) -> None:
        """Put ``message`` on its way to each of ``receivers``."""
        ways = [(me, receiver, message) for receiver in receivers]
        self.sent.extend(ways)
        self.flying.extend(ways)

    def deliver(self, sender: ServerId, receiver: ServerId, message: Message[V]) -> None:
        """Let a message arrive; it may be one that arrived before."""
        self.step(receiver, From(sender, message))

    def crash(self, me: ServerId) -> None:
        """Start a server again from its disk."""
        self.servers[me] = server.start(me, self.quorum, self.disks[me].values())

    def situation(self) -> Situation[V]:
        """How it stands."""
        return Situation(
            self.quorum,
            dict(self.servers),
            {me: tuple(disk.values()) for me, disk in self.disks.items()},
            tuple(self.sent),
            tuple(self.wakeups),
            tuple(self.proposed),
            tuple(self.reports),
            self.reads,
        )


def is_working(state: Server[V]) -> bool:
    """Whether something is under way, so that another question would raise Busy."""
    return isinstance(state.proposer.phase, Querying | Preparing | Accepting)
