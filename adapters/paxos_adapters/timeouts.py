"""Timeouts: the delays from which every driver draws when a machine sets a timer.

The unit is the driver's: seconds for a host and a node; a simulator counts ticks.
"""

from __future__ import annotations

from math import ceil
from random import Random
from types import NoneType

from attrs import frozen

from paxos import HeartbeatTimer, SetTimer, UsageError
from paxos.server import ServerTimer
from paxos_adapters import arguments
from paxos_adapters.limits import MAX_LEASE_MS

MAX_DOUBLINGS = 64
MAX_DRIFT = 0.5
"""Clocks that are off by more are of no use to leases."""


class InvalidTimeouts(UsageError, ValueError):
    """Delays that would not let a rival finish."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(f"{timeouts} cannot be kept: retry_max_s must not be below retry_min_s.")


@frozen
class Lease:
    """The leader of a log answers reads alone for ``duration_s`` after a quorum has let it.

    ``drift``: by how much each server's clock is off at most, as a part of the time that passes:
    0.01 for 36 s in an hour. Reads are linearizable only as long as that is true. Every server that
    states a lease grants one as long as its own, and none longer.

    Raises BadNumber unless ``drift`` is above 0 and at most 0.5, and the time that servers hold
    back promises is at most ``limits.MAX_LEASE_MS``.
    """

    duration_s: float
    drift: float

    def __attrs_post_init__(self) -> None:
        arguments.seconds("duration_s", self.duration_s, above_0=True)
        arguments.part("drift", self.drift, "the time that passes", MAX_DRIFT)
        if self.hold_ms > MAX_LEASE_MS:
            allowed = f"less: servers would hold back promises for over {MAX_LEASE_MS:,} ms"
            raise arguments.BadNumber("duration_s", self.duration_s, allowed)

    @property
    def duration_ns(self) -> int:
        """How long it lasts at the leader, in nanoseconds of its clock."""
        return int(self.duration_s * 1e9)

    @property
    def hold_ms(self) -> int:
        """How long a server that grants it holds back promises, in milliseconds of its clock.

        The clock of the leader may be slow, and that of the server fast.
        """
        return ceil(1000 * self.duration_s * (1 + self.drift) / (1 - self.drift))


@frozen
class Timeouts:
    """How long each timer runs, in seconds.

    A proposer retries after a random time in a range that starts at ``retry_min_s`` and whose
    upper end doubles with each attempt, up to ``retry_max_s`` (the lecture, "Liveness", remedy 1).
    A heartbeat is sent every ``heartbeat_s``. A few round trips and saves are a good
    ``retry_min_s``. ``lease``: the leader of a log reads without asking the others; None: it asks.

    Raises BadNumber unless all times are above 0 s and at most ``limits.MAX_S``, and
    InvalidTimeouts unless retry_min_s <= retry_max_s.
    """

    retry_min_s: float = 0.05
    retry_max_s: float = 5.0
    heartbeat_s: float = 0.05
    lease: Lease | None = None

    def __attrs_post_init__(self) -> None:
        for name in "retry_min_s", "retry_max_s", "heartbeat_s":
            arguments.seconds(name, getattr(self, name), above_0=True)
        arguments.one_of("lease", self.lease, Lease, NoneType)
        if self.retry_max_s < self.retry_min_s:
            raise InvalidTimeouts(self)


DEFAULT_TIMEOUTS = Timeouts()


def drawn(delays_s: tuple[float, float], random: Random) -> float:
    """A delay between the least and the greatest of ``delays_s``; no draw where they are one."""
    least_s, greatest_s = delays_s
    return least_s if least_s == greatest_s else random.uniform(least_s, greatest_s)


def delay_range(request: SetTimer[ServerTimer], timeouts: Timeouts) -> tuple[float, float]:
    """The least and the greatest delay of a server's timer."""
    if type(request.timer) is HeartbeatTimer:
        return timeouts.heartbeat_s, timeouts.heartbeat_s
    doubled = timeouts.retry_min_s * 2 ** min(request.attempt + 1, MAX_DOUBLINGS)
    return timeouts.retry_min_s, min(timeouts.retry_max_s, doubled)
