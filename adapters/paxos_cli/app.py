"""The commands, and how each of them ends: 0 done, 1 not reached, 2 bad arguments, 130 stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from paxos_adapters.printable import printable
from paxos_cli.demo import demo
from paxos_cli.draw import draw
from paxos_cli.explain import explain_files
from paxos_cli.explore import explore
from paxos_cli.failures import InLines
from paxos_cli.files import inspect_file, readmit
from paxos_cli.lecture import lecture
from paxos_cli.members import members
from paxos_cli.optional import commands_of_nodes
from paxos_cli.output import say
from paxos_cli.recording import replay_files
from paxos_cli.simulate import simulate
from paxos_cli.view import view


@click.group(invoke_without_command=True)
@click.version_option(package_name="sansio-paxos", prog_name="paxos")
@click.pass_context
def paxos(context: click.Context) -> None:
    """Consensus that other programs embed: see it run."""
    if context.invoked_subcommand is None:
        say(context.get_help())


paxos.add_command(demo)
paxos.add_command(draw)
paxos.add_command(explain_files)
paxos.add_command(explore)
paxos.add_command(inspect_file)
paxos.add_command(lecture)
paxos.add_command(members)
paxos.add_command(readmit)
paxos.add_command(replay_files)
paxos.add_command(simulate)
paxos.add_command(view)
for command in commands_of_nodes():
    paxos.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever is wrong becomes one line."""
    if sys.stdout is None:
        say("paxos: the standard output is closed: nothing was done.", err=True)
        return 1
    try:
        code: object = paxos.main(list(arguments), prog_name="paxos", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        say(_line(error), err=True)
        return error.exit_code
    except click.Abort:
        say("paxos: stopped", err=True)
        return 130
    except OSError as error:
        what = "the output cannot be written"
        if error.filename is None:
            sys.stdout = None  # What is left in it cannot be written either.
        else:
            what = f"{printable(error.filename)} cannot be used"
        say(f"paxos: {what}: {error.strerror}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _line(error: click.ClickException) -> str:
    if isinstance(error, InLines):
        return f"paxos: {error.message}"
    told = printable(error.format_message())
    if not isinstance(error, click.UsageError):
        return f"paxos: {told}"
    command = "paxos" if error.ctx is None else error.ctx.command_path
    return f"{command}: {told} (see {command} --help)"
