"""The ``paxos`` command, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile

import click

from paxos_adapters.printable import printable
from paxos_cli.commands import AllCommands
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, Interrupted, json_of, lines_of
from paxos_cli.output import say


@click.group(
    cls=AllCommands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="sansio-paxos", prog_name="paxos")
@click.pass_context
def paxos(context: click.Context) -> None:
    """Consensus that other programs embed: see it run."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def run(arguments: Sequence[str]) -> ExitCode:
    """Run one command and return its exit code; whatever is wrong becomes one line."""
    as_json = "--json" in takewhile("--".__ne__, arguments)
    if sys.stdout is None:
        return _fail("the standard output is closed: nothing was done.", ExitCode.FAILED, as_json)
    out = sys.stdout
    try:
        code: object = paxos.main(list(arguments), prog_name="paxos", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _failed(error, as_json)
    except Interrupted as error:
        return _fail(printable(error), ExitCode.STOPPED, as_json)
    except click.Abort:
        return _fail("stopped", ExitCode.STOPPED, as_json)
    except SystemExit:
        if sys.stdout is out:
            raise  # The completion of a shell ends by itself.
        return ExitCode.READER_GONE
    except BrokenPipeError:
        sys.stdout = None  # What is left in it cannot be written either.
        return ExitCode.READER_GONE
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
