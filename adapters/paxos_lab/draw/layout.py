"""The layout of a story: in which column each moment stands, and what is written there.

- Time runs to the right. Moments in which the same message is heard share a column, as do the
  answers to one request; a column never holds what was caused in it, nor what a lane did later.
- What a server does by itself has a label; what an acceptor is asked has a box, and below it what
  the acceptor holds from there on.
- A request is late if its receiver has heard before it another one that left after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import Factory, define, evolve, frozen

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ServerId,
)
from paxos_adapters.printable import printable
from paxos_lab.draw.terminal import ballot_of
from paxos_lab.record.timeline import Arrow, Kind, Look, Moment, Story

Key: TypeAlias = tuple[type | Kind, Ballot | None]

MOST = 16  # characters of a value
NOTHING = Look(Ballot(0, ServerId(0)), None, None, None, None)
ANSWERS = Promise, Accepted, Nack, Answer, Chosen


@frozen
class Box:
    """What an acceptor is asked: a Prepare, or an Accept of ``value``, and what it did with it."""

    text: str
    ballot: Ballot
    value: str | None
    is_refused: bool
    is_accepted: bool


@frozen
class Cell:
    """Moments of one lane in one column, the last of them ``look``; ``notes`` stand below a box.

    ``asks`` is the ballot that the lane is at work under, if it is.
    """

    lane: ServerId
    moments: tuple[Moment, ...]
    box: Box | None
    label: str
    notes: tuple[str, ...]
    look: Look | None
    asks: Ballot | None


@frozen
class Layout:
    """Cells by column, each column by lane; the column of each step that is drawn; who is late."""

    columns: tuple[dict[ServerId, Cell], ...]
    column_of: dict[int, int]
    late: frozenset[Arrow]

    @property
    def labels(self) -> dict[int, str]:
        """By step: what a server does by itself there, or learns."""
        cells = (cell for column in self.columns for cell in column.values())
        return {cell.moments[-1].step: cell.label for cell in cells if cell.label}


@define
class _Column:
    key: Key
    moments: list[Moment] = Factory(list[Moment])

    def has(self, lane: ServerId) -> bool:
        return any(it.lane == lane for it in self.moments)


def part(story: Story, first: int = 1, last: int | None = None) -> Story:
    """Steps ``first`` to ``last`` of ``story``, with what the servers held before.

    What was sent before comes from outside, and what arrives after is left out.
    """
    end = last if last is not None else max((it.step for it in story.moments), default=0)
    before = {it.lane: evolve(it, kind=Kind.IS_KNOWN) for it in story.moments if it.step < first}
    arrows = [
        evolve(it, left=None) if it.left is not None and it.left < first else it
        for it in story.arrows
        if first <= (it.arrived or it.left or 0) <= end
    ]
    return Story(
        story.name,
        story.lanes,
        (*before.values(), *(it for it in story.moments if first <= it.step <= end)),
        tuple(arrows),
        tuple(it for it in story.decided if it.step <= end),
    )


def layout(story: Story) -> Layout:
    """Where everything in ``story`` stands."""
    heard = {arrow.arrived: arrow for arrow in story.arrows if arrow.arrived is not None}
    sent = {arrow.left for arrow in story.arrows}
    columns, column_of = _columns(story, heard, sent)
    looks: dict[ServerId, Look] = {}
    before: dict[int, Look] = {}
    for moment in story.moments:
        before[moment.step] = looks.get(moment.lane, NOTHING)
        looks[moment.lane] = moment.look or NOTHING
    left: dict[int, list[Arrow]] = {}
    for arrow in story.arrows:
        if arrow.left is not None:
            left.setdefault(arrow.left, []).append(arrow)
    cells = tuple(
        {
            lane: _cell(tuple(it for it in column.moments if it.lane == lane), heard, left, before)
            for lane in sorted({it.lane for it in column.moments})
        }
        for column in columns
    )
    return Layout(cells, column_of, frozenset(_late(story)))


# --- columns ------------------------------------------------------------------------------------


def _columns(
    story: Story, heard: dict[int, Arrow], sent: set[int | None]
) -> tuple[list[_Column], dict[int, int]]:
    columns: list[_Column] = []
    column_of: dict[int, int] = {}
    last: dict[ServerId, int] = {}
    for moment in story.moments:
        key = _key(moment, heard)
        begins = moment.lane not in last and moment.kind in (Kind.STARTS, Kind.IS_KNOWN)
        silent = moment.step not in sent and not moment.changes and moment.step not in heard
        if _goes_on(moment, columns, last.get(moment.lane)):
            place = last[moment.lane]
        elif begins or (silent and moment.kind in (Kind.WAKES, Kind.IS_KNOWN, Kind.HAS_SAVED)):
            continue
        else:
            arrow = heard.get(moment.step)
            since = -1 if arrow is None else column_of.get(arrow.left or 0, -1)
            place = _place(columns, key, moment.lane, since, last.get(moment.lane, -1))
        if place == len(columns):
            columns.append(_Column(key))
        columns[place].moments.append(moment)
        column_of[moment.step] = last[moment.lane] = place
    return columns, column_of


def _goes_on(moment: Moment, columns: list[_Column], last: int | None) -> bool:
    """Whether it belongs to what its lane did last: a save, or a new attempt after a refusal."""
    if last is None:
        return False
    if moment.kind is Kind.WAKES:
        return last == len(columns) - 1 and columns[last].key[0] is Nack
    return moment.kind is Kind.HAS_SAVED


def _place(columns: list[_Column], key: Key, lane: ServerId, since: int, last: int) -> int:
    """The earliest column that ``key`` can share, or else a new one.

    It goes back by no more than the answers that come in between.
    """
    first = max(since + 1, last, len(columns) - (1 if isinstance(key[0], Kind) else 2), 0)
    for place in range(first, len(columns)):
        shared = columns[place]
        if shared.key == key and (not shared.has(lane) or key[0] in ANSWERS):
            return place
    return len(columns)


def _key(moment: Moment, heard: dict[int, Arrow]) -> Key:
    arrow = heard.get(moment.step)
    if arrow is None:
        return moment.kind, None
    return type(arrow.message), ballot_of(arrow.message)


def _late(story: Story) -> Iterator[Arrow]:
    ways: dict[ServerId, list[tuple[int, int, Arrow]]] = {}
    for it in story.arrows:
        is_request = isinstance(it.message, Prepare | Accept)
        if is_request and it.left is not None and it.arrived is not None:
            ways.setdefault(it.receiver, []).append((it.arrived, it.left, it))
    for arrivals in ways.values():
        newest = 0
        for _, left, arrow in sorted(arrivals, key=lambda it: it[:2]):
            if left < newest:
                yield arrow
            newest = max(newest, left)


# --- cells --------------------------------------------------------------------------------------


def _cell(
    moments: tuple[Moment, ...],
    heard: dict[int, Arrow],
    left: dict[int, list[Arrow]],
    before: dict[int, Look],
) -> Cell:
    messages = [heard[it.step].message for it in moments if it.step in heard]
    answers = [arrow.message for it in moments for arrow in left.get(it.step, [])]
    was, look = before[moments[0].step], moments[-1].look
    now = look or NOTHING
    box = _box(messages[0], answers, now) if messages else None
    asks = now.asks or was.asks
    label = _label(moments, messages, was, now)
    notes = () if box is None else tuple(_notes(box, was, now))
    return Cell(moments[0].lane, moments, box, label, notes, look, asks)


def _box(message: Message[str], answers: list[Message[str]], now: Look) -> Box | None:
    is_refused = any(isinstance(it, Nack) and it.ballot == ballot_of(message) for it in answers)
    if isinstance(message, Prepare):
        return Box(f"P {message.ballot}", message.ballot, None, is_refused, False)
    if isinstance(message, Accept):
        ballot, value = message.ballot, message.value
        is_accepted = now.accepted == Proposal(ballot, value)
        return Box(f"A {ballot} {shown(value)}", ballot, value, is_refused, is_accepted)
    return None


def _notes(box: Box, was: Look, now: Look) -> Iterator[str]:
    """What the acceptor holds, as far as the box does not say so itself."""
    if box.value is None and now.promised != was.promised:
        yield f"promised {now.promised}"
    elif box.is_refused:
        held = now.accepted  # which is above the promise only where nobody promises
        is_held = held is not None and held.ballot > now.promised
        yield held_text(held) if held is not None and is_held else f"promised {now.promised}"
    if box.value is None and not box.is_refused and now.accepted is not None:
        yield held_text(now.accepted)
    if box.value is not None and now.accepted != was.accepted:
        yield "accepted"


def held_text(held: Proposal[str]) -> str:
    """What an acceptor has accepted."""
    return f"holds {held.ballot} {shown(held.value)}"


def _label(moments: tuple[Moment, ...], messages: list[Message[str]], was: Look, now: Look) -> str:
    kinds = {it.kind: it for it in moments}
    if Kind.FINDS_FAULT in kinds:
        return "finds a fault"
    if Kind.ENDS in kinds:
        return "crashes" if "crash" in kinds[Kind.ENDS].text else "ends"
    if Kind.STARTS in kinds:
        return "starts again"
    if now.knows is not None and was.knows is None:
        return f"knows {shown(now.knows)}"
    if Kind.PROPOSES in kinds:
        return shown(kinds[Kind.PROPOSES].text, len("proposes ") + MOST)
    if Kind.INQUIRES in kinds:
        return "asks"
    if Kind.READS in kinds:
        return "reads"
    if Kind.WAKES in kinds and now.asks != was.asks:
        return "starts over"
    return _told(messages, was, now)


def _told(messages: list[Message[str]], was: Look, now: Look) -> str:
    """What a proposer learns from answers."""
    found = [it.accepted for it in messages if isinstance(it, Promise) and it.accepted]
    if found and now.for_ is not None and was.for_ is None:
        return f"finds {shown(max(found, key=lambda it: it.ballot).value)}"
    return "is refused" if any(isinstance(it, Nack) for it in messages) else ""


def shown(text: str, most: int = MOST) -> str:
    """``text`` as it fits into a picture."""
    plain = printable(text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
