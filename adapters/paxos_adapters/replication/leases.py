"""The leases of a leader, by its clocks: which of its Confirms are recent enough for a read.

- The clocks are read when a Confirm is sent that asks for a lease, and again at the moment of each
  read. No timer ends a lease: in a process that was stopped it would fire too late.
- A lease is recent only if it is by each clock: the one that goes on while the machine is
  suspended, and the one of the day, which is set right after a virtual machine was paused. A clock
  that jumps costs no more than a read by a quorum.
- As long as there are reads, a lease is asked for again after a part of it. Without any there is
  no traffic.

Source: Gray and Cheriton, "Leases" (1989); clock_gettime(2), for CLOCK_BOOTTIME.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from paxos.ballot import V
from paxos.log import Read, replica
from paxos.log.replica import Replica
from paxos_adapters.timeouts import Lease

ASK_AGAIN = 4
"""A lease is asked for again after the fourth part of it."""

_SINCE_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Instant: TypeAlias = tuple[int, ...]
"""What each clock says at one moment, in nanoseconds."""


def read_clocks() -> Instant:
    """The time since the machine was started, suspended or not; and the time of the day."""
    return time.clock_gettime_ns(_SINCE_BOOT), time.time_ns()


class Leases:
    """What one leader has asked for. ``lease`` is as the user states it; None: leases are off."""

    def __init__(self, lease: Lease | None, clocks: Callable[[], Instant] = read_clocks) -> None:
        self._lease = lease
        self._clocks = clocks
        self._asked: deque[tuple[int, Instant]] = deque()

    @property
    def hold_ms(self) -> int:
        """For how long this server grants a lease to another one, at most; 0: it grants none."""
        return 0 if self._lease is None else self._lease.hold_ms

    def read(self, number: int) -> Read:
        """The question ``number`` to the core, which is asked at this moment."""
        if self._lease is None:
            return Read(number)
        now = self._clocks()
        while self._asked and self._age_ns(self._asked[0][1], now) >= self._lease.duration_ns:
            self._asked.popleft()
        since = self._asked[0][0] if self._asked else None
        newest = self._age_ns(self._asked[-1][1], now) if self._asked else None
        if newest is not None and newest * ASK_AGAIN < self._lease.duration_ns:
            return Read(number, since)
        self._asked.append((number, now))
        return Read(number, since, self._lease.hold_ms)

    def remaining_s(self, state: Replica[V]) -> float | None:
        """For how long reads are answered alone; None if they are not."""
        if self._lease is None:
            return None
        now = self._clocks()
        for number, asked in reversed(self._asked):
            left_ns = self._lease.duration_ns - self._age_ns(asked, now)
            if left_ns > 0 and replica.has_lease(state, number):
                return left_ns / 1e9
        return None

    def _age_ns(self, asked: Instant, now: Instant) -> int:
        """The greatest age that a clock says; too old, if one has gone back."""
        ages = [after - before for before, after in zip(asked, now, strict=True)]
        return max(ages) if min(ages) >= 0 else 1 << 62
