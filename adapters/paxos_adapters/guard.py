"""What an event loop calls goes through a guard: an unexpected exception is told, never swallowed.

An event loop logs what a callback or a task raises, and goes on: with a server that has lost a part
of its work, and does not know. So each entry from the event loop is guarded: readers, timers, what
another thread hands over, and tasks. The first exception stops the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import ParamSpec

P = ParamSpec("P")


class Guard:
    """Hands each exception of what runs under it to ``failed``, which must not raise."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed

    def __call__(self, call: Callable[P, None]) -> Callable[P, None]:
        """``call``, guarded. What ends the program, an interrupt for example, is raised anew."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                call(*args, **kwargs)
            except BaseException as error:
                self._failed(error)
                if not isinstance(error, Exception):
                    raise

        return guarded

    def task(self, work: Callable[[], Coroutine[object, object, None]]) -> asyncio.Task[None]:
        """A task that does ``work``, guarded. A cancelled one has not failed."""
        return asyncio.get_running_loop().create_task(self._run(work))

    async def _run(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failed(error)
            if not isinstance(error, Exception):
                raise
