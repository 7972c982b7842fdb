"""Which cluster, and which of its servers, a command speaks of."""

from __future__ import annotations

import stat
from pathlib import Path
from shlex import join

import click

from paxos import ServerId
from paxos_adapters.node.deployment import BadDeployment, Deployment, read
from paxos_adapters.printable import printable
from paxos_adapters.wire import Protection
from paxos_cli.failures import BadArguments
from paxos_cli.output import say
from paxos_cli.paths import InputFile

CONFIG = "cluster.toml"
PROBE_S = 3.0
"""How long a server of this machine may take to answer that it is there."""

CLUSTER = click.option(
    "--cluster",
    type=InputFile(),
    envvar="PAXOS_CLUSTER",
    default=Path(CONFIG),
    show_default=True,
    metavar="FILE",
    help="Which servers there are; PAXOS_CLUSTER says it too.",
)
DATA = click.option(
    "--data",
    type=InputFile(),
    metavar="FILE",
    help="The memory of the server.  [default: the one that the cluster's file names]",
)


def described(path: Path) -> Deployment:
    """The cluster that ``path`` describes. Raises BadArguments."""
    try:
        return read(path)
    except BadDeployment as error:
        raise BadArguments(str(error)) from error


def protection_of(cluster: Deployment, *, warn: bool) -> Protection | None:
    """How datagrams are protected. Raises BadArguments; can warn of keys that others can read."""
    try:
        protection = cluster.protection()
    except BadDeployment as error:
        raise BadArguments(str(error)) from error
    if warn and cluster.keyring is not None:
        mode = stat.S_IMODE(cluster.keyring.stat().st_mode)
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            what = "is to be read by its owner only, and others can read it too"
            say(f"paxos: {printable(cluster.keyring)} {what}: chmod 600.", err=True)
    return protection


def data_of(cluster: Deployment, me: ServerId, data: Path | None = None) -> Path:
    """Where the memory of ``me`` is: ``data``, or what ``cluster`` says. Raises BadArguments."""
    if me not in cluster.addresses:
        members = ", ".join(map(str, sorted(cluster.addresses)))
        raise BadArguments(f"{cluster.path} has no server {me}, only {members}.")
    if data is not None:
        return data
    if me not in cluster.data:
        raise BadArguments(f"{cluster.path} names no data file of server {me}: give --data FILE.")
    return cluster.data[me]


def node_command(cluster: Path, me: ServerId) -> str:
    """What to type to run server ``me``."""
    where = [] if cluster == Path(CONFIG) else ["--cluster", str(cluster)]
    return join(["paxos", "node", "--id", str(me), *where])
