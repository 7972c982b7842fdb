"""Snapshots, taken and restored in a thread: the event loop of the node holds up no vote for them.

- One thing at a time. A snapshot that another server sends ends one that is being taken: it is
  older. One that is to be taken ends one that comes in, and is not later.
- What is taken is a state that nobody changes, so it may be encoded while the log goes on.
- A codec that fails is reported, and harms nothing: the log keeps its entries. A file that fails
  stops the server.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from paxos_adapters import threads
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.log_messages import SnapshotOffer
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.snapshots import Codecs, OtherVersion, pieces, restored

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

_logger = logging.getLogger(__name__)

PIECES_A_COMMIT = 8
"""Pieces that are saved at a time: a vote waits for no more than these."""


class SnapshotFile(Protocol):
    """Where the pieces of snapshots are kept."""

    def begin_snapshot(self) -> None:
        """Pieces of a snapshot will come; what there is of an unfinished one is dropped."""
        ...

    def put_snapshot_pieces(self, slot: int, index: int, pieces: Sequence[bytes]) -> None:
        """Save the next pieces."""
        ...

    def check_snapshot(self, handle: SnapshotHandle) -> None:
        """Raise StoreError unless all pieces are there, and are those of the digest."""
        ...

    def snapshot_piece(self, handle: SnapshotHandle, index: int) -> bytes:
        """One piece, of an unfinished snapshot too."""
        ...

    def sweep_entries(self) -> None:
        """Remove the entries that the snapshot of the log stands for."""
        ...


class Outcomes(Protocol[S, R]):
    """What is told on the event loop."""

    def on_taken(self, handle: SnapshotHandle) -> None:
        """The pieces of a snapshot of what this server has applied are in the file."""
        ...

    def on_restored(self, handle: SnapshotHandle, applied: Applied[S, R] | OtherVersion) -> None:
        """The pieces of a snapshot of another server are in the file: it stands for this."""
        ...

    def on_put(self) -> None:
        """The pieces that came from another server last are in the file."""
        ...

    def on_snapshot_failed(self, error: Exception) -> None:
        """It came to nothing."""
        ...


class SnapshotWorker(Generic[S, C, R]):
    """The snapshots of one log on one server. Belongs to an event loop."""

    def __init__(
        self,
        file: SnapshotFile,
        codecs: Codecs[S, C, R],
        outcomes: Outcomes[S, R],
        deliver: Callable[[Callable[[], None]], None],
    ) -> None:
        """``deliver`` has something called on the event loop. Raises ThreadNotStarted."""
        self._file = file
        self._codecs = codecs
        self._outcomes = outcomes
        self._deliver = deliver
        self._worker = threads.Worker("paxos snapshots")
        self._job = 0
        self._is_taking = False
        self._offer: SnapshotOffer | None = None
        self._received = 0

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is being taken, or comes in."""
        return self._is_taking or self._offer is not None

    def take(self, applied: Applied[S, R]) -> None:
        """Save a snapshot of ``applied``, unless one is being saved, or a later one comes in."""
        if self._offer is not None and self._offer.slot <= applied.slot:
            self._offer = None
        if not self.is_busy:
            self._is_taking = True
            job = self._begin_job()
            self._submit(job, lambda: self._take(job, applied))

    def begin(self, offer: SnapshotOffer) -> None:
        """Pieces of this snapshot will come."""
        self._is_taking, self._offer, self._received = False, offer, 0
        job = self._begin_job()
        self._submit(job, self._file.begin_snapshot)

    def put(self, pieces: Sequence[bytes], *, is_last: bool) -> None:
        """Save the next pieces of it; restore it, if these are the last."""
        offer, job, index = self._offer, self._job, self._received
        assert offer is not None
        self._received += len(pieces)
        self._submit(job, lambda: self._put(job, offer.slot, index, pieces))
        if is_last:
            self._submit(job, lambda: self._restore(job, offer))

    def sweep(self) -> None:
        """Remove the entries that the snapshot of the log stands for."""
        self._submit(self._job, self._file.sweep_entries)

    def close(self) -> None:
        """Begin nothing more."""
        self._begin_job()
        self._worker.end()

    # --- in the thread ----------------------------------------------------------------------------

    def _begin_job(self) -> int:
        """What was begun before ends as soon as it can."""
        self._job += 1
        return self._job

    def _submit(self, job: int, call: Callable[[], None]) -> None:
        def run() -> None:
            try:
                if job == self._job:
                    call()
            except Exception as error:  # A codec of the program may raise anything.
                failure = error
                self._deliver(lambda: self._fail(job, failure))

        self._worker.submit(run)

    def _fail(self, job: int, error: Exception) -> None:
        if job == self._job:
            self._begin_job()
            self._is_taking, self._offer = False, None
            self._outcomes.on_snapshot_failed(error)

    def _take(self, job: int, applied: Applied[S, R]) -> None:
        self._file.begin_snapshot()
        digest = blake2b(digest_size=DIGEST_BYTES)
        count = size_bytes = 0
        for group in _grouped(pieces(self._codecs, applied)):
            if job != self._job:
                return
            self._file.put_snapshot_pieces(applied.slot, count, group)
            count += len(group)
            for piece in group:
                size_bytes += len(piece)
                digest.update(piece)
        handle = SnapshotHandle(applied.slot, count, size_bytes, digest.digest())
        self._file.check_snapshot(handle)
        self._deliver(lambda: self._on_taken(job, handle))

    def _on_taken(self, job: int, handle: SnapshotHandle) -> None:
        if job == self._job:
            self._is_taking = False
            self._outcomes.on_taken(handle)

    def _put(self, job: int, slot: int, index: int, pieces: Sequence[bytes]) -> None:
        self._file.put_snapshot_pieces(slot, index, pieces)
        self._deliver(lambda: self._on_put(job))

    def _on_put(self, job: int) -> None:
        if job == self._job:
            self._outcomes.on_put()

    def _restore(self, job: int, offer: SnapshotOffer) -> None:
        handle = SnapshotHandle(offer.slot, offer.pieces, offer.size_bytes, offer.digest)
        self._file.check_snapshot(handle)
        stream = (self._file.snapshot_piece(handle, it) for it in range(handle.pieces))
        applied = restored(self._codecs, stream)
        self._deliver(lambda: self._on_restored(job, handle, applied))

    def _on_restored(
        self, job: int, handle: SnapshotHandle, applied: Applied[S, R] | OtherVersion
    ) -> None:
        if job == self._job:
            self._offer = None
            self._outcomes.on_restored(handle, applied)


def _grouped(stream: Iterable[bytes]) -> Iterable[list[bytes]]:
    group: list[bytes] = []
    for piece in stream:
        group.append(piece)
        if len(group) == PIECES_A_COMMIT:
            yield group
            group = []
    if group:
        yield group
