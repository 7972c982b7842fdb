"""The logs of all servers, from a run: what each has in each slot, before and after.

Slots run to the right, servers down. A filled slot is known to be chosen. An outlined one is
accepted, under the number below its entry. Each entry has its hue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from attrs import frozen

from paxos import Proposal, ServerId
from paxos.log.messages import Entry
from paxos_lab.draw.shapes import MARGIN, head, number, text, verdict, width_of
from paxos_lab.draw.style import of_values
from paxos_lab.lecture import LogScenario
from paxos_lab.lecture.log_stage import WORDS, Held, held
from paxos_lab.record import log_timeline

TOP, ROW, TALL = 124.0, 60.0, 46.0
NAME, SPACE, APART = 48.0, 5.0, 24.0
TITLE, PANEL, ENTRY, CAPTION = 22.0, 17.0, 16.0, 16.0
NARROW, BOLD = 58.0, 1.1  # BOLD: wider than plain letters
KEY = "Filled: known to be chosen. Outlined: accepted, under this number."


@frozen
class Panel:
    """The logs after the first moment that is told as ``until``; in the end, if there is none."""

    title: str
    until: str | None = None


@frozen
class _Columns:
    """Where slots begin in a panel, and how wide they are; the hues of entries."""

    left: tuple[float, ...]
    wide: tuple[float, ...]
    hue: dict[str, str]


def logs(scenario: LogScenario, title: str, panels: Sequence[Panel], caption: str) -> str:
    """The logs of a run of ``scenario``, panel by panel."""
    stage = scenario.stage()
    scenario.schedule(stage)
    told = log_timeline(stage.trace)
    steps = {
        f"{told.lanes[it.lane]} {words}": it.step
        for it in reversed(told.moments)
        for words in (it.does, *it.reports)
    }
    states = [held(stage.trace, steps[it.until] if it.until else None) for it in panels]
    return (
        "\n".join(_parts(states, title, [it.title for it in panels], caption, stage.seen.broken))
        + "\n"
    )


def _parts(
    states: Sequence[dict[ServerId, Held]],
    title: str,
    titles: Sequence[str],
    caption: str,
    broken: str | None,
) -> Iterator[str]:
    columns = _columns([it.chosen | it.accepted for state in states for it in state.values()])
    panel = max(columns.left[-1] + columns.wide[-1], *(BOLD * width_of(it, PANEL) for it in titles))
    wide = len(states) * panel + (len(states) - 1) * APART
    wide = max(wide, BOLD * width_of(title, TITLE), width_of(caption, CAPTION))
    bottom = TOP + ROW * len(states[0])
    end = "" if broken is None else f"✗ Broken rule: {broken}"
    label = f"{title}. {end}" if end else title
    yield from head(2 * MARGIN + wide, bottom + 64 + (TITLE + 22 if end else 0), label)
    yield text(MARGIN, MARGIN + 18, title, TITLE, "title start")
    for place, (state, words) in enumerate(zip(states, titles, strict=True)):
        x = MARGIN + place * (panel + APART)
        yield text(x, TOP - 44, words, PANEL, "title start")
        for slot, (left, width) in enumerate(zip(columns.left, columns.wide, strict=True), 1):
            yield text(x + left + width / 2, TOP - 12, str(slot), 16, "state")
        for row, (me, it) in enumerate(state.items()):
            yield from _row(x, TOP + row * ROW, me, it, columns)
    yield text(MARGIN, bottom + 14, KEY, 16, "key start")
    yield text(MARGIN, bottom + 44, caption, CAPTION, "start")
    if end:
        yield from verdict(end, bottom + 62, 2 * MARGIN + wide)
    yield "</svg>"


def _columns(held_: Sequence[dict[int, Proposal[Entry[str]]]]) -> _Columns:
    count = max(max(it, default=0) for it in held_)
    wide = [NARROW] * count
    for slots in held_:
        for slot, it in slots.items():
            wide[slot - 1] = max(wide[slot - 1], BOLD * width_of(WORDS.entry(it.value), ENTRY) + 8)
    left = accumulate((it + SPACE for it in wide[:-1]), initial=NAME)
    entries = sorted((slot, WORDS.entry(it.value)) for slots in held_ for slot, it in slots.items())
    return _Columns(tuple(left), tuple(wide), of_values([entry for _, entry in entries]))


def _row(x: float, y: float, me: ServerId, state: Held, columns: _Columns) -> Iterator[str]:
    yield text(x, y + TALL / 2 + (6 if state.is_up else -2), f"S{me}", 18, "name start")
    if not state.is_up:
        yield text(x, y + TALL / 2 + 16, "down", 16, "state start")
    slots = state.chosen | state.accepted
    for slot, (left, wide) in enumerate(zip(columns.left, columns.wide, strict=True), 1):
        box = (
            f'x="{number(x + left)}" y="{number(y)}" width="{number(wide)}"'
            f' height="{number(TALL)}" rx="8"'
        )
        if slot not in slots:
            yield f'<rect class="part" {box}/>'
            continue
        it, middle = slots[slot], x + left + wide / 2
        hue, is_chosen = columns.hue[WORDS.entry(it.value)], slot in state.chosen
        kind = f'accepted {hue}" style="--held:var(--paxos-{hue})' if is_chosen else hue
        yield f'<g class="moment {kind}"><rect class="box" {box}/>'
        yield text(middle, y + (29 if is_chosen else 21), WORDS.entry(it.value), ENTRY, "what")
        if not is_chosen:
            yield text(middle, y + 40, str(it.ballot), 16, "what")
        yield "</g>"
