"""How a node is asked for figures, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long a reader waits for the event loop of the node."""

Attributes = Mapping[str, str | int]
Figures = Iterable[tuple[float, Attributes]]


def asking(call: Callable[[], T]) -> Callable[[], T | None]:
    """What has ``call`` called in this event loop, from any thread; None if there is no answer."""
    loop = asyncio.get_running_loop()

    def ask() -> T | None:
        try:
            if asyncio.get_running_loop() is loop:
                return call()
        except RuntimeError:
            pass  # No loop runs in this thread.
        told: Future[T] = Future()
        try:
            loop.call_soon_threadsafe(lambda: told.set_result(call()))
            return told.result(PATIENCE_S)
        except (RuntimeError, Late):
            return None

    return ask
