"""What can go wrong in a simulated run, how often, and what it is called.

All rates are whole numbers out of 256, since a fraction would not be the same everywhere.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from attrs import frozen

from paxos_adapters import arguments

OUT_OF = 256
NEAR_TICKS, FAR_TICKS = 6, 20
"""How long a message takes at most where servers are near each other, and where they are far."""

RATES = (
    *("loss", "duplication", "lateness", "stale_timers"),
    *("slow_saves", "save_crashes", "lost_disks"),
)
"""The fields of ``Faults`` that are out of 256; a message has one fate of the first three."""

LOST, TWICE, LATE = 0, -1, -2
"""What a draw says instead of a delay."""


class Fault(IntEnum):
    """Everything that can happen in a run; each is counted."""

    LOST = 0
    DUPLICATED = 1
    LATE = 2
    REORDERED = 3
    PARTITIONED = 4
    ONE_WAY_PARTITIONED = 5
    PARTLY_PARTITIONED = 6
    CUT_OFF = 7
    SKEWED = 8
    PAUSED = 9
    CRASHED = 10
    UNDELIVERED = 11
    SAVED_SLOWLY = 12
    CRASHED_BEFORE_SAVE = 13
    TORN_SAVE = 14
    CRASHED_AFTER_SAVE = 15
    STORE_FAILED = 16
    DISK_WIPED = 17
    DISK_ROLLED_BACK = 18
    REFUSED = 19
    STALE_TIMER = 20

    @property
    def label(self) -> str:
        """The fault in a few words."""
        return LABELS[self]


LABELS = {
    Fault.LOST: "message lost",
    Fault.DUPLICATED: "message delivered twice",
    Fault.LATE: "message much too late",
    Fault.REORDERED: "message overtook another one",
    Fault.PARTITIONED: "network cut in two",
    Fault.ONE_WAY_PARTITIONED: "network cut in one direction",
    Fault.PARTLY_PARTITIONED: "single links cut",
    Fault.CUT_OFF: "message lost on a cut link",
    Fault.SKEWED: "clock too fast or too slow",
    Fault.PAUSED: "server paused",
    Fault.CRASHED: "server crashed at rest",
    Fault.UNDELIVERED: "message to a server that was down",
    Fault.SAVED_SLOWLY: "save took its time",
    Fault.CRASHED_BEFORE_SAVE: "crash before a save",
    Fault.TORN_SAVE: "crash within a save",
    Fault.CRASHED_AFTER_SAVE: "crash after a save",
    Fault.STORE_FAILED: "store failed",
    Fault.DISK_WIPED: "disk wiped",
    Fault.DISK_ROLLED_BACK: "disk rolled back",
    Fault.REFUSED: "server refused to start from a lost disk",
    Fault.STALE_TIMER: "timer fired a second time, late",
}


@frozen
class Faults:
    """How much may go wrong. Each run draws its own rates, up to these.

    Rates are out of 256: of messages that are lost, doubled or much too late; of timers that fire a
    second time, when they may be stale; of saves that take their time, and of saves around which
    the server crashes. ``crashes``, ``pauses``, ``partitions`` and ``failing_stores`` say how many
    there are at most, apart from that. ``lost_disks`` says before how many of 256 restarts the disk
    is wiped or rolled back. Raises BadNumber.
    """

    loss: int = 40
    duplication: int = 24
    lateness: int = 24
    stale_timers: int = 16
    slow_saves: int = 20
    save_crashes: int = 6
    crashes: int = 2
    pauses: int = 1
    partitions: int = 1
    failing_stores: int = 1
    lost_disks: int = 48
    skew: bool = True

    def __attrs_post_init__(self) -> None:
        for name in RATES:
            arguments.whole(name, getattr(self, name), 0, OUT_OF)
        for name in "crashes", "pauses", "partitions", "failing_stores":
            arguments.whole(name, getattr(self, name), 0)
        messages = self.loss + self.duplication + self.lateness
        arguments.whole("loss + duplication + lateness", messages, 0, OUT_OF)


CALM = Faults(
    loss=0,
    duplication=0,
    lateness=0,
    stale_timers=0,
    slow_saves=0,
    save_crashes=0,
    crashes=0,
    pauses=0,
    partitions=0,
    failing_stores=0,
    lost_disks=0,
    skew=False,
)
"""Nothing goes wrong. Messages still take different times, and so overtake each other."""


@lru_cache(maxsize=256)
def message_fates(loss: int, duplication: int, lateness: int, far: bool) -> tuple[int, ...]:
    """The fate of a message for each of 256 draws: its delay in ticks, or LOST, TWICE or LATE."""
    rare = (LOST,) * loss + (TWICE,) * duplication + (LATE,) * lateness
    longest = FAR_TICKS if far else NEAR_TICKS
    return rare + tuple(1 + place % longest for place in range(OUT_OF - len(rare)))
