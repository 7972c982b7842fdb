"""A proposer beside readers that poll: it is done soon, and every read comes to an end.

Whole hosts on a network with delays, in virtual time: a seed is the same run everywhere.
"""

from __future__ import annotations

import heapq
from itertools import count
from random import Random
from typing import TypeAlias

import pytest
from attrs import frozen

from paxos import (
    Done,
    From,
    Inquire,
    Message,
    Propose,
    Read,
    ReadId,
    ServerId,
    majority,
    server,
)
from paxos.proposer import Idle
from paxos.server import ServerTimer
from paxos_adapters.host import Host
from paxos_adapters.memory import MemoryStore
from paxos_adapters.ports import Ports
from paxos_adapters.single import SingleHost, single

Event: TypeAlias = server.Event[str]
S1 = ServerId(1)
PROPOSED_S = 0.5


@frozen
class Port:
    """The transport and the timer of one server."""

    me: ServerId
    world: World

    def send(self, receiver: ServerId, message: Message[str]) -> None:
        self.world.send(self.me, receiver, message)

    def set_timer(self, timer: ServerTimer, delay_s: float) -> None:
        self.world.later(self.me, timer, delay_s)


class World:
    """Servers; ``readers`` at each of them ask again ``pause_s`` after each answer of nothing.

    Without ``queries`` they inquire, as reads did before there were quorum reads.
    """

    def __init__(
        self,
        size: int,
        readers: int,
        *,
        seed: int,
        pause_s: float,
        delay_s: float,
        loss: float = 0.0,
        queries: bool = True,
    ) -> None:
        self.random = Random(seed)
        self.pause_s, self.delay_s, self.loss, self.queries = pause_s, delay_s, loss, queries
        self.now_s = 0.0
        self.due: list[tuple[float, int, ServerId, Event | None]] = []
        self.ids = count()
        self.members = tuple(ServerId(number) for number in range(1, size + 1))
        self.hosts = {me: self._host(me) for me in self.members}
        self.waiting: dict[ServerId, list[Propose[str]]] = {me: [] for me in self.members}
        self.readers = dict.fromkeys(self.members, readers)
        self.known_s: dict[ServerId, float] = {}
        self.reads = 0
        for me in self.members * readers:
            self.later(me, None, self.random.random() * delay_s)

    def _host(self, me: ServerId) -> SingleHost[str]:
        port = Port(me, self)
        store = MemoryStore[server.Record[str]]()
        quorum = majority(self.members)
        return Host(single(), me, quorum, Ports(port, port, store), random=self.random)

    def later(self, me: ServerId, event: Event | None, delay_s: float) -> None:
        """Something happens to a server: an event, or a reader asks (None)."""
        heapq.heappush(self.due, (self.now_s + delay_s, next(self.ids), me, event))

    def send(self, me: ServerId, receiver: ServerId, message: Message[str]) -> None:
        """Lost, or in progress for half the delay up to one and a half of it."""
        if me == receiver:
            self.later(receiver, From(me, message), 0)
        elif self.random.random() >= self.loss:
            delay_s = self.delay_s * (0.5 + self.random.random())
            self.later(receiver, From(me, message), delay_s)

    def run(self, until_s: float) -> None:
        """Let time pass, until everybody knows what is chosen, or it is ``until_s``."""
        while self.due and self.now_s < until_s and len(self.known_s) < len(self.hosts):
            self.now_s, _, me, event = heapq.heappop(self.due)
            if me not in self.hosts:
                continue
            if event is None:
                self.readers[me] += 1
            elif isinstance(event, Propose):
                self.waiting[me].append(event)
            else:
                self._tell(me, event)
            self._begin(me)

    def _begin(self, me: ServerId) -> None:
        """One thing at a time: a proposal comes before the next read."""
        if not isinstance(self.hosts[me].state.proposer.phase, Idle):
            return
        if self.waiting[me]:
            self._tell(me, self.waiting[me].pop())
        elif self.readers[me]:
            self.readers[me] -= 1
            self.reads += 1
            self._tell(me, Read(ReadId(me, next(self.ids))) if self.queries else Inquire())

    def _tell(self, me: ServerId, event: Event) -> None:
        for report in self.hosts[me].receive(event):
            if isinstance(report, Done):
                self.known_s.setdefault(me, self.now_s)
            else:
                self.later(me, None, self.pause_s)


SETTINGS = [  # servers, readers at each, pause, delay, within how many seconds
    pytest.param(3, 1, 0.0, 0.005, 0.1, id="three servers, one reader each, no pause"),
    pytest.param(3, 1, 0.0, 0.025, 0.3, id="the same, slower"),
    pytest.param(5, 2, 0.2, 0.025, 0.3, id="five servers, two readers each"),
    pytest.param(5, 2, 0.0, 0.025, 0.3, id="the same, without a pause"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "readers", "pause_s", "delay_s", "bound_s"), SETTINGS)
def test_a_proposer_beside_readers_is_done_within_a_bound(
    size: int, readers: int, pause_s: float, delay_s: float, bound_s: float
) -> None:
    """At most three round trips of the longest delay, from the request to everybody's knowing."""
    for seed in range(40):
        world = World(size, readers, seed=seed, pause_s=pause_s, delay_s=delay_s)
        world.later(S1, Propose("red"), PROPOSED_S)
        world.run(until_s=60)
        assert len(world.known_s) == size, f"seed {seed}"
        assert max(world.known_s.values()) < PROPOSED_S + bound_s, f"seed {seed}"
        assert world.reads > size


@pytest.mark.slow
def test_beside_inquiries_it_was_not() -> None:
    """What the bound is worth: readers that prepare a ballot each time starve the proposer."""
    starved = 0
    for seed in range(10):
        world = World(3, 1, seed=seed, pause_s=0.0, delay_s=0.005, queries=False)
        world.later(S1, Propose("red"), PROPOSED_S)
        world.run(until_s=5)
        starved += len(world.known_s) < 3
    assert starved > 5


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_beside_readers_messages_may_get_lost(loss: float) -> None:
    for seed in range(20):
        world = World(5, 2, seed=seed, pause_s=0.2, delay_s=0.025, loss=loss)
        world.later(S1, Propose("red"), PROPOSED_S)
        world.run(until_s=60)
        assert len(world.known_s) == 5, f"seed {seed}"


@pytest.mark.parametrize("accepted", [1, 2])
def test_a_read_comes_to_an_end_when_its_proposer_has_gone(accepted: int) -> None:
    """S1 goes down when one or two of five have accepted: readers complete it, or find nothing."""
    for seed in range(20):
        world = World(5, 1, seed=seed, pause_s=0.1, delay_s=0.01)
        world.later(S1, Propose("red"), PROPOSED_S)
        while accepted > sum(it.state.acceptor.accepted is not None for it in world.hosts.values()):
            world.run(until_s=world.now_s + 0.0001)
        del world.hosts[S1]
        began = world.reads
        world.run(until_s=60)
        assert len(world.known_s) == 4 or world.reads > began + 1_000, f"seed {seed}"
