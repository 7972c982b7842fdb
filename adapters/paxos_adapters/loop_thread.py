"""An event loop in a thread of its own, for programs without one: of a node, or of a client.

- What it serves is entered before the constructor returns, and left when it is closed.
- A question is asked from any thread, which waits for its answer. To interrupt that ends the wait.
- A question before ``close`` is answered, or raises what says that it was closed; none hangs.
- A process that is forked has no such thread. There every question is refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from threading import RLock
from typing import TypeVar

from paxos_adapters import forks
from paxos_adapters.threads import started

T = TypeVar("T")


class LoopThread:
    """Serves one context manager. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        served: AbstractAsyncContextManager[object],
        owner: object,
        closed: Callable[[], Exception],
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """Enter ``served``. ``name`` is that of the thread.

        ``closed`` makes what a question raises after the end, and Forked names the ``owner``.
        Raises ThreadNotStarted, and what entering raises.
        """
        self._served = served
        self._owner = owner
        self._closed = closed
        self._process = os.getpid()
        self._lock = RLock()
        self._is_closed = False
        self._closing = asyncio.Event()
        self._told = set[asyncio.Task[object]]()
        self._runner = asyncio.Runner(loop_factory=loop_factory or asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        entered = Future[None]()
        # A program that ends without closing ends as in a crash, which is what a node is made for.
        try:
            self._thread = started(name, lambda: self._run(entered))
        except BaseException:
            self._loop.close()
            raise
        try:
            entered.result()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Raise Forked in another process."""
        forks.check(self._process, self._owner)

    def ask(self, question: Callable[[], Coroutine[object, object, T]]) -> T:
        """What comes of ``question``. Raises what it raises, Forked, and that it was closed."""
        self.check()
        with self._lock:  # What is asked before it is closed, the loop begins before it ends.
            if self._is_closed:
                raise self._closed()
            asked = question()
            try:
                answer = asyncio.run_coroutine_threadsafe(asked, self._loop)
            except RuntimeError:  # The loop has ended by itself.
                asked.close()
                raise self._closed() from None
        try:
            return answer.result()
        except CancelledError:
            raise self._closed() from None
        finally:
            answer.cancel()

    def tell(self, call: Callable[[], Coroutine[object, object, object]]) -> None:
        """Have ``call`` run, and wait for nothing; nothing happens after the end."""

        def begin() -> None:
            self._told.add(told := self._loop.create_task(call()))
            told.add_done_callback(self._told.discard)

        with suppress(RuntimeError):  # The loop has ended.
            self._loop.call_soon_threadsafe(begin)

    def close(self) -> None:
        """Leave what is served, and end the thread. May be called again, and by any thread.

        Interrupted, it goes on in the background. In a forked process there is nothing to close.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            self._is_closed = True
            with suppress(RuntimeError):  # The loop has ended already.
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self, entered: Future[None]) -> None:
        with self._runner:
            self._runner.run(self._serve(entered))

    async def _serve(self, entered: Future[None]) -> None:
        try:
            await self._served.__aenter__()
        except BaseException as error:
            entered.set_exception(error)
            return
        entered.set_result(None)
        await self._closing.wait()
        await self._served.__aexit__(None, None, None)
