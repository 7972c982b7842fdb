"""``paxos lecture``: the headings of the lecture, played on the real functions and drawn."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from textwrap import fill
from typing import TypeAlias

import click
from attrs import frozen

from paxos_cli.canvas import BROKEN, Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import PLAIN, gathered
from paxos_cli.recording import log_recording, record_option, recording
from paxos_cli.stepping import Part, Screen
from paxos_lab.lecture import (
    LOG_SCENARIOS,
    SCENARIOS,
    ClaimFailed,
    LogScenario,
    Played,
    Scenario,
)
from paxos_lab.lecture.log_stage import RULES
from paxos_lab.lecture.terms import TERMS

WIDTH = 80  # of a page, in characters: what a projector shows in large type
LANE, LOG_LANE = 7, 6  # characters; leave 45 beside five lanes, and 50

Show: TypeAlias = Callable[[Scenario | LogScenario, Played, Canvas], ExitCode]


def _complete(
    context: click.Context,  # noqa: ARG001 - as click calls it
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[str]:
    return [name for name in _every() if name.startswith(incomplete)]


@frozen
class Options:
    """What is played, and how it is shown."""

    play_all: bool
    step: bool
    record: Path | None
    plain: bool


@click.command(cls=Command, short_help="Play the lecture's examples, heading by heading.")
@click.argument("name", required=False, shell_complete=_complete)
@click.option("--all", "play_all", is_flag=True, help="Play every scenario, through a pager.")
@click.option("--step", is_flag=True, help="Go on at a key, screen by screen of 80x24.")
@record_option
@PLAIN
@gathered(Options)
def lecture(options: Options, name: str | None) -> ExitCode:
    """Play the scenario NAME of the lecture, and check that it ends as the lecture says.

    Without a name, list what can be played. Q is for the questions of the examination.
    """
    record, drawing = options.record, canvas(options.plain)
    if name is not None and options.play_all:
        raise click.UsageError(f"'{name}' or --all, not both.")
    if name is None and record is not None:
        raise click.UsageError("--record takes the NAME of one scenario.")
    if name is None and options.step:
        raise click.UsageError("--step takes the NAME of one scenario.")
    if options.play_all:
        return drawing.paged(
            lambda: max([_show(it, it.play(), drawing) for it in _every().values()])
        )
    if name is None:
        return _list(drawing)
    if options.step and not drawing.console.is_terminal:
        raise click.UsageError(
            "--step waits for keys: leave it out where the output is not a terminal."
        )
    return _play(name, record, drawing, _step if options.step else _show)


def _play(name: str, record: Path | None, drawing: Canvas, show: Show) -> ExitCode:
    scenario, facts = _named(name), {"scenario": name}
    if isinstance(scenario, LogScenario):
        protocol = scenario.protocol
        with log_recording(record, "lecture", RULES, facts, protocol=protocol) as log_recorder:
            return show(scenario, scenario.play(log_recorder), drawing)
    with recording(record, "lecture", scenario.protocol, facts) as recorder:
        return show(scenario, scenario.play(recorder), drawing)


def _every() -> dict[str, Scenario | LogScenario]:
    return {**SCENARIOS, **LOG_SCENARIOS}


def _named(name: str) -> Scenario | LogScenario:
    every = _every()
    if name in every:
        return every[name]
    near = " or ".join(f"'{it}'" for it in get_close_matches(name, every, cutoff=0.5))
    hint = f"Did you mean {near}?" if near else "'paxos lecture' lists them all."
    raise click.BadParameter(f"there is no scenario '{name}'. {hint}", param_hint="'NAME'")


def _list(drawing: Canvas) -> ExitCode:
    longest = max(map(len, _every()))
    drawing.write("The lecture, executed. Q is for the questions of its examination.")
    for part, of in ("Part 1: Basic Paxos", SCENARIOS), ("Part 2: Multi-Paxos", LOG_SCENARIOS):
        drawing.write(f"\n{part}")
        for it in of.values():
            drawing.item(f"{it.heading:>4}  {it.name:{longest}}", it.title)
    drawing.write("\nPlay one: paxos lecture NAME. Play them all: paxos lecture --all.")
    return ExitCode.DONE


def _step(scenario: Scenario | LogScenario, played: Played, drawing: Canvas) -> ExitCode:
    Screen(drawing).show(parts_of(scenario, played, drawing))
    return ExitCode.DONE if played.failure is None else ExitCode.FAILED


def _show(scenario: Scenario | LogScenario, played: Played, drawing: Canvas) -> ExitCode:
    for part in parts_of(scenario, played, drawing):
        for line in part.lines:
            drawing.console.print(line)
    drawing.write()
    return ExitCode.DONE if played.failure is None else ExitCode.FAILED


def parts_of(scenario: Scenario | LogScenario, played: Played, drawing: Canvas) -> list[Part]:
    """What is shown of a scenario, in order."""
    is_log = isinstance(scenario, LogScenario)
    width = LOG_LANE if is_log else LANE

    def picture() -> None:
        drawing.timeline(played.told.delivered, width=width)

    def held() -> None:
        if is_log:
            _slots(played, drawing)
        else:
            drawing.knowledge("Who holds what", played.told)

    return [
        Part(drawing.lines(lambda: _introduce(scenario, drawing))),
        Part(drawing.lines(picture), is_picture=True),
        Part(drawing.lines(held)),
        Part(drawing.lines(lambda: _conclude(played, drawing))),
    ]


def _introduce(scenario: Scenario | LogScenario, drawing: Canvas) -> None:
    title = f"{scenario.heading}. {scenario.title}"
    drawing.write(title, "bold")
    drawing.write(drawing.glyphs.line * min(len(title), drawing.console.width))
    drawing.write(fill(scenario.text, WIDTH))
    protocol = scenario.protocol
    drawing.write("\n" + fill(f"The servers run '{protocol.name}': {protocol.summary}.", WIDTH))
    terms = TERMS.get(scenario.name, {})
    longest = max(map(len, terms), default=0)
    for term, meaning in terms.items():
        drawing.item(f"  {term:{longest}}", meaning)
    drawing.legend("event")


def _slots(played: Played, drawing: Canvas) -> None:
    """What each server has in each slot: a ballot stands before what is only accepted."""
    count = len(played.slots[0]) - 2
    headings = "server", "promised", *(f"slot {it}" for it in range(1, count + 1))
    drawing.write()
    drawing.table(headings, played.slots, title="Who holds what; no number: known to be chosen")


def _conclude(played: Played, drawing: Canvas) -> None:
    """The claims and the choices; last, and in the colour of an alarm, what is broken."""
    yes, no, shows = ("+", "!", "-") if drawing.plain else ("✓", "✗", "•")
    drawing.write()
    for claim in played.claims:
        if played.broken is None:
            drawing.write(f"{yes} {claim}", "green")
        else:
            drawing.write(f"{shows} {claim}")
    failure = played.failure
    if failure is not None:
        claim = failure.claim if isinstance(failure, ClaimFailed) else str(failure)
        drawing.write(fill(f"{no} {claim}", WIDTH), "red")
    chosen = "\n        ".join(played.choices or ("nothing",))
    drawing.write(f"chosen: {chosen}", "bold")
    if failure is not None:
        drawing.write(f"{no} This is not what the lecture says.", BROKEN)
    elif played.broken is not None:
        drawing.write(f"{no} Broken rule: {played.broken}", BROKEN)
