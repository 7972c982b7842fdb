"""Timeouts: the delays from which every driver draws when a machine sets a timer.

The unit is the driver's: seconds for a host and a node; a simulator counts ticks.
"""

from __future__ import annotations

from random import Random

from attrs import frozen

from paxos import HeartbeatTimer, SetTimer, UsageError
from paxos.server import ServerTimer
from paxos_adapters import arguments

MAX_DOUBLINGS = 64


class InvalidTimeouts(UsageError, ValueError):
    """Delays that would not let a rival finish."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(f"{timeouts} cannot be kept: retry_max_s must not be below retry_min_s.")


@frozen
class Timeouts:
    """How long each timer runs, in seconds.

    A proposer retries after a random time in a range that starts at ``retry_min_s`` and whose
    upper end doubles with each attempt, up to ``retry_max_s`` (the lecture, "Liveness", remedy 1).
    A heartbeat is sent every ``heartbeat_s``. A few round trips and saves are a good
    ``retry_min_s``.

    Raises BadNumber unless all times are above 0 s and at most ``limits.MAX_S``, and
    InvalidTimeouts unless retry_min_s <= retry_max_s.
    """

    retry_min_s: float = 0.05
    retry_max_s: float = 5.0
    heartbeat_s: float = 0.05

    def __attrs_post_init__(self) -> None:
        for name in "retry_min_s", "retry_max_s", "heartbeat_s":
            arguments.seconds(name, getattr(self, name), above_0=True)
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
