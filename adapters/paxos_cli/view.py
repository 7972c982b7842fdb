"""``paxos view``: a recording, or two, as one page of HTML, to go through it step by step."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click
from attrs import frozen

from paxos_adapters.outputs import OutputRefused, check, replace
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, failing
from paxos_cli.help import Command
from paxos_cli.options import gathered
from paxos_cli.output import say
from paxos_cli.paths import InputFile, OutputFile, as_utf8
from paxos_cli.recording import asked, replayed, replayed_log, slot_of
from paxos_lab.record import Timeline, log_timeline, single_timeline
from paxos_lab.view import (
    AROUND,
    MAX_STEPS,
    PAGE,
    WHOLE,
    Page,
    Run,
    Window,
    around,
    log_run,
    page_of,
    run,
)


@frozen
class Part:
    """Which steps the page shows, of the recordings of one run or of two."""

    beside: tuple[Path, ...]
    first: int | None
    last: int | None
    around: str | None


@click.command(cls=Command, short_help="Write a page to go through a recording step by step.")
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME]")
@click.option(
    "--out",
    type=OutputFile(PAGE),
    metavar="PAGE",
    help="Where to write it, if not beside FILE.",
)
@click.option("--from", "first", type=click.IntRange(1), metavar="STEP", help="The first step.")
@click.option("--to", "last", type=click.IntRange(1), metavar="STEP", help="The last step.")
@click.option(
    "--around",
    metavar="NAME",
    help=f"{AROUND} steps before and after the choice of this decision, or slot of a log.",
)
@click.option(
    "--beside",
    type=InputFile(),
    multiple=True,
    metavar="FILE",
    help="A recording of another run, to be shown beside it. Once for each of its files.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@gathered(Part)
def view(wanted: Part, files: tuple[str, ...], out: Path | None, opens: bool) -> ExitCode:
    """Write a page that shows the decision NAME, or all, of the recordings FILES.

    Of a log, NAME is a slot; without it, the page shows the whole log. Of more than 10,000 steps,
    it shows the last, unless --from, --to or --around say which. Of two runs, which --beside makes,
    it shows half as many each.

    The page is one file that needs neither a network nor a server: each step with a picture, what
    every server holds, and what can be said by then. It holds the values that were proposed, so it
    is made readable for its owner alone.
    """
    paths, name = asked(files)
    path = paths[0].with_suffix(".html") if out is None else out
    try:
        check(path, PAGE)
    except OutputRefused as error:
        raise Failure(f"{error} (--out names another.)") from error
    made = _page(tuple(paths), name, wanted)
    with failing():
        replace(path, PAGE, made.html.encode(errors="backslashreplace"))
    if made.left_out:
        say(made.left_out, err=True)
    say(path)
    if opens and not webbrowser.open(path.resolve().as_uri()):
        raise Failure("no browser was found: open the page by hand.")
    return ExitCode.DONE


def _page(paths: tuple[Path, ...], name: str | None, wanted: Part) -> Page:
    if not wanted.beside:
        return page_of(_run(paths, name, ", ".join(it.name for it in paths), wanted))
    if twice := {it.resolve() for it in paths} & {it.resolve() for it in wanted.beside}:
        same = ", ".join(sorted(it.name for it in twice))
        raise click.UsageError(f"{same} is of both runs: --beside names files of another run.")
    both = paths, wanted.beside
    titles = [", ".join(it.name for it in those) for those in both]
    if titles[0] == titles[1]:
        titles = [", ".join(map(str, those)) for those in both]
    return page_of(*(_run(*it, wanted) for it in zip(both, (name, name), titles, strict=True)))


def _run(paths: tuple[Path, ...], name: str | None, title: str, wanted: Part) -> Run:
    most = MAX_STEPS // 2 if wanted.beside else MAX_STEPS
    log = replayed_log(paths)
    if log is not None:
        slot = None if wanted.around is None else slot_of(wanted.around)
        with failing():
            told = None if slot is None else log_timeline(log)
            window = _window(wanted, told, slot)
            of = None if name is None else slot_of(name)
            return log_run(log, title=title, slot=of, window=window, max_steps=most)
    found = replayed(paths)
    with failing():
        around = None if wanted.around is None else as_utf8(wanted.around)
        told = None if around is None else single_timeline(found, around)
        window = _window(wanted, told)
        return run(found, title=title, name=name, window=window, max_steps=most)


def _window(wanted: Part, told: Timeline | None, slot: int | None = None) -> Window:
    first, last = wanted.first or 1, wanted.last
    if told is not None:
        if wanted.first is not None or last is not None:
            raise click.UsageError("--around says where it begins and ends: leave out the others.")
        return around(told, slot)
    if last is not None and last < first:
        raise click.UsageError(f"--from {first} comes after --to {last}.")
    return Window(first, last) if (first, last) != (1, None) else WHOLE
