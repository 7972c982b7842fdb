"""A crash-safe store: what it has acknowledged is there, or opening it is refused.

- A receipt is given when SQLite has synced the commit, for everything that was saved in it: see
  ``database.py``.
- Creating and opening are separate operations. A file that is missing or empty is not a new
  server.
- What cannot be saved is refused before anything is written, and the store goes on.
- Any number of decisions share a file, and whatever is saved at once shares a commit.
- What is known of peers' disks is written with every commit that is made anyway, if it changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path

from attrs import frozen

from paxos import QuorumSystem, Saved, ServerId, UnknownServer
from paxos_adapters import arguments
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.file import epochs, opening
from paxos_adapters.file.database import Database
from paxos_adapters.file.entries import (
    AnyEntry,
    AnyRecord,
    Entry,
    Record,
    check_known,
    check_name,
    identity_of,
)
from paxos_adapters.file.epochs import AT_ONCE, Accepted
from paxos_adapters.file.errors import AlreadyAMember, DiskBusy
from paxos_adapters.file.log_file import LogFile
from paxos_adapters.file.log_rows import LogState
from paxos_adapters.file.log_table import LogTable
from paxos_adapters.file.opening import Opened
from paxos_adapters.file.peers import Peers
from paxos_adapters.file.rows import (
    ACCEPTOR,
    GET_ACCEPTORS,
    GET_NAMES,
    GET_NAMES_AFTER,
    GET_RANGE,
    GET_RECORDS,
    GET_ROW,
    SESSION,
    Epoch,
    Key,
    Row,
    acceptor_of,
    epoch_row,
    round_of,
    session_of,
)
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.file.turns import Wait

_logger = logging.getLogger(__name__)


class FileStore:
    """The memory of one server, in one file. Safe to use from several threads.

    A context manager: leaving it closes the file. ``decision`` is what a host takes. ``quorum``
    names the founders and their quorums, ``epoch`` those of the decisions. ``session`` is this
    opening of the file. ``has_whole_chain``: it is sure that no session was ever dropped.
    """

    def __init__(self, opened: Opened) -> None:
        """Use ``create`` or ``open``."""
        contents = opened.contents
        self.path = opened.path
        self.identity = contents.identity
        self.quorum: QuorumSystem = contents.identity.quorum
        self.session = opened.session.session
        self.has_whole_chain = contents.sessions + 1 < opening.MAX_SESSIONS
        self._last = opened.last
        self._database = Database(opened)
        self._peers = Peers(contents.peers)
        self._epoch = contents.epoch
        logs = {name: it.state for name, it in contents.logs.items()}
        self._logs = LogTable(logs, self._has_decision)

    @staticmethod
    def create(
        path: str | PathLike[str],
        *,
        cluster: str,
        server: ServerId,
        quorum: QuorumSystem,
        membership: str = "",
        joining: bool = False,
    ) -> FileStore:
        """The empty memory of a server that has never run.

        ``quorum`` is that of the founders: it stays in the file and in each frame, though the
        members change. ``joining``: the server is to be added to them, under an id that none of
        them has or had. ``membership`` is the id that was drawn for a change of members of stopped
        servers, "" for the first one.

        Raises StoreExists, StoreLocked, BadName, BadNumber, BadArgument and TooLarge, UnknownServer
        if ``server`` is not a member, AlreadyAMember if it is one and ``joining``, and
        StoreUnavailable where the folder cannot be written.
        """
        whose = identity_of(cluster, server, quorum, membership)
        if joining and server in quorum.members:
            raise AlreadyAMember(server, quorum.members)
        if not joining and server not in quorum.members:
            raise UnknownServer(server, quorum.members)
        return FileStore(opening.create(_checked(path), whose))

    @staticmethod
    def open(
        path: str | PathLike[str],
        *,
        cluster: str,
        server: ServerId,
        quorum: QuorumSystem,
        membership: str = "",
    ) -> FileStore:
        """The memory of a server that has run before. Begins a session.

        Raises StoreNotFound, NotAStore, StoreLocked, WrongOwner, WrongMembers, MembershipClosed,
        OlderFormat, NewerFormat, StoreCorrupted, what ``create`` raises for its arguments, and
        StoreUnavailable where the file cannot be read or written.
        """
        whose = identity_of(cluster, server, quorum, membership)
        return FileStore(opening.open_file(_checked(path), whose))

    @property
    def saves(self) -> int:
        """How often it was saved so far."""
        return self._database.saves

    # --- descent --------------------------------------------------------------------------------

    def disk_status(self, entry: Known | None = None) -> DiskStatus:
        """The status of this disk: its session, and one entry of its chain.

        ``entry`` is an earlier session with its end, for a receiver that knows that session; see
        ``ended``. The default is the last session before this one.
        """
        entry = self._last if entry is None else entry
        return DiskStatus(self.session, self.saves, entry.session, entry.saves)

    def ended(self, session: str) -> int | None:
        """How often the file had been saved at the end of an earlier ``session``.

        None if the chain does not have it, or if it is the present one. Raises as ``load`` does.
        """
        rows = self._database.rows(GET_ROW, session, SESSION)
        return session_of(rows[0]).ended if rows else None

    def descends_from(self, known: Known) -> bool:
        """Whether this file was in that session, with such a count then. Raises as ``load`` does.

        If not, this is an older copy of the file; or the session was dropped from the chain, which
        cannot be if ``has_whole_chain``.
        """
        end = self.saves if known.session == self.session else self.ended(known.session)
        return end is not None and end >= known.saves

    # --- peers ----------------------------------------------------------------------------------

    @property
    def peers(self) -> Mapping[ServerId, Known]:
        """What is known of the disks of peers."""
        return self._peers.known

    def set_peer_status(self, peer: ServerId, known: Known | None) -> None:
        """Know this of a peer's disk, durably with the next commit; None: know nothing any more.

        ``save(())`` commits it. Raises BadDiskStatus; Closed and SaveFailed if no commit can
        follow.
        """
        if known is not None:
            check_known(known)
        self._database.check_usable()
        self._peers.put(peer, known)

    # --- decisions ------------------------------------------------------------------------------

    def decisions(self) -> tuple[str, ...]:
        """The names of all decisions that something was saved for, in order.

        Raises as ``load`` does.
        """
        return self._database.names(GET_NAMES)

    def decisions_after(self, name: str, most: int) -> tuple[str, ...]:
        """The first ``most`` names of decisions behind ``name``, in order. Raises as ``load``."""
        return self._database.names(GET_NAMES_AFTER, name, most)

    def decision(self, name: str) -> Decision:
        """The part of the memory that is about one decision, as a store for a host.

        Raises BadName, TooLarge.
        """
        check_name("the name of a decision", name)
        return Decision(self, name)

    def load(self, decision: str) -> Saved[Record]:
        """A receipt for what was saved last for ``decision``; for nothing, if nothing was.

        Does not wait for a save in progress. Raises StoreCorrupted, StoreUnavailable, BadName,
        TooLarge, and SaveFailed after a save that failed.
        """
        self._database.check_usable()
        self._logs.check_decisions([decision])
        rows = self._database.rows(GET_RECORDS, decision)
        return Saved(
            tuple([acceptor_of(it) if it.kind == ACCEPTOR else round_of(it) for it in rows])
        )

    # --- epochs of decisions ----------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """The epoch of the decisions: see ``epochs.py``."""
        return self._epoch

    def accepted(self, after: str = "", most: int = AT_ONCE) -> tuple[Accepted, ...]:
        """What is accepted for the next ``most`` decisions ``after`` a name. Raises as ``load``.

        The first of each is the name; for one with a promise alone there is None. So it goes on
        behind the last name, until there is none.
        """
        rows = self._database.rows(GET_ACCEPTORS, after, most)
        return tuple([(it.name, acceptor_of(it).accepted) for it in rows])

    def close_epoch(self, number: int) -> None:
        """Save nothing about a decision from now on, in that epoch or an earlier one. Durable.

        Closing it again changes nothing. Raises as ``save``.
        """
        with self._database.saving() as saves:
            after = epochs.closed(self._epoch, number)
            if after != self._epoch:
                self._commit([epoch_row(after, saves)])
                self._epoch = after

    def adopt(self, number: int, quorum: QuorumSystem, settled: epochs.Settled) -> None:
        """Begin the epoch of ``number`` with what was ``settled``, and with nothing else.

        ``quorum`` names its members. It takes several commits, the last of which begins the epoch:
        after a kill, adopt it anew. An epoch that was adopted is not touched. Raises
        EpochNotClosed, EpochOver, NotALog, BadName, TooLarge, NotBytes, and as ``save``.
        """
        self._database.check_usable()
        if not epochs.is_next(self.path, self._epoch, number):
            return
        self._logs.check_decisions(settled)
        known, last = set[str](), ""
        while rows := self._database.rows(GET_ACCEPTORS, last, AT_ONCE):
            last = rows[-1].name
            known |= settled.keys() & {it.name for it in rows}
            self._put(partial(epochs.adopted, rows, settled))
        for chunk in epochs.chunks(settled, known):
            self._put(partial(epochs.first_rows, chunk))
        with self._database.saving() as saves:
            epochs.is_next(self.path, self._epoch, number)  # It may have been closed since.
            after = Epoch(number, quorum)
            self._commit([epoch_row(after, saves)])
            self._epoch = after

    def _put(self, rows: Callable[[int], Sequence[Row]]) -> None:
        with self._database.saving() as saves:
            if written := rows(saves):
                self._commit(written)

    # --- logs -----------------------------------------------------------------------------------

    def logs(self) -> tuple[str, ...]:
        """The names of all logs that something was saved for, in order. Raises as ``load``."""
        self._database.check_usable()
        return self._logs.names()

    def has_log(self, name: str) -> bool:
        """Whether something was saved for a log of this name."""
        return name in self._logs

    def log(self, name: str) -> LogFile:
        """The part of the memory that is about one log. Raises BadName, TooLarge."""
        check_name("the name of a log", name)
        return LogFile(self, name)

    def log_state(self, name: str) -> LogState | None:
        """See ``log_file.Rows``. Raises as ``load``, and NotALog for the name of a decision."""
        self._database.check_usable()
        return self._logs.state(name)

    def checked(self, name: str) -> tuple[SnapshotHandle, ...]:
        """See ``log_file.Rows``."""
        return self._logs.checked(name)

    def set_checked(self, name: str, handles: tuple[SnapshotHandle, ...]) -> None:
        """See ``log_file.Rows``."""
        self._logs.set_checked(name, handles)

    def _has_decision(self, name: str) -> bool:
        return bool(self._database.rows(GET_RECORDS, name))

    def read_range(self, name: str, least: str, end: str, most: int) -> list[Row]:
        """See ``log_file.Rows``. Raises as ``load``."""
        return self._database.rows(GET_RANGE, name, least, end, most)

    def kinds(self, name: str, least: str, end: str, most: int) -> list[tuple[str, int]]:
        """See ``log_file.Rows``. Raises as ``load``."""
        return self._database.kinds(name, least, end, most)

    def write(self, rows: Callable[[int], Sequence[Row]], gone: Sequence[Key] = ()) -> None:
        """See ``log_file.Rows``. Raises as ``save``."""
        with self._database.saving() as saves:
            # Some row has to hold the count of a commit that only removes.
            self._commit(rows(saves) or [self._peers.row(saves)], gone)

    # --- saving ---------------------------------------------------------------------------------

    def save(self, batch: Iterable[Entry], *, wait: bool = True) -> Saved[Record]:
        """The same as ``save_all``, for decisions alone."""
        entries = tuple(batch)
        return self.save_all(entries, wait=wait).part(tuple([record for _, record in entries]))

    def save_all(self, batch: Iterable[AnyEntry], *, wait: bool = True) -> Saved[AnyRecord]:
        """Make all records of ``batch`` durable, together or not at all.

        With them goes what is to be remembered of peers; an empty batch saves that alone. For one
        decision, a later record of a type replaces the earlier ones; those of a log are taken in
        order.

        While another process keeps the file busy, a save waits, and ``waits`` says so; not with
        ``wait=False``, which raises DiskBusy. Raises TooLarge, BadName, NotBytes and EpochClosed
        with nothing saved; SaveFailed if the disk did not take it, and from then on; Closed.
        """
        entries = tuple(batch)
        with self._database.saving() as saves:
            rows, states = self._logs.rows_of(self.path, self._epoch, entries, saves)
            if rows or self._peers.has_news:
                self._commit(rows, wait=wait)
                self._logs.committed(states)
        return Saved(tuple([record for _, record in entries]))

    @property
    def waits(self) -> Wait | None:
        """Why a save waits for another process, and how long; None if none does."""
        return self._database.turns.wait

    @property
    def log_bytes(self) -> int:
        """How large SQLite's log is; a reader that does not end makes it grow."""
        return self._database.turns.log_bytes

    def stop_waiting(self) -> None:
        """From now on a save that cannot begin raises DiskBusy; so does one that waits."""
        self._database.turns.end()

    def close(self) -> None:
        """Save what is known of peers, and release the file. May be called again.

        A save that waits for another process is given up, with nothing written. Raises SaveFailed
        if what is known could not be saved; the file is released anyway.
        """
        self._database.close(self._save_peers)

    def _save_peers(self) -> None:
        try:
            if self._peers.has_news:
                self._commit([], wait=False)
        except DiskBusy as busy:
            _logger.warning("what is known of peers was not saved: %s", busy)

    def _commit(self, rows: Sequence[Row], gone: Sequence[Key] = (), *, wait: bool = True) -> None:
        self._database.commit(lambda saves: [*rows, *self._peers.take_news(saves)], gone, wait=wait)

    def __enter__(self) -> FileStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@frozen
class Decision:
    """What a file remembers of the decision ``name``: a store for one host."""

    file: FileStore
    name: str

    def load(self) -> Saved[Record]:
        """See ``FileStore.load``."""
        return self.file.load(self.name)

    def save(self, records: tuple[Record, ...]) -> Saved[Record]:
        """See ``FileStore.save``."""
        return self.file.save((self.name, record) for record in records)


def _checked(path: str | PathLike[str]) -> Path:
    """``path``. Raises BadArgument for another object."""
    arguments.one_of("path", path, str, PathLike)
    return Path(path)
