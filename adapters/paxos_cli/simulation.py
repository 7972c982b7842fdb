"""A simulation for the command: sweeps many seeds, or draws the run of one.

- A run that breaks a rule is shrunk, and drawn: the shortest schedule that breaks the same rule.
- What was drawn is recorded, if that is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import cpu_count
from typing import Generic, TypeAlias

from attrs import frozen

from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.ports import Observer
from paxos_cli.canvas import Canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.sweeping import faults, sum_up, watching, workers
from paxos_lab.machines.view import View
from paxos_lab.record import Trace, timeline
from paxos_lab.simulate.schedules import Played, play, shrink
from paxos_lab.simulate.setup import LIVENESS, LIVENESS_TICKS, Run, Setup
from paxos_lab.simulate.simulator import record
from paxos_lab.simulate.sweep import Sweep, sweep

NARROW, WIDE = 5, 9

Recorder: TypeAlias = AbstractContextManager[Observer[S, Q, M, T, R, P] | None]
"""What a run is recorded by; None: it is not recorded."""


@frozen
class Simulation(Generic[S, Q, M, T, R, P]):
    """What is simulated, and how it is called, repeated, recorded and drawn on ``drawn``.

    ``recorder`` takes what a recording says of the run. ``slot`` is None for a log.
    """

    drawn: Canvas
    setup: Setup[S, Q, M, T, R, P]
    title: str
    command: str
    view: View[S, Q, M, T, R, P]
    recorder: Callable[[Mapping[str, str]], Recorder[S, Q, M, T, R, P]]
    slot: int | None = 0

    # --- many runs ------------------------------------------------------------------------------

    def run_all(self, seeds: int, jobs: int | None) -> ExitCode:
        """Run the first ``seeds``, and sum up; stop at the first that breaks a rule."""
        started = time.perf_counter()
        with (
            watching(self.drawn, self.title, seeds) as watcher,
            workers(jobs or cpu_count() or 1) as executor,
        ):
            done = sweep(range(seeds), self.setup, executor=executor, progress=watcher.look)
        sum_up(self.drawn, done, time.perf_counter() - started, is_log=self.slot is None)
        if done.failure is not None:
            self._explain(done.failure)
            return ExitCode.FAILED
        faults(self.drawn, done.met)
        if done.stopped:
            why = "Interrupted" if watcher.interrupted else "A worker process ended: stopped"
            self.drawn.write(f"{why} after {done.runs:,} of {seeds:,} runs; none broke a rule.")
            return ExitCode.STOPPED
        self.drawn.write(f"No run broke a rule.{self._bound(done)}")
        return ExitCode.DONE

    def _bound(self, done: Sweep) -> str:
        if not self.setup.liveness:
            return ""
        return (
            f" All servers that were asked and can be answered were, within {LIVENESS_TICKS:,} "
            f"ticks after the last fault; the longest run took {done.longest_ticks:,} ticks."
        )

    def _explain(self, failure: Run) -> None:
        """The seed, how to see it again, and the schedule that breaks the rule."""
        self.drawn.write()
        self.drawn.write(f"Broken by seed {failure.seed}: {failure.broken}.")
        self.drawn.write(f"Again: {self.command} --seed {failure.seed}")
        _, acts = record(failure.seed, self.setup)
        self._keep(failure, self._draw_broken(failure, play(self.setup, acts)))

    # --- one run --------------------------------------------------------------------------------

    def run_one(self, seed: int) -> ExitCode:
        """Run that of ``seed``, and draw it."""
        run, acts = record(seed, self.setup)
        played = play(self.setup, acts)
        self.drawn.write(self.title)
        self.drawn.write(f"Seed {seed}, {run.events} events, {run.ticks} ticks. Time runs down.")
        if run.broken is not None:
            self._keep(run, self._draw_broken(run, played))
            return ExitCode.FAILED
        self._draw(played)
        chosen = f"{run.chosen[0]} was chosen" if run.chosen else "nothing was chosen"
        if self.slot is None:
            chosen = f"{len(run.chosen)} different entries were chosen"
        self.drawn.write(f"No rule was broken; {chosen}. Digest {run.digest}.")
        self._keep(run, played)
        return ExitCode.DONE

    def _draw_broken(self, run: Run, played: Played[Q, M, T]) -> Played[Q, M, T]:
        """Draw the shortest schedule that breaks the rule, and return it."""
        if run.broken is None or run.broken == LIVENESS:
            self._draw(played)
            lag = ", or lags behind another" if self.slot is None else ""
            self.drawn.write(
                f"A server got no answer within {LIVENESS_TICKS:,} ticks after the last fault{lag}."
            )
            return played
        shortest = shrink(self.setup, played.acts, run.broken)
        told = f"{len(shortest.acts)} of the {len(played.acts)} things that happened"
        self.drawn.write(f"Broken: {run.broken}, by {told}.")
        self._draw(shortest)
        return shortest

    def _draw(self, played: Played[Q, M, T]) -> None:
        trace: Trace[S, Q, M, T, R, P] = Trace()
        play(self.setup, played.acts, trace=trace)
        self.drawn.legend("something happens to a server")
        width = WIDE if len(self.setup.members) <= NARROW else NARROW
        self.drawn.timeline(timeline(trace, self.view, slot=self.slot).delivered, width=width)

    def _keep(self, run: Run, played: Played[Q, M, T]) -> None:
        """Record it, and its seed."""
        broken = {} if run.broken is None else {"broken": run.broken}
        with self.recorder({"seed": str(run.seed), **broken}) as recorder:
            play(self.setup, played.acts, recorder)
