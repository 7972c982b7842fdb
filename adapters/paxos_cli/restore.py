"""``paxos restore``: a new cluster in a new folder, made from a backup.

- All is made in a folder of another name, which gets its own once everything is in it and on the
  disk. So the cluster is there as a whole, or not at all.
- One command makes the files of all servers; those of other machines are moved there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from shlex import quote
from shutil import rmtree

import click

from paxos import ServerId, majority
from paxos_adapters.arguments import BadNumber, whole
from paxos_adapters.backup import Restored, SameCluster
from paxos_adapters.backup import restore as restore_files
from paxos_adapters.limits import MAX_DEPLOYED, MAX_SERVER
from paxos_adapters.node.deployment import BadDeployment, local, read, text_of
from paxos_adapters.outputs import create, sync
from paxos_adapters.printable import brief, printable
from paxos_cli.cluster import KEYRING
from paxos_cli.config import CONFIG
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, failing
from paxos_cli.feedback import waiting
from paxos_cli.help import Command
from paxos_cli.keygen import keyring
from paxos_cli.output import say
from paxos_cli.paths import Folder, InputFile


@click.command(cls=Command, short_help="Make a new cluster from a backup.")
@click.argument("backup", type=InputFile())
@click.argument("folder", type=Folder())
@click.option("--name", required=True, help="The name of the new cluster: another one.")
@click.option(
    "--servers",
    required=True,
    metavar="IDS",
    help="Its members, as 1,2,3 on this machine, or 1=a.example.org:47100,2=...",
)
def restore(backup: Path, folder: Path, name: str, servers: str) -> ExitCode:
    """Make a new cluster from BACKUP in FOLDER, which is not there yet, or is empty.

    FOLDER has cluster.toml, a new keyring, and the data file of each server. The cluster has a name
    and a membership of its own: its servers and those of the old cluster refuse each other.
    """
    addresses = _addresses(servers)
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise BadArguments(f"{folder} is there, and is not empty. Nothing is replaced.")
    draft = folder.absolute().parent / f".{folder.absolute().name[:100]}-{token_hex(4)}"
    with failing(), waiting(f"Making {folder} ..."):
        draft.mkdir(mode=0o700)
        try:
            restored = _made(backup, draft, name, addresses)
            os.rename(draft, folder)
        except BaseException:
            rmtree(draft, ignore_errors=True)
            raise
        sync(folder.absolute().parent)
    _tell(folder, restored, addresses)
    return ExitCode.DONE


def _made(
    backup: Path, folder: Path, name: str, addresses: Mapping[ServerId, str | None]
) -> Restored:
    """All of the cluster, in ``folder``."""
    paths = {me: folder / f"n{me}.db" for me in addresses}
    try:
        restored = restore_files(backup, paths, cluster=name, quorum=majority(addresses))
    except SameCluster as error:
        raise BadArguments(error) from error
    create(folder / KEYRING, keyring().encode())
    placed = {me: at for me, at in addresses.items() if at is not None}
    membership = restored.membership
    if placed:
        text = text_of(name, placed, KEYRING, membership)
    else:
        text = local(name, addresses, KEYRING, membership)
    create(folder / CONFIG, text.encode())
    try:
        read(folder / CONFIG)
    except BadDeployment as error:
        raise BadArguments(f"--servers: {str(error).partition(': ')[2]}") from error
    sync(folder)
    return restored


def _addresses(servers: str) -> Mapping[ServerId, str | None]:
    """Where each server is; None for all of them if they are on this machine."""
    found: dict[ServerId, str | None] = {}
    parts = servers.split(",")
    try:
        whole("the number of servers", len(parts), 1, MAX_DEPLOYED)
        for part in parts:
            me, _, at = part.partition("=")
            found[ServerId(whole("an id", int(me), 1, MAX_SERVER))] = at or None
    except BadNumber as error:
        raise click.BadParameter(str(error), param_hint="'--servers'") from error
    except ValueError:
        found.clear()
    if len(found) != len(parts) or len({at is None for at in found.values()}) != 1:
        what = f"{brief(servers)} is neither a list of ids, as 1,2,4, nor one of ID=HOST:PORT."
        raise click.BadParameter(what, param_hint="'--servers'")
    return found


def _tell(folder: Path, restored: Restored, addresses: Mapping[ServerId, str | None]) -> None:
    it = restored.backup
    logs = ", ".join(log.name for log in it.logs) or "none"
    say(
        printable(
            f"{folder} has the cluster {restored.cluster!r}, membership {restored.membership}: "
            f"logs {logs}; decisions {it.decisions:,}."
        )
    )
    if None in addresses.values():
        say(f"Start it: paxos cluster {quote(str(folder))}")
    else:
        say("Move each data file with its mark, the keyring and cluster.toml to its machine.")
        say("Start each server there, without --create: paxos node --id ID")
