"""How a command fails: a sentence, lines with more, and the exit code.

With ``--json`` an error is one line of JSON, too.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import click

from paxos import PaxosError
from paxos_adapters.printable import printable
from paxos_cli.exit_codes import ExitCode


class Failure(click.ClickException):
    """What was asked for was not reached. ``more`` are lines below the sentence."""

    def __init__(
        self, what: str | PaxosError | OSError, *more: str, code: ExitCode = ExitCode.FAILED
    ) -> None:
        is_raw = isinstance(what, OSError) and not isinstance(what, PaxosError)
        super().__init__(_plain(what) if is_raw else str(what))
        self.more = more
        self.code = code


class BadArguments(Failure):
    """What was asked for cannot be; nothing was begun."""

    def __init__(self, what: str | PaxosError | OSError) -> None:
        super().__init__(what, code=ExitCode.BAD_ARGUMENTS)


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM came while the outcome was open.

    As with KeyboardInterrupt, nothing that goes on after a Failure takes it for one.
    """


@contextmanager
def failing() -> Generator[None, None, None]:
    """What the library or the system refuses in here ends the command as a Failure.

    Print outside: an output that is closed is not a failure of what was asked for.
    """
    try:
        yield
    except (PaxosError, OSError) as error:
        raise Failure(error) from error


def lines_of(error: click.ClickException) -> list[str]:
    """What is said of ``error``: to people, in lines that a terminal only shows."""
    said = printable(error.format_message())
    if isinstance(error, Failure):
        return [f"paxos: {said}", *map(printable, error.more)]
    if not isinstance(error, click.UsageError):
        return [f"paxos: {said}"]
    command = "paxos" if error.ctx is None else error.ctx.command_path
    return [f"{command}: {said} (see {command} --help)"]


def json_of(message: str, code: ExitCode, more: Sequence[str] = ()) -> str:
    """An error for programs, in one line."""
    told = {"code": int(code), "kind": code.kind, "message": message, "more": [*more]}
    return json.dumps({"error": told})


def _plain(error: str | PaxosError | OSError) -> str:
    """What the system says, in a sentence."""
    where: object = getattr(error, "filename", None)
    what: object = getattr(error, "strerror", None) or error
    return f"{what}." if where is None else f"{where} cannot be used: {what}."
