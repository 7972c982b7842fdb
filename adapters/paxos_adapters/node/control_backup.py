"""What a node answers its own machine for a backup: its contents, and snapshots of its logs.

- A snapshot is encoded in a thread, a few pieces at a time and no faster than they are read: the
  node serves all others in the meantime, and holds no second copy.
- Logs of the library itself, whose names begin with ``$``, say which servers are members. They are
  no part of a backup: a new cluster has other members.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import islice
from typing import TypeVar

from paxos import OperationalError
from paxos_adapters.node.control_protocol import ContentsReply
from paxos_adapters.node.node import BaseNode
from paxos_adapters.quorum_words import words_of
from paxos_adapters.replication.served import Snapshot

V = TypeVar("V")

NAMES_AT_A_TIME = 100
"""So many names fit in a line, whatever characters they have."""

PIECES_AT_A_TIME = 4
BUILT_IN = "$"


class CannotEncode(OperationalError):
    """A codec of the state machine has failed, so there is no snapshot of the log."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(
            f"there is no snapshot of the log {name!r}: its codecs have failed "
            f"({type(error).__name__}: {error}). Correct them; the log goes on."
        )
        self.name, self.error = name, error

    def __reduce__(self) -> tuple[object, ...]:
        return CannotEncode, (self.name, self.error)


def contents(node: BaseNode[V], after: str) -> ContentsReply:
    """What a backup is made of. Raises StoreError."""
    identity, epoch, running = node.file.identity, node.file.epoch, node.served
    logs = [it for it in node.file.logs() if not it.startswith(BUILT_IN)]
    names = node.file.decisions_after(after, NAMES_AT_A_TIME)
    return ContentsReply(
        identity.cluster,
        words_of(epoch.quorum),
        identity.membership,
        node.me,
        sorted(it for it in running if not it.startswith(BUILT_IN)),
        [it for it in logs if it not in running],
        list(names),
        epoch.number,
        not epoch.is_closed,
    )


async def taken(name: str, snapshot: Snapshot) -> AsyncGenerator[bytes, None]:
    """The pieces of a snapshot. Raises CannotEncode."""

    def some() -> list[bytes]:
        try:
            return list(islice(snapshot.pieces, PIECES_AT_A_TIME))
        except Exception as error:  # A codec of the program may raise anything.
            raise CannotEncode(name, error) from error

    while pieces := await asyncio.to_thread(some):
        for piece in pieces:
            yield piece
