"""How a store comes to be, and how it is opened: under its lock from the first step to the last.

- Made under other names, and given its own name whole, so that it is there or not. Nothing that is
  there is replaced, and no link that is there is followed.
- What a creation that was cut off has left is removed, unless it was saved to.
- All is read and checked before anything is written. What was read is written anew before anything
  is acknowledged: after a sync that failed, the system may take for saved what is not.
- Each opening draws a session, after a kill too. One commit ends the last one, with the saves that
  were *found in the database*, and begins the new one. Then the mark says so, written and synced.
- The chain keeps at most MAX_SESSIONS entries. The oldest go first; the one that the mark names
  stays, since the mark may not say more yet if this opening is cut off.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import TypeVar

from attrs import evolve, frozen

from paxos_adapters.disk_status import NO_SESSION, Known
from paxos_adapters.file import private
from paxos_adapters.file.errors import (
    MembershipClosed,
    StoreError,
    StoreExists,
    StoreUnavailable,
    WrongMembers,
    WrongOwner,
)
from paxos_adapters.file.identity import FORMAT, Identity, key_of
from paxos_adapters.file.mark import SESSION_BYTES, Mark, mark_path, peek, unfinished
from paxos_adapters.file.reading import (
    Contents,
    connect_to_read,
    read,
    real_path,
    refusal,
    without_mark,
)
from paxos_adapters.file.rows import (
    APPLICATION_ID,
    SCHEMA,
    Row,
    Session,
    keyed_sum,
    session_row,
)
from paxos_adapters.file.writing import PATIENCE_S, Writer, fill, old_sessions, put
from paxos_adapters.outputs import is_beside_a_store, sync

T = TypeVar("T")

MAX_SESSIONS = 100_000
"""How many entries the chain keeps. A supervisor that starts a program which ends at once, once a
second, draws as many in a day; a peer that received nothing since then cannot verify descent."""

SIDES = "-wal", "-shm", "-journal"
"""What SQLite puts beside a database."""


@frozen
class Opened:
    """An open file: where it is, its lock, one connection to save, one to load, what it holds.

    ``contents`` are as of the beginning of ``session``; ``last`` is the one before, with its end.
    """

    path: Path
    mark: Mark
    writer: Writer
    reader: sqlite3.Connection
    contents: Contents
    session: Session
    last: Known


def create(path: Path, identity: Identity, rows: Iterable[Row] = ()) -> Opened:
    """Make the files of a new server; the incarnation is drawn here.

    It begins with ``rows``, of saves of 1. Raises StoreExists, StoreLocked, StoreUnavailable, and
    what ``rows`` raise.
    """
    path = place(path)
    try:
        mark = Mark.unfinished(path)
    except (OSError, ValueError) as error:
        raise StoreUnavailable(path, error) from error
    try:
        _remove_leftovers(path, mark)
        incarnation = token_bytes(16)
        mark.finish(incarnation)
        identity = evolve(identity, incarnation=incarnation.hex())
        _create_database(path, identity, rows)
        return _finish_open(path, mark, identity)
    except BaseException as error:
        mark.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise _refusal(path, error) from error
        raise
    finally:
        with suppress(OSError):  # The next creation removes what stays.
            unfinished(path).unlink()


def open_file(path: Path, identity: Identity) -> Opened:
    """Open the files of a server that has run before; the incarnation is the one found there.

    Raises StoreNotFound, NotAStore, StoreLocked, WrongOwner, WrongMembers, MembershipClosed,
    OlderFormat, NewerFormat, StoreCorrupted, StoreUnavailable.
    """
    return under_lock(path, lambda path, mark: _finish_open(path, mark, identity))


def place(path: Path) -> Path:
    """The path of a new store, its folder free of links. Raises StoreUnavailable, StoreExists."""
    try:
        if path.name in ("", ".."):
            raise FileNotFoundError(f"{str(path)!r} names no file")
        path = path.parent.resolve(strict=True) / path.name
        if is_beside_a_store(path):
            raise StoreExists(path, "its name is one that another store uses")
        return path
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreUnavailable(path, error) from error


def under_lock(path: Path, use: Callable[[Path, Mark], T]) -> T:
    """Take the lock of a store that is there, and use it; the lock is kept if that goes well.

    Raises StoreNotFound, NotAStore, StoreLocked, StoreCorrupted, OlderFormat, StoreUnavailable, and
    what ``use`` raises.
    """
    path = real_path(path)
    try:
        mark = Mark.open(path)
    except FileNotFoundError as error:
        raise without_mark(path) from error
    except OSError as error:
        raise StoreUnavailable(path, error) from error
    try:
        for file in path, *(path.with_name(path.name + side) for side in SIDES):
            private.tighten(file)
        return use(path, mark)
    except BaseException as error:
        mark.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise _refusal(path, error) from error
        raise


def _refusal(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    return (
        refusal(path, error) if isinstance(error, sqlite3.Error) else StoreUnavailable(path, error)
    )


def draft_of(path: Path) -> Path:
    """Where a store stands as long as it is being made."""
    return path.with_name(path.name + "-new")


def _remove_leftovers(path: Path, mark: Mark) -> None:
    """Remove what a creation that was cut off has left. Raises StoreExists, StoreLocked."""
    if os.path.lexists(path):
        raise StoreExists(path, "there is a link" if path.is_symlink() else "there is a file")
    if os.path.lexists(mark_path(path)):
        saves = peek(path).saves if mark.is_at(mark_path(path)) else _saves_of_another(path)
        if saves:
            was = f"it is gone, and {mark_path(path).name} says that it was saved {saves:,} times"
            raise StoreExists(path, was)
    for side in SIDES:
        if os.path.lexists(path.with_name(path.name + side)):
            raise StoreExists(path, f"it is gone, and {path.name}{side} is there, a part of it")
    clear_draft(path)
    mark_path(path).unlink(missing_ok=True)


def clear_draft(path: Path) -> None:
    """Remove what stands where the store at ``path`` is made. Raises StoreExists, OSError.

    A draft has no mark; what has one is the store of another server.
    """
    draft = draft_of(path)
    if os.path.lexists(mark_path(draft)):
        raise StoreExists(path, f"{draft.name}, where it would be made, is another store")
    for leftover in draft, *(draft.with_name(draft.name + it) for it in SIDES):
        leftover.unlink(missing_ok=True)


def _saves_of_another(path: Path) -> int:
    other = Mark.open(path)
    other.close()
    return other.content.saves


def _create_database(path: Path, identity: Identity, rows: Iterable[Row]) -> None:
    draft = draft_of(path)
    os.close(private.make(draft))
    with closing(Writer(draft)) as connection:
        connection.executescript(SCHEMA)
        it = identity
        owner = it.cluster, it.server, it.words, it.membership, it.incarnation
        row = *owner, keyed_sum(key_of(*owner), b"")
        connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        fill(connection, identity, rows)
    sync(draft)
    os.link(draft, path)  # Unlike a rename, it replaces nothing.
    draft.unlink()
    sync(path.parent)


def _finish_open(path: Path, mark: Mark, expected: Identity) -> Opened:
    """Read it all, write it anew, sync it, and begin a session."""
    contents = read(path, mark.content)
    _check_owner(path, contents, expected)
    writer = Writer(path)
    try:
        empty_log(path, writer)
        session = _begin(writer, mark, contents)
        before = contents.session
        last = Known(NO_SESSION, 0) if before is None else Known(before.session, contents.saves)
        return Opened(path, mark, writer, connect_to_read(path), contents, session, last)
    except BaseException:
        writer.close()
        raise


def _check_owner(path: Path, contents: Contents, expected: Identity) -> None:
    found = contents.identity
    if (found.cluster, found.server) != (expected.cluster, expected.server):
        raise WrongOwner(path, str(expected), str(found))
    if found.digest != expected.digest:
        raise WrongMembers(path, expected.members, found.members)
    if contents.closed is not None:
        raise MembershipClosed(path, contents.closed)


def empty_log(path: Path, writer: sqlite3.Connection) -> None:
    """Move what the log holds into the file, synced. Raises TimeoutError, sqlite3.Error."""
    (busy, *_) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise TimeoutError(f"another process has been reading it for {PATIENCE_S:.0f} s")
    sync(path.parent)  # SQLite does not tell if its own sync of the folder fails.


def _begin(writer: Writer, mark: Mark, contents: Contents) -> Session:
    """End the last session and begin another one, in the file first and in the mark then."""
    saves = contents.saves + 1
    session = Session(token_hex(SESSION_BYTES), saves)
    rows = [session_row(session, saves)]
    last = contents.session
    if last is not None:
        rows.append(session_row(evolve(last, ended=contents.saves), saves))
    too_many = max(0, contents.sessions + 1 - MAX_SESSIONS)
    kept = mark.content.session, "" if last is None else last.session
    writer.execute("BEGIN IMMEDIATE")
    gone = old_sessions(writer, kept, too_many) if too_many else []
    total = put(writer, contents.identity, rows, contents.total, gone)
    writer.execute("COMMIT")
    mark.begin(session.session, saves, total)
    return session
