"""One thread that saves for everybody: whatever waits meanwhile is saved at once, by one sync.

- An event loop never blocks: what it submits comes back as a future. Others may wait on that.
- All that a save vouches for is in one receipt, which opens the seals of everybody in the batch.
- In the order in which it was submitted. What was submitted is saved, even if nobody waits for it
  and nobody closes the committer before the program ends.
- A save that is refused for what is in it, by a ValueError or a TypeError, harms nobody else: each
  submission of the batch is saved by itself.
- Any other failure is final: everybody who waits is told, and everybody after.
- Bounded: who submits faster than the disk saves is told so.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, current_thread
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

from paxos import PaxosError, Saved

_logger = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R")
Waiting: TypeAlias = tuple[Sequence[E], Future[Saved[R]]]

MAX_BATCH = 1_000
"""How many submissions share a save at most."""

MAX_WAITING = 10_000
"""How many submissions may wait at most."""


class Overloaded(PaxosError):
    """More waits to be saved than is allowed."""

    def __init__(self) -> None:
        super().__init__(
            f"{MAX_WAITING:,} submissions wait for the disk already; this one was not taken. Take "
            "in less, or wait for what was submitted before."
        )


class NotCommitting(PaxosError):
    """Something was to be saved after the committer was closed."""

    def __init__(self) -> None:
        super().__init__("this committer has been closed; nothing was saved. Make another one.")


class Committer(Generic[E, R]):
    """Saves with ``save``, for example that of a file store, in a thread of its own.

    A context manager: leaving it saves what still waits, and ends the thread.
    """

    def __init__(self, save: Callable[[Sequence[E]], Saved[R]]) -> None:
        self._save = save
        self._waiting: deque[Waiting[E, R]] = deque()
        self._lock = Lock()
        self._is_working = self._is_closed = False
        self._failure: BaseException | None = None
        self._process = os.getpid()
        self._worker = ThreadPoolExecutor(1, "paxos committer")

    def submit(self, entries: Sequence[E]) -> Future[Saved[R]]:
        """Have ``entries`` saved, together and in order; a receipt for them, and maybe for more.

        The future cannot be cancelled. Raises Overloaded and NotCommitting, with nothing taken.
        """
        future = Future[Saved[R]]()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._is_closed or os.getpid() != self._process:
                raise NotCommitting
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded
            self._waiting.append((entries, future))
            if not self._is_working:
                self._is_working = True
                self._worker.submit(self._work)
        return future

    async def save(self, entries: Sequence[E]) -> Saved[R]:
        """The same, awaited. Cancelled, it goes on saving all the same.

        Raises what the save raised; Overloaded and NotCommitting, with nothing taken.
        """
        return await asyncio.wrap_future(self.submit(entries))

    def close(self) -> None:
        """Save what still waits, and end the thread. May be called again, and by any thread.

        Called by what is done when a save is over, it does not wait for the rest.
        """
        with self._lock:
            self._is_closed = True
        if os.getpid() == self._process:
            self._worker.shutdown(wait=not current_thread().name.startswith("paxos committer"))

    def __enter__(self) -> Committer[E, R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            return [self._waiting.popleft() for _ in range(count)]

    def _try(self, batch: list[Waiting[E, R]]) -> Saved[R] | BaseException:
        if self._failure is not None:
            return self._failure
        try:
            return self._save([entry for entries, _ in batch for entry in entries])
        except (ValueError, TypeError) as error:
            return error
        except BaseException as error:
            self._failure = error
            return error


def _tell(batch: list[Waiting[E, R]], saved: Saved[R] | BaseException) -> None:
    for _, future in batch:
        try:
            if isinstance(saved, BaseException):
                future.set_exception(saved)
            else:
                future.set_result(saved)
        except BaseException:
            _logger.exception("what was to be done after a save has failed")
