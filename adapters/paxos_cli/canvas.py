"""What the commands draw with: characters and colours that fit where the output goes.

Plain output is ASCII without colour: on request, and wherever Unicode cannot be printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from attrs import frozen
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paxos_adapters.printable import encodable, printable, printable_lines
from paxos_lab.draw import ASCII, UNICODE, Glyphs, Row, rows
from paxos_lab.record import Moment, Timeline

MAX_SHOWN = 40
MIN_WIDTH = 60  # of the table, in characters: a narrower window wraps lines and loses none
COLOURS = ("cyan", "magenta", "yellow", "green", "bright_blue", "red")


@frozen
class Canvas:
    """A console, and the characters that it can show."""

    console: Console
    glyphs: Glyphs
    plain: bool

    def write(self, text: str = "", style: str = "") -> None:
        """One line of text, as it stands."""
        self.console.print(Text(self.fit(text), style))

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
        for row in rows(told, width=width, glyphs=self.glyphs):
            self.console.print(self._styled(row, width * len(told.lanes)))

    def _styled(self, row: Row, lanes_width: int) -> Text:
        style = "" if row.ballot is None else COLOURS[(row.ballot.server - 1) % len(COLOURS)]
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
        """A table; what does not fit into a column goes on below. ``numbers`` stand right."""
        table = Table(
            title=self.cell(title) if title else None,
            title_justify="left",
            box=box.ASCII if self.plain else box.ROUNDED,
        )
        for it in headings:
            side: Literal["left", "right"] = "right" if it in numbers else "left"
            table.add_column(self.cell(it), overflow="fold", justify=side)
        for row in rows:
            table.add_row(*map(self.cell, row))
        self.console.print(table)

    def knowledge(self, title: str, told: Timeline) -> None:
        """A table of what each server holds and knows in the end."""
        self.write()
        self.table(
            ("server", "promised", "accepted", "knows is chosen"),
            (_held(told.lanes[lane], it) for lane, it in sorted(told.last.items())),
            title=title,
        )


def _held(name: str, it: Moment) -> tuple[str, ...]:
    look = it.look or it.disk
    promised, accepted = look.promised, look.accepted
    return (
        name,
        str(promised) if promised.round else "",
        "" if accepted is None else f"{accepted.ballot} {accepted.value}",
        "down" if it.look is None else look.knows or "",
    )


def canvas(plain: bool) -> Canvas:
    """A canvas on the standard output."""
    plain = plain or not (sys.stdout.encoding or "").lower().startswith("utf")
    console = Console(highlight=False, color_system=None if plain else "auto", soft_wrap=True)
    console.width = max(console.width, MIN_WIDTH)
    return Canvas(console, ASCII if plain else UNICODE, plain)


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
