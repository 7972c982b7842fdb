"""``paxos view``: a recording as one page of HTML, to go through it step by step."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from paxos_adapters.cli.recordings import asked, replayed
from paxos_adapters.explaining import UnknownDecision
from paxos_adapters.recording import RecordingError, Replay
from paxos_adapters.viewing import Page, is_page, page


@click.command(short_help="Write a page to go through a recording step by step.")
@click.argument("files", nargs=-1, required=True, metavar="FILE... [NAME]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE",
    help="Where to write it, if not beside FILE.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@click.option("--force", is_flag=True, help="Overwrite PAGE even if it is something else.")
def view(files: tuple[str, ...], out: Path | None, opens: bool, force: bool) -> int:
    """Write a page that shows the decision NAME, or all, of the recordings FILES.

    The page is one file that needs neither a network nor a server: each step with a picture, what
    every server holds, and what can be said by then. It holds the values that were proposed, so it
    is made readable for its owner alone.
    """
    paths, name = asked(files)
    path = paths[0].with_suffix(".html") if out is None else out
    made = _page(replayed(tuple(paths)), ", ".join(it.name for it in paths), name)
    _write(path, made.html, paths, force)
    if made.left_out:
        click.echo(made.left_out, err=True)
    click.echo(path)
    if opens and not webbrowser.open(path.resolve().as_uri()):
        raise click.ClickException("no browser was found: open the page by hand.")
    return 0


def _page(found: Replay, title: str, name: str | None) -> Page:
    try:
        return page(found, title=title, name=name)
    except (RecordingError, UnknownDecision) as error:
        raise click.ClickException(str(error)) from error


def _write(path: Path, html: str, recordings: list[Path], force: bool) -> None:
    """All of it or nothing, and in place of nothing but a page, unless by ``force``."""
    try:
        if path.exists():
            if not path.is_file() or any(path.samefile(it) for it in recordings):
                raise _taken(path, "no place for a page: name another one with --out.")
            if not force and not is_page(path):
                raise _taken(path, "no page of paxos view: --force overwrites it.")
        with NamedTemporaryFile("wb", dir=path.parent, prefix=".paxos-", delete=False) as file:
            try:
                file.write(html.encode(errors="backslashreplace"))
                file.close()
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from error


def _taken(path: Path, why: str) -> click.ClickException:
    return click.ClickException(f"{path} is there already, and is {why}")
