"""One seed, one life: a cluster in virtual time, and everything that can go wrong around it.

- Whole servers, whole ticks, and no fractions: a seed is the same life on every machine and under
  every Python.
- Each event is a step that is looked up, then saved, then judged, and only then sent: see
  ``steps.py``, ``judging.py`` and, for what happens to servers and network, ``world.py``.
- A save may take its time: what comes meanwhile is saved with it, and nothing of it leaves before.
- A crash comes before a save, within one, or after it. A store that fails stops its server, whether
  the disk has the record or not.
- In the mode for liveness all faults end at some tick, and only the links that the network lacks
  stay away. From then on every server that was asked answers within a bound, if it can be answered:
  see ``networks.py``.
"""

from __future__ import annotations

import threading
from hashlib import blake2b

from attrs import evolve

from paxos import MaxRound, NotYetChosen
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.judging import Broken
from paxos_lab.simulate.setup import LIVENESS, Act, Fate, Life, Noted, Setup
from paxos_lab.simulate.steps import (
    RECEIVER,
    RECEIVER_BITS,
    UNKNOWN,
    Check,
    Step,
    Wish,
)
from paxos_lab.simulate.world import FLUSH, MAX_DELAY_TICKS, World

MAX_STEPS = 400_000
"""After how many known steps they are forgotten, to bound the memory: about 1 kB each."""

TEARING = 64
"""In how many cases out of 256 a save that takes its time is cut off by a crash."""


def simulate(seed: int, setup: Setup | None = None) -> Life:
    """The life of ``seed``, with its digest."""
    return record(seed, setup)[0]


def record(seed: int, setup: Setup | None = None) -> tuple[Life, tuple[Act, ...]]:
    """The life of ``seed``, and all that happened in it."""
    simulator = simulator_of(setup or Setup())
    trace: list[Noted] = []
    life = simulator.live(seed, trace)
    acts = tuple(simulator.act(noted) for noted in trace)
    words = "\n".join([*map(repr, acts), repr(life)])
    return evolve(life, digest=blake2b(words.encode(), digest_size=8).hexdigest()), acts


class Simulator(World):
    """Lives of one setup, one after the other. Known steps are kept in between. Not thread-safe."""

    def live(self, seed: int, trace: list[Noted] | None = None) -> Life:
        """One life; ``trace`` takes down what happens."""
        if self.table.taken > MAX_STEPS:
            self.forget()
        self.begin(seed, trace)
        broken = None
        try:
            self._run()
        except Broken as found:
            broken = found.rule
        except Exception as error:
            error.add_note(f"in the life of seed {seed}: record({seed}, setup) meets it again")
            raise
        if self.setup.liveness and self.waiting & self.owed and broken is None:
            broken = LIVENESS
        judge = self.judge
        chosen = next((value for _, value in judge.chosen), None)
        met = tuple(self.met)
        return Life(seed, self.events, judge.reports, chosen, broken, self.now, met)

    def act(self, noted: Noted) -> Act:
        """What was taken down, in words that mean the same everywhere."""
        tick, place, number, fate = noted
        me = self.table.members[place]
        if number < 0:
            return Act(tick, me, None, ~number, fate)
        return Act(tick, me, self.table.event(number), 0, fate)

    def _run(self) -> None:
        """Let time pass. This is where the time goes: hence local names, and no calls."""
        servers, wheel, draw, skews = self.servers, self.wheel, self.draw, self.skews
        cuts, latest, trace, fates = self.cuts, self.latest, self.trace, self.fates
        known, take = self.table.known, self.table.take
        events = now = overtaken = 0
        try:
            for now, bucket in enumerate(wheel[: self.last_tick]):
                if not bucket:
                    continue
                self.now = now
                for item in bucket:
                    if item < 0:
                        happening, place = divmod(~item, 1 << RECEIVER_BITS)
                        self.happenings[happening](place)
                        fates = self.fates
                        continue
                    place = item & RECEIVER
                    parts = servers[place]
                    if parts is None:
                        self.absent(place, item)
                        continue
                    events += 1
                    if trace is not None:
                        trace.append((now, place, item, Fate.GOES_ON))
                    try:
                        part, branches, step = known[item]
                        while part >= 0:
                            part, branches, step = branches[parts[part]]
                    except KeyError:
                        part, step = UNKNOWN, None
                    if part == UNKNOWN:
                        step = take(item, parts)
                    if step is None:
                        continue
                    changes, check, sends, wishes = step
                    if check is not None and not self._commit(place, step, check):
                        continue
                    for part, number in changes:
                        parts[part] = number
                    if cuts[place]:
                        self._send(place, sends)
                    else:
                        for sent in sends:
                            delay = fates[draw(8)]
                            if delay > 0:
                                due = now + delay
                                link = place << RECEIVER_BITS | sent & RECEIVER
                                if due < latest[link]:
                                    overtaken += 1
                                else:
                                    latest[link] = due
                                wheel[due].append(sent)
                            else:
                                self.divert(sent, delay)
                    for wake, shortest, more in wishes:
                        ticks = shortest + (draw(16) * more >> 16)
                        wheel[now + (ticks * skews[place] >> 4)].append(wake)
                bucket.clear()
                if self.is_calm and not self.waiting & self.owed:
                    break
        finally:
            self.events = events
            self.met[Fault.REORDERED] = overtaken
            for bucket in wheel[now : now + MAX_DELAY_TICKS]:
                if bucket:
                    bucket.clear()

    def _send(self, place: int, sends: tuple[int, ...]) -> None:
        cut = self.cuts[place]
        for sent in sends:
            if cut >> (sent & RECEIVER) & 1:
                self.met[Fault.CUT_OFF] += 1
                continue
            delay = self.fates[self.draw(8)]
            if delay > 0:
                self.wheel[self.now + delay].append(sent)
            else:
                self.divert(sent, delay)

    def _wish(self, place: int, wishes: tuple[Wish, ...]) -> None:
        for wake, shortest, more in wishes:
            ticks = shortest + self.up_to(more)
            self.wheel[self.now + (ticks * self.skews[place] >> 4)].append(wake)

    # --- saving ---------------------------------------------------------------------------------

    def _commit(self, place: int, step: Step, check: Check) -> bool:
        """Save what must be durable first. Whether the step goes on at once."""
        if check.broken is not None:
            self.judge.breaks(check.broken)
        if check.record is not None:
            drawn = self.draw(8)
            if self.batches[place] or drawn < self.slow:
                self._hold(place, step)
                return False
            if drawn < self.deadly or self.saves[place] + 1 == self.fail_at[place]:
                self._die_saving(place, check, drawn)
                return False
            self._save(place, check)
        if not check.is_plain:
            self._judge(place, check)
        return True

    def _save(self, place: int, check: Check) -> None:
        record = check.record
        self.saves[place] += 1
        if type(record) is MaxRound:
            self.rounds[place] = record.round
        elif record is not None:
            self.memories[place] = record
            for vote in check.votes:
                self.judge.vote(place, vote)

    def _judge(self, place: int, check: Check) -> None:
        self.judge.hear(place, check, self.memories[place], self.rounds[place])
        if check.report is not None:
            self.waiting &= ~(1 << place)
            if type(check.report) is NotYetChosen:
                self.found_nothing(place)

    def _hold(self, place: int, step: Step) -> None:
        """The save takes its time; what comes meanwhile is saved with it."""
        if not self.batches[place]:
            self.met[Fault.SAVED_SLOWLY] += 1
            self.later(1 + self.up_to(12), FLUSH, place)
        self.batches[place].append(step)
        parts = self.servers[place]
        assert parts is not None
        for part, number in step[0]:
            parts[part] = number
        self._became(Fate.SAVES_SLOWLY)

    def _die_saving(self, place: int, check: Check, drawn: int) -> None:
        is_durable = drawn & 1
        if drawn >= self.deadly:
            fault, fate = Fault.STORE_FAILED, Fate.STORE_LIES if is_durable else Fate.STORE_FAILS
        elif is_durable:
            fault, fate = Fault.CRASHED_AFTER_SAVE, Fate.UNSENT
        else:
            fault, fate = Fault.CRASHED_BEFORE_SAVE, Fate.BEFORE_SAVE
        self.met[fault] += 1
        self._became(fate)
        if is_durable:
            self._save(place, check)
        self.go_down(place)

    def _became(self, fate: Fate) -> None:
        """The event taken down last has had another fate."""
        if self.trace is not None:
            tick, place, item, _ = self.trace[-1]
            self.trace[-1] = tick, place, item, fate

    def _flush(self, place: int) -> None:
        batch = self.batches[place]
        if self.paused[place] is not None:
            self.stash[place].append(~(FLUSH << RECEIVER_BITS | place))
            return
        if not batch:
            return
        self.batches[place] = []
        fate, saved = self._end(len(batch))
        self.note(place, saved, fate)
        checks = [check for _, check, _, _ in batch if check is not None]
        for check in checks[:saved]:
            self._save(place, check)
        if fate is not Fate.SAVED:
            self.go_down(place)
            return
        for check, (_, _, sends, wishes) in zip(checks, batch, strict=True):
            self.judge.prove(check.said, self.memories[place])
            self._judge(place, check)
            self._send(place, sends)
            self._wish(place, wishes)

    def _end(self, length: int) -> tuple[Fate, int]:
        """How the save of ``length`` steps ends, and how many of them are durable."""
        if self.deadly == self.slow or self.draw(8) >= TEARING:
            return Fate.SAVED, length
        if length > 1:
            self.met[Fault.TORN_SAVE] += 1
            return Fate.TORN, 1 + self.up_to(length - 1)
        if self.draw(1):
            self.met[Fault.CRASHED_BEFORE_SAVE] += 1
            return Fate.BEFORE_SAVE, 0
        self.met[Fault.CRASHED_AFTER_SAVE] += 1
        return Fate.UNSENT, length


class _Kept(threading.local):
    """The last simulator of this thread, with all the steps that it knows."""

    simulator: Simulator | None = None


_kept = _Kept()


def simulator_of(setup: Setup) -> Simulator:
    """A simulator for this thread; the same as the last time, if the setup is the same."""
    if _kept.simulator is None or _kept.simulator.setup != setup:
        _kept.simulator = Simulator(setup)
    return _kept.simulator
