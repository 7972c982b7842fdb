"""In memory: a network, a store and a clock in one process, and a cluster that runs on them.

- The network delivers every message, first in, first out, and takes no time for it.
- Time is virtual: when the network is quiet, the clock jumps to the next wake-up.
- The store survives a restart of its server, which loses everything else.
- The same seed repeats the same run.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from paxos import (
    From,
    Inquire,
    Message,
    OperationalError,
    Propose,
    Read,
    ReadId,
    Saved,
    ServerId,
    UnknownServer,
    UsageError,
    majority,
    server,
)
from paxos.quorum import QuorumSystem
from paxos.server import ServerTimer
from paxos_adapters import arguments, limits
from paxos_adapters.host import Host
from paxos_adapters.machine import latest
from paxos_adapters.ports import Place, Ports, Store
from paxos_adapters.single import Single, SingleHost, SingleObserver, single
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Timeouts

M = TypeVar("M")
R = TypeVar("R")
V = TypeVar("V")


@frozen
class Delivery(Generic[M]):
    """One message as it arrived, at the virtual time ``at_s`` in seconds."""

    at_s: float
    sender: ServerId
    receiver: ServerId
    message: M


@frozen
class TimerFired:
    """One wake-up as it came, at the virtual time ``at_s`` in seconds."""

    at_s: float
    server: ServerId
    wake: ServerTimer


class MemoryStore(Generic[R]):
    """Keeps what ``fold`` makes of the records, for as long as the process exists."""

    def __init__(self, fold: Callable[[tuple[R, ...], R], tuple[R, ...]] = latest) -> None:
        self._fold = fold
        self._disk: tuple[R, ...] = ()

    def load(self) -> Saved[R]:
        """A receipt for what is kept."""
        return Saved(self._disk)

    def save(self, records: tuple[R, ...]) -> Saved[R]:
        """Keep ``records``, in this order."""
        for record in records:
            self._disk = self._fold(self._disk, record)
        return Saved(records)


Event: TypeAlias = Delivery[Message[V]] | TimerFired
"""What has happened in a cluster: a message arrived, or a wake-up came."""


class Network(Generic[M]):
    """Messages on their way: first in, first out, none lost, none repeated."""

    def __init__(self) -> None:
        self.queue: deque[tuple[ServerId, ServerId, M]] = deque()


@frozen
class MemoryTransport(Generic[M]):
    """The transport of the server ``me``."""

    me: ServerId
    network: Network[M]

    def send(self, receiver: ServerId, message: M) -> None:
        """Queue ``message`` for ``receiver``."""
        self.network.queue.append((self.me, receiver, message))


class Clock:
    """Virtual time in seconds, and the wake-ups to come."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[tuple[float, int, ServerId, ServerTimer]] = []
        self._ids = count()

    def set_timer(self, server: ServerId, timer: ServerTimer, delay_s: float) -> None:
        """Note a wake-up of ``server``; those due at the same time keep their order."""
        heapq.heappush(self.due, (self.now_s + delay_s, next(self._ids), server, timer))

    def forget(self, server: ServerId) -> None:
        """Drop the wake-ups of a server that has crashed."""
        self.due = [it for it in self.due if it[2] != server]
        heapq.heapify(self.due)


@frozen
class MemoryTimer:
    """The timer of the server ``me``."""

    me: ServerId
    clock: Clock

    def set_timer(self, timer: ServerTimer, delay_s: float) -> None:
        """Note ``timer`` on the common clock."""
        self.clock.set_timer(self.me, timer, delay_s)


class DidNotSettle(OperationalError):
    """A run did not come to rest within its bound; ``history`` is what has happened so far."""

    def __init__(self, history: Sequence[object]) -> None:
        super().__init__(
            f"the cluster is still busy after {len(history)} events: the proposers may be "
            "blocking each other, or too few servers are up. Run it on, or look at the history."
        )
        self.history = history


class ServerDown(UsageError):
    """A server that has crashed was asked for something."""

    def __init__(self, server: ServerId) -> None:
        super().__init__(f"server {server} is down. Restart it, or ask another one.")


def _store(
    me: ServerId, stores: Callable[[ServerId], Store[server.Record[V]]] | None
) -> Store[server.Record[V]]:
    return MemoryStore() if stores is None else stores(me)


class Cluster(Generic[V]):
    """Servers in one process that agree on one value.

    Methods that take a server raise UnknownServer for one that is not a member.

    >>> cluster = Cluster[str](servers=5)
    >>> first, *_, last = cluster.servers
    >>> cluster.propose(first, "red")
    >>> cluster.propose(last, "blue")
    >>> history = cluster.run()
    >>> cluster.chosen[first]
    'blue'
    """

    def __init__(
        self,
        servers: int = 3,
        *,
        quorum: QuorumSystem | None = None,
        stores: Callable[[ServerId], Store[server.Record[V]]] | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        seed: int = 0,
        observer: SingleObserver[V] | None = None,
    ) -> None:
        """Servers 1 to ``servers`` under their majority, or the members of ``quorum``.

        ``stores`` gives each of them its store, one in memory if not said. ``observer`` is told
        what happens. Raises QuorumError for less than one server, BadNumber.
        """
        arguments.whole("servers", servers, 0, limits.MAX_SERVERS)
        arguments.whole("seed", seed)
        ids = (ServerId(number) for number in range(1, servers + 1))
        self.quorum = majority(ids) if quorum is None else quorum
        self.servers = tuple(sorted(self.quorum.members))
        self.reports: list[tuple[ServerId, server.Report[V]]] = []
        self._machine: Single[V] = single()
        self._timeouts = timeouts
        self._random = Random(seed)
        self._reads = count()
        self._observer = observer
        self._network = Network[Message[V]]()
        self._clock = Clock()
        self._stores = {me: _store(me, stores) for me in self.servers}
        self._hosts = {me: self._start(me) for me in self.servers}

    @property
    def chosen(self) -> dict[ServerId, V]:
        """What each server that is up knows to be chosen."""
        known = ((me, host.state.learner.choice) for me, host in self._hosts.items())
        return {me: choice.chosen.value for me, choice in sorted(known) if choice is not None}

    def state(self, me: ServerId) -> server.Server[V]:
        """The state of one server. Raises ServerDown."""
        return self._host(me).state

    def propose(self, me: ServerId, value: V) -> None:
        """Let one server propose ``value``. Raises ServerDown; Busy while it has a request."""
        self._tell(me, Propose(value))

    def read(self, me: ServerId) -> ReadId:
        """Let one server find out what is chosen, and report on the id that is returned.

        Raises ServerDown, or Busy.
        """
        read = ReadId(me, next(self._reads))
        self._tell(me, Read(read))
        return read

    def inquire(self, me: ServerId) -> None:
        """Let one server run the protocol to find out. Raises ServerDown, or Busy."""
        self._tell(me, Inquire())

    def crash(self, me: ServerId) -> None:
        """Take one server down; only what its store holds survives. Raises ServerDown."""
        self._host(me)
        del self._hosts[me]
        self._clock.forget(me)
        if self._observer is not None:
            self._observer.stopped(Place(me), (), "crashes")

    def restart(self, me: ServerId) -> None:
        """Start one server again from its store, after a crash if it is up."""
        self._check_member(me)
        self._clock.forget(me)
        self._hosts[me] = self._start(me)

    def step(self) -> Event[V] | None:
        """Let the next thing happen: a message arrives, or else time passes. None: all is quiet.

        What is sent to a server that is down is lost.
        """
        while self._network.queue:
            sender, receiver, message = self._network.queue.popleft()
            if receiver in self._hosts:
                self._tell(receiver, From(sender, message))
                return Delivery(self._clock.now_s, sender, receiver, message)
        if self._clock.due:
            self._clock.now_s, _, me, wake = heapq.heappop(self._clock.due)
            self._tell(me, wake)
            return TimerFired(self._clock.now_s, me, wake)
        return None

    def run(self, max_events: int = 100_000) -> list[Event[V]]:
        """Let everything happen until all is quiet, and return it in order.

        Raises DidNotSettle after ``max_events``, BadNumber.
        """
        arguments.whole("max_events", max_events, 0)
        history: list[Event[V]] = []
        while not self._is_quiet():
            if len(history) == max_events:
                raise DidNotSettle(history)
            if (event := self.step()) is not None:
                history.append(event)
        return history

    def _is_quiet(self) -> bool:
        return not self._network.queue and not self._clock.due

    def _tell(self, me: ServerId, event: server.Event[V]) -> None:
        if self._observer is not None:
            self._observer.set_time(self._clock.now_s)
        self.reports.extend((me, report) for report in self._host(me).receive(event))

    def _host(self, me: ServerId) -> SingleHost[V]:
        self._check_member(me)
        if me not in self._hosts:
            raise ServerDown(me)
        return self._hosts[me]

    def _check_member(self, me: ServerId) -> None:
        if me not in self._stores:
            raise UnknownServer(me, self.quorum.members)

    def _start(self, me: ServerId) -> SingleHost[V]:
        if self._observer is not None:
            self._observer.set_time(self._clock.now_s)
        ports = Ports(
            MemoryTransport(me, self._network), MemoryTimer(me, self._clock), self._stores[me]
        )
        return Host(
            self._machine,
            me,
            self.quorum,
            ports,
            timeouts=self._timeouts,
            random=self._random,
            observer=self._observer,
        )
