"""Decisions a second of the bare core, beside essential-paxos, in one run: ``make bench``.

The two take turns, each in a process of its own; a ratio compares neighbours in time, so that a
machine whose speed drifts moves both. Printed are medians of the pairs. The peer is installed
into an environment of its own, since it too calls its package ``paxos``.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = Path(__file__).parent
PEER_HOME = HERE.parent / "build" / "essential-paxos"
PEER = "essential-paxos==2.0"
COUNT = 4000
HEADINGS = ("acceptors", "decisions/s", "messages/s", "peer decisions/s", "ratio")


def peer_folder() -> Path | None:
    """Where the peer's modules lie, installed on the first call; None if it cannot be had."""
    paths = sysconfig.get_paths("venv", vars={"base": str(PEER_HOME), "platbase": str(PEER_HOME)})
    folder = Path(paths["purelib"]) / "paxos"
    if not folder.exists():
        print(f"installing {PEER} into an environment of its own")
        venv.create(PEER_HOME, with_pip=True, clear=True)
        pip = (Path(paths["scripts"]) / "python", "-m", "pip", "install", "--quiet", PEER)
        if subprocess.run(pip, check=False).returncode:
            print(f"skipping {PEER}: it could not be installed, so there is nothing beside ours")
            return None
    return folder


def seconds(script: str, servers: int, path: Path | None = None) -> float:
    """How long one process took for its decisions, its own start left out."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), str(servers), str(COUNT)],
        env=os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return float(done.stdout)


def row(servers: int, pairs: int, peer: Path | None) -> tuple[str, ...]:
    """One line of the table: ``pairs`` runs of ours, each with one of the peer's behind it."""
    ours: list[float] = []
    ratios: list[float] = []
    theirs: list[float] = []
    name = f"{servers} acceptors"
    for _ in track(range(pairs), name, transient=True, disable=not sys.stdout.isatty()):
        ours.append(seconds("ours.py", servers))
        if peer is not None:
            theirs.append(seconds("peer.py", servers, peer))
            ratios.append(theirs[-1] / ours[-1])
    rate = COUNT / median(ours)
    figures = f"{rate:,.0f}", f"{4 * servers * rate:,.0f}"
    if not theirs:
        return str(servers), *figures, "skipped", ""
    return str(servers), *figures, f"{COUNT / median(theirs):,.0f}", f"{median(ratios):.2f}"


def main(pairs: int) -> None:
    """Measure all sizes; print the table."""
    peer = peer_folder()
    table = Table(title=f"Python {sys.version.split()[0]}, medians of {pairs} pairs")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for servers in (3, 5):
        table.add_row(*row(servers, pairs, peer))
    Console().print(table)
    print("ratio: ours to the peer's; the peer's objects are mutable, unsaved, and never refuse")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}\n{error.stderr or ''}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
