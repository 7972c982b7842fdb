"""Ctrl-C as a wish: long work ends where it is whole, and sums up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def on_interrupt(react: Callable[[], None]) -> Generator[None, None, None]:
    """Call ``react`` for each SIGINT, in place of what would happen otherwise."""

    def heard(*_: object) -> None:
        react()

    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
