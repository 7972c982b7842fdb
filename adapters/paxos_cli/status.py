"""``paxos status``: the cluster as one of its servers sees it."""

from __future__ import annotations

import click
import msgspec

from paxos_adapters.node.control_protocol import StatusReply
from paxos_adapters.printable import json_text, printable
from paxos_adapters.udp.addresses import format_address
from paxos_adapters.wire import Reason
from paxos_cli import health
from paxos_cli.asking import Target, asks, find, status_of
from paxos_cli.canvas import canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import JSON, PLAIN, gathered
from paxos_cli.output import say

REASONS = {it.name.lower(): it.value for it in Reason}


@click.command(cls=Command, short_help="Show who is up, and what is wrong.")
@JSON
@PLAIN
@asks
@gathered(Target)
def status(target: Target, as_json: bool, plain: bool) -> ExitCode:
    """Show the cluster as one of its servers sees it."""
    told = status_of(find(target))
    if as_json:
        say(json_text(_fields(told)))
    else:
        _draw(told, plain)
    return ExitCode.QUORUM_LOST if health.needed(told.status) else ExitCode.DONE


def _fields(told: StatusReply) -> dict[str, object]:
    status = told.status
    return {
        "cluster": told.cluster,
        "address": told.address,
        **msgspec.to_builtins(status, str_keys=True),
        "up": sorted([status.me, *(it for it, peer in status.peers.items() if peer.is_up)]),
        "needed": health.needed(status),
        "warnings": [*health.warnings(status)],
    }


def _draw(told: StatusReply, plain: bool) -> None:
    status, drawn = told.status, canvas(plain)
    size = len(status.peers) + 1
    drawn.write(
        f"Cluster {printable(told.cluster)}, seen by server {status.me}: {health.up(status)} of "
        f"{size} servers are up."
    )
    drawn.write(f"{health.tolerance(status)}.")
    rows = [(str(status.me), format_address(told.address), "it is asked", "", "up")] + [
        (
            str(it),
            format_address(peer.address),
            health.heard(peer),
            health.trip(peer),
            health.state(peer),
        )
        for it, peer in status.peers.items()
    ]
    drawn.table(("server", "address", "heard", "round trip", "state"), sorted(rows))
    drawn.write(
        f"Saved {status.saves:,} times; names in memory {status.in_memory:,}, asked for "
        f"{status.asked:,}, unresolved {status.unresolved:,}. Highest promise {status.promised}."
    )
    drawn.write(f"Descent: {health.descent(status)}.")
    for reason, times in status.refused.items():
        told_of = REASONS.get(reason, "see its version")
        drawn.write(f"Refused {times:,}, {printable(reason)}: {told_of}.")
    for cause, times in status.lost.items():
        drawn.write(f"Lost {times:,}: {printable(cause)}.")
    for warning in health.warnings(status):
        drawn.write(f"! {printable(warning)}", "yellow")
