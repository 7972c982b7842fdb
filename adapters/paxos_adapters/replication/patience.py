"""When to send again what the leader has not answered.

- After some heartbeats, then after twice as many, and so on: what is slow is not made slower.
- An answer to what waits longest begins it anew.
"""

from __future__ import annotations

from typing import TypeAlias

RETRY_BEATS, MAX_RETRY_BEATS = 4, 64
"""After how many heartbeats, at first and at most."""

Waiting: TypeAlias = tuple[int | None, ...]
"""What waits longest, by number: of each source of commands, and of the questions."""


class Patience:
    """How long this server has waited for the leader."""

    def __init__(self) -> None:
        self._waiting: Waiting | None = None
        self._quiet_beats, self._limit = 0, RETRY_BEATS

    def on_sent(self) -> None:
        """All was sent just now."""
        self._quiet_beats = 0

    def is_over(self, waiting: Waiting | None) -> bool:
        """Whether to send again now, to be asked with each heartbeat. None: nothing waits."""
        if waiting != self._waiting:
            self._waiting, self._quiet_beats, self._limit = waiting, 0, RETRY_BEATS
        elif waiting is not None:
            self._quiet_beats += 1
            if self._quiet_beats >= self._limit:
                self._limit = min(2 * self._limit, MAX_RETRY_BEATS)
                return True
        return False
