"""What is in a store, and whether all of it is as it was saved.

- Each record stands in two tables: ``records`` has it with its value, ``twins`` with the value's
  digest. Both carry the same checksum, over all but the value itself and over its digest.
- One of the two is enough to mend the other, except for a value, which has no twin: a peer can not
  repair a promise, but a promise is small.
- The highest count of saves on any record is the mark of the store; the file beside it may say
  less, and never more.
- Reading changes nothing, neither the file nor what SQLite keeps beside it.

Source: "Protocol-Aware Recovery for Consensus-Based Storage" (2018), on metadata kept twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias, TypeVar

from attrs import Factory, evolve, field, frozen

from paxos import Acceptor, Ballot, MaxRound, Proposal, ServerId
from paxos_adapters.file.errors import Damaged, Denied, NewerFormat, NotThere
from paxos_adapters.file.mark import beside, peek
from paxos_adapters.peers import Presence

V = TypeVar("V")

FORMAT = 1
APPLICATION_ID = 0x5041584F  # "PAXO", for file(1)
SUM_BYTES, KEY_BYTES = 16, 32

ACCEPTOR, ROUND, PEER = "acceptor", "round", "peer"

SCHEMA = """
CREATE TABLE identity (
    cluster TEXT NOT NULL, server INTEGER NOT NULL, incarnation TEXT NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TABLE records (
    name TEXT NOT NULL, kind TEXT NOT NULL, fields TEXT NOT NULL, value BLOB,
    saves INTEGER NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (name, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE twins (
    name TEXT NOT NULL, kind TEXT NOT NULL, fields TEXT NOT NULL, digest BLOB,
    saves INTEGER NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (name, kind)
) STRICT, WITHOUT ROWID;
"""

PUT = """
INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
fields = excluded.fields, {content} = excluded.{content}, saves = excluded.saves, sum = excluded.sum
"""
PUT_RECORD = PUT.format(table="records", content="value")
PUT_TWIN = PUT.format(table="twins", content="digest")
NOT_TO_BE_READ = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
GET_NAMES = "SELECT DISTINCT name FROM records WHERE kind <> ? ORDER BY name"
GET_RECORD = "SELECT * FROM records WHERE name = ? AND kind = ?"


def _key(identity: Identity) -> bytes:
    owner = identity.cluster, identity.server, identity.incarnation, FORMAT
    return blake2b(ascii(owner).encode(), digest_size=KEY_BYTES).digest()


@frozen
class Identity:
    """Whose memory it is. The incarnation is drawn when the store is created, and never again.

    ``key`` goes into the checksum of each record, so that none is taken from another store.
    """

    cluster: str
    server: ServerId
    incarnation: str
    key: bytes = field(init=False, repr=False, default=Factory(_key, takes_self=True))

    def __str__(self) -> str:
        return f"server {self.server} of cluster {self.cluster!r}"


@frozen
class Row:
    """One record as it is written: ``fields`` in words, and the encoded value if there is one."""

    name: str
    kind: str
    fields: str
    value: bytes | None
    saves: int


Key: TypeAlias = tuple[str, str]
"""The decision or the peer that a record speaks of, and its kind."""

Twin: TypeAlias = tuple[Row, bytes | None]
"""A record without its value, and the digest of that."""


@frozen
class Contents:
    """All that a store holds. ``mended`` names the records of which one of two copies was lost."""

    identity: Identity
    rows: Mapping[Key, Row]
    mended: tuple[str, ...]

    @property
    def mark(self) -> int:
        """How often the store has saved."""
        return max((row.saves for row in self.rows.values()), default=0)

    @property
    def peers(self) -> Mapping[ServerId, Presence]:
        """What is known of the disks of peers."""
        known = ((row.name, peer_of(row)) for row in self.rows.values() if row.kind == PEER)
        return {ServerId(int(name)): it for name, it in known if it is not None}


# --- records and rows ---------------------------------------------------------------------------


def acceptor_row(name: str, state: Acceptor[V], value: bytes | None, saves: int) -> Row:
    """What an acceptor must remember; ``value`` is what it has accepted, encoded."""
    fields = f"promised {state.promised}"
    if state.accepted is not None:
        fields = f"{fields} accepted {state.accepted.ballot}"
    return Row(name, ACCEPTOR, fields, value, saves)


def acceptor_of(row: Row) -> Acceptor[bytes]:
    """The other way round, except that the value stays encoded."""
    words = row.fields.split()
    if row.value is None:
        return Acceptor(_ballot(words[1]))
    return Acceptor(_ballot(words[1]), Proposal(_ballot(words[3]), row.value))


def round_row(name: str, record: MaxRound, saves: int) -> Row:
    """The highest round that a proposer has used or seen."""
    return Row(name, ROUND, f"max_round {record.round}", None, saves)


def round_of(row: Row) -> MaxRound:
    """The other way round."""
    _, number = row.fields.split()
    return MaxRound(int(number))


def peer_row(server: ServerId, presence: Presence | None, saves: int) -> Row:
    """What is known of the disk of a peer; None: nothing any more."""
    fields = "readmitted"
    if presence is not None:
        it = presence
        fields = f"incarnation {it.incarnation} life {it.life} opened {it.opened} mark {it.mark}"
    return Row(str(server), PEER, fields, None, saves)


def peer_of(row: Row) -> Presence | None:
    """The other way round."""
    if row.fields == "readmitted":
        return None
    incarnation, life, opened, mark = row.fields.split()[1::2]
    return Presence(incarnation, life, int(opened), int(mark))


def _ballot(text: str) -> Ballot:
    number, server = text.split(".")
    return Ballot(int(number), ServerId(int(server)))


# --- checksums ----------------------------------------------------------------------------------


def digest(value: bytes | None) -> bytes | None:
    """What stands for a value in the twin of its record."""
    return None if value is None else blake2b(value, digest_size=SUM_BYTES).digest()


def cells(identity: Identity, row: Row) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """``row`` as a line of the table ``records`` and as one of the table ``twins``."""
    name, kind, fields, value, saves = row.name, row.kind, row.fields, row.value, row.saves
    digest_ = digest(value)
    sum_ = checksum(identity, name, kind, fields, digest_, saves)
    return (name, kind, fields, value, saves, sum_), (name, kind, fields, digest_, saves, sum_)


def checksum(identity: Identity, *what: object) -> bytes:
    """The checksum of a record and of its twin; it holds in this very store only."""
    return blake2b(ascii(what).encode(), digest_size=SUM_BYTES, key=identity.key).digest()


# --- reading ------------------------------------------------------------------------------------


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, not even what SQLite does when it closes."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    connection.text_factory = _lenient
    return connection


def _lenient(text: bytes) -> str:
    """Text that is damaged is still text, so that its checksum can tell."""
    return text.decode(errors="backslashreplace")


def inspect(path: Path) -> Contents:
    """All that the store at ``path`` holds, checked. Safe beside a server that uses it.

    Raises NotThere, NewerFormat, Damaged, Denied.
    """
    check_there(path)
    try:
        incarnation, saves = peek(path)
    except FileNotFoundError as error:
        raise Damaged(path, f"{beside(path).name} is gone") from error
    return read(path, incarnation, saves)


def check_there(path: Path) -> None:
    """Raise NotThere if there is no file, or an empty one."""
    try:
        is_empty = path.stat().st_size == 0
    except FileNotFoundError:
        raise NotThere(path, "there is no such file") from None
    if is_empty:
        raise NotThere(path, "it is empty")


def read(path: Path, incarnation: bytes, saves: int) -> Contents:
    """Read and check everything. ``incarnation`` and ``saves`` are what stands beside the file.

    Raises NewerFormat, Damaged, Denied.
    """
    try:
        with closing(connect_to_read(path)) as connection:
            connection.execute("BEGIN")  # One moment for all that is read, beside a writer too.
            _check_format(path, connection)
            _check_structure(path, connection)
            identity = _identity(path, connection)
            contents = _contents(path, connection, identity)
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as error:
        if getattr(error, "sqlite_errorcode", None) in NOT_TO_BE_READ:
            raise Denied(path, error) from error
        raise Damaged(path, f"SQLite says: {error}") from error
    if bytes.fromhex(identity.incarnation) != incarnation:
        raise Damaged(path, f"{beside(path).name} belongs to another store")
    if contents.mark < saves:
        raise Damaged(
            path, f"it was saved {saves:,} times, and only the first {contents.mark:,} are there"
        )
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
    return Contents(identity, records | rebuilt, tuple(sorted(map(_named, (*rebuilt, *alone)))))


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
