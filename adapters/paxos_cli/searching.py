"""What ``paxos explore`` shows of a search: how far it is, what it counted, and how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from paxos_adapters.outputs import OutputRefused
from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.interrupt import on_interrupt
from paxos_lab.explore.search import A, Exploration, Progress, S
from paxos_lab.record import RecordingError


@frozen
class Bounds:
    """What is checked, everything if nothing is named, and what ends the search."""

    check: tuple[str, ...]
    max_states: int
    memory_mb: int


@define
class Watcher:
    """Shows how far the search is, and stops it at Ctrl-C or when memory runs out."""

    memory_mb: int
    progress: ProgressBar
    interrupted: bool = False
    stopped: str = field(default="")

    def interrupt(self) -> None:
        """Stop at the next look."""
        self.interrupted = True

    def look(self, progress: Progress) -> bool:
        """Whether to go on."""
        self.progress.update(
            self.progress.task_ids[0],
            description=f"{progress.states:,} states, depth {progress.depth}, "
            f"{progress.waiting:,} waiting",
        )
        used_mb = _used_mb()
        if self.interrupted:
            self.stopped = "interrupted"
        elif used_mb > self.memory_mb:
            self.stopped = (
                f"{used_mb:,.0f} MB are in use, and {self.memory_mb:,} allowed (--memory)"
            )
        return not self.stopped


@contextmanager
def watching(drawn: Canvas, title: str, memory_mb: int) -> Generator[Watcher, None, None]:
    """The title, a watcher, and a bar on the standard error if that is a terminal.

    Once the title can be read, Ctrl-C ends the search with a summary.
    """
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    console = Console(stderr=True)
    shown = console.is_terminal
    progress = ProgressBar(*columns, console=console, transient=True, disable=not shown)
    watcher = Watcher(memory_mb, progress)
    with on_interrupt(watcher.interrupt):
        drawn.write(title)
        with progress:
            progress.add_task("")
            yield watcher


def _used_mb() -> float:
    """The most memory that this process has used; 0 where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:
        return 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024**2 if sys.platform == "darwin" else 1024)


def counted(drawn: Canvas, found: Exploration[S, A], seconds: float) -> None:
    """How much was searched, in how much time."""
    drawn.write(
        f"{found.states:,} states, {found.transitions:,} transitions, depth {found.depth}, "
        f"{seconds:.1f} s ({found.states / seconds:,.0f} states/s)."
    )


def verdict(drawn: Canvas, found: Exploration[S, A], watcher: Watcher, bounds: Bounds) -> ExitCode:
    """The exit status of a search that broke no rule, and a word about it."""
    if not found.exhausted:
        most = f"there are more than {bounds.max_states:,} states (--max-states)"
        drawn.write(f"Cut short: {watcher.stopped or most}. No rule was broken in what was seen.")
        return ExitCode.STOPPED if watcher.interrupted else ExitCode.CUT_SHORT
    if found.never:
        drawn.write(f"All states seen, and yet never: {', '.join(sorted(found.never))}.")
        drawn.write("A rule that holds because nothing happens proves little: widen the scope.")
        return ExitCode.FAILED
    what = "Every rule holds"
    if bounds.check:
        what = f"What was checked holds ({', '.join(bounds.check)})"
    drawn.write(f"All states seen. {what} in each of them.")
    return ExitCode.DONE


def keep(drawn: Canvas, path: Path, write: Callable[[], None]) -> None:
    """Record a counterexample at ``path`` by ``write``, and say how it is drawn again."""
    try:
        write()
    except (RecordingError, OutputRefused, OSError) as error:
        drawn.write(f"Not recorded: {printable(error)}")
    else:
        drawn.write(f"Recorded: paxos explore --replay {printable(path)} draws it again.")
