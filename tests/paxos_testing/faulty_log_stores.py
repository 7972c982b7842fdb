"""Stores of logs that lie, for test_log_store_kit.py.

- In memory, a lie is a fold that is not that of the log's machine.
- In a file, it is what a checksum leaves out, or a copy that is older.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import Self, TypeAlias

from attrs import evolve

from paxos import Ballot, OperationalError, Proposal, Saved
from paxos.log import Command, Delta
from paxos.log.memory import Prefix, Record, fold
from paxos.log.messages import Entry
from paxos_adapters.memory import MemoryStore

Disk: TypeAlias = tuple[Record[str], ...]
Stored: TypeAlias = MemoryStore[Record[str]]
Fold: TypeAlias = Callable[[Disk, Record[str]], Disk]


def without_chosen(disk: Disk, record: Record[str]) -> Disk:
    """Drops what is chosen, as if a snapshot stood for it."""
    after = fold(disk, record)
    return tuple(Prefix(it.floor) if type(it) is Prefix else it for it in after)


def without_open(disk: Disk, record: Record[str]) -> Disk:
    """Keeps no slot that is open."""
    return tuple(
        Delta(it.promised, it.first, it.configurations) if type(it) is Delta else it
        for it in fold(disk, record)
    )


def first_only(disk: Disk, record: Record[str]) -> Disk:
    """Takes each later Delta for a repeated one."""
    return disk or fold(disk, record)


def cut_rounds(disk: Disk, record: Record[str]) -> Disk:
    """Has a column of 32 bits for the round of a promise."""
    if type(record) is Delta:
        promised = record.promised
        record = evolve(record, promised=Ballot(promised.round & 0xFFFF_FFFF, promised.server))
    return fold(disk, record)


def with_commands(change: Callable[[str], str]) -> Fold:
    """Keeps other commands than it is given."""

    def changed(proposal: Proposal[Entry[str]]) -> Proposal[Entry[str]]:
        entry = proposal.value
        if type(entry) is Command:
            return Proposal(proposal.ballot, Command(change(entry.value)))
        return proposal

    def folded(disk: Disk, record: Record[str]) -> Disk:
        if type(record) is Delta:
            written = tuple((slot, changed(proposal)) for slot, proposal in record.written)
            record = evolve(record, written=written)
        return fold(disk, record)

    return folded


def first_64_kib(value: str) -> str:
    """Has a column of 64 KiB for a command."""
    return value[: 1 << 16]


class CopiesDeltas(MemoryStore[Record[str]]):
    """Gives a receipt for what it has made of the records."""

    def save(self, records: Disk) -> Saved[Record[str]]:
        super().save(records)
        return self.load()


class Damaged(OperationalError):
    """The checksum does not fit."""


class LogInAFile:
    """Honest, as far as damage goes: a checksum, and what it is of."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path, self._disk = path, disk

    @classmethod
    def create(cls, path: Path) -> Self:
        store = cls(path, ())
        store.save(())
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        checksum, content = path.read_bytes()[:32], path.read_bytes()[32:]
        try:
            disk: Disk = pickle.loads(content)
        except Exception as error:
            raise Damaged from error
        if checksum != cls.checksum(disk):
            raise Damaged
        return cls(path, disk)

    @classmethod
    def checksum(cls, disk: Disk) -> bytes:
        return sha256(repr(disk).encode()).digest()

    def load(self) -> Saved[Record[str]]:
        return Saved(self._disk)

    def save(self, records: Disk) -> Saved[Record[str]]:
        for record in records:
            self._disk = fold(self._disk, record)
        self._path.write_bytes(self.checksum(self._disk) + pickle.dumps(self._disk))
        return Saved(records)


class LeavesThePromiseUnchecked(LogInAFile):
    """Its checksum is that of everything else."""

    @classmethod
    def checksum(cls, disk: Disk) -> bytes:
        some = (
            evolve(it, promised=Ballot(0, it.promised.server)) for it in disk if type(it) is Delta
        )
        return super().checksum((*some, *(it for it in disk if type(it) is not Delta)))


class FallsBackToAnOlderCopy(LogInAFile):
    """Opens what it had before, where the newest is damaged."""

    @classmethod
    def open(cls, path: Path) -> Self:
        try:
            return super().open(path)
        except Damaged:
            copyfile(path.with_suffix(".old"), path)
            return super().open(path)

    def save(self, records: Disk) -> Saved[Record[str]]:
        if self._path.exists():
            copyfile(self._path, self._path.with_suffix(".old"))
        return super().save(records)
