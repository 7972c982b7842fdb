"""``paxos lecture``: the headings of the lecture, played on the real functions and drawn."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from textwrap import fill

import click

from paxos import PaxosError
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.options import PLAIN
from paxos_cli.recording import record_option, recording
from paxos_lab.lecture import SCENARIOS, ClaimFailed, Scenario, Stage
from paxos_lab.record import Recorder, single_timeline

WIDTH = 80  # of a page, in characters: what a projector shows in large type
LANE = 7  # leaves 45 characters beside five lanes


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
        return max([_play(scenario, drawing) for scenario in SCENARIOS.values()])
    if name is None:
        return _list(drawing)
    scenario = _named(name)
    with recording(record, "lecture", scenario.protocol, {"scenario": name}) as recorder:
        return _play(scenario, drawing, recorder)


def _named(name: str) -> Scenario:
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = " or ".join(f"'{it}'" for it in get_close_matches(name, SCENARIOS, cutoff=0.5))
    hint = f"Did you mean {near}?" if near else "'paxos lecture' lists them all."
    raise click.BadParameter(f"there is no scenario '{name}'. {hint}", param_hint="'NAME'")


def _list(drawing: Canvas) -> int:
    longest = max(map(len, SCENARIOS))
    drawing.write("The lecture, executed. Q is for the questions of its examination.\n")
    for scenario in SCENARIOS.values():
        drawing.write(f"{scenario.heading:>4}  {scenario.name:{longest}}  {scenario.title}")
    drawing.write("\nPlay one: paxos lecture NAME. Play them all: paxos lecture --all.")
    return 0


def _play(scenario: Scenario, drawing: Canvas, recorder: Recorder[str] | None = None) -> int:
    stage = scenario.stage(recorder)
    failure: PaxosError | None = None
    try:
        scenario.schedule(stage)
    except PaxosError as error:
        failure = error
    title = f"{scenario.heading}. {scenario.title}"
    drawing.write(title, "bold")
    drawing.write(drawing.glyphs.line * len(title))
    drawing.write(fill(scenario.text, WIDTH))
    protocol = scenario.protocol
    drawing.write("\n" + fill(f"The servers run '{protocol.name}': {protocol.summary}.", WIDTH))
    drawing.legend("event")
    told = single_timeline(stage.trace)
    drawing.timeline(told.delivered, width=LANE)
    drawing.knowledge("Who holds what", told)
    _conclude(stage, drawing, failure)
    return 0 if failure is None else 1


def _conclude(stage: Stage, drawing: Canvas, failure: PaxosError | None) -> None:
    yes, no = ("+", "!") if drawing.plain else ("✓", "✗")
    drawing.write()
    for claim in stage.claims:
        drawing.write(f"{yes} {claim}", "green")
    if failure is not None:
        claim = failure.claim if isinstance(failure, ClaimFailed) else str(failure)
        drawing.write(fill(f"{no} {claim}", WIDTH), "red")
    drawing.write(f"{_outcome(stage)}\n", "bold")
    if failure is not None:
        drawing.write("This is not what the lecture says.\n", "red")


def _outcome(stage: Stage) -> str:
    """What is chosen, one choice a line."""
    lines = [
        f"{choice.chosen.value} by {', '.join(f'S{me}' for me in sorted(choice.voters))} "
        f"under {choice.chosen.ballot}"
        for choice in stage.choices
    ]
    return "chosen: " + "\n        ".join(lines or ["nothing"])
