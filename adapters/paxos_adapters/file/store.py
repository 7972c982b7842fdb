"""A store that never lies: what it has vouched for is there, or it says that it is not.

- A receipt is given when SQLite has synced the commit, for everything that was saved in it.
- To create and to open are two verbs. A file that is missing or empty is never a new server.
- The first save that fails is the last one. Nothing is tried again.
- Whatever is wrong with what is to be saved is found before anything is written, and harms nothing.
- Any number of decisions share a file, and whatever is saved at once shares a commit.
- What is known of peers rides on the next commit.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020), for the third.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from secrets import token_hex
from threading import Lock, RLock
from types import TracebackType
from typing import TypeAlias

from attrs import frozen

from paxos import Acceptor, Ballot, MaxRound, Saved, ServerId, server
from paxos.errors import assert_never
from paxos_adapters.blocks import RESERVED, kept, reserved
from paxos_adapters.file import opening
from paxos_adapters.file.errors import (
    BadName,
    BadPresence,
    Closed,
    Damaged,
    Failed,
    Forked,
    NotBytes,
    TooLarge,
)
from paxos_adapters.file.opening import Opened, put
from paxos_adapters.file.reading import refusal
from paxos_adapters.file.rows import (
    ACCEPTOR,
    GET_NAMES,
    GET_RECORD,
    GET_SUM,
    PEER,
    ROUND,
    Identity,
    Row,
    acceptor_of,
    acceptor_row,
    added,
    lines,
    peer_row,
    round_of,
    round_row,
)
from paxos_adapters.peers import Presence

Record: TypeAlias = server.Record[bytes]
Entry: TypeAlias = tuple[str, Record]
"""The name of a decision, and what must be durable for it."""

MAX_NAME_BYTES = 255
MAX_VALUE_BYTES = 1 << 20
MAX_ROUND = (1 << 63) - 1
MAX_COUNT = MAX_ROUND
HEXADECIMAL = re.compile("[0-9a-f]{1,64}")


class FileStore:
    """The memory of one server, in one file. Safe to use from several threads.

    A context manager: leaving it closes the file. ``decision`` is what a host takes. ``opened`` is
    how often it had saved when it was opened, ``mended`` names the records of which one of two
    copies had to be written anew.
    """

    def __init__(self, opened: Opened) -> None:
        """Use ``create`` or ``open``."""
        contents = opened.contents
        self.path = opened.path
        self.identity: Identity = contents.identity
        self.mended = contents.mended
        self.peers: Mapping[ServerId, Presence] = contents.peers
        self.opened = self.mark = contents.mark
        self._life = token_hex(8)
        self._beside = opened.mark
        self._writer = opened.writer
        self._reader = opened.reader
        self._news: dict[ServerId, Presence | None] = {}
        self._saving, self._reading, self._noting = RLock(), RLock(), Lock()
        self._process = os.getpid()
        self._failure: BaseException | None = None
        self._is_closed = False

    @staticmethod
    def create(path: str | PathLike[str], *, cluster: str, server: ServerId) -> FileStore:
        """The empty memory of a server that has never run.

        Raises AlreadyThere, InUse, BadName and TooLarge, and Denied where the folder cannot be
        written.
        """
        _check_name("the name of a cluster", cluster)
        _check("the id of a server", abs(server), MAX_COUNT)
        return FileStore(opening.create(Path(path), cluster, server))

    @staticmethod
    def open(path: str | PathLike[str], *, cluster: str, server: ServerId) -> FileStore:
        """The memory of a server that has run before.

        Raises NotThere, NoStore, InUse, WrongOwner, NewerFormat, Damaged, and Denied where the file
        cannot be read or written.
        """
        return FileStore(opening.open_file(Path(path), cluster, server))

    @property
    def presence(self) -> Presence:
        """What this server tells its peers of its disk."""
        return Presence(self.identity.incarnation, self._life, self.opened, self.mark)

    def decisions(self) -> tuple[str, ...]:
        """The names of all decisions that something was saved for, in order.

        Raises as ``load`` does.
        """
        with self._reading:
            self._check_usable()
            try:
                return tuple(name for (name,) in self._reader.execute(GET_NAMES, (PEER,)))
            except sqlite3.Error as error:
                raise refusal(self.path, error) from error

    def decision(self, name: str) -> Decision:
        """The part of the memory that is about one decision, as a store for a host.

        Raises BadName, TooLarge.
        """
        _check_name("the name of a decision", name)
        if name == RESERVED:
            raise BadName("the name of a decision", name)
        return Decision(self, name)

    def load(self, decision: str) -> Saved[Record]:
        """A receipt for what was saved last for ``decision``; for nothing, if nothing was.

        Does not wait for a save that is under way. Raises Damaged, Denied, BadName, TooLarge, and
        Failed after a save that failed.
        """
        _check_name("the name of a decision", decision)
        with self._reading:
            self._check_usable()
            memory, max_round = self._row(decision, ACCEPTOR), self._row(decision, ROUND)
        records: list[Record] = []
        if memory is not None:
            records.append(acceptor_of(memory))
        if max_round is not None:
            records.append(round_of(max_round))
        return Saved(tuple(records))

    def save(self, batch: Iterable[Entry]) -> Saved[Record]:
        """Make all records of ``batch`` durable, together or not at all.

        For one decision, a later record of a type replaces the earlier ones. Raises TooLarge,
        BadName and NotBytes with nothing saved; Failed if the disk did not take it, and for ever
        after.
        """
        entries = tuple(batch)
        with self._saving:
            self._check_usable()
            saves = self.mark + 1
            rows = {(it.name, it.kind): it for it in (_row_of(*it, saves) for it in entries)}
            if rows:
                self._commit([*rows.values(), *self._take_news(saves)])
        return Saved(tuple(record for _, record in entries))

    def remember(self, peer: ServerId, presence: Presence | None) -> None:
        """Know this of a peer's disk from the next commit on; None: know nothing any more.

        Raises BadPresence; Closed and Failed if there is no next commit.
        """
        if presence is not None:
            _check_presence(presence)
        with self._noting:
            self._check_usable()
            self._news[peer] = presence
            self.peers = {**self.peers, peer: presence} if presence else _without(self.peers, peer)

    def close(self) -> None:
        """Save what is known of peers, and let go of the file. May be called again.

        Raises Failed if that could not be saved; the file is let go of all the same.
        """
        with self._saving, self._reading:
            if self._is_closed or os.getpid() != self._process:
                return
            try:
                if self._news and self._failure is None:
                    self._commit(self._take_news(self.mark + 1))
            finally:
                self._is_closed = True
                self._let_go()

    def _let_go(self) -> None:
        try:
            try:
                self._reader.close()
                self._writer.close()
            finally:
                self._beside.close(sync=self._failure is None)
        except (sqlite3.Error, OSError) as error:
            raise Failed(self.path, error) from error

    def __enter__(self) -> FileStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise Forked(self.path)
        if self._is_closed:
            raise Closed(self.path)
        if self._failure is not None:
            raise Failed(self.path, self._failure) from self._failure

    def _commit(self, rows: Sequence[Row]) -> None:
        written = [lines(self.identity, row) for row in rows]
        total = self._beside.said.total
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for row, (_, _, sum_) in zip(rows, written, strict=True):
                old = self._writer.execute(GET_SUM, (row.name, row.kind)).fetchone()
                total = added(total, sum_, gone=old and old[0])
            put(self._writer, written)
            self._writer.execute("COMMIT")
            self._beside.write(self.mark + 1, total)
            self.mark += 1
        except BaseException as cause:
            self._failure = cause
            raise Failed(self.path, cause) from cause

    def _row(self, name: str, kind: str) -> Row | None:
        try:
            found = self._reader.execute(GET_RECORD, (name, kind)).fetchone()
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error
        if found is None:
            return None
        row = Row(*found[:-1])
        if lines(self.identity, row)[0] != found:
            raise Damaged(self.path, f"the {kind} record of {name!r} has changed meanwhile")
        return row

    def _take_news(self, saves: int) -> list[Row]:
        with self._noting:
            news, self._news = self._news, {}
        return [peer_row(peer, presence, saves) for peer, presence in news.items()]


@frozen
class Decision:
    """What a file remembers of the decision ``name``: a store for one host."""

    file: FileStore
    name: str

    def load(self) -> Saved[Record]:
        """See ``FileStore.load``. What a node has reserved in this memory counts as saved."""
        own = self.file.load(self.name)
        block = reserved(self.file.load(RESERVED).records)
        return Saved(kept(own.records, block)) if block else own

    def save(self, records: tuple[Record, ...]) -> Saved[Record]:
        """See ``FileStore.save``."""
        return self.file.save((self.name, record) for record in records)


def _row_of(decision: str, record: Record, saves: int) -> Row:
    """``record`` as it is written. Raises BadName, TooLarge, NotBytes."""
    _check_name("the name of a decision", decision)
    if type(record) is MaxRound:
        _check("a round", record.round, MAX_ROUND)
        return round_row(decision, record, saves)
    if type(record) is Acceptor:
        _check_ballot(record.promised)
        if record.accepted is not None:
            _check_ballot(record.accepted.ballot)
            _check_value(record.accepted.value)
        return acceptor_row(decision, record, saves)
    assert_never(record)


def _check_value(value: object) -> None:
    if not isinstance(value, bytes):
        raise NotBytes(value)
    _check("a value, in bytes,", len(value), MAX_VALUE_BYTES)


def _check(what: str, size: int, most: int) -> None:
    if size > most:
        raise TooLarge(what, size, most)


def _check_ballot(ballot: Ballot) -> None:
    _check("a round", ballot.round, MAX_ROUND)
    _check("the id of a server", abs(ballot.server), MAX_COUNT)


def _check_name(what: str, name: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadName(what, name) from None
    _check(f"{what}, in bytes,", size, MAX_NAME_BYTES)


def _check_presence(it: Presence) -> None:
    names = HEXADECIMAL.fullmatch(it.incarnation), HEXADECIMAL.fullmatch(it.life)
    if None in names or not 0 <= it.opened <= it.mark <= MAX_COUNT:
        raise BadPresence(it)


def _without(peers: Mapping[ServerId, Presence], peer: ServerId) -> Mapping[ServerId, Presence]:
    return {it: presence for it, presence in peers.items() if it != peer}
