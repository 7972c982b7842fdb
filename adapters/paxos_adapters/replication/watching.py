"""Watchers of a log: each gets what is applied, in order, from when it came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from attrs import frozen

from paxos import OperationalError

C = TypeVar("C")
R = TypeVar("R")

MAX_BEHIND = 10_000
"""Steps that wait for a watcher."""


class WatcherTooSlow(OperationalError):
    """A watcher took its steps more slowly than they came. Some are lost to it."""

    def __init__(self) -> None:
        super().__init__(
            f"more than {MAX_BEHIND:,} steps wait for this watcher, and it was given up. Read the "
            "state, watch anew from there, and do what takes long elsewhere."
        )


@frozen
class Step(Generic[C, R]):
    """``command`` was run in ``slot``, and came to ``result``."""

    slot: int
    command: C
    result: R


class Watcher(Generic[C, R]):
    """One watcher: an asynchronous iterator of steps."""

    def __init__(self) -> None:
        self._steps: deque[Step[C, R]] = deque()
        self._has_more = asyncio.Event()
        self._error: Exception | None = None

    def tell(self, step: Step[C, R]) -> bool:
        """One step more; False if it is too far behind."""
        if len(self._steps) >= MAX_BEHIND:
            self.end(WatcherTooSlow())
            return False
        self._steps.append(step)
        self._has_more.set()
        return True

    def end(self, error: Exception) -> None:
        """Nothing more will come, but for what waits."""
        self._error = error
        self._has_more.set()

    def __aiter__(self) -> AsyncIterator[Step[C, R]]:
        return self

    async def __anext__(self) -> Step[C, R]:
        """The next step. Raises WatcherTooSlow, or why the log has ended here."""
        while not self._steps:
            if self._error is not None:
                raise self._error
            self._has_more.clear()
            await self._has_more.wait()
        return self._steps.popleft()


class Watchers(Generic[C, R]):
    """All watchers of one log on one server."""

    def __init__(self) -> None:
        self._watchers: list[Watcher[C, R]] = []

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def add(self) -> Watcher[C, R]:
        """A new watcher."""
        watcher = Watcher[C, R]()
        self._watchers.append(watcher)
        return watcher

    def remove(self, watcher: Watcher[C, R]) -> None:
        """It is told nothing more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def tell(self, step: Step[C, R]) -> None:
        """Hand ``step`` to all watchers."""
        self._watchers = [it for it in self._watchers if it.tell(step)]

    def end(self, error: Exception) -> None:
        """Nothing more will come."""
        for watcher in self._watchers:
            watcher.end(error)
        self._watchers.clear()
