"""When a save may begin: not while another process holds SQLite's write lock, or fills the log.

- Busy at BEGIN has written nothing, so it is not a failed save. A caller waits, however long that
  takes, or is told by DiskBusy: an event loop, for example.
- A reader that never ends keeps SQLite from emptying its log. Past MAX_LOG_BYTES no save begins
  until the log could be emptied: nothing that was acknowledged depends on it, and the disk is not
  filled. Until then the server answers nothing, like one that is down.
- Either is logged once when it begins, and once when it ends; of many in a row, one a minute, with
  their number.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from attrs import frozen

from paxos_adapters.file.errors import DiskBusy
from paxos_adapters.file.reading import is_busy
from paxos_adapters.file.rows import Row
from paxos_adapters.limited_log import LimitedLog

MAX_LOG_BYTES = 256 << 20
"""How large SQLite's log may become: 64 times as large as when it is emptied undisturbed."""

LOOK_BYTES = 1 << 20
"""After how much that was written the size of the log is asked for again.

To ask makes the next sync slower on Linux: it has to write the time of the change, too.
"""

ROW_BYTES = 4 << 10
"""What a row counts for beside its value: some pages of SQLite."""

POLL_S = 0.02
"""How often to try again."""

LOCKED = "another process holds its write lock"


@frozen
class Wait:
    """Why no save can begin, and since when, by ``time.monotonic``."""

    why: str
    since_s: float

    @property
    def lasts_s(self) -> float:
        """For how long."""
        return time.monotonic() - self.since_s

    def __str__(self) -> str:
        return f"{self.why}, for {self.lasts_s:.1f} s"


class Turns:
    """Begins the transactions of one connection."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self.wait: Wait | None = None
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._written_bytes = LOOK_BYTES
        self._log = LimitedLog(logging.getLogger(__name__))
        self._is_over = Event()
        writer.execute("PRAGMA busy_timeout = 0")

    @property
    def log_bytes(self) -> int:
        """How large SQLite's log is."""
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    def begin_now(self, writer: sqlite3.Connection) -> None:
        """Begin a transaction that nothing can keep from being committed but the disk.

        Raises DiskBusy with nothing written, sqlite3.Error.
        """
        if (why := self._obstacle(writer)) is not None:
            raise DiskBusy(self._path, why)

    def begin(self, writer: sqlite3.Connection) -> None:
        """The same, as soon as that can be. Raises DiskBusy once nothing waits any more."""
        while (why := self._obstacle(writer)) is not None:
            if self.wait is None:
                self._say("waits for the disk", why)
                self.wait = Wait(why, time.monotonic())
            if self._is_over.wait(POLL_S):
                raise DiskBusy(self._path, why)
        if self.wait is not None:
            self._say("goes on", f"it waited {self.wait.lasts_s:.1f} s")
            self.wait = None

    def wrote(self, rows: Sequence[Row]) -> None:
        """A transaction is over that has written these."""
        values = [row.value for row in rows if row.value]
        self._written_bytes += len(rows) * ROW_BYTES + sum(map(len, values))

    def end(self) -> None:
        """Wait for nothing any more."""
        self._is_over.set()

    def _obstacle(self, writer: sqlite3.Connection) -> str | None:
        if self._written_bytes >= LOOK_BYTES:
            size = self.log_bytes
            if size > MAX_LOG_BYTES and _is_held(writer):
                return f"another process reads it, and keeps its log at {size:,} bytes"
            self._written_bytes = 0
        try:
            writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return LOCKED
            raise
        return None

    def _say(self, event: str, why: str) -> None:
        self._log.warning(
            event,
            "%s cannot be saved to: %s. Nothing is lost; find that process (fuser), and end it"
            if event != "goes on"
            else "%s is saved to again: %s",
            self._path.name,
            why,
            extra={"event": event, "file": str(self._path)},
        )


def _is_held(writer: sqlite3.Connection) -> bool:
    """Whether the log cannot be emptied. Raises sqlite3.Error."""
    (busy, *_) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return bool(busy)
