"""``paxos log check``: whether the servers of this machine hold the same as the leader.

- All servers of this machine that run the log are asked, one after the other, within the time that
  is given. One that is asked late still has PROBE_S.
- Each has a snapshot taken on every server after the same slot. The digest of the leader's goes
  through the log, and the others compare it with that of their own.
- A server that differs has stopped applying then, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import click
from attrs import frozen

from paxos import PaxosError, ServerId
from paxos_adapters.node.control_client import ask
from paxos_adapters.node.control_protocol import (
    CheckedReply,
    CheckRequest,
    ErrorReply,
    LogsReply,
    LogsRequest,
)
from paxos_adapters.printable import json_text, printable
from paxos_cli.asking import GRACE_S, Target, asks, candidates, find, timeout, unanswered
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure
from paxos_cli.feedback import waiting
from paxos_cli.help import Command
from paxos_cli.options import JSON
from paxos_cli.output import say

TIMEOUT_S = 30.0
"""Time to write a snapshot of some size."""


@frozen
class _Found:
    """What server ``me`` says of a log: the slot up to which it is equal, or why it is unknown."""

    me: ServerId
    data: Path
    log: str
    slot: int | None
    problem: ErrorReply | None

    @property
    def is_late(self) -> bool:
        """Whether it has not found out in time."""
        return self.problem is not None and self.problem.kind == "NoAnswer"

    @property
    def line(self) -> str:
        """What is said of it."""
        where = f"{self.log}, server {self.me}"
        if self.problem is not None:
            return printable(f"{where}: {self.problem.text}")
        return printable(f"{where}: the same as the leader, in all slots below {self.slot:,}")

    @property
    def fields(self) -> dict[str, object]:
        """The same for programs."""
        problem = None if self.problem is None else self.problem.text
        return {"log": self.log, "server": self.me, "checked": self.slot, "problem": problem}


@click.command(cls=Command, short_help="Compare the states of the servers.")
@click.argument("name", required=False)
@timeout(TIMEOUT_S)
@JSON
@asks
def check(target: Target, name: str | None, timeout_s: float, as_json: bool) -> ExitCode:
    """Compare what the servers of this machine hold of the log NAME, or of all logs, now.

    Exits with 1 if a server differs from the leader or has stopped. Exits with 5 if a server has
    not found out in time, and with 6 if too few are up.
    """
    find(target)
    found = list[_Found]()
    for it in _found(target, name, timeout_s):
        if not as_json:
            say(it.line)
        found.append(it)
    if not found:
        what = "no log" if name is None else f"no log {printable(repr(name))}"
        message = f"{what} runs on the servers of this machine. Nothing was compared."
        raise Failure(message, code=ExitCode.NO_SERVER if name is None else ExitCode.BAD_ARGUMENTS)
    if as_json:
        say(json_text([it.fields for it in found]))
    if any(it.problem is not None and not it.is_late for it in found):
        return ExitCode.FAILED
    for it in found:
        if it.is_late:
            raise unanswered(it.data, "not all could be compared.", ExitCode.UNKNOWN_OUTCOME)
    return ExitCode.DONE


def _found(target: Target, name: str | None, timeout_s: float) -> Iterator[_Found]:
    until_s = monotonic() + timeout_s
    for data in candidates(target):
        try:
            logs = ask(data, LogsRequest(), patience_s=PROBE_S)
        except PaxosError:
            continue
        if isinstance(logs, LogsReply):
            for it in sorted(logs.logs):
                if name in (None, it):
                    left_s = max(until_s - monotonic(), min(PROBE_S, timeout_s))
                    yield _asked(data, logs.me, it, left_s)


def _asked(data: Path, me: ServerId, log: str, timeout_s: float) -> _Found:
    try:
        with waiting(f"Waiting for server {me} ..."):
            answer = ask(data, CheckRequest(log, timeout_s), patience_s=timeout_s + GRACE_S)
    except PaxosError as error:
        answer = ErrorReply(type(error).__name__, str(error))
    if isinstance(answer, CheckedReply):
        return _Found(me, data, log, answer.slot, None)
    if isinstance(answer, ErrorReply):
        return _Found(me, data, log, None, answer)
    return _Found(me, data, log, None, ErrorReply("Unexpected", f"another answer: {answer}"))
