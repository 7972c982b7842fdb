"""One seed, one run: a cluster of any machine in virtual time, and all that can go wrong around it.

- Whole servers, whole ticks, and no fractions: a seed is the same run on every machine and under
  every Python.
- Each event is a step of the machine, then saved, and only then sent. The checker is told of all
  of it. For what happens to servers and network see ``environment.py``.
- A save may take its time: what comes in between is saved with it, and nothing of it leaves before.
- A crash comes before a save, within one, or after it. A store that fails stops its server, whether
  the disk has the record or not.
- In the mode for liveness all faults end at some tick, and only the links that the network lacks
  stay away. From then on every server that was asked answers within a bound, if it must. A client
  whose server refuses asks the one that it names. In the end nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from attrs import evolve

from paxos import Broadcast, From, InvariantError, ServerId, SetTimer, Tell, To, UsageError
from paxos.errors import assert_never
from paxos_adapters.driving import Driver
from paxos_adapters.machine import Effect, M, P, Q, R, S, T
from paxos_lab.simulate.environment import Environment
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.setup import (
    LIVENESS,
    LIVENESS_TICKS,
    TIMEOUTS,
    Act,
    Outcome,
    Run,
    Setup,
)

TEARING = 64
"""In how many cases out of 256 a save that takes its time is cut off by a crash."""


def simulate(seed: int, setup: Setup[S, Q, M, T, R, P]) -> Run:
    """The run of ``seed``, with its digest."""
    return record(seed, setup)[0]


def record(seed: int, setup: Setup[S, Q, M, T, R, P]) -> tuple[Run, tuple[Act[Q, M, T], ...]]:
    """The run of ``seed``, and all that happened in it."""
    acts: list[Act[Q, M, T]] = []
    run = Simulator(seed, setup, acts).run()
    words = "\n".join([*map(repr, acts), repr(run)])
    return evolve(run, digest=blake2b(words.encode(), digest_size=8).hexdigest()), tuple(acts)


def run_seed(seed: int, setup: Setup[S, Q, M, T, R, P]) -> Run:
    """The run of ``seed``, without a digest: three times as fast."""
    return Simulator(seed, setup).run()


class Simulator(Environment[S, Q, M, T, R, P]):
    """One run, once."""

    def run(self) -> Run:
        """Let time pass until the run is over."""
        setup, checker = self.setup, self.checker
        try:
            self._pass_time(setup.faulty_ticks + (LIVENESS_TICKS if setup.liveness else 0))
        except Exception as error:
            error.add_note(f"in the run of seed {self.seed}: record({self.seed}, setup) repeats it")
            raise
        broken = checker.broken
        if setup.liveness and broken is None and not self._has_settled():
            broken = LIVENESS
        return Run(
            self.seed,
            self.events,
            self.reports,
            checker.chosen,
            broken,
            self.now,
            tuple(self.met),
            slots=sum(bool(it.chosen) for it in checker.slots.values()),
            changes=checker.changes,
            finished=checker.finished,
        )

    def _pass_time(self, last_tick: int) -> None:
        """All that is due, tick by tick. What comes due by it is due in later ticks."""
        drivers, checker, due, trace = self.drivers, self.checker, self.due, self.trace
        happenings = self.happenings
        for now in range(last_tick):
            if now not in due and now not in happenings:
                continue
            self.now = now
            for happening, place in happenings.pop(now, ()):
                happening(place)
                if checker.broken is not None:
                    return
            for place, event, owner in due.pop(now, ()):
                driver = drivers[place]
                if driver is None or (owner is not None and owner is not driver):
                    self.miss(place, event, owner)
                    continue
                outcome = self._take(place, driver, event)
                if trace is not None:
                    trace.append(Act(now, self.members[place], outcome, event))
                if checker.broken is not None:
                    return
            if self.have_faults_ended and self._has_settled():
                return

    def _has_settled(self) -> bool:
        """Whether all that must answer have, and nothing is left to do for them."""
        if self.unanswered & self.must_answer:
            return False
        places = (it for it in range(self.size) if self.must_answer >> it & 1)
        drivers = [self.drivers[it] for it in places]
        states = [it.process.state for it in drivers if it is not None]
        return not states or self.setup.requests.has_settled(states)

    def ask(self, place: int) -> None:
        """Hand a server the request that is planned for it."""
        driver, request = self.drivers[place], self.requests[place]
        if request is None or self.is_postponed(place, self.ask) or driver is None:
            return
        self.requests[place] = None
        pace = self.setup.pace
        if pace is None:
            self.unanswered |= 1 << place
        elif self.have_faults_ended and not self.unanswered >> place & 1:
            return
        if pace is None or self.have_faults_ended:
            self.asked[place].append(request)
        self._hand(place, driver, request)
        if self.refusal is not None and self.have_faults_ended:
            self._redirect(request, self.refusal)
        if pace is not None and self.drivers[place] is driver:
            self.plan_request(place, pace, None)

    def _hand(self, place: int, driver: Driver[S, Q, M, T, R, P], request: Q) -> None:
        self.refusal = None
        outcome = self._take(place, driver, request)
        if self.trace is not None:
            self.trace.append(Act(self.now, self.members[place], outcome, request=request))

    def _redirect(self, request: Q, refusal: UsageError) -> None:
        """The client of a server that has refused asks the one that it names."""
        other = self.setup.requests.redirect(request, refusal)
        place = None if other is None else self.places.get(other)
        driver = None if place is None else self.drivers[place]
        if place is not None and driver is not None:
            self._hand(place, driver, request)

    # --- one step -------------------------------------------------------------------------------

    def _take(
        self, place: int, driver: Driver[S, Q, M, T, R, P], event: From[M] | T | Q
    ) -> Outcome:
        self.events += 1
        outcome, waiting = Outcome.GOES_ON, driver.process.waiting
        try:
            effects = driver.take(event)
        except InvariantError:
            return outcome
        except UsageError as refusal:
            self.refusal = refusal
            return outcome
        if driver.process.waiting is not waiting:
            outcome = self._draw_save(place, bool(waiting))
            if outcome is Outcome.GOES_ON:
                self.saves[place] += 1
                effects += driver.save()
            elif outcome is not Outcome.SAVES_SLOWLY:
                is_durable = outcome is Outcome.UNSENT or outcome is Outcome.STORE_LIES
                self.go_down(place, driver, outcome, int(is_durable))
                return outcome
        if effects:
            self._carry_out(place, driver, effects)
        return outcome

    def _draw_save(self, place: int, is_saving: bool) -> Outcome:
        """What becomes of a step that must be saved."""
        drawn = self.draw(8)
        if is_saving:
            return Outcome.SAVES_SLOWLY
        if drawn < self.slow:
            self.met[Fault.SAVED_SLOWLY] += 1
            self.later(1 + self.up_to(12), self._end_save, place)
            return Outcome.SAVES_SLOWLY
        is_durable = drawn & 1
        if drawn < self.crash_threshold:
            self.met[Fault.CRASHED_AFTER_SAVE if is_durable else Fault.CRASHED_BEFORE_SAVE] += 1
            return Outcome.UNSENT if is_durable else Outcome.BEFORE_SAVE
        if self.saves[place] + 1 == self.fail_at[place]:
            self.met[Fault.STORE_FAILED] += 1
            return Outcome.STORE_LIES if is_durable else Outcome.STORE_FAILS
        return Outcome.GOES_ON

    def _end_save(self, place: int) -> None:
        """A save that took its time is over."""
        driver = self.drivers[place]
        if self.is_postponed(place, self._end_save) or driver is None:
            return
        if not driver.process.waiting:
            return
        outcome, saved = self._draw_end(len(driver.process.waiting))
        self.note(place, outcome, saved)
        if outcome is not Outcome.SAVED:
            self.go_down(place, driver, outcome, saved)
            return
        self.saves[place] += saved
        self._carry_out(place, driver, driver.save())

    def _draw_end(self, length: int) -> tuple[Outcome, int]:
        """How the save of ``length`` steps ends, and how many of them are durable."""
        if self.crash_threshold == self.slow or self.draw(8) >= TEARING:
            return Outcome.SAVED, length
        if length > 1:
            self.met[Fault.TORN_SAVE] += 1
            return Outcome.TORN, 1 + self.up_to(length - 1)
        if self.draw(1):
            self.met[Fault.CRASHED_BEFORE_SAVE] += 1
            return Outcome.BEFORE_SAVE, 0
        self.met[Fault.CRASHED_AFTER_SAVE] += 1
        return Outcome.UNSENT, length

    # --- what leaves ----------------------------------------------------------------------------

    def _carry_out(
        self,
        place: int,
        driver: Driver[S, Q, M, T, R, P],
        effects: Iterable[Effect[M, T, P]],
    ) -> None:
        me = self.members[place]
        for effect in effects:
            if type(effect) is To:
                self._send(place, (effect.receiver,), From(me, effect.message))
            elif type(effect) is Broadcast:
                receivers = self.machine.members(driver.process.state)
                self._send(place, receivers, From(me, effect.message))
            elif type(effect) is SetTimer:
                self._set_timer(place, driver, effect)
            elif type(effect) is Tell:
                self._report(place, driver, effect.report)
            else:
                assert_never(effect)

    def _set_timer(
        self, place: int, driver: Driver[S, Q, M, T, R, P], request: SetTimer[T]
    ) -> None:
        least, most = map(int, self.machine.delay(request, TIMEOUTS))
        ticks = least + self.up_to(most - least)
        due = self.now + max(1, ticks * self.skews[place] >> 4)
        self.due[due].append((place, request.timer, driver))
        if self.draw(8) < self.stale_timers:
            self.met[Fault.STALE_TIMER] += 1
            self.due[due + 1 + self.up_to(64)].append((place, request.timer, driver))

    def _report(self, place: int, driver: Driver[S, Q, M, T, R, P], report: P) -> None:
        fetched = self.machine.fetch(driver.process.disk, report)
        if fetched is None:
            self.answered(place, report)
        for it in fetched or ():
            self._send(place, (it.receiver,), From(self.members[place], it.message))
        snapshot = self.setup.snapshot(driver.process.disk, report)
        if snapshot is not None:
            self._send(place, (snapshot.receiver,), snapshot.message)

    def answered(self, place: int, report: P) -> None:
        """The server at ``place`` has given the program a report."""
        self.reports += 1
        asked = self.asked[place]
        if any(self.setup.requests.is_answer(it, report) for it in asked):
            asked.clear()
            self.unanswered &= ~(1 << place)
        if self.setup.pace is None:
            self.plan_request(place, 24, report)

    def _send(self, place: int, receivers: Iterable[ServerId], mail: From[M] | Q) -> None:
        """Put ``mail`` on its way. Much of the time goes here: hence local names."""
        now, due, latest, places = self.now, self.due, self.latest, self.places
        cut, first_link = self.cuts[place], place * self.size
        for receiver in receivers:
            to = places.get(receiver)
            if to is None:
                continue  # No member has that id.
            if cut >> to & 1:
                self.met[Fault.CUT_OFF] += 1
                continue
            delay = self.fates[self.draw(8)]
            if delay <= 0:
                self.divert(to, mail, delay)
                continue
            arrives = now + delay
            if arrives < latest[first_link + to]:
                self.met[Fault.REORDERED] += 1
            else:
                latest[first_link + to] = arrives
            due[arrives].append((to, mail, None))
