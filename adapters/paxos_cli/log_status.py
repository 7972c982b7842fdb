"""``paxos log status``: the logs of the servers of this machine.

- The servers of this machine are asked. Of the others it is shown what these know: how much each of
  them holds, by its last heartbeat.
- A server lags by the slots that are known to be chosen anywhere and that it is not known to hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec
from attrs import frozen

from paxos import PaxosError, ServerId
from paxos_adapters.node.control_client import ask
from paxos_adapters.node.control_protocol import LogsReply, LogsRequest
from paxos_adapters.printable import printable
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.words import counted
from paxos_cli.asking import Target, asks, candidates, find
from paxos_cli.canvas import Canvas
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.health import seconds
from paxos_cli.help import Command
from paxos_cli.options import JSON, PLAIN, gathered
from paxos_cli.watching import WATCH, Form, View, show

HEADINGS = "server", "state", "chosen", "applied", "lag", "window", "waiting", "snapshot"
NUMBERS = HEADINGS[2:]


@click.command(cls=Command, short_help="Show which server leads each log, and how far each is.")
@WATCH
@JSON
@PLAIN
@asks
@gathered(Form)
def status(form: Form, target: Target) -> ExitCode:
    """Show each log: which server leads, how far each is, and how many more may fail.

    All slots below "chosen" are known to be chosen, those below "applied" are applied, and a
    snapshot stands for those below "snapshot", with its age. With --json, "version" of the state
    machine runs, and at the slot "checked" the server had the state of the leader. Exits with 6 if
    a log has no quorum, and with 1 if one has stopped.
    """
    return show(partial(_view, target), form)


@frozen
class _Log:
    """One log, as all servers of this machine that answer see it. ``seen``: what each says."""

    name: str
    seen: Mapping[ServerId, LogStatus]
    members: Sequence[ServerId]
    up: frozenset[ServerId]
    tolerance: int

    @property
    def chosen(self) -> int:
        """The first slot that no server knows to be chosen."""
        return max(it.chosen for it in self.seen.values())

    @property
    def leader(self) -> str:
        """Which server leads, by the highest ballot that is followed."""
        followed = [it.leader for it in self.seen.values() if it.leader is not None]
        if not followed:
            return "no server leads"
        highest = max(followed)
        return f"server {highest.server} leads, round {highest.round}"

    @property
    def lease(self) -> str:
        """For how long the leader may answer reads alone, if it may."""
        leases = [it.lease_s for it in self.seen.values() if it.leads and it.lease_s is not None]
        return f", with a lease for {seconds(max(leases))}" if leases else ""

    def held(self, server: ServerId) -> int | None:
        """The first slot of which it is not known that ``server`` holds it; None: nothing is."""
        said = [it.figures.held[server] for it in self.seen.values() if server in it.figures.held]
        own = self.seen.get(server)
        return max([*said, *([] if own is None else [own.chosen])], default=None)

    def lag(self, server: ServerId) -> int | None:
        """How many slots it is behind."""
        held = self.held(server)
        return None if held is None else max(0, self.chosen - held)

    def state(self, server: ServerId) -> str:
        """What a server does, in a word."""
        own = self.seen.get(server)
        if own is None:
            return "up" if server in self.up else "down"
        if own.stopped is not None:
            return "stopped"
        return "leads" if own.leads else "follows" if own.leader is not None else "waits"

    @property
    def health(self) -> str:
        """How many more servers may fail."""
        if self.tolerance < 0:
            return "too many are down"
        if self.tolerance == 0:
            return "no more server may fail"
        return f"{counted(self.tolerance, 'more server')} may fail"


def _view(target: Target) -> View:
    find(target)
    replies = [*_replies([*candidates(target)])]
    logs = [*_logs(replies)]
    lines = {f"{it.name}": printable(f"{it.name}: {it.leader}; {it.health}") for it in logs}
    for it in logs:
        lines |= {f"{it.name}, server {me}": _line(it, me) for me in it.members}
    fields = [_fields(it, logs) for it in replies]
    return View(fields, lines, partial(_draw, logs), _code(logs))


def _replies(data: list[Path]) -> Iterator[LogsReply]:
    """What the servers say that answer."""
    for file in data:
        try:
            answer = ask(file, LogsRequest(), patience_s=PROBE_S)
        except PaxosError:
            continue
        if isinstance(answer, LogsReply):
            yield answer


def _logs(replies: Sequence[LogsReply]) -> Iterator[_Log]:
    up = frozenset({me for it in replies for me in it.up})
    for name in sorted({name for it in replies for name in it.logs}):
        having = [it for it in replies if name in it.logs]
        members = sorted({me for it in having for me in it.members[name]})
        tolerance = max(it.tolerance[name] for it in having)
        yield _Log(name, {it.me: it.logs[name] for it in having}, members, up, tolerance)


def _code(logs: Sequence[_Log]) -> ExitCode:
    if any(it.tolerance < 0 for it in logs):
        return ExitCode.QUORUM_LOST
    has_stopped = any(seen.stopped is not None for it in logs for seen in it.seen.values())
    return ExitCode.FAILED if has_stopped else ExitCode.DONE


def _fields(it: LogsReply, logs: Sequence[_Log]) -> dict[str, object]:
    of = {log.name: log for log in logs}
    return {
        "server": it.me,
        "logs": {
            name: {
                **msgspec.to_builtins(status, str_keys=True),
                "tolerance": it.tolerance[name],
                "lag": {str(me): of[name].lag(me) for me in of[name].members},
            }
            for name, status in it.logs.items()
        },
    }


def _line(it: _Log, me: ServerId) -> str:
    own, lag = it.seen.get(me), it.lag(me)
    lags = "" if lag is None else f", {counted(lag, 'slot')} behind" if lag else ", has all"
    stopped = "" if own is None or own.stopped is None else f": {own.stopped}"
    where = "" if own is None else f", chosen {own.chosen:,}, applied {own.applied:,}"
    return printable(f"{it.name}, server {me}: {it.state(me)}{where}{lags}{stopped}")


def _draw(logs: Sequence[_Log], drawn: Canvas) -> None:
    if not logs:
        drawn.write("No log runs on the servers of this machine.")
    for it in logs:
        title = f"Log {it.name}: {it.leader}{it.lease}; {it.health}."
        rows = (_cells(it, me) for me in it.members)
        drawn.table(HEADINGS, rows, numbers=NUMBERS, title=title)
        for me, own in it.seen.items():
            if own.stopped is not None:
                drawn.write(printable(f"! {it.name}, server {me}: {own.stopped}"), "yellow")


def _cells(it: _Log, me: ServerId) -> tuple[str, ...]:
    own, lag = it.seen.get(me), it.lag(me)
    lags = "" if lag is None else f"{lag:,}"
    if own is None:
        return str(me), it.state(me), "", "", lags, *[""] * 3
    figures, age_s = own.figures, own.figures.snapshot_age_s
    age = "" if age_s is None else f" ({seconds(age_s)})"
    return (
        str(me),
        it.state(me),
        f"{own.chosen:,}",
        f"{own.applied:,}",
        lags,
        f"{figures.in_flight}/{figures.window}",
        f"{own.pending:,}",
        f"{own.floor:,}{age}",
    )
