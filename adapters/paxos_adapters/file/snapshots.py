"""Snapshots of logs in a file."""

from __future__ import annotations

from typing import final

from attrs import frozen

DIGEST_BYTES = 16


@final
@frozen
class SnapshotHandle:
    """A snapshot: it stands for all slots below ``slot``; ``digest`` is that of all its pieces."""

    slot: int
    pieces: int
    size_bytes: int
    digest: bytes
