"""A disk that fails in the middle: at the first commit about one decision of one server.

What a server saves of its peers goes on. So it is always that decision that meets the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from paxos import ServerId
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import Key, Row
from paxos_adapters.file.writing import Writer, put

Put = Callable[[Writer, Identity, Sequence[Row], int], int]


def put_unless(error: BaseException, server: ServerId, name: str) -> Put:
    """A ``put`` that raises ``error`` for what ``server`` saves of the decision ``name``."""

    def failing(
        writer: Writer,
        identity: Identity,
        rows: Sequence[Row],
        total: int,
        gone: Iterable[Key] = (),
    ) -> int:
        if identity.server == server and any(row.name == name for row in rows):
            raise error
        return put(writer, identity, rows, total, gone)

    return failing
