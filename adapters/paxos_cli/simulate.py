"""``paxos simulate``: thousands of seeded runs with faults; shrinks the first failure.

What is simulated, one decision or a log, is a setup and a ``Presentation``: how it is called and
drawn.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from os import cpu_count
from pathlib import Path
from threading import Thread
from typing import Generic, TypeAlias

import click
from attrs import define, evolve, frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from paxos import Message, log, server
from paxos.log import events
from paxos.log.memory import Record
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.interrupt import on_interrupt
from paxos_cli.options import PLAIN, RULE, gathered, refuse_with_log
from paxos_cli.recording import log_recording, record_option, recording
from paxos_lab.machines.log_view import LogView, log_view
from paxos_lab.machines.protocols import PAXOS
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.machines.view import View
from paxos_lab.record import PROTOCOLS, Trace, timeline
from paxos_lab.simulate.faults import Fault
from paxos_lab.simulate.log import RULES_OF_RUNS, LogSetup
from paxos_lab.simulate.networks import PARTIAL
from paxos_lab.simulate.schedules import Played, play, shrink
from paxos_lab.simulate.setup import LIVENESS, LIVENESS_TICKS, Run, Setup, SetupError
from paxos_lab.simulate.simulator import record
from paxos_lab.simulate.single import SinglePlayed, SingleSetup
from paxos_lab.simulate.sweep import Sweep, sweep

NARROW, WIDE = 5, 9
EVERYWHERE = "everywhere"


@frozen
class Cluster:
    """The options that say which cluster is simulated; None where its default depends on others."""

    servers: int | None
    proposers: int | None
    readers: int | None
    liveness: bool
    rule: str
    network: str
    log: bool
    changes: bool
    newcomers: int
    snapshots: bool


@frozen
class Presentation(Generic[S, Q, M, T, R, P]):
    """How a simulation is called, repeated and drawn. ``slot`` is None for a log."""

    title: str
    command: str
    view: View[S, Q, M, T, R, P]
    slot: int | None = 0


SinglePresentation: TypeAlias = Presentation[
    server.Server[str],
    ClientRequest[str],
    Message[str],
    ServerTimer,
    server.Record[str],
    server.Report[str],
]
LogPresentation: TypeAlias = Presentation[
    log.Replica[str],
    events.Request[str],
    log.Message[str],
    events.LogTimer,
    Record[str],
    events.Report[str],
]


@click.command(cls=Command, short_help="Run thousands of simulations with faults.")
@click.option(
    "--servers",
    type=click.IntRange(3, 9),
    metavar="N",
    help="How many servers.  [default: 3, or as many as the network links]",
)
@click.option(
    "--proposers",
    type=click.IntRange(1, 9),
    metavar="N",
    help="How many propose.  [default: 2, or all if some links go]",
)
@click.option(
    "--readers",
    type=click.IntRange(0, 8),
    metavar="N",
    help="How many read.  [default: 1, if there is room]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    default=10_000,
    show_default=True,
    help="How many runs.",
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Draw one run, that of this seed."
)
@click.option("--liveness", is_flag=True, help="Faults end; then all must decide within a bound.")
@RULE
@click.option(
    "--network",
    type=click.Choice([EVERYWHERE, *PARTIAL]),
    default=EVERYWHERE,
    show_default=True,
    help="Which links stay: all, or those of a network that is hard on an election.",
)
@click.option("--log", is_flag=True, help="A replicated log, instead of one decision.")
@click.option("--changes", is_flag=True, help="With --log: members change, too.")
@click.option(
    "--newcomers",
    type=click.IntRange(0, 8),
    metavar="N",
    default=0,
    show_default=True,
    help="With --changes: how many servers are no founders.",
)
@click.option("--snapshots", is_flag=True, help="With --log: stores drop old entries, too.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="How many processes.  [default: one a core]"
)
@record_option
@PLAIN
@gathered(Cluster)
def simulate(
    cluster: Cluster,
    seeds: int,
    seed: int | None,
    jobs: int | None,
    record: Path | None,
    plain: bool,
) -> ExitCode:
    """Run thousands of simulations, each with its own network, crashes and disks that fail.

    Exits with 0 if no run breaks a rule, with 1 and a short schedule if one does, and with 130
    and what was done so far if interrupted. --seed K draws one run.
    """
    drawn = canvas(plain)
    if cluster.log:
        return _simulate_log(drawn, cluster, seeds, seed, jobs, record)
    for name in ("changes", "newcomers", "snapshots"):
        if getattr(cluster, name):
            raise click.UsageError(f"--{name} is for a log: add --log.")
    single = _setup(cluster)
    status, kept = (
        _run_all(drawn, single, _present(single), seeds, jobs)
        if seed is None
        else _draw_run(drawn, single, _present(single), seed)
    )
    if kept is not None:
        _keep(single, *kept, record)
    return status


def _simulate_log(
    drawn: Canvas,
    cluster: Cluster,
    seeds: int,
    seed: int | None,
    jobs: int | None,
    path: Path | None,
) -> ExitCode:
    setup = _log_setup(cluster)
    shown = _present_log(setup)
    status, kept = (
        _run_all(drawn, setup, shown, seeds, jobs)
        if seed is None
        else _draw_run(drawn, setup, shown, seed)
    )
    if kept is not None:
        run, played = kept
        with log_recording(path, "simulation", RULES_OF_RUNS, _facts(run)) as recorder:
            play(setup, played.acts, recorder)
    return status


def _run_all(
    drawn: Canvas,
    setup: Setup[S, Q, M, T, R, P],
    shown: Presentation[S, Q, M, T, R, P],
    seeds: int,
    jobs: int | None,
) -> tuple[ExitCode, tuple[Run, Played[Q, M, T]] | None]:
    """The exit status, and the run that broke a rule with its shortest schedule."""
    started = time.perf_counter()
    with (
        _watching(drawn, shown.title, seeds) as watcher,
        _workers(jobs or cpu_count() or 1) as executor,
    ):
        done = sweep(range(seeds), setup, executor=executor, progress=watcher.look)
    _sum_up(drawn, done, time.perf_counter() - started, is_log=shown.slot is None)
    if done.failure is not None:
        return ExitCode.FAILED, (done.failure, _explain(drawn, setup, shown, done.failure))
    _faults(drawn, done.met)
    if done.stopped:
        why = "Interrupted" if watcher.interrupted else "A worker process ended: stopped"
        drawn.write(f"{why} after {done.runs:,} of {seeds:,} runs; none broke a rule.")
        return ExitCode.STOPPED, None
    drawn.write(f"No run broke a rule.{_bound(setup, done)}")
    return ExitCode.DONE, None


def _setup(cluster: Cluster) -> SingleSetup:
    partial = PARTIAL.get(cluster.network)
    servers, proposers, readers = cluster.servers, cluster.proposers, cluster.readers
    if servers is None:
        servers = 3 if partial is None else len(partial.servers)
    if proposers is None:
        proposers = 2 if partial is None else servers - (readers or 0)
    if readers is None:
        readers = min(1, max(servers - proposers, 0))
    try:
        setup = SingleSetup(
            servers=servers,
            proposers=proposers,
            readers=readers,
            liveness=cluster.liveness,
            protocol=PROTOCOLS[cluster.rule],
        )
        return setup if partial is None else evolve(setup, network=partial)
    except SetupError as error:
        raise click.UsageError(str(error)) from error


def _log_setup(cluster: Cluster) -> LogSetup:
    """What is simulated with ``--log``, which takes some of the options."""
    refuse_with_log(
        proposers=cluster.proposers is not None,
        readers=cluster.readers is not None,
        rule=cluster.rule != PAXOS.name,
    )
    partial = PARTIAL.get(cluster.network)
    try:
        setup = LogSetup(
            servers=cluster.servers or (3 if partial is None else len(partial.servers)),
            changes=cluster.changes,
            newcomers=cluster.newcomers,
            snapshots=cluster.snapshots,
            liveness=cluster.liveness,
        )
        return setup if partial is None else evolve(setup, network=partial)
    except SetupError as error:
        raise click.UsageError(str(error)) from error


def _present_log(setup: LogSetup) -> LogPresentation:
    said = f"servers {setup.servers}"
    options = f"--log --servers {setup.servers}"
    if setup.changes:
        said += ", members change"
        options += " --changes"
    if setup.newcomers:
        said += f", newcomers {setup.newcomers}"
        options += f" --newcomers {setup.newcomers}"
    if setup.snapshots:
        said += ", snapshots"
        options += " --snapshots"
    view: LogView[str] = log_view()
    title, command = f"log: {said}, {_mode(setup)}", f"paxos simulate {options}{_modes(setup)}"
    return Presentation(title, command, view, None)


def _present(setup: SingleSetup) -> SinglePresentation:
    view: SingleView[str] = single_view()
    return Presentation(_title(setup), _command(setup), view)


def _title(setup: SingleSetup) -> str:
    return (
        f"{setup.protocol.name}: servers {setup.servers}, proposers {setup.proposers}, "
        f"readers {setup.readers}, {_mode(setup)}"
    )


def _mode(setup: Setup[S, Q, M, T, R, P]) -> str:
    """What is held, and on which network."""
    network = setup.network
    links = f" Network {network.name}: {network.summary}." if network.name in PARTIAL else ""
    return f"{'liveness' if setup.liveness else 'safety'}.{links}"


def _bound(setup: Setup[S, Q, M, T, R, P], done: Sweep) -> str:
    if not setup.liveness:
        return ""
    return (
        f" All servers that were asked and can be answered were, within {LIVENESS_TICKS:,} ticks "
        "after the last fault; "
        f"the longest run took {done.longest_ticks:,} ticks."
    )


# --- many runs ----------------------------------------------------------------------------------


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
def _watching(drawn: Canvas, title: str, seeds: int) -> Generator[Watcher, None, None]:
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
def _workers(jobs: int) -> Generator[Executor | None, None, None]:
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


def _sum_up(drawn: Canvas, done: Sweep, seconds: float, *, is_log: bool) -> None:
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


def _faults(drawn: Canvas, met: tuple[int, ...]) -> None:
    rows = [(fault.label, f"{met[fault]:,}") for fault in Fault]
    drawn.table(("fault", "times"), rows, numbers=("times",))


def _explain(
    drawn: Canvas,
    setup: Setup[S, Q, M, T, R, P],
    shown: Presentation[S, Q, M, T, R, P],
    failure: Run,
) -> Played[Q, M, T]:
    """The seed, how to see it again, and the schedule that breaks the rule."""
    drawn.write()
    drawn.write(f"Broken by seed {failure.seed}: {failure.broken}.")
    drawn.write(f"Again: {shown.command} --seed {failure.seed}")
    _, acts = record(failure.seed, setup)
    return _draw_broken(drawn, setup, shown, failure, play(setup, acts))


def _command(setup: SingleSetup) -> str:
    rule = "" if setup.protocol.name == "paxos" else f" --rule {setup.protocol.name}"
    return (
        f"paxos simulate --servers {setup.servers} --proposers {setup.proposers} "
        f"--readers {setup.readers}{rule}{_modes(setup)}"
    )


def _modes(setup: Setup[S, Q, M, T, R, P]) -> str:
    """The options that any setup may have."""
    liveness = " --liveness" if setup.liveness else ""
    network = f" --network {setup.network.name}" if setup.network.name in PARTIAL else ""
    return liveness + network


# --- one run ------------------------------------------------------------------------------------


def _draw_run(
    drawn: Canvas, setup: Setup[S, Q, M, T, R, P], shown: Presentation[S, Q, M, T, R, P], seed: int
) -> tuple[ExitCode, tuple[Run, Played[Q, M, T]]]:
    """The exit status, and the run with its schedule: the shortest, if it broke a rule."""
    run, acts = record(seed, setup)
    played = play(setup, acts)
    drawn.write(shown.title)
    drawn.write(f"Seed {seed}, {run.events} events, {run.ticks} ticks. Time runs down.")
    if run.broken is not None:
        return ExitCode.FAILED, (run, _draw_broken(drawn, setup, shown, run, played))
    _draw(drawn, setup, shown, played)
    chosen = f"{run.chosen[0]} was chosen" if run.chosen else "nothing was chosen"
    if shown.slot is None:
        chosen = f"{len(run.chosen)} different entries were chosen"
    drawn.write(f"No rule was broken; {chosen}. Digest {run.digest}.")
    return ExitCode.DONE, (run, played)


def _keep(setup: SingleSetup, run: Run, played: SinglePlayed, path: Path | None) -> None:
    facts = {"network": setup.network.name, **_facts(run)}
    with recording(path, "simulation", setup.protocol, facts) as recorder:
        play(setup, played.acts, recorder)


def _facts(run: Run) -> dict[str, str]:
    """What a recording says of the run."""
    return {"seed": str(run.seed)} | ({} if run.broken is None else {"broken": run.broken})


def _draw_broken(
    drawn: Canvas,
    setup: Setup[S, Q, M, T, R, P],
    shown: Presentation[S, Q, M, T, R, P],
    run: Run,
    played: Played[Q, M, T],
) -> Played[Q, M, T]:
    """Draw the shortest schedule that breaks the rule, and return it."""
    if run.broken is None or run.broken == LIVENESS:
        _draw(drawn, setup, shown, played)
        lag = ", or lags behind another" if shown.slot is None else ""
        drawn.write(
            f"A server got no answer within {LIVENESS_TICKS:,} ticks after the last fault{lag}."
        )
        return played
    shortest = shrink(setup, played.acts, run.broken)
    told = f"{len(shortest.acts)} of the {len(played.acts)} things that happened"
    drawn.write(f"Broken: {run.broken}, by {told}.")
    _draw(drawn, setup, shown, shortest)
    return shortest


def _draw(
    drawn: Canvas,
    setup: Setup[S, Q, M, T, R, P],
    shown: Presentation[S, Q, M, T, R, P],
    played: Played[Q, M, T],
) -> None:
    trace: Trace[S, Q, M, T, R, P] = Trace()
    play(setup, played.acts, trace=trace)
    drawn.legend("something happens to a server")
    width = WIDE if len(setup.members) <= NARROW else NARROW
    drawn.timeline(timeline(trace, shown.view, slot=shown.slot).delivered, width=width)
