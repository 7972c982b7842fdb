"""``paxos node``: one server, in the foreground, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import click

from paxos import PaxosError, ServerId
from paxos_adapters.cli import logs
from paxos_adapters.cli.where import CLUSTER, DATA, BadArguments, Failure, data_of, described
from paxos_adapters.codecs import RAW
from paxos_adapters.deployment import BadDeployment, Deployment, parse, written
from paxos_adapters.file import FileStore, NotThere
from paxos_adapters.node import BadName, Node
from paxos_adapters.node.control import serve
from paxos_adapters.node.lines import beside
from paxos_adapters.udp import Address

LOOK_S = 0.5
"""How often to see whether the server has stopped by itself."""

_logger = logging.getLogger(__name__)


@click.command(short_help="Run one server of a cluster.")
@click.option("--id", "me", type=int, required=True, help="Which server.")
@CLUSTER
@DATA
@click.option("--create", is_flag=True, help="Make the memory of a server that has never run.")
@click.option("--listen", metavar="HOST:PORT", help="Listen here, if not at its own address.")
@click.option("--insecure", is_flag=True, help="Go without a key beyond this machine.")
@click.option("--until-eof", is_flag=True, help="End when the standard input ends, too.")
@click.option("--verbose", is_flag=True, help="Log more than what is wrong.")
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How, to the standard error.",
)
def node(
    me: int,
    cluster: Path,
    data: Path | None,
    create: bool,
    listen: str | None,
    insecure: bool,
    until_eof: bool,
    verbose: bool,
    log: str,
) -> int:
    """Run server ID of the cluster until Ctrl-C or SIGTERM.

    Says in one line when it is there. A data file that is missing is never taken for a new server:
    --create makes the one of a server that has never run.
    """
    deployment, server = described(cluster), ServerId(me)
    path = data_of(deployment, server) if data is None else data
    at = None if listen is None else _address(listen)
    logs.configure(server, as_json=log == "json", verbose=verbose)
    try:
        with _memory(path, deployment, server, create) as file:
            return asyncio.run(_run(file, deployment, at, insecure, until_eof))
    except BadDeployment as error:
        raise BadArguments(str(error)) from error
    except NotThere as error:
        hint = f"If server {me} has never run, let it begin: --create."
        raise click.ClickException(f"{error} {hint}") from error
    except (PaxosError, OSError) as error:
        raise Failure(error) from error


def _address(listen: str) -> Address:
    try:
        return parse("--listen", listen)
    except ValueError as error:
        raise BadArguments(str(error)) from error


def _memory(path: Path, cluster: Deployment, me: ServerId, create: bool) -> FileStore[bytes]:
    if me not in cluster.addresses:
        data_of(cluster, me)
    verb = FileStore.create if create else FileStore.open
    return verb(path, cluster=cluster.name, server=me, codec=RAW)


async def _run(
    file: FileStore[bytes],
    cluster: Deployment,
    listen: Address | None,
    insecure: bool,
    until_eof: bool,
) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for it in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(it, told.set)
    if until_eof:
        loop.add_reader(sys.stdin, _read_on, told)
    protection = cluster.protection()
    async with (
        Node(
            file, cluster.addresses, listen=listen, protection=protection, insecure=insecure
        ) as running,
        serve(running, beside(file.path)),
    ):
        at = written(cluster.addresses[running.me])
        click.echo(f"server {running.me}  {at}  pid {os.getpid()}  {file.path.name}")
        sys.stdout.flush()
        facts = {"event": "started", "server": running.me}
        _logger.info("%s runs at %s", file.identity, at, extra=facts)
        ended = asyncio.ensure_future(_ended(running))
        await asyncio.wait(
            {asyncio.ensure_future(told.wait()), ended}, return_when=asyncio.FIRST_COMPLETED
        )
        if ended.done():
            await ended
        _logger.info("it was told to end", extra=facts | {"event": "told to end"})
    return 0


def _read_on(told: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        told.set()


async def _ended(running: Node[bytes]) -> None:
    """Raises Stopped when the server has stopped by itself; an empty name asks for nothing else."""
    while True:
        try:
            await running.read("")
        except BadName:
            await asyncio.sleep(LOOK_S)
