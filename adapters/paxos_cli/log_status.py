"""``paxos log``: the logs of the servers of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from paxos import PaxosError
from paxos_adapters.node.control_client import ask
from paxos_adapters.node.control_protocol import LogsReply, LogsRequest
from paxos_adapters.printable import json_text, printable
from paxos_adapters.replication.process import LogStatus
from paxos_cli.asking import Target, asks, candidates, find
from paxos_cli.canvas import canvas
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Group
from paxos_cli.options import JSON, PLAIN, gathered
from paxos_cli.output import say


@click.group(cls=Group)
def log() -> None:
    """Look at replicated logs."""


@log.command(short_help="Show how far each server of this machine is.")
@JSON
@PLAIN
@asks
@gathered(Target)
def status(target: Target, as_json: bool, plain: bool) -> ExitCode:
    """Show each log on each server of this machine: who leads, and how far it is.

    All slots below "chosen" are known to be chosen, those below "applied" are applied, and a
    snapshot stands for those below "floor". With --json, "version" of the state machine runs, and
    at the slot "checked" the server had the state of the leader. Exit code 1: a log has stopped.
    """
    find(target)
    replies = [*_replies([*candidates(target)])]
    stopped = [it for reply in replies for it in reply.logs.values() if it.stopped is not None]
    ended = ExitCode.FAILED if stopped else ExitCode.DONE
    if as_json:
        say(json_text([_fields(it) for it in replies]))
        return ended
    headings = "log", "server", "leader", "chosen", "applied", "floor", "waiting"
    numbers = headings[3:]
    drawn = canvas(plain)
    rows = ((name, it.me, status) for it in replies for name, status in it.logs.items())
    drawn.table(headings, (_cells(*row) for row in sorted(rows, key=_order)), numbers=numbers)
    for reply in replies:
        for name, found in reply.logs.items():
            if found.stopped is not None:
                drawn.write(printable(f"! {name}, server {reply.me}: {found.stopped}"), "yellow")
    return ended


def _replies(data: list[Path]) -> Iterator[LogsReply]:
    """What the servers say that answer."""
    for file in data:
        try:
            answer = ask(file, LogsRequest(), patience_s=PROBE_S)
        except PaxosError:
            continue
        if isinstance(answer, LogsReply):
            yield answer


def _fields(it: LogsReply) -> dict[str, object]:
    return {"server": it.me, "logs": msgspec.to_builtins(it.logs, str_keys=True)}


def _order(row: tuple[str, int, LogStatus]) -> tuple[str, int]:
    return row[0], row[1]


def _cells(name: str, me: int, it: LogStatus) -> tuple[str, ...]:
    leader = "" if it.leader is None else f"server {it.leader.server}, round {it.leader.round}"
    numbers = it.chosen, it.applied, it.floor, it.pending
    return name, str(me), leader, *(f"{number:,}" for number in numbers)
