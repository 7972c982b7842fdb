"""How a command fails: what is printed, and the exit code."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import click

from paxos import PaxosError
from paxos_adapters.printable import printable


class BadArguments(click.ClickException):
    """What was asked for cannot be; nothing was begun."""

    exit_code = 2


class Failure(click.ClickException):
    """What was asked for was not reached."""

    def __init__(self, error: PaxosError | OSError) -> None:
        is_raw = isinstance(error, OSError) and not isinstance(error, PaxosError)
        super().__init__(_plain(error) if is_raw else str(error))


@contextmanager
def failing() -> Generator[None, None, None]:
    """What the library or the system refuses in here ends the command as a Failure.

    Print outside: an output that is closed is not a failure of what was asked for.
    """
    try:
        yield
    except (PaxosError, OSError) as error:
        raise Failure(error) from error


class Interrupted(click.ClickException):
    """Ctrl-C or SIGTERM came while the outcome was open."""

    exit_code = 130


class InLines(click.ClickException):
    """What was asked for was not reached, for reasons that take several lines."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__("\n".join(map(printable, lines)))


def _plain(error: PaxosError | OSError) -> str:
    """What the system says, in a sentence."""
    where: object = getattr(error, "filename", None)
    what: object = getattr(error, "strerror", None) or error
    return f"{what}." if where is None else f"{where} cannot be used: {what}."
