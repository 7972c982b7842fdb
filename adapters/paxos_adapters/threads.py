"""A thread that runs calls one after the other: started at once, and usable until the very end.

- The pools of the standard library start threads when they are needed, which may fail much later,
  and refuse work as soon as a program begins to end. A server saves until its program has ended.
- They are daemons. What a worker was given is done before the program ends, and no more.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, RLock, Thread, current_thread
from typing import TypeVar

from paxos import OperationalError

T = TypeVar("T")


class ThreadNotStarted(OperationalError, RuntimeError):
    """The system has not started a thread. Nothing was begun."""

    def __init__(self, name: str, cause: RuntimeError) -> None:
        super().__init__(
            f"the thread {name!r} could not be started ({cause}), so nothing was begun. Raise the "
            "limit on processes and threads (ulimit -u, pids.max), and start it again."
        )


def started(name: str, run: Callable[[], None]) -> Thread:
    """A daemon thread that runs ``run``. Raises ThreadNotStarted."""
    thread = Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadNotStarted(name, error) from error
    return thread


class Worker:
    """One thread that runs calls in order. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        """Raises ThreadNotStarted."""
        calls = self._calls = SimpleQueue[Callable[[], None] | None]()

        def work() -> None:
            while (call := calls.get()) is not None:
                call()
                del call  # It may hold the last reference to what ends this thread.

        self._process = os.getpid()
        self._lock = RLock()  # The garbage collector may end it in the middle of anything.
        self._is_ended = False
        self._thread = started(name, work)
        _workers.add(self)

    @property
    def is_here(self) -> bool:
        """Whether it is the worker that asks."""
        return current_thread() is self._thread

    def submit(self, call: Callable[[], None]) -> None:
        """Have ``call`` run after all that was submitted before. It must not raise."""
        self._calls.put(call)

    def end(self) -> None:
        """End the thread after what was submitted. Does not wait, and may be called again."""
        with self._lock:
            if not self._is_ended:
                self._is_ended = True
                self._calls.put(None)

    def join(self) -> None:
        """Wait until it has ended; not in the worker itself, nor in a forked process."""
        if self._can_wait():
            self._thread.join()

    def drain(self) -> None:
        """Wait until what was submitted is done; not where ``join`` does not wait."""
        if self._can_wait():
            drained = Event()
            with self._lock:
                is_ended = self._is_ended
                self._calls.put(drained.set)
            if is_ended:
                self._thread.join()
            else:
                drained.wait()

    def _can_wait(self) -> bool:
        return os.getpid() == self._process and not self.is_here


_workers = weakref.WeakSet[Worker]()
_ending: list[int] = []


def program_ends() -> bool:
    """Whether this program ends: a thread may run no more as soon as nothing waits for it."""
    return os.getpid() in _ending


@atexit.register
def _end() -> None:
    _ending.append(os.getpid())
    for worker in [*_workers]:
        worker.drain()


def aside(name: str, call: Callable[[], T]) -> Future[T]:
    """What ``call`` returns, from a thread that is started for it. Raises ThreadNotStarted.

    For what may hang, a look-up of a name for example: the program ends without it.
    """
    future = uncancellable(Future[T]())

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    started(name, run)
    return future


def uncancellable(future: Future[T]) -> Future[T]:
    """``future``, which can no longer be cancelled: what it stands for goes on anyway."""
    future.set_running_or_notify_cancel()
    return future
