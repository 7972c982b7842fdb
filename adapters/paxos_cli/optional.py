"""The commands that need the extra ``udp``, or what stands in for them where it is not there."""

from __future__ import annotations

from collections.abc import Iterable

import click

from paxos_cli.failures import Failure

NAMES = "cluster", "keygen", "kv", "log", "node", "propose", "read", "status", "watch"


def commands_of_nodes() -> Iterable[click.Command]:
    """Every command that runs servers, or talks to one."""
    try:
        from paxos_cli.client import propose, read, watch
        from paxos_cli.cluster import cluster
        from paxos_cli.keygen import keygen
        from paxos_cli.kv import kv
        from paxos_cli.log_status import log
        from paxos_cli.node import node
        from paxos_cli.status import status
    except ModuleNotFoundError as missing:
        if missing.name != "msgspec":
            raise
        return [_missing(name) for name in NAMES]
    return cluster, keygen, kv, log, node, propose, read, status, watch


def _missing(name: str) -> click.Command:
    @click.command(
        name,
        short_help="(needs the extra 'udp')",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def command() -> None:
        raise Failure(
            f"{name} needs msgspec, which comes with the extra 'udp': pip install "
            "'sansio-paxos[cli,udp]'. The other commands work without it."
        )

    return command
