"""A timeline as SVG: one picture that stands alone, as on a slide.

- Lanes run to the right. P is a Prepare at an acceptor, A an Accept: filled with the colour of the
  value once it is accepted, crossed out if it is refused. The band of a lane is the value it holds.
- Outlines and messages have the colour of the proposer; what never arrives ends in a cross, what is
  late is dashed. Where a value is chosen, a star says so, and acceptors that count are framed.
- A broken rule is named last, in the colour of an alarm.
- Letters are as high as FONT at least, and a figure of the lecture is at most WIDE of these wide:
  it can be read on a slide, and in a column of text.
- What belongs to a step says so: ``data-step``, and ``data-from`` for the sending of a message.
- The same timeline gives the same bytes. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from math import copysign
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

from attrs import evolve, frozen

from paxos import Ballot, ServerId
from paxos_adapters.outputs import Kind
from paxos_lab.draw.layout import Cell, Layout, conflicts, held_text, layout, named, shown
from paxos_lab.draw.style import DASHES, colours, style
from paxos_lab.machines.view import Look
from paxos_lab.record.timeline import Arrow, Decided, Timeline
from paxos_lab.rules import AGREEMENT

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" class="paxos-picture"'
PICTURE = Kind("a picture of paxos", HEAD.encode())
Point: TypeAlias = tuple[float, float]

# All in pixels of a picture that is shown as it is.
FONT, WIDE = 16.0, 61.0
LANE, BOX, DOT = 86.0, 30.0, 6.0
GAP, STEEP, MARGIN = 16.0, 3.0, 17.0  # STEEP: wider for each lane that an arrow crosses
STUB, FAN, ROOMY = 30.0, 13.0, 900.0  # ROOMY: a narrower picture is spread out
LONG = 400  # characters: more than a line ever has room for
LABEL, NOTE, CAPTION, TITLE = FONT, FONT, 17.0, 22.0
LINE = NOTE + 6  # from one line of the key to the next


def svg(
    timeline: Timeline, *, title: str = "", caption: str = "", broken: str | None = None
) -> str:
    """``timeline`` as one ``<svg>``, with ``title`` above it and ``caption`` below.

    ``broken`` is the rule that it breaks; without it, agreement, if two values are chosen.
    """
    if broken is None and conflicts(timeline):
        broken = AGREEMENT
    return "\n".join(Drawing(timeline, title, caption, broken).parts()) + "\n"


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


@frozen
class Piece:
    """Something drawn, where it reaches from and to, and the lanes that it belongs to.

    ``cut`` draws what is between two borders of it, if it may be long.
    """

    left: float
    right: float
    drawn: str
    lanes: tuple[ServerId, ...] = ()
    cut: Callable[[float, float], str] | None = None


@frozen
class _Stretch:
    """A lane between two cells: what its server holds there, ``since`` which step."""

    x: float
    end: float
    y: float
    is_down: bool
    look: Look | None
    since: int | None


class Drawing:
    """A timeline and where everything stands; ``parts`` gives the lines of the SVG."""

    def __init__(
        self,
        timeline: Timeline,
        title: str = "",
        caption: str = "",
        broken: str | None = None,
        values: Sequence[str] = (),
    ) -> None:
        self.timeline = timeline
        self.title = shown(title, LONG)
        self.caption = shown(caption, LONG)
        self.layout = layout(timeline)
        self.colours = colours(timeline, values)
        self.verdict = "" if broken is None else f"✗ Broken rule: {broken}"
        self.left = MARGIN + max(width_of(it, CAPTION) for it in timeline.lanes.values()) + 12
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
        self.end = (self.x[-1] if self.x else self.left) + last + 16
        held = [self._held(moment.look) for moment in timeline.moments]
        self.width = self.end + 10 + max(width_of(it, CAPTION) for it in [*held, ""]) + MARGIN
        widest = max([width_of(title, TITLE) * 1.1, width_of(caption, CAPTION)])
        self.width = max(self.width, widest + 2 * MARGIN)
        self.key = list(_wrapped(self.signs(), ROOMY - 2 * MARGIN))
        self.width = max(self.width, *(width_of(it, NOTE) + 2 * MARGIN for it in self.key))

    def parts(self) -> Iterator[str]:
        """The lines of the SVG."""
        foot = self.bottom + 62 + (CAPTION + 12 if self.caption else 0)
        end = foot + LINE * (len(self.key) - 1)
        label = self.title or f"Space-time diagram {self.timeline.name}".strip()
        height = end + MARGIN + (TITLE + 22 if self.verdict else 0)
        yield from head(self.width, height, ". ".join(filter(None, [label, self.verdict])))
        if self.title:
            yield text(MARGIN, MARGIN + TITLE - 4, self.title, TITLE, "title start")
        for it in self._choices():
            yield it.drawn
        for lane, name in self.timeline.lanes.items():
            yield _lane(lane)
            for it in (self._name(lane, name), *self._lane(lane)):
                yield it.drawn
            yield "</g>"
        for it in chain(self._messages(), self._cells()):
            yield it.drawn
        if self.caption:
            yield text(MARGIN, self.bottom + 62, self.caption, CAPTION, "start")
        for row, line in enumerate(self.key):
            yield text(MARGIN, foot + row * LINE, line, NOTE, "key start")
        if self.verdict:
            yield from verdict(self.verdict, end + 18, self.width)
        yield "</svg>"

    def pieces(self) -> Iterator[Piece]:
        """All but the title, the caption, the key and the verdict: what is behind comes first."""
        yield from self._choices()
        for lane, name in self.timeline.lanes.items():
            for it in (self._name(lane, name), *self._lane(lane)):
                yield evolve(it, drawn=f"{_lane(lane)}{it.drawn}</g>")
        yield from self._messages()
        yield from self._cells()

    def _gaps(self) -> Iterator[float]:
        """Before each column: room for its arrows."""
        order = {lane: place for place, lane in enumerate(self.timeline.lanes)}
        rises = [0] * len(self.layout.columns)
        for it in self.timeline.arrows:
            if it.arrived in self.layout.column_of and {it.sender, it.receiver} <= set(order):
                b = self.layout.column_of[it.arrived]
                rises[b] = max(rises[b], abs(order[it.sender] - order[it.receiver]))
        yield from (GAP + STEEP * rise for rise in rises)

    def signs(self) -> list[str]:
        """What the signs mean that occur."""
        cells = [cell for column in self.layout.columns for cell in column.values()]
        boxes = [cell.box for cell in cells if cell.box is not None]
        accepts = [box for box in boxes if box.value is not None]
        signs = {
            "P: prepare": self.timeline.has_numbers and len(accepts) < len(boxes),
            "A: accept": self.timeline.has_numbers and bool(accepts),
            "outline and arrows: proposer": bool(boxes),
            "fill and band: accepted value": any(box.is_accepted for box in boxes),
            "✗: refused": any(box.is_refused for box in boxes),
            "thin arrow: answer": any(it.words.is_answer for it in self.timeline.arrows),
            "dashed arrow: late": bool(self.layout.late),
            "arrow to a cross: lost": any(it.arrived is None for it in self.timeline.arrows),
            "★ and frames: chosen, by these": bool(self.captions),
        }
        return [sign for sign, occurs in signs.items() if occurs]

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
                words, classes = f"✗ {value} is chosen, too!", "choice broken"
            values.append(chosen.value)
            half = width_of(words, CAPTION) * 0.56
            row = next((it for it, end in enumerate(ends) if end < x - half), len(ends))
            ends[row : row + 1] = [x + half + 10]
            yield decided, x, words, classes, row

    def _choices(self) -> Iterator[Piece]:
        for decided, x, words, classes, row in self.captions:
            value = decided.choice.chosen.value
            y = self.top - 42 - row * (CAPTION + 8)
            voters = ", ".join(
                self.timeline.lanes.get(it, f"S{it}") for it in sorted(decided.choice.voters)
            )
            half = width_of(words, CAPTION) / 2
            place = max(x, MARGIN + half)
            column = self.layout.columns[self.layout.column_of[decided.step]]
            reach = max(half * 1.12, *map(_half, column.values())) + 8
            drawn = [
                f'<g class="{classes} {self._of(value)}" data-step="{decided.step}">',
                f"<title>{said(f'{words}: accepted by {voters}')}</title>",
                *self._frames(decided, x, y),
                text(place, y, words, CAPTION, "words") + "</g>",
            ]
            yield Piece(min(x, place - half) - 8, max(x, place) + reach, "\n".join(drawn))

    def _frames(self, decided: Decided, x: float, y: float) -> Iterator[str]:
        """A frame around each acceptor that counts, and a line from the words to the last."""
        column = self.layout.columns[self.layout.column_of[decided.step]]
        half = max(map(_half, column.values())) + 5
        lanes = [self.y[it] for it in sorted(decided.choice.voters) if it in self.y]
        if lanes:
            yield f'<path d="M{number(x)} {number(y + 6)}V{number(max(lanes))}"/>'
        for lane in lanes:
            yield (
                f'<rect class="counts" x="{number(x - half)}" y="{number(lane - BOX / 2 - 5)}"'
                f' width="{number(2 * half)}" height="{number(BOX + 10)}" rx="9"/>'
            )

    def _name(self, lane: ServerId, name: str) -> Piece:
        words = text(MARGIN, self.y[lane] + 6, name, CAPTION + 2, "name start")
        return Piece(0, self.left, words, (lane,))

    def _lane(self, lane: ServerId) -> Iterator[Piece]:
        y = self.y[lane]
        x, look, is_down, since = self.left, self._at_first(lane), False, None
        for place, end in zip((*range(len(self.x)), None), (*self.x, self.end), strict=True):
            cell = None if place is None else self.layout.columns[place].get(lane)
            if cell is None and place is not None:
                continue
            cut = partial(self._stretch, _Stretch(x, end, y, is_down, look, since))
            yield Piece(x, end, cut(x, end), (lane,), cut)
            if cell is not None:
                x, look, is_down = end, cell.look, cell.look is None
                since = cell.moments[-1].step
        held = self._held(look)
        if held and look is not None and look.accepted is not None:
            classes = f"held start {self._of(look.accepted.value)}"
            words = text(self.end + 10, y + 6, held, CAPTION, classes)
            yield Piece(self.end, self.width, _of_step(since, words), (lane,))

    def _at_first(self, lane: ServerId) -> Look | None:
        """What a lane holds before the first moment that is drawn."""
        look: Look | None = None
        for it in self.timeline.moments:
            if it.lane == lane:
                if it.step in self.layout.column_of:
                    break
                look = it.look
        return look

    def _stretch(self, it: _Stretch, left: float, right: float) -> str:
        x, end, y = max(it.x, left), min(it.end, right), number(it.y)
        way = f'x1="{number(x)}" y1="{y}" x2="{number(end)}" y2="{y}"'
        down = ' class="down"' if it.is_down else ""
        drawn = f"<line {way}{down}/>"
        if it.look is None or it.look.accepted is None:
            return drawn
        value = it.look.accepted.value
        place = [*self.colours.values].index(value) % len(DASHES)
        band = f'<line {way} class="band dashes{place} {self._of(value)}"/>'
        return f"{drawn}\n{_of_step(it.since, band)}"

    def _of(self, value: str) -> str:
        return self.colours.values.get(value, "")

    def _by(self, ballot: Ballot | None) -> str:
        return "" if ballot is None else self.colours.proposers.get(ballot.server, "")

    def _held(self, look: Look | None) -> str:
        if look is None or look.accepted is None:
            return ""
        return held_text(look.accepted, has_numbers=self.timeline.has_numbers)

    # --- messages ---------------------------------------------------------------------------

    def _messages(self) -> Iterator[Piece]:
        for arrow in self.timeline.arrows:
            way, end = self._message(arrow)
            if way:
                left, right = min(x for x, _ in way) - 9, max(x for x, _ in way) + 9
                cut = partial(_cut, _open(self._classes(arrow), arrow, self.timeline), way, end)
                yield Piece(left, right, cut(left, right), (arrow.sender, arrow.receiver), cut)

    def _classes(self, arrow: Arrow) -> Iterator[str]:
        yield "message"
        yield self._by(arrow.words.ballot)
        yield "answer" if arrow.words.is_answer else ""
        yield "lost" if arrow.arrived is None else ""
        yield "late" if arrow.arrived in self.layout.late else ""

    def _message(self, arrow: Arrow) -> tuple[list[Point], str]:
        """Its way, and what is at its end; nothing, if none of its ends is drawn."""
        column_of = self.layout.column_of
        a = None if arrow.left is None else column_of.get(arrow.left)
        b = None if arrow.arrived is None else column_of.get(arrow.arrived)
        if arrow.arrived is None and a is not None:
            way = [self._edge(a, arrow.sender, 1), self._lost(arrow, a)]
            return way, f'\n<path class="cross" d="{_cross(*way[-1], 4)}"/>'
        if b is not None:
            way = self._way(arrow, a, b)
            return way, f'\n<path class="head" d="{tip(way[-2], way[-1])}"/>'
        return [], ""

    def _lost(self, arrow: Arrow, a: int) -> Point:
        """Where the cross of a message is that is lost."""
        start = self._edge(a, arrow.sender, 1)
        rise = self.y.get(arrow.receiver, start[1]) - start[1]
        down = copysign(STUB, rise) if rise else 0.0
        return start[0] + 4 + FAN * self._place(arrow, rise), start[1] + down

    def _place(self, arrow: Arrow, rise: float) -> int:
        """Side by side with others that are lost on the same side: the far ones steeper."""
        ways = (
            self.y.get(it.receiver, 0.0) - self.y.get(it.sender, 0.0)
            for it in self.touching.get(arrow.left or 0, [])
            if it.arrived is None
        )
        return sum(way * rise > 0 and abs(way) > abs(rise) for way in ways)

    def _way(self, arrow: Arrow, a: int | None, b: int) -> list[Point]:
        """From cell to cell, and level beside words: it does not run through them."""
        end = self._edge(b, arrow.receiver, -1)
        if a is None or arrow.sender not in self.y:
            return [(end[0] - GAP, end[1] - GAP), end]
        start = self._edge(a, arrow.sender, 1)
        left = max(start[0], self.x[a] + max(map(_reach, self.layout.columns[a].values())))
        right = min(end[0], self.x[b] - max(map(_reach, self.layout.columns[b].values())))
        way = [start, (left, start[1]), (right, end[1]), end]
        if (arrow.left, b) in self.parked:
            cell, rise = self.layout.columns[a][arrow.sender], end[1] - start[1]
            if not rise and cell.label:
                rise = -self._side(cell, start[1])
            y = start[1] + self._beside(arrow.sender, range(a, b), rise)
            turn = min(right, end[0] - 12)
            way = [start, (start[0] + 8, y), (turn, y), (turn, end[1]), end]
        return [it for it, before in zip(way, [None, *way], strict=False) if it != before]

    def _parked(self) -> Iterator[tuple[int | None, int]]:
        """What meets a box if it goes straight: it waits beside its lane, with all that left so."""
        for arrow in self.timeline.arrows:
            a, b = (self.layout.column_of.get(it or 0) for it in (arrow.left, arrow.arrived))
            if a is not None and b is not None and arrow.sender in self.y:
                start, end = self._edge(a, arrow.sender, 1), self._edge(b, arrow.receiver, -1)
                if self._meets_a_box(start, end, range(a + 1, b)):
                    yield arrow.left, b

    def _beside(self, lane: ServerId, between: range, rise: float) -> float:
        """How far from its lane a line is clear of boxes and words, on the side that it goes to."""
        cells = [self.layout.columns[it].get(lane) for it in between]
        y, clear = self.y[lane], BOX / 2 + 5
        for cell in cells:
            if cell is not None and rise >= 0:
                clear = max(clear, BOX / 2 + len(cell.notes) * (NOTE + 2) + 8 * bool(cell.notes))
            if cell is not None and cell.label and self._side(cell, y) * rise >= 0:
                clear = max(clear, 24.0 + LABEL)
        return copysign(clear, rise)

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

    def _cells(self) -> Iterator[Piece]:
        for column, x in zip(self.layout.columns, self.x, strict=True):
            for cell in column.values():
                reach = max(_half_text(cell), _half(cell)) + 6
                drawn = "\n".join(self._cell(cell, x))
                yield Piece(x - reach, x + reach, drawn, (cell.lane,))

    def _cell(self, cell: Cell, x: float) -> Iterator[str]:
        y, box = self.y[cell.lane], cell.box
        ballot = cell.asks if box is None else box.ballot
        hue = self._by(ballot)
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
            yield text(x, y + 6, box.text, LABEL, "what")
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
            return -(BOX / 2 + 11)
        return 28.0 if sum(others) < 0 else -15.0


def _places(found: Layout, gaps: list[float], left: float) -> list[float]:
    """The middle of each column: as near to the one before as boxes, arrows and words allow."""
    ends: dict[ServerId, float] = {}
    places: list[float] = []
    edge = left - GAP + 14
    for column, gap in zip(found.columns, gaps, strict=True):
        x = edge + gap + max(map(_reach, column.values()))
        for lane, cell in column.items():
            x = max(x, ends.get(lane, left) + 6 + _half_text(cell))
        places.append(x)
        edge = x + max(map(_reach, column.values()))
        for lane, cell in column.items():
            ends[lane] = x + _half_text(cell)
    return places


def _wrapped(signs: Iterable[str], width: float) -> Iterator[str]:
    """``signs`` in lines that are no wider than ``width``."""
    line = ""
    for sign in signs:
        longer = f"{line}   ·   {sign}" if line else sign
        if line and width_of(longer, NOTE) > width:
            yield line
            longer = sign
        line = longer
    yield line


def _reach(cell: Cell) -> float:
    """Half the width of a box with its notes."""
    return max([_half(cell), *(width_of(note, NOTE) / 2 + 2 for note in cell.notes)])


def _half(cell: Cell) -> float:
    """Half the width of a box, or of a dot."""
    return DOT if cell.box is None else width_of(cell.box.text, LABEL) * 0.54 + 6


def _half_text(cell: Cell) -> float:
    notes = [width_of(note, NOTE) / 2 for note in cell.notes]
    return max([_half(cell), width_of(cell.label, LABEL) / 2, *notes])


def _lane(lane: ServerId) -> str:
    """How the group of a lane begins."""
    return f'<g class="lane" data-lane="{lane}">'


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _cut(opened: str, way: list[Point], end: str, left: float, right: float) -> str:
    """A message between two borders: what is ``opened``, its way, and what is at its end."""
    parts: list[list[Point]] = []
    for start, stop in pairwise(way):
        (x, y), (to_x, to_y) = start, stop
        if max(x, to_x) < left or min(x, to_x) > right:
            continue
        inside = [
            (it, y + (to_y - y) * (it - x) / (to_x - x)) if to_x != x else point
            for point in (start, stop)
            for it in [min(max(point[0], left), right)]
        ]
        if parts and parts[-1][-1] == inside[0]:
            parts[-1].append(inside[1])
        else:
            parts.append(inside)
    path = "".join(f"M{'L'.join(map(_at, it))}" for it in parts)
    return f'{opened}<path d="{path}"/>{end}</g>'


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
