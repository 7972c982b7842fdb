"""Log lines that a message or a datagram can cause: the first of a kind, then counts.

- Whatever the rate at which something goes wrong, a kind has at most one line in ``every_s``. It
  says how many there were since the last one.
- Kinds are bounded, too: an address or a name may be part of one, and others choose those.
- No traceback: what the network does is not a defect of the program.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from threading import Lock

from attrs import define

EVERY_S = 60.0
MAX_KINDS = 256
"""How many kinds are told apart at a time; all others are one."""

OTHERS = object()


@define
class _Told:
    """When a kind had a line last, and how many came since."""

    at_s: float
    unsaid: int = 0


class LimitedLog:
    """Logs to ``logger``. Thread-safe; ``clock`` is in seconds, and never goes back."""

    def __init__(
        self,
        logger: logging.Logger,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._every_s = every_s
        self._clock = clock
        self._told: dict[Hashable, _Told] = {}
        self._lock = Lock()

    def warning(
        self,
        kind: Hashable,
        message: str,
        *args: object,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Log it, unless ``kind`` had a line less than ``every_s`` ago: then count it."""
        unsaid = self._due(kind)
        if unsaid is None:
            return
        if unsaid:
            message, args = f"{message} (%s more since the last line)", (*args, f"{unsaid:,}")
        self._logger.warning(message, *args, extra=extra, stacklevel=2)

    def _due(self, kind: Hashable) -> int | None:
        """How many of ``kind`` had no line, if it is time for one; None if it was counted."""
        with self._lock:
            now_s = self._clock()
            if kind not in self._told and len(self._told) >= MAX_KINDS:
                kind = OTHERS
            told = self._told.get(kind)
            if told is not None and now_s < told.at_s + self._every_s:
                told.unsaid += 1
                return None
            self._told[kind] = _Told(now_s)
            return 0 if told is None else told.unsaid
