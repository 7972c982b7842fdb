"""A store of one's own: what one server must remember, in one JSON file. See docs/stores.md.

- A save writes everything to a new file, syncs that, renames it over the old one, and syncs the
  folder: after a crash, one of the two is there, whole. Only then is there a receipt.
- The first line is a checksum of the rest. What does not fit is refused, never taken for empty.
- The lock beside the file goes with the process that holds it, however that ends.
- The first save that fails is the last one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from hashlib import sha256
from io import BufferedWriter
from pathlib import Path
from typing import Self, TypeAlias

from paxos import (
    Acceptor,
    Ballot,
    MaxRound,
    OperationalError,
    Proposal,
    Saved,
    ServerId,
    server,
)

Record: TypeAlias = server.Record[str]


class JsonStoreError(OperationalError):
    """The store cannot be used, or not any more. What each kind is about is what it says."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: {type(self).__doc__}")


class StoreExists(JsonStoreError):
    """There is a store. Open it, or choose another path for a new server."""


class StoreNotFound(JsonStoreError):
    """There is no store. If the server has run before, its memory is lost: give it a new id."""


class StoreLocked(JsonStoreError):
    """The store is open, here or in another process. One server has one process."""


class Damaged(JsonStoreError):
    """What is there is not what was saved. The server must not vote under its old id any more."""


class Failed(JsonStoreError):
    """A save did not work out. Stop the server, mend the disk, and open the store again."""


class JsonStore:
    """Fits ``paxos_adapters.ports.Store``, for values that are strings."""

    def __init__(self, path: Path, lock: BufferedWriter, records: Iterable[Record] = ()) -> None:
        """Use ``create`` or ``open``."""
        self._path = path
        self._lock = lock
        self._latest = {type(record): record for record in records}
        self._failed = False

    @classmethod
    def create(cls, path: Path) -> Self:
        """The empty store of a new server. Raises StoreExists, StoreLocked, OSError."""
        with ExitStack() as on_failure:
            lock = on_failure.enter_context(_locked(path))
            if path.exists():
                raise StoreExists(path)
            _write(path, _encoded(()))
            on_failure.pop_all()
            return cls(path, lock)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store of a server that ran before.

        Raises StoreNotFound, StoreLocked, Damaged, OSError.
        """
        if not path.exists():
            raise StoreNotFound(path)
        with ExitStack() as on_failure:
            lock = on_failure.enter_context(_locked(path))
            records = _decoded(path)
            on_failure.pop_all()
            return cls(path, lock, records)

    def load(self) -> Saved[Record]:
        """A receipt for the latest record of each type. Raises Failed after a failed save."""
        if self._failed:
            raise Failed(self._path)
        return Saved(tuple(self._latest.values()))

    def save(self, records: tuple[Record, ...]) -> Saved[Record]:
        """Make ``records`` durable, all or none. Raises Failed, and for ever after."""
        if self._failed:
            raise Failed(self._path)
        latest = {**self._latest, **{type(record): record for record in records}}
        try:
            _write(self._path, _encoded(latest.values()))
        except BaseException as cause:
            self._failed = True
            raise Failed(self._path) from cause
        self._latest = latest
        return Saved(records)

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.close()


def _locked(path: Path) -> BufferedWriter:
    lock = path.with_suffix(".lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreLocked(path) from None
    return lock


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _encoded(records: Iterable[Record]) -> bytes:
    fields: dict[str, object] = {}
    for record in records:
        if isinstance(record, MaxRound):
            fields["round"] = record.round
        else:
            held = record.accepted
            fields["vote"] = [record.promised, held and [held.ballot, held.value]]
    body = json.dumps(fields).encode()
    return sha256(body).hexdigest().encode() + b"\n" + body


def _decoded(path: Path) -> list[Record]:
    checksum, _, body = path.read_bytes().partition(b"\n")
    if checksum != sha256(body).hexdigest().encode():
        raise Damaged(path)
    fields, records = json.loads(body), list[Record]()
    if "round" in fields:
        records.append(MaxRound(fields["round"]))
    if "vote" in fields:
        promised, held = fields["vote"]
        accepted = held and Proposal(_ballot(held[0]), held[1])
        records.append(Acceptor(_ballot(promised), accepted))
    return records


def _ballot(fields: list[int]) -> Ballot:
    return Ballot(fields[0], ServerId(fields[1]))
