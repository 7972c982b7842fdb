"""Many runs: seeds in portions, on any executor, summed up.

- A portion is a function of its seeds and the setup: any ``concurrent.futures.Executor`` will do.
- Results are taken in the order of the seeds, so the failure that is found is the first one,
  however many workers there are.
- Stopped in the middle, it says what was done until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future

from attrs import evolve, frozen

from paxos_adapters import arguments
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.setup import Run, Setup
from paxos_lab.simulate.simulator import run_seed

PORTION = 250
MAX_WAITING = 64
"""How many portions are handed to an executor before the first of them is back."""


@frozen
class Sweep:
    """What the runs of a sweep came to, together.

    ``decided`` counts the runs in which a value was chosen, ``values`` the different values of all
    runs, ``reports`` the answers that the servers gave. ``slots``, ``changes`` and ``finished`` are
    those of all runs. ``failure`` is the run of the first seed that broke a rule; no later portion
    is counted. ``stopped``: interrupted before the end, or its workers were.
    """

    runs: int = 0
    events: int = 0
    reports: int = 0
    decided: int = 0
    met: tuple[int, ...] = (0,) * len(Fault)
    longest_ticks: int = 0
    failure: Run | None = None
    stopped: bool = False
    values: int = 0
    slots: int = 0
    changes: int = 0
    finished: int = 0

    def __add__(self, other: Sweep) -> Sweep:
        return Sweep(
            self.runs + other.runs,
            self.events + other.events,
            self.reports + other.reports,
            self.decided + other.decided,
            tuple(map(int.__add__, self.met, other.met)),
            max(self.longest_ticks, other.longest_ticks),
            self.failure or other.failure,
            self.stopped or other.stopped,
            self.values + other.values,
            self.slots + other.slots,
            self.changes + other.changes,
            self.finished + other.finished,
        )


def sweep(
    seeds: range,
    setup: Setup[S, Q, M, T, R, P],
    *,
    executor: Executor | None = None,
    progress: Callable[[Sweep], bool] | None = None,
    portion: int = PORTION,
) -> Sweep:
    """Run every seed of ``seeds``, up to the first that breaks a rule.

    Without an ``executor``, one after the other in this thread. ``progress`` is shown what was
    done so far, and says whether to go on. Raises BadNumber.
    """
    arguments.whole("portion", portion, 1)
    portions = [seeds[start : start + portion] for start in range(0, len(seeds), portion)]
    results = (
        _run_inline(portions, setup)
        if executor is None
        else _run_on_executor(portions, setup, executor)
    )
    done = Sweep()
    try:
        for result in results:
            done += result
            if done.failure is not None:
                break
            if progress is not None and not progress(done):
                return evolve(done, stopped=done.runs < len(seeds))
    except (KeyboardInterrupt, CancelledError, BrokenExecutor):
        return evolve(done, stopped=True)
    finally:
        results.close()
    return done


def _run_inline(
    portions: list[range], setup: Setup[S, Q, M, T, R, P]
) -> Generator[Sweep, None, None]:
    return (run_portion(portion, setup) for portion in portions)


def _run_on_executor(
    portions: list[range], setup: Setup[S, Q, M, T, R, P], executor: Executor
) -> Generator[Sweep, None, None]:
    waiting: deque[Future[Sweep]] = deque()
    coming = iter(portions)
    try:
        for portion in coming:
            waiting.append(executor.submit(run_portion, portion, setup))
            if len(waiting) == MAX_WAITING:
                break
        while waiting:
            yield waiting.popleft().result()
            for portion in coming:
                waiting.append(executor.submit(run_portion, portion, setup))
                break
    finally:
        for future in waiting:
            future.cancel()


def run_portion(seeds: range, setup: Setup[S, Q, M, T, R, P]) -> Sweep:
    """The runs of ``seeds``, up to the first that breaks a rule."""
    done = Sweep()
    for seed in seeds:
        done += _alone(run_seed(seed, setup))
        if done.failure is not None:
            break
    return done


def _alone(run: Run) -> Sweep:
    return Sweep(
        1,
        run.events,
        run.reports,
        int(bool(run.chosen)),
        run.met,
        run.ticks,
        None if run.broken is None else run,
        values=len(run.chosen),
        slots=run.slots,
        changes=run.changes,
        finished=run.finished,
    )
