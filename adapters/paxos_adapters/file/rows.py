"""How records are written: rows of a table, in words that any SQLite tool shows.

- One row for each name and kind. Each has a checksum over all of it, keyed with the identity of the
  file, so that no row is taken from another file.
- All checksums of a file add up to its total.
- A row is read only if it is, to the letter, what this module writes: fields that contradict each
  other or the value are damage, even under a right checksum.
- The chain of sessions: one row for each, which says at which count it began and, once the next one
  has begun, at which it ended. ``saves`` puts them in order.
- The epoch of decisions is one row; a file without it has the epoch of the founders.
- What is known of peers' disks is one row, so that it costs one row with any commit.

Source: "Protocol-Aware Recovery for Consensus-Based Storage" (2018), on identifiers in checksums.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from paxos import Acceptor, Ballot, MaxRound, Proposal, QuorumSystem, ServerId
from paxos_adapters.disk_status import Known
from paxos_adapters.file.identity import Identity
from paxos_adapters.printable import brief
from paxos_adapters.quorum_words import quorum_of, words_of

APPLICATION_ID = 0x5041584F  # "PAXO", for file(1)
SUM_BYTES = 16
TOTALS = 1 << 8 * SUM_BYTES
"""Totals are taken modulo this."""

ACCEPTOR, ROUND = "acceptor", "round"
PEERS, SESSION, CLOSED, EPOCH = "peers", "session", "closed", "epoch"
REPLICA, ENTRY, SNAPSHOT = "replica", "entry", "snapshot"

SCHEMA = """
CREATE TABLE identity (
    cluster TEXT NOT NULL, server INTEGER NOT NULL, quorum TEXT NOT NULL, membership TEXT NOT NULL,
    incarnation TEXT NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TABLE records (
    name TEXT NOT NULL, kind TEXT NOT NULL, fields TEXT NOT NULL, value BLOB,
    saves INTEGER NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (name, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions ON records (saves) WHERE kind = 'session';
"""

PUT = """
INSERT INTO records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
fields = excluded.fields, value = excluded.value, saves = excluded.saves, sum = excluded.sum
WHERE note_replaced(sum) IS NULL
"""
"""``note_replaced`` returns nothing: it tells the writer of the old sum, without another query."""

DELETE = "DELETE FROM records WHERE name = ? AND kind = ? RETURNING sum"
GET_ROWS = "SELECT name, kind, fields, value, saves, sum FROM records ORDER BY name, kind"
GET_ROW = "SELECT name, kind, fields, value, saves, sum FROM records WHERE name = ? AND kind = ?"
GET_RECORDS = f"""
SELECT name, kind, fields, value, saves, sum FROM records
WHERE name = ? AND kind IN ('{ACCEPTOR}', '{ROUND}') ORDER BY kind
"""
GET_ACCEPTORS = f"""
SELECT name, kind, fields, value, saves, sum FROM records
WHERE name > ? AND kind = '{ACCEPTOR}' ORDER BY name LIMIT ?
"""
GET_RANGE = """
SELECT name, kind, fields, value, saves, sum FROM records
WHERE name = ? AND kind >= ? AND kind < ? ORDER BY kind LIMIT ?
"""
GET_KINDS = (
    "SELECT kind, coalesce(length(value), 0) FROM records "
    "WHERE name = ? AND kind >= ? AND kind < ? ORDER BY kind LIMIT ?"
)
GET_NAMES = (
    f"SELECT DISTINCT name FROM records WHERE kind IN ('{ACCEPTOR}', '{ROUND}') ORDER BY name"
)
GET_OLD_SESSIONS = f"""
SELECT name FROM records INDEXED BY sessions WHERE kind = '{SESSION}' AND name NOT IN (?, ?)
ORDER BY saves LIMIT ?
"""

SESSION_ID = re.compile("[0-9a-f]{16}")
Key: TypeAlias = tuple[str, str]
"""The name and the kind of a row."""


class Row(NamedTuple):
    """One record as it is written: ``fields`` in words, and the value if there is one.

    ``saves`` is the number of the commit that wrote it. A tuple, since SQLite takes and gives one.
    """

    name: str
    kind: str
    fields: str
    value: bytes | None
    saves: int

    @property
    def key(self) -> Key:
        """Its name and kind."""
        return self[:2]

    def __str__(self) -> str:
        return f"the {self.kind} record of {self.name!r}"


# --- records and rows ---------------------------------------------------------------------------


def acceptor_row(name: str, state: Acceptor[bytes], saves: int) -> Row:
    """What an acceptor must remember."""
    promised, held = str(state.promised), state.accepted
    if held is None:
        return Row(name, ACCEPTOR, f"promised {promised}", None, saves)
    accepted = promised if held.ballot == state.promised else str(held.ballot)
    return Row(name, ACCEPTOR, f"promised {promised} accepted {accepted}", held.value, saves)


def acceptor_of(row: Row) -> Acceptor[bytes]:
    """The other way round. Raises ValueError."""
    words = row.fields.split(" ")
    if row.value is None:
        state = Acceptor[bytes](_ballot(words[1]))
    else:
        state = Acceptor(_ballot(words[1]), Proposal(_ballot(words[3]), row.value))
        if state.accepted is not None and state.accepted.ballot > state.promised:
            raise ValueError(f"{row.fields!r} accepts above its promise")
    return _exactly(row, acceptor_row(row.name, state, row.saves), state)


def round_row(name: str, record: MaxRound, saves: int) -> Row:
    """The highest round that a proposer has used or seen."""
    return Row(name, ROUND, f"max_round {record.round}", None, saves)


def round_of(row: Row) -> MaxRound:
    """The other way round. Raises ValueError."""
    record = MaxRound(_count(row.fields.split(" ")[1]))
    return _exactly(row, round_row(row.name, record, row.saves), record)


def peers_row(peers: Mapping[ServerId, Known], saves: int) -> Row:
    """What is known of the disks of all peers."""
    lines = [f"{peer} {it.session} {it.saves}" for peer, it in sorted(peers.items())]
    return Row("", PEERS, ", ".join(lines), None, saves)


def peers_of(row: Row) -> dict[ServerId, Known]:
    """The other way round. Raises ValueError."""
    peers: dict[ServerId, Known] = {}
    for line in row.fields.split(", ") if row.fields else ():
        peer, session, saves = line.split(" ")
        peers[ServerId(int(peer))] = Known(_session(session), _count(saves))
    return _exactly(row, peers_row(peers, row.saves), peers)


@frozen
class Session:
    """One opening of a file, and the counts of saves between which it had it; None: it runs."""

    session: str
    began: int
    ended: int | None = None


def session_row(it: Session, saves: int) -> Row:
    """An entry of the chain."""
    end = "" if it.ended is None else f" ended {it.ended}"
    return Row(it.session, SESSION, f"began {it.began}{end}", None, saves)


def session_of(row: Row) -> Session:
    """The other way round. Raises ValueError."""
    words = row.fields.split(" ")
    ended = None if len(words) == 2 else _count(words[3])
    it = Session(_session(row.name), _count(words[1]), ended)
    if ended is not None and ended < it.began:
        raise ValueError("it ends before it began")
    return _exactly(row, session_row(it, row.saves), it)


def closed_row(reason: str, saves: int) -> Row:
    """That no node opens the file any more, since its membership is being changed."""
    return Row("", CLOSED, reason, None, saves)


def closed_of(row: Row) -> str:
    """Why. Raises ValueError."""
    return _exactly(row, closed_row(row.fields, row.saves), row.fields)


@frozen
class Epoch:
    """The epoch whose decisions a file has: its number, and whose votes choose them.

    ``closed``: the last epoch that was closed here, which may be a later one than this; None: none.
    """

    number: int
    quorum: QuorumSystem
    closed: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing about a decision is saved any more."""
        return self.closed is not None

    def __str__(self) -> str:
        closed = "" if self.closed is None else f", closed up to epoch {self.closed}"
        return f"epoch {self.number}, {words_of(self.quorum)}{closed}"


def epoch_row(it: Epoch, saves: int) -> Row:
    """The epoch of the decisions in the file."""
    closed = "" if it.closed is None else f" closed {it.closed}"
    return Row("", EPOCH, f"epoch {it.number}{closed}, {words_of(it.quorum)}", None, saves)


def epoch_of(row: Row) -> Epoch:
    """The other way round. Raises ValueError."""
    numbers, _, words = row.fields.partition(", ")
    _, number, *closed = numbers.split(" ")
    it = Epoch(_count(number), quorum_of(words), _count(closed[1]) if closed else None)
    if it.closed is not None and it.closed < it.number:
        raise ValueError(f"{row.fields!r} has another epoch than was closed")
    return _exactly(row, epoch_row(it, row.saves), it)


T = TypeVar("T")


def _exactly(row: Row, written: Row, meaning: T) -> T:
    if row != written:
        raise ValueError(f"{brief(row.fields)} does not go with its value, or with itself")
    return meaning


def _ballot(text: str) -> Ballot:
    number, server = text.split(".")
    return Ballot(_count(number), ServerId(int(server)))


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(f"{number} is not a count")
    return number


def _session(text: str) -> str:
    if not SESSION_ID.fullmatch(text):
        raise ValueError(f"{brief(text)} is not a session")
    return text


# --- checksums ----------------------------------------------------------------------------------


def checksum(identity: Identity, row: Row) -> bytes:
    """The checksum of a row; it holds in this very file only."""
    name, kind, fields, value, saves = row
    size = None if value is None else len(value)
    what = f"({name!a}, {kind!a}, {fields!a}, {size}, {saves})".encode()
    return keyed_sum(identity.key, what if value is None else what + value)


def keyed_sum(key: bytes, what: bytes) -> bytes:
    """A checksum under the key of a file."""
    return blake2b(what, digest_size=SUM_BYTES, key=key).digest()


def update_total(total: int, *, add: Iterable[bytes], remove: Iterable[bytes] = ()) -> int:
    """``total`` with some checksums more, and some less."""
    change = sum(map(int.from_bytes, add)) - sum(map(int.from_bytes, remove))
    return (total + change) % TOTALS
