"""The layout of a timeline: in which column each moment stands, and what is written there.

- Time runs to the right. Moments in which the same message is received share a column, as do the
  answers to one request. A column never holds what was caused in it, nor what a lane did later.
- What a server does by itself has a label. What an acceptor is asked has a box, and below it what
  the acceptor holds from there on.
- A request is late if its receiver has received before it another one that left after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import Factory, define, evolve, frozen

from paxos import Ballot, Proposal, ServerId
from paxos_adapters.printable import printable
from paxos_lab.machines.view import Look, Words
from paxos_lab.record.timeline import NOTHING, Arrow, Decided, Kind, Moment, Timeline

Key: TypeAlias = tuple[object, ...]

MOST = 16  # characters of a value
OWN = Kind.IS_ASKED, Kind.TIMES_OUT, Kind.IS_NOTED
SILENT = Kind.TICKS, Kind.IS_KNOWN, Kind.HAS_SAVED


@frozen
class Box:
    """What a server is asked, maybe to accept ``value``, and what it did with it."""

    text: str
    ballot: Ballot | None
    value: str | None
    is_refused: bool
    is_accepted: bool


@frozen
class Cell:
    """Moments of one lane in one column, the last of them ``look``; ``notes`` stand below a box.

    ``label`` says what the server does by itself, or learns; ``words`` say it at more length.
    ``asks`` is the ballot of its proposal in progress, if there is one.
    """

    lane: ServerId
    moments: tuple[Moment, ...]
    box: Box | None
    label: str
    words: str
    notes: tuple[str, ...]
    look: Look | None
    asks: Ballot | None

    @property
    def is_own(self) -> bool:
        """Whether the server does something by itself, with no message to cause it."""
        return any(it.kind is not Kind.RECEIVES for it in self.moments)


@frozen
class Layout:
    """Cells by column, each column by lane; the column of each step that is drawn.

    ``late`` are the steps in which a late message arrives.
    """

    columns: tuple[dict[ServerId, Cell], ...]
    column_of: dict[int, int]
    late: frozenset[int]

    @property
    def labels(self) -> dict[int, Cell]:
        """By step: the cells of what a server does by itself there, or learns."""
        cells = (cell for column in self.columns for cell in column.values())
        return {cell.moments[-1].step: cell for cell in cells if cell.label}


@define
class _Column:
    key: Key
    words: Words | None
    moments: list[Moment] = Factory(list[Moment])

    def of(self, lane: ServerId) -> tuple[Moment, ...]:
        return tuple(it for it in self.moments if it.lane == lane)


def part(timeline: Timeline, first: int = 1, last: int | None = None) -> Timeline:
    """Steps ``first`` to ``last`` of ``timeline``, with what the servers held before.

    What was sent before comes from outside, and what arrives after is left out.
    """
    end = last if last is not None else max((it.step for it in timeline.moments), default=0)
    before = {it.lane: evolve(it, kind=Kind.IS_KNOWN) for it in timeline.moments if it.step < first}
    arrows = [
        evolve(it, left=None) if it.left is not None and it.left < first else it
        for it in timeline.arrows
        if first <= (it.arrived or it.left or 0) <= end
    ]
    return evolve(
        timeline,
        moments=(*before.values(), *(it for it in timeline.moments if first <= it.step <= end)),
        arrows=tuple(arrows),
        decided=tuple(it for it in timeline.decided if it.step <= end),
    )


def conflicts(timeline: Timeline) -> frozenset[int]:
    """The steps in which a value is chosen although another one is: agreement is broken."""
    first: dict[int | None, str] = {}
    return frozenset(
        it.step
        for it in timeline.decided
        if first.setdefault(it.slot, it.choice.chosen.value) != it.choice.chosen.value
    )


def layout(timeline: Timeline) -> Layout:
    """Where everything in ``timeline`` stands."""
    received = {arrow.arrived: arrow for arrow in timeline.arrows if arrow.arrived is not None}
    sent = {arrow.left for arrow in timeline.arrows}
    columns, column_of = _columns(timeline, received, sent)
    looks: dict[ServerId, Look] = {}
    before: dict[int, Look] = {}
    for moment in timeline.moments:
        before[moment.step] = looks.get(moment.lane, NOTHING)
        looks[moment.lane] = moment.look or NOTHING
    left: dict[int, list[Arrow]] = {}
    for arrow in timeline.arrows:
        if arrow.left is not None:
            left.setdefault(arrow.left, []).append(arrow)
    cells = tuple(
        {
            lane: _cell(
                tuple(it for it in column.moments if it.lane == lane),
                received,
                left,
                before,
                has_numbers=timeline.has_numbers,
            )
            for lane in sorted({it.lane for it in column.moments})
        }
        for column in columns
    )
    return Layout(cells, column_of, frozenset(_late(timeline)))


# --- columns ------------------------------------------------------------------------------------


def _columns(
    timeline: Timeline, received: dict[int, Arrow], sent: set[int | None]
) -> tuple[list[_Column], dict[int, int]]:
    columns: list[_Column] = []
    column_of: dict[int, int] = {}
    last: dict[ServerId, int] = {}
    for moment in timeline.moments:
        arrow = received.get(moment.step)
        key: Key = (moment.kind,)
        if arrow is not None:
            key = type(arrow.message), arrow.words.ballot, arrow.slot
        begins = moment.lane not in last and moment.kind in (Kind.STARTS, Kind.IS_KNOWN)
        silent = moment.step not in sent and not moment.changes
        if _goes_on(moment, columns, last.get(moment.lane)):
            place = last[moment.lane]
        elif begins or (silent and moment.kind in SILENT):
            continue
        else:
            since = -1 if arrow is None else column_of.get(arrow.left or 0, -1)
            column = _Column(key, None if arrow is None else arrow.words)
            place = _place(columns, column, moment.lane, since, last.get(moment.lane, -1))
            columns[place:] = columns[place:] or [column]
        columns[place].moments.append(moment)
        column_of[moment.step] = last[moment.lane] = place
    return columns, column_of


def _goes_on(moment: Moment, columns: list[_Column], last: int | None) -> bool:
    """Whether it belongs to what its lane did last: a save, or a new attempt after a refusal."""
    if last is None:
        return False
    if moment.kind is Kind.TIMES_OUT:
        words = columns[last].words
        return last == len(columns) - 1 and words is not None and words.is_refusal
    return moment.kind is Kind.HAS_SAVED


def _place(columns: list[_Column], new: _Column, lane: ServerId, since: int, last: int) -> int:
    """The earliest column that can stand for ``new``, or else the place of a new one.

    It goes back by no more than the answers that come in between.
    """
    is_answer = new.words is not None and new.words.is_answer
    first = max(since + 1, last, len(columns) - (1 if new.words is None else 2), 0)
    for place in range(first, len(columns)):
        shared = columns[place]
        if shared.key == new.key and (is_answer or not shared.of(lane)):
            return place
    return len(columns)


def _late(timeline: Timeline) -> Iterator[int]:
    ways: dict[ServerId, list[tuple[int, int]]] = {}
    for it in timeline.arrows:
        if it.words.request and it.left is not None and it.arrived is not None:
            ways.setdefault(it.receiver, []).append((it.arrived, it.left))
    for arrivals in ways.values():
        newest = 0
        for arrived, left in sorted(arrivals):
            if left < newest:
                yield arrived
            newest = max(newest, left)


# --- cells --------------------------------------------------------------------------------------


def _cell(
    moments: tuple[Moment, ...],
    received: dict[int, Arrow],
    left: dict[int, list[Arrow]],
    before: dict[int, Look],
    *,
    has_numbers: bool,
) -> Cell:
    heard = [received[it.step].words for it in moments if it.step in received]
    answers = [arrow.words for it in moments for arrow in left.get(it.step, [])]
    was, look = before[moments[0].step], moments[-1].look
    now = look or NOTHING
    box = _box(heard[0], answers, now, has_numbers=has_numbers) if heard else None
    label, words = _label(moments, heard, was, now)
    notes = () if box is None else tuple(_notes(box, now, has_numbers=has_numbers))
    return Cell(moments[0].lane, moments, box, label, words, notes, look, now.asks or was.asks)


def _box(asked: Words, answers: list[Words], now: Look, *, has_numbers: bool) -> Box | None:
    if not asked.request:
        return None
    is_refused = any(it.is_refusal and it.ballot == asked.ballot for it in answers)
    if asked.value is None:
        return Box(asked.request, asked.ballot, None, is_refused, False)
    held, value = now.accepted, shown(asked.value)
    text = f"{asked.request} {value}" if has_numbers else f"{asked.request}({value})"
    is_held = held is not None and (held.ballot, held.value) == (asked.ballot, asked.value)
    is_accepted = is_held or any(it.is_vote and it.ballot == asked.ballot for it in answers)
    return Box(text, asked.ballot, asked.value, is_refused, is_accepted)


def _notes(box: Box, now: Look, *, has_numbers: bool) -> Iterator[str]:
    """Why the acceptor refuses, or what a Prepare finds there: the box says all else."""
    held = now.accepted
    if box.is_refused and has_numbers and (held is None or held.ballot <= now.promised):
        yield f"promised {now.promised}"
    elif held is not None and (box.is_refused or box.value is None):
        yield f"holds {held_text(held, has_numbers=has_numbers)}"


def held_text(held: Proposal[str], *, has_numbers: bool = True) -> str:
    """What an acceptor has accepted."""
    value = shown(held.value)
    return f"{held.ballot} {value}" if has_numbers else value


def under(ballot: Ballot, *, has_numbers: bool = True) -> str:
    """`` under 3.1``; nothing where there are no numbers yet."""
    return f" under {ballot}" if has_numbers else ""


def _label(
    moments: tuple[Moment, ...], received: list[Words], was: Look, now: Look
) -> tuple[str, str]:
    """What a server does by itself, or learns: in a picture, and in a row of its own."""
    kinds = {it.kind: it for it in moments}
    reports = [report for it in moments for report in it.reports]
    own = next((kinds[it] for it in OWN if it in kinds), None)
    if Kind.FINDS_FAULT in kinds:
        label = "finds a fault"
    elif Kind.ENDS in kinds:
        does = kinds[Kind.ENDS].does
        return "crashes" if "crash" in does else "ends", does
    elif Kind.STARTS in kinds:
        label = "starts again"
    elif now.knows is not None and was.knows is None:
        return f"knows {shown(now.knows)}", f"knows that {now.knows} is chosen"
    elif own is not None:
        short = "starts over" if own.kind is Kind.TIMES_OUT and now.asks != was.asks else own.does
        return shown(short, len("proposes ") + MOST), ", ".join([own.does, *reports])
    elif reports:
        short, _, _ = reports[0].partition(" under ")
        return shown(short, MOST), ", ".join(reports)
    else:
        label = _learned(received, was, now)
    return label, label


def _learned(received: list[Words], was: Look, now: Look) -> str:
    """What a proposer learns from answers."""
    found = [it.found for it in received if it.found is not None]
    if found and now.for_ is not None and was.for_ is None:
        return f"finds {shown(max(found, key=lambda it: it.ballot).value)}"
    return "is refused" if any(it.is_refusal for it in received) else ""


def named(decided: Decided) -> str:
    """What is chosen, with its slot if there are several."""
    value = shown(decided.choice.chosen.value)
    return value if decided.slot is None else f"{decided.slot}: {value}"


def shown(text: str, most: int = MOST) -> str:
    """``text`` as it fits into a picture."""
    plain = printable(text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
