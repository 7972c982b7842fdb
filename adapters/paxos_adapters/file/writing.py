"""How rows are written: in one transaction, which keeps the total of all checksums.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020), for the order of
things after a failed sync: nothing is tried again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import (
    DELETE,
    GET_OLD_SESSIONS,
    PUT,
    SESSION,
    Key,
    Row,
    checksum,
    update_total,
)

PAGE_BYTES = 1024
"""Small, since a commit writes whole pages. Measured: docs/performance.md."""

CHECKPOINT_PAGES = 4_000
"""After how many pages SQLite moves what is in its log into the file."""

KEPT_LOG_BYTES = 8 << 20
"""To what size SQLite cuts off a log that grew larger, once it could be emptied."""

PATIENCE_S = 5.0
"""How long to wait for another process that uses the file while it is opened."""

AT_ONCE = 32
"""How many rows of a new file are held in memory: each may be as large as a piece of a snapshot."""


class Writer(sqlite3.Connection):
    """A connection that syncs each commit.

    ``replaced`` holds the checksums that the rows of the last ``put`` have replaced.
    """

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error, OSError."""
        super().__init__(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        self.replaced = list[bytes]()
        self.create_function("note_replaced", 1, self.replaced.append)
        self.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        (mode,) = self.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise OSError(f"no write-ahead log can be kept here, only {mode!r}")
        self.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.execute(f"PRAGMA journal_size_limit = {KEPT_LOG_BYTES}")
        self.execute("PRAGMA synchronous = FULL")
        self.execute("PRAGMA fullfsync = ON")
        self.execute("PRAGMA checkpoint_fullfsync = ON")


def put(
    writer: Writer, identity: Identity, rows: Sequence[Row], total: int, gone: Iterable[Key] = ()
) -> int:
    """Write ``rows`` and remove those of ``gone``, within a transaction; the new total."""
    writer.replaced.clear()
    for key in gone:
        writer.replaced.extend(sum_ for (sum_,) in writer.execute(DELETE, key))
    sums = [checksum(identity, row) for row in rows]
    writer.executemany(PUT, [(*row, sum_) for row, sum_ in zip(rows, sums, strict=True)])
    return update_total(total, add=sums, remove=writer.replaced)


def fill(writer: Writer, identity: Identity, rows: Iterable[Row]) -> None:
    """Write the first ``rows`` of a file, in one transaction. Raises what they raise."""
    left = iter(rows)
    writer.execute("BEGIN IMMEDIATE")
    while some := [*islice(left, AT_ONCE)]:
        put(writer, identity, some, 0)
    writer.execute("COMMIT")


def old_sessions(writer: sqlite3.Connection, kept: tuple[str, str], most: int) -> list[Key]:
    """The oldest sessions but for the two that are ``kept``, in order, at most so many."""
    found = writer.execute(GET_OLD_SESSIONS, (*kept, most))
    return [(name, SESSION) for (name,) in found]
