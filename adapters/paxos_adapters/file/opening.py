"""How a store comes to be, and how it is opened: under its lock from the first step to the last.

- Made under other names, and given its own name whole, so that it is there or not. Nothing that is
  there is replaced.
- What a creation that was cut off has left is cleared away, unless it was saved to.
- All is read and checked before anything is written. What was read is written anew before anybody
  vouches for it: after a sync that failed, the system may take for saved what is not.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_bytes

from attrs import frozen

from paxos import ServerId
from paxos_adapters.file.errors import AlreadyThere, Denied, StoreError, WrongOwner
from paxos_adapters.file.mark import Mark, beside, peek
from paxos_adapters.file.reading import (
    Contents,
    connect_to_read,
    located,
    read,
    refusal,
    without_mark,
)
from paxos_adapters.file.rows import (
    APPLICATION_ID,
    FORMAT,
    PUT_RECORD,
    PUT_TWIN,
    SCHEMA,
    Identity,
    Lines,
    checksum,
    lines,
)

PAGE_BYTES = 1024
"""Small, since a commit writes whole pages. Measured: docs/performance.md."""

CHECKPOINT_PAGES = 4_000
"""After how many pages SQLite moves what is in its log into the file."""

PATIENCE_S = 5.0
"""How long to wait for somebody who reads the file while it is opened."""


@frozen
class Opened:
    """An open file: where it is, its lock, one connection to save, one to load, what it holds."""

    path: Path
    mark: Mark
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    contents: Contents


def create(path: Path, cluster: str, server: ServerId) -> Opened:
    """Make the files of a new server. Raises AlreadyThere, InUse, Denied."""
    try:
        path = path.resolve()
        mark = Mark.unfinished(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise Denied(path, error) from error
    try:
        _clear_the_way(path, mark)
        incarnation = token_bytes(16)
        mark.finish(incarnation)
        _lay_down(path, Identity(cluster, server, incarnation.hex()))
        return _settled(path, mark, cluster, server)
    except BaseException as error:
        mark.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise _refusal(path, error) from error
        raise
    finally:
        with suppress(OSError):  # What stays is cleared away by the next creation.
            mark.unfinished_path.unlink()


def open_file(path: Path, cluster: str, server: ServerId) -> Opened:
    """Open the files of a server that has run before.

    Raises NotThere, NoStore, InUse, WrongOwner, NewerFormat, Damaged, Denied.
    """
    path = located(path)
    try:
        mark = Mark.open(path)
    except FileNotFoundError as error:
        raise without_mark(path) from error
    except OSError as error:
        raise Denied(path, error) from error
    try:
        return _settled(path, mark, cluster, server)
    except BaseException as error:
        mark.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise _refusal(path, error) from error
        raise


def _refusal(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    return refusal(path, error) if isinstance(error, sqlite3.Error) else Denied(path, error)


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + "-new")


def _clear_the_way(path: Path, mark: Mark) -> None:
    """Remove what a creation that was cut off has left. Raises AlreadyThere, InUse."""
    if path.exists():
        raise AlreadyThere(path, "there is a file")
    if beside(path).exists():
        saves = peek(path).saves if mark.is_at(beside(path)) else _saves_of_another(path)
        if saves:
            was = f"it is gone, and {beside(path).name} says that it was saved {saves:,} times"
            raise AlreadyThere(path, was)
    for leftover in beside(path), _unfinished(path):
        leftover.unlink(missing_ok=True)


def _saves_of_another(path: Path) -> int:
    other = Mark.open(path)
    other.close()
    return other.said.saves


def _lay_down(path: Path, identity: Identity) -> None:
    unfinished = _unfinished(path)
    with closing(_connect(unfinished)) as connection:
        connection.executescript(SCHEMA)
        row = identity.cluster, identity.server, identity.incarnation, checksum(identity)
        connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", row)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    _sync(unfinished)
    os.link(unfinished, path)  # Unlike a rename, it replaces nothing.
    unfinished.unlink()
    _sync(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OSError(f"no write-ahead log can be kept here, only {mode!r}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    return connection


def _settled(path: Path, mark: Mark, cluster: str, server: ServerId) -> Opened:
    """Read it all, write it anew, and sync it."""
    contents = read(path, mark.said)
    owner = Identity(cluster, server, contents.identity.incarnation)
    if owner != contents.identity:
        raise WrongOwner(path, str(owner), str(contents.identity))
    writer = _connect(path)
    try:
        if contents.mended:
            _mend(writer, contents)
        (busy, *_) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise TimeoutError(f"another process has been reading it for {PATIENCE_S:.0f} s")
        _sync(path.parent)  # SQLite does not tell if its own sync of the folder fails.
        mark.write(contents.mark, contents.total)
        return Opened(path, mark, writer, connect_to_read(path), contents)
    except BaseException:
        writer.close()
        raise


def _mend(writer: sqlite3.Connection, contents: Contents) -> None:
    everything = [lines(contents.identity, row) for row in contents.rows.values()]
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM records")
    writer.execute("DELETE FROM twins")
    put(writer, everything)
    writer.execute("COMMIT")


def put(writer: sqlite3.Connection, rows: Sequence[Lines]) -> None:
    """Write records and their twins, within a transaction."""
    writer.executemany(PUT_RECORD, [record for record, _, _ in rows])
    writer.executemany(PUT_TWIN, [twin for _, twin, _ in rows])


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
