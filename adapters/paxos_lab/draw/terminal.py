"""A timeline as rows of text: a space-time diagram for a terminal.

- A lane for each server, time runs down. One row for each burst of the same message: a broadcast,
  or the same answer from several servers to one.
- A message stands where it arrives, and says so if it is late; a lost one where it was sent.
- What servers do by themselves, and the choice of a value, have rows of their own.
- Rows are plain, printable text with the ballot and the value that they are about, so that a caller
  can colour them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from attrs import frozen

from paxos import Ballot, ServerId
from paxos_adapters.printable import printable
from paxos_lab.draw.layout import conflicts, layout, named, shown, under
from paxos_lab.machines.view import Words
from paxos_lab.record.timeline import NOTHING, Arrow, Timeline

Lanes: TypeAlias = Mapping[ServerId, str]


@frozen
class Glyphs:
    """The characters that a diagram is drawn with, each one column wide."""

    lane: str
    crossing: str
    line: str
    sender: str
    itself: str
    right: str
    left: str
    moment: str


UNICODE = Glyphs("│", "┼", "─", "●", "◉", "▶", "◀", "◆")
ASCII = Glyphs("|", "+", "-", "o", "@", ">", "<", "*")


@frozen
class Row:
    """One line of a diagram.

    ``ballot`` says to which attempt it belongs, and ``value`` what it is about; None: to none, and
    nothing. ``is_broken``: agreement is broken in it.
    """

    lanes: str
    label: str
    ballot: Ballot | None
    value: str | None = None
    is_broken: bool = False


@frozen
class Note:
    """What happens in one lane, with no message to show for it.

    What follows from a message stands below the whole burst.
    """

    lane: ServerId
    label: str
    follows: bool = False
    value: str | None = None
    is_broken: bool = False


@frozen
class Burst:
    """The same message on several ways: from one server to many, or from many to one."""

    message: object
    words: Words
    ways: tuple[tuple[ServerId, ServerId], ...]

    def joined(self, other: Burst) -> Burst | None:
        """Both as one; None if they do not belong together."""
        ways = (*self.ways, *other.ways)
        senders, receivers = ({way[end] for way in ways} for end in (0, 1))
        if self.message != other.message or len(set(ways)) < len(ways):
            return None
        is_one = len(senders) == 1 or len(receivers) == 1
        return Burst(self.message, self.words, ways) if is_one else None


def rows(timeline: Timeline, *, width: int = 7, glyphs: Glyphs = UNICODE) -> Iterator[Row]:
    """The rows of ``timeline``, the heading first, with ``width`` characters from lane to lane."""
    return rows_of(timeline.lanes, _items(timeline), width=width, glyphs=glyphs)


def text(timeline: Timeline, *, width: int = 7, glyphs: Glyphs = UNICODE) -> str:
    """The same, as lines of text."""
    room = width * len(timeline.lanes)
    drawn = rows(timeline, width=width, glyphs=glyphs)
    return "".join(f"{row.lanes.ljust(room)}{row.label}".rstrip() + "\n" for row in drawn)


def rows_of(
    lanes: Lanes, items: Iterable[Burst | Note], *, width: int, glyphs: Glyphs
) -> Iterator[Row]:
    """The rows of ``items``; bursts that follow one another and belong together are one."""
    width = max(width, 3)
    yield Row("".join(printable(it).ljust(width) for it in lanes.values()).rstrip(), "", None)
    for item in _joined(items):
        if isinstance(item, Note):
            marks = _lanes(lanes, {item.lane: glyphs.moment}, width, glyphs)
            label = printable(item.label)
            yield Row(marks, label, None, item.value, item.is_broken)
        else:
            arrows = _arrows(lanes, item.ways, width, glyphs)
            yield Row(arrows, item.words.text, item.words.ballot, item.words.about)


# --- what happens -------------------------------------------------------------------------------


def _items(timeline: Timeline) -> Iterator[Burst | Note]:
    found = layout(timeline)
    labels, lanes = found.labels, timeline.lanes
    received = {it.arrived: it for it in timeline.arrows if it.arrived is not None}
    decided = {it.step: it for it in timeline.decided if it.step in found.column_of}
    lost, broken = _lost(timeline), conflicts(timeline)
    late: object = None
    for moment in timeline.moments:
        arrow, lane = received.get(moment.step), moment.lane
        if arrow is not None:
            if moment.step in found.late and arrow.message != late:
                late = arrow.message
                yield Note(lane, f"late: {shown(arrow.text, 40)}")
            if arrow.sender in lanes:
                yield Burst(arrow.message, arrow.words, ((arrow.sender, arrow.receiver),))
        if moment.step in decided:
            it = decided[moment.step]
            attempt = under(it.choice.chosen.ballot, has_numbers=timeline.has_numbers)
            is_broken, value = moment.step in broken, it.choice.chosen.value
            label = f"{named(it)} is chosen{attempt}{', too' if is_broken else ''}"
            yield Note(lane, label, True, value, is_broken)
        if moment.step in labels:
            cell = labels[moment.step]
            look = cell.look or NOTHING
            known = look.knows if cell.moments[-1].reports else None
            yield Note(lane, f"{lanes[lane]} {cell.words}", not cell.is_own, known)
        yield from lost.get(moment.step, [])


def _lost(timeline: Timeline) -> dict[int | None, list[Note]]:
    """By the step in which it left: what never arrived, and where it was going to."""
    lost: dict[tuple[int | None, object], list[Arrow]] = {}
    for it in timeline.arrows:
        if it.arrived is None:
            lost.setdefault((it.left, it.text), []).append(it)
    notes: dict[int | None, list[Note]] = {}
    for (left, _), arrows in lost.items():
        names = ", ".join(timeline.lanes.get(it.receiver, f"S{it.receiver}") for it in arrows)
        note = Note(arrows[0].sender, f"lost: {shown(arrows[0].text, 40)} to {names}", True)
        notes.setdefault(left, []).append(note)
    return notes


def _joined(items: Iterable[Burst | Note]) -> Iterator[Burst | Note]:
    burst: Burst | None = None
    notes: list[Note] = []
    for item in items:
        if burst is not None and isinstance(item, Note) and item.follows:
            notes.append(item)
            continue
        whole = burst.joined(item) if burst is not None and isinstance(item, Burst) else None
        if whole is None:
            yield from _ended(burst, notes)
            burst, notes = None, []
        if isinstance(item, Burst):
            burst = whole or item
        else:
            yield item
    yield from _ended(burst, notes)


def _ended(burst: Burst | None, notes: list[Note]) -> Iterator[Burst | Note]:
    if burst is not None:
        yield burst
    yield from notes


# --- how it looks -------------------------------------------------------------------------------


def _arrows(
    lanes: Lanes, ways: tuple[tuple[ServerId, ServerId], ...], width: int, glyphs: Glyphs
) -> str:
    place = {server: index * width for index, server in enumerate(lanes)}
    cells = list(_lanes(lanes, {}, width, glyphs))
    for sender, receiver in ways:
        low, high = sorted((place[sender], place[receiver]))
        for column in range(low + 1, high):
            cells[column] = glyphs.crossing if column % width == 0 else glyphs.line
    for sender, receiver in ways:
        start, end = place[sender], place[receiver]
        cells[start] = glyphs.itself if (sender, sender) in ways else glyphs.sender
        if start < end:
            cells[end - 1] = glyphs.right
        elif end < start:
            cells[end + 1] = glyphs.left
    return "".join(cells)


def _lanes(lanes: Lanes, marks: dict[ServerId, str], width: int, glyphs: Glyphs) -> str:
    *_, last = lanes
    return "".join(
        marks.get(lane, glyphs.lane).ljust(width if lane != last else 1) for lane in lanes
    )
