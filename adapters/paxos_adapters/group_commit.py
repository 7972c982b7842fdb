"""Group commit: one thread saves for all, and what waits is saved together by one sync.

- An event loop never blocks: what it submits comes back as a future. Others may wait on that.
- One receipt covers a whole save, and unseals everything in the batch.
- In the order in which it was submitted. What was submitted is saved, even if nothing waits for it
  and nothing closes the committer before the program ends, and also while the program ends.
- A save that is refused for what is in it, by a ValueError or a TypeError, fails only the
  submission that caused it: each of the batch is then saved by itself.
- Any other failure is final: it reaches all that wait, and all that come later.
- Bounded, by count and by bytes: more than that is refused.
- The thread is there from the beginning, or the committer is not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from paxos import OperationalError, Saved, UsageError
from paxos_adapters import forks, threads
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES

_logger = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R")

MAX_BATCH = 1_000
"""How many submissions share a save at most."""


class Waiting(NamedTuple, Generic[E, R]):
    """One submission, and its outcome."""

    entries: Sequence[E]
    size_bytes: int
    saved: Future[Saved[R]]


class Overloaded(OperationalError):
    """More waits to be saved than is allowed. Nothing was taken."""

    def __init__(self, count: int, size_bytes: int) -> None:
        super().__init__(
            f"{count:,} submissions with {size_bytes:,} bytes wait for the disk already, and at "
            f"most {MAX_WAITING:,} with {MAX_WAITING_BYTES:,} bytes may; this one was not taken. "
            "Take in less, or wait for what was submitted before."
        )


class NotCommitting(UsageError):
    """Something was to be saved after the committer was closed."""

    def __init__(self) -> None:
        super().__init__("this committer has been closed; nothing was saved. Make another one.")


class GroupCommitter(Generic[E, R]):
    """Saves with ``save``, for example that of a file store, in a thread of its own.

    A context manager: leaving it saves what still waits, and ends the thread.
    """

    def __init__(
        self,
        save: Callable[[Sequence[E]], Saved[R]],
        *,
        size_bytes: Callable[[E], int] = lambda _: 0,
    ) -> None:
        """``size_bytes`` says what an entry counts for in the bound. Raises ThreadNotStarted."""
        self._save = save
        self._size_bytes = size_bytes
        self._waiting: deque[Waiting[E, R]] = deque()
        self._waiting_bytes = 0
        self._lock = Lock()
        self._is_working = self._is_closed = False
        self._failure: BaseException | None = None
        self._process = os.getpid()
        self._ended = threads.uncancellable(Future[None]())
        self._worker = threads.Worker("paxos committer")
        # One that nothing refers to, and that has nothing to do, needs no thread.
        weakref.finalize(self, self._worker.end).atexit = False

    def submit(self, entries: Sequence[E]) -> Future[Saved[R]]:
        """Have ``entries`` saved, together and in order; a receipt for them, and maybe for more.

        The future cannot be cancelled. Raises Overloaded, NotCommitting and Forked, with nothing
        taken.
        """
        forks.check(self._process, "a committer")
        size_bytes = sum(map(self._size_bytes, entries))
        future = threads.uncancellable(Future[Saved[R]]())
        with self._lock:
            if self._is_closed:
                raise NotCommitting
            count, waiting_bytes = len(self._waiting), self._waiting_bytes
            if count >= MAX_WAITING or waiting_bytes + size_bytes > MAX_WAITING_BYTES:
                raise Overloaded(count, waiting_bytes)
            self._waiting.append(Waiting(entries, size_bytes, future))
            self._waiting_bytes += size_bytes
            if not self._is_working:
                self._is_working = True
                self._worker.submit(self._work)
        if threads.program_ends() and not self._worker.is_here:
            wait([future])  # The thread may not come to it any more.
        return future

    async def save(self, entries: Sequence[E]) -> Saved[R]:
        """The same, awaited. Cancelled, the save goes on.

        Raises what the save raised; Overloaded, NotCommitting and Forked, with nothing taken.
        """
        return await asyncio.wrap_future(self.submit(entries))

    def closing(self) -> Future[None]:
        """Take nothing more. Done when what still waits is saved. May be called again.

        Raises Forked.
        """
        forks.check(self._process, "a committer")
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._worker.submit(lambda: self._ended.set_result(None))
                self._worker.end()
        return self._ended

    def close(self) -> None:
        """Save what still waits, and end the thread. May be called again, and by any thread.

        Called by what is done when a save is over, it does not wait for the rest. In a forked
        process there is nothing to close.
        """
        if os.getpid() == self._process:
            ended = self.closing()
            if not self._worker.is_here:
                ended.result()
                self._worker.join()

    def __enter__(self) -> GroupCommitter[E, R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while batch := self._gather():
            saved = self._try(batch)
            if isinstance(saved, ValueError | TypeError) and len(batch) > 1:
                for one in batch:
                    _tell([one], self._try([one]))
            else:
                _tell(batch, saved)

    def _gather(self) -> list[Waiting[E, R]]:
        """What waits already; if nothing does, the work is over."""
        with self._lock:
            count = min(len(self._waiting), MAX_BATCH)
            self._is_working = count > 0
            batch = [self._waiting.popleft() for _ in range(count)]
            self._waiting_bytes -= sum(it.size_bytes for it in batch)
            return batch

    def _try(self, batch: list[Waiting[E, R]]) -> Saved[R] | BaseException:
        if self._failure is not None:
            return self._failure
        try:
            return self._save([entry for it in batch for entry in it.entries])
        except (ValueError, TypeError) as error:
            return error
        except BaseException as error:
            self._failure = error
            return error


def _tell(batch: list[Waiting[E, R]], saved: Saved[R] | BaseException) -> None:
    for it in batch:
        try:
            if isinstance(saved, BaseException):
                it.saved.set_exception(saved)
            else:
                it.saved.set_result(saved)
        except BaseException:
            _logger.exception("what was to be done after a save has failed")
