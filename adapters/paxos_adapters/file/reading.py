"""What is in a store, and whether all of it is as it was saved.

- Rows are read as a stream, one at a time: a store of any size is checked in bounded memory.
- The schema is the expected one, to the letter: no other table, index, trigger, view or column.
- The highest count of saves on any row is that of the store; the mark beside it may say less, and
  never more. If it says as much, it says what all checksums add up to.
- The chain of sessions has one entry without an end, the last. It holds the session that the mark
  names, with a count at its end, or by now, that is not below the mark's.
- Reading changes nothing. A file without a write-ahead log is read as it is. One with such a log,
  of a server that runs or was killed, is read by SQLite, which may put an index beside it.
- What the system does not let us read is not damage.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from attrs import Factory, define, frozen

from paxos import ServerId
from paxos_adapters.disk_status import Known
from paxos_adapters.file.epochs import founding
from paxos_adapters.file.errors import (
    NewerFormat,
    NotAStore,
    OlderFormat,
    StoreCorrupted,
    StoreError,
    StoreLocked,
    StoreNotFound,
    StoreUnavailable,
)
from paxos_adapters.file.identity import FORMAT, Identity, key_of
from paxos_adapters.file.log_checks import LogChecks, LogContents
from paxos_adapters.file.mark import MarkContent, mark_path, peek
from paxos_adapters.file.meanings import check_meaning
from paxos_adapters.file.rows import (
    ACCEPTOR,
    CLOSED,
    EPOCH,
    GET_ROWS,
    PEERS,
    ROUND,
    SCHEMA,
    SESSION,
    Epoch,
    Row,
    Session,
    checksum,
    closed_of,
    epoch_of,
    keyed_sum,
    peers_of,
    session_of,
    update_total,
)
from paxos_adapters.outputs import SQLITE
from paxos_adapters.printable import brief
from paxos_adapters.quorum_words import quorum_of

_logger = logging.getLogger(__name__)

SHORT_READ = sqlite3.SQLITE_IOERR_SHORT_READ
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, None}
IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

PROGRESS_ROWS = 100_000
"""After how many rows a check says in the log how far it is."""


@frozen
class Contents:
    """What a store holds, but for its decisions and the entries of its logs: see ``rows``.

    ``saves`` is how often it was saved, ``total`` what the checksums of all rows add up to.
    ``records`` is how many rows speak of decisions. ``session`` is the last one, None before the
    first; ``closed`` says why no node opens it any more. ``epoch`` is that of the decisions.
    """

    identity: Identity
    saves: int
    total: int
    records: int
    session: Session | None
    sessions: int
    peers: Mapping[ServerId, Known]
    closed: str | None
    logs: Mapping[str, LogContents]
    epoch: Epoch


def refusal(path: Path, error: Exception) -> StoreError:
    """What an error of SQLite means."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code == SHORT_READ or (None if code is None else code & 0xFF) in DAMAGE:
        return StoreCorrupted(path, f"SQLite says: {error}")
    return StoreLocked(path) if is_busy(error) else StoreUnavailable(path, error)


def is_busy(error: Exception) -> bool:
    """Whether SQLite has done nothing, since another connection is at it."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in IN_USE


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, not even what SQLite does when it closes."""
    is_quiet = not path.with_name(path.name + "-wal").exists()
    where = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_quiet else ''}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    connection.text_factory = _lenient
    return connection


def _lenient(text: bytes) -> str:
    """Text that is damaged is still text, so that its checksum can tell."""
    return text.decode(errors="backslashreplace")


def real_path(path: Path) -> Path:
    """The real path of a store. Raises StoreNotFound without a file, StoreUnavailable."""
    try:
        found = path.resolve()
        is_empty = found.stat().st_size == 0
    except FileNotFoundError:
        raise StoreNotFound(path, "there is no such file") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreUnavailable(path, error) from error
    if is_empty:
        raise StoreNotFound(path, "it is empty")
    return found


def without_mark(path: Path) -> StoreError:
    """What to say of a file beside which there is no mark."""
    try:
        with path.open("rb") as file:
            is_database = file.read(len(SQLITE)) == SQLITE
    except OSError as error:
        return StoreUnavailable(path, error)
    return (
        StoreCorrupted(path, f"{mark_path(path).name} is gone") if is_database else NotAStore(path)
    )


def inspect(path: Path) -> Contents:
    """What the store at ``path`` holds; all of it is checked. Safe beside a server that uses it.

    Raises StoreNotFound, NotAStore, OlderFormat, NewerFormat, StoreCorrupted, StoreLocked,
    StoreUnavailable.
    """
    path = real_path(path)
    try:
        content = peek(path)
    except FileNotFoundError as error:
        raise without_mark(path) from error
    except OSError as error:
        raise StoreUnavailable(path, error) from error
    return read(path, content)


def rows(path: Path) -> Iterator[Row]:
    """Every row of the store at ``path``, in the order of names and kinds, each checked.

    All are of one moment, beside a server that saves too. ``inspect`` checks what the rows are
    together. Raises as that does, but not for what is beside the file.
    """
    path = real_path(path)
    with _opened(path) as (connection, identity):
        for row, _ in _rows(path, connection, identity):
            yield row


def read(path: Path, content: MarkContent) -> Contents:
    """Read and check everything; ``content`` is that of the mark beside the file.

    Raises OlderFormat, NewerFormat, StoreCorrupted, StoreLocked, StoreUnavailable.
    """
    found = _Found()
    with _opened(path) as (connection, identity):
        _check_structure(path, connection)
        for number, (row, sum_) in enumerate(_rows(path, connection, identity), 1):
            found.take(path, row, sum_)
            if row.kind == SESSION and row.name == content.session:
                found.marked = session_of(row)
            if number % PROGRESS_ROWS == 0:
                facts = {"event": "checking", "server": identity.server, "rows": number}
                _logger.info("%s: %s rows are checked", path.name, f"{number:,}", extra=facts)
    found.finish(path)
    if bytes.fromhex(identity.incarnation) != content.incarnation:
        raise StoreCorrupted(path, f"{mark_path(path).name} belongs to another store")
    _check_counts(path, found, content)
    _check_chain(path, found, content)
    last = found.running[0] if found.running else None
    return Contents(
        identity,
        found.saves,
        found.total,
        found.records,
        last,
        found.sessions,
        found.peers,
        found.closed,
        found.logs.logs,
        found.epoch or founding(identity),
    )


@define
class _Found:
    """What the rows so far come to."""

    saves: int = 0
    total: int = 0
    records: int = 0
    sessions: int = 0
    running: list[Session] = Factory(list[Session])
    marked: Session | None = None
    peers: Mapping[ServerId, Known] = Factory(dict[ServerId, Known])
    closed: str | None = None
    epoch: Epoch | None = None
    logs: LogChecks = Factory(LogChecks)

    def take(self, path: Path, row: Row, sum_: bytes) -> None:
        try:
            self.logs.take(row)
        except ValueError as error:
            raise StoreCorrupted(path, str(error)) from error
        self.saves = max(self.saves, row.saves)
        self.total = update_total(self.total, add=[sum_])
        if row.kind == SESSION:
            session = session_of(row)
            self.sessions += 1
            if session.ended is None and len(self.running) < 2:
                self.running.append(session)
        elif row.kind == PEERS:
            self.peers = peers_of(row)
        elif row.kind == EPOCH:
            self.epoch = epoch_of(row)
        elif row.kind == CLOSED:
            self.closed = closed_of(row)
        elif row.kind in (ACCEPTOR, ROUND):
            self.records += 1

    def finish(self, path: Path) -> None:
        try:
            self.logs.finish()
        except ValueError as error:
            raise StoreCorrupted(path, str(error)) from error


@contextmanager
def _opened(path: Path) -> Generator[tuple[sqlite3.Connection, Identity], None, None]:
    """One moment of a store, and whose it is."""
    try:
        with closing(connect_to_read(path)) as connection:
            connection.execute("BEGIN")
            _check_format(path, connection)
            _check_schema(path, connection)
            yield connection, _identity(path, connection)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise refusal(path, error) from error


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number > FORMAT:
        raise NewerFormat(path, number, FORMAT)
    if 1 <= number < FORMAT:
        raise OlderFormat(path, number, FORMAT)
    if number != FORMAT:
        raise StoreCorrupted(
            path, f"it says that it has format {number}, so it is not a store any more"
        )


def _check_structure(path: Path, connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupted(path, f"SQLite says: {verdict}")


GET_SCHEMA = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"


@cache
def _expected_schema() -> Mapping[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return {(type_, name): sql for type_, name, sql in connection.execute(GET_SCHEMA)}


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """A trigger could undo what is saved, and a column could hold what no checksum covers."""
    expected = _expected_schema()
    found = {(type_, name): sql for type_, name, sql in connection.execute(GET_SCHEMA)}
    for type_, name in found.keys() - expected.keys():
        raise StoreCorrupted(
            path, f"it has the {type_} {brief(name)}, which this library did not make"
        )
    for type_, name in expected.keys() - found.keys():
        raise StoreCorrupted(path, f"it has no {type_} {name!r}")
    for (type_, name), sql in expected.items():
        if found[type_, name] != sql:
            raise StoreCorrupted(path, f"the {type_} {name!r} is not as this library makes it")


GET_IDENTITY = "SELECT cluster, server, quorum, membership, incarnation, sum FROM identity"


def _identity(path: Path, connection: sqlite3.Connection) -> Identity:
    found = connection.execute(GET_IDENTITY).fetchall()
    if len(found) == 1:
        *owner, sum_ = found[0]
        if keyed_sum(key_of(*owner), b"") == sum_:
            cluster, server, words, membership, incarnation = owner
            try:
                quorum_of(words)
                return Identity(cluster, ServerId(server), words, membership, incarnation)
            except ValueError as error:
                raise StoreCorrupted(path, f"its quorum system makes no sense: {error}") from error
    raise StoreCorrupted(path, "it does not say any more whose it is")


def _rows(
    path: Path, connection: sqlite3.Connection, identity: Identity
) -> Iterator[tuple[Row, bytes]]:
    """Every row with its checksum. Raises StoreCorrupted for the first that was altered."""
    for *what, sum_ in connection.execute(GET_ROWS):
        row = Row(*what)
        check_row(path, identity, row, sum_)
        yield row, sum_


def check_row(path: Path, identity: Identity, row: Row, sum_: object) -> None:
    """Raise StoreCorrupted unless ``row`` is as it was saved."""
    if checksum(identity, row) != sum_:
        raise StoreCorrupted(path, f"{row} is not as it was saved; it says {brief(row.fields)}")
    try:
        check_meaning(row)
    except ValueError as error:
        raise StoreCorrupted(path, f"{row} makes no sense: {error}") from error


def _check_counts(path: Path, found: _Found, content: MarkContent) -> None:
    if found.saves < content.saves:
        there = f"only the first {found.saves:,} are there"
        raise StoreCorrupted(path, f"it was saved {content.saves:,} times, and {there}")
    if found.saves == content.saves and found.total != content.total:
        raise StoreCorrupted(path, "its parts are not of one time, as if some had been put back")


def _check_chain(path: Path, found: _Found, content: MarkContent) -> None:
    if len(found.running) != (1 if found.sessions else 0):
        raise StoreCorrupted(path, "its chain of sessions does not have one end")
    if not content.session:
        return
    marked = found.marked
    end = None if marked is None else found.saves if marked.ended is None else marked.ended
    if end is None or end < content.saves:
        mark = mark_path(path).name
        what = f"session {content.session} with {content.saves:,} saves, which {mark} names"
        raise StoreCorrupted(
            path, f"it does not descend from {what}: another copy of it was opened"
        )
