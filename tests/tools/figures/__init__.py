"""The figures of the lecture, each made from a run of its scenario.

A figure is of the run as it was traced. Some end early, where the lecture's own do. Messages that
never arrive are left out. What the run has broken is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from paxos_lab.draw.layout import part
from paxos_lab.draw.svg import svg
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS, LogScenario, Scenario
from paxos_lab.record import Timeline
from tests.tools.figures.flow import flow
from tests.tools.figures.logs import Panel, logs
from tests.tools.figures.numbers import numbers

FOLDER = Path(__file__).parents[3] / "docs" / "figures"

Draw: TypeAlias = Callable[[Timeline, str], str]


@frozen
class Figure:
    """A figure of the scenario ``run``; it ends with the step ``last``, if that is said."""

    run: str
    title: str
    caption: Callable[[Timeline], str] = lambda _: ""
    last: int | None = None
    draw: Draw | None = None


@frozen
class LogFigure:
    """The logs of all servers in the scenario ``run``, before and after something."""

    run: str
    title: str
    panels: tuple[Panel, Panel]
    caption: str


def _tally(told: Timeline) -> str:
    """Who holds what at the end."""
    held: dict[str, int] = {}
    for look in (it.look for it in told.last.values()):
        if look is not None and look.accepted is not None:
            value = look.accepted.value
            held[value] = held.get(value, 0) + 1
    votes = ", ".join(f"{value} {count}" for value, count in held.items())
    return f"Of {len(told.lanes)} servers: {votes}."


def _majority(told: Timeline) -> str:
    most = len(told.lanes) // 2 + 1
    return f"{_tally(told)} No value has {most}, and none ever will."


def _says(words: str) -> Callable[[Timeline], str]:
    return lambda _: words


FIGURES: dict[str, Figure | LogFigure] = {
    "split-votes": Figure(
        "split-votes", "Split votes: acceptors that keep their first value", _majority, last=18
    ),
    "conflicting-choices": Figure(
        "conflicting-choices",
        "Conflicting choices: acceptors that accept everything",
        _says("S3 is in both majorities, and nobody asked it what it holds."),
    ),
    "conflicting-choices-continued": Figure(
        "looking-first",
        "Conflicting choices, continued: looking first is not enough",
        _says("S5 looked before red was accepted, and red came after it had looked."),
        last=28,
    ),
    "proposal-number": Figure(
        "livelock",
        "Proposal numbers: unique, in order, and the higher one has priority",
        draw=numbers,
    ),
    "basic-paxos": Figure(
        "two-phases", "Basic Paxos: look under a number, then write under it", draw=flow
    ),
    "already-chosen": Figure(
        "already-chosen",
        "Example 1: the value is chosen already",
        _says("Any two majorities share a server: S3 tells S5 of X, and S5 proposes X."),
    ),
    "not-chosen-seen": Figure(
        "not-chosen-seen",
        "Example 2: not chosen yet, but seen",
        _says("S5 cannot tell whether X is chosen, so it proposes X. Both succeed, with X."),
    ),
    "not-chosen-unseen": Figure(
        "not-chosen-unseen",
        "Example 3: not chosen, and not seen",
        _says("S3 has promised 4.5 and refuses 3.1: the older proposal is cut off."),
        last=32,
    ),
    "livelock": Figure(
        "livelock",
        "Livelock: two proposers block each other",
        _says("And so on: nothing is ever accepted. A random delay ends it, or a leader."),
        last=38,
    ),
    "selecting-log-entries": LogFigure(
        "next-slot",
        "Selecting log entries: a command takes the first slot that is free",
        (Panel("Before: S3 has crashed", "S3 crashes"), Panel("After: S1 leads, S3 is back")),
        "S1 has asked S2 alone. cmp and sub may be chosen, so they keep their slots.",
    ),
    "one-prepare": Figure(
        "one-prepare",
        "Eliminating Prepares: one Prepare, then one round trip for each command",
        _says(
            "The promise of 1.1 holds for all slots. S2 learns of a choice with the next Accept."
        ),
        last=18,
    ),
    "speaks-on": LogFigure(
        "speaks-on",
        "Full disclosure: a leader that has learned from a higher number goes on",
        (
            Panel("Before: S1 leads, and learns Y", "S1 commits 2: Y"),
            Panel("After: S1 asks S2 for Z"),
        ),
        "Under 2.1, S1 says that all below slot 3 is chosen. S2 believes it of its X.",
    ),
    "new-quorums-unasked": LogFigure(
        "new-quorums-unasked",
        "Configuration changes: a leader goes on where other quorums govern",
        (
            Panel("Before: S3 and S4 have chosen b", "S3 commits 5: b"),
            Panel("After: S1 has led, and has not asked them"),
        ),
        "S1 and S2 alone have promised, but S3, S4 and S5 decide slot 5: a is chosen, too.",
    ),
    "change-too-early": LogFigure(
        "change-too-early",
        "Question 8: a change of members that is called finished too early",
        (
            Panel("Before: all slots up to 4 are chosen", "S1 commits 4: no-op"),
            Panel("After: the old members are down"),
        ),
        "S4 and S5 are a majority of the new members, and hold nothing of the log.",
    ),
}
"""The figures by name, in the order of the lecture."""


def drawn(figures: Mapping[str, Figure | LogFigure] = FIGURES) -> dict[str, str]:
    """Every figure as SVG, by name, from a new run of each scenario."""
    return {name: _drawn(figure) for name, figure in figures.items()}


def _drawn(figure: Figure | LogFigure) -> str:
    if isinstance(figure, LogFigure):
        return logs(LOG_SCENARIOS[figure.run], figure.title, figure.panels, figure.caption)
    scenarios: dict[str, Scenario | LogScenario] = {**SCENARIOS, **LOG_SCENARIOS}
    played = scenarios[figure.run].play()
    told = part(played.told.delivered, last=figure.last)
    if figure.draw is not None:
        return figure.draw(told, figure.title)
    caption = figure.caption(told)
    return svg(told, title=figure.title, caption=caption, broken=played.broken)
