"""Wake-ups to come, rounded up to ticks: one timer of the event loop serves all of a tick.

A decision that succeeds leaves its wake-ups behind, since nothing is ever cancelled. So they have
to cost next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from paxos.server import ServerTimer
from paxos_adapters.guard import Guard

TICK_S = 0.005

Alarm: TypeAlias = tuple[str, ServerTimer]
"""The name of a decision, and what its register is to be handed."""


class TimerWheel:
    """The wake-ups of one node, handed to ``ring`` in the order in which they were set."""

    def __init__(self, ring: Callable[[Sequence[Alarm]], None], guard: Guard) -> None:
        self._ring = ring
        self._guard = guard
        self._ticks: dict[int, list[Alarm]] = {}

    def set(self, name: str, wake: ServerTimer, delay_s: float) -> None:
        """Have ``wake`` rung after ``delay_s``, and a tick at most."""
        loop = asyncio.get_running_loop()
        tick = int((loop.time() + delay_s) / TICK_S) + 1
        alarms = self._ticks.get(tick)
        if alarms is None:
            alarms = self._ticks[tick] = []
            loop.call_at(tick * TICK_S, self._guard(self._due), tick)
        alarms.append((name, wake))

    def _due(self, tick: int) -> None:
        self._ring(self._ticks.pop(tick))
