"""What waits to be proposed by this server, as long as it leads.

- At once if nothing is in flight: a command that comes alone waits for nothing.
- Else when a quarter of a batch waits, and what is in flight leaves room: so batches form by
  themselves while the log is busy.
- Bounded: what is over the bound is dropped. Its submitter sends it again.
"""

from __future__ import annotations

from collections import deque

from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.replication.batches import MAX_BATCH, MAX_BATCH_BYTES, Items, batch

MAX_IN_FLIGHT_BYTES = 8 * MAX_BATCH_BYTES
"""Entries that are proposed at a time: more would not fit into the buffers of sockets."""


class Proposals:
    """Items in the order in which they came. ``dropped`` counts those that had no room."""

    def __init__(self) -> None:
        self._waiting: deque[Items] = deque()
        self._commands = self._size_bytes = 0
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether there is room for nothing more."""
        return self._commands >= MAX_WAITING or self._size_bytes >= MAX_WAITING_BYTES

    def add(self, items: Items) -> None:
        """Have ``items`` proposed, if there is room."""
        if self.is_full:
            self.dropped += 1
            return
        self._waiting.append(items)
        self._commands += items.commands
        self._size_bytes += len(items.body)

    def clear(self) -> None:
        """Propose none of them: another server leads."""
        self._waiting.clear()
        self._commands = self._size_bytes = 0

    def is_due(self, in_flight: int, in_flight_bytes: int) -> bool:
        """Whether to propose now, with so many entries in flight."""
        if not self._waiting or in_flight_bytes >= MAX_IN_FLIGHT_BYTES:
            return False
        is_quarter = self._commands * 4 >= MAX_BATCH or self._size_bytes * 4 >= MAX_BATCH_BYTES
        return not in_flight or is_quarter

    def take(self) -> bytes:
        """The bytes of the next entry: as many items as a batch has room for, and at least one."""
        taken: list[Items] = []
        commands = size_bytes = 0
        while self._waiting:
            items = self._waiting[0]
            commands, size_bytes = commands + items.commands, size_bytes + len(items.body)
            if taken and (commands > MAX_BATCH or size_bytes > MAX_BATCH_BYTES):
                break
            taken.append(self._waiting.popleft())
            self._commands -= items.commands
            self._size_bytes -= len(items.body)
        return batch(taken)
