"""A timeline as SVG: one picture that stands alone, as on a slide.

- Lanes run to the right. P is a Prepare at an acceptor, A an Accept: filled with the colour of the
  value once it is accepted, crossed out if it is refused. The band of a lane is the value it holds.
- Outlines and messages have the colour of the proposer; what never arrives ends in a cross, what is
  late is dashed. Where a value is chosen, a star says so, and acceptors that count are framed.
- A broken rule is named last, in the colour of an alarm.
- What belongs to a step says so: ``data-step``, and ``data-from`` for the sending of a message.
- The same timeline gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise

from attrs import evolve, frozen

from paxos import Ballot, ServerId
from paxos_lab.draw.layout import Cell, conflicts, held_text, shown
from paxos_lab.draw.places import BOX, DOT, ROOMY, Places, half_box, half_text
from paxos_lab.draw.shapes import (
    CAPTION,
    LABEL,
    LONG,
    MARGIN,
    NOTE,
    TITLE,
    Point,
    at,
    cross,
    head,
    number,
    said,
    text,
    tip,
    verdict,
    width_of,
)
from paxos_lab.draw.style import DASHES, colours
from paxos_lab.machines.view import Look
from paxos_lab.record.timeline import Arrow, Decided, Timeline
from paxos_lab.rules import AGREEMENT

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
    """A timeline as the lines of an SVG: ``parts``, or ``pieces`` for one that is cut."""

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
        self.verdict = "" if broken is None else f"✗ Broken rule: {broken}"
        self.colours = colours(timeline, values)
        self.places = Places(timeline, has_title=bool(title))
        self.key = list(_wrapped(self.signs(), ROOMY - 2 * MARGIN))
        held = [self._held(moment.look) for moment in timeline.moments]
        words = [width_of(title, TITLE) * 1.1, width_of(caption, CAPTION)]
        words += [width_of(it, NOTE) for it in self.key]
        lanes = self.places.end + 10 + max(width_of(it, CAPTION) for it in [*held, ""]) + MARGIN
        self.width = max(lanes, max(words) + 2 * MARGIN)

    def parts(self) -> Iterator[str]:
        """The lines of the SVG."""
        foot = self.places.bottom + 62 + (CAPTION + 12 if self.caption else 0)
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
            yield text(MARGIN, self.places.bottom + 62, self.caption, CAPTION, "start")
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

    def signs(self) -> list[str]:
        """What the signs mean that occur."""
        cells = [cell for column in self.places.layout.columns for cell in column.values()]
        boxes = [cell.box for cell in cells if cell.box is not None]
        accepts = [box for box in boxes if box.value is not None]
        signs = {
            "P: prepare": self.timeline.has_numbers and len(accepts) < len(boxes),
            "A: accept": self.timeline.has_numbers and bool(accepts),
            "outline and arrows: proposer": bool(boxes),
            "fill and band: accepted value": any(box.is_accepted for box in boxes),
            "✗: refused": any(box.is_refused for box in boxes),
            "thin arrow: answer": any(it.words.is_answer for it in self.timeline.arrows),
            "dashed arrow: late": bool(self.places.layout.late),
            "arrow to a cross: lost": any(it.arrived is None for it in self.timeline.arrows),
            "★ and frames: chosen, by these": bool(self.places.captions),
        }
        return [sign for sign, occurs in signs.items() if occurs]

    # --- what is behind ---------------------------------------------------------------------

    def _choices(self) -> Iterator[Piece]:
        for it in self.places.captions:
            decided, x, words = it.decided, it.x, it.words
            value = decided.choice.chosen.value
            y = self.places.top - 42 - it.row * (CAPTION + 8)
            voters = ", ".join(
                self.timeline.lanes.get(voter, f"S{voter}")
                for voter in sorted(decided.choice.voters)
            )
            half = width_of(words, CAPTION) / 2
            place = max(x, MARGIN + half)
            reach = max(half * 1.12, self.places.half_of(decided.step)) + 8
            drawn = [
                f'<g class="{it.classes} {self._of(value)}" data-step="{decided.step}">',
                f"<title>{said(f'{words}: accepted by {voters}')}</title>",
                *self._frames(decided, x, y),
                text(place, y, words, CAPTION, "words") + "</g>",
            ]
            yield Piece(min(x, place - half) - 8, max(x, place) + reach, "\n".join(drawn))

    def _frames(self, decided: Decided, x: float, y: float) -> Iterator[str]:
        """A frame around each acceptor that counts, and a line from the words to the last."""
        half = self.places.half_of(decided.step) + 5
        lanes = [self.places.y[it] for it in sorted(decided.choice.voters) if it in self.places.y]
        if lanes:
            yield f'<path d="M{number(x)} {number(y + 6)}V{number(max(lanes))}"/>'
        for lane in lanes:
            yield (
                f'<rect class="counts" x="{number(x - half)}" y="{number(lane - BOX / 2 - 5)}"'
                f' width="{number(2 * half)}" height="{number(BOX + 10)}" rx="9"/>'
            )

    def _name(self, lane: ServerId, name: str) -> Piece:
        words = text(MARGIN, self.places.y[lane] + 6, name, CAPTION + 2, "name start")
        return Piece(0, self.places.left, words, (lane,))

    def _lane(self, lane: ServerId) -> Iterator[Piece]:
        y = self.places.y[lane]
        x, look, is_down, since = self.places.left, self._at_first(lane), False, None
        ends = *self.places.x, self.places.end
        for place, end in zip((*range(len(self.places.x)), None), ends, strict=True):
            cell = None if place is None else self.places.layout.columns[place].get(lane)
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
            words = text(self.places.end + 10, y + 6, held, CAPTION, classes)
            yield Piece(self.places.end, self.width, _of_step(since, words), (lane,))

    def _at_first(self, lane: ServerId) -> Look | None:
        """What a lane holds before the first moment that is drawn."""
        look: Look | None = None
        for it in self.timeline.moments:
            if it.lane == lane:
                if it.step in self.places.layout.column_of:
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
            if way := self.places.way(arrow):
                left, right = min(x for x, _ in way) - 9, max(x for x, _ in way) + 9
                opened = _open(self._classes(arrow), arrow, self.timeline)
                cut = partial(_cut, opened, way, _tip(arrow, way))
                yield Piece(left, right, cut(left, right), (arrow.sender, arrow.receiver), cut)

    def _classes(self, arrow: Arrow) -> Iterator[str]:
        yield "message"
        yield self._by(arrow.words.ballot)
        yield "answer" if arrow.words.is_answer else ""
        yield "lost" if arrow.arrived is None else ""
        yield "late" if arrow.arrived in self.places.layout.late else ""

    # --- moments ----------------------------------------------------------------------------

    def _cells(self) -> Iterator[Piece]:
        for column, x in zip(self.places.layout.columns, self.places.x, strict=True):
            for cell in column.values():
                reach = max(half_text(cell), half_box(cell)) + 6
                drawn = "\n".join(self._cell(cell, x))
                yield Piece(x - reach, x + reach, drawn, (cell.lane,))

    def _cell(self, cell: Cell, x: float) -> Iterator[str]:
        y, box = self.places.y[cell.lane], cell.box
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
            half = half_box(cell)
            yield (
                f'<rect class="box" x="{number(x - half)}" y="{number(y - BOX / 2)}"'
                f' width="{number(2 * half)}" height="{number(BOX)}" rx="5"/>'
            )
            yield text(x, y + 6, box.text, LABEL, "what")
            if box.is_refused:
                yield f'<path class="no" d="{cross(x + half - 1, y - BOX / 2 + 1, 5)}"/>'
        if cell.label:
            yield text(x, y + self.places.side(cell, y), cell.label, LABEL, "label")
        for row, note in enumerate(cell.notes):
            yield text(x, y + BOX / 2 + 14 + row * (NOTE + 2), note, NOTE, "state")
        yield "</g>"


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


def _lane(lane: ServerId) -> str:
    """How the group of a lane begins."""
    return f'<g class="lane" data-lane="{lane}">'


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
    path = "".join(f"M{'L'.join(map(at, it))}" for it in parts)
    return f'{opened}<path d="{path}"/>{end}</g>'


def _open(classes: Iterable[str], arrow: Arrow, timeline: Timeline) -> str:
    sender, receiver = (timeline.lanes.get(it, f"S{it}") for it in (arrow.sender, arrow.receiver))
    fate = ", lost or late" if arrow.arrived is None else ""
    steps = f' data-from="{arrow.left}"' if arrow.left is not None else ""
    steps += f' data-step="{arrow.left if arrow.arrived is None else arrow.arrived}"'
    words = said(f"{arrow.text}, from {sender} to {receiver}{fate}")
    return f'<g class="{" ".join(filter(None, classes))}"{steps}><title>{words}</title>'


def _tip(arrow: Arrow, way: Sequence[Point]) -> str:
    """What is at the end of a message."""
    if arrow.arrived is None:
        return f'\n<path class="cross" d="{cross(*way[-1], 4)}"/>'
    return f'\n<path class="head" d="{tip(way[-2], way[-1])}"/>'


def _of_step(step: int | None, drawn: str) -> str:
    """What is ``drawn`` from ``step`` on; None: from the beginning."""
    return drawn if step is None else f'<g data-step="{step}">{drawn}</g>'
