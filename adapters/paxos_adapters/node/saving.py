"""Saves for an event loop: inline while the disk is fast, in a thread while it is not.

- A thread costs two switches for each save, about as much as a fast disk takes for the save. On a
  slow disk the event loop must not wait.
- The time of the last save is only an estimate: a fast disk that stalls blocks the event loop once.
- While another process keeps the file busy, it is the thread that waits.
- One save at a time: what is submitted during one goes to the thread, after it.
- The thread is started with the saver, or there is no saver. The first failure is final.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

from paxos import Saved
from paxos_adapters.file import DiskBusy
from paxos_adapters.group_commit import GroupCommitter
from paxos_adapters.guard import Guard

E = TypeVar("E")
R = TypeVar("R")

INLINE_SAVE_S = 0.001
"""By default, the next save is inline if the last one took less than this."""

Save: TypeAlias = Callable[[Sequence[E]], Saved[R]]
Done: TypeAlias = Callable[[Saved[R] | BaseException], None]


class AdaptiveSaver(Generic[E, R]):
    """Saves the entries of one node. Belongs to the event loop that it is made on."""

    def __init__(
        self,
        save: Save[E, R],
        inline_save_s: float,
        guard: Guard,
        clock: Callable[[], float] = time.monotonic,
        save_now: Save[E, R] | None = None,
    ) -> None:
        """``save`` is that of a file; ``save_now`` raises DiskBusy rather than wait.

        ``clock`` measures them in seconds. Raises ThreadNotStarted.
        """
        self._pending = 0
        self._save_entries = save
        self._save_now = save if save_now is None else save_now
        self._quick_s = inline_save_s
        self._guard = guard
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._committer = GroupCommitter[E, R](self._save)
        self._took_s = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a save is in progress in the thread."""
        return self._pending > 0

    def save(self, entries: Sequence[E], saved: Done[R]) -> None:
        """Save ``entries``, and tell ``saved`` how it went: before this returns, or later."""
        if self._took_s < self._quick_s and not self.is_busy:
            outcome = self._try(entries)
            if not isinstance(outcome, DiskBusy):
                saved(outcome)
                return
        saving = self._committer.submit(entries)
        self._pending += 1
        saving.add_done_callback(lambda saving: self._hand_over(saving, saved))

    async def close(self) -> None:
        """Save nothing more, and wait until the saves in progress are done. May be called again."""
        await asyncio.wrap_future(self._committer.closing())
        self._committer.close()  # The thread has nothing to do any more but to end.

    def _save(self, entries: Sequence[E]) -> Saved[R]:
        return self._timed(self._save_entries, entries)

    def _timed(self, save: Save[E, R], entries: Sequence[E]) -> Saved[R]:
        started_s = self._clock()
        receipt = save(entries)
        self._took_s = self._clock() - started_s
        return receipt

    def _try(self, entries: Sequence[E]) -> Saved[R] | BaseException:
        try:
            return self._timed(self._save_now, entries)
        except Exception as error:
            return error

    def _hand_over(self, saving: Future[Saved[R]], saved: Done[R]) -> None:
        with suppress(RuntimeError):  # The event loop has ended, and with it all that wait.
            self._loop.call_soon_threadsafe(self._guard(self._done), saving, saved)

    def _done(self, saving: Future[Saved[R]], saved: Done[R]) -> None:
        self._pending -= 1
        saved(saving.exception() or saving.result())
