"""A crash-safe store: one SQLite file for the memory of one server.

    quorum = majority(members)
    with FileStore.create("n1.db", cluster="demo", server=me, quorum=quorum) as file:
        ports = Ports(transport, timer, file.decision("leader"))
        host = Host(single(), me, file.quorum, ports)

Beside ``n1.db`` is ``n1.db-mark``, a sidecar that counts the saves, and while the store is open
SQLite's ``n1.db-wal`` and ``n1.db-shm``. They belong together.

Arrows point one way: errors <- identity, private <- mark, rows <- reading, writing, entries <-
opening, turns <- store.
"""

from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.file.errors import (
    AlreadyAMember,
    BadDiskStatus,
    BadName,
    Closed,
    DiskBusy,
    EpochClosed,
    EpochNotClosed,
    EpochOver,
    Forked,
    MembershipClosed,
    NewerFormat,
    NotALog,
    NotAStore,
    NotBytes,
    OlderFormat,
    SaveFailed,
    StoreCorrupted,
    StoreError,
    StoreExists,
    StoreLocked,
    StoreNotFound,
    StoreUnavailable,
    TooLarge,
    WrongMembers,
    WrongOwner,
)
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.reading import Contents, inspect, rows
from paxos_adapters.file.store import Decision, FileStore

__all__ = [
    "AlreadyAMember",
    "BadArgument",
    "BadDiskStatus",
    "BadName",
    "BadNumber",
    "Closed",
    "Contents",
    "Decision",
    "DiskBusy",
    "EpochClosed",
    "EpochNotClosed",
    "EpochOver",
    "FileStore",
    "Forked",
    "Identity",
    "MembershipClosed",
    "NewerFormat",
    "NotALog",
    "NotAStore",
    "NotBytes",
    "OlderFormat",
    "SaveFailed",
    "StoreCorrupted",
    "StoreError",
    "StoreExists",
    "StoreLocked",
    "StoreNotFound",
    "StoreUnavailable",
    "TooLarge",
    "WrongMembers",
    "WrongOwner",
    "inspect",
    "rows",
]
