"""The CPU of the log's core, a slot and a command, beside one decision: ``make bench``.

Each figure is the median of PAIRS processes. A batch of commands is one value to the core, which
never looks into it: a command takes a slot's time by the size of the batch. Beside it, in turns,
runs essential-paxos; ratios compare neighbours in time.

    python -m benchmarks.log PAIRS [SLOTS]
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.decisions import COUNT, peer_folder, seconds

HERE = Path(__file__).parent
BATCHES = 1, 10, 100, 500
LONG = 1_000_000
"""How many slots show that a long log is no slower."""

Figures = dict[str, float]


def measured(slots: int, *options: str) -> Figures:
    """What one process has measured."""
    done = subprocess.run(
        [sys.executable, *options, str(HERE / "log_core.py"), str(slots)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def rows(name: str, runs: list[Figures]) -> list[tuple[str, ...]]:
    """The lines of the leader and of a follower."""
    lines: list[tuple[str, ...]] = []
    for role in "leader", "follower":
        slot_us = median(it[role] for it in runs)
        to_accept = median(it[role] / it["accept"] for it in runs)
        commands = (f"{slot_us / batch:.2f}" for batch in BATCHES[1:])
        lines.append((name, role, f"{slot_us:.1f}", *commands, f"{to_accept:.1f}"))
    return lines


def main(pairs: int, slots: int) -> None:
    """Measure; print the table."""
    table = Table(title=f"Python {sys.version.split()[0]}, medians of {pairs} runs, microseconds")
    for heading in ("", "", "a slot", *(f"batch {it}" for it in BATCHES[1:]), "slot to one Accept"):
        table.add_column(heading, justify="right")
    peer = peer_folder()
    plain: list[Figures] = []
    optimised: list[Figures] = []
    ratios: list[float] = []
    for _ in track(range(pairs), "log", transient=True, disable=not sys.stdout.isatty()):
        plain.append(measured(slots))
        if peer is not None:
            theirs = COUNT / seconds("peer.py", 3, peer)
            ratios.append(100 * 1e6 / plain[-1]["all"] / theirs)
        optimised.append(measured(slots, "-O"))
    for row in (*rows("python", plain), *rows("python -O", optimised)):
        table.add_row(*row)
    Console().print(table)
    if ratios:
        print(f"commands a second, three replicas, batch 100, to the peer: {median(ratios):.1f}")
    long = measured(LONG)["leader"] / measured(LONG // 100)["leader"]
    print(f"a slot of the leader, {LONG:,} slots to {LONG // 100:,}: {long:.2f}")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}\n{error.stderr or ''}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
