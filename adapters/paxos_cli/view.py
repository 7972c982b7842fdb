"""``paxos view``: a recording as one page of HTML, to go through it step by step."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from paxos_adapters.outputs import OutputRefused, check, replace
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, failing
from paxos_cli.help import Command
from paxos_cli.output import say
from paxos_cli.paths import OutputFile
from paxos_cli.recording import asked, replayed, replayed_log, slot_of
from paxos_lab.view import PAGE, log_page, page


@click.command(cls=Command, short_help="Write a page to go through a recording step by step.")
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME]")
@click.option(
    "--out",
    type=OutputFile(PAGE),
    metavar="PAGE",
    help="Where to write it, if not beside FILE.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
def view(files: tuple[str, ...], out: Path | None, opens: bool) -> ExitCode:
    """Write a page that shows the decision NAME, or all, of the recordings FILES.

    Of a log, NAME is a slot; without it, the page shows the whole log.

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
    log = replayed_log(tuple(paths))
    title = ", ".join(it.name for it in paths)
    with failing():
        if log is not None:
            made = log_page(log, title=title, slot=None if name is None else slot_of(name))
        else:
            made = page(replayed(tuple(paths)), title=title, name=name)
        replace(path, PAGE, made.html.encode(errors="backslashreplace"))
    if made.left_out:
        say(made.left_out, err=True)
    say(path)
    if opens and not webbrowser.open(path.resolve().as_uri()):
        raise Failure("no browser was found: open the page by hand.")
    return ExitCode.DONE
