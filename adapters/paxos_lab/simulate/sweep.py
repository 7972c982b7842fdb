"""Many lives: seeds in portions, on any executor, summed up.

- A portion is a function of its seeds and the setup: any ``concurrent.futures.Executor`` will do.
- Results are taken in the order of the seeds, so the failure that is found is the first one,
  however many workers there are.
- Stopped in the middle, it says what was done until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Executor, Future

from attrs import evolve, frozen

from paxos_adapters import arguments
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.life import simulator_of
from paxos_lab.simulate.setup import Life, Setup

PORTION = 250
MAX_WAITING = 64
"""How many portions are handed to an executor before the first of them is back."""


@frozen
class Sweep:
    """What the lives of a sweep came to, together.

    ``decided`` counts the lives in which a value was chosen, ``reports`` the answers that the
    servers gave. ``failure`` is the life of the first seed that broke a rule; no later portion is
    counted. ``stopped``: interrupted before the end.
    """

    lives: int = 0
    events: int = 0
    reports: int = 0
    decided: int = 0
    met: tuple[int, ...] = (0,) * len(Fault)
    longest_ticks: int = 0
    failure: Life | None = None
    stopped: bool = False

    def __add__(self, other: Sweep) -> Sweep:
        return Sweep(
            self.lives + other.lives,
            self.events + other.events,
            self.reports + other.reports,
            self.decided + other.decided,
            tuple(map(int.__add__, self.met, other.met)),
            max(self.longest_ticks, other.longest_ticks),
            self.failure or other.failure,
            self.stopped or other.stopped,
        )


def sweep(
    seeds: range,
    setup: Setup | None = None,
    *,
    executor: Executor | None = None,
    progress: Callable[[Sweep], bool] | None = None,
    portion: int = PORTION,
) -> Sweep:
    """Live every seed of ``seeds``, up to the first that breaks a rule.

    Without an ``executor``, one after the other in this thread. ``progress`` is shown what was
    done so far, and says whether to go on. Raises BadNumber.
    """
    arguments.whole("portion", portion, 1)
    setup = setup or Setup()
    portions = [seeds[start : start + portion] for start in range(0, len(seeds), portion)]
    results = _here(portions, setup) if executor is None else _away(portions, setup, executor)
    done = Sweep()
    try:
        for result in results:
            done += result
            if done.failure is not None:
                break
            if progress is not None and not progress(done):
                return evolve(done, stopped=done.lives < len(seeds))
    except (KeyboardInterrupt, CancelledError):
        return evolve(done, stopped=True)
    finally:
        results.close()
    return done


def _here(portions: list[range], setup: Setup) -> Generator[Sweep, None, None]:
    return (live(portion, setup) for portion in portions)


def _away(portions: list[range], setup: Setup, executor: Executor) -> Generator[Sweep, None, None]:
    waiting: deque[Future[Sweep]] = deque()
    coming = iter(portions)
    try:
        for portion in coming:
            waiting.append(executor.submit(live, portion, setup))
            if len(waiting) == MAX_WAITING:
                break
        while waiting:
            yield waiting.popleft().result()
            for portion in coming:
                waiting.append(executor.submit(live, portion, setup))
                break
    finally:
        for future in waiting:
            future.cancel()


def live(seeds: range, setup: Setup) -> Sweep:
    """One portion: the lives of ``seeds``, up to the first that breaks a rule."""
    simulator = simulator_of(setup)
    lives = events = reports = decided = longest_ticks = 0
    met = [0] * len(Fault)
    failure = None
    for seed in seeds:
        life = simulator.live(seed)
        lives += 1
        events += life.events
        reports += life.reports
        decided += life.chosen is not None
        longest_ticks = max(longest_ticks, life.ticks)
        for fault, times in enumerate(life.met):
            met[fault] += times
        if life.broken is not None:
            failure = life
            break
    return Sweep(lives, events, reports, decided, tuple(met), longest_ticks, failure)
