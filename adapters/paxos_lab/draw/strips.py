"""A timeline as a row of strips: pictures side by side, so that a page draws only those in sight.

- Each strip is an ``<svg>`` of its own. What reaches over a border is in both, cut off there.
- Each group says which lanes it belongs to: ``data-lanes``. A page hides a server by that.
- The names of the lanes, the key and the verdict are the page's to write: they stay in sight.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from paxos_lab.draw.places import BOX
from paxos_lab.draw.shapes import NOTE, number
from paxos_lab.draw.svg import Drawing, Piece
from paxos_lab.record.timeline import Timeline

WIDE = 800.0
"""How wide a strip is, in pixels of a picture that is shown as it is."""

EDGE = 20.0
"""How far over its borders a strip is drawn."""


@frozen
class Strip:
    """One of them: its width, and its ``<svg>``."""

    width: float
    svg: str


@frozen
class Sheet:
    """All of them, ``width`` by ``height`` pixels. ``lanes`` gives the height of each name."""

    width: float
    height: float
    lanes: dict[str, float]
    strips: tuple[Strip, ...]
    key: str


def strips(timeline: Timeline, values: Sequence[str] = ()) -> Sheet:
    """``timeline``, cut into strips. ``values`` come first in the order of hues."""
    drawing = Drawing(timeline, values=values)
    height = drawing.places.bottom + BOX / 2 + 2 * (NOTE + 2) + 8
    count = int(drawing.width // WIDE) + 1
    parts: list[list[str]] = [[] for _ in range(count)]
    for piece in drawing.pieces():
        first, last = (max(0, min(count - 1, int(it // WIDE))) for it in (piece.left, piece.right))
        for place in range(first, last + 1):
            parts[place].append(_marked(piece, place * WIDE - EDGE, (place + 1) * WIDE + EDGE))
    return Sheet(
        drawing.width,
        height,
        {name: drawing.places.y[lane] for lane, name in timeline.lanes.items()},
        tuple(
            _strip(place * WIDE, min(WIDE, drawing.width - place * WIDE), height, part)
            for place, part in enumerate(parts)
        ),
        "   ·   ".join(drawing.signs()),
    )


def _marked(piece: Piece, left: float, right: float) -> str:
    """What is drawn of it between two borders. A long dashed line is slow, also out of sight."""
    is_long = piece.right - piece.left > WIDE
    drawn = piece.cut(left, right) if is_long and piece.cut is not None else piece.drawn
    lanes = " ".join(map(str, piece.lanes))
    return f'<g data-lanes="{lanes}">{drawn}</g>' if lanes else drawn


def _strip(left: float, width: float, height: float, parts: list[str]) -> Strip:
    box = f"{number(left)} 0 {number(width)} {number(height)}"
    svg = f'<svg class="paxos-picture" viewBox="{box}">{"".join(parts)}</svg>'
    return Strip(width, svg)
