"""``paxos members``: the members of a cluster, while it runs, or on files of stopped servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from paxos import QuorumError, QuorumSystem, ServerId, flexible, majority
from paxos_adapters.arguments import BadNumber, whole
from paxos_adapters.limits import MAX_DEPLOYED, MAX_SERVER
from paxos_adapters.members import (
    Artefact,
    adopt,
    close_files,
    reopen_files,
    settle,
)
from paxos_adapters.outputs import ARTEFACT
from paxos_adapters.printable import brief, printable
from paxos_adapters.words import counted
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import failing
from paxos_cli.help import Group
from paxos_cli.members_list import list_members
from paxos_cli.members_running import add, move, remove, replace
from paxos_cli.output import say
from paxos_cli.paths import InputFile, OutputFile

FILES = click.argument("files", type=InputFile(), nargs=-1, required=True, metavar="FILE...")


class MembersGroup(Group):
    """The group ``paxos members``."""

    def sections(self) -> Mapping[str, Sequence[str]]:
        """The commands for clusters that run, and those for stopped ones."""
        return {
            "While the servers run": ["list", "add", "remove", "replace", "move"],
            "With all servers stopped": ["close", "reopen", "settle", "adopt"],
        }


@click.group(cls=MembersGroup)
def members() -> None:
    """Show and change the members of a cluster.

    While the servers run, one command adds, removes or replaces a server.

    With all servers stopped: close the files of a phase-1 quorum of the old members, settle them
    once into an artefact, and adopt that for each new member. So named decisions come along.

    Every command may be repeated after a kill. See docs/members.md.
    """


for command in list_members, add, remove, replace, move:
    members.add_command(command)


@members.command(short_help="First: no server opens these files again.")
@FILES
def close(files: tuple[Path, ...]) -> ExitCode:
    """Close the FILES of stopped servers, so that no server opens them again.

    Takes all locks before the first is closed: a server that still runs is an error, and nothing is
    closed. To go on, close a phase-1 quorum of the members, with majorities more than half; better
    all that are left.
    """
    with failing():
        closed = close_files(files)
    for file, identity in zip(files, closed, strict=True):
        say(printable(f"{file} is closed: {identity}, {identity.members}."))
    return ExitCode.DONE


@members.command(short_help="Undo close, before anything was settled.")
@FILES
def reopen(files: tuple[Path, ...]) -> ExitCode:
    """Let servers open these FILES again, if nothing was settled from them."""
    with failing():
        opened = reopen_files(files)
    for file, identity in zip(files, opened, strict=True):
        say(printable(f"{file} is open again: {identity}."))
    return ExitCode.DONE


@members.command("settle", short_help="Second: make the artefact, once.")
@FILES
@click.option("--servers", required=True, metavar="IDS", help="The ids of all new members: 1,2,4.")
@click.option(
    "--quorum",
    help="2/3: any two promise, any three choose.  [default: majorities]",
    metavar="SIZES",
)
@click.option(
    "--out", required=True, type=OutputFile(ARTEFACT), metavar="FILE", help="The artefact to make."
)
@click.option("--only", is_flag=True, help="The files that are left out are lost for good.")
def settle_files(
    files: tuple[Path, ...], servers: str, quorum: str | None, out: Path, only: bool
) -> ExitCode:
    """Read what may have been chosen from the closed FILES, and write it to the artefact.

    Takes the closed files themselves, not copies: they say from then on which membership follows.
    The same FILES with the same servers make the same artefact again; anything else is refused.
    """
    with failing():
        settled = settle(files, _quorum(servers, quorum), out, only=only)
    names = counted(settled.records, "name")
    say(printable(f"{out} has what is settled for {names}, {_follows(settled)}."))
    say("Copy it to each new member, and adopt it there: paxos members adopt.")
    say(f'In every cluster.toml: membership = "{settled.header.membership}"')
    return ExitCode.DONE


@members.command("adopt", short_help="Third: make the file of a new member.")
@click.argument("artefact", type=InputFile())
@click.argument("file", type=InputFile())
@click.option("--id", "server", type=int, metavar="ID", required=True, help="The new member's id.")
def adopt_file(artefact: Path, file: Path, server: int) -> ExitCode:
    """Make FILE for the new member with this id, from the ARTEFACT.

    A closed file in its place is moved aside. Once for each member: if the new FILE is lost later,
    its server needs a new id, and the members are changed again.
    """
    with failing():
        adopted = adopt(artefact, file, ServerId(server))
    if adopted.moved is not None:
        say(printable(f"The closed file is {adopted.moved}."))
    was = "was adopted before, and stays as it is" if adopted.was_there else "is adopted"
    say(printable(f"{file} {was}: {adopted.identity}, {_follows(adopted.artefact)}."))
    return ExitCode.DONE


def _follows(artefact: Artefact) -> str:
    return f"membership {artefact.header.membership} of {artefact.header.words}"


def _ids(servers: str) -> list[ServerId]:
    """Ids that a description of a cluster can have. Raises BadParameter."""
    try:
        ids = [ServerId(whole("an id", int(it), 1, MAX_SERVER)) for it in servers.split(",")]
        whole("the number of servers", len(ids), 1, MAX_DEPLOYED)
    except BadNumber as error:
        raise click.BadParameter(str(error), param_hint="'--servers'") from error
    except ValueError as error:
        what = f"{brief(servers)} is not a list of ids, as 1,2,4."
        raise click.BadParameter(what, param_hint="'--servers'") from error
    return ids


def _quorum(servers: str, sizes: str | None) -> QuorumSystem:
    ids = _ids(servers)
    try:
        if sizes is None:
            return majority(ids)
        phase1, phase2 = map(int, sizes.split("/"))
        return flexible(ids, phase1=phase1, phase2=phase2)
    except QuorumError as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        what = f"{brief(sizes or '')} is not two sizes, as 2/3."
        raise click.BadParameter(what, param_hint="'--quorum'") from error
