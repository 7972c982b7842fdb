"""Councils: whole servers that decide over the transport under test.

- A message that arrives waits, in whichever thread it came, until the council steps its servers.
- The clock is that of the machine, and jumps to the next wake-up when nothing else happens any
  more: so a network has its time, and a loop in memory need not wait.
"""

from __future__ import annotations

import heapq
import time
from itertools import count
from random import Random
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from paxos import Done, From, ServerId, majority, server
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.host import Host, ServerStopped
from paxos_adapters.memory import MemoryStore
from paxos_adapters.ports import Ports
from paxos_adapters.single import SingleHost, single
from paxos_adapters.timeouts import Timeouts
from paxos_testing.traffic import Traffic, ends_in_time

V = TypeVar("V")
Due: TypeAlias = tuple[float, int, ServerId, ServerTimer]

WAKES, PATIENCES = 5_000, 30
"""How often time may pass while nothing happens, and how often patience may be over."""

PACE = Timeouts(retry_min_s=0.02, retry_max_s=1.0)


class _Clock:
    """Time that can jump ahead, and the wake-ups to come."""

    def __init__(self) -> None:
        self.due: list[Due] = []
        self._ahead_s = 0.0
        self._ids = count()

    def set_timer(self, me: ServerId, timer: ServerTimer, delay_s: float) -> None:
        heapq.heappush(self.due, (self._now_s() + delay_s, next(self._ids), me, timer))

    def is_due(self) -> bool:
        """Whether the time of some wake-up has come."""
        return bool(self.due) and self.due[0][0] <= self._now_s()

    def next(self) -> tuple[ServerId, ServerTimer]:
        """The next wake-up; if its time has not come, it comes."""
        due_s, _, me, wake = heapq.heappop(self.due)
        self._ahead_s += max(0.0, due_s - self._now_s())
        return me, wake

    def _now_s(self) -> float:
        return time.monotonic() + self._ahead_s


@frozen
class _Alarm:
    """The timer of one server."""

    me: ServerId
    clock: _Clock

    def set_timer(self, timer: ServerTimer, delay_s: float) -> None:
        self.clock.set_timer(self.me, timer, delay_s)


class Council(Generic[V]):
    """Servers under the majority of ``members``, of which those run that were let in."""

    def __init__(self, traffic: Traffic[V], members: tuple[ServerId, ...], seed: int) -> None:
        self.told: dict[ServerId, V] = {}
        """What each server has reported as chosen, since it was asked last."""
        self._traffic, self._quorum, self._random = traffic, majority(members), Random(seed)
        self._hosts: dict[ServerId, SingleHost[V]] = {}
        self._asked: set[ServerId] = set()
        self._clock = _Clock()
        self._heard = len(traffic.arrivals)

    def enter(self, *servers: ServerId) -> None:
        """Run a server on the transport of each of these, which are up."""
        for me in servers:
            ports = Ports(
                self._traffic.transport(me),
                _Alarm(me, self._clock),
                MemoryStore[server.Record[V]](),
            )
            self._hosts[me] = Host(
                single(), me, self._quorum, ports, timeouts=PACE, random=self._random
            )

    def ask(self, me: ServerId, request: ClientRequest[V]) -> None:
        """Let one server propose a value, or find out what is chosen."""
        self._asked.add(me)
        self.told.pop(me, None)
        self._traffic.do(lambda: self._tell(me, request))

    def decide(self) -> bool:
        """Let it all run until all servers that were asked have reported: whether they have."""
        end_s = time.monotonic() + PATIENCES * self._traffic.patience_s
        for _ in range(WAKES):
            if self._traffic.until(self._go_on):
                return True
            if not self._clock.due or time.monotonic() > end_s:
                break
            self._traffic.do(self._wake_next)
        return False

    def _go_on(self) -> bool:
        while self._heard < len(self._traffic.arrivals):
            it = self._traffic.arrivals[self._heard]
            self._heard += 1
            if it.receiver in self._hosts:
                self._tell(it.receiver, From(it.sender, it.message))
        while self._clock.is_due():
            self._wake_next()
        return self._asked <= self.told.keys()

    def _wake_next(self) -> None:
        self._tell(*self._clock.next())

    def _tell(self, me: ServerId, event: server.Event[V]) -> None:
        try:
            with ends_in_time(f"what server {me} sent in one step"):
                reports = self._hosts[me].receive(event)
        except ServerStopped as stopped:
            raise AssertionError(
                f"{stopped} Here no disk was lost and no id is used twice: the transport altered a "
                "message, or named a wrong sender."
            ) from stopped
        for report in reports:
            if type(report) is Done:
                self.told[me] = report.value
