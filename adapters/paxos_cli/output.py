"""The one way out: every line that a command prints goes through ``say``, or a ``Canvas``.

Whatever is in it, a terminal shows it and does nothing else, in any locale. Only bytes that were
asked for as they are (``--raw``) go past it.
"""

from __future__ import annotations

import sys

import click

from paxos_adapters.printable import encodable, printable_lines


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print ``text`` to the standard output, or to the standard error if ``err``.

    Lines stay lines: what comes from elsewhere has been made ``printable`` before.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is not None:
        shown = encodable(printable_lines(text), stream.encoding)
        click.echo(shown, file=stream, nl=nl)
