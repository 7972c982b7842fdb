"""A store that never lies: one SQLite file for the memory of one server.

    with FileStore.create("n1.db", cluster="demo", server=me) as file:
        host = Host(me, quorum, store=file.decision("leader"), ...)

Beside ``n1.db`` stand ``n1.db-mark``, which counts the saves, and while it is open SQLite's
``n1.db-wal`` and ``n1.db-shm``. They belong together.

Arrows point one way: errors <- mark, rows <- reading <- opening <- store.
"""

from paxos_adapters.file.errors import (
    AlreadyThere,
    BadName,
    BadPresence,
    Closed,
    Damaged,
    Denied,
    Failed,
    Forked,
    InUse,
    NewerFormat,
    NoStore,
    NotBytes,
    NotThere,
    StoreError,
    TooLarge,
    WrongOwner,
)
from paxos_adapters.file.reading import Contents, inspect
from paxos_adapters.file.rows import Identity
from paxos_adapters.file.store import Decision, FileStore

__all__ = [
    "AlreadyThere",
    "BadName",
    "BadPresence",
    "Closed",
    "Contents",
    "Damaged",
    "Decision",
    "Denied",
    "Failed",
    "FileStore",
    "Forked",
    "Identity",
    "InUse",
    "NewerFormat",
    "NoStore",
    "NotBytes",
    "NotThere",
    "StoreError",
    "TooLarge",
    "WrongOwner",
    "inspect",
]
