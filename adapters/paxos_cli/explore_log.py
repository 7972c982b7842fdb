"""``paxos explore --log``: every run of a small log, and a shortest one that breaks a rule."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click

from paxos import QuorumError, QuorumSystem, ServerId, weighted
from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.searching import Bounds, counted, keep, verdict, watching
from paxos_lab.explore.log import explore_log
from paxos_lab.explore.log_claims import CLAIMED
from paxos_lab.explore.log_recorded import LogRun, found_run, write
from paxos_lab.explore.log_scope import Heartbeats, LogScope
from paxos_lab.explore.scopes import ScopeError
from paxos_lab.machines.faulty_log import LOG_PROTOCOLS
from paxos_lab.machines.log_protocols import LOG
from paxos_lab.rules import LOG_RULES

LANE_WIDTH = 9
BROKEN_BY_HEARTBEATS = ("first-believed",)
BROKEN_BY_BALLOTS = "lowest-found", "old-votes-counted"
"""The logs that are sound without heartbeats, or with one ballot each."""

BROKEN_BY_CHANGES = {"quorums-outlived": "2,1,0"}
"""The logs that are sound while members stay, each with a change that breaks it."""

CRASHES = {0: "no crash", 1: "one crash"}


def scope(
    slots: int | None,
    heartbeats: str | None,
    ballots: int | None,
    crashes: int,
    rule: str | None,
    founders: str | None,
    change: str | None,
) -> LogScope:
    """What the options describe; what is not given is as small as shows what breaks.

    With a change there are two slots, in a window of one. Raises UsageError for a rule that is
    broken in no log, and for members that cannot be.
    """
    rule = rule or LOG.name
    if rule not in LOG_PROTOCOLS:
        raise click.UsageError(
            f"--rule {rule} is for one decision; with --log there are {', '.join(LOG_PROTOCOLS)}."
        )
    sent = Heartbeats.LEADERS if rule in BROKEN_BY_HEARTBEATS else Heartbeats.NONE
    change = change or BROKEN_BY_CHANGES.get(rule)
    try:
        return LogScope(
            slots=slots or (1 if change is None else 2),
            heartbeats=sent if heartbeats is None else Heartbeats(heartbeats),
            ballots=ballots or (2 if rule in BROKEN_BY_BALLOTS else 1),
            crashes=crashes,
            window=0 if change is None else 1,
            founders=_members(founders),
            change=_members(change),
            protocol=LOG_PROTOCOLS[rule],
        )
    except ScopeError as error:
        raise click.UsageError(str(error)) from error


def _members(text: str | None) -> QuorumSystem | None:
    """The quorums, from one weight a server."""
    if text is None:
        return None
    try:
        weights = enumerate(map(int, text.split(",")), start=1)
        return weighted({ServerId(server): weight for server, weight in weights if weight})
    except (QuorumError, ValueError) as error:
        raise click.UsageError(
            f"the members {printable(text)} are no weights, one a server: 1,1,0 are servers 1 and "
            f"2 of three, and 2,1,0 lets server 1 decide alone. {error}"
        ) from error


def explore_scope(drawn: Canvas, explored: LogScope, bounds: Bounds, record: Path) -> ExitCode:
    """Search all runs in ``explored``; the exit status."""
    others = [it for it in bounds.check if it not in LOG_RULES]
    if others:
        raise click.UsageError(f"--check {others[0]!r} is for one decision: leave it out.")
    started = time.perf_counter()
    with watching(drawn, _title(explored), bounds.memory_mb) as watcher:
        system, found = explore_log(
            explored,
            rules=bounds.check or LOG_RULES,
            max_states=bounds.max_states,
            on_progress=watcher.look,
        )
    counted(drawn, found, time.perf_counter() - started)
    if heard := sorted(it.__name__ for it in CLAIMED - system.scope.forgets):
        drawn.write(f"Searched again: this log takes notice of each {' and '.join(heard)}.")
    if found.violation is None:
        return verdict(drawn, found, watcher, bounds)
    draw(drawn, found_run(system, found.violation))
    keep(drawn, record, partial(write, record, system, found.violation))
    return ExitCode.FAILED


def draw(drawn: Canvas, run: LogRun) -> None:
    """A run that breaks a rule, and what is chosen in it."""
    drawn.write()
    drawn.write(f"Broken: {run.rule}, by {run.events} events. Time runs down.")
    drawn.timeline(run.picture, width=LANE_WIDTH)


def _title(it: LogScope) -> str:
    crashes = CRASHES.get(it.crashes, f"{it.crashes} crashes")
    return (
        f"{it.protocol.name}: servers {it.servers}, leaders {it.leaders}, slots {it.slots}, "
        f"ballots for each {it.ballots}, heartbeats of {it.heartbeats.value}, "
        f"{crashes}{_change(it)}."
    )


def _change(it: LogScope) -> str:
    if it.change is None:
        return ""
    before, after = (" and ".join(map(str, sorted(it.members))) for it in (it.quorum, it.change))
    return f", members change from {before} to {after}"
