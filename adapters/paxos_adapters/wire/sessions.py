"""A session on the wire: 8 bytes, written as 16 hexadecimal digits; zeros stand for none."""

from __future__ import annotations

from functools import lru_cache

from paxos_adapters.wire.errors import BadDiskStatus

SESSION_BYTES = 8
NONE = bytes(SESSION_BYTES)


@lru_cache(maxsize=64)
def unhexed(session: str) -> bytes:
    """The bytes of ``session``. Raises BadDiskStatus."""
    try:
        unhexed = bytes.fromhex(session)
    except ValueError:
        unhexed = b""
    if len(unhexed) != SESSION_BYTES or unhexed.hex() != session or unhexed == NONE:
        raise BadDiskStatus(session, SESSION_BYTES)
    return unhexed
