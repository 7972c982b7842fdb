"""How often a store has saved, kept beside it, and the lock that keeps others out.

- Written after each commit and never ahead of one, so the file holds at least as many saves as the
  mark says. If it holds fewer, something that was vouched for is gone: a torn last write, which
  nobody was told of, is told apart from a damaged one.
- It is not synced with each save. A power cut can take back some of it, and then it tells less.
- Two slots are written in turns, so that a write that is cut off leaves the other one.
- The lock goes with the process that holds it, however that ends.

Source: the persist record of "Protocol-Aware Recovery for Consensus-Based Storage" (2018).
"""

from __future__ import annotations

import fcntl
import os
import struct
from hashlib import blake2b
from pathlib import Path

from paxos_adapters.file.errors import Damaged, InUse

MAGIC = b"paxos mark 1"
SLOT = struct.Struct(">12s16sQ")
SUM_BYTES = 16
SLOT_BYTES = SLOT.size + SUM_BYTES
APART_BYTES = 4096
"""The slots stand in different sectors, so that no torn write reaches both."""


def beside(path: Path) -> Path:
    """Where the mark of the store at ``path`` stands."""
    return path.with_name(path.name + "-mark")


class Mark:
    """The mark of one store, locked. ``incarnation`` and ``saves`` are what it says."""

    def __init__(self, store: Path, file: int) -> None:
        self._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise InUse(store) from None
        self.incarnation, self.saves = b"", 0

    @classmethod
    def create(cls, store: Path, incarnation: bytes) -> Mark:
        """A mark of no saves, on the disk. Raises FileExistsError, InUse, OSError.

        It appears whole: half a mark could not be told from one that was damaged.
        """
        unfinished = store.with_name(store.name + "-mark-new")
        mark = cls(store, os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o666))
        mark.incarnation = incarnation
        try:
            os.pwrite(mark._file, bytes(2 * APART_BYTES), 0)
            mark.write(0)
            os.fsync(mark._file)
            os.link(unfinished, beside(store))  # Unlike a rename, it replaces nothing.
            unfinished.unlink()
        except BaseException:
            mark.close()
            raise
        return mark

    @classmethod
    def open(cls, store: Path) -> Mark:
        """The mark of a store that is there. Raises FileNotFoundError, InUse, Damaged, OSError."""
        mark = cls(store, os.open(beside(store), os.O_RDWR))
        try:
            mark.incarnation, mark.saves = _read(store, mark._file)
        except BaseException:
            mark.close()
            raise
        return mark

    def write(self, saves: int) -> None:
        """Say that so many saves are durable. Raises OSError."""
        body = SLOT.pack(MAGIC, self.incarnation, saves)
        os.pwrite(self._file, body + _sum(body), APART_BYTES * (saves % 2))
        self.saves = saves

    def close(self, *, sync: bool = False) -> None:
        """Let go of the lock. With ``sync``, what it says is on the disk from then on."""
        try:
            if sync:
                os.fsync(self._file)
        finally:
            os.close(self._file)


def peek(store: Path) -> tuple[bytes, int]:
    """The incarnation and the saves, without the lock. Raises FileNotFoundError, Damaged."""
    file = os.open(beside(store), os.O_RDONLY)
    try:
        return _read(store, file)
    finally:
        os.close(file)


def _read(store: Path, file: int) -> tuple[bytes, int]:
    found: list[tuple[int, bytes]] = []
    for slot in range(2):
        read = os.pread(file, SLOT_BYTES, APART_BYTES * slot)
        body, sum_ = read[: SLOT.size], read[SLOT.size :]
        if len(read) == SLOT_BYTES and sum_ == _sum(body):
            magic, incarnation, saves = SLOT.unpack(body)
            if magic == MAGIC:
                found.append((saves, incarnation))
    if not found:
        raise Damaged(store, f"{beside(store).name} does not say how often it has saved")
    saves, incarnation = max(found)
    return incarnation, saves


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=SUM_BYTES).digest()
