"""What a command shows once, or with ``--watch`` as it changes.

- On a terminal it is drawn anew, once a second. Elsewhere a line comes for each thing that changed;
  with ``--json`` an object a line for each change.
- Trouble, such as a server that has ended, is shown, and looking goes on.
- Ctrl-C or SIGTERM ends it with a summary.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Event
from time import monotonic

import click
from attrs import frozen
from rich.console import Group
from rich.live import Live

from paxos_adapters.printable import json_text, printable
from paxos_adapters.words import counted
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, lines_of
from paxos_cli.interrupt import on_interrupt
from paxos_cli.output import say

EVERY_S = 1.0
"""How often it looks."""

WATCH = click.option("--watch", is_flag=True, help="Go on, and show what changes, until Ctrl-C.")


@frozen
class Form:
    """How it is shown."""

    as_json: bool
    plain: bool
    watch: bool


@frozen
class View:
    """What is seen at one moment: for programs, line by line for people, and as a picture."""

    fields: object
    lines: Mapping[str, str]
    draw: Callable[[Canvas], None]
    code: ExitCode


def show(look: Callable[[], View], form: Form) -> ExitCode:
    """Show what ``look`` sees, once or again and again."""
    if form.watch:
        return _Watch(look, form).run()
    view = look()
    if form.as_json:
        say(json_text(view.fields))
    else:
        view.draw(canvas(form.plain))
    return view.code


class _Watch:
    """One watch, from its start to Ctrl-C."""

    def __init__(self, look: Callable[[], View], form: Form) -> None:
        self._look = look
        self._as_json = form.as_json
        self._canvas = canvas(form.plain)
        self._told = Event()
        self._seen: Mapping[str, str] = {}
        self._looks = self._changes = self._lost = 0

    def run(self) -> ExitCode:
        """Look until it is told to end."""
        began_s = monotonic()
        with on_interrupt(self._told.set):
            if self._canvas.console.is_terminal and not self._as_json:
                self._redraw()
            else:
                for view in self._views():
                    self._print(view)
        say(self._summary(monotonic() - began_s), err=True)
        return ExitCode.STOPPED

    def _views(self) -> Iterator[View]:
        """What is seen, once a second."""
        while not self._told.is_set():
            view = self._sight()
            self._looks += 1
            self._lost += view.code in (ExitCode.QUORUM_LOST, ExitCode.NO_SERVER)
            yield view
            self._told.wait(EVERY_S)

    def _sight(self) -> View:
        """What is seen now; trouble is something to see, too."""
        try:
            return self._look()
        except Failure as error:
            told = {"code": int(error.code), "kind": error.code.kind, "message": str(error)}
            what = " ".join(lines_of(error))
            return View({"error": told}, {"": what}, lambda it: it.write(what), error.code)

    def _redraw(self) -> None:
        with Live(console=self._canvas.console, auto_refresh=False) as live:
            for view in self._views():
                self._note(view)
                live.update(Group(*self._canvas.lines(partial(view.draw, self._canvas))))
                live.refresh()

    def _print(self, view: View) -> None:
        lines = self._note(view)
        if self._as_json:
            lines = [json.dumps(view.fields)] if lines else []
        for line in lines:
            say(line)
        sys.stdout.flush()

    def _note(self, view: View) -> list[str]:
        """A line for each thing that is not as it was."""
        news = [line for it, line in view.lines.items() if self._seen.get(it) != line]
        gone = [printable(f"gone: {it}") for it in self._seen if it and it not in view.lines]
        self._changes += len(news) + len(gone)
        self._seen = view.lines
        return [*news, *gone]

    def _summary(self, time_s: float) -> str:
        lost = f", {counted(self._lost, 'time')} without a quorum or a server" if self._lost else ""
        seen = f"{counted(self._looks, 'look')}, {counted(self._changes, 'change')}"
        return f"Watched for {time_s:.0f} s: {seen}{lost}."
