"""A snapshot on its way from one server to another: in pieces, which the receiver asks for.

- A server that is asked for slots below its floor offers its snapshot instead.
- The receiver asks for a few pieces at a time, and saves them together. It asks for the next ones
  when all of these are saved, so that a slow disk does not fill its memory.
- An offer comes again with each heartbeat, as long as the receiver is behind. If nothing has come
  since the last one, the pieces are asked for again: of the server that offers the same snapshot,
  whichever it is.
- Several servers may offer different ones. So another snapshot is begun only if nothing has come
  for many offers: the one before has no provider left. Else two that alternate would never end.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5, on catching up.
"""

from __future__ import annotations

from attrs import evolve, frozen

from paxos_adapters.log_messages import SnapshotOffer, SnapshotPiece, SnapshotRequest

PIECES_AT_A_TIME = 6
"""Pieces that are asked for at a time: what the wire holds of unfinished messages of one sender."""

OFFERS_KEPT = 16
"""For how many offers without a piece a snapshot is not given up for another one."""


@frozen
class Download:
    """The snapshot of ``offer`` comes in: the pieces below ``received``, in order.

    Those from there to ``requested`` were asked for; ``early`` are those of them that have come.
    ``quiet_offers``: how many offers have come since the last of them.
    """

    offer: SnapshotOffer
    received: int = 0
    requested: int = 0
    quiet_offers: int = 0
    early: tuple[tuple[int, bytes], ...] = ()

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
    if download is None or download.offer.slot <= first:
        return _requested(Download(offer))
    if download.is_complete:
        return download, None
    is_quiet, is_given_up = download.quiet_offers > 0, download.quiet_offers >= OFFERS_KEPT
    download = evolve(download, quiet_offers=download.quiet_offers + 1)
    if download.offer == offer:
        return _requested(download) if is_quiet else (download, None)
    return _requested(Download(offer)) if is_given_up else (download, None)


def on_piece(
    download: Download, piece: SnapshotPiece
) -> tuple[Download, tuple[bytes, ...], SnapshotRequest | None]:
    """The download after a piece, the pieces to save together, and what to ask for next."""
    is_of_this = (piece.slot, piece.digest) == (download.offer.slot, download.offer.digest)
    if not is_of_this or not download.received <= piece.index < download.requested:
        return download, (), None
    early = {**dict(download.early), piece.index: piece.data}
    if len(early) == len(download.early):
        return download, (), None
    download = evolve(download, early=tuple(early.items()), quiet_offers=0)
    if len(early) < download.requested - download.received:
        return download, (), None
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
