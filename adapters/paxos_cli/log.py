"""``paxos log``: the logs of the servers of this machine."""

from __future__ import annotations

import click

from paxos_cli.help import Group
from paxos_cli.log_check import check
from paxos_cli.log_status import status


@click.group(cls=Group)
def log() -> None:
    """Look at replicated logs."""


log.add_command(status)
log.add_command(check)
