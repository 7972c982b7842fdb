"""``paxos draw``: a recording as a picture, in the terminal, as SVG, or for Mermaid."""

from __future__ import annotations

from pathlib import Path

import click
from attrs import frozen

from paxos_adapters.outputs import replace
from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import failing
from paxos_cli.help import Command
from paxos_cli.options import PLAIN, gathered
from paxos_cli.output import say
from paxos_cli.paths import OutputFile
from paxos_cli.recording import asked, has_numbers, replayed, replayed_log, slot_of
from paxos_lab.draw.layout import part
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.shapes import PICTURE
from paxos_lab.draw.svg import svg
from paxos_lab.record import Timeline, log_timeline, single_timeline

MOST = 300  # steps in one picture: more than a reader can follow
LANE = 7  # characters from lane to lane


@frozen
class Options:
    """What is drawn, and how."""

    first: int
    last: int | None
    picture: Path | None
    as_mermaid: bool
    without_lost: bool
    title: str
    plain: bool


@click.command(cls=Command, short_help="Draw a recording: in the terminal, as SVG, or for Mermaid.")
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME]")
@click.option(
    "--from", "first", type=click.IntRange(1), metavar="N", default=1, help="The first step."
)
@click.option("--to", "last", type=click.IntRange(1), metavar="N", help="The last step.")
@click.option(
    "--svg",
    "picture",
    type=OutputFile(PICTURE),
    metavar="FILE",
    help="Write a picture to FILE.",
)
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a sequence diagram for Mermaid.")
@click.option("--without-lost", is_flag=True, help="Leave out messages that never arrive.")
@click.option("--title", default="", metavar="TEXT", help="What stands above the picture.")
@PLAIN
@gathered(Options)
def draw(options: Options, files: tuple[str, ...]) -> ExitCode:
    """Draw the decision NAME, or the only one, of the recordings FILES.

    Of a log, NAME is a slot; without it, the whole log is drawn.

    Name the recordings of all servers of a cluster together. Steps are numbered from 1, through
    all decisions.
    """
    first, last = options.first, options.last
    if options.picture is not None and options.as_mermaid:
        raise click.UsageError("--svg or --mermaid, not both.")
    if last is not None and last < first:
        raise click.UsageError(f"--from {first} comes after --to {last}.")
    told = _window(_told(*asked(files)), first, last)
    if options.without_lost:
        told = told.delivered
    if options.picture is not None:
        picture = svg(told, title=options.title)
        with failing():
            replace(options.picture, PICTURE, picture.encode())
        say(f"Drawn: {printable(options.picture)}.")
    elif options.as_mermaid:
        say(mermaid(told), nl=False)
    else:
        _print(canvas(options.plain), told, options.title)
    return ExitCode.DONE


def _told(paths: list[Path], name: str | None) -> Timeline:
    files = tuple(paths)
    log = replayed_log(files)
    if log is not None:
        slot = None if name is None else slot_of(name)
        with failing():
            return log_timeline(log, slot=slot).delivered
    found = replayed(files)
    names = found.names
    if name is None and len(names) > 1:
        few = ", ".join(map(repr, names[:8])) + (", and more" if len(names) > 8 else "")
        raise click.UsageError(
            f"there are {len(names):,} decisions: {few}. Name one behind the files."
        )
    with failing():
        decision = name if name is not None else next(iter(names), "")
        return single_timeline(found, decision, has_numbers=has_numbers(found))


def _window(told: Timeline, first: int, last: int | None) -> Timeline:
    shown = part(told, first, last)
    steps = [it.step for it in shown.moments if it.step >= first]
    if not steps:
        ends = told.moments[0].step, told.moments[-1].step
        raise click.UsageError(f"no step is in between: there are steps {ends[0]} to {ends[1]}.")
    if len(steps) > MOST:
        raise click.UsageError(
            f"{len(steps):,} steps are more than a picture can hold, which is {MOST}: "
            f"take some of them, such as --from {steps[0]} --to {steps[MOST - 1]}."
        )
    return shown


def _print(drawn: Canvas, told: Timeline, title: str) -> None:
    if title:
        drawn.write(f"{printable(title)}\n", "bold")
    drawn.legend("event")
    drawn.timeline(told, width=LANE)
    drawn.knowledge("Who holds what", told)
