"""A store that never lies: one SQLite file for the memory of one server.

    with FileStore.create("n1.db", cluster="demo", server=me, codec=TEXT) as file:
        host = Host(me, quorum, store=file.decision("leader"), ...)

Beside ``n1.db`` stand ``n1.db-mark``, which counts the saves, and while it is open SQLite's
``n1.db-wal`` and ``n1.db-shm``. They belong together. Arrows: errors <- mark, contents <- store.
"""

from paxos_adapters.file.contents import Contents, Identity, inspect
from paxos_adapters.file.errors import (
    AlreadyThere,
    Closed,
    Damaged,
    Denied,
    Failed,
    InUse,
    NewerFormat,
    NotThere,
    StoreError,
    TooLarge,
    Undecodable,
    WrongOwner,
)
from paxos_adapters.file.store import Decision, FileStore

__all__ = [
    "AlreadyThere",
    "Closed",
    "Contents",
    "Damaged",
    "Decision",
    "Denied",
    "Failed",
    "FileStore",
    "Identity",
    "InUse",
    "NewerFormat",
    "NotThere",
    "StoreError",
    "TooLarge",
    "Undecodable",
    "WrongOwner",
    "inspect",
]
