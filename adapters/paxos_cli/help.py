"""How the command explains itself: usage, what it does, examples, options, and the page about it.

- Lines have at most 80 characters, and no more than the terminal; words are never broken.
- A group lists its commands under headings, the common ones first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from shutil import get_terminal_size

import click

from paxos_cli.examples import EXPLAINED

WIDEST = 80
NARROW = 60  # characters: below, what an option means stands under it
USAGE = "Usage: "
PAGES = "docs/"
"""Where the pages are, as long as the project has no public address."""


class Formatter(click.HelpFormatter):
    """Text that is wrapped between words only."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        found = width or min(get_terminal_size().columns, max_width or WIDEST)
        super().__init__(indent_increment, found, max_width)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The line that says which words a command takes."""
        line = f"{prefix or USAGE}{prog} {args}".rstrip()
        self.write(f"{self._wrapped(line, '', ' ' * len(USAGE))}\n")

    def write_text(self, text: str) -> None:
        """Paragraphs."""
        indent = " " * self.current_indent
        paragraphs = (" ".join(it.split()) for it in text.split("\n\n"))
        self.write("\n\n".join(self._wrapped(it, indent, indent) for it in paragraphs) + "\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 26, col_spacing: int = 2
    ) -> None:
        """Terms, and beside them what they mean; below them, where there is no room."""
        listed = [*rows]
        longest = max((len(term) for term, _ in listed if len(term) <= col_max), default=0)
        column = 4 if self.width < NARROW else longest + col_spacing
        indent, below = " " * self.current_indent, " " * (self.current_indent + column)
        for term, meaning in listed:
            fits = len(term) + col_spacing <= column
            first = f"{indent}{term:{column}}" if fits else below
            if not fits:
                term = self._wrapped(term.replace("|", " | "), indent, below)
                self.write(f"{term}\n")
            self.write(f"{self._wrapped(meaning, first, below)}\n" if meaning else "")

    def _wrapped(self, text: str, first: str, others: str) -> str:
        return textwrap.fill(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )


class Context(click.Context):
    """A context whose help is laid out by ``Formatter``."""

    formatter_class = Formatter


class Command(click.Command):
    """A command whose help has its examples."""

    context_class = Context

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, and where to read on."""
        _read_on(ctx, formatter)


class Group(click.Group):
    """A group of commands, whose wrong names are answered with the nearest one."""

    context_class = Context
    command_class = Command

    def sections(self) -> Mapping[str, Sequence[str]]:
        """The names of the commands, in order, by heading."""
        return {"Commands": [*self.commands]}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """All names, in order."""
        return [name for names in self.sections().values() for name in names]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name. Raises UsageError."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"there is no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, under their headings."""
        for heading, names in self.sections().items():
            with formatter.section(heading):
                formatter.write_dl([(name, self._summary(ctx, name)) for name in names])

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(WIDEST)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, and where to read on."""
        _read_on(ctx, formatter)


def _read_on(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Examples as they are typed, which are never wrapped, and the page that has more."""
    examples, page = EXPLAINED[ctx.command_path.removeprefix(ctx.find_root().command_path).strip()]
    with formatter.section("Examples"):
        formatter.write_dl(examples, col_max=40)
    formatter.write(f"\nMore: {PAGES}{page}\n")
