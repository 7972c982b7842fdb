"""Options that several commands have, and options of a command handed over as one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
from attrs import AttrsInstance, fields

from paxos_cli.exit_codes import ExitCode
from paxos_lab.record import PROTOCOLS

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Kind = TypeVar("Kind", bound=AttrsInstance)
Rest = ParamSpec("Rest")

PLAIN = click.option("--plain", is_flag=True, help="ASCII characters, no colour.")
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs; errors, too."
)
LOG = click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How lines are logged, to the standard error.",
)
RULE = click.option(
    "--rule",
    type=click.Choice(sorted(PROTOCOLS)),
    default="paxos",
    show_default=True,
    help="What the servers do: Paxos, a protocol that the lecture refutes, or broken Paxos.",
)


def whole(
    name: str, least: int, most: int | None, about: str, *, default: int | None = None
) -> Callable[[Decorated], Decorated]:
    """An option that takes a number from ``least`` to ``most``; the help shows its ``default``."""
    return click.option(
        name,
        type=click.IntRange(least, most),
        metavar="N",
        default=default,
        show_default=default is not None,
        help=about,
    )


def gathered(
    kind: type[Kind],
) -> Callable[[Callable[Concatenate[Kind, Rest], ExitCode]], Callable[..., ExitCode]]:
    """Hand the options that are fields of ``kind`` to the command as one ``kind``, in front."""
    names = [it.name for it in fields(kind)]

    def decorate(command: Callable[Concatenate[Kind, Rest], ExitCode]) -> Callable[..., ExitCode]:
        @wraps(command)
        def run(*arguments: Rest.args, **options: Rest.kwargs) -> ExitCode:
            own = {name: options.pop(name) for name in names if name in options}
            return command(kind(**own), *arguments, **options)

        return run

    return decorate


def refuse_with_log(**given: bool) -> None:
    """Raise UsageError if an option is given that is for one decision. They are named as fields."""
    for name, is_given in given.items():
        if is_given:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is for one decision: leave it out with --log.")
