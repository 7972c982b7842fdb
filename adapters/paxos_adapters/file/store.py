"""A store that never lies: what it has vouched for is there, or it says that it is not.

- A receipt is given when SQLite has synced the commit, for everything that was saved in it.
- To create and to open are two verbs. A file that is missing or empty is never a new server.
- All is read and checked before anything is written. What was loaded is written anew before the
  store vouches for it: after a sync that failed, the system may take for saved what is not.
- The first save that fails is the last one. Nothing is tried again.
- Any number of decisions share a file, and whatever is saved at once shares a commit.
- What is known of peers rides on the next commit.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020), for the third and
the fourth.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from secrets import token_bytes, token_hex
from threading import Lock
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos import Acceptor, MaxRound, Proposal, Saved, ServerId, server
from paxos.errors import assert_never
from paxos_adapters.file.contents import (
    ACCEPTOR,
    APPLICATION_ID,
    FORMAT,
    GET_NAMES,
    GET_RECORD,
    PEER,
    PUT_RECORD,
    PUT_TWIN,
    ROUND,
    SCHEMA,
    Contents,
    Identity,
    Row,
    acceptor_of,
    acceptor_row,
    cells,
    check_there,
    checksum,
    connect_to_read,
    peer_row,
    read,
    round_of,
    round_row,
)
from paxos_adapters.file.errors import (
    AlreadyThere,
    Closed,
    Damaged,
    Denied,
    Failed,
    InUse,
    StoreError,
    TooLarge,
    Undecodable,
    WrongOwner,
)
from paxos_adapters.file.mark import Mark, beside
from paxos_adapters.peers import Presence
from paxos_adapters.ports import Codec

V = TypeVar("V")
W = TypeVar("W")
Entry: TypeAlias = tuple[str, server.Record[V]]
"""The name of a decision, and what must be durable for it."""

MAX_NAME_BYTES = 255
MAX_VALUE_BYTES = 1 << 20
MAX_ROUND = (1 << 63) - 1
PAGE_BYTES = 1024
"""Small, since a commit writes whole pages. Measured: docs/performance.md."""
CHECKPOINT_PAGES = 4_000
"""After how many pages SQLite moves what is in its log into the file."""


class FileStore(Generic[V]):
    """The memory of one server, in one file. Safe to use from several threads.

    A context manager: leaving it closes the file. ``decision`` is what a host takes. ``opened`` is
    how often it had saved when it was opened, ``mended`` names the records of which one of two
    copies had to be written anew.
    """

    def __init__(
        self,
        path: Path,
        mark: Mark,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection,
        contents: Contents,
        codec: Codec[V],
    ) -> None:
        """Use ``create`` or ``open``."""
        self.path = path
        self.identity = contents.identity
        self.mended = contents.mended
        self.peers = contents.peers
        self.opened = self.mark = contents.mark
        self._life = token_hex(8)
        self._beside = mark
        self._connection = connection
        self._reader = reader
        self.codec = codec
        self._news: dict[ServerId, Presence | None] = {}
        self._saving, self._reading, self._noting = Lock(), Lock(), Lock()
        self._unusable: StoreError | None = None

    @staticmethod
    def create(
        path: str | PathLike[str], *, cluster: str, server: ServerId, codec: Codec[W]
    ) -> FileStore[W]:
        """The empty memory of a server that has never run.

        Raises AlreadyThere, TooLarge, and Denied or Failed where the folder cannot be written.
        """
        path = Path(path)
        _check("the name of a cluster, in bytes,", len(cluster.encode()), MAX_NAME_BYTES)
        try:
            _clear_the_way(path)
            _lay_down(path, cluster, server)
        except OSError as error:
            raise Denied(path, error) from error
        except sqlite3.Error as error:
            raise Failed(path, error) from error
        return FileStore.open(path, cluster=cluster, server=server, codec=codec)

    @staticmethod
    def open(
        path: str | PathLike[str], *, cluster: str, server: ServerId, codec: Codec[W]
    ) -> FileStore[W]:
        """The memory of a server that has run before.

        Raises NotThere, InUse, WrongOwner, NewerFormat, Damaged, and Denied or Failed where the
        file cannot be read or written.
        """
        path = Path(path)
        check_there(path)
        mark = _lock(path)
        try:
            contents = read(path, mark.incarnation, mark.saves)
            owner = evolve(contents.identity, cluster=cluster, server=server)
            if owner != contents.identity:
                raise WrongOwner(path, str(owner), str(contents.identity))
            return FileStore(path, mark, *_settled(path, contents), contents, codec)
        except BaseException as error:
            mark.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise Failed(path, error) from error
            raise

    @property
    def presence(self) -> Presence:
        """What this server tells its peers of its disk."""
        return Presence(self.identity.incarnation, self._life, self.opened, self.mark)

    def decisions(self) -> tuple[str, ...]:
        """The names of all decisions that something was saved for, in order."""
        with self._reading:
            self._check_usable()
            return tuple(name for (name,) in self._reader.execute(GET_NAMES, (PEER,)))

    def decision(self, name: str) -> Decision[V]:
        """The part of the memory that is about one decision, as a store for a host."""
        _check("the name of a decision, in bytes,", len(name.encode()), MAX_NAME_BYTES)
        return Decision(self, name)

    def load(self, decision: str) -> Saved[server.Record[V]]:
        """A receipt for what was saved last for ``decision``; for nothing, if nothing was.

        Does not wait for a save that is under way. Raises Undecodable, Damaged, and Failed after a
        save that failed.
        """
        with self._reading:
            self._check_usable()
            memory, max_round = self._row(decision, ACCEPTOR), self._row(decision, ROUND)
        records: list[server.Record[V]] = []
        if memory is not None:
            records.append(self._decoded(decision, acceptor_of(memory)))
        if max_round is not None:
            records.append(round_of(max_round))
        return Saved(tuple(records))

    def save(self, batch: Iterable[Entry[V]]) -> Saved[server.Record[V]]:
        """Make all records of ``batch`` durable, together or not at all.

        For one decision, a later record of a type replaces the earlier ones. Raises TooLarge, with
        nothing saved; Failed if the disk did not take it, and for ever after; and what the codec
        raises for a value, with nothing saved.
        """
        entries = tuple(batch)
        with self._saving:
            self._check_usable()
            saves = self.mark + 1
            rows = {(it.name, it.kind): it for it in (self._encoded(*it, saves) for it in entries)}
            if rows:
                self._commit((*rows.values(), *self._take_news(saves)))
        return Saved(tuple(record for _, record in entries))

    def remember(self, peer: ServerId, presence: Presence | None) -> None:
        """Know this of a peer's disk from the next commit on; None: know nothing any more."""
        with self._noting:
            self._news[peer] = presence
            self.peers = {**self.peers, peer: presence} if presence else _without(self.peers, peer)

    def close(self) -> None:
        """Save what is known of peers, and let go of the file. May be called again.

        Raises Failed if that could not be saved; the file is let go of all the same.
        """
        with self._saving, self._reading:
            if isinstance(self._unusable, Closed):
                return
            try:
                if self._news and self._unusable is None:
                    self._commit(self._take_news(self.mark + 1))
            finally:
                self._unusable, was = Closed(self.path), self._unusable
                try:
                    self._reader.close()
                    self._connection.close()
                    self._beside.close(sync=was is None)
                except (sqlite3.Error, OSError) as error:
                    raise Failed(self.path, error) from error

    def __enter__(self) -> FileStore[V]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._unusable is not None:
            raise self._unusable

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            _put(self._connection, self.identity, rows)
            self._connection.execute("COMMIT")
            self._beside.write(self.mark + 1)
        except BaseException as cause:
            self._unusable = Failed(self.path, cause)
            raise self._unusable from cause
        self.mark += 1

    def _row(self, name: str, kind: str) -> Row | None:
        found = self._reader.execute(GET_RECORD, (name, kind)).fetchone()
        if found is None:
            return None
        row = Row(*found[:-1])
        if cells(self.identity, row)[0] != found:
            raise Damaged(self.path, f"the {kind} record of {name!r} has changed meanwhile")
        return row

    def _take_news(self, saves: int) -> list[Row]:
        with self._noting:
            news, self._news = self._news, {}
        return [peer_row(peer, presence, saves) for peer, presence in news.items()]

    def _encoded(self, decision: str, record: server.Record[V], saves: int) -> Row:
        _check("the name of a decision, in bytes,", len(decision.encode()), MAX_NAME_BYTES)
        if type(record) is MaxRound:
            _check("a round", record.round, MAX_ROUND)
            return round_row(decision, record, saves)
        if type(record) is Acceptor:
            _check("a round", record.promised.round, MAX_ROUND)
            held = record.accepted
            value = None if held is None else self.codec.encode(held.value)
            _check("an encoded value, in bytes,", len(value or b""), MAX_VALUE_BYTES)
            return acceptor_row(decision, record, value, saves)
        assert_never(record)

    def _decoded(self, decision: str, state: Acceptor[bytes]) -> Acceptor[V]:
        held = state.accepted
        if held is None:
            return Acceptor(state.promised)
        try:
            return Acceptor(state.promised, Proposal(held.ballot, self.codec.decode(held.value)))
        except ValueError as error:
            raise Undecodable(decision, self.codec, error) from error


@frozen
class Decision(Generic[V]):
    """What a file remembers of the decision ``name``: a store for one host."""

    file: FileStore[V]
    name: str

    def load(self) -> Saved[server.Record[V]]:
        """See ``FileStore.load``."""
        return self.file.load(self.name)

    def save(self, records: tuple[server.Record[V], ...]) -> Saved[server.Record[V]]:
        """See ``FileStore.save``."""
        return self.file.save((self.name, record) for record in records)


# --- creating and opening -----------------------------------------------------------------------


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + "-new")


def _clear_the_way(path: Path) -> None:
    """Remove what a creation that was cut off has left. Raises AlreadyThere."""
    if path.exists():
        raise AlreadyThere(path, "there is a file")
    try:
        mark = Mark.open(path)
    except FileNotFoundError:
        return
    mark.close()
    if mark.saves:
        was = f"it is gone, and {beside(path).name} says that it was saved {mark.saves:,} times"
        raise AlreadyThere(path, was)
    for leftover in _unfinished(path), beside(path):
        leftover.unlink(missing_ok=True)


def _lay_down(path: Path, cluster: str, server: ServerId) -> None:
    """Make the files of a new store, so that it is there whole or not at all."""
    incarnation = token_bytes(16)
    identity = Identity(cluster, server, incarnation.hex())
    Mark.create(path, incarnation).close()
    unfinished = _unfinished(path)
    with closing(_connect(unfinished)) as connection:
        connection.executescript(SCHEMA)
        row = cluster, server, identity.incarnation, checksum(identity)
        connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", row)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    _sync(unfinished)
    unfinished.rename(path)
    _sync(path.parent)


def _lock(path: Path) -> Mark:
    try:
        return Mark.open(path)
    except FileNotFoundError as error:
        raise Damaged(path, f"{beside(path).name} is gone") from error
    except OSError as error:
        raise Denied(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"no write-ahead log can be kept here, only {mode!r}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    return connection


def _settled(path: Path, contents: Contents) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """To a file whose contents have been written anew and synced: one to save, one to load."""
    connection = _connect(path)
    try:
        if contents.mended:
            _mend(connection, contents)
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise InUse(path)
        _sync(path.parent)  # SQLite does not tell if its own sync of the folder fails.
        return connection, connect_to_read(path)
    except BaseException:
        connection.close()
        raise


def _mend(connection: sqlite3.Connection, contents: Contents) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM records")
    connection.execute("DELETE FROM twins")
    _put(connection, contents.identity, tuple(contents.rows.values()))
    connection.execute("COMMIT")


def _put(connection: sqlite3.Connection, identity: Identity, rows: Sequence[Row]) -> None:
    records, twins = zip(*(cells(identity, row) for row in rows), strict=True)
    connection.executemany(PUT_RECORD, records)
    connection.executemany(PUT_TWIN, twins)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check(what: str, size: int, most: int) -> None:
    if size > most:
        raise TooLarge(what, size, most)


def _without(peers: Mapping[ServerId, Presence], peer: ServerId) -> Mapping[ServerId, Presence]:
    return {it: presence for it, presence in peers.items() if it != peer}
