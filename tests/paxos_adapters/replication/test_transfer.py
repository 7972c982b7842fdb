"""A snapshot on its way: whatever is lost, late, repeated or from another server, it is whole."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.log_messages import SnapshotOffer, SnapshotPiece, SnapshotRequest
from paxos_adapters.replication.transfer import (
    OFFERS_KEPT,
    PIECES_AT_A_TIME,
    Download,
    on_offer,
    on_piece,
)

DIGEST, OTHER = b"d" * 16, b"o" * 16
OFFER = SnapshotOffer(100, 20, 2_000, DIGEST)


def piece(index: int, digest: bytes = DIGEST) -> SnapshotPiece:
    return SnapshotPiece(100, digest, index, f"{index}".encode())


def begun() -> Download:
    download, request = on_offer(None, OFFER, first=1)
    assert download is not None
    assert request == SnapshotRequest(100, DIGEST, 0, PIECES_AT_A_TIME)
    return download


@given(st.integers(0, 1 << 32), st.integers(1, 40), st.floats(0, 0.6))
def test_all_pieces_come_once_and_in_order(seed: int, pieces: int, loss: float) -> None:
    random = Random(seed)
    offer = SnapshotOffer(100, pieces, 2_000, DIGEST)
    saved: list[bytes] = []
    download: Download | None = None
    for _ in range(2_000):
        download, request = on_offer(download, offer, first=1)
        waiting = [] if request is None else [request]
        while waiting:
            it = waiting.pop()
            asked = [*range(it.index, it.index + it.count), random.randrange(pieces)]
            random.shuffle(asked)
            for index in asked:
                assert download is not None
                if random.random() >= loss:
                    download, found, more = on_piece(download, piece(index))
                    saved += found
                    waiting += [] if more is None else [more]
        assert download is not None
        if download.is_complete:
            break
    assert saved == [f"{index}".encode() for index in range(pieces)]


def test_what_was_asked_for_is_handed_on_together() -> None:
    download = begun()
    *most, last = range(PIECES_AT_A_TIME)
    for index in reversed(most):
        download, found, request = on_piece(download, piece(index))
        assert (found, request) == ((), None)
    download, found, request = on_piece(download, piece(last))
    assert found == tuple(piece(index).data for index in (*most, last))
    assert request == SnapshotRequest(100, DIGEST, PIECES_AT_A_TIME, PIECES_AT_A_TIME)


def test_an_offer_of_what_is_known_is_not_taken() -> None:
    assert on_offer(None, OFFER, first=100) == (None, None)


def test_pieces_of_another_snapshot_or_not_asked_for_are_dropped() -> None:
    download = begun()
    for it in piece(0, OTHER), piece(PIECES_AT_A_TIME), piece(19):
        assert on_piece(download, it) == (download, (), None)


def test_another_snapshot_is_begun_once_nothing_came_for_many_offers() -> None:
    """Until then what was lost is asked for again: several servers offer different ones."""
    other = SnapshotOffer(200, 1, 9, OTHER)
    download, _, _ = on_piece(begun(), piece(0))
    for _ in range(OFFERS_KEPT):
        after, request = on_offer(download, other, first=1)
        assert after is not None
        assert (after.offer, after.early, request) == (OFFER, download.early, None)
        download = after
    kept, request = on_offer(download, OFFER, first=1)
    assert request == SnapshotRequest(100, DIGEST, 1, PIECES_AT_A_TIME - 1)
    _, request = on_offer(kept, other, first=1)
    assert request == SnapshotRequest(200, OTHER, 0, 1)


def test_a_piece_that_came_before_does_not_keep_a_snapshot() -> None:
    other = SnapshotOffer(200, 1, 9, OTHER)
    download, _, _ = on_piece(begun(), piece(0))
    for _ in range(OFFERS_KEPT):
        after, _ = on_offer(download, other, first=1)
        assert after is not None
        download, _, _ = on_piece(after, piece(0))
    _, request = on_offer(download, other, first=1)
    assert request == SnapshotRequest(200, OTHER, 0, 1)


def test_another_snapshot_is_begun_at_once_for_one_that_is_of_no_use() -> None:
    other = SnapshotOffer(200, 1, 9, OTHER)
    after, request = on_offer(begun(), other, first=100)
    assert after is not None
    assert (after.offer, request) == (other, SnapshotRequest(200, OTHER, 0, 1))


@pytest.mark.parametrize("lost", [1, 3])
def test_it_is_whole_though_servers_offer_different_ones_and_requests_are_lost(lost: int) -> None:
    """One of them offers another snapshot, and cannot be heard but for that."""
    other, asked, download = SnapshotOffer(200, 20, 2_000, OTHER), 0, begun()
    for _ in range(200):
        for offer in OFFER, other:
            after, request = on_offer(download, offer, first=1)
            assert after is not None
            download = after
            while request is not None and request.digest == DIGEST:
                asked += 1
                indexes = range(request.index, request.index + request.count)
                request = None
                if asked % (lost + 1) == 0:  # The rest is lost.
                    for index in indexes:
                        download, _, more = on_piece(download, piece(index))
                        request = more or request
    assert (download.offer, download.is_complete) == (OFFER, True)


def test_the_rest_may_come_from_another_server_with_the_same_snapshot() -> None:
    download, _, _ = on_piece(begun(), piece(0))
    after, request = on_offer(download, OFFER, first=1)
    assert request is None
    after, request = on_offer(after, OFFER, first=1)
    assert request == SnapshotRequest(100, DIGEST, 1, PIECES_AT_A_TIME - 1)
    assert after is not None
    after, _, _ = on_piece(after, piece(1))
    _, request = on_offer(after, OFFER, first=1)
    assert request is None


def test_a_whole_one_asks_for_nothing() -> None:
    small = SnapshotOffer(100, 1, 2, DIGEST)
    download, _ = on_offer(None, small, first=1)
    assert download is not None
    download, found, request = on_piece(download, piece(0))
    assert (download.is_complete, found, request) == (True, (b"0",), None)
    assert on_offer(download, small, first=1) == (download, None)
