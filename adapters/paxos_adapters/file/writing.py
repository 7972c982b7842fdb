"""How rows are written: in one transaction, which keeps the total of all checksums.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020), for the order of
things after a failed sync: nothing is tried again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import (
    DELETE,
    GET_OLD_SESSIONS,
    GET_SUM,
    PUT,
    SESSION,
    Key,
    Row,
    added,
    checksum,
)

PAGE_BYTES = 1024
"""Small, since a commit writes whole pages. Measured: docs/performance.md."""

CHECKPOINT_PAGES = 4_000
"""After how many pages SQLite moves what is in its log into the file."""

KEPT_LOG_BYTES = 8 << 20
"""To what size SQLite cuts off a log that grew larger, once it could be emptied."""

PATIENCE_S = 5.0
"""How long to wait for another process that uses the file while it is opened."""


def connect_to_write(path: Path) -> sqlite3.Connection:
    """A connection that syncs each commit. Raises sqlite3.Error, OSError."""
    connection = sqlite3.connect(
        path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OSError(f"no write-ahead log can be kept here, only {mode!r}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {KEPT_LOG_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    return connection


def put(
    writer: sqlite3.Connection,
    identity: Identity,
    rows: Sequence[Row],
    total: int,
    gone: Iterable[Key] = (),
) -> int:
    """Write ``rows`` and remove those of ``gone``, within a transaction; the new total."""
    for key in gone:
        total = added(total, gone=_sum_of(writer, key))
        writer.execute(DELETE, key)
    lines: list[tuple[object, ...]] = []
    for row in rows:
        sum_ = checksum(identity, row)
        total = added(total, sum_, gone=_sum_of(writer, row.key))
        lines.append((row.name, row.kind, row.fields, row.value, row.saves, sum_))
    writer.executemany(PUT, lines)
    return total


def _sum_of(writer: sqlite3.Connection, key: Key) -> bytes | None:
    found: tuple[bytes] | None = writer.execute(GET_SUM, key).fetchone()
    return None if found is None else found[0]


def old_sessions(writer: sqlite3.Connection, kept: tuple[str, str], most: int) -> list[Key]:
    """The oldest sessions but for the two that are ``kept``, in order, at most so many."""
    found = writer.execute(GET_OLD_SESSIONS, (*kept, most))
    return [(name, SESSION) for (name,) in found]
