"""``paxos keygen``: a new key for a keyring."""

from __future__ import annotations

import os
from pathlib import Path

import click

from paxos_adapters.outputs import NEW, create
from paxos_adapters.wire import Key
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import failing
from paxos_cli.help import Command
from paxos_cli.output import say
from paxos_cli.paths import OutputFile


def keyring() -> str:
    """The text of a keyring with one new key."""
    return f"# The first key authenticates, all of them verify.\n{Key.generate(os.urandom).text}\n"


@click.command(cls=Command, short_help="Make a key for the servers of a cluster.")
@click.option(
    "--out",
    type=OutputFile(NEW),
    metavar="FILE",
    help="Make a keyring of it, for its owner only. Nothing is replaced.",
)
def keygen(out: Path | None) -> ExitCode:
    """Print a new key, one line for a keyring.

    A program that has it can speak for any server: keep it readable by the servers only.
    """
    if out is None:
        say(Key.generate(os.urandom).text)
        return ExitCode.DONE
    with failing():
        create(out, keyring().encode())
    say(f"{out} is a keyring with one new key. Copy it to every server of the cluster.")
    return ExitCode.DONE
