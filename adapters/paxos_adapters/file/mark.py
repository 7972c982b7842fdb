"""The mark of a store: a sidecar file that counts its saves, and holds the lock on it.

- Written after each commit and never before one, so the file holds at least as many saves as the
  mark says. If it holds fewer, something acknowledged is gone: a torn last write, of which no peer
  was told, is told apart from a damaged one.
- It names the *session* in which it was written. The file is damaged unless its chain of sessions
  holds that one with such a count: a copy that was opened elsewhere and put back does not.
- The *total* adds up the checksums of all rows. If the file holds just as many saves and another
  total, its parts are not of one time: an older copy under a newer log, for example.
- It is synced when it is made, when a session begins, and when the file is closed; not with each
  save. A power cut can take back some of it, and then it tells less.
- Two slots are written in turns, so that a write that is cut off leaves the other one.
- The lock goes with the process that holds it, however that ends; a forked one has none. A lock
  can be taken by any process that may read the mark, so only its owner may (mode 0600).

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
from paxos_adapters.file import private
from paxos_adapters.file.errors import OlderFormat, StoreCorrupted, StoreLocked
from paxos_adapters.file.identity import FORMAT

MAGIC, FIRST_MAGIC = b"paxos mark 2", b"paxos mark 1"
SLOT = struct.Struct(">12s16s8sQ16s")
SUM_BYTES, SESSION_BYTES = 16, 8
SLOT_BYTES = SLOT.size + SUM_BYTES
APART_BYTES = 4096
"""The slots stand in different sectors, so that no torn write reaches both."""


def mark_path(path: Path) -> Path:
    """Where the mark of the store at ``path`` stands."""
    return path.with_name(path.name + "-mark")


def unfinished(path: Path) -> Path:
    """Where it stands as long as the store is being made."""
    return path.with_name(path.name + "-mark-new")


@frozen(order=True)
class MarkContent:
    """What a mark says: how many saves, the total of what they left, the session, and the store.

    Before the first session, ``session`` is empty, and nothing was saved.
    """

    saves: int
    total: int
    session: str
    incarnation: bytes


NOTHING = MarkContent(0, 0, "", b"")


class Mark:
    """The mark of one store, locked."""

    def __init__(self, store: Path, file: int) -> None:
        """Raises StoreLocked, OSError."""
        self.content = NOTHING
        self._slot = 0
        self._store = store
        self._file = forks.own(FileIO(file, "r+"))
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StoreLocked(store) from None
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def unfinished(cls, store: Path) -> Mark:
        """The mark of a store that is being made, still under another name.

        Raises StoreLocked, OSError.
        """
        return cls(store, private.make_or_take(unfinished(store)))

    def finish(self, incarnation: bytes) -> None:
        """Say that nothing was saved, and take the right name, whole and on the disk.

        Raises FileExistsError, OSError.
        """
        self.content = MarkContent(0, 0, "", incarnation)
        os.pwrite(self._file.fileno(), bytes(2 * APART_BYTES), 0)
        self._put(self.content)
        os.fsync(self._file)
        os.link(unfinished(self._store), mark_path(self._store))

    def is_at(self, path: Path) -> bool:
        """Whether this is the file at ``path``."""
        return os.path.samestat(os.fstat(self._file.fileno()), path.lstat())

    @classmethod
    def open(cls, store: Path) -> Mark:
        """The mark of a store that is there.

        Raises FileNotFoundError, StoreLocked, StoreCorrupted, OlderFormat, OSError.
        """
        mark = cls(store, private.take(mark_path(store)))
        try:
            mark.content, mark._slot = _read(store, mark._file.fileno())
        except BaseException:
            mark.close()
            raise
        return mark

    def begin(self, session: str, saves: int, total: int) -> None:
        """Say that ``session`` has begun, and sync it. Raises OSError."""
        self._put(MarkContent(saves, total, session, self.content.incarnation))
        os.fsync(self._file)

    def write(self, saves: int, total: int) -> None:
        """Say that so many saves are durable, and what they left. Raises OSError."""
        self._put(MarkContent(saves, total, self.content.session, self.content.incarnation))

    def _put(self, content: MarkContent) -> None:
        session = bytes.fromhex(content.session) if content.session else bytes(SESSION_BYTES)
        total = content.total.to_bytes(SUM_BYTES, "big")
        body = SLOT.pack(MAGIC, content.incarnation, session, content.saves, total)
        self._slot = 1 - self._slot
        os.pwrite(self._file.fileno(), body + _sum(body), APART_BYTES * self._slot)
        self.content = content

    def close(self, *, sync: bool = False) -> None:
        """Release the lock. With ``sync``, the content is on the disk from then on."""
        try:
            if sync:
                os.fsync(self._file)
        finally:
            self._file.close()


def peek(store: Path) -> MarkContent:
    """What the mark says, without the lock.

    Raises FileNotFoundError, StoreCorrupted, OlderFormat, OSError.
    """
    file = os.open(mark_path(store), os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _read(store, file)[0]
    finally:
        os.close(file)


def _read(store: Path, file: int) -> tuple[MarkContent, int]:
    found: list[tuple[MarkContent, int]] = []
    for slot in range(2):
        read = os.pread(file, SLOT_BYTES, APART_BYTES * slot)
        if read.startswith(FIRST_MAGIC):
            raise OlderFormat(store, 1, FORMAT)
        body, sum_ = read[: SLOT.size], read[SLOT.size :]
        if len(read) == SLOT_BYTES and sum_ == _sum(body) and body.startswith(MAGIC):
            _, incarnation, session, saves, total = SLOT.unpack(body)
            name = session.hex() if any(session) else ""
            found.append(
                (MarkContent(saves, int.from_bytes(total, "big"), name, incarnation), slot)
            )
    if not found:
        raise StoreCorrupted(store, f"{mark_path(store).name} does not say how often it was saved")
    return max(found)


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=SUM_BYTES).digest()
