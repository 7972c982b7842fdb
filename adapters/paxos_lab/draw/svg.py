"""A timeline as SVG: one picture that stands alone, as on a slide.

- Lanes run to the right. P is a Prepare at an acceptor, A an Accept: filled once it is accepted,
  crossed out if it is refused. The band of a lane has the colour of the value that it holds.
- A message has the colour of its proposer; what never arrives ends in a cross, what is late is
  dashed. The column in which a value is chosen is shaded, with a star.
- What belongs to a step says so: ``data-step``, and ``data-from`` for the sending of a message.
- The same timeline gives the same bytes. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from math import copysign
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

from paxos import ServerId
from paxos_adapters.outputs import Kind
from paxos_lab.draw.layout import Cell, Layout, layout, named, shown
from paxos_lab.draw.style import hues, owners, style
from paxos_lab.machines.view import Look
from paxos_lab.record.timeline import Arrow, Decided, Timeline

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" class="paxos-picture"'
PICTURE = Kind("a picture of paxos", HEAD.encode())
Point: TypeAlias = tuple[float, float]

# All in pixels of a picture that is shown as it is.
LANE, BOX, DOT = 86.0, 28.0, 5.5
GAP, STEEP, MARGIN = 24.0, 4.5, 24.0  # STEEP: wider for each lane that an arrow crosses
PARKED, STUB, ROOMY = 9.0, 27.0, 1000.0  # ROOMY: a narrower picture is spread out
LONG = 400  # characters: more than a line ever has room for
LABEL, NOTE, CAPTION, TITLE = 14.0, 12.5, 16.0, 22.0


def svg(timeline: Timeline, *, title: str = "", caption: str = "") -> str:
    """``timeline`` as one ``<svg>``, with ``title`` above it and ``caption`` below."""
    return "\n".join(_Drawing(timeline, title, caption).parts()) + "\n"


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


def head(width: float, height: float, label: str) -> Iterator[str]:
    """How a picture begins; ``</svg>`` ends it."""
    size = f"{number(width)} {number(height)}"
    yield (f'{HEAD} role="img" aria-label={quoteattr(shown(label, LONG))} viewBox="0 0 {size}">')
    yield f"<style>{style()}</style>"
    yield '<rect class="ground" width="100%" height="100%"/>'


class _Drawing:
    """A timeline and where everything stands; ``parts`` gives the lines of the SVG."""

    def __init__(self, timeline: Timeline, title: str, caption: str) -> None:
        self.timeline = timeline
        self.title = shown(title, LONG)
        self.caption = shown(caption, LONG)
        self.layout = layout(timeline)
        self.owner = owners(timeline)
        ballots = (arrow.words.ballot for arrow in timeline.arrows)
        self.hue = hues((it.server for it in ballots if it is not None), self.owner)
        self.left = MARGIN + max(width_of(it, CAPTION) for it in timeline.lanes.values()) + 20
        self.gaps = list(self._gaps())
        self.x = _places(self.layout, self.gaps, self.left)
        if self.x and (spare := ROOMY - self.x[-1] - 140) > 0:
            self.gaps = [gap + min(spare / len(self.gaps), 40) for gap in self.gaps]
            self.x = _places(self.layout, self.gaps, self.left)
        top = MARGIN + (TITLE + 18 if title else 0)
        self.captions = list(self._captions())
        rows = 1 + max((row for *_, row in self.captions), default=-1)
        self.top = top + rows * (CAPTION + 8) + 30
        self.y = {lane: self.top + place * LANE for place, lane in enumerate(timeline.lanes)}
        self.touching: dict[int, list[Arrow]] = {}
        for arrow in timeline.arrows:
            for step in {arrow.left, arrow.arrived} - {None}:
                self.touching.setdefault(step or 0, []).append(arrow)
        self.parked = set(self._parked())
        self.bottom = self.top + LANE * (len(timeline.lanes) - 1)
        last = max(map(_half_text, self.layout.columns[-1].values())) if self.x else 0.0
        self.end = (self.x[-1] if self.x else self.left) + last + 24
        held = [_held(moment.look) for moment in timeline.moments]
        self.width = self.end + 12 + max(width_of(it, CAPTION) for it in [*held, ""]) + MARGIN
        widest = max([width_of(title, TITLE), width_of(caption, CAPTION), width_of(self.key, NOTE)])
        self.width = max(self.width, widest * 1.1 + 2 * MARGIN)

    def parts(self) -> Iterator[str]:
        """The lines of the SVG."""
        foot = self.bottom + 68 + (CAPTION + 14 if self.caption else 0)
        label = self.title or f"Space-time diagram {self.timeline.name}".strip()
        yield from head(self.width, foot + MARGIN, label)
        if self.title:
            yield text(MARGIN, MARGIN + TITLE - 4, self.title, TITLE, "title start")
        yield from self._choices()
        yield from self._lanes()
        yield from chain.from_iterable(map(self._message, self.timeline.arrows))
        for column, x in zip(self.layout.columns, self.x, strict=True):
            yield from chain.from_iterable(self._cell(cell, x) for cell in column.values())
        yield text(MARGIN, foot, self.key, NOTE, "key start")
        if self.caption:
            yield text(MARGIN, self.bottom + 68, self.caption, CAPTION, "start")
        yield "</svg>"

    def _gaps(self) -> Iterator[float]:
        """Before each column: room for its arrows."""
        order = {lane: place for place, lane in enumerate(self.timeline.lanes)}
        rises = [0] * len(self.layout.columns)
        for it in self.timeline.arrows:
            if it.arrived in self.layout.column_of and {it.sender, it.receiver} <= set(order):
                b = self.layout.column_of[it.arrived]
                rises[b] = max(rises[b], abs(order[it.sender] - order[it.receiver]))
        yield from (GAP + STEEP * rise for rise in rises)

    @property
    def key(self) -> str:
        """What the signs mean that occur."""
        cells = [cell for column in self.layout.columns for cell in column.values()]
        boxes = [cell.box for cell in cells if cell.box is not None]
        accepts = [box for box in boxes if box.value is not None]
        signs = {
            "P prepare": len(accepts) < len(boxes),
            "A accept": bool(accepts),
            "filled: accepted": any(box.is_accepted for box in boxes),
            "crossed: refused": any(box.is_refused for box in boxes),
            "dashed: late": bool(self.layout.late),
            "ending in a cross: lost": any(it.arrived is None for it in self.timeline.arrows),
        }
        return "   ·   ".join(sign for sign, occurs in signs.items() if occurs)

    # --- what is behind ---------------------------------------------------------------------

    def _captions(self) -> Iterator[tuple[Decided, float, str, str, int]]:
        """Of each choice: its place, its words, its classes, and its row above the lanes."""
        ends: list[float] = []
        by_slot: dict[int | None, list[str]] = {}
        for decided in self.timeline.decided:
            chosen, values = decided.choice.chosen, by_slot.setdefault(decided.slot, [])
            if decided.step not in self.layout.column_of:
                values.append(chosen.value)  # before the part that is drawn
                continue
            x = self.x[self.layout.column_of[decided.step]]
            value, classes = named(decided), "choice"
            words = f"★ {value} is chosen"
            if chosen.value in values:
                words, classes = f"{value} again, under {chosen.ballot}", "choice again"
            elif values:
                words, classes = f"★ {value} is chosen, too!", "choice broken"
            values.append(chosen.value)
            half = width_of(words, CAPTION) * 0.56
            row = next((it for it, end in enumerate(ends) if end < x - half), len(ends))
            ends[row : row + 1] = [x + half + 10]
            yield decided, x, words, classes, row

    def _choices(self) -> Iterator[str]:
        for decided, x, words, classes, row in self.captions:
            value = decided.choice.chosen.value
            y = self.top - 42 - row * (CAPTION + 8)
            column = self.layout.columns[self.layout.column_of[decided.step]]
            half = max(map(_half, column.values())) + 7
            voters = ", ".join(
                self.timeline.lanes.get(it, f"S{it}") for it in sorted(decided.choice.voters)
            )
            yield f'<g class="{classes} {self._of(value)}" data-step="{decided.step}">'
            yield f"<title>{said(f'{words}: accepted by {voters}')}</title>"
            yield (
                f'<rect x="{number(x - half)}" y="{number(y + 7)}" width="{number(2 * half)}"'
                f' height="{number(self.bottom + 48 - y - 7)}" rx="8"/>'
            )
            place = max(x, MARGIN + width_of(words, CAPTION) / 2)
            yield text(place, y, words, CAPTION, "words") + "</g>"

    def _lanes(self) -> Iterator[str]:
        for lane, name in self.timeline.lanes.items():
            y = self.y[lane]
            yield f'<g class="lane" data-lane="{lane}">'
            yield text(MARGIN, y + 6, name, CAPTION + 2, "name start")
            x, look, is_down, since = self.left, self._at_first(lane), False, None
            for place, end in zip((*range(len(self.x)), None), (*self.x, self.end), strict=True):
                cell = None if place is None else self.layout.columns[place].get(lane)
                if cell is None and place is not None:
                    continue
                yield from self._stretch(x, end, y, is_down, look, since)
                if cell is not None:
                    x, look, is_down = end, cell.look, cell.look is None
                    since = cell.moments[-1].step
            held = _held(look)
            if held and look is not None and look.accepted is not None:
                classes = f"held start {self._of(look.accepted.value)}"
                yield _of_step(since, text(self.end + 10, y + 6, held, CAPTION, classes))
            yield "</g>"

    def _at_first(self, lane: ServerId) -> Look | None:
        """What a lane holds before the first moment that is drawn."""
        look: Look | None = None
        for it in self.timeline.moments:
            if it.lane == lane:
                if it.step in self.layout.column_of:
                    break
                look = it.look
        return look

    def _stretch(
        self, x: float, end: float, y: float, is_down: bool, look: Look | None, since: int | None
    ) -> Iterator[str]:
        way = f'x1="{number(x)}" y1="{number(y)}" x2="{number(end)}" y2="{number(y)}"'
        down = ' class="down"' if is_down else ""
        yield f"<line {way}{down}/>"
        if look is not None and look.accepted is not None:
            band = f'<line {way} class="band {self._of(look.accepted.value)}"/>'
            yield _of_step(since, band)

    def _of(self, value: str) -> str:
        owner = self.owner.get(value)
        return "" if owner is None else self.hue.get(owner, "")

    # --- messages ---------------------------------------------------------------------------

    def _message(self, arrow: Arrow) -> Iterator[str]:
        column_of, ballot = self.layout.column_of, arrow.words.ballot
        classes = ["message", "" if ballot is None else self.hue.get(ballot.server, "")]
        if arrow.words.is_answer:
            classes.append("answer")
        a = None if arrow.left is None else column_of.get(arrow.left)
        b = None if arrow.arrived is None else column_of.get(arrow.arrived)
        if arrow.arrived is None and a is not None:
            yield from self._lost(arrow, a, [*classes, "lost"])
        elif b is not None:
            late = ["late"] if arrow.arrived in self.layout.late else []
            yield from self._arrow(arrow, a, b, classes + late)

    def _lost(self, arrow: Arrow, a: int, classes: list[str]) -> Iterator[str]:
        start = self._edge(a, arrow.sender, 1)
        rise = self.y.get(arrow.receiver, start[1]) - start[1]
        near = min(len(self.y) - 1 - abs(rise) / LANE, 3)  # side by side: the far ones steeper
        down = copysign(STUB - 4 * near, rise) if rise else 0.0
        x, y = end = start[0] + 3 + 5.5 * near, start[1] + down
        yield _open(classes, arrow, self.timeline) + f'<path d="M{_at(start)}L{_at(end)}"/>'
        yield f'<path class="cross" d="{_cross(x, y, 3)}"/></g>'

    def _arrow(self, arrow: Arrow, a: int | None, b: int, classes: list[str]) -> Iterator[str]:
        end = self._edge(b, arrow.receiver, -1)
        if a is None or arrow.sender not in self.y:
            way = [(end[0] - GAP, end[1] - GAP), end]
        else:
            start = self._edge(a, arrow.sender, 1)
            way = [start, end]
            if (arrow.left, b) in self.parked:
                side = copysign(PARKED, end[1] - start[1]) if end[1] != start[1] else 0
                half = max(map(_half, self.layout.columns[b].values()))
                turn = self.x[b] - half - self.gaps[b] + 4
                turns = (start[0] + 8, start[1] + side), (turn, start[1] + side)
                way = [start, *turns, end] if turn > start[0] + 8 else [start, end]
        yield _open(classes, arrow, self.timeline) + f'<path d="M{"L".join(map(_at, way))}"/>'
        yield f'<path class="head" d="{tip(way[-2], way[-1])}"/></g>'

    def _parked(self) -> Iterator[tuple[int | None, int]]:
        """What meets a box if it goes straight: it waits beside its lane, with all that left so."""
        for arrow in self.timeline.arrows:
            a, b = (self.layout.column_of.get(it or 0) for it in (arrow.left, arrow.arrived))
            if a is not None and b is not None and arrow.sender in self.y:
                start, end = self._edge(a, arrow.sender, 1), self._edge(b, arrow.receiver, -1)
                if self._meets_a_box(start, end, range(a + 1, b)):
                    yield arrow.left, b

    def _edge(self, column: int, lane: ServerId, side: int) -> Point:
        """Where arrows leave and reach a cell."""
        cell = self.layout.columns[column].get(lane)
        half = DOT if cell is None else _half(cell)
        return self.x[column] + side * half, self.y.get(lane, self.top)

    def _meets_a_box(self, start: Point, end: Point, between: range) -> bool:
        for column in between:
            for lane, cell in self.layout.columns[column].items():
                x = self.x[column]
                y = start[1] + (end[1] - start[1]) * (x - start[0]) / (end[0] - start[0])
                if abs(y - self.y[lane]) < BOX and (cell.box or y == start[1]):
                    return True
        return False

    # --- moments ----------------------------------------------------------------------------

    def _cell(self, cell: Cell, x: float) -> Iterator[str]:
        y, box = self.y[cell.lane], cell.box
        ballot = cell.asks if box is None else box.ballot
        hue = "" if ballot is None else self.hue.get(ballot.server, "")
        *others, last = cell.moments
        for moment in others:
            words = said(f"{self.timeline.lanes[cell.lane]} {moment.text}")
            yield (
                f'<g class="moment" data-step="{moment.step}"><title>{words}</title>'
                f'<circle class="{hue}" cx="{number(x)}" cy="{number(y)}" r="2"'
                f' fill="none"/></g>'
            )
        kind = ""
        if box is not None:
            kind = "refused" if box.is_refused else "accepted" if box.is_accepted else ""
        held = (
            ""
            if box is None or box.value is None
            else f' style="--held:var(--paxos-{self._of(box.value)})"'
        )
        yield f'<g class="moment {kind} {hue}" data-step="{last.step}"{held}>'
        yield f"<title>{said(f'{self.timeline.lanes[cell.lane]} {last.text}')}</title>"
        if box is None:
            yield f'<circle class="dot" cx="{number(x)}" cy="{number(y)}" r="{number(DOT)}"/>'
        else:
            half = _half(cell)
            yield (
                f'<rect class="box" x="{number(x - half)}" y="{number(y - BOX / 2)}"'
                f' width="{number(2 * half)}" height="{number(BOX)}" rx="5"/>'
            )
            yield text(x, y + 5, box.text, LABEL, "what")
            if box.is_refused:
                yield f'<path class="no" d="{_cross(x + half - 1, y - BOX / 2 + 1, 5)}"/>'
        if cell.label:
            yield text(x, y + self._side(cell, y), cell.label, LABEL, "label")
        for row, note in enumerate(cell.notes):
            yield text(x, y + BOX / 2 + 14 + row * (NOTE + 2), note, NOTE, "state")
        yield "</g>"

    def _side(self, cell: Cell, y: float) -> float:
        """Where a label is out of the way: below, if more arrows come and go above."""
        others = [
            self.y.get(it.receiver if it.left == moment.step else it.sender, y) - y
            for moment in cell.moments
            for it in self.touching.get(moment.step, [])
        ]
        if cell.box is not None:
            return -19.0
        return 26.0 if sum(others) < 0 else -15.0


def _places(found: Layout, gaps: list[float], left: float) -> list[float]:
    """The middle of each column: as near to the one before as boxes, arrows and words allow."""
    ends: dict[ServerId, float] = {}
    places: list[float] = []
    edge = left - GAP + 14
    for column, gap in zip(found.columns, gaps, strict=True):
        x = edge + gap + max(map(_half, column.values()))
        for lane, cell in column.items():
            x = max(x, ends.get(lane, left) + 8 + _half_text(cell))
        places.append(x)
        edge = x + max(map(_half, column.values()))
        for lane, cell in column.items():
            ends[lane] = x + _half_text(cell)
    return places


def _half(cell: Cell) -> float:
    """Half the width of a box, or of a dot."""
    return DOT if cell.box is None else width_of(cell.box.text, LABEL) * 0.54 + 6


def _half_text(cell: Cell) -> float:
    notes = [width_of(note, NOTE) / 2 for note in cell.notes]
    return max([_half(cell), width_of(cell.label, LABEL) / 2, *notes])


def _held(look: Look | None) -> str:
    if look is None or look.accepted is None:
        return ""
    return f"{look.accepted.ballot} {shown(look.accepted.value)}"


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _cross(x: float, y: float, r: float) -> str:
    """A cross around a point."""
    return "".join(f"M{_at((x - r, y - it))}L{_at((x + r, y + it))}" for it in (r, -r))


def tip(before: Point, end: Point) -> str:
    """An arrowhead at ``end``."""
    dx, dy = end[0] - before[0], end[1] - before[1]
    length = max((dx**2 + dy**2) ** 0.5, 1.0)
    ux, uy = dx / length, dy / length
    back = end[0] - 9 * ux, end[1] - 9 * uy
    sides = [(back[0] - 4 * uy, back[1] + 4 * ux), (back[0] + 4 * uy, back[1] - 4 * ux)]
    return f"M{_at(end)}L{_at(sides[0])}L{_at(sides[1])}Z"


def _open(classes: Iterable[str], arrow: Arrow, timeline: Timeline) -> str:
    sender, receiver = (timeline.lanes.get(it, f"S{it}") for it in (arrow.sender, arrow.receiver))
    fate = ", lost or late" if arrow.arrived is None else ""
    steps = f' data-from="{arrow.left}"' if arrow.left is not None else ""
    steps += f' data-step="{arrow.left if arrow.arrived is None else arrow.arrived}"'
    words = said(f"{arrow.text}, from {sender} to {receiver}{fate}")
    return f'<g class="{" ".join(filter(None, classes))}"{steps}><title>{words}</title>'


def _of_step(step: int | None, drawn: str) -> str:
    """What is ``drawn`` from ``step`` on; None: from the beginning."""
    return drawn if step is None else f'<g data-step="{step}">{drawn}</g>'
