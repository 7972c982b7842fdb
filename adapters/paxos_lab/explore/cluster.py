"""All runs of a small cluster of any machine, for ``explore``.

What can happen:

- A message once sent can arrive at any later time, any number of times, in any order, or never. So
  the network is the set of all that was ever sent; loss, delay and repetition need no step.
- A timer that was set may fire, until its process ends. Each request is made once, at any time.
- A step that waits is saved at any later time, in order. At most ``unsaved`` steps of a process
  wait at once.
- A process may crash at any time, with none, some or all of what waits durable, and nothing of it
  sent. It starts again from its disk.

Nothing is left out except states seen before, so scopes are small. ``interleavings`` has reductions
that hold for Paxos.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic

from attrs import Factory, evolve, field, frozen

from paxos import From, InvariantError, PaxosError, QuorumSystem, Saved, ServerId
from paxos_adapters import arguments
from paxos_adapters.driving import Driver
from paxos_adapters.machine import Effect, M, Machine, P, Process, Q, R, S, T
from paxos_adapters.ports import Observer, Place


@frozen(cache_hash=True)
class Envelope(Generic[M]):
    """A message on its way."""

    sender: ServerId
    receiver: ServerId
    message: M


@frozen
class Reported(Generic[P]):
    """A report, and the server that gave it to its program."""

    server: ServerId
    report: P


@frozen(cache_hash=True)
class ClusterState(Generic[S, M, T, R, P]):
    """What rules see: each process, by the order of ids, and all that was ever sent and reported.

    ``timers`` are those set, ``requests`` the places of those not yet made, ``crashes`` and
    ``timeouts`` how many there may still be. ``failed`` says how a server found a broken protocol.
    """

    processes: tuple[Process[S, R, Effect[M, T, P]], ...]
    timers: tuple[frozenset[T], ...]
    requests: tuple[int, ...]
    crashes: int
    timeouts: int
    sent: frozenset[Envelope[M]] = frozenset()
    reports: frozenset[Reported[P]] = frozenset()
    failed: str | None = None


@frozen
class Choice(Generic[Q, M, T]):
    """``server`` takes ``event``; or its first ``durable`` steps are saved, or it crashes then."""

    server: ServerId
    event: From[M] | T | Q | None
    durable: int = 0
    crashes: bool = False


def _servers(system: ClusterSystem[S, Q, M, T, R, P]) -> tuple[ServerId, ...]:
    return tuple(sorted(system.quorum.members))


@frozen
class ClusterSystem(Generic[S, Q, M, T, R, P]):
    """The servers of ``quorum``, in the order of ids, each a process of ``machine``: to explore.

    ``requests`` are made by the servers named, ``timeouts`` is how many timers may fire in all.
    States, messages, timers, records and reports must be hashable. Raises BadNumber.
    """

    machine: Machine[S, Q, M, T, R, P]
    quorum: QuorumSystem
    requests: tuple[tuple[ServerId, Q], ...] = ()
    crashes: int = 0
    timeouts: int = 0
    unsaved: int = 1
    servers: tuple[ServerId, ...] = field(init=False, default=Factory(_servers, takes_self=True))
    _numbers: dict[Hashable, int] = field(
        factory=dict[Hashable, int], init=False, repr=False, eq=False
    )

    def __attrs_post_init__(self) -> None:
        arguments.whole("crashes", self.crashes, 0)
        arguments.whole("timeouts", self.timeouts, 0)
        arguments.whole("unsaved", self.unsaved, 1)

    def start(self) -> Iterator[ClusterState[S, M, T, R, P]]:
        """Nothing was sent."""
        processes = tuple(self.machine.begin(me, self.quorum) for me in self.servers)
        timers = tuple(frozenset(self.machine.first) for _ in processes)
        requests = tuple(range(len(self.requests)))
        yield ClusterState(processes, timers, requests, self.crashes, self.timeouts)

    def steps(
        self, state: ClusterState[S, M, T, R, P]
    ) -> Iterator[tuple[Choice[Q, M, T], ClusterState[S, M, T, R, P]]]:
        """Each choice of each process, and where it leads."""
        if state.failed is not None:
            return
        for place, me in enumerate(self.servers):
            waiting = len(state.processes[place].waiting)
            if waiting < self.unsaved:
                for event, before in self._events(state, place):
                    if (after := self._take(before, place, event)) is not None:
                        yield Choice(me, event), after
            for durable in range(1, waiting + 1):
                yield Choice(me, None, durable), self._save(state, place, durable)
            if state.crashes:
                for durable in range(waiting + 1):
                    crash = Choice[Q, M, T](me, None, durable, crashes=True)
                    yield crash, self._crash(state, place, durable)

    def _events(
        self, state: ClusterState[S, M, T, R, P], place: int
    ) -> Iterator[tuple[From[M] | T | Q, ClusterState[S, M, T, R, P]]]:
        """Each event that ``place`` can take, and the state without it if it comes only once."""
        for it in sorted(state.sent, key=self._number):
            if it.receiver == self.servers[place]:
                yield From(it.sender, it.message), state
        for timer in sorted(state.timers[place], key=self._number) if state.timeouts else ():
            timers = _replaced(state.timers, place, state.timers[place] - {timer})
            yield timer, evolve(state, timers=timers, timeouts=state.timeouts - 1)
        for request in state.requests:
            server, what = self.requests[request]
            if server == self.servers[place]:
                rest = tuple(it for it in state.requests if it != request)
                yield what, evolve(state, requests=rest)

    def _take(
        self, state: ClusterState[S, M, T, R, P], place: int, event: From[M] | T | Q
    ) -> ClusterState[S, M, T, R, P] | None:
        """Where ``event`` leads; None if it is a request that is refused."""
        try:
            process, effects = self.machine.take(state.processes[place], event)
        except InvariantError as error:
            return evolve(state, failed=f"S{self.servers[place]}: {error}")
        except PaxosError:
            return None
        return self._after(state, place, process, effects)

    def _save(
        self, state: ClusterState[S, M, T, R, P], place: int, durable: int
    ) -> ClusterState[S, M, T, R, P]:
        process = state.processes[place]
        after, effects = self.machine.saved(process, Saved(process.unsaved), durable)
        return self._after(state, place, after, effects)

    def _crash(
        self, state: ClusterState[S, M, T, R, P], place: int, durable: int
    ) -> ClusterState[S, M, T, R, P]:
        process = state.processes[place]
        left, _ = self.machine.saved(process, Saved(process.unsaved), durable)
        try:
            again = self.machine.begin(self.servers[place], self.quorum, left.disk)
        except InvariantError as error:
            return evolve(state, failed=f"S{self.servers[place]}: {error}")
        return evolve(
            state,
            processes=_replaced(state.processes, place, again),
            timers=_replaced(state.timers, place, frozenset(self.machine.first)),
            crashes=state.crashes - 1,
        )

    def _after(
        self,
        state: ClusterState[S, M, T, R, P],
        place: int,
        process: Process[S, R, Effect[M, T, P]],
        effects: Iterable[Effect[M, T, P]],
    ) -> ClusterState[S, M, T, R, P]:
        """``state`` once ``process`` is what ``place`` has become, and ``effects`` have left."""
        me, leaving = self.servers[place], self.machine.sort(process, effects)
        messages, reports = [*leaving.messages], list[Reported[P]]()
        for report in leaving.reports:
            fetched = self.machine.fetch(process.disk, report)
            if fetched is None:
                reports.append(Reported(me, report))
            else:
                messages.extend((it.receiver, it.message) for it in fetched)
        sent = [Envelope(me, receiver, message) for receiver, message in messages]
        timers = [it.timer for it in leaving.timers]
        for new in (*sent, *timers):
            self._number(new)
        return evolve(
            state,
            processes=_replaced(state.processes, place, process),
            timers=_replaced(state.timers, place, state.timers[place].union(timers)),
            sent=state.sent.union(sent),
            reports=state.reports.union(reports),
        )

    def _number(self, it: Hashable) -> int:
        """The order in which things first appeared: the same in every search."""
        return self._numbers.setdefault(it, len(self._numbers))


def _replaced(items: tuple[S, ...], place: int, item: S) -> tuple[S, ...]:
    return (*items[:place], item, *items[place + 1 :])


def drive(
    system: ClusterSystem[S, Q, M, T, R, P],
    choices: Iterable[Choice[Q, M, T]],
    observer: Observer[S, Q, M, T, R, P] | None = None,
) -> tuple[Driver[S, Q, M, T, R, P], ...]:
    """Take a run again, so that ``observer`` can record it. A step or start that fails ends it."""
    machine, quorum = system.machine, system.quorum
    drivers = {me: Driver(machine, Place(me), quorum, observer=observer) for me in system.servers}
    try:
        for choice in choices:
            driver = drivers[choice.server]
            if choice.crashes:
                disk = driver.stop("crashes", choice.durable)
                drivers[choice.server] = Driver(machine, driver.place, quorum, disk, observer)
            elif choice.event is None:
                driver.save(choice.durable)
            else:
                driver.take(choice.event)
    except InvariantError:
        pass  # The observer was told, and the state says so: nothing follows in a run.
    return tuple(drivers.values())
