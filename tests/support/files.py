"""One store file, its neighbours, and what is saved in it; for the tests of the file store."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from paxos import Acceptor, Ballot, Proposal, ServerId, majority, server
from paxos_adapters.file import FileStore
from paxos_adapters.file.mark import Mark, peek
from paxos_adapters.file.reading import inspect
from paxos_adapters.file.rows import Row
from paxos_adapters.file.writing import Writer, put

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
MEMBERS = majority([ONE, TWO, THREE])
PROMISED = Acceptor[bytes](Ballot(2, TWO))
ACCEPTED = Acceptor(Ballot(3, TWO), Proposal(Ballot(2, TWO), b"red"))
LATER = Acceptor(Ballot(4, ONE), Proposal(Ballot(4, ONE), b"blue"))


def create(path: Path, me: ServerId = ONE) -> FileStore:
    return FileStore.create(path, cluster="demo", server=me, quorum=MEMBERS)


def reopen(path: Path, me: ServerId = ONE) -> FileStore:
    return FileStore.open(path, cluster="demo", server=me, quorum=MEMBERS)


def loaded(path: Path, name: str = "leader") -> set[server.Record[bytes]]:
    with reopen(path) as store:
        return set(store.load(name).records)


def mark_of(path: Path) -> Path:
    return path.with_name(path.name + "-mark")


def copied(path: Path, folder: Path) -> Path:
    """All files of a store, as they are now, somewhere else."""
    folder.mkdir(exist_ok=True)
    for it in path.parent.glob(path.name + "*"):
        if it.is_file() and not it.name.endswith("-shm"):
            shutil.copy(it, folder)
    return folder / path.name


def edit(path: Path, statement: str) -> None:
    """Change a store behind its back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def forge(path: Path, row: Row) -> None:
    """Write ``row`` with all checksums right, as a program could that has this library's code."""
    contents = inspect(path)
    with closing(Writer(path)) as writer:
        total = put(writer, contents.identity, [row], contents.total)
    mark = Mark.open(path)
    for _ in range(2):  # both slots
        mark.write(max(row.saves, peek(path).saves), total)
    mark.close()
