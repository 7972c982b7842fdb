"""``paxos explain``: what has become of a decision, and why, from recordings or from stores."""

from __future__ import annotations

from pathlib import Path

import click

from paxos_adapters.file import StoreError
from paxos_adapters.printable import printable
from paxos_cli.canvas import canvas
from paxos_cli.paths import InputFile, as_utf8
from paxos_cli.recording import asked, replayed
from paxos_lab.explain import (
    MembersDiffer,
    Scene,
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
@click.option("--plain", is_flag=True, help="ASCII characters, no colour.")
def explain_files(files: tuple[str, ...], nodes: tuple[Path, ...], plain: bool) -> int:
    """Say what has become of the decision NAME, or of all, and why.

    FILES are recordings, or else the stores of servers: of as many servers as there are, since what
    is not seen may have happened. With --node, servers of this machine that run are asked about
    NAME. Exits with 1 if something is not decided.
    """
    if nodes:
        scenes = _running(nodes, files)
    elif files:
        paths, name = asked(files)
        scenes = _scenes(paths, name)
    else:
        raise click.UsageError("name recordings or stores, or servers that run: --node FILE NAME.")
    drawn = canvas(plain)
    decided = True
    for number, (of, scene) in enumerate(scenes.items()):
        found = explain(scene, of)
        if len(scenes) > 1:
            drawn.write(f"\n{printable(of)}" if number else printable(of), "bold")
        drawn.write(found.text)
        decided &= found.is_decided
    return 0 if decided else 1


def _running(nodes: tuple[Path, ...], words: tuple[str, ...]) -> dict[str, Scene[str]]:
    """The scene of one decision, from what servers that run say of it."""
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


def _scenes(paths: list[Path], name: str | None) -> dict[str, Scene[str]]:
    try:
        if all(map(_is_store, paths)):
            scenes = of_files(paths)
        else:
            found = replayed(tuple(paths))
            scenes = {it: of_replay(found, it) for it in found.names}
        if name is not None and name not in scenes:
            raise UnknownDecision(name, scenes)
    except (StoreError, UnknownDecision, MembersDiffer) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be read: {error.strerror}.") from error
    return scenes if name is None else {name: scenes[name]}


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE
