"""The logs of one file: what each of them has durable, and the rows that a save writes.

- What a log has but for its entries is small, and kept in memory once it was read.
- A save writes one row for the replica, however many steps it is for, and one for each entry.
- A snapshot stands only for slots that are known to be chosen in the same commit.
- A name is a decision or a log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paxos.errors import assert_never
from paxos.log.memory import Delta, Prefix
from paxos_adapters.file.entries import LogEntry, check_entry, check_name, check_replica
from paxos_adapters.file.errors import SnapshotTooFar
from paxos_adapters.file.log_rows import (
    LogState,
    after_delta,
    after_snapshot,
    entry_row,
    replica_row,
)
from paxos_adapters.file.rows import Row
from paxos_adapters.file.snapshots import SnapshotHandle


class LogTable:
    """What is durable of each log, by name. ``read`` gets it from the file; None: nothing is."""

    def __init__(self, read: Callable[[str], LogState | None]) -> None:
        self._read = read
        self._states: dict[str, LogState] = {}

    def state(self, name: str) -> LogState | None:
        """What is durable of the log ``name``; None for one that is new. Raises as ``read``."""
        state = self._states.get(name)
        if state is None and (state := self._read(name)) is not None:
            self._states[name] = state
        return state

    def rows_of(
        self, entries: Iterable[LogEntry], saves: int
    ) -> tuple[list[Row], dict[str, LogState]]:
        """The rows of a save, and what is durable of its logs then: for ``committed``.

        Raises BadName, TooLarge, NotBytes, SnapshotTooFar, and as ``read``.
        """
        rows: dict[tuple[str, str], Row] = {}
        states: dict[str, LogState] = {}
        for name, record in entries:
            state = states.get(name)
            if state is None:
                check_name("the name of a log", name)
                state = self.state(name) or LogState()
            if type(record) is Delta:
                states[name] = after_delta(state, record)
                for slot, proposal in record.written:
                    check_entry(slot, proposal)
                    row = entry_row(name, slot, proposal, saves)
                    rows[row.key] = row
            elif type(record) is SnapshotHandle:
                states[name] = after_snapshot(state, record)
            elif type(record) is Prefix:
                raise TypeError("a step saves no Prefix: the file makes it of the entries")
            else:
                assert_never(record)
        for name, state in states.items():
            check_replica(state.promised, state.first)
            if state.floor > state.first:
                raise SnapshotTooFar(name, state.floor, state.first)
            rows[name, ""] = replica_row(name, state, saves)
        return list(rows.values()), states

    def committed(self, states: dict[str, LogState]) -> None:
        """It is durable."""
        self._states.update(states)
