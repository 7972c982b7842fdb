"""A snapshot on its way from one server to another: in pieces, which the receiver asks for.

- A server that is asked for slots below its floor offers its snapshot instead.
- The receiver asks for a few pieces at a time, and saves them together. It asks for the next ones
  when all of these are saved, so that a slow disk does not fill its memory.
- An offer comes again with each heartbeat, as long as the receiver is behind. If nothing has come
  since the last one, the pieces are asked for again: of the server that offers the same snapshot,
  whichever it is. Another snapshot is begun only then, too: the one before has no provider left.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5, on catching up.
"""

from __future__ import annotations

from attrs import evolve, frozen

from paxos_adapters.log_messages import SnapshotOffer, SnapshotPiece, SnapshotRequest

PIECES_AT_A_TIME = 6
"""Pieces that are asked for at a time: what the wire holds of unfinished messages of one sender."""


@frozen
class Download:
    """The snapshot of ``offer`` comes in: the pieces below ``received``, in order.

    Those from there to ``requested`` were asked for; ``early`` are those of them that have come.
    ``came_at_offer``: how many had come in all when the last offer came.
    """

    offer: SnapshotOffer
    received: int = 0
    requested: int = 0
    came_at_offer: int = 0
    early: tuple[tuple[int, bytes], ...] = ()

    @property
    def came(self) -> int:
        """How many pieces have come."""
        return self.received + len(self.early)

    @property
    def is_complete(self) -> bool:
        """Whether all pieces have come."""
        return self.received == self.offer.pieces


def on_offer(
    download: Download | None, offer: SnapshotOffer, first: int
) -> tuple[Download | None, SnapshotRequest | None]:
    """The download after an offer, and what to ask its sender for.

    ``first`` is the first slot that this server does not know to be chosen.
    """
    if offer.slot <= first:
        return download, None
    if download is None:
        return _requested(Download(offer))
    if download.is_complete:
        return download, None
    if download.came > download.came_at_offer:
        return evolve(download, came_at_offer=download.came), None
    return _requested(download if download.offer == offer else Download(offer))


def on_piece(
    download: Download, piece: SnapshotPiece
) -> tuple[Download, tuple[bytes, ...], SnapshotRequest | None]:
    """The download after a piece, the pieces to save together, and what to ask for next."""
    is_of_this = (piece.slot, piece.digest) == (download.offer.slot, download.offer.digest)
    if not is_of_this or not download.received <= piece.index < download.requested:
        return download, (), None
    early = {**dict(download.early), piece.index: piece.data}
    if len(early) < download.requested - download.received:
        return evolve(download, early=tuple(early.items())), (), None
    found = tuple(early[it] for it in range(download.received, download.requested))
    after = evolve(download, received=download.requested, early=())
    if after.is_complete:
        return after, found, None
    after, request = _requested(after)
    return after, found, request


def _requested(download: Download) -> tuple[Download, SnapshotRequest]:
    """The next pieces, or once more those that did not come."""
    offer, end = download.offer, min(download.received + PIECES_AT_A_TIME, download.offer.pieces)
    early = dict(download.early)
    index = next(it for it in range(download.received, end) if it not in early)
    request = SnapshotRequest(offer.slot, offer.digest, index, end - index)
    return evolve(download, requested=end), request
