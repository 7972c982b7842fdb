"""A session on the wire: 8 bytes, written as 16 hexadecimal digits; zeros stand for none."""

from __future__ import annotations

from functools import lru_cache

from paxos_adapters.wire.errors import BadDiskStatus

SESSION_BYTES = 8
NO_SESSION_BYTES = bytes(SESSION_BYTES)


@lru_cache(maxsize=64)
def session_bytes(session: str) -> bytes:
    """The bytes of ``session``. Raises BadDiskStatus."""
    try:
        decoded = bytes.fromhex(session)
    except ValueError:
        decoded = b""
    if len(decoded) != SESSION_BYTES or decoded.hex() != session or decoded == NO_SESSION_BYTES:
        raise BadDiskStatus(session, SESSION_BYTES)
    return decoded
