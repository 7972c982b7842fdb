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
MODES = {"python": (), "python -O": ("-O",)}


def peer_folder() -> Path:
    """Where the peer's modules lie, installed on the first call."""
    paths = sysconfig.get_paths("venv", vars={"base": str(PEER_HOME), "platbase": str(PEER_HOME)})
    folder = Path(paths["purelib"]) / "paxos"
    if not folder.exists():
        print(f"installing {PEER} into an environment of its own")
        venv.create(PEER_HOME, with_pip=True, clear=True)
        python = Path(paths["scripts"]) / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return folder


def seconds(script: str, mode: tuple[str, ...], servers: int, path: Path | None) -> float:
    """How long one process took for its decisions, its own start left out."""
    done = subprocess.run(
        [sys.executable, *mode, str(HERE / script), str(servers), str(COUNT)],
        env=os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main(pairs: int) -> None:
    """Measure all modes and sizes, ``pairs`` times each; print the table."""
    path = peer_folder()
    tty = sys.stdout.isatty()
    table = Table(title=f"Python {sys.version.split()[0]}, medians of {pairs} pairs")
    for heading in (
        "acceptors",
        "run as",
        "decisions/s",
        "messages/s",
        "peer decisions/s",
        "ratio",
    ):
        table.add_column(heading, justify="right")
    cases = [(servers, mode) for servers in (3, 5) for mode in MODES]
    for servers, mode in cases:
        measured = [
            (
                seconds("ours.py", MODES[mode], servers, None),
                seconds("peer.py", MODES[mode], servers, path),
            )
            for _ in track(
                range(pairs), f"{servers} acceptors, {mode}", transient=True, disable=not tty
            )
        ]
        ours = COUNT / median(own for own, _ in measured)
        peer = COUNT / median(other for _, other in measured)
        ratio = median(other / own for own, other in measured)
        row = f"{ours:,.0f}", f"{4 * servers * ours:,.0f}", f"{peer:,.0f}", f"{ratio:.2f}"
        table.add_row(str(servers), mode, *row)
    Console().print(table)
    print("ratio: ours to the peer's; the peer's objects are mutable, unsaved, and never refuse")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}\n{error.stderr or ''}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
