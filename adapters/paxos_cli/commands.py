"""All commands: under which heading each is listed, and where it is.

A command is imported when it is called, or listed: it starts as fast as its own imports let it. One
whose extra is not installed says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from paxos_cli.failures import Failure
from paxos_cli.help import Command, Group

SECTIONS: Mapping[str, Sequence[str]] = {
    "Run a cluster": ["cluster", "node", "keygen", "members", "readmit", "backup", "restore"],
    "Ask it": ["propose", "read", "watch", "kv", "status", "log"],
    "Look at a run": ["view", "draw", "explain", "replay", "inspect"],
    "Check the protocol": ["simulate", "explore"],
    "Learn": ["lecture", "demo", "help"],
}

PLACES: Mapping[str, tuple[str, str]] = {
    "backup": ("backup", "backup"),
    "cluster": ("cluster", "cluster"),
    "demo": ("demo", "demo"),
    "draw": ("draw", "draw"),
    "explain": ("explain", "explain_files"),
    "explore": ("explore", "explore"),
    "help": ("help_command", "help_command"),
    "inspect": ("files", "inspect_file"),
    "keygen": ("keygen", "keygen"),
    "kv": ("kv", "kv"),
    "lecture": ("lecture", "lecture"),
    "log": ("log", "log"),
    "members": ("members", "members"),
    "node": ("node", "node"),
    "propose": ("client", "propose"),
    "read": ("client", "read"),
    "readmit": ("files", "readmit"),
    "replay": ("recording", "replay_files"),
    "restore": ("restore", "restore"),
    "simulate": ("simulate", "simulate"),
    "status": ("status", "status"),
    "view": ("view", "view"),
    "watch": ("client", "watch"),
}
"""The module of each command, and its name there."""


class AllCommands(Group):
    """The group ``paxos``."""

    def sections(self) -> Mapping[str, Sequence[str]]:
        """All commands, the common ones first."""
        return SECTIONS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported."""
        return load(cmd_name) if cmd_name in PLACES else super().get_command(ctx, cmd_name)


def load(name: str) -> click.Command:
    """The command of that name, or what stands in for it where its extra is not installed."""
    module, attribute = PLACES[name]
    try:
        found: object = getattr(import_module(f"paxos_cli.{module}"), attribute)
    except ModuleNotFoundError as missing:
        if missing.name != "msgspec":
            raise
        return _missing(name)
    assert isinstance(found, click.Command)
    return found


def _missing(name: str) -> click.Command:
    @click.command(
        name,
        cls=Command,
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
