"""Ctrl-C, and being told to end, as a wish: long work ends where it is whole, and sums up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def on_interrupt(react: Callable[[], None]) -> Generator[None, None, None]:
    """Call ``react`` for each SIGINT and SIGTERM, in place of what would happen otherwise."""

    def heard(*_: object) -> None:
        react()

    before = {it: signal.signal(it, heard) for it in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for it, handler in before.items():
            signal.signal(it, handler)
