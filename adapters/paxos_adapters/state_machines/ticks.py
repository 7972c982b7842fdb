"""Time as a command: replicas that asked their own clocks would come to different states.

- Time is that of the latest Tick, in whole seconds since a start that the program chooses. It
  never goes back.
- A time to live is counted from the latest Tick. With one of n seconds, a name is
  gone with the first Tick that comes n seconds or more after that one.
- Between Ticks nothing expires. A program proposes the first one before it gives a time to live,
  and more as often as it needs, from any server.

Source: Burrows, "The Chubby lock service for loosely-coupled distributed systems" (2006), section
2.8: a lease may end late, never early.
"""

from __future__ import annotations

from typing import Final, final

import attrs
from attrs import field

from paxos.values import frozen
from paxos_adapters.arguments import whole
from paxos_adapters.persistent_map import PersistentMap

MAX_NOW_S: Final = 10**12
"""The latest time: 31,000 years."""


def _check_now(_: object, field: attrs.Attribute[int], given: int) -> None:
    whole(field.name, given, 0, MAX_NOW_S)


def check_ttl(_: object, field: attrs.Attribute[int | None], given: int | None) -> None:
    """A validator. Raises BadNumber unless ``given`` is None or a time to live in seconds."""
    if given is not None:
        whole(field.name, given, 1, MAX_NOW_S)


@final
@frozen
class Tick:
    """It is ``now_s``, or later: an earlier time than that of the latest Tick changes nothing.

    Raises BadNumber unless it is a whole number from 0 to MAX_NOW_S.
    """

    now_s: int = field(validator=_check_now)


@final
@frozen
class Clock:
    """The latest time, and when each name that has a time to live expires."""

    now_s: int = 0
    expires_s: PersistentMap[int] = PersistentMap()


def scheduled(clock: Clock, name: str, ttl_s: int | None) -> Clock:
    """``clock``, by which ``name`` expires in ``ttl_s`` seconds; None: it does not expire."""
    if ttl_s is None:
        return Clock(clock.now_s, clock.expires_s.remove(name))
    return Clock(clock.now_s, clock.expires_s.put(name, clock.now_s + ttl_s))


def ticked(clock: Clock, tick: Tick) -> tuple[Clock, tuple[str, ...]]:
    """The clock after ``tick``, and the names that have expired, in order.

    It looks at each name that has a time to live.
    """
    now_s, expires_s = max(clock.now_s, tick.now_s), clock.expires_s
    gone = tuple(name for name, at_s in expires_s.scan() if at_s <= now_s)
    for name in gone:
        expires_s = expires_s.remove(name)
    return Clock(now_s, expires_s), gone
