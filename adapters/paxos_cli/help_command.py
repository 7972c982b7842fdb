"""``paxos help``: the help of any command."""

from __future__ import annotations

import click

from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.output import say


@click.command("help", cls=Command, short_help="Show the help of a command.")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> ExitCode:
    """Show the help of COMMAND, or list all commands."""
    asked = context.find_root()
    for word in words:
        group = asked.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"'{asked.command_path}' has no commands.", asked)
        name, command, _ = group.resolve_command(asked, [word])
        if command is not None:
            asked = command.context_class(command, info_name=name, parent=asked)
    say(asked.get_help())
    return ExitCode.DONE
