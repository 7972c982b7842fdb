"""What is in a store, and whether all of it is as it was saved.

- Of two copies one is enough to mend the other, except for a value, which has no twin: a peer can
  not repair a promise, but a promise is small.
- The highest count of saves on any record is the mark of the store; the file beside it may say
  less, and never more. If it says as much, it says what all records add up to.
- Reading changes nothing. A file without a log is read as it lies there; one with a log, which a
  server is using or has left behind, as SQLite reads it, which may put an index beside it.
- What the system does not let us read is no damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from attrs import evolve, frozen

from paxos import ServerId
from paxos_adapters.file.errors import (
    Damaged,
    Denied,
    InUse,
    NewerFormat,
    NoStore,
    NotThere,
    StoreError,
)
from paxos_adapters.file.mark import Said, beside, peek
from paxos_adapters.file.rows import (
    ACCEPTOR,
    FORMAT,
    PEER,
    Identity,
    Key,
    Row,
    Twin,
    acceptor_of,
    added,
    checksum,
    digest,
    peer_of,
)
from paxos_adapters.peers import Presence

MAGIC = b"SQLite format 3\0"
SHORT_READ = sqlite3.SQLITE_IOERR_SHORT_READ
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, None}
IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@frozen
class Contents:
    """All that a store holds.

    ``mended`` names the records of which one of two copies was lost; ``total`` is what the
    checksums of all of them add up to.
    """

    identity: Identity
    rows: Mapping[Key, Row]
    mended: tuple[str, ...]
    total: int

    @property
    def mark(self) -> int:
        """How often the store has saved."""
        return max((row.saves for row in self.rows.values()), default=0)

    @property
    def peers(self) -> Mapping[ServerId, Presence]:
        """What is known of the disks of peers."""
        known = ((row.name, peer_of(row)) for row in self.rows.values() if row.kind == PEER)
        return {ServerId(int(name)): it for name, it in known if it is not None}


def refusal(path: Path, error: Exception) -> StoreError:
    """What an error of SQLite means."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code == SHORT_READ or (None if code is None else code & 0xFF) in DAMAGE:
        return Damaged(path, f"SQLite says: {error}")
    if code is not None and code & 0xFF in IN_USE:
        return InUse(path)
    return Denied(path, error)


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


def inspect(path: Path) -> Contents:
    """All that the store at ``path`` holds, checked. Safe beside a server that uses it.

    Raises NotThere, NoStore, NewerFormat, Damaged, InUse, Denied.
    """
    path = located(path)
    try:
        said = peek(path)
    except FileNotFoundError as error:
        raise without_mark(path) from error
    except OSError as error:
        raise Denied(path, error) from error
    return read(path, said)


def located(path: Path) -> Path:
    """Where a store really is. Raises NotThere if there is no file or an empty one, Denied."""
    try:
        found = path.resolve()
        is_empty = found.stat().st_size == 0
    except FileNotFoundError:
        raise NotThere(path, "there is no such file") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise Denied(path, error) from error
    if is_empty:
        raise NotThere(path, "it is empty")
    return found


def without_mark(path: Path) -> StoreError:
    """What to say of a file beside which there is no mark."""
    try:
        with path.open("rb") as file:
            is_database = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        return Denied(path, error)
    return Damaged(path, f"{beside(path).name} is gone") if is_database else NoStore(path)


def read(path: Path, said: Said) -> Contents:
    """Read and check everything; ``said`` is what stands beside the file.

    Raises NewerFormat, Damaged, InUse, Denied.
    """
    try:
        with closing(connect_to_read(path)) as connection:
            connection.execute("BEGIN")  # One moment for all that is read, beside a writer too.
            _check_format(path, connection)
            _check_structure(path, connection)
            contents = _contents(path, connection, _identity(path, connection))
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise refusal(path, error) from error
    if bytes.fromhex(contents.identity.incarnation) != said.incarnation:
        raise Damaged(path, f"{beside(path).name} belongs to another store")
    if contents.mark < said.saves:
        there = f"only the first {contents.mark:,} are there"
        raise Damaged(path, f"it was saved {said.saves:,} times, and {there}")
    if contents.mark == said.saves and contents.total != said.total:
        raise Damaged(path, "its parts are not of one time, as if some had been put back")
    return contents


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number > FORMAT:
        raise NewerFormat(path, number, FORMAT)
    if number != FORMAT:
        raise Damaged(path, f"it says that it has format {number}, so it is no store, or was one")


def _check_structure(path: Path, connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(path, f"SQLite says: {verdict}")


def _identity(path: Path, connection: sqlite3.Connection) -> Identity:
    rows = connection.execute("SELECT cluster, server, incarnation, sum FROM identity").fetchall()
    if len(rows) == 1:
        cluster, server, incarnation, sum_ = rows[0]
        identity = Identity(cluster, ServerId(server), incarnation)
        if checksum(identity) == sum_:
            return identity
    raise Damaged(path, "it does not say any more whose it is")


def _contents(path: Path, connection: sqlite3.Connection, identity: Identity) -> Contents:
    records: dict[Key, Row] = {}
    values: dict[bytes | None, bytes | None] = {None: None}
    spoilt_records = 0
    for name, kind, fields, value, saves, sum_ in connection.execute("SELECT * FROM records"):
        row = Row(name, kind, fields, value, saves)
        if checksum(identity, name, kind, fields, digest(value), saves) == sum_:
            records[name, kind] = row
        else:
            values[digest(value)] = value
            spoilt_records += 1
    twins: dict[Key, Twin] = {}
    spoilt_twins = 0
    for name, kind, fields, digest_, saves, sum_ in connection.execute("SELECT * FROM twins"):
        if checksum(identity, name, kind, fields, digest_, saves) == sum_:
            twins[name, kind] = Row(name, kind, fields, None, saves), digest_
        else:
            spoilt_twins += 1
    for key in records.keys() & twins.keys():
        if (evolve(records[key], value=None), digest(records[key].value)) != twins[key]:
            raise Damaged(path, f"the two copies of {_named(key)} differ")
    rebuilt = {key: _rebuilt(path, key, *twins[key], values) for key in twins.keys() - records}
    alone = records.keys() - twins
    if spoilt_records > len(rebuilt) or spoilt_twins > len(alone):
        raise Damaged(path, "both copies of some record are spoilt")
    records |= rebuilt
    total = 0
    for key, row in records.items():
        _check_meaning(path, key, row)
        total = added(total, checksum(identity, *key, row.fields, digest(row.value), row.saves))
    return Contents(identity, records, tuple(sorted(map(_named, (*rebuilt, *alone)))), total)


def _check_meaning(path: Path, key: Key, row: Row) -> None:
    """A record that is as it was saved can still be one that no version of this library wrote."""
    try:
        if row.kind == ACCEPTOR:
            acceptor_of(row)
        elif row.kind == PEER:
            ServerId(int(row.name))
            peer_of(row)
    except (ValueError, IndexError) as error:
        raise Damaged(path, f"{_named(key)} makes no sense: {error}") from error


def _rebuilt(
    path: Path,
    key: Key,
    row: Row,
    digest_: bytes | None,
    values: Mapping[bytes | None, bytes | None],
) -> Row:
    if digest_ not in values:
        raise Damaged(path, f"the value of {_named(key)} is lost, {row.fields}")
    return evolve(row, value=values[digest_])


def _named(key: Key) -> str:
    name, kind = key
    return f"the {kind} record of {name!r}"
