"""``paxos explain``: what has become of a decision, and why, from recordings or from stores."""

from __future__ import annotations

from pathlib import Path

import click

from paxos_adapters.printable import printable
from paxos_cli.canvas import canvas
from paxos_cli.failures import failing
from paxos_cli.options import PLAIN
from paxos_cli.paths import InputFile, as_utf8
from paxos_cli.recording import asked, replayed
from paxos_lab.explain import (
    Evidence,
    UnknownDecision,
    explain,
    of_files,
    of_replay,
)

SQLITE = b"SQLite format 3\0"


@click.command("explain", short_help="Say what has become of a decision, and why.")
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
def explain_files(files: tuple[str, ...], nodes: tuple[Path, ...], plain: bool) -> int:
    """Say what has become of the decision NAME, or of all, and why.

    FILES are recordings, or else the stores of servers: of as many servers as there are, since what
    is not seen may have happened. With --node, servers of this machine that run are asked about
    NAME. Exits with 1 if something is not decided.
    """
    if nodes:
        decisions = _running(nodes, files)
    elif files:
        paths, name = asked(files)
        decisions = _scenes(paths, name)
    else:
        raise click.UsageError("name recordings or stores, or servers that run: --node FILE NAME.")
    drawn = canvas(plain)
    decided = True
    for number, (of, evidence) in enumerate(decisions.items()):
        found = explain(evidence, of)
        if len(decisions) > 1:
            drawn.write(f"\n{printable(of)}" if number else printable(of), "bold")
        drawn.write(found.text)
        decided &= found.is_decided
    return 0 if decided else 1


def _running(nodes: tuple[Path, ...], words: tuple[str, ...]) -> dict[str, Evidence[str]]:
    """The evidence of one decision, from what servers that run say of it."""
    if len(words) != 1:
        raise click.UsageError("name one decision: --node FILE NAME.")
    try:
        from paxos_cli.states import told
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"--node needs {missing.name}, which comes with the extra 'udp'."
        ) from missing
    name = as_utf8(words[0])
    return {name: told(nodes, name)}


def _scenes(paths: list[Path], name: str | None) -> dict[str, Evidence[str]]:
    with failing():
        if all(map(_is_store, paths)):
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
