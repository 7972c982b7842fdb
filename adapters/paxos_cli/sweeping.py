"""What ``paxos simulate`` shows of many runs: how far they are, and what they counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread

from attrs import define
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from paxos_cli.canvas import Canvas
from paxos_cli.interrupt import on_interrupt
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.sweep import Sweep


@define
class Watcher:
    """Shows how far the sweep is, and stops it when it is interrupted."""

    progress: Progress
    interrupted: bool = False

    def interrupt(self) -> None:
        """Stop at the next look."""
        self.interrupted = True

    def look(self, done: Sweep) -> bool:
        """Whether to go on."""
        self.progress.update(self.progress.task_ids[0], completed=done.runs)
        return not self.interrupted


@contextmanager
def watching(drawn: Canvas, title: str, seeds: int) -> Generator[Watcher, None, None]:
    """The title, and a watcher: once the title can be read, Ctrl-C ends with a summary."""
    columns = TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    hidden = not console.is_terminal
    progress = Progress(*columns, console=console, transient=True, disable=hidden)
    watcher = Watcher(progress)
    with on_interrupt(watcher.interrupt):
        drawn.write(title)
        with progress:
            progress.add_task("", total=seeds)
            yield watcher


@contextmanager
def workers(jobs: int) -> Generator[Executor | None, None, None]:
    """So many processes to share the runs; None for one job: this process does it."""
    if jobs == 1:
        yield None
        return
    with ProcessPoolExecutor(jobs, initializer=_begin_work) as executor:
        yield executor


def _begin_work() -> None:
    """Ctrl-C reaches every process of the terminal; only the one that sums up reacts to it.

    A worker ends with that one, even if it is killed: nothing else would end it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_end_with_parent, name="paxos parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def sum_up(drawn: Canvas, done: Sweep, seconds: float, *, is_log: bool) -> None:
    """How many runs there were, in how much time, and what came of them."""
    drawn.write(
        f"{done.runs:,} runs, {done.events:,} events, {seconds:.1f} s "
        f"({done.runs / seconds:,.0f} runs/s, {done.events / seconds:,.0f} events/s)."
    )
    chosen = f"A value was chosen in {done.decided:,} runs"
    if is_log:
        chosen = f"{done.values:,} different entries were chosen in {done.slots:,} slots"
    if done.changes:
        chosen += f", {done.changes:,} times a change of members, finished {done.finished:,} times"
    drawn.write(f"{chosen}; servers answered {done.reports:,} times.")


def faults(drawn: Canvas, met: tuple[int, ...]) -> None:
    """How often each fault was met."""
    rows = [(fault.label, f"{met[fault]:,}") for fault in Fault]
    drawn.table(("fault", "times"), rows, numbers=("times",))
