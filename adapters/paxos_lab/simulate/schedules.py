"""From a run to a schedule that a person can follow: every choice written out, and none too many.

- A schedule is a list of acts: a server takes an event, and then come so many saves, or a crash.
  Nothing in it is left to chance, and no time passes: a message can arrive once it was sent, a
  timer can fire once it was set. What is impossible is left out.
- To shrink it, acts are left out, many at once and then one by one and in pairs, as long as the
  same rule stays broken.

Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
2002).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Generic

from attrs import Factory, define, frozen

from paxos import From, InvariantError, ServerId, UsageError
from paxos_adapters.driving import Driver
from paxos_adapters.machine import Effect, M, P, Q, R, S, T
from paxos_adapters.ports import Observer, Place
from paxos_lab.checker import Checker
from paxos_lab.observers import Observers
from paxos_lab.record.trace import Trace
from paxos_lab.rules import UNDISTURBED
from paxos_lab.simulate.setup import Act, Outcome, Setup

MAX_PAIRED = 60
"""Up to how many acts are also left out in pairs, since their number grows with the square."""

NEVER_SAVED = Outcome.BEFORE_SAVE, Outcome.STORE_FAILS
SAVED_UNSENT = Outcome.UNSENT, Outcome.STORE_LIES
STARTS = Outcome.RESTARTS, Outcome.RESTORED, Outcome.WIPED
SHOWN_ONLY = (
    *(Outcome.PAUSES, Outcome.RESUMES, Outcome.CUT, Outcome.HEALED, Outcome.SEVERED),
    *(Outcome.FAULTS_END, Outcome.REFUSED),
)


@frozen
class Played(Generic[Q, M, T]):
    """The acts that were possible, and the rule that they broke in the end."""

    acts: tuple[Act[Q, M, T], ...]
    broken: str | None


def shrink(
    setup: Setup[S, Q, M, T, R, P], acts: Sequence[Act[Q, M, T]], rule: str
) -> Played[Q, M, T]:
    """Leave out what is not needed to break ``rule``, as long as anything can be left out."""
    best = play(setup, [act for act in acts if act.outcome not in SHOWN_ONLY])
    if best.broken != rule:
        return play(setup, acts)
    size = len(best.acts)
    while size:
        best, longer = _leave_out(setup, best, rule, size), best
        size = size if len(best.acts) < len(longer.acts) else size // 2
    while len(best.acts) <= MAX_PAIRED:
        fewer = _without_a_pair(setup, best, rule)
        if fewer is None:
            break
        best = fewer
    return best


def _leave_out(
    setup: Setup[S, Q, M, T, R, P], best: Played[Q, M, T], rule: str, size: int
) -> Played[Q, M, T]:
    for start in reversed(range(0, len(best.acts), size)):
        rest = best.acts[:start] + best.acts[start + size :]
        shorter = play(setup, rest)
        if shorter.broken == rule:
            best = shorter
    return best


def _without_a_pair(
    setup: Setup[S, Q, M, T, R, P], best: Played[Q, M, T], rule: str
) -> Played[Q, M, T] | None:
    for pair in combinations(range(len(best.acts)), 2):
        rest = [act for place, act in enumerate(best.acts) if place not in pair]
        shorter = play(setup, rest)
        if shorter.broken == rule:
            return shorter
    return None


def play(
    setup: Setup[S, Q, M, T, R, P],
    acts: Iterable[Act[Q, M, T]],
    observer: Observer[S, Q, M, T, R, P] | None = None,
    trace: Trace[S, Q, M, T, R, P] | None = None,
) -> Played[Q, M, T]:
    """Play ``acts`` in order, up to the first broken rule, without those that are impossible.

    ``observer`` and ``trace`` are told what happens, and the ticks; ``trace`` also of faults.
    """
    player = _Player(setup, observer, trace)
    taken: list[Act[Q, M, T]] = []
    for act in acts:
        if player.play(act):
            taken.append(act)
        if player.checker.broken is not None:
            break
    return Played(tuple(taken), player.checker.broken)


@define
class _Server(Generic[S, Q, M, T, R, P]):
    """One server, its disk and a backup of that, and what can come to it."""

    driver: Driver[S, Q, M, T, R, P] | None = None
    disk: tuple[R, ...] = ()
    backup: tuple[R, ...] = ()
    mail: dict[object, From[M] | Q] = Factory(dict[object, From[M] | Q])
    timers: dict[object, T] = Factory(dict[object, T])


class _Player(Generic[S, Q, M, T, R, P]):
    """Servers without a clock and a network: what was sent and set can come, at any time."""

    def __init__(
        self,
        setup: Setup[S, Q, M, T, R, P],
        observer: Observer[S, Q, M, T, R, P] | None,
        trace: Trace[S, Q, M, T, R, P] | None,
    ) -> None:
        self.setup = setup
        self.trace = trace
        self.checker = Checker(setup.claims, setup.rules)
        self.observer = Observers(
            (self.checker, *(it for it in (observer, trace) if it is not None))
        )
        self.servers = {me: _Server[S, Q, M, T, R, P]() for me in setup.members}
        self.observer.set_time(0)
        for me, it in self.servers.items():
            self._start(me, it)

    def play(self, act: Act[Q, M, T]) -> bool:
        """Whether ``act`` was possible."""
        me, it, outcome = act.server, self.servers[act.server], act.outcome
        self.observer.set_time(act.tick)
        if outcome in SHOWN_ONLY:
            return self._note(me, outcome.value)
        if outcome in STARTS:
            return self._restart(me, it, outcome)
        driver = it.driver
        if outcome is Outcome.BACKS_UP:
            it.backup = it.disk if driver is None else driver.process.disk
            return self._note(me, outcome.value)
        if driver is None:
            return False
        if outcome is Outcome.CRASHES:
            return self._stop(it, driver, outcome)
        if act.request is not None:
            return self._take(me, it, driver, act.request, outcome)
        if act.event is None:
            return self._end_save(me, it, driver, act)
        if act.event in it.mail:
            return self._take(me, it, driver, it.mail[act.event], outcome)
        if act.event in it.timers:
            return self._take(me, it, driver, it.timers[act.event], outcome)
        return False

    # --- one server -----------------------------------------------------------------------------

    def _take(
        self,
        me: ServerId,
        it: _Server[S, Q, M, T, R, P],
        driver: Driver[S, Q, M, T, R, P],
        event: From[M] | T | Q,
        outcome: Outcome,
    ) -> bool:
        waited = len(driver.process.waiting)
        try:
            effects = driver.take(event)
        except (UsageError, InvariantError):
            return True
        must_save = len(driver.process.waiting) > waited
        if must_save and (waited or outcome is Outcome.SAVES_SLOWLY):
            self._carry_out(me, it, driver, effects)
            return self._note(me, Outcome.SAVES_SLOWLY.value)
        if outcome in NEVER_SAVED:
            return self._stop(it, driver, outcome)
        if outcome in SAVED_UNSENT:
            return self._stop(it, driver, outcome, len(driver.process.waiting) - waited)
        if must_save:
            effects += driver.save()
        self._carry_out(me, it, driver, effects)
        return True

    def _end_save(
        self,
        me: ServerId,
        it: _Server[S, Q, M, T, R, P],
        driver: Driver[S, Q, M, T, R, P],
        act: Act[Q, M, T],
    ) -> bool:
        if not driver.process.waiting:
            return False
        if act.outcome is not Outcome.SAVED:
            return self._stop(it, driver, act.outcome, act.saved)
        self._note(me, act.outcome.value)
        self._carry_out(me, it, driver, driver.save())
        return True

    def _stop(
        self,
        it: _Server[S, Q, M, T, R, P],
        driver: Driver[S, Q, M, T, R, P],
        outcome: Outcome,
        durable: int = 0,
    ) -> bool:
        it.disk = driver.stop(outcome.value, durable)
        it.driver = None
        it.timers.clear()
        return True

    def _restart(self, me: ServerId, it: _Server[S, Q, M, T, R, P], outcome: Outcome) -> bool:
        if it.driver is not None:
            return False
        if outcome is Outcome.RESTORED:
            it.disk = it.backup
            self._note(me, "has its disk restored from the backup")
        elif outcome is Outcome.WIPED:
            it.disk = ()
            self._note(me, "has its disk wiped")
        self._start(me, it)
        return True

    def _start(self, me: ServerId, it: _Server[S, Q, M, T, R, P]) -> None:
        machine, quorum = self.setup.machine, self.setup.quorum
        try:
            it.driver = Driver(machine, Place(me), quorum, it.disk, self.observer)
        except InvariantError:
            self.checker.breaks(UNDISTURBED)
        it.timers |= {timer: timer for timer in machine.first}

    def _carry_out(
        self,
        me: ServerId,
        it: _Server[S, Q, M, T, R, P],
        driver: Driver[S, Q, M, T, R, P],
        effects: Iterable[Effect[M, T, P]],
    ) -> None:
        parts = self.setup.machine.sort(driver.process, effects)
        it.timers |= {request.timer: request.timer for request in parts.timers}
        for receiver, message in parts.messages:
            self._send(receiver, From(me, message))
        for report in parts.reports:
            for sent in self.setup.machine.fetch(driver.process.disk, report) or ():
                self._send(sent.receiver, From(me, sent.message))
            snapshot = self.setup.snapshot(driver.process.disk, report)
            if snapshot is not None:
                self._send(snapshot.receiver, snapshot.message)

    def _send(self, receiver: ServerId, mail: From[M] | Q) -> None:
        if receiver in self.servers:
            self.servers[receiver].mail[mail] = mail

    def _note(self, me: ServerId, text: str) -> bool:
        if self.trace is not None:
            self.trace.note(Place(me), text)
        return True
