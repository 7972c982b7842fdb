"""``paxos explore``: every run of a small cluster, and a shortest one that breaks a rule."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click
from attrs import frozen

from paxos import QuorumError, QuorumSystem, ServerId, flexible, majority, weighted
from paxos_adapters.outputs import RECORDING
from paxos_cli import explore_log
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import PLAIN, gathered, refuse_with_log, whole
from paxos_cli.paths import InputFile, OutputFile
from paxos_cli.searching import Bounds, counted, keep, verdict, watching
from paxos_lab.explore import log_recorded
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import (
    Counterexample,
    counterexample,
)
from paxos_lab.explore.log_scope import Heartbeats, LogScope
from paxos_lab.explore.recorded import picture, read, write
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.machines.faulty_log import LOG_PROTOCOLS
from paxos_lab.machines.protocols import PAXOS
from paxos_lab.record import PROTOCOLS, RecordingError, is_of_log
from paxos_lab.rules import CHOOSABLE, LOG_RULES, RULES, WINDOW

ACCEPTORS = 3
LANE_WIDTH = 7
READERS = "read-not-completed", "nothing-from-one", "read-id-reused"
"""The protocols in which reads are broken: without a reader they are sound."""

CHECKS = list(dict.fromkeys((*RULES, *LOG_RULES)))


@frozen
class Cluster:
    """The options that say what is explored; None where its default depends on others."""

    acceptors: int
    proposers: int | None
    readers: int | None
    reads: int | None
    inquirers: int
    ballots: int | None
    crashes: int
    quorum: str | None
    rule: str | None
    log: bool
    slots: int | None
    heartbeats: str | None
    founders: str | None
    change: str | None


@click.command(cls=Command, short_help="Explore every run of a small cluster, or of a small log.")
@click.option("--log", is_flag=True, help="A replicated log of three servers, two of which lead.")
@whole("--slots", 1, 3, "With --log: how many slots.  [default: 1]")
@click.option(
    "--heartbeats",
    type=click.Choice([it.value for it in Heartbeats]),
    help="With --log: which servers send them.  [default: none; leaders if needed]",
)
@click.option(
    "--founders",
    metavar="WEIGHTS",
    help="With --log: one weight a server, 0 for no member.  [default: 1,1,1]",
)
@click.option(
    "--change",
    metavar="WEIGHTS",
    help="With --log: the first leader changes the members to these.  [default: no change]",
)
@whole("--acceptors", 1, 9, "How many acceptors.", default=ACCEPTORS)
@whole(
    "--proposers",
    0,
    9,
    "How many propose.  [default: 2; 3 for first-value-only, to split three votes]",
)
@whole(
    "--readers", 0, 9, "How many read.  [default: 0; 1 for the protocols in which reads are broken]"
)
@whole("--reads", 1, None, "How many reads, by each reader.  [default: 1; 2 if needed]")
@click.option(
    "--inquirers", type=click.IntRange(0, 9), metavar="N", default=0, help="How many inquire."
)
@whole(
    "--ballots",
    1,
    None,
    "How many ballots, for each proposer.  [default: 2; with --log 1, or 2 if needed]",
)
@whole("--crashes", 0, None, "How many crashes, in all.", default=0)
@click.option(
    "--quorum",
    help="2/3: any two promise, any three choose. 2,1,1: weights.  [default: majorities]",
    metavar="SIZES",
)
@click.option(
    "--rule",
    type=click.Choice(sorted({*PROTOCOLS, *LOG_PROTOCOLS})),
    help="What the servers do: the protocol, or a broken one.  [default: paxos; log with --log]",
)
@click.option(
    "--check",
    multiple=True,
    type=click.Choice(CHECKS),
    metavar="RULE",
    help="Check only this, as often as it is given: " + "; ".join(CHECKS) + ".  [default: all]",
)
@whole("--max-states", 1, None, "Stop after so many states.", default=5_000_000)
@click.option(
    "--memory",
    "memory_mb",
    type=click.IntRange(50),
    metavar="MB",
    default=4_000,
    show_default=True,
    help="Stop when so much memory is used, in MB.",
)
@click.option(
    "--record",
    type=OutputFile(RECORDING),
    metavar="FILE",
    default="counterexample.jsonl",
    show_default=True,
    help="Where a counterexample goes.",
)
@click.option(
    "--replay", type=InputFile(), metavar="FILE", help="Draw a recorded counterexample again."
)
@PLAIN
@gathered(Cluster)
@gathered(Bounds)
def explore(
    bounds: Bounds, cluster: Cluster, record: Path, replay: Path | None, plain: bool
) -> ExitCode:
    """Explore every run of a small cluster, under any loss, delay, repetition and crash.

    Exits with 0 if all rules hold in all runs, with 1 and a shortest run to the fault if not, and
    with 8 if the search was cut short.
    """
    drawn = canvas(plain)
    if replay is not None:
        _draw_recorded(drawn, replay)
        return ExitCode.DONE
    if cluster.log:
        return explore_log.explore_scope(drawn, _log_scope(cluster), bounds, record)
    scope = _scope(cluster, bounds.check)
    started = time.perf_counter()
    with watching(drawn, _title(scope), bounds.memory_mb) as watcher:
        system, found = explore_cluster(
            scope,
            rules=bounds.check or RULES,
            max_states=bounds.max_states,
            on_progress=watcher.look,
        )
    counted(drawn, found, time.perf_counter() - started)
    if not system.scope.drop_ignored_messages:
        drawn.write("Searched twice: this protocol takes notice of messages that Paxos ignores.")
    if found.violation is not None:
        example = counterexample(system, found.violation)
        _draw(drawn, example)
        keep(drawn, record, partial(write, record, example))
        return ExitCode.FAILED
    return verdict(drawn, found, watcher, bounds)


def _log_scope(cluster: Cluster) -> LogScope:
    refuse_with_log(
        acceptors=cluster.acceptors != ACCEPTORS,
        proposers=cluster.proposers is not None,
        readers=cluster.readers is not None,
        reads=cluster.reads is not None,
        inquirers=cluster.inquirers > 0,
        quorum=cluster.quorum is not None,
    )
    return explore_log.scope(
        cluster.slots,
        cluster.heartbeats,
        cluster.ballots,
        cluster.crashes,
        cluster.rule,
        cluster.founders,
        cluster.change,
    )


def _scope(cluster: Cluster, check: tuple[str, ...]) -> Scope:
    rule = cluster.rule or PAXOS.name
    _refuse_without_log(cluster, rule, check)
    readers, proposers, reads = cluster.readers, cluster.proposers, cluster.reads
    if readers is None:
        readers = int(rule in READERS)
    if proposers is None:
        others = min(readers + cluster.inquirers, 1)
        most = 3 if rule == "first-value-only" else 2 - others
        proposers = min(most, cluster.acceptors)
    if reads is None:
        reads = 2 if rule == "read-id-reused" else 1
    try:
        return Scope(
            acceptors=cluster.acceptors,
            proposers=proposers,
            readers=readers,
            reads=reads,
            inquirers=cluster.inquirers,
            ballots=cluster.ballots or 2,
            crashes=cluster.crashes,
            quorum=_quorum(cluster.acceptors, cluster.quorum),
            protocol=PROTOCOLS[rule],
        )
    except (ScopeError, QuorumError) as error:
        raise click.UsageError(str(error)) from error


def _refuse_without_log(cluster: Cluster, rule: str, check: tuple[str, ...]) -> None:
    given = {
        "--slots": cluster.slots is not None,
        "--heartbeats": cluster.heartbeats is not None,
        "--founders": cluster.founders is not None,
        "--change": cluster.change is not None,
        f"--rule {rule}": rule not in PROTOCOLS,
        f"--check {WINDOW!r}": WINDOW in check,
    }
    for option, is_given in given.items():
        if is_given:
            raise click.UsageError(f"{option} is for a log: add --log.")


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


def _draw_recorded(drawn: Canvas, path: Path) -> None:
    """A recorded run of either kind."""
    try:
        if is_of_log(path):
            explore_log.draw(drawn, log_recorded.read(path))
        else:
            _draw(drawn, read(path))
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
