"""The part of a file that is about one log: what its host loads, fetches and sweeps.

- What is fetched is durable and known to be chosen by the same durable row: never more.
- The pieces of a snapshot are saved in commits of their own, a few at a time. They count for
  nothing until a commit says that the snapshot is that of the log; the rest is swept away.
- What a snapshot stands for is removed in steps, so that no other commit waits for long.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from typing import Protocol

from attrs import frozen

from paxos import Proposal, Saved
from paxos.log.memory import FIRST_SLOT, Delta, Prefix, Record
from paxos.log.messages import Entry
from paxos_adapters.file.errors import BadPieces, OtherSnapshot
from paxos_adapters.file.log_rows import (
    LogState,
    entry_kind,
    entry_of,
    piece_kind,
    piece_of,
    piece_row,
)
from paxos_adapters.file.rows import ENTRY, SNAPSHOT, Key, Row
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle

MAX_OPEN = 1 << 16
"""Entries that may be there from the first slot on that is not known to be chosen."""

SWEPT_AT_A_TIME, SWEPT_BYTES = 256, 1 << 18
"""Rows that one commit removes, and about the bytes of their values."""


class Rows(Protocol):
    """What a log needs of its file."""

    def log_state(self, name: str) -> LogState | None:
        """What is durable of the log but for its entries."""
        ...

    def read_range(self, name: str, least: str, end: str, most: int) -> list[Row]:
        """The rows of ``name`` whose kinds are from ``least`` on and below ``end``, in order."""
        ...

    def kinds(self, name: str, least: str, end: str, most: int) -> list[tuple[str, int]]:
        """Their kinds, and how many bytes their values have."""
        ...

    def checked(self, name: str) -> tuple[SnapshotHandle, ...]:
        """The snapshots that a save may make that of the log."""
        ...

    def set_checked(self, name: str, handles: tuple[SnapshotHandle, ...]) -> None:
        """All pieces of ``handles`` are there, and those of their digests."""
        ...

    def write(self, rows: Callable[[int], Sequence[Row]], gone: Sequence[Key] = ()) -> None:
        """Write ``rows`` for a count of saves, and remove others, in a commit of its own."""
        ...


@frozen
class LogFile:
    """The log ``name`` of ``file``."""

    file: Rows
    name: str

    # --- entries ----------------------------------------------------------------------------------

    def load(self) -> Saved[Record[bytes]]:
        """What a replica starts from: nothing, or a Prefix without its entries and one Delta.

        Raises as ``FileStore.load``, and NotALog for the name of a decision.
        """
        state = self.file.log_state(self.name)
        if state is None:
            return Saved(())
        end = f"{ENTRY}~"
        rows = self.file.read_range(self.name, entry_kind(state.first), end, MAX_OPEN)
        written = tuple([entry_of(it) for it in rows])
        prefix: Prefix[bytes] = Prefix(state.floor)
        delta = Delta(state.promised, state.first, state.configurations, written, lease=state.lease)
        return Saved((prefix, delta))

    def fetch(self, slot: int, count: int, size_bytes: int) -> tuple[Proposal[Entry[bytes]], ...]:
        """What is durable and chosen from ``slot`` on; nothing below the floor.

        At most ``count``, and only one if two are more than ``size_bytes``. Raises as ``load``.
        """
        state = self.file.log_state(self.name)
        if state is None or not state.floor <= slot < state.first:
            return ()
        end = entry_kind(min(state.first, slot + count))
        found: list[Proposal[Entry[bytes]]] = []
        held_bytes = 0
        # As many rows again as are found: no large one is read in vain but the last.
        while rows := self.file.read_range(
            self.name, entry_kind(slot + len(found)), end, max(len(found), 1)
        ):
            for row in rows:
                held_bytes += 0 if row.value is None else len(row.value)
                at, proposal = entry_of(row)
                # Another thread may have swept some away since ``state`` was read.
                if at != slot + len(found) or (found and held_bytes > size_bytes):
                    return tuple(found)
                found.append(proposal)
        return tuple(found)

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> SnapshotHandle | None:
        """The snapshot that stands for all slots below the floor; None without one."""
        state = self.file.log_state(self.name)
        return None if state is None else state.snapshot

    def snapshot_piece(self, handle: SnapshotHandle, index: int) -> bytes:
        """One piece, of an unfinished snapshot too. Raises BadPieces if it is not there."""
        kind = piece_kind(handle.slot, index)
        rows = self.file.read_range(self.name, kind, f"{kind}~", 1)
        if not rows:
            raise BadPieces(self.name, handle.slot)
        return piece_of(rows[0])[2]

    def begin_snapshot(self) -> None:
        """Pieces of a snapshot will come; what there is of an unfinished one is removed."""
        self._sweep_pieces()

    def put_snapshot_pieces(self, slot: int, index: int, pieces: Sequence[bytes]) -> None:
        """Save pieces, from ``index`` on.

        Raises as ``FileStore.save``, and OtherSnapshot for slots that a snapshot stands for.
        """
        state = self.file.log_state(self.name)
        floor = FIRST_SLOT if state is None else state.floor
        if slot <= floor:
            raise OtherSnapshot(self.name, slot, floor)
        self.file.set_checked(self.name, self._checked_but(slot))
        self.file.write(
            lambda saves: [
                piece_row(self.name, slot, number, it, saves)
                for number, it in enumerate(pieces, index)
            ]
        )

    def check_snapshot(self, handle: SnapshotHandle) -> None:
        """Raise BadPieces unless all pieces are there, and are those of the digest.

        A save makes it the snapshot of the log only after that, also if the next one is checked
        before it: a save may wait for the disk.
        """
        digest = blake2b(digest_size=DIGEST_BYTES)
        size_bytes = 0
        for index in range(handle.pieces):
            piece = self.snapshot_piece(handle, index)
            digest.update(piece)
            size_bytes += len(piece)
        if (digest.digest(), size_bytes) != (handle.digest, handle.size_bytes):
            raise BadPieces(self.name, handle.slot)
        self.file.set_checked(self.name, (*self._checked_but(handle.slot), handle))

    def _checked_but(self, slot: int) -> tuple[SnapshotHandle, ...]:
        """Those that are checked and that no save has passed, but for the one up to ``slot``."""
        state = self.file.log_state(self.name)
        floor = FIRST_SLOT if state is None else state.floor
        return tuple(it for it in self.file.checked(self.name) if floor < it.slot != slot)

    def sweep(self) -> None:
        """Remove what the snapshot of the log stands for, and the pieces of others."""
        self.sweep_entries()
        self._sweep_pieces()

    def sweep_entries(self) -> None:
        """Remove the entries that the snapshot of the log stands for."""
        state = self.file.log_state(self.name)
        if state is not None:
            self._remove(lambda: self._kinds(ENTRY, entry_kind(state.floor)))

    def _sweep_pieces(self) -> None:
        """Those of the snapshot of the log stay, and of those that a save may make that."""
        snapshot, checked = self.snapshot(), self._checked_but(FIRST_SLOT)
        kept = sorted({it.slot for it in (snapshot, *checked) if it is not None})
        begins = SNAPSHOT, *(piece_kind(slot + 1, 0) for slot in kept)
        ends = *(piece_kind(slot, 0) for slot in kept), f"{SNAPSHOT}~"
        for least, end in zip(begins, ends, strict=True):
            self._remove(partial(self._kinds, least, end))

    def _kinds(self, least: str, end: str) -> list[str]:
        """Those to remove in one commit: at least one, if there are any."""
        found = self.file.kinds(self.name, least, end, SWEPT_AT_A_TIME)
        sizes = accumulate(size_bytes for _, size_bytes in found)
        count = sum(it <= SWEPT_BYTES for it in sizes)
        return [kind for kind, _ in found[: max(count, 1)]]

    def _remove(self, found: Callable[[], list[str]]) -> None:
        while kinds := found():
            self.file.write(lambda _: (), [(self.name, kind) for kind in kinds])
