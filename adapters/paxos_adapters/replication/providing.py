"""What a server has that another one lacks: entries of the file, or the snapshot for them.

- A server that is behind is sent several CatchUps at a time. What it asks for again within a few
  heartbeats is on its way.
- Below the floor it is offered the snapshot that stands for that, and asks for its pieces.
- While it gets on with a snapshot, the server takes no later one: it would have to begin anew, and
  a large snapshot would never be whole. One that asks for the same pieces again gets no such time.

Source: the lecture, "Full disclosure"; "Paxos Made Live" (2007), 5.5, on catching up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from paxos import Proposal, ServerId, To
from paxos.log import CatchUp, Fetch
from paxos.log.messages import Entry
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.log_messages import (
    LogMessage,
    SnapshotOffer,
    SnapshotPiece,
    SnapshotRequest,
    value_bytes,
)

FETCHED_BYTES = 1 << 19
"""About how many bytes of entries answer one request: the next one comes when they are saved."""

CATCH_UP_BYTES = 1 << 15
"""How many bytes of entries one CatchUp carries, if it carries more than one entry."""

SENT_BEATS = 4
"""For how many heartbeats what was sent is taken to be on its way."""

SENDING_BEATS = 32
"""For how many heartbeats a server that has asked for further pieces is waited for."""


class LogStore(Protocol):
    """What a file has of one log. Its records are saved by the node, with all others."""

    def fetch(self, slot: int, count: int, size_bytes: int) -> tuple[Proposal[Entry[bytes]], ...]:
        """What is durable and chosen from ``slot`` on; nothing below the floor.

        At most ``count``, and only one if two are more than ``size_bytes``.
        """
        ...

    def snapshot(self) -> SnapshotHandle | None:
        """The snapshot that stands for all slots below the floor."""
        ...

    def snapshot_piece(self, handle: SnapshotHandle, index: int) -> bytes:
        """One piece of it."""
        ...


class Provider:
    """Answers the requests of other servers. A CatchUp has at most ``count`` proposals."""

    def __init__(self, store: LogStore, count: int) -> None:
        self._store = store
        self._count = count
        self._sent: dict[ServerId, tuple[int, int]] = {}
        self._furthest: dict[ServerId, tuple[bytes, int]] = {}
        self._sending_beats = 0

    @property
    def is_sending(self) -> bool:
        """Whether another server gets on with the snapshot, and has not asked for its end yet."""
        return self._sending_beats > 0

    def on_beat(self) -> None:
        """A heartbeat later."""
        self._sending_beats = max(self._sending_beats - 1, 0)
        self._sent = {it: (slot, left - 1) for it, (slot, left) in self._sent.items() if left > 1}

    def on_fetch(self, report: Fetch) -> Iterable[To[LogMessage]]:
        """Another server asks for what is chosen from a slot on."""
        sent_below, _ = self._sent.get(report.receiver, (0, 0))
        if report.slot < sent_below:
            return
        slot, size_bytes = report.slot, 0
        while size_bytes < FETCHED_BYTES and (proposals := self._fetch(slot)):
            answer = CatchUp(slot, proposals)
            yield To(report.receiver, answer)
            slot, size_bytes = slot + len(proposals), size_bytes + value_bytes(answer)
        snapshot = self._store.snapshot()
        if slot > report.slot:
            self._sent[report.receiver] = slot, SENT_BEATS
        elif snapshot is not None and slot < snapshot.slot:
            yield To(report.receiver, _offer(snapshot))

    def _fetch(self, slot: int) -> tuple[Proposal[Entry[bytes]], ...]:
        return self._store.fetch(slot, self._count, CATCH_UP_BYTES)

    def on_request(
        self, sender: ServerId, request: SnapshotRequest
    ) -> Iterable[To[SnapshotOffer] | To[SnapshotPiece]]:
        """Another server asks for pieces of a snapshot; of another one it is told."""
        snapshot = self._store.snapshot()
        if snapshot is None:
            return
        if (snapshot.slot, snapshot.digest) != (request.slot, request.digest):
            yield To(sender, _offer(snapshot))
            return
        if request.index + request.count < snapshot.pieces and self._is_further(sender, request):
            self._sending_beats = SENDING_BEATS
        for index in range(request.index, min(request.index + request.count, snapshot.pieces)):
            data = self._store.snapshot_piece(snapshot, index)
            yield To(sender, SnapshotPiece(snapshot.slot, snapshot.digest, index, data))

    def _is_further(self, sender: ServerId, request: SnapshotRequest) -> bool:
        """Whether the server has asked for none of these pieces before. It has now."""
        digest, index = self._furthest.get(sender, (b"", -1))
        is_further = request.digest != digest or request.index > index
        if is_further:
            self._furthest[sender] = request.digest, request.index
        return is_further


def _offer(it: SnapshotHandle) -> SnapshotOffer:
    return SnapshotOffer(it.slot, it.pieces, it.size_bytes, it.digest)
