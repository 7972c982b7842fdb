"""``paxos members list``, and what is said of a change of members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from attrs import frozen

from paxos import ServerId, majority
from paxos_adapters.node.control_protocol import LogsReply, LogsRequest
from paxos_adapters.node.members import LogChange, MembersStatus
from paxos_adapters.node.status import Status
from paxos_adapters.node.tolerance import needed, up
from paxos_adapters.printable import json_text, printable
from paxos_adapters.replication.membership import DECISIONS
from paxos_adapters.udp.addresses import Address, format_address
from paxos_adapters.words import servers as named
from paxos_cli import health
from paxos_cli.asking import Target, answer_of, asks, find, members_of, status_of, unexpected
from paxos_cli.canvas import canvas
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import JSON, PLAIN
from paxos_cli.output import say


@click.command("list", cls=Command, short_help="Show which servers are members.")
@JSON
@PLAIN
@asks
def list_members(target: Target, as_json: bool, plain: bool) -> ExitCode:
    """Show the members, as a server of this machine knows them, and the change in progress."""
    seen = _seen(find(target))
    if as_json:
        more = {"joining": sorted(seen.joining), "needed": seen.needed}
        say(json_text(fields(seen.members) | more))
        return ExitCode.DONE
    drawn = canvas(plain)
    drawn.table(("server", "address", "role", "state"), map(seen.row, seen.servers))
    drawn.write(printable(summary(seen.members)))
    for line in progress(seen.members):
        drawn.write(printable(line))
    for about in health.newcomer, health.untaught:
        for line in about(seen.status, seen.members):
            drawn.write(printable(line))
    if seen.needed and seen.members.is_changing:
        lacking = f"{seen.needed} more {'is' if seen.needed == 1 else 'are'} needed"
        shows = target.command("status")
        drawn.write(f"Too few servers are up for the change: {lacking}. {shows} shows which are.")
    return ExitCode.DONE


@frozen
class _Seen:
    """What a server knows of the members: who they are, and which are up.

    ``joining`` are those that a log has not taken in yet.
    """

    members: MembersStatus
    joining: frozenset[ServerId]
    status: Status
    address: Address

    @property
    def servers(self) -> Sequence[ServerId]:
        """The members, and those that are leaving."""
        return sorted({*self.members.addresses, *self.members.leaving})

    @property
    def needed(self) -> int:
        """How many more have to be up for a quorum, before the change in progress and after it."""
        after = needed(majority(self.members.addresses), up(self.status))
        return max(after, self.status.needed)

    def row(self, server: ServerId) -> Sequence[str]:
        """A server, where it is, what it is there for, and how it is."""
        peer, is_me = self.status.peers.get(server), server == self.status.me
        seen_at = None if peer is None else peer.address
        at = self.members.addresses.get(server) or (self.address if is_me else seen_at)
        role = "joining" if server in self.joining else "member"
        if server in self.members.leaving:
            role = "leaving"
        state = "up" if is_me else "" if peer is None else health.state(peer)
        return str(server), _at(at), role, state


def _seen(server: Path) -> _Seen:
    """What the server on that data file knows of the members."""
    told = members_of(server)
    logs = answer_of(server, LogsRequest(), PROBE_S)
    if not isinstance(logs, LogsReply):
        raise unexpected(logs)
    status = status_of(server)
    members = frozenset(told.members.addresses)
    taken_in = members.intersection(*logs.members.values())
    joining = members - taken_in if told.members.is_changing else frozenset[ServerId]()
    return _Seen(told.members, joining, status.status, status.address)


# --- in words ------------------------------------------------------------------------------------


def summary(status: MembersStatus) -> str:
    """Who is a member, and who is one no more."""
    epoch = f"epoch {status.epoch}"
    if status.is_changing:
        epoch = f"the change to {epoch} is in progress"
    parts = [f"{epoch}: {named(status.addresses)}"]
    for what, those in ("leaving", status.leaving), ("removed", status.former - status.leaving):
        if those:
            parts.append(f"{what}: {', '.join(map(str, sorted(those)))}")
    return "; ".join(parts)


def progress(status: MembersStatus) -> Iterator[str]:
    """What the change in progress waits for, or the first one."""
    if status.absent:
        yield f"the first change waits for {named(status.absent)}, to say which logs there are"
    for it in status.waiting:
        yield from _log_progress(it)
    if status.waiting and status.leaving:
        are, them = ("is", "it") if len(status.leaving) == 1 else ("are", "them")
        yield f"{named(status.leaving)} {are} still needed: do not stop {them}, unless lost"


def _log_progress(it: LogChange) -> Iterator[str]:
    if not it.held:
        yield f"waiting for {'named decisions' if it.name == DECISIONS else f'log {it.name}'}"
    for server, held in it.held.items():
        taught = f"{held - 1:,} of {it.first - 1:,}"
        yield f"log {it.name}: server {server} has been taught slot {taught}"


def fields(status: MembersStatus) -> dict[str, object]:
    """The same for programs."""
    members = [{"id": it, "address": _at(at)} for it, at in sorted(status.addresses.items())]
    waiting_for = [
        {
            "log": it.name,
            "slot": it.first - 1,
            "taught": {str(server): held - 1 for server, held in it.held.items()},
        }
        for it in status.waiting
    ]
    return {
        "epoch": status.epoch,
        "members": members,
        "removed": sorted(status.former - status.leaving),
        "leaving": sorted(status.leaving),
        "is_changing": status.is_changing,
        "waiting": waiting_for,
        "absent": sorted(status.absent),
        "adopting": sorted(status.adopting),
    }


def _at(address: Address | None) -> str:
    return "" if address is None else format_address(address)
