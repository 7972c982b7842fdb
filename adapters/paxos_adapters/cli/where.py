"""Which cluster, and which of its servers, a command speaks of."""

from __future__ import annotations

from pathlib import Path
from shlex import join

import click

from paxos import PaxosError, ServerId
from paxos_adapters.deployment import BadDeployment, Deployment, read

CONFIG = "cluster.toml"

CLUSTER = click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PAXOS_CLUSTER",
    default=Path(CONFIG),
    show_default=True,
    metavar="FILE",
    help="Which servers there are; PAXOS_CLUSTER says it too.",
)
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The memory of the server.  [default: the one that the cluster's file names]",
)
PLAIN = click.option("--plain", is_flag=True, help="ASCII characters, no colour.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


class BadArguments(click.ClickException):
    """What was asked for cannot be; nothing was begun."""

    exit_code = 2


class Failure(click.ClickException):
    """What was asked for was not reached."""

    def __init__(self, error: PaxosError | OSError) -> None:
        super().__init__(str(error))


def described(path: Path) -> Deployment:
    """The cluster that ``path`` describes. Raises BadArguments."""
    try:
        return read(path)
    except BadDeployment as error:
        raise BadArguments(str(error)) from error


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
