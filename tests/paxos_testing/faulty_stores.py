"""Stores that lie, and the kit on each of them, for test_store_kit.py.

Each is the example of the documents with one thing spoilt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import ClassVar, Protocol, Self
from unittest.mock import patch

from attrs import evolve

from examples.json_store import Damaged, Failed, JsonStore, JsonStoreError, Record, StoreLocked
from paxos import MaxRound, Saved
from paxos_testing import StoreKit

Receipt = Saved[Record]


class Hash(Protocol):
    """What ``sha256`` returns."""

    def hexdigest(self) -> str: ...


def of_all_but_the_promise(body: bytes) -> Hash:
    return sha256(re.sub(rb'"vote": \[\[\d+, \d+\]', b"", body))


CHECKS_LESS = patch("examples.json_store.sha256", of_all_but_the_promise)


def with_value(record: Record, change: Callable[[str], str]) -> Record:
    if isinstance(record, MaxRound) or record.accepted is None:
        return record
    accepted = evolve(record.accepted, value=change(record.accepted.value))
    return evolve(record, accepted=accepted)


class GivesReceiptsEarly(JsonStore):
    """Writes when the next save comes."""

    late: tuple[Record, ...] = ()

    def save(self, records: tuple[Record, ...]) -> Receipt:
        super().save(self.late)
        self.late = records
        return Saved(records)


class SavesOneByOne(JsonStore):
    """Knows nothing of batches."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        for record in records:
            super().save((record,))
        return Saved(records)


class KeepsTheFirst(JsonStore):
    """Lets the first of several records of a type win."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        super().save(records[::-1])
        return Saved(records)


class KnowsMore(JsonStore):
    """Adds a harmless record where there is none."""

    def load(self) -> Receipt:
        records = super().load().records
        return Saved(records if MaxRound in map(type, records) else (*records, MaxRound(0)))


class CopiesRecords(JsonStore):
    """Gives a receipt for equal records, and not for these."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        return Saved(tuple(evolve(record) for record in super().save(records).records))


class LoadsTwice(JsonStore):
    """Loads more than the latest of each type."""

    def load(self) -> Receipt:
        return Saved(super().load().records * 2)


class CreatesWhereItShouldOpen(JsonStore):
    """Takes a lost disk for a new server."""

    @classmethod
    def open(cls, path: Path) -> Self:
        return super().open(path) if path.exists() else cls.create(path)


class CreatesOverWhatIsThere(JsonStore):
    """Takes a server that has voted for a new one."""

    @classmethod
    def create(cls, path: Path) -> Self:
        path.unlink(missing_ok=True)
        return super().create(path)


class CreatesStepByStep(JsonStore):
    """Makes its file first, and fills it then."""

    @classmethod
    def create(cls, path: Path) -> Self:
        store = super().create(path)
        whole = path.read_bytes()
        with path.open("wb", buffering=0) as file:
            for byte in whole:
                file.write(bytes([byte]))
        return store


class LocksNothing(JsonStore):
    """Lets everybody in."""

    @classmethod
    def open(cls, path: Path) -> Self:
        with patch("fcntl.flock"):
            return super().open(path)


class LocksItsProcess(LocksNothing):
    """Keeps its lock where no other process looks."""

    is_open = False

    @classmethod
    def create(cls, path: Path) -> Self:
        cls.is_open = True
        return super().create(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        if cls.is_open:
            raise StoreLocked(path)
        return super().open(path)


class TakesDamageForEmpty(JsonStore):
    """Starts anew where a checksum does not fit."""

    @classmethod
    def open(cls, path: Path) -> Self:
        try:
            return super().open(path)
        except Damaged:
            path.unlink()
            return cls.create(path)


class TripsOverDamage(JsonStore):
    """Does not say what is wrong."""

    @classmethod
    def open(cls, path: Path) -> Self:
        try:
            return super().open(path)
        except Damaged as damage:
            raise KeyError(path) from damage


class LeavesThePromiseUnchecked(JsonStore):
    """Its checksum is that of everything else."""

    @classmethod
    def create(cls, path: Path) -> Self:
        with CHECKS_LESS:
            return super().create(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        with CHECKS_LESS:
            return super().open(path)

    def save(self, records: tuple[Record, ...]) -> Receipt:
        with CHECKS_LESS:
            return super().save(records)


class FallsBackToAnOlderCopy(JsonStore):
    """Keeps what it had before, and opens that where the newest is damaged."""

    @classmethod
    def open(cls, path: Path) -> Self:
        try:
            return super().open(path)
        except Damaged:
            copyfile(path.with_suffix(".old"), path)
            return super().open(path)

    def save(self, records: tuple[Record, ...]) -> Receipt:
        copyfile(self._path, self._path.with_suffix(".old"))
        return super().save(records)


class Alters(JsonStore):
    """Makes another record of some."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        super().save(tuple(map(self.altered, records)))
        return Saved(records)

    def altered(self, record: Record) -> Record:
        return record


class CutsRounds(Alters):
    """Has a column of 32 bits for them."""

    def altered(self, record: Record) -> Record:
        return MaxRound(record.round & 0xFFFF_FFFF) if isinstance(record, MaxRound) else record


class StripsValues(Alters):
    """Takes blanks for nothing."""

    def altered(self, record: Record) -> Record:
        return with_value(record, str.strip)


class CutsValues(Alters):
    """Has a column of 64 KiB for them."""

    def altered(self, record: Record) -> Record:
        return with_value(record, lambda value: value[: 1 << 16])


class SwallowsFailures(JsonStore):
    """Carries on."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        try:
            return super().save(records)
        except Failed:
            self._failed = False
            return Saved(records)


class TriesAgain(JsonStore):
    """Takes a later save for a cure."""

    def save(self, records: tuple[Record, ...]) -> Receipt:
        self._failed = False
        return super().save(records)


class KeepsPhantoms(JsonStore):
    """Believes what it was told, whether the disk has it or not."""

    told: tuple[Record, ...] = ()

    def save(self, records: tuple[Record, ...]) -> Receipt:
        self.told = records
        return super().save(records)

    def load(self) -> Receipt:
        return Saved(self.told) if self._failed else super().load()


class Caught(StoreKit[str]):
    """The kit on one of them."""

    values = "red", "blue"
    errors = (JsonStoreError,)
    store: ClassVar[type[JsonStore]]

    def create(self, folder: Path) -> JsonStore:
        return self.store.create(folder / "votes.json")

    def open(self, folder: Path) -> JsonStore:
        return self.store.open(folder / "votes.json")

    def failing(self) -> AbstractContextManager[object]:
        return patch("os.fsync", side_effect=OSError("Input/output error"))


def _kit(store: type[JsonStore]) -> type[Caught]:
    return type(f"{store.__name__}Kit", (Caught,), {"store": store})


KITS: dict[str, type[Caught]] = {
    store.__name__: _kit(store)
    for parent in (JsonStore, LocksNothing, Alters)
    for store in parent.__subclasses__()
    if store is not Alters
}
