"""Saves for an event loop: at once while the disk is quick, in a thread while it is not.

- A thread costs two switches for each save, about as much as a quick disk takes for the save. On
  a slow disk the event loop has better things to do than to wait.
- What the last save took is no promise: a quick disk that stalls holds the event loop up once.
- While another process keeps the file busy, it is the thread that waits.
- One save at a time. What comes meanwhile goes together into the next one.
- The first failure is final.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from paxos import Saved, server
from paxos_adapters.committing import Committer
from paxos_adapters.file import DiskBusy, FileStore
from paxos_adapters.registers import Entry

QUICK_S = 0.001
"""A disk that took less than this for the last save is waited for, unless told otherwise."""


class Saver:
    """Saves the entries of one node into ``file``. Belongs to the event loop that it is made on."""

    def __init__(self, file: FileStore, quick_s: float) -> None:
        self.is_busy = False
        self._quick_s = quick_s
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._committer = Committer[Entry, server.Record[bytes]](self._save)
        self._took_s = 0.0

    def save(
        self,
        entries: Sequence[Entry],
        saved: Callable[[Saved[server.Record[bytes]] | BaseException], None],
    ) -> None:
        """Save ``entries``, and tell ``saved`` how it went: before this returns, or later."""
        if self._took_s < self._quick_s:
            outcome = self._try(entries)
            if not isinstance(outcome, DiskBusy):
                saved(outcome)
                return
        self.is_busy = True
        self._committer.submit(entries).add_done_callback(
            lambda saving: self._loop.call_soon_threadsafe(self._done, saving, saved)
        )

    def close(self) -> None:
        """Wait for the save under way. Blocks."""
        self._committer.close()

    def _save(self, entries: Sequence[Entry], *, wait: bool = True) -> Saved[server.Record[bytes]]:
        started_s = time.monotonic()
        receipt = self._file.save(entries, wait=wait)
        self._took_s = time.monotonic() - started_s
        return receipt

    def _try(self, entries: Sequence[Entry]) -> Saved[server.Record[bytes]] | BaseException:
        try:
            return self._save(entries, wait=False)
        except Exception as error:
            return error

    def _done(
        self,
        saving: Future[Saved[server.Record[bytes]]],
        saved: Callable[[Saved[server.Record[bytes]] | BaseException], None],
    ) -> None:
        self.is_busy = False
        saved(saving.exception() or saving.result())
