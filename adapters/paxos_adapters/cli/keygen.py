"""``paxos keygen``: a new key for a keyring."""

from __future__ import annotations

import os
from pathlib import Path

import click

from paxos_adapters.deployment import write_new
from paxos_adapters.wire import Key


def keyring() -> str:
    """The text of a keyring with one new key."""
    return f"# The first key signs, all of them verify.\n{Key.generate(os.urandom).text}\n"


@click.command(short_help="Make a key for the servers of a cluster.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a keyring of it, for its owner only. Nothing is replaced.",
)
def keygen(out: Path | None) -> int:
    """Print a new key, one line for a keyring.

    Whoever has it can speak for any server: keep it where only they can read it.
    """
    if out is None:
        click.echo(Key.generate(os.urandom).text)
        return 0
    try:
        write_new(out, keyring())
    except FileExistsError:
        raise click.ClickException(
            f"{out} is there already, and is left as it is. To change keys, add a line to it."
        ) from None
    except OSError as error:
        what = f"{out} cannot be made ({error.strerror})"
        raise click.ClickException(
            f"{what}. See to it that its folder is there, and that you may write in it."
        ) from error
    click.echo(f"{out} is a keyring with one new key. Copy it to every server of the cluster.")
    return 0
