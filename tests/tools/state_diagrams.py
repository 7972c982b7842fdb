"""The states of a role as a diagram: boxes one below the other, and arrows with their events.

- An arrow to a neighbour is straight, beside its events.
- Others go round, each in a lane of its own, shorter ones further inside. Their letters stand
  between two boxes, where no other arrow passes, and their events below the diagram.
- On the side of a box each arrow has a place of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import TypeAlias

WIDTH, CENTRE = 580, 255
BOX_WIDTH, BOX_HEIGHT = 150, 34
LETTERS, LINE_HEIGHT = 13, 16
WIDE, WHOLE = 27, 72  # characters of a line: beside an arrow, and below the diagram

UPWARDS, LANE, LANES = CENTRE - 40, 30, 470
PORT = 14
"""How far apart arrows leave or reach a side of a box."""

STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1f2933 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .state { font-weight: 600 }
  circle { fill: #ffffff; stroke: #52606d }
  rect { fill: #e8f1fb; stroke: #0b5cad; stroke-width: 1.5 }
  .ground { fill: #ffffff; stroke: none }
  path { fill: none; stroke: #52606d; stroke-width: 1.5; marker-end: url(#tip) }
"""
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
    ' orient="auto"><polygon points="0,0 8,4 0,8" fill="#52606d"/></marker>'
)

Edge: TypeAlias = tuple[int, int]
"""From which kind to which, by number."""

Edges: TypeAlias = dict[Edge, list[str]]
"""The events beside an arrow."""


def diagram(name: str, kinds: Sequence[str], edges: Edges) -> str:
    """The kinds of state of the role ``name``, and which events lead from one to another."""
    lanes = sorted((it for it in edges if not _is_straight(it)), key=lambda it: (_span(it), it))
    ports = [_ports(number, lanes) for number in range(len(kinds))]
    boxes = _boxes(kinds, edges, ports)
    bottom = sum(boxes[-1])
    legend = [_lines(["; ".join(edges[it])], WHOLE) for it in lanes]
    shapes = [it for kind, box in zip(kinds, boxes, strict=True) for it in _state(kind, *box)]
    for (start, end), events in sorted(edges.items()):
        if end == start + 1:
            shapes += _down(sum(boxes[start]), boxes[end][0], _lines(events))
        elif end == start - 1:
            shapes += _up(boxes[start][0], sum(boxes[end]), _lines(events))
    y = bottom + 20
    for number, (edge, lines) in enumerate(zip(lanes, legend, strict=True)):
        first, last = (_port(boxes[it], ports[it], edge) for it in edge)
        above = boxes[min(edge)]
        between = sum(above) + (boxes[min(edge) + 1][0] - sum(above)) // 2
        letter, lane = "abcdefghij"[number], LANES + LANE * number
        shapes += [*_outside(first, last, lane), *_letter(lane, between, letter)]
        shapes += [*_letter(30, y + 8, letter), *_text(50, y + 13, lines)]
        y += LINE_HEIGHT * len(lines) + 8
    height = y + 8 if lanes else bottom + 16
    width = max(WIDTH, LANES + LANE * len(lanes))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-label="States of the {name}">',
            f"<style>{STYLE}</style>",
            f"<defs>{TIP}</defs>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _span(edge: Edge) -> int:
    return abs(edge[1] - edge[0])


def _is_straight(edge: Edge) -> bool:
    return _span(edge) == 1


def _ports(number: int, lanes: Sequence[Edge]) -> list[Edge]:
    """The arrows that go round and touch this box, from above, in an order that crosses least."""
    upwards = [it for it in lanes if max(it) == number]
    downwards = [it for it in reversed(lanes) if min(it) == number]
    return upwards + downwards


def _boxes(
    kinds: Sequence[str], edges: Edges, ports: Sequence[Sequence[Edge]]
) -> list[tuple[int, int]]:
    """The top and the height of each box."""
    boxes: list[tuple[int, int]] = []
    top = 16
    for number in range(len(kinds)):
        height = max(BOX_HEIGHT, PORT * (len(ports[number]) + 1))
        boxes.append((top, height))
        both = edges.get((number, number + 1), []), edges.get((number + 1, number), [])
        top += height + LINE_HEIGHT * max(len(_lines(events)) for events in both) + 36
    return boxes


def _port(box: tuple[int, int], ports: Sequence[Edge], edge: Edge) -> int:
    top, height = box
    return top + height * (ports.index(edge) + 1) // (len(ports) + 1)


def _lines(events: Iterable[str], characters: int = WIDE) -> list[str]:
    return [line for event in events for line in wrap(event, characters)]


def _state(kind: str, top: int, height: int) -> Iterator[str]:
    left = CENTRE - BOX_WIDTH // 2
    yield f'<rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{height}" rx="8"/>'
    yield from _text(CENTRE, top + height // 2 + 5, [kind], "state middle")


def _down(start: int, end: int, lines: list[str]) -> Iterator[str]:
    yield f'<path d="M{CENTRE} {start}V{end}"/>'
    yield from _beside(CENTRE + 12, (start + end) // 2, lines)


def _up(start: int, end: int, lines: list[str]) -> Iterator[str]:
    yield f'<path d="M{UPWARDS} {start}V{end}"/>'
    yield from _beside(UPWARDS - 12, (start + end) // 2, lines, "end")


def _outside(start: int, end: int, lane: int) -> Iterator[str]:
    edge = CENTRE + BOX_WIDTH // 2
    yield f'<path d="M{edge} {start}H{lane}V{end}H{edge}"/>'


def _letter(x: int, y: int, letter: str) -> Iterator[str]:
    yield f'<circle cx="{x}" cy="{y}" r="9"/>'
    yield from _text(x, y + 4, [letter], "middle")


def _beside(x: int, middle: int, lines: list[str], kind: str = "start") -> Iterator[str]:
    yield from _text(x, middle - LINE_HEIGHT * (len(lines) - 1) // 2 + 5, lines, kind)


def _text(x: int, y: int, lines: list[str], kind: str = "start") -> Iterator[str]:
    for number, line in enumerate(lines):
        at = f'x="{x}" y="{y + LINE_HEIGHT * number}" font-size="{LETTERS}"'
        yield f'<text class="{kind}" {at}>{escape(line)}</text>'
