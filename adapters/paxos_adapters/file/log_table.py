"""The logs of one file: what each of them has durable, and the rows that a save writes.

- What a log has but for its entries is small, and kept in memory.
- A save writes one row for the replica, however many steps it is for, and one for each entry.
- A snapshot stands only for slots that are known to be chosen in the same commit, and only if all
  its pieces were checked: the file is damaged without them.
- The floor is that of the snapshot.
- A name is a decision or a log.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from paxos.errors import assert_never
from paxos.log.memory import Delta, Prefix
from paxos_adapters.file.entries import (
    AnyEntry,
    LogEntry,
    check_entry,
    check_name,
    check_replica,
    split,
)
from paxos_adapters.file.errors import (
    BadPieces,
    EpochClosed,
    NotALog,
    OtherSnapshot,
    SnapshotTooFar,
)
from paxos_adapters.file.log_rows import (
    LogState,
    after_delta,
    after_snapshot,
    entry_row,
    replica_row,
)
from paxos_adapters.file.rows import Epoch, Row
from paxos_adapters.file.snapshots import SnapshotHandle


class LogTable:
    """What is durable of each log, by name. ``has_decision`` asks the file about other names."""

    def __init__(self, states: Mapping[str, LogState], has_decision: Callable[[str], bool]) -> None:
        self._states = dict(states)
        self._has_decision = has_decision
        self._checked: dict[str, tuple[SnapshotHandle, ...]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._states

    def names(self) -> tuple[str, ...]:
        """All logs that something was saved for, in order."""
        return tuple(sorted(self._states))

    def state(self, name: str) -> LogState | None:
        """What is durable of the log ``name``; None for one that is new.

        Raises NotALog for the name of a decision, and as ``has_decision``.
        """
        state = self._states.get(name)
        if state is None and self._has_decision(name):
            raise NotALog(name, is_log=False)
        return state

    def check_decisions(self, names: Iterable[str]) -> None:
        """Raise NotALog for the name of a log; BadName, TooLarge."""
        for name in names:
            check_name("the name of a decision", name)
            self._check_decision(name, ())

    def _check_decision(self, name: str, states: Container[str]) -> None:
        if name in self._states or name in states:
            raise NotALog(name, is_log=True)

    def checked(self, name: str) -> tuple[SnapshotHandle, ...]:
        """The snapshots that a save may make that of the log."""
        return self._checked.get(name, ())

    def set_checked(self, name: str, handles: tuple[SnapshotHandle, ...]) -> None:
        """All pieces of ``handles`` are durable, and those of their digests."""
        self._checked[name] = handles

    def rows_of(
        self, path: Path, epoch: Epoch, entries: Iterable[AnyEntry], saves: int
    ) -> tuple[list[Row], dict[str, LogState]]:
        """The rows of a save, and what is durable of its logs then: for ``committed``.

        Raises BadName, TooLarge, NotBytes, NotALog, BadPieces, SnapshotTooFar, OtherSnapshot, and
        EpochClosed for a decision, if its ``epoch`` is closed.
        """
        rows, of_logs = split(entries, saves)
        log_rows, states = self._log_rows(of_logs, saves)
        if rows and epoch.is_closed:
            raise EpochClosed(path, epoch.number)
        for row in rows:
            self._check_decision(row.name, states)
        return [*rows, *log_rows], states

    def _log_rows(
        self, entries: Iterable[LogEntry], saves: int
    ) -> tuple[list[Row], dict[str, LogState]]:
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
                if record not in self.checked(name):
                    raise BadPieces(name, record.slot)
                states[name] = after_snapshot(state, record)
            elif type(record) is Prefix:
                raise TypeError("a step saves no Prefix: the file makes it of the entries")
            else:
                assert_never(record)
        for name, state in states.items():
            check_replica(state.promised, state.first, state.lease)
            if state.floor > state.first:
                raise SnapshotTooFar(name, state.floor, state.first)
            if state.floor != state.snapshot_floor:
                raise OtherSnapshot(name, state.floor, state.snapshot_floor)
            rows[name, ""] = replica_row(name, state, saves)
        return list(rows.values()), states

    def committed(self, states: dict[str, LogState]) -> None:
        """It is durable."""
        self._states.update(states)
