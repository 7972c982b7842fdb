"""``paxos explore``: every run of a small cluster, and a shortest one that breaks a rule."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from attrs import define, field, frozen
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from paxos import QuorumError, QuorumSystem, ServerId, flexible, majority, weighted
from paxos_adapters.outputs import RECORDING, OutputRefused
from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.interrupt import on_interrupt
from paxos_cli.options import PLAIN, RULE, gathered
from paxos_cli.paths import InputFile, OutputFile
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import (
    Counterexample,
    counterexample,
)
from paxos_lab.explore.interleavings import Move, State
from paxos_lab.explore.recorded import picture, read, write
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import Exploration, Progress
from paxos_lab.record import PROTOCOLS, RecordingError
from paxos_lab.rules import CHOOSABLE, RULES

LANE_WIDTH = 7
READERS = "read-not-completed", "nothing-from-one", "read-id-reused"
"""The protocols in which reads are broken: without a reader they are sound."""


@frozen
class Cluster:
    """The options that say what is explored; None where its default depends on others."""

    acceptors: int
    proposers: int | None
    readers: int | None
    reads: int | None
    inquirers: int
    ballots: int
    crashes: int
    quorum: str | None
    rule: str


@click.command(short_help="Explore every run of a small cluster.")
@click.option("--acceptors", type=click.IntRange(1, 9), default=3, show_default=True)
@click.option(
    "--proposers",
    type=click.IntRange(0, 9),
    help="How many.  [default: 2; 3 for first-value-only, to split three votes]",
)
@click.option(
    "--readers",
    type=click.IntRange(0, 9),
    help="How many read.  [default: 0; 1 for the protocols in which reads are broken]",
)
@click.option("--reads", type=click.IntRange(1), help="By each reader.  [default: 1; 2 if needed]")
@click.option("--inquirers", type=click.IntRange(0, 9), default=0, help="How many inquire.")
@click.option("--ballots", type=click.IntRange(1), default=2, show_default=True, help="For each.")
@click.option("--crashes", type=click.IntRange(0), default=0, show_default=True, help="In all.")
@click.option("--quorum", help="2/3: any two promise, any three choose. 2,1,1: weights.")
@RULE
@click.option("--check", multiple=True, type=click.Choice(RULES), help="Only this; all by default.")
@click.option("--max-states", type=click.IntRange(1), default=5_000_000, show_default=True)
@click.option("--memory", "memory_mb", type=click.IntRange(50), default=4_000, show_default=True)
@click.option(
    "--record",
    type=OutputFile(RECORDING),
    default="counterexample.jsonl",
    show_default=True,
    help="Where a counterexample goes.",
)
@click.option("--replay", type=InputFile())
@PLAIN
@gathered(Cluster)
def explore(
    cluster: Cluster,
    check: tuple[str, ...],
    max_states: int,
    memory_mb: int,
    record: Path,
    replay: Path | None,
    plain: bool,
) -> int:
    """Explore every run of a small cluster, under any loss, delay, repetition and crash.

    Exits with 0 if all rules hold in all runs, with 1 and a shortest run to the fault if not, and
    with 3 if the search was cut short. --replay FILE draws a recorded run again.
    """
    drawn = canvas(plain)
    if replay is not None:
        _draw(drawn, _recorded(replay))
        return 0
    scope = _scope(cluster)
    drawn.write(_title(scope))
    started = time.perf_counter()
    with _watcher(memory_mb) as watcher:
        system, found = explore_cluster(
            scope, rules=check or RULES, max_states=max_states, on_progress=watcher.look
        )
    seconds = time.perf_counter() - started
    drawn.write(
        f"{found.states:,} states, {found.transitions:,} transitions, depth {found.depth}, "
        f"{seconds:.1f} s ({found.states / seconds:,.0f} states/s)."
    )
    if not system.scope.drop_ignored_messages:
        drawn.write("Searched twice: this protocol takes notice of messages that Paxos ignores.")
    if found.violation is not None:
        example = counterexample(system, found.violation)
        _draw(drawn, example)
        _keep(drawn, record, example)
        return 1
    return _verdict(drawn, found, watcher, max_states, check)


def _scope(cluster: Cluster) -> Scope:
    readers, proposers, reads = cluster.readers, cluster.proposers, cluster.reads
    if readers is None:
        readers = int(cluster.rule in READERS)
    if proposers is None:
        others = min(readers + cluster.inquirers, 1)
        most = 3 if cluster.rule == "first-value-only" else 2 - others
        proposers = min(most, cluster.acceptors)
    if reads is None:
        reads = 2 if cluster.rule == "read-id-reused" else 1
    try:
        return Scope(
            acceptors=cluster.acceptors,
            proposers=proposers,
            readers=readers,
            reads=reads,
            inquirers=cluster.inquirers,
            ballots=cluster.ballots,
            crashes=cluster.crashes,
            quorum=_quorum(cluster.acceptors, cluster.quorum),
            protocol=PROTOCOLS[cluster.rule],
        )
    except (ScopeError, QuorumError) as error:
        raise click.UsageError(str(error)) from error


def _quorum(acceptors: int, text: str | None) -> QuorumSystem:
    members = [ServerId(number) for number in range(1, acceptors + 1)]
    try:
        if text is None:
            return majority(members)
        if "/" in text:
            phase1, phase2 = map(int, text.split("/"))
            return flexible(members, phase1=phase1, phase2=phase2)
        return weighted(dict(zip(members, map(int, text.split(",")), strict=True)))
    except QuorumError:
        raise
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither two sizes, as 2/3, nor a weight for each acceptor, as 2,1,1.",
            param_hint="'--quorum'",
        ) from error


def _title(scope: Scope) -> str:
    crashes = {0: "no crash", 1: "one crash"}.get(scope.crashes, f"{scope.crashes} crashes")
    readers = f", readers {scope.readers}" if scope.readers else ""
    reads = f" with {scope.reads} reads each" if scope.readers and scope.reads > 1 else ""
    inquirers = f", inquirers {scope.inquirers}" if scope.inquirers else ""
    return (
        f"{scope.protocol.name}: acceptors {scope.acceptors}, proposers {scope.proposers}"
        f"{readers}{reads}{inquirers}, ballots for each {scope.ballots}, {crashes}."
    )


def _recorded(path: Path) -> Counterexample:
    try:
        return read(path)
    except (RecordingError, OSError) as error:
        raise click.UsageError(str(error)) from error


def _draw(drawn: Canvas, example: Counterexample) -> None:
    drawn.write()
    drawn.write(f"Broken: {example.rule}, by {_events(len(example.run))}. Time runs down.")
    drawn.timeline(picture(example), width=LANE_WIDTH)
    held = example.system.accepted(example.run[-1].after) if example.run else ()
    told = ", ".join(
        f"A{place} {'nothing' if it is None else f'{it.ballot} {it.value}'}"
        for place, it in enumerate(held, start=1)
    )
    drawn.write(f"Accepted at the end: {told}.")
    if example.rule == CHOOSABLE:
        drawn.write("No value is chosen, and from here none ever can be.")


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _keep(drawn: Canvas, path: Path, example: Counterexample) -> None:
    try:
        write(path, example)
    except (RecordingError, OutputRefused, OSError) as error:
        drawn.write(f"Not recorded: {printable(error)}")
    else:
        drawn.write(f"Recorded: paxos explore --replay {printable(path)} draws it again.")


def _verdict(
    drawn: Canvas,
    found: Exploration[State, Move],
    watcher: Watcher,
    max_states: int,
    check: tuple[str, ...],
) -> int:
    if not found.exhausted:
        why = watcher.stopped or f"there are more than {max_states:,} states (--max-states)"
        drawn.write(f"Cut short: {why}. No rule was broken in what was seen.")
        return 130 if watcher.interrupted else 3
    if found.never:
        drawn.write(f"All states seen, and yet never: {', '.join(sorted(found.never))}.")
        drawn.write("A rule that holds because nothing happens proves little: widen the scope.")
        return 1
    what = "Every rule holds" if not check else f"What was checked holds ({', '.join(check)})"
    drawn.write(f"All states seen. {what} in each of them.")
    return 0


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
def _watcher(memory_mb: int) -> Generator[Watcher, None, None]:
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    console = Console(stderr=True)
    shown = console.is_terminal
    with ProgressBar(*columns, console=console, transient=True, disable=not shown) as progress:
        progress.add_task("")
        watcher = Watcher(memory_mb, progress)
        with on_interrupt(watcher.interrupt):
            yield watcher


def _used_mb() -> float:
    """The most memory that this process has used; 0 where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:
        return 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024**2 if sys.platform == "darwin" else 1024)
