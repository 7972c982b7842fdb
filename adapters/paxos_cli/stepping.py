"""Screens for a lecture: what is printed comes in steps, and a key asks for the next one.

- A screen has HEIGHT lines of WIDTH characters at most, the smallest terminal that projectors show.
- A picture goes on row by row, and repeats its heading on each new screen. All else comes at once.
- What does not fit on the screen begins on a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from attrs import define, field, frozen
from rich.text import Text

from paxos_cli.canvas import Canvas

WIDTH, HEIGHT = 80, 24
ROOM = HEIGHT - 2  # lines for what is shown: an empty one and the prompt are below
PROMPT = "a key: on   s: this screen   q: end"


@frozen
class Part:
    """``lines`` that belong together; of a picture the first one is the heading."""

    lines: Sequence[Text]
    is_picture: bool = False


class Ended(Exception):
    """A key has ended the lecture."""


@define
class Screen:
    """What is on the screen so far; ``key`` waits for one key, ``clear`` empties the terminal."""

    drawing: Canvas
    key: Callable[[], str] = click.getchar
    clear: Callable[[], None] = click.clear
    used: int = 0
    is_skipping: bool = field(default=False, init=False)

    def show(self, parts: Sequence[Part]) -> None:
        """All ``parts``, step by step, until a key ends it."""
        try:
            self.clear()
            for part in parts:
                self._show(part)
            self._pause()
        except Ended:
            return

    def _show(self, part: Part) -> None:
        heading, lines = list(part.lines[:1]), list(part.lines[1:])
        if not part.is_picture:
            heading, lines = [], list(part.lines)
        is_whole = self.used + len(part.lines) <= ROOM
        if self.used and not is_whole:
            self._turn(heading)
        elif heading:
            self._print(heading)
        for place, line in enumerate(lines):
            if self.used >= ROOM:
                self._turn(heading)
            self._print([line])
            if part.is_picture and place < len(lines) - 1 and self.used < ROOM:
                self._wait()

    def _print(self, lines: Sequence[Text]) -> None:
        for line in lines:
            self.drawing.console.print(line)
        self.used += len(lines)

    def _turn(self, heading: Sequence[Text]) -> None:
        self._pause()
        self.clear()
        self.used, self.is_skipping = 0, False
        self._print(heading)

    def _pause(self) -> None:
        self.is_skipping = False
        self.drawing.write()
        self.drawing.write(PROMPT, "dim")
        self._wait()

    def _wait(self) -> None:
        if self.is_skipping:
            return
        pressed = self.key()
        if pressed in ("q", "\x03", "\x04"):
            raise Ended
        self.is_skipping = pressed == "s"
