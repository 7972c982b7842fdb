"""``paxos explain``: what has become of a decision or a log, and why, from recordings or stores."""

from __future__ import annotations

from pathlib import Path

import click

from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, failing
from paxos_cli.help import Command
from paxos_cli.options import PLAIN
from paxos_cli.paths import InputFile, as_utf8
from paxos_cli.recording import asked, replayed, replayed_log, slot_of
from paxos_lab.explain import (
    Evidence,
    UnknownDecision,
    explain,
    explain_log,
    explain_slot,
    of_files,
    of_log,
    of_replay,
)
from paxos_lab.record import LogReplay

SQLITE = b"SQLite format 3\0"


@click.command("explain", cls=Command, short_help="Say what has become of a decision, and why.")
@click.argument("files", nargs=-1, metavar="FILE... [NAME]")
@click.option(
    "--node",
    "nodes",
    type=InputFile(),
    multiple=True,
    metavar="FILE",
    help="Ask the server that runs on this data file; of several, each.",
)
@PLAIN
def explain_files(files: tuple[str, ...], nodes: tuple[Path, ...], plain: bool) -> ExitCode:
    """Say what has become of the decision NAME, or of all, and why.

    FILES are recordings, or else the stores of servers: of as many servers as there are, since what
    is not seen may have happened. Of a log, NAME is a slot. With --node, servers of this machine
    that run are asked about NAME. Exits with 4 if something is not decided.
    """
    drawn = canvas(plain)
    if nodes:
        return _explain(drawn, _running(nodes, files))
    if not files:
        raise click.UsageError(
            "name recordings or data files; or --node FILE of servers that run, and a decision."
        )
    paths, name = asked(files)
    with failing():
        are_stores = all(map(_is_store, paths))
    log = None if are_stores else replayed_log(tuple(paths))
    if log is not None:
        return _explain_log(drawn, log, name)
    return _explain(drawn, _scenes(paths, name, are_stores=are_stores))


def _explain(drawn: Canvas, decisions: dict[str, Evidence[str]]) -> ExitCode:
    decided = True
    for number, (of, evidence) in enumerate(decisions.items()):
        found = explain(evidence, of)
        if len(decisions) > 1:
            drawn.write(f"\n{printable(of)}" if number else printable(of), "bold")
        drawn.write(found.text)
        decided &= found.is_decided
    return ExitCode.DONE if decided else ExitCode.NOTHING_CHOSEN


def _explain_log(drawn: Canvas, replay: LogReplay, name: str | None) -> ExitCode:
    evidence = of_log(replay)
    if name is None:
        log = explain_log(evidence)
        drawn.write(log.text)
        return ExitCode.DONE if log.is_decided else ExitCode.NOTHING_CHOSEN
    slot = explain_slot(evidence, slot_of(name))
    drawn.write(slot.text)
    return ExitCode.DONE if slot.is_decided else ExitCode.NOTHING_CHOSEN


def _running(nodes: tuple[Path, ...], words: tuple[str, ...]) -> dict[str, Evidence[str]]:
    """The evidence of one decision, from what servers that run say of it."""
    if len(words) != 1:
        raise click.UsageError("name one decision: --node FILE NAME.")
    try:
        from paxos_cli.states import told
    except ModuleNotFoundError as missing:
        raise Failure(
            f"--node needs {missing.name}, which comes with the extra 'udp'."
        ) from missing
    name = as_utf8(words[0])
    return {name: told(nodes, name)}


def _scenes(paths: list[Path], name: str | None, *, are_stores: bool) -> dict[str, Evidence[str]]:
    with failing():
        if are_stores:
            decisions = of_files(paths)
        else:
            found = replayed(tuple(paths))
            decisions = {it: of_replay(found, it) for it in found.names}
        if name is not None and name not in decisions:
            raise UnknownDecision(name, decisions)
    return decisions if name is None else {name: decisions[name]}


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE
