"""``paxos members add`` and the like: change the members of a cluster while it runs.

- The commands ask a server of this machine, which asks the others. They wait until the change is
  finished, and say what it waits for, on the standard error.
- To repeat a command is to wait for the same change. So an interrupt, or a time-out, does no harm.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import click

from paxos import PaxosError, ServerId
from paxos_adapters.limits import MAX_SERVER
from paxos_adapters.node.control_client import NoReply, NotRunning, TooLong, answers
from paxos_adapters.node.control_protocol import (
    Answer,
    ChangeRequest,
    ErrorReply,
    MembersReply,
    MoveRequest,
    ProgressReply,
)
from paxos_adapters.node.members import MembersStatus
from paxos_adapters.printable import json_text, printable
from paxos_adapters.udp.addresses import Address, BadAddress, format_address, parse
from paxos_cli.asking import (
    GRACE_S,
    Target,
    asks,
    candidates,
    find,
    members_of,
    timeout,
    unanswered,
    unexpected,
)
from paxos_cli.config import node_command
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, Failure, Interrupted
from paxos_cli.feedback import waiting
from paxos_cli.help import Command
from paxos_cli.interrupt import on_interrupt
from paxos_cli.members_list import fields, progress, summary
from paxos_cli.options import JSON
from paxos_cli.output import say

TIMEOUT_S = 300.0
"""Time to copy what a cluster of some size has."""

CODES: Mapping[str, ExitCode] = {
    "ChangeUnfinished": ExitCode.UNKNOWN_OUTCOME,
    "CommandUnknown": ExitCode.UNKNOWN_OUTCOME,
    "NoAnswer": ExitCode.QUORUM_LOST,
    "NotAllStarted": ExitCode.QUORUM_LOST,
}
"""How a command ends, by the error of the node; those of BAD are wrong arguments."""

BAD = {
    *("IdUsed", "NotAMember", "AddressTaken", "BadMemberCount"),
    *("BadNumber", "BadAddress", "Insecure"),
}


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> Address:
    try:
        return parse("HOST:PORT", value)
    except BadAddress as error:
        raise click.BadParameter(str(error)) from error


ID = click.IntRange(1, MAX_SERVER)
SERVER = click.argument("server", type=ID, metavar="ID")
ADDRESS = click.argument("address", callback=_address, metavar="HOST:PORT")


@click.command(cls=Command, short_help="Add a server.")
@SERVER
@ADDRESS
@JSON
@timeout(TIMEOUT_S)
@asks
def add(target: Target, server: int, address: Address, timeout_s: float, as_json: bool) -> ExitCode:
    """Add server ID, which was never a member, and wait until it is one.

    Start it beforehand, or now: it says what to type there. The server is taught before it
    counts, and the cluster goes on in the meantime.
    """
    return _change(target, ChangeRequest({ServerId(server): address}, [], timeout_s), as_json)


@click.command(cls=Command, short_help="Remove servers.")
@click.argument("servers", type=ID, metavar="ID...", nargs=-1, required=True)
@JSON
@timeout(TIMEOUT_S)
@asks
def remove(target: Target, servers: tuple[int, ...], timeout_s: float, as_json: bool) -> ExitCode:
    """Remove the servers, and wait until nobody needs them: then they stop by themselves."""
    return _change(target, ChangeRequest({}, [*map(ServerId, servers)], timeout_s), as_json)


@click.command(cls=Command, short_help="Replace a server by another one.")
@click.argument("old", type=ID, metavar="OLD")
@SERVER
@ADDRESS
@JSON
@timeout(TIMEOUT_S)
@asks
def replace(
    target: Target,
    old: int,
    server: int,
    address: Address,
    timeout_s: float,
    as_json: bool,
) -> ExitCode:
    """Let server ID be a member in the place of OLD, which may be lost, in one change."""
    request = ChangeRequest({ServerId(server): address}, [ServerId(old)], timeout_s)
    return _change(target, request, as_json)


@click.command(cls=Command, short_help="Let the others find a server at another address.")
@SERVER
@ADDRESS
@JSON
@timeout(5)
@asks
def move(
    target: Target, server: int, address: Address, timeout_s: float, as_json: bool
) -> ExitCode:
    """Let all others find server ID at another address. It changes no member and no quorum."""
    found = find(target)
    request = MoveRequest(ServerId(server), address, timeout_s)
    with waiting("Waiting for the servers ..."), closing(_answers(found, request)) as replies:
        answer = next(replies)
    if isinstance(answer, ErrorReply):
        raise _refused(found, answer)
    if not isinstance(answer, MembersReply):
        raise unexpected(answer)
    if not as_json:
        say(f"server {server} is to be found at {format_address(address)}")
    return _told(answer.members, as_json)


# --- a change -------------------------------------------------------------------------------------


def _say_how_to_join(target: Target, server: int, address: Address) -> None:
    """What to do on the machine of a newcomer."""
    for line in (
        f"On the machine of server {server}, put this into a copy of {target.cluster.name}, beside "
        "a copy of the keyring:",
        "    [[servers]]",
        f"    id = {server}",
        f'    address = "{format_address(address)}"',
        f'    data = "n{server}.db"',
        "    joined = true",
        f"and run: {node_command(Path(target.cluster.name), ServerId(server))} --create",
    ):
        say(printable(line), err=True)


def _change(target: Target, request: ChangeRequest, as_json: bool) -> ExitCode:
    server = _asked(target, request.remove)
    told, has_begun = set[str](), False
    with on_interrupt(partial(_leave_open, target)):
        for answer in _answers(server, request):
            if isinstance(answer, MembersReply):
                return _told(answer.members, as_json)
            if isinstance(answer, ErrorReply):
                raise _refused(server, answer)
            if not isinstance(answer, ProgressReply):
                raise unexpected(answer)
            if not has_begun:
                has_begun = True
                for it, address in request.add.items():
                    _say_how_to_join(target, it, address)
            for line in progress(answer.members):
                what, _, _ = line.partition(" of ")
                if what not in told:
                    say(printable(f"paxos: {line}"), err=True)
                told.add(what)
    raise AssertionError("there is a last answer")


def _asked(target: Target, leaving: Sequence[ServerId]) -> Path:
    """The server to ask: one that is a member and stays, if one answers on this machine."""
    if target.data is None and target.me is None:
        for data in candidates(target):
            with suppress(Failure):
                if _stays(members_of(data), leaving):
                    return data
    try:
        return find(target)
    except Failure as error:
        if error.code is not ExitCode.NO_SERVER or not leaving:
            raise
        removed = "If it was removed, ask on the machine of another server."
        raise Failure(f"{error} {removed}", code=error.code) from error


def _stays(reply: MembersReply, leaving: Sequence[ServerId]) -> bool:
    return reply.me in reply.members.addresses and reply.me not in leaving


def _answers(server: Path, request: ChangeRequest | MoveRequest) -> Generator[Answer, None, None]:
    patience_s = None if request.timeout_s is None else request.timeout_s + GRACE_S
    unknown = "The change may go on; the same command again waits for it."
    try:
        with closing(answers(server, request, patience_s=patience_s)) as all_of_them:
            yield from all_of_them
    except TooLong as error:
        raise BadArguments(error) from error
    except NoReply as error:
        raise Failure(f"{error} {unknown}", code=ExitCode.UNKNOWN_OUTCOME) from error
    except NotRunning as error:
        raise Failure(error, code=ExitCode.NO_SERVER) from error
    except PaxosError as error:
        raise Failure(error) from error


def _leave_open(target: Target) -> None:
    """An interrupt does not take a change back. Raises Interrupted."""
    raise Interrupted(
        "stopped; a change that has begun goes on by itself. "
        f"{target.command('members', 'list')} shows how it goes."
    )


def _refused(server: Path, reply: ErrorReply) -> Failure:
    if reply.kind in BAD:
        return BadArguments(reply.text)
    code = CODES.get(reply.kind, ExitCode.FAILED)
    if code is ExitCode.FAILED:
        return Failure(reply.text)
    what = reply.text
    if reply.kind == "NoAnswer":
        what = f"{reply.cause}. Nothing was begun."
    elif reply.kind == "CommandUnknown":
        what = f"{reply.cause}. It may have begun. The same command again does no harm."
    return unanswered(server, what, code, when_lost=code, of_change=True)


def _told(status: MembersStatus, as_json: bool) -> ExitCode:
    say(json_text(fields(status)) if as_json else summary(status))
    return ExitCode.DONE
