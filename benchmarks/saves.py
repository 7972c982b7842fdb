"""Saves a second of the file store, beside the floor and a bare SQLite commit: ``make bench``.

All three take turns within one run, save by save, so that a disk whose speed drifts moves them all.

- *floor*: append the bytes of the records to a file, and fdatasync.
- *SQLite*: one table of names and bytes, one commit, with the settings of the store: no checksums
  and no mark.
- *store*: ``FileStore.save``.

Printed are medians over the saves of a batch, and the medians of the ratios between neighbours.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import frozen
from rich.console import Console
from rich.progress import track
from rich.table import Table

from paxos import Acceptor, Ballot, Proposal, ServerId, majority
from paxos_adapters.file import FileStore
from paxos_adapters.file.entries import Entry
from paxos_adapters.file.writing import CHECKPOINT_PAGES, PAGE_BYTES

HERE = Path(__file__).parent
BATCHES = 1, 10, 100, 500
VALUE = b"v" * 64
HEADINGS = (
    *("records a save", "floor, us", "SQLite, us", "store, us", "store, saves/s"),
    *("store to floor", "store to SQLite"),
)
PUT = "INSERT INTO t VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"


@frozen
class Batch:
    """The same records, in three forms."""

    entries: list[Entry]
    rows: list[tuple[str, bytes]]
    appended: bytes


def batch(size: int, number: int) -> Batch:
    """``size`` records, each for a decision of its own."""
    ballot = Ballot(number, ServerId(1))
    state = Acceptor(ballot, Proposal(ballot, VALUE))
    body = f"promised {ballot} accepted {ballot} ".encode() + VALUE
    names = [f"decision {place}" for place in range(size)]
    return Batch(
        [(name, state) for name in names],
        [(name, body) for name in names],
        b"".join(name.encode() + body for name in names),
    )


def appending(folder: Path) -> Callable[[Batch], None]:
    """The floor."""
    file = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def save(it: Batch) -> None:
        os.write(file, it.appended)
        os.fdatasync(file)

    return save


def committing(folder: Path) -> Callable[[Batch], None]:
    """SQLite, and nothing else."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE t (name TEXT PRIMARY KEY, body BLOB) STRICT, WITHOUT ROWID")

    def save(it: Batch) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(PUT, it.rows)
        connection.execute("COMMIT")

    return save


def storing(folder: Path) -> Callable[[Batch], None]:
    """The store."""
    file = FileStore.create(
        folder / "n1.db", cluster="bench", server=ServerId(1), quorum=majority([ServerId(1)])
    )

    def save(it: Batch) -> None:
        file.save(it.entries)

    return save


def measure(folder: Path, size: int, saves: int) -> list[tuple[float, ...]]:
    """The seconds that each of the three took for each save."""
    ways = [make(folder) for make in (appending, committing, storing)]
    taken: list[tuple[float, ...]] = []
    title = f"{size} records a save"
    for number in track(range(saves), title, transient=True, disable=not sys.stdout.isatty()):
        it, seconds = batch(size, number + 1), list[float]()
        for save in ways:
            started = time.perf_counter()
            save(it)
            seconds.append(time.perf_counter() - started)
        taken.append(tuple(seconds))
    return taken


def row(size: int, taken: list[tuple[float, ...]]) -> tuple[str, ...]:
    """One line of the table."""
    floor, bare, store = (median(column) * 1e6 for column in zip(*taken, strict=True))
    to_floor = median(it[2] / it[0] for it in taken)
    to_bare = median(it[2] / it[1] for it in taken)
    times = f"{floor:,.0f}", f"{bare:,.0f}", f"{store:,.0f}", f"{1e6 / store:,.0f}"
    return str(size), *times, f"{to_floor:.2f}", f"{to_bare:.2f}"


def main(saves: int) -> None:
    """Measure all batches; print the table."""
    table = Table(title=f"SQLite {sqlite3.sqlite_version}, medians of {saves} saves of each kind")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for size in BATCHES:
        with TemporaryDirectory(dir=HERE.parent) as folder:
            table.add_row(*row(size, measure(Path(folder), size, saves)))
    Console().print(table)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
