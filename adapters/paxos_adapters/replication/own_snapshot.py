"""The last snapshot that this server has of a log: when it may stand for the slots below it.

- It waits for a Check of it, or of a later one, but only for some heartbeats: ``consistency.py``.
- It is saved with a record that knows all these slots to be chosen, or after one.
- A snapshot that came from another server was chosen there: it waits for no Check.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from paxos.log.memory import FIRST_SLOT, Delta
from paxos_adapters.file.entries import LogRecord
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.replication.consistency import HELD_BEATS


class OwnSnapshot:
    """``floor``: a snapshot stands for all slots below it. All below ``durable`` are chosen."""

    def __init__(self, durable: int, saved: SnapshotHandle | None) -> None:
        """``saved`` stands for its slots already."""
        self.durable = durable
        self.floor = FIRST_SLOT if saved is None else saved.slot
        self._finished: SnapshotHandle | None = None
        self._held_beats = 0
        self._saved_s: float | None = None

    @property
    def age_s(self) -> float | None:
        """Since one was saved; None if none was since the start."""
        return None if self._saved_s is None else monotonic() - self._saved_s

    def on_taken(self, handle: SnapshotHandle) -> None:
        """``handle`` was taken here."""
        if self._finished is None:
            self._held_beats = HELD_BEATS
        self._finished = handle

    def on_installed(self, handle: SnapshotHandle) -> None:
        """``handle`` has come from another server."""
        self._finished, self._held_beats = handle, 0

    def on_beat(self) -> None:
        """A heartbeat has passed."""
        self._held_beats = max(self._held_beats - 1, 0)

    def take(self, records: Sequence[LogRecord], checked: int) -> list[LogRecord]:
        """``records``, with the snapshot if it can be saved with them.

        ``checked``: the last slot at which this server was found equal.
        """
        handle = self._finished
        if handle is None or self._is_held(handle, checked):
            return [*records]
        if handle.slot > max(self.durable, _last_first(records)):
            return [*records]
        self._finished = None
        return [*records, handle]

    def _is_held(self, handle: SnapshotHandle, checked: int) -> bool:
        """Whether it waits for its Check, or that of a later one."""
        return self._held_beats > 0 and checked < handle.slot

    def on_saved(self, records: Sequence[LogRecord]) -> bool:
        """These are durable; whether a snapshot is among them."""
        floors = [it.slot for it in records if type(it) is SnapshotHandle]
        self.durable = max(self.durable, _last_first(records))
        if floors:
            self.floor, self._saved_s = max(self.floor, *floors), monotonic()
        return bool(floors)


def _last_first(records: Sequence[LogRecord]) -> int:
    """The first slot that the last of these records does not know to be chosen."""
    return max((it.first for it in records if type(it) is Delta), default=FIRST_SLOT)
