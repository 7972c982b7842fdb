"""``paxos status``: the cluster as one of its servers sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import click
import msgspec

from paxos_adapters.node.control_protocol import StatusReply
from paxos_adapters.printable import printable
from paxos_adapters.udp.addresses import format_address
from paxos_adapters.wire import Reason
from paxos_adapters.words import counted
from paxos_cli import health
from paxos_cli.asking import Target, asks, find, members_of, status_of
from paxos_cli.canvas import Canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import JSON, PLAIN, gathered
from paxos_cli.watching import WATCH, Form, View, show

REASONS = {it.name.lower(): it.value for it in Reason}


@click.command(cls=Command, short_help="Show which servers are up, and what is wrong.")
@WATCH
@JSON
@PLAIN
@asks
@gathered(Form)
def status(form: Form, target: Target) -> ExitCode:
    """Show the cluster as one of its servers sees it."""
    return show(partial(_look, target), form)


def _look(target: Target) -> View:
    server = find(target)
    told, members = status_of(server), members_of(server).members
    warnings = [*health.changes(told.status, members), *health.warnings(told.status)]
    code = ExitCode.QUORUM_LOST if told.status.needed else ExitCode.DONE
    return View(
        _fields(told, warnings), _lines(told, warnings), partial(_draw, told, warnings), code
    )


def _lines(told: StatusReply, warnings: Sequence[str]) -> dict[str, str]:
    """How the cluster is, and each of its servers; without what changes all the time."""
    status = told.status
    lines = {"cluster": f"{health.tolerance(status)}."}
    lines |= {
        f"server {it}": f"server {it} is {health.state(peer)}" for it, peer in status.peers.items()
    }
    lines |= {it: f"! {printable(it)}" for it in warnings}
    return lines


def _fields(told: StatusReply, warnings: Sequence[str]) -> dict[str, object]:
    status = told.status
    return {
        "cluster": told.cluster,
        "address": told.address,
        **msgspec.to_builtins(status, str_keys=True),
        "up": sorted([status.me, *(it for it, peer in status.peers.items() if peer.is_up)]),
        "needed": status.needed,
        "lost": _counted(status.lost),
        "warnings": warnings,
    }


def _counted(lost: Mapping[str, int]) -> dict[str, int]:
    """Without those that were counted and came to none."""
    return {cause: times for cause, times in lost.items() if times}


def _draw(told: StatusReply, warnings: Sequence[str], drawn: Canvas) -> None:
    status = told.status
    size = len(status.peers) + 1
    drawn.write(
        f"Cluster {printable(told.cluster)}, seen by server {status.me}: {health.up(status)} of "
        f"{size} servers are up."
    )
    drawn.write(f"{health.tolerance(status)}.")
    rows = {status.me: (format_address(told.address), "it is asked", "", "up")}
    for it, peer in status.peers.items():
        heard, trip, state = health.heard(peer), health.trip(peer), health.state(peer)
        rows[it] = format_address(peer.address), heard, trip, state
    headings = "server", "address", "heard", "round trip", "state"
    drawn.table(headings, ((str(it), *row) for it, row in sorted(rows.items())))
    drawn.write(
        f"Saved {counted(status.saves, 'time')}; names in memory {status.in_memory:,}, asked for "
        f"{status.asked:,}, unresolved {status.unresolved:,}. Highest promise {status.promised}."
    )
    drawn.write(f"Descent: {health.descent(status)}.")
    for reason, times in status.refused.items():
        told_of = REASONS.get(reason, "see its version")
        drawn.write(f"Refused {times:,}, {printable(reason)}: {told_of}.")
    for cause, times in _counted(status.lost).items():
        drawn.write(f"Lost {times:,}: {printable(cause)}.")
    for warning in warnings:
        drawn.write(f"! {printable(warning)}", "yellow")
