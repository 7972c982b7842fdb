"""What the commands draw with: characters and colours that fit where the output goes.

Plain output is ASCII without colour: on request, and wherever Unicode cannot be printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import fill
from typing import Literal, TypeVar

import click
from attrs import frozen
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paxos import ServerId
from paxos_adapters.printable import encodable, printable, printable_lines
from paxos_lab.draw import ASCII, UNICODE, Glyphs, Row, rows
from paxos_lab.draw.layout import held_text
from paxos_lab.draw.style import colours
from paxos_lab.record import Moment, Timeline

X = TypeVar("X")

MAX_SHOWN = 40
COLOURS = {
    "blue": "bright_blue",
    "orange": "dark_orange",
    "green": "green",
    "plum": "magenta",
    "teal": "cyan",
    "red": "red",
    "gold": "yellow",
    "pink": "bright_magenta",
    "lime": "bright_green",
    "gray": "bright_cyan",
}
"""For a terminal, by the hue of a value in a picture."""

BROKEN = "bold white on red"
"""How a broken rule looks."""


class _Console(Console):
    """A console that leaves it to the command what happens when its reader has gone."""

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError again: rich would end the process."""
        raise


@frozen
class Canvas:
    """A console, and the characters that it can show."""

    console: Console
    glyphs: Glyphs
    plain: bool

    def write(self, text: str = "", style: str = "") -> None:
        """One line of text, as it stands."""
        for line in self.fit(text).split("\n"):
            self.console.print(Text(self._wrapped(line), style))

    def _wrapped(self, line: str) -> str:
        """``line`` broken between words, on a terminal; one that is indented is for copying."""
        if not self.console.is_terminal or line.startswith(" "):
            return line
        return fill(line, self.console.width, break_long_words=False, break_on_hyphens=False)

    def item(self, head: str, text: str) -> None:
        """``text`` beside ``head``; below it, on a terminal that has no room for both."""
        line = f"{head}  {text}"
        if not self.console.is_terminal or len(line) <= self.console.width:
            self.write(line)
            return
        self.write(head.rstrip())
        width, below = self.console.width, " " * 6
        self.write(fill(text, width, initial_indent=below, subsequent_indent=below))

    def cell(self, text: str) -> Text:
        """A cell of a table, as it stands."""
        return Text(self.fit(printable(text)))

    def fit(self, text: str) -> str:
        """``text`` with what a terminal would act on, or the output cannot encode, escaped."""
        text = text.replace("…", "...") if self.plain else text
        return encodable(printable_lines(text), self.console.encoding)

    def legend(self, moment: str) -> None:
        """What the characters of a picture mean; ``moment`` is what happens without a message."""
        glyphs = self.glyphs
        self.write(
            f"{glyphs.moment} {moment}  {glyphs.sender} sends  {glyphs.itself} sends to itself too"
            f"  {glyphs.crossing} passes by\n"
        )

    def timeline(self, told: Timeline, *, width: int) -> None:
        """A space-time diagram with ``width`` characters between two lanes."""
        hues = colours(told).values
        for row in rows(told, width=width, glyphs=self.glyphs):
            self.console.print(self._styled(row, width * len(told.lanes), hues))

    def lines(self, draw: Callable[[], None]) -> list[Text]:
        """What ``draw`` prints here, line by line, and not printed."""
        with self.console.capture() as printed:
            draw()
        return [Text.from_ansi(it) for it in printed.get().splitlines()]

    def paged(self, draw: Callable[[], X]) -> X:
        """What ``draw`` prints, through the pager of the terminal, if it goes to a terminal."""
        if not self.console.is_terminal:
            return draw()
        with self.console.capture() as printed:
            result = draw()
        click.echo_via_pager(printed.get(), color=not self.plain)
        return result

    def _styled(self, row: Row, lanes_width: int, hues: Mapping[str, str]) -> Text:
        hue = hues.get(row.value or "")
        style = BROKEN if row.is_broken else COLOURS[hue] if hue is not None else ""
        lanes = row.lanes.ljust(lanes_width) if row.label else row.lanes
        return Text.assemble(self.fit(lanes), (self.fit(row.label), style))

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        title: str = "",
        numbers: Sequence[str] = (),
    ) -> None:
        """A table; ``numbers`` stand right. What does not fit into a column goes on below.

        Where not even the words fit, each row is a list, with the heading before each cell.
        """
        listed = [*rows]
        words = _longest_words([headings, *listed])
        if self.console.width < 1 + sum(longest + 3 for longest in words):
            self._as_lists(headings, listed, title)
            return
        table = Table(
            title=self.cell(title) if title else None,
            title_justify="left",
            box=box.ASCII if self.plain else box.ROUNDED,
        )
        for it, longest in zip(headings, words, strict=True):
            side: Literal["left", "right"] = "right" if it in numbers else "left"
            table.add_column(self.cell(it), overflow="fold", justify=side, min_width=longest)
        for row in listed:
            table.add_row(*map(self.cell, row))
        self.console.print(table)

    def _as_lists(self, headings: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
        if title:
            self.write(printable(title))
        longest = max(map(len, headings))
        for row in rows:
            for heading, cell in zip(headings, row, strict=True):
                if cell:
                    self.write(f"{printable(heading):{longest}}  {printable(cell)}")
            self.write()

    def knowledge(self, title: str, told: Timeline) -> None:
        """A table of what each server holds and knows in the end."""
        promised = ("promised",) if told.has_numbers else ()
        self.write()
        self.table(
            ("server", *promised, "accepted", "knows is chosen"),
            (_held(told, lane, it) for lane, it in sorted(told.last.items())),
            title=title,
        )


def _held(told: Timeline, lane: ServerId, it: Moment) -> tuple[str, ...]:
    look = it.look or it.disk
    promised, accepted = look.promised, look.accepted
    held = "" if accepted is None else held_text(accepted, has_numbers=told.has_numbers)
    return (
        told.lanes[lane],
        *([str(promised) if promised.round else ""] if told.has_numbers else []),
        held,
        "down" if it.look is None else look.knows or "",
    )


def canvas(plain: bool) -> Canvas:
    """A canvas on the standard output."""
    plain = plain or not (sys.stdout.encoding or "").lower().startswith("utf")
    console = _Console(highlight=False, color_system=None if plain else "auto", soft_wrap=True)
    return Canvas(console, ASCII if plain else UNICODE, plain)


def _longest_words(rows: Sequence[Sequence[str]]) -> list[int]:
    """The length of the longest word of each column."""
    return [
        max((len(word) for cell in column for word in printable(cell).split()), default=0)
        for column in zip(*rows, strict=True)
    ]


def shown(cell: str | int | bytes) -> str:
    """Text as it is, other bytes in hexadecimal; cut off, with the size, if it is long."""
    if not isinstance(cell, bytes):
        return str(cell)
    text = readable(cell)
    whole = cell.hex() if text is None else text
    if len(whole) <= MAX_SHOWN:
        return whole
    return f"{whole[:MAX_SHOWN]}... ({len(cell):,} bytes)"


def readable(value: bytes) -> str | None:
    """``value`` as text, if it is text that a terminal can show."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
