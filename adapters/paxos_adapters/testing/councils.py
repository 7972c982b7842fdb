"""Councils: whole servers that decide over the transport under test.

- A message that arrives waits, in whichever thread it came, until the council steps its servers.
- Delays are over when their time has come, or when nothing else happens any more: so a loop in
  memory need not wait, and a network has its time.
"""

from __future__ import annotations

import heapq
import time
from itertools import count
from random import Random
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from paxos import Done, From, Inquire, Propose, ServerId, majority, server
from paxos.server import Wakeup
from paxos_adapters.host import Host, Pace, Stopped
from paxos_adapters.memory import MemoryStore
from paxos_adapters.testing.traffic import Traffic, ends_in_time

V = TypeVar("V")
Due: TypeAlias = tuple[float, int, ServerId, Wakeup]

WAKES = 100
"""How often time may pass while nothing happens."""

PACE = Pace(shortest_s=0.02, longest_s=1.0)


@frozen
class _Alarm:
    """The timer of one server of a council."""

    me: ServerId
    due: list[Due]
    ids: count[int]

    def wake_later(self, wake: Wakeup, delay_s: float) -> None:
        heapq.heappush(self.due, (time.monotonic() + delay_s, next(self.ids), self.me, wake))


class Council(Generic[V]):
    """Servers under the majority of ``members``, of which those run that were let in."""

    def __init__(self, traffic: Traffic[V], members: tuple[ServerId, ...], seed: int) -> None:
        self.told: dict[ServerId, V] = {}
        """What each server has reported as chosen, since it was asked last."""
        self._traffic, self._quorum, self._random = traffic, majority(members), Random(seed)
        self._hosts: dict[ServerId, Host[V]] = {}
        self._asked: set[ServerId] = set()
        self._due: list[Due] = []
        self._ids = count()
        self._heard = len(traffic.arrivals)

    def enter(self, *servers: ServerId) -> None:
        """Run a server on the transport of each of these, which are up."""
        for me in servers:
            self._hosts[me] = Host(
                me,
                self._quorum,
                store=MemoryStore[server.Record[V]](),
                transport=self._traffic.transport(me),
                timer=_Alarm(me, self._due, self._ids),
                pace=PACE,
                random=self._random,
            )

    def ask(self, me: ServerId, request: Propose[V] | Inquire) -> None:
        """Let one server propose a value, or find out what is chosen."""
        self._asked.add(me)
        self.told.pop(me, None)
        self._traffic.do(lambda: self._tell(me, request))

    def decide(self) -> bool:
        """Let it all run until everybody who was asked has reported: whether they have."""
        for _ in range(WAKES):
            if self._traffic.until(self._go_on):
                return True
            if self._due:
                self._traffic.do(self._wake_next)
        return False

    def _go_on(self) -> bool:
        while self._heard < len(self._traffic.arrivals):
            it = self._traffic.arrivals[self._heard]
            self._heard += 1
            if it.receiver in self._hosts:
                self._tell(it.receiver, From(it.sender, it.message))
        while self._due and self._due[0][0] <= time.monotonic():
            self._wake_next()
        return self._asked <= self.told.keys()

    def _wake_next(self) -> None:
        _, _, me, wake = heapq.heappop(self._due)
        self._tell(me, wake)

    def _tell(self, me: ServerId, event: server.Event[V]) -> None:
        try:
            with ends_in_time(f"what server {me} sent in one step"):
                reports = self._hosts[me].receive(event)
        except Stopped as stopped:
            raise AssertionError(
                f"{stopped} Here no disk was lost and no id is used twice: the transport altered a "
                "message, or named a wrong sender."
            ) from stopped
        for report in reports:
            if type(report) is Done:
                self.told[me] = report.value
