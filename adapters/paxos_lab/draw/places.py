"""Where everything of a timeline stands, in pixels: columns, lanes, captions and messages.

- A column is as near to the one before as boxes, arrows and words allow; a narrow picture is spread
  out. More lanes that an arrow crosses make more room for it.
- A message goes from box to box, and level beside words. What would meet a box waits beside its
  lane, with all that left at the same step.
- A message that is lost ends at a stub, side by side with others that are.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import copysign

from attrs import frozen

from paxos import ServerId
from paxos_lab.draw.layout import Cell, Layout, layout, named
from paxos_lab.draw.shapes import CAPTION, LABEL, MARGIN, NOTE, TITLE, Point, width_of
from paxos_lab.record.timeline import Arrow, Decided, Timeline

# All in pixels of a picture that is shown as it is.
LANE, BOX, DOT = 86.0, 30.0, 6.0
GAP, STEEP = 16.0, 3.0  # STEEP: wider for each lane that an arrow crosses
STUB, FAN, ROOMY = 30.0, 13.0, 900.0  # ROOMY: a narrower picture is spread out


@frozen
class Caption:
    """The words of a choice, at ``x``, in a row above the lanes: 0 is the lowest."""

    decided: Decided
    x: float
    words: str
    classes: str
    row: int


class Places:
    """The columns are at ``x``, the lanes at ``y``, from ``left`` to ``end``.

    The lanes are between ``top`` and ``bottom``.
    """

    def __init__(self, timeline: Timeline, *, has_title: bool) -> None:
        self._timeline = timeline
        self.layout = layout(timeline)
        self.left = MARGIN + max(width_of(it, CAPTION) for it in timeline.lanes.values()) + 12
        gaps = list(self._gaps())
        self.x = _columns(self.layout, gaps, self.left)
        if self.x and (spare := ROOMY - self.x[-1] - 140) > 0:
            gaps = [gap + min(spare / len(gaps), 40) for gap in gaps]
            self.x = _columns(self.layout, gaps, self.left)
        last = max(map(half_text, self.layout.columns[-1].values())) if self.x else 0.0
        self.end = (self.x[-1] if self.x else self.left) + last + 16
        self.captions = list(self._captions())
        rows = 1 + max((it.row for it in self.captions), default=-1)
        self.top = MARGIN + (TITLE + 18 if has_title else 0) + rows * (CAPTION + 8) + 30
        self.bottom = self.top + LANE * (len(timeline.lanes) - 1)
        self.y = {lane: self.top + place * LANE for place, lane in enumerate(timeline.lanes)}
        self._touching: dict[int, list[Arrow]] = {}
        for arrow in timeline.arrows:
            for step in {arrow.left, arrow.arrived} - {None}:
                self._touching.setdefault(step or 0, []).append(arrow)
        self._parked = set(self._detours())

    def half_of(self, step: int) -> float:
        """Half the width of the widest box of the column that ``step`` is in."""
        return max(map(half_box, self.layout.columns[self.layout.column_of[step]].values()))

    def _gaps(self) -> Iterator[float]:
        """Before each column: room for its arrows."""
        order = {lane: place for place, lane in enumerate(self._timeline.lanes)}
        rises = [0] * len(self.layout.columns)
        for it in self._timeline.arrows:
            if it.arrived in self.layout.column_of and {it.sender, it.receiver} <= set(order):
                b = self.layout.column_of[it.arrived]
                rises[b] = max(rises[b], abs(order[it.sender] - order[it.receiver]))
        yield from (GAP + STEEP * rise for rise in rises)

    def _captions(self) -> Iterator[Caption]:
        ends: list[float] = []
        by_slot: dict[int | None, list[str]] = {}
        for decided in self._timeline.decided:
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
            yield Caption(decided, x, words, classes, row)

    # --- messages ---------------------------------------------------------------------------

    def way(self, arrow: Arrow) -> list[Point]:
        """Where a message goes along; nowhere, if none of its ends is drawn."""
        column_of = self.layout.column_of
        a = None if arrow.left is None else column_of.get(arrow.left)
        b = None if arrow.arrived is None else column_of.get(arrow.arrived)
        if arrow.arrived is None and a is not None:
            return [self._edge(a, arrow.sender, 1), self._lost(arrow, a)]
        return [] if b is None else self._between(arrow, a, b)

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
            for it in self._touching.get(arrow.left or 0, [])
            if it.arrived is None
        )
        return sum(way * rise > 0 and abs(way) > abs(rise) for way in ways)

    def _between(self, arrow: Arrow, a: int | None, b: int) -> list[Point]:
        """From cell to cell, and level beside words: it does not run through them."""
        end = self._edge(b, arrow.receiver, -1)
        if a is None or arrow.sender not in self.y:
            return [(end[0] - GAP, end[1] - GAP), end]
        start = self._edge(a, arrow.sender, 1)
        left = max(start[0], self.x[a] + max(map(reach, self.layout.columns[a].values())))
        right = min(end[0], self.x[b] - max(map(reach, self.layout.columns[b].values())))
        way = [start, (left, start[1]), (right, end[1]), end]
        if (arrow.left, b) in self._parked:
            cell, rise = self.layout.columns[a][arrow.sender], end[1] - start[1]
            if not rise and cell.label:
                rise = -self.side(cell, start[1])
            y = start[1] + self._beside(arrow.sender, range(a, b), rise)
            turn = min(right, end[0] - 12)
            way = [start, (start[0] + 8, y), (turn, y), (turn, end[1]), end]
        return [it for it, before in zip(way, [None, *way], strict=False) if it != before]

    def _detours(self) -> Iterator[tuple[int | None, int]]:
        """What meets a box if it goes straight: it waits beside its lane, with all that left so."""
        for arrow in self._timeline.arrows:
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
            if cell is not None and cell.label and self.side(cell, y) * rise >= 0:
                clear = max(clear, 24.0 + LABEL)
        return copysign(clear, rise)

    def _edge(self, column: int, lane: ServerId, side: int) -> Point:
        """Where arrows leave and reach a cell."""
        cell = self.layout.columns[column].get(lane)
        half = DOT if cell is None else half_box(cell)
        return self.x[column] + side * half, self.y.get(lane, self.top)

    def _meets_a_box(self, start: Point, end: Point, between: range) -> bool:
        for column in between:
            for lane, cell in self.layout.columns[column].items():
                x = self.x[column]
                y = start[1] + (end[1] - start[1]) * (x - start[0]) / (end[0] - start[0])
                if abs(y - self.y[lane]) < BOX and (cell.box or y == start[1]):
                    return True
        return False

    def side(self, cell: Cell, y: float) -> float:
        """Where a label is out of the way: below, if more arrows come and go above."""
        others = [
            self.y.get(it.receiver if it.left == moment.step else it.sender, y) - y
            for moment in cell.moments
            for it in self._touching.get(moment.step, [])
        ]
        if cell.box is not None:
            return -(BOX / 2 + 11)
        return 28.0 if sum(others) < 0 else -15.0


def _columns(found: Layout, gaps: list[float], left: float) -> list[float]:
    """The middle of each column: as near to the one before as boxes, arrows and words allow."""
    ends: dict[ServerId, float] = {}
    places: list[float] = []
    edge = left - GAP + 14
    for column, gap in zip(found.columns, gaps, strict=True):
        x = edge + gap + max(map(reach, column.values()))
        for lane, cell in column.items():
            x = max(x, ends.get(lane, left) + 6 + half_text(cell))
        places.append(x)
        edge = x + max(map(reach, column.values()))
        for lane, cell in column.items():
            ends[lane] = x + half_text(cell)
    return places


def reach(cell: Cell) -> float:
    """Half the width of a box with its notes."""
    return max([half_box(cell), *(width_of(note, NOTE) / 2 + 2 for note in cell.notes)])


def half_box(cell: Cell) -> float:
    """Half the width of a box, or of a dot."""
    return DOT if cell.box is None else width_of(cell.box.text, LABEL) * 0.54 + 6


def half_text(cell: Cell) -> float:
    """Half the width of a box with its notes and its label."""
    notes = [width_of(note, NOTE) / 2 for note in cell.notes]
    return max([half_box(cell), width_of(cell.label, LABEL) / 2, *notes])
