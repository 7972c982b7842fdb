"""In memory: a network, a store and a clock in one process, and a cluster that runs on them.

``MemoryCluster`` runs any machine; ``Cluster`` is one for one decision.

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
from paxos.proposer import ClientRequest
from paxos.quorum import QuorumSystem
from paxos.server import ServerTimer
from paxos_adapters import arguments, limits
from paxos_adapters.host import Host
from paxos_adapters.machine import M, Machine, P, Q, R, S, T, latest
from paxos_adapters.ports import Observer, Place, Ports, Store
from paxos_adapters.single import Single, SingleObserver, single
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Timeouts

V = TypeVar("V")


@frozen
class Delivery(Generic[M]):
    """One message as it arrived, at the virtual time ``at_s`` in seconds."""

    at_s: float
    sender: ServerId
    receiver: ServerId
    message: M


@frozen
class TimerFired(Generic[T]):
    """One timer as it fired, at the virtual time ``at_s`` in seconds."""

    at_s: float
    server: ServerId
    timer: T


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


Happened: TypeAlias = Delivery[M] | TimerFired[T]
"""What has happened in a cluster: a message arrived, or a timer fired."""

Event: TypeAlias = Happened[Message[V], ServerTimer]
"""What has happened in a cluster of one decision."""


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


class Clock(Generic[T]):
    """Virtual time in seconds, and the timers that are set."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[tuple[float, int, ServerId, T]] = []
        self._ids = count()

    def set_timer(self, server: ServerId, timer: T, delay_s: float) -> None:
        """Note a timer of ``server``; those due at the same time keep their order."""
        heapq.heappush(self.due, (self.now_s + delay_s, next(self._ids), server, timer))

    def forget(self, server: ServerId) -> None:
        """Drop the timers of a server that has crashed."""
        self.due = [it for it in self.due if it[2] != server]
        heapq.heapify(self.due)


@frozen
class MemoryTimer(Generic[T]):
    """The timer of the server ``me``."""

    me: ServerId
    clock: Clock[T]

    def set_timer(self, timer: T, delay_s: float) -> None:
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


def majority_of(servers: int) -> QuorumSystem:
    """The majority of the servers 1 to ``servers``. Raises QuorumError for none, BadNumber."""
    arguments.whole("servers", servers, 0, limits.MAX_SERVERS)
    return majority(ServerId(number) for number in range(1, servers + 1))


class MemoryCluster(Generic[S, Q, M, T, R, P]):
    """Servers of any machine in one process.

    Methods that take a server raise UnknownServer for one that is not a member. ``reports`` are
    what the servers have reported so far.
    """

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        quorum: QuorumSystem,
        *,
        stores: Callable[[ServerId], Store[R]] | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        seed: int = 0,
        observer: Observer[S, Q, M, T, R, P] | None = None,
    ) -> None:
        """All members of ``quorum`` have started. Raises BadNumber.

        ``stores`` gives each of them its store, one in memory if not said. ``observer`` is told
        what happens.
        """
        arguments.whole("seed", seed)
        self.quorum = quorum
        self.servers = tuple(sorted(quorum.members))
        self.reports: list[tuple[ServerId, P]] = []
        self._machine = machine
        self._timeouts = timeouts
        self._random = Random(seed)
        self._observer = observer
        self._network = Network[M]()
        self._clock = Clock[T]()
        self._stores: dict[ServerId, Store[R]] = {
            me: MemoryStore(machine.fold) if stores is None else stores(me) for me in self.servers
        }
        self._hosts = {me: self._start(me) for me in self.servers}

    @property
    def up(self) -> tuple[ServerId, ...]:
        """The servers that are up."""
        return tuple(sorted(self._hosts))

    def state(self, me: ServerId) -> S:
        """The state of one server. Raises ServerDown."""
        return self._host(me).state

    def receive(self, me: ServerId, event: From[M] | T | Q) -> None:
        """Hand one server an event. Raises ServerDown, and what the machine refuses with."""
        if self._observer is not None:
            self._observer.set_time(self._clock.now_s)
        for report in self._host(me).receive(event):
            self.reports.append((me, report))
            self.reported(me, report)

    def reported(self, me: ServerId, report: P) -> None:
        """A server has given its program a report."""

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

    def step(self) -> Happened[M, T] | None:
        """Let the next thing happen: a message arrives, or else time passes. None: all is quiet.

        What is sent to a server that is down is lost.
        """
        while self._network.queue:
            sender, receiver, message = self._network.queue.popleft()
            if receiver in self._hosts:
                self.receive(receiver, From(sender, message))
                return Delivery(self._clock.now_s, sender, receiver, message)
        if self._clock.due:
            self._clock.now_s, _, me, timer = heapq.heappop(self._clock.due)
            self.receive(me, timer)
            return TimerFired(self._clock.now_s, me, timer)
        return None

    def run_until(self, is_over: Callable[[], bool], max_events: int) -> list[Happened[M, T]]:
        """Let everything happen until ``is_over``, and return it in order.

        Raises DidNotSettle after ``max_events``, and if all is quiet before; BadNumber.
        """
        arguments.whole("max_events", max_events, 0)
        history: list[Happened[M, T]] = []
        while not is_over():
            if len(history) == max_events or self.is_quiet:
                raise DidNotSettle(history)
            if (event := self.step()) is not None:
                history.append(event)
        return history

    @property
    def is_quiet(self) -> bool:
        """Whether no message is on its way, and no timer is set."""
        return not self._network.queue and not self._clock.due

    def _host(self, me: ServerId) -> Host[S, Q, M, T, R, P]:
        self._check_member(me)
        if me not in self._hosts:
            raise ServerDown(me)
        return self._hosts[me]

    def _check_member(self, me: ServerId) -> None:
        if me not in self._stores:
            raise UnknownServer(me, self.quorum.members)

    def _start(self, me: ServerId) -> Host[S, Q, M, T, R, P]:
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


class Cluster(
    MemoryCluster[
        server.Server[V],
        ClientRequest[V],
        Message[V],
        ServerTimer,
        server.Record[V],
        server.Report[V],
    ]
):
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
        machine: Single[V] = single()
        system = majority_of(servers) if quorum is None else quorum
        self._reads = count()
        super().__init__(
            machine, system, stores=stores, timeouts=timeouts, seed=seed, observer=observer
        )

    @property
    def chosen(self) -> dict[ServerId, V]:
        """What each server that is up knows to be chosen."""
        known = ((me, self.state(me).learner.choice) for me in self.up)
        return {me: choice.chosen.value for me, choice in known if choice is not None}

    def propose(self, me: ServerId, value: V) -> None:
        """Let one server propose ``value``. Raises ServerDown; Busy while it has a request."""
        self.receive(me, Propose(value))

    def read(self, me: ServerId) -> ReadId:
        """Let one server find out what is chosen, and report on the id that is returned.

        Raises ServerDown, or Busy.
        """
        read = ReadId(me, next(self._reads))
        self.receive(me, Read(read))
        return read

    def inquire(self, me: ServerId) -> None:
        """Let one server run the protocol to find out. Raises ServerDown, or Busy."""
        self.receive(me, Inquire())

    def run(self, max_events: int = 100_000) -> list[Event[V]]:
        """Let everything happen until all is quiet, and return it in order.

        Raises DidNotSettle after ``max_events``, BadNumber.
        """
        return self.run_until(lambda: self.is_quiet, max_events)
