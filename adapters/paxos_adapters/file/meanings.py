"""What a row means: each kind is read by the module that writes it, and nothing else is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paxos_adapters.file.log_rows import entry_of, piece_of, replica_of
from paxos_adapters.file.rows import (
    ACCEPTOR,
    CLOSED,
    ENTRY,
    EPOCH,
    PEERS,
    REPLICA,
    ROUND,
    SESSION,
    SNAPSHOT,
    Row,
    acceptor_of,
    closed_of,
    epoch_of,
    peers_of,
    round_of,
    session_of,
)
from paxos_adapters.printable import brief

READ_AS: Mapping[str, Callable[[Row], object]] = {
    ACCEPTOR: acceptor_of,
    ROUND: round_of,
    PEERS: peers_of,
    SESSION: session_of,
    CLOSED: closed_of,
    EPOCH: epoch_of,
    REPLICA: replica_of,
    ENTRY: entry_of,
    SNAPSHOT: piece_of,
}


def check_meaning(row: Row) -> None:
    """Raise ValueError if no version of this library writes such a row."""
    read_as = READ_AS.get(row.kind.partition(" ")[0])
    if read_as is None or row.saves < 1:
        raise ValueError(f"{brief(row.kind)} is not a kind of record, or nothing wrote it")
    try:
        read_as(row)
    except IndexError:
        raise ValueError(f"{brief(row.fields)} says too little") from None
