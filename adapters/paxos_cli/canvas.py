"""What the commands draw with: characters and colours that fit where the output goes.

Plain output is ASCII without colour: on request, and wherever Unicode cannot be printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from attrs import frozen
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paxos import Acceptor, Message, ServerId
from paxos_adapters.memory import Delivery
from paxos_adapters.printable import encodable, printable, printable_lines
from paxos_lab.draw import ASCII, UNICODE, Glyphs, Moment, Row, space_time

V = TypeVar("V")

MAX_SHOWN = 40
MIN_WIDTH = 60  # of the table, in characters: a narrower window wraps lines and loses none
COLOURS = ("cyan", "magenta", "yellow", "green", "bright_blue", "red")


@frozen
class Holding:
    """What one server holds, and what it knows to be chosen, in words."""

    server: ServerId
    acceptor: Acceptor[str]
    known: str


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
        return encodable(printable_lines(text), self.console.encoding)

    def legend(self, moment: str) -> None:
        """What the characters of a picture mean; ``moment`` is what happens without a message."""
        glyphs = self.glyphs
        self.write(
            f"{glyphs.moment} {moment}  {glyphs.sender} sends  {glyphs.itself} sends to itself too"
            f"  {glyphs.crossing} passes by\n"
        )

    def picture(
        self,
        servers: Sequence[ServerId],
        history: Iterable[Delivery[Message[V]] | Moment],
        *,
        width: int,
        names: Mapping[ServerId, str] | None = None,
    ) -> None:
        """A space-time diagram with ``width`` characters between two lanes."""
        for row in space_time(servers, history, width=width, glyphs=self.glyphs, names=names):
            self.console.print(self._styled(row, width * len(servers)))

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

    def knowledge(self, title: str, holdings: Iterable[Holding]) -> None:
        """A table of who holds what."""
        self.write()
        self.table(
            ("server", "promised", "accepted", "knows is chosen"),
            map(_held, holdings),
            title=title,
        )


def _held(holding: Holding) -> tuple[str, ...]:
    promised, accepted = holding.acceptor.promised, holding.acceptor.accepted
    return (
        f"S{holding.server}",
        str(promised) if promised.round else "",
        "" if accepted is None else f"{accepted.ballot} {accepted.value}",
        holding.known,
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
