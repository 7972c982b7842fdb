"""Whether the rows of each log go together; they are taken as a stream, by names and kinds.

- From the floor on, every slot that is known to be chosen has its entry. What is below the floor is
  not swept away yet, and what is above may have gaps.
- A floor above the first slot has a snapshot: all its pieces, of the size and digest that the row
  of the replica names. Pieces of another one are those of a snapshot that was not finished.
- A name is a decision or a log.
"""

from __future__ import annotations

from hashlib import blake2b

from attrs import frozen

from paxos_adapters.file.log_rows import LogState, piece_of, replica_of, slot_of
from paxos_adapters.file.rows import ACCEPTOR, ENTRY, REPLICA, ROUND, SNAPSHOT, Row
from paxos_adapters.file.snapshots import DIGEST_BYTES


@frozen
class LogContents:
    """What a file holds of a log: its state, and how many entries."""

    state: LogState
    entries: int


class LogChecks:
    """The logs among the names so far."""

    def __init__(self) -> None:
        self.logs: dict[str, LogContents] = {}
        self._name = ""
        self._rows = _LogRows()

    def take(self, row: Row) -> None:
        """One more row. Raises ValueError if those of the name before do not go together."""
        if row.name != self._name:
            self.finish()
            self._name = row.name
        kind = row.kind.partition(" ")[0]
        if kind == ENTRY:
            self._rows.take_entry(slot_of(row.kind))
        elif kind == REPLICA:
            self._rows.state = replica_of(row)
        elif kind == SNAPSHOT:
            self._rows.take_piece(*piece_of(row))
        elif kind in (ACCEPTOR, ROUND):
            self._rows.is_decision = True

    def finish(self) -> None:
        """The name has no more rows. Raises ValueError."""
        try:
            found = self._rows.contents()
        except ValueError as error:
            raise ValueError(f"its log {self._name!r} {error}") from error
        if found is not None:
            self.logs[self._name] = found
        self._rows = _LogRows()


class _LogRows:
    """The rows of one name: runs of entries without a gap, then the replica, then the pieces."""

    def __init__(self) -> None:
        self.state: LogState | None = None
        self.is_decision = False
        self._entries = 0
        self._runs: list[tuple[int, int]] = []
        self._pieces = self._size_bytes = 0
        self._digest = blake2b(digest_size=DIGEST_BYTES)

    def take_entry(self, slot: int) -> None:
        self._entries += 1
        if self._runs and self._runs[-1][1] == slot:
            slot_before, _ = self._runs.pop()
            self._runs.append((slot_before, slot + 1))
        else:
            self._runs.append((slot, slot + 1))

    def take_piece(self, slot: int, index: int, piece: bytes) -> None:
        handle = None if self.state is None else self.state.snapshot
        if handle is not None and handle.slot == slot and index == self._pieces:
            self._pieces += 1
            self._size_bytes += len(piece)
            self._digest.update(piece)

    def contents(self) -> LogContents | None:
        """None for a decision, or for nothing. Raises ValueError."""
        state = self.state
        if state is None:
            if self._entries:
                raise ValueError("has entries, and does not say what it has promised")
            return None
        if self.is_decision:
            raise ValueError("is a decision, too")
        floor, first = state.floor, state.first
        if floor < first and not any(it <= floor and first <= end for it, end in self._runs):
            raise ValueError(f"has not every entry from slot {floor} to slot {first - 1}")
        handle = state.snapshot
        if handle is not None:
            found = self._pieces, self._size_bytes, self._digest.digest()
            if found != (handle.pieces, handle.size_bytes, handle.digest):
                raise ValueError(f"has not the whole snapshot of the slots below {handle.slot}")
        return LogContents(state, self._entries)
