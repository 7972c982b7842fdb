"""The snapshot that another server sends: what of it has come, and what to ask for next.

- What comes is saved beside the event loop. The next pieces are asked for when these are saved.
- Which pieces to ask for, and of which server, is said by ``transfer.py``.
- Its sender may be lost, and this server learn the slots from another one. Then it is given up as
  soon as this server is to take a snapshot of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from paxos import ServerId, To
from paxos_adapters.log_messages import LogMessage, SnapshotOffer, SnapshotPiece
from paxos_adapters.replication import transfer
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.transfer import Download

R = TypeVar("R")
S = TypeVar("S")


class Snapshots(Protocol[S, R]):
    """Takes and restores snapshots, beside the event loop."""

    def take(self, applied: Applied[S, R]) -> None:
        """Save a snapshot of ``applied``, unless one is being saved, or a later one comes in.

        ``LogProcess.on_taken`` is called then.
        """
        ...

    def begin(self, offer: SnapshotOffer) -> None:
        """Pieces of this snapshot will come; those of another one are dropped."""
        ...

    def put(self, pieces: Sequence[bytes], *, is_last: bool) -> None:
        """Save the next pieces, in order; ``LogProcess.on_put`` is called then.

        After the last one ``LogProcess.install`` is called.
        """
        ...

    def sweep(self) -> None:
        """Remove the entries that the snapshot of the log stands for."""
        ...


class Incoming(Generic[S, R]):
    """At most one snapshot at a time."""

    def __init__(self, snapshots: Snapshots[S, R]) -> None:
        """``snapshots`` saves what comes."""
        self._snapshots = snapshots
        self._download: Download | None = None
        self._next: To[LogMessage] | None = None

    def on_offer(self, sender: ServerId, offer: SnapshotOffer, first: int) -> list[To[LogMessage]]:
        """``first`` is the first slot that is not known to be chosen here. What to ask for now."""
        if self._next is not None:
            return []
        before = self._download
        self._download, request = transfer.on_offer(before, offer, first)
        if request is not None and (before is None or before.offer != offer):
            self._snapshots.begin(offer)
        return [] if request is None else [To(sender, request)]

    def on_piece(self, sender: ServerId, piece: SnapshotPiece) -> None:
        """Save it with all others of its request, once these have come."""
        if self._download is None:
            return
        self._download, pieces, request = transfer.on_piece(self._download, piece)
        self._next = self._next if request is None else To(sender, request)
        if pieces:
            self._snapshots.put(pieces, is_last=self._download.is_complete)

    def take_next(self) -> list[To[LogMessage]]:
        """Pieces are saved: what to ask for next."""
        found, self._next = self._next, None
        return [] if found is None else [found]

    def on_due(self, slot: int) -> None:
        """A snapshot of this server is due at ``slot``. One that is not later is of no use now."""
        if self._download is not None and self._download.offer.slot <= slot:
            self.give_up()

    def end(self) -> None:
        """It is installed. Another one may come."""
        self._download = None

    def give_up(self) -> None:
        """It cannot be used. Another one may come."""
        self._download = self._next = None
