"""What happens around the servers of one run: to processes, disks, network and clocks.

- Time is whole ticks. For each tick there is a list of happenings, and then one of messages and
  timers that are due.
- What is in memory is gone after a crash. A save that is still in progress was not made.
- A paused server gets everything later. One that is down gets nothing. A timer ends with its
  process.
- Links that the network of the setup lacks are cut for good. Other cuts heal.
- A server whose disk was wiped or rolled back does not start: the number of its saves, which is
  kept somewhere else, tells. Otherwise it would vote against its own word.
- All chance comes from the bits of one generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from random import Random
from typing import Generic, TypeAlias

from paxos import From, InvariantError, ServerId, UsageError
from paxos_adapters.driving import Driver
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.ports import Place
from paxos_lab.checker import Checker
from paxos_lab.rules import UNDISTURBED
from paxos_lab.simulate.faults import LATE, LOST, Fault, message_fates
from paxos_lab.simulate.networks import Network
from paxos_lab.simulate.setup import Act, Outcome, Setup

FIRST_TICKS = 32
"""Within how many ticks servers are asked. Things happen to them in half of the faulty ticks."""

SIXTEENTHS = 16
SKEWS = (16, 16, 16, 16, 16, 12, 24, 32)
"""How many sixteenths of its time a server waits."""

CUTS = (Fault.PARTLY_PARTITIONED, Fault.ONE_WAY_PARTITIONED, Fault.PARTITIONED, Fault.PARTITIONED)

Happening: TypeAlias = Callable[[int], None]
Due: TypeAlias = tuple[int, From[M] | T | Q, Driver[S, Q, M, T, R, P] | None]
"""A place, the event that comes to it, and whose timer that is: None, if it is sent."""


class Environment(ABC, Generic[S, Q, M, T, R, P]):
    """Servers by their places, from 0. Lists are per server; sets of servers are bits."""

    def __init__(
        self,
        seed: int,
        setup: Setup[S, Q, M, T, R, P],
        trace: list[Act[Q, M, T]] | None = None,
    ) -> None:
        """The servers have started, and what will happen to them is planned."""
        self.seed = seed
        self.setup = setup
        self.machine = setup.machine
        self.trace = trace
        self.members = setup.members
        self.size = size = len(self.members)
        self.places = {it: place for place, it in enumerate(self.members)}
        self.draw = Random(seed).getrandbits
        self.checker = Checker(setup.claims, setup.rules)
        self.now: int = 0
        self.events: int = 0
        self.reports: int = 0
        self.have_faults_ended = False
        self.happenings: defaultdict[int, list[tuple[Happening, int]]] = defaultdict(list)
        self.due: defaultdict[int, list[Due[M, T, Q, S, R, P]]] = defaultdict(list)
        self.drivers: list[Driver[S, Q, M, T, R, P] | None] = [None] * size
        self.paused: list[Driver[S, Q, M, T, R, P] | None] = [None] * size
        self.missed: list[list[Callable[[], None]]] = [[] for _ in range(size)]
        self.disks: list[tuple[R, ...]] = [()] * size
        self.backups: list[tuple[R, ...]] = [()] * size
        self.saves = [0] * size
        self.sessions = [0] * size
        self.requests: list[Q | None] = [None] * size
        self.asked: list[list[Q]] = [[] for _ in range(size)]
        self.refusal: UsageError | None = None
        self.counts = [0] * size
        self.cuts = [0] * size
        self.severed = [0] * size
        self.fail_at = [0] * size
        self.latest = [0] * (size * size)
        self.trusted = (1 << size) - 1
        self.unanswered: int = 0
        self.must_answer: int = 0
        self.met = [0] * len(Fault)
        self._draw_rates()
        self._plan()

    def _draw_rates(self) -> None:
        faults, levels = self.setup.faults, self.draw(7)
        self.fates = message_fates(
            faults.loss * (levels & 3) // 3,
            faults.duplication * (levels >> 2 & 3) // 3,
            faults.lateness * (levels >> 4 & 3) // 3,
            levels > 63,
        )
        self.slow = faults.slow_saves
        self.stale_timers = faults.stale_timers
        self.crash_threshold = faults.slow_saves + faults.save_crashes
        self.skews = [SIXTEENTHS] * self.size
        if faults.skew:
            bits = self.draw(3 * self.size)
            self.skews = [SKEWS[bits >> 3 * place & 7] for place in range(self.size)]
            self.met[Fault.SKEWED] = self.size - self.skews.count(SIXTEENTHS)

    def _plan(self) -> None:
        faults, network = self.setup.faults, self.setup.network
        for place in range(self.size):
            self._start(place)
            self.plan_request(place, FIRST_TICKS, None)
        self._plan_some(self._crash, faults.crashes)
        self._plan_some(self._pause, faults.pauses)
        self._plan_some(self._cut, faults.partitions)
        if faults.lost_disks:
            self._plan_some(self._back_up, 2)
        for _ in range(faults.failing_stores):
            self.fail_at[self.up_to(self.size)] = self.up_to(16)
        if self.setup.liveness:
            self.later(self.setup.faulty_ticks, self._stop_faults, 0)
        if any(_lacking(network)):
            self.later(self.up_to(network.gone_by + 1), self._sever, 0)

    def _plan_some(self, happening: Happening, most: int) -> None:
        for _ in range(self.up_to(most + 1)):
            bits = self.draw(24)
            ticks = 1 + ((bits & 255) * self.setup.faulty_ticks >> 9)
            self.later(ticks, happening, (bits >> 8) * self.size >> 16)

    def up_to(self, count: int) -> int:
        """Chance: one of 0 to ``count`` - 1."""
        return self.draw(16) * count >> 16

    def later(self, ticks: int, happening: Happening, place: int) -> None:
        """Let something happen to a server."""
        self.happenings[self.now + ticks].append((happening, place))

    def note(self, place: int, outcome: Outcome, saved: int = 0) -> None:
        """Take down what happens to a server."""
        if self.trace is not None:
            self.trace.append(Act(self.now, self.members[place], outcome, saved=saved))

    # --- what happens to servers ----------------------------------------------------------------

    def plan_request(self, place: int, within: int, report: P | None) -> None:
        """Ask a server for something soon, if there is something to ask for."""
        requests = self.setup.requests
        next_ = requests.request_after_faults if self.have_faults_ended else requests.request
        request = next_(place, self.sessions[place], self.counts[place], report)
        if request is not None:
            self.requests[place] = request
            self.counts[place] += 1
            self.later(1 + self.up_to(within), self.ask, place)

    @abstractmethod
    def ask(self, place: int) -> None:
        """Hand a server the request that is planned for it."""

    def _start(self, place: int) -> None:
        try:
            driver = Driver(
                self.machine,
                Place(self.members[place]),
                self.setup.quorum,
                self.disks[place],
                self.checker,
            )
        except InvariantError:
            self.checker.breaks(UNDISTURBED)
            return
        self.drivers[place] = driver
        for timer in self.machine.first:
            self.due[self.now + 1].append((place, timer, driver))

    def _crash(self, place: int) -> None:
        driver = self.drivers[place] or self.paused[place]
        if self.have_faults_ended or driver is None:
            return
        self.met[Fault.CRASHED] += 1
        self.note(place, Outcome.CRASHES)
        self.go_down(place, driver, Outcome.CRASHES)

    def go_down(
        self, place: int, driver: Driver[S, Q, M, T, R, P], outcome: Outcome, durable: int = 0
    ) -> None:
        """All that is in memory is lost; the server starts again after a while."""
        self.disks[place] = driver.stop(outcome.value, durable)
        self.saves[place] += durable
        self.drivers[place] = self.paused[place] = self.requests[place] = None
        self.missed[place].clear()
        self.asked[place].clear()
        if self.setup.pace is None:
            self.unanswered &= ~(1 << place)
        self.later(1 + self.up_to(48), self._restart, place)

    def _restart(self, place: int) -> None:
        outcome = Outcome.RESTARTS
        if not self.have_faults_ended and self.draw(8) < self.setup.faults.lost_disks:
            outcome = self._lose_disk(place)
        self.note(place, outcome)
        if outcome is Outcome.REFUSED:
            return
        self.sessions[place] += 1
        self.counts[place] = 0
        self._start(place)
        if self.drivers[place] is not None:
            self.plan_request(place, 8, None)

    def _lose_disk(self, place: int) -> Outcome:
        """The disk is an older one, or empty, if a quorum is left without it."""
        rest, quorum = self.trusted & ~(1 << place), self.setup.quorum
        if not (quorum.is_phase1(self._in(rest)) and quorum.is_phase2(self._in(rest))):
            return Outcome.RESTARTS
        is_wiped = self.draw(1)
        disk = () if is_wiped else self.backups[place]
        if disk == self.disks[place]:
            return Outcome.RESTARTS
        self.met[Fault.DISK_WIPED if is_wiped else Fault.DISK_ROLLED_BACK] += 1
        self.disks[place] = disk
        if self.setup.allow_lost_disk_votes:
            return Outcome.WIPED if is_wiped else Outcome.RESTORED
        self.met[Fault.REFUSED] += 1
        self.trusted = rest
        return Outcome.REFUSED

    def _back_up(self, place: int) -> None:
        driver = self.drivers[place] or self.paused[place]
        self.backups[place] = self.disks[place] if driver is None else driver.process.disk
        self.note(place, Outcome.BACKS_UP)

    def _pause(self, place: int) -> None:
        if self.have_faults_ended or self.drivers[place] is None:
            return
        self.met[Fault.PAUSED] += 1
        self.note(place, Outcome.PAUSES)
        self.paused[place], self.drivers[place] = self.drivers[place], None
        self.later(8 + self.up_to(64), self._resume, place)

    def _resume(self, place: int) -> None:
        if self.paused[place] is None:
            return
        self.note(place, Outcome.RESUMES)
        self.drivers[place], self.paused[place] = self.paused[place], None
        for deliver in self.missed[place]:
            deliver()
        self.missed[place].clear()

    def is_postponed(self, place: int, happening: Happening) -> bool:
        """Whether a server is down; if it pauses, ``happening`` comes after the pause."""
        if self.drivers[place] is not None:
            return False
        if self.paused[place] is not None:
            self.missed[place].append(lambda: self.later(1, happening, place))
        return True

    def miss(
        self, place: int, event: From[M] | T | Q, owner: Driver[S, Q, M, T, R, P] | None
    ) -> None:
        """An event reaches no server that is up; if it pauses, it comes after the pause."""
        paused = self.paused[place]
        if paused is not None and (owner is None or owner is paused):
            self.missed[place].append(lambda: self.due[self.now + 1].append((place, event, owner)))
        elif owner is None:
            self.met[Fault.UNDELIVERED] += 1

    # --- what happens to the network ------------------------------------------------------------

    def divert(self, place: int, mail: From[M] | Q, fate: int) -> None:
        """What is sent to the server at ``place`` is lost, late or delivered twice."""
        if fate == LOST:
            self.met[Fault.LOST] += 1
        elif fate == LATE:
            self.met[Fault.LATE] += 1
            self.due[self.now + 24 + self.up_to(64)].append((place, mail, None))
        else:
            self.met[Fault.DUPLICATED] += 1
            self.due[self.now + 1 + self.up_to(8)].append((place, mail, None))
            self.due[self.now + 1 + self.up_to(32)].append((place, mail, None))

    def _cut(self, place: int) -> None:
        if self.have_faults_ended:
            return
        size, kind = self.size, self.draw(2)
        side = self.draw(size) | 1 << place
        for it in range(size):
            if CUTS[kind] is Fault.PARTLY_PARTITIONED:
                cut = self.draw(size) & self.draw(size)
            elif side >> it & 1:
                cut = ~side
            else:
                cut = side if CUTS[kind] is Fault.PARTITIONED else 0
            self.cuts[it] = cut & ~(1 << it) | self.severed[it]
        self.met[CUTS[kind]] += 1
        self.note(place, Outcome.CUT)
        self.later(8 + self.up_to(64), self._heal, place)

    def _heal(self, place: int) -> None:
        self.cuts[:] = self.severed
        self.note(place, Outcome.HEALED)

    def _sever(self, _: int) -> None:
        """Links that the network lacks are gone from here on."""
        self.severed[:] = _lacking(self.setup.network)
        for place, gone in enumerate(self.severed):
            self.cuts[place] |= gone
            if gone:
                self.note(place, Outcome.SEVERED)

    def _stop_faults(self, place: int) -> None:
        """No fault from here on. A server that is down or paused still comes back later."""
        self.have_faults_ended = True
        self.fates = message_fates(0, 0, 0, True)
        self.slow = self.crash_threshold = self.stale_timers = 0
        self.fail_at[:] = [0] * self.size
        network = self.setup.network.among(self._in(self.trusted))
        self.must_answer = self._bits(self.setup.requests.must_answer(network, self.setup.quorum))
        if self.setup.pace is not None:
            self.unanswered = self.must_answer
        self._heal(place)
        self.note(place, Outcome.FAULTS_END)

    def _in(self, mask: int) -> set[ServerId]:
        return {it for place, it in enumerate(self.members) if mask >> place & 1}

    def _bits(self, servers: Iterable[ServerId]) -> int:
        return sum(1 << self.members.index(it) for it in servers)


@lru_cache(maxsize=16)
def _lacking(network: Network) -> tuple[int, ...]:
    """For each server, by its place, those to which it has no link."""
    members = sorted(network.servers)
    gone = (network.servers - network.around(me) for me in members)
    return tuple(sum(1 << members.index(it) for it in each) for each in gone)
