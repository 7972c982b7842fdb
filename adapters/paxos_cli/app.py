"""The ``paxos`` command: all commands, and how each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile

import click

from paxos_adapters.printable import printable
from paxos_cli.demo import demo
from paxos_cli.draw import draw
from paxos_cli.exit_codes import ExitCode
from paxos_cli.explain import explain_files
from paxos_cli.explore import explore
from paxos_cli.failures import Failure, json_of, lines_of
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


def run(arguments: Sequence[str]) -> ExitCode:
    """Run one command and return its exit code; whatever is wrong becomes one line."""
    as_json = "--json" in takewhile("--".__ne__, arguments)
    if sys.stdout is None:
        return _fail("the standard output is closed: nothing was done.", ExitCode.FAILED, as_json)
    try:
        code: object = paxos.main(list(arguments), prog_name="paxos", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _failed(error, as_json)
    except click.Abort:
        return _fail("stopped", ExitCode.STOPPED, as_json)
    except OSError as error:
        what = "the output cannot be written"
        if error.filename is None:
            sys.stdout = None  # What is left in it cannot be written either.
        else:
            what = f"{printable(error.filename)} cannot be used"
        return _fail(f"{what}: {error.strerror}", ExitCode.FAILED, as_json)
    return code if isinstance(code, ExitCode) else ExitCode.DONE


def _failed(error: click.ClickException, as_json: bool) -> ExitCode:
    code = ExitCode.BAD_ARGUMENTS if isinstance(error, click.UsageError) else ExitCode.FAILED
    more: Sequence[str] = ()
    if isinstance(error, Failure):
        code, more = error.code, error.more
    lines = [json_of(error.format_message(), code, more)] if as_json else lines_of(error)
    say("\n".join(lines), err=True)
    return code


def _fail(what: str, code: ExitCode, as_json: bool) -> ExitCode:
    say(json_of(what, code) if as_json else f"paxos: {what}", err=True)
    return code
