"""``paxos lecture``: the headings of the lecture, played on the real functions and drawn."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from textwrap import fill

import click

from paxos_cli.canvas import Canvas, canvas
from paxos_cli.options import PLAIN
from paxos_cli.recording import log_recording, record_option, recording
from paxos_lab.lecture import (
    LOG_SCENARIOS,
    SCENARIOS,
    ClaimFailed,
    LogScenario,
    Played,
    Scenario,
)
from paxos_lab.lecture.log_stage import RULES

WIDTH = 80  # of a page, in characters: what a projector shows in large type
LANE, LOG_LANE = 7, 6  # characters; leave 45 beside five lanes, and 50


@click.command(short_help="Play the lecture's examples, heading by heading.")
@click.argument("name", required=False)
@click.option("--all", "play_all", is_flag=True, help="Play every scenario.")
@record_option
@PLAIN
def lecture(name: str | None, play_all: bool, record: Path | None, plain: bool) -> int:
    """Play the scenario NAME of the lecture, and check that it ends as the lecture says.

    Without a name, list what can be played. Q is for the questions of the examination.
    """
    if name is not None and play_all:
        raise click.UsageError(f"'{name}' or --all, not both.")
    if record is not None and name is None:
        raise click.UsageError("--record takes the NAME of one scenario.")
    drawing = canvas(plain)
    if play_all:
        return max([_show(it, it.play(), drawing) for it in _every().values()])
    if name is None:
        return _list(drawing)
    scenario, facts = _named(name), {"scenario": name}
    if isinstance(scenario, LogScenario):
        with log_recording(
            record, "lecture", RULES, facts, protocol=scenario.protocol
        ) as log_recorder:
            return _show(scenario, scenario.play(log_recorder), drawing)
    with recording(record, "lecture", scenario.protocol, facts) as recorder:
        return _show(scenario, scenario.play(recorder), drawing)


def _every() -> dict[str, Scenario | LogScenario]:
    return {**SCENARIOS, **LOG_SCENARIOS}


def _named(name: str) -> Scenario | LogScenario:
    every = _every()
    if name in every:
        return every[name]
    near = " or ".join(f"'{it}'" for it in get_close_matches(name, every, cutoff=0.5))
    hint = f"Did you mean {near}?" if near else "'paxos lecture' lists them all."
    raise click.BadParameter(f"there is no scenario '{name}'. {hint}", param_hint="'NAME'")


def _list(drawing: Canvas) -> int:
    longest = max(map(len, _every()))
    drawing.write("The lecture, executed. Q is for the questions of its examination.")
    for part, of in ("Part 1: Basic Paxos", SCENARIOS), ("Part 2: Multi-Paxos", LOG_SCENARIOS):
        drawing.write(f"\n{part}")
        for it in of.values():
            drawing.write(f"{it.heading:>4}  {it.name:{longest}}  {it.title}")
    drawing.write("\nPlay one: paxos lecture NAME. Play them all: paxos lecture --all.")
    return 0


def _show(scenario: Scenario | LogScenario, played: Played, drawing: Canvas) -> int:
    title = f"{scenario.heading}. {scenario.title}"
    drawing.write(title, "bold")
    drawing.write(drawing.glyphs.line * len(title))
    drawing.write(fill(scenario.text, WIDTH))
    protocol = scenario.protocol
    drawing.write("\n" + fill(f"The servers run '{protocol.name}': {protocol.summary}.", WIDTH))
    drawing.legend("event")
    if isinstance(scenario, LogScenario):
        drawing.timeline(played.told.delivered, width=LOG_LANE)
        _slots(played, drawing)
    else:
        drawing.timeline(played.told.delivered, width=LANE)
        drawing.knowledge("Who holds what", played.told)
    _conclude(played, drawing)
    return 0 if played.failure is None else 1


def _slots(played: Played, drawing: Canvas) -> None:
    """What each server has in each slot: a ballot stands before what is only accepted."""
    count = len(played.slots[0]) - 2
    headings = "server", "promised", *(f"slot {it}" for it in range(1, count + 1))
    drawing.write()
    drawing.table(headings, played.slots, title="Who holds what; no number: known to be chosen")


def _conclude(played: Played, drawing: Canvas) -> None:
    yes, no = ("+", "!") if drawing.plain else ("✓", "✗")
    drawing.write()
    for claim in played.claims:
        drawing.write(f"{yes} {claim}", "green")
    failure = played.failure
    if failure is not None:
        claim = failure.claim if isinstance(failure, ClaimFailed) else str(failure)
        drawing.write(fill(f"{no} {claim}", WIDTH), "red")
    chosen = "\n        ".join(played.choices or ("nothing",))
    drawing.write(f"chosen: {chosen}\n", "bold")
    if failure is not None:
        drawing.write("This is not what the lecture says.\n", "red")
