"""The flow of Basic Paxos, filled in from a run: both phases, both roles, in seven steps.

It shows the attempt with the highest ballot. The steps are the lecture's; the numbers, the values
and who held what are those of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from paxos import Ballot, Promise, Proposal
from paxos_lab.draw.shapes import MARGIN, Point, head, number, text, tip
from paxos_lab.draw.style import colours
from paxos_lab.record import RecordingError, Timeline

WIDTH, HEIGHT = 946.0, 580.0
X = 134.0, 242.0, 350.0, 578.0, 722.0  # of the boxes, from left to right
TOP, BELOW, WIDE, TALL, LINE = 116.0, 368.0, 206.0, 142.0, 21.0


@frozen
class _Attempt:
    """What came of one ballot: what its promises told, what it asked for, who accepted it."""

    ballot: Ballot
    proposer: str
    told: dict[str, Proposal[str] | None]
    value: str
    voters: tuple[str, ...]

    @property
    def found(self) -> Proposal[str] | None:
        """The highest that was told."""
        held = [it for it in self.told.values() if it is not None]
        return max(held, key=lambda it: it.ballot, default=None)


def flow(timeline: Timeline, title: str) -> str:
    """The last attempt of ``timeline``. Raises RecordingError if it has chosen nothing."""
    attempt, hues = _attempt(timeline), colours(timeline)
    mine, theirs = hues.proposers[attempt.ballot.server], hues.values[attempt.value]
    return "\n".join(_parts(attempt, title, mine, theirs)) + "\n"


def _attempt(timeline: Timeline) -> _Attempt:
    if not timeline.decided:
        raise RecordingError("nothing was chosen: there is no whole flow to show.")
    choice, lanes = timeline.decided[-1].choice, timeline.lanes
    ballot = choice.chosen.ballot
    told = {
        lanes[arrow.sender]: arrow.words.found
        for arrow in timeline.arrows
        if type(arrow.message) is Promise and arrow.words.ballot == ballot
    }
    voters = tuple(lanes[it] for it in sorted(choice.voters))
    return _Attempt(ballot, lanes[ballot.server], told, choice.chosen.value, voters)


def _parts(it: _Attempt, title: str, mine: str, theirs: str) -> Iterator[str]:
    ballot, value, found = it.ballot, it.value, it.found
    looked = (
        ("Nothing is found:", "propose its own value,", value)
        if found is None
        else ("Take the value of the", "highest number found:", f"{found.ballot} {found.value}")
    )
    held = (
        f"{who} holds {'nothing' if what is None else f'{what.ballot} {what.value}'}"
        for who, what in it.told.items()
    )
    rule = f"If {ballot} is at least", "what it has promised:"
    yield from head(WIDTH, HEIGHT, title)
    yield text(MARGIN, MARGIN + 18, title, 22, "title start")
    yield from _phase(X[0], X[2], "Phase 1: look, and block what is older")
    yield from _phase(X[3], X[4], "Phase 2: write")
    yield text(MARGIN, TOP + TALL / 2, "Proposer", 18, "name start")
    yield text(MARGIN, TOP + TALL / 2 + 24, it.proposer, 18, "start")
    yield text(MARGIN, BELOW + TALL / 2, "Acceptors", 18, "name start")
    yield text(MARGIN, BELOW + TALL / 2 + 24, ", ".join(it.told), 18, "start")
    down, up = (TOP + TALL, BELOW - 1), (BELOW, TOP + TALL + 1)
    yield from _way((X[0] + 120, down[0]), (X[1] + 50, down[1]), mine, "message")
    yield from _way((X[1] + 172, up[0]), (X[2] + 50, up[1]), mine, "message answer")
    yield from _way((X[2] + 120, down[0]), (X[3] + 50, down[1]), mine, "message")
    yield from _way((X[3] + 172, up[0]), (X[4] + 60, up[1]), mine, "message answer")
    middle = (TOP + TALL + BELOW) / 2
    yield from _badge(X[0] + 22, middle + 20, 2)
    yield _said(X[0] + 42, middle + 25, f"Prepare {ballot}")
    yield _said(X[1] + 182, middle + 25, f"Promise {ballot}")
    yield from _badge(X[2] + 242, middle - 20, 5)
    yield _said(X[2] + 262, middle - 15, f"Accept {ballot} {value}")
    yield _said(X[3] + 228, middle + 25, f"Accepted {ballot}")
    first = "Choose a new number,", "above all it has seen,", "and save it:"
    yield from _box(X[0], TOP, 1, (*first, "", str(ballot)), mine)
    yield from _box(X[1], BELOW, 3, (*rule, "promise, save, answer", *held), mine)
    yield from _box(X[2], TOP, 4, ("A majority answers.", *looked[:2], "", looked[2]), theirs)
    ends = f"{', '.join(it.voters)} now hold", f"{ballot} {value}"
    yield from _box(X[3], BELOW, 6, (*rule, "accept, save, answer", *ends), theirs)
    end = "A majority accepts,", "nobody refuses:", "", f"★ {value} is chosen"
    yield from _box(X[4], TOP, 7, end, theirs)
    yield text(
        MARGIN, HEIGHT - 22, f"A proposer that is refused starts over, above {ballot}.", 16, "start"
    )
    yield "</svg>"


def _phase(first: float, last: float, words: str) -> Iterator[str]:
    x, width = first - 10, last - first + WIDE + 20
    yield (
        f'<g><rect class="part" x="{number(x)}" y="58" width="{number(width)}"'
        f' height="{number(BELOW + TALL - 58 + 16)}" rx="10"/></g>'
    )
    yield text(x + 14, 86, words, 18, "title start")


def _box(x: float, y: float, step: int, lines: Sequence[str], hue: str) -> list[str]:
    """A step: what it says, the last line in the colour of what it is about."""
    parts = [
        f'<g class="moment {hue}">',
        f'<rect class="box" x="{number(x)}" y="{number(y)}" width="{number(WIDE)}"'
        f' height="{number(TALL)}" rx="8"/>',
    ]
    top = y + (TALL - LINE * len(lines)) / 2 + 14
    for row, line in enumerate(lines):
        is_last = row == len(lines) - 1
        size, classes = (16.0, "what") if is_last and row < 5 else (16.0, "words")
        parts.append(text(x + WIDE / 2 + 1, top + row * LINE, line, size, classes))
    return [*parts, "</g>", *_badge(x, y, step)]


def _badge(x: float, y: float, step: int) -> list[str]:
    place = f'cx="{number(x)}" cy="{number(y)}" r="12.5"'
    return [f'<g class="badge"><circle {place}/>' + text(x, y + 6, str(step), 16, "what") + "</g>"]


def _way(start: Point, end: Point, hue: str, classes: str) -> Iterator[str]:
    (x, y), (to_x, to_y) = start, end
    line = f"M{number(x)} {number(y)}L{number(to_x)} {number(to_y)}"
    yield f'<g class="{classes} {hue}"><path d="{line}"/>'
    yield f'<path class="head" d="{tip(start, end)}"/></g>'


def _said(x: float, y: float, words: str) -> str:
    return text(x, y, words, 16, "start")
