"""Wake-ups to come, rounded up to ticks: one timer of the event loop serves all of a tick.

A decision that succeeds leaves its wake-ups behind, since nothing is ever cancelled. So they have
to cost next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from paxos_adapters.guard import Guard

A = TypeVar("A")

TICK_S = 0.005


class TimerWheel(Generic[A]):
    """The alarms of one node, handed to ``ring`` in the order in which they were set."""

    def __init__(self, ring: Callable[[Sequence[A]], None], guard: Guard) -> None:
        self._ring = ring
        self._guard = guard
        self._ticks: dict[int, list[A]] = {}

    def set(self, alarm: A, delay_s: float) -> None:
        """Have ``alarm`` rung after ``delay_s``, and a tick at most."""
        loop = asyncio.get_running_loop()
        tick = int((loop.time() + delay_s) / TICK_S) + 1
        alarms = self._ticks.get(tick)
        if alarms is None:
            alarms = self._ticks[tick] = []
            loop.call_at(tick * TICK_S, self._guard(self._due), tick)
        alarms.append(alarm)

    def _due(self, tick: int) -> None:
        self._ring(self._ticks.pop(tick))
