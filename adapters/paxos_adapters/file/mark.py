"""How often a store has saved, and what, kept beside it; and the lock that keeps others out.

- Written after each commit and never ahead of one, so the file holds at least as many saves as the
  mark says. If it holds fewer, something that was vouched for is gone: a torn last write, which
  nobody was told of, is told apart from a damaged one.
- The *total* adds up the checksums of all records. If the file holds just as many saves and another
  total, its parts are not of one time: an older copy under a newer log, for example.
- It is not synced with each save. A power cut can take back some of it, and then it tells less.
- Two slots are written in turns, so that a write that is cut off leaves the other one.
- The lock goes with the process that holds it, however that ends; one that was forked has none.

Source: the persist record of "Protocol-Aware Recovery for Consensus-Based Storage" (2018).
"""

from __future__ import annotations

import fcntl
import os
import struct
from hashlib import blake2b
from io import FileIO
from pathlib import Path

from attrs import frozen

from paxos_adapters import forks
from paxos_adapters.file.errors import Damaged, InUse

MAGIC = b"paxos mark 1"
SLOT = struct.Struct(">12s16sQ16s")
SUM_BYTES = 16
SLOT_BYTES = SLOT.size + SUM_BYTES
APART_BYTES = 4096
"""The slots stand in different sectors, so that no torn write reaches both."""


def beside(path: Path) -> Path:
    """Where the mark of the store at ``path`` stands."""
    return path.with_name(path.name + "-mark")


@frozen(order=True)
class Said:
    """What a mark says: how many saves, the total of what they left, and of which store."""

    saves: int
    total: int
    incarnation: bytes


class Mark:
    """The mark of one store, locked."""

    def __init__(self, store: Path, path: Path, flags: int = 0) -> None:
        """Raises InUse, OSError."""
        self.said = Said(0, 0, b"")
        self.unfinished_path = store.with_name(store.name + "-mark-new")
        self._store = store
        self._file = forks.own(FileIO(os.open(path, flags | os.O_RDWR, 0o666), "r+"))
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InUse(store) from None
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def unfinished(cls, store: Path) -> Mark:
        """The mark of a store that is being made, still under another name.

        Raises InUse, OSError.
        """
        return cls(store, store.with_name(store.name + "-mark-new"), os.O_CREAT)

    def finish(self, incarnation: bytes) -> None:
        """Say that nothing was saved, and take the right name, whole and on the disk.

        Raises FileExistsError, OSError.
        """
        self.said = Said(0, 0, incarnation)
        os.pwrite(self._file.fileno(), bytes(2 * APART_BYTES), 0)
        self.write(0, 0)
        os.fsync(self._file)
        os.link(self.unfinished_path, beside(self._store))

    def is_at(self, path: Path) -> bool:
        """Whether this is the file at ``path``."""
        return os.path.samestat(os.fstat(self._file.fileno()), path.stat())

    @classmethod
    def open(cls, store: Path) -> Mark:
        """The mark of a store that is there. Raises FileNotFoundError, InUse, Damaged, OSError."""
        mark = cls(store, beside(store))
        try:
            mark.said = _read(store, mark._file.fileno())
        except BaseException:
            mark.close()
            raise
        return mark

    def write(self, saves: int, total: int) -> None:
        """Say that so many saves are durable, and what they left. Raises OSError."""
        incarnation = self.said.incarnation
        body = SLOT.pack(MAGIC, incarnation, saves, total.to_bytes(SUM_BYTES, "big"))
        os.pwrite(self._file.fileno(), body + _sum(body), APART_BYTES * (saves % 2))
        self.said = Said(saves, total, incarnation)

    def close(self, *, sync: bool = False) -> None:
        """Let go of the lock. With ``sync``, what it says is on the disk from then on."""
        try:
            if sync:
                os.fsync(self._file)
        finally:
            self._file.close()


def peek(store: Path) -> Said:
    """What the mark says, without the lock. Raises FileNotFoundError, Damaged, OSError."""
    with beside(store).open("rb", buffering=0) as file:
        return _read(store, file.fileno())


def _read(store: Path, file: int) -> Said:
    found: list[Said] = []
    for slot in range(2):
        read = os.pread(file, SLOT_BYTES, APART_BYTES * slot)
        body, sum_ = read[: SLOT.size], read[SLOT.size :]
        if len(read) == SLOT_BYTES and sum_ == _sum(body):
            magic, incarnation, saves, total = SLOT.unpack(body)
            if magic == MAGIC:
                found.append(Said(saves, int.from_bytes(total, "big"), incarnation))
    if not found:
        raise Damaged(store, f"{beside(store).name} does not say how often it has saved")
    return max(found)


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=SUM_BYTES).digest()
