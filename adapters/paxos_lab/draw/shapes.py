"""What each picture as SVG is made of: its head, text, arrowheads, and how wide words are.

- Letters are as high as FONT at least, and a figure of the lecture is at most WIDE of these wide:
  it can be read on a slide, and in a column of text.
- Nothing is loaded from elsewhere, and what cannot be printed is written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

from paxos_adapters.outputs import Kind
from paxos_lab.draw.layout import shown
from paxos_lab.draw.style import style

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" class="paxos-picture"'
PICTURE = Kind("a picture of paxos", HEAD.encode())
Point: TypeAlias = tuple[float, float]

# All in pixels of a picture that is shown as it is.
FONT, WIDE = 16.0, 61.0
MARGIN = 17.0
LABEL, NOTE, CAPTION, TITLE = FONT, FONT, 17.0, 22.0
LONG = 400  # characters: more than a line ever has room for


def width_of(text: str, size: float) -> float:
    """How wide ``text`` is, in pixels, whatever sans-serif font is there: rather more."""
    narrow, wide = "iljtfrI.,:;'|!()[] ", "mwMW—@%…"
    ems = (0.36 if it in narrow else 0.95 if it in wide else 0.62 for it in text)
    return size * sum(ems)


def number(value: float) -> str:
    """A coordinate, with at most one digit behind the point."""
    return f"{value:.1f}".removesuffix(".0")


def said(words: str) -> str:
    """``words`` as XML holds them: what cannot be printed is written out."""
    return escape(shown(words, LONG))


def text(x: float, y: float, what: str, size: float, classes: str) -> str:
    """Text on the line ``y``."""
    place = f'x="{number(x)}" y="{number(y)}" font-size="{number(size)}"'
    return f'<text {place} class="{classes}">{said(what)}</text>'


def verdict(words: str, y: float, width: float) -> Iterator[str]:
    """What is broken, as the last line of a picture."""
    yield (
        f'<g class="verdict"><rect x="{number(MARGIN)}" y="{number(y)}"'
        f' width="{number(width - 2 * MARGIN)}" height="{number(TITLE + 14)}" rx="6"/>'
    )
    yield text(MARGIN + 12, y + TITLE + 1, words, 20, "start") + "</g>"


def head(width: float, height: float, label: str) -> Iterator[str]:
    """How a picture begins; ``</svg>`` ends it."""
    size = f"{number(width)} {number(height)}"
    yield (f'{HEAD} role="img" aria-label={quoteattr(shown(label, LONG))} viewBox="0 0 {size}">')
    yield f"<style>{style()}</style>"
    yield '<rect class="ground" width="100%" height="100%"/>'


def at(point: Point) -> str:
    """A point of a path."""
    return f"{number(point[0])} {number(point[1])}"


def cross(x: float, y: float, r: float) -> str:
    """A cross around a point."""
    return "".join(f"M{at((x - r, y - it))}L{at((x + r, y + it))}" for it in (r, -r))


def tip(before: Point, end: Point) -> str:
    """An arrowhead at ``end``."""
    dx, dy = end[0] - before[0], end[1] - before[1]
    length = max((dx**2 + dy**2) ** 0.5, 1.0)
    ux, uy = dx / length, dy / length
    back = end[0] - 9 * ux, end[1] - 9 * uy
    sides = [(back[0] - 4 * uy, back[1] + 4 * ux), (back[0] + 4 * uy, back[1] - 4 * ux)]
    return f"M{at(end)}L{at(sides[0])}L{at(sides[1])}Z"
