"""One thread that saves for everybody: whatever waits meanwhile is saved at once, by one sync.

- An event loop never blocks: what it submits comes back as a future. Others may wait on that.
- All that a save vouches for is in one receipt, which opens the seals of everybody in the batch.
- In the order in which it was submitted. What was submitted is saved, even if nobody waits for it.
- The first save that fails is the last one: everybody who waits is told, and everybody after.
- Bounded: who submits faster than the disk saves is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

from paxos import PaxosError, Saved

E = TypeVar("E")
R = TypeVar("R")
Waiting: TypeAlias = "tuple[Sequence[E], Future[Saved[R]]]"

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
        self._waiting: Queue[Waiting[E, R] | None] = Queue(MAX_WAITING)
        self._closed = False
        self._thread = Thread(target=self._work, name="paxos committer", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[E]) -> Future[Saved[R]]:
        """Have ``entries`` saved, together and in order; a receipt for them, and maybe for more.

        The future cannot be cancelled. Raises Overloaded and NotCommitting, with nothing taken.
        """
        if self._closed:
            raise NotCommitting
        future = Future[Saved[R]]()
        future.set_running_or_notify_cancel()
        try:
            self._waiting.put_nowait((entries, future))
        except Full:
            raise Overloaded from None
        return future

    async def save(self, entries: Sequence[E]) -> Saved[R]:
        """The same, awaited. Cancelled, it goes on saving all the same.

        Raises what the save raised; Overloaded and NotCommitting, with nothing taken.
        """
        return await asyncio.wrap_future(self.submit(entries))

    def close(self) -> None:
        """Save what still waits, and end the thread. May be called again."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join()

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
        failure: BaseException | None = None
        goes_on = True
        while goes_on:
            batch = list(self._gather())
            goes_on = batch[-1] is not None
            waiting = [it for it in batch if it is not None]
            try:
                if failure is not None:
                    raise failure
                saved = self._save([entry for entries, _ in waiting for entry in entries])
            except BaseException as error:
                failure = error
                for _, future in waiting:
                    future.set_exception(failure)
            else:
                for _, future in waiting:
                    future.set_result(saved)

    def _gather(self) -> Iterator[Waiting[E, R] | None]:
        """One submission at least, and what else waits already; the end comes last."""
        for number in range(MAX_BATCH):
            try:
                following = self._waiting.get(block=number == 0)
            except Empty:
                return
            yield following
            if following is None:
                return
