"""How records are written: rows of a table, in words that any SQLite tool shows.

- Each record stands in two tables: ``records`` has it with its value, ``twins`` with the value's
  digest. Both carry the same checksum, over all but the value itself and over its digest.
- The checksum is keyed with the identity of the store, so that no record is taken from another.
- All checksums of a store add up to its total.

Source: "Protocol-Aware Recovery for Consensus-Based Storage" (2018), on metadata kept twice.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

from attrs import Factory, field, frozen

from paxos import Acceptor, Ballot, MaxRound, Proposal, ServerId
from paxos_adapters.peers import Presence

FORMAT = 1
APPLICATION_ID = 0x5041584F  # "PAXO", for file(1)
SUM_BYTES, KEY_BYTES = 16, 32
TOTALS = 1 << 8 * SUM_BYTES
"""Totals are taken modulo this."""

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
GET_NAMES = "SELECT DISTINCT name FROM records WHERE kind <> ? ORDER BY name"
GET_RECORD = "SELECT * FROM records WHERE name = ? AND kind = ?"
GET_SUM = "SELECT sum FROM records WHERE name = ? AND kind = ?"


Lines: TypeAlias = tuple[tuple[object, ...], tuple[object, ...], bytes]
"""A record in the table ``records``, the same in the table ``twins``, and its checksum."""


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


# --- records and rows ---------------------------------------------------------------------------


def acceptor_row(name: str, state: Acceptor[bytes], saves: int) -> Row:
    """What an acceptor must remember."""
    fields, held = f"promised {state.promised}", state.accepted
    if held is None:
        return Row(name, ACCEPTOR, fields, None, saves)
    return Row(name, ACCEPTOR, f"{fields} accepted {held.ballot}", held.value, saves)


def acceptor_of(row: Row) -> Acceptor[bytes]:
    """The other way round. Raises ValueError."""
    words = row.fields.split()
    if ("accepted" in words) != (row.value is not None):
        raise ValueError(f"{row.fields!r} does not go with its value")
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


def lines(identity: Identity, row: Row) -> Lines:
    """``row`` as it is written."""
    name, kind, fields, value, saves = row.name, row.kind, row.fields, row.value, row.saves
    digest_ = digest(value)
    sum_ = checksum(identity, name, kind, fields, digest_, saves)
    record, twin = (
        (name, kind, fields, value, saves, sum_),
        (name, kind, fields, digest_, saves, sum_),
    )
    return record, twin, sum_


def checksum(identity: Identity, *what: object) -> bytes:
    """The checksum of a record and of its twin; it holds in this very store only."""
    return blake2b(ascii(what).encode(), digest_size=SUM_BYTES, key=identity.key).digest()


def added(total: int, sum_: bytes, *, gone: bytes | None = None) -> int:
    """``total`` with a checksum more, and perhaps another one less."""
    change = int.from_bytes(sum_, "big") - int.from_bytes(gone or b"", "big")
    return (total + change) % TOTALS
