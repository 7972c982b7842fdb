"""The kit for stores of logs: an honest store passes it, and it catches each lie."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import pytest
from attrs import frozen

from paxos import Saved, ServerId, majority
from paxos.log.memory import Prefix, Record, fold
from paxos_adapters.file import FileStore, StoreError
from paxos_adapters.file import database as database_module
from paxos_adapters.machine import latest
from paxos_adapters.memory import MemoryStore
from paxos_adapters.ports import Store
from paxos_testing import LogStoreKit
from tests.paxos_testing.faulty_log_stores import (
    CopiesDeltas,
    Damaged,
    FallsBackToAnOlderCopy,
    LeavesThePromiseUnchecked,
    LogInAFile,
    Stored,
    cut_rounds,
    first_64_kib,
    first_only,
    with_commands,
    without_chosen,
    without_open,
)
from tests.support.kits import every_test_of, failures

ME = ServerId(1)


@frozen
class FileLog:
    """One log of a file, as a store for one host."""

    file: FileStore

    def load(self) -> Saved[Record[bytes]]:
        return self.file.log("x").load()

    def save(self, records: tuple[Record[bytes], ...]) -> Saved[Record[bytes]]:
        return self.file.save_all(("x", record) for record in records).part(records)


@pytest.mark.slow
class TestFileLog(LogStoreKit[bytes]):
    """The store that comes with the library promises everything."""

    values = b"red", b"", b"\0'\n", b"x" * 5000
    errors = (StoreError,)

    def create(self, folder: Path) -> FileLog:
        return FileLog(
            FileStore.create(folder / "n1.db", cluster="demo", server=ME, quorum=majority([ME]))
        )

    def open(self, folder: Path) -> FileLog:
        return FileLog(
            FileStore.open(folder / "n1.db", cluster="demo", server=ME, quorum=majority([ME]))
        )

    def failing(self) -> AbstractContextManager[object]:
        full = sqlite3.OperationalError("database or disk is full")
        return patch.object(database_module, "put", side_effect=full)

    def chosen(self, store: Store[Record[bytes]], prefix: Prefix[bytes]) -> Prefix[bytes]:
        assert isinstance(store, FileLog)
        proposals = store.file.log("x").fetch(prefix.floor, 1_000, 1 << 30)
        return Prefix(prefix.floor, proposals)


class TestMemoryLog(LogStoreKit[str]):
    """A store in memory that folds as the log's machine does."""

    values = "red", "", "\0'é\n", "x" * 5000
    outlives_its_process = excludes_others = notices_damage = False

    def setup_method(self) -> None:
        self.stores: dict[Path, Stored] = {}

    def new(self) -> Stored:
        return MemoryStore(fold)

    def create(self, folder: Path) -> Stored:
        if folder in self.stores:
            raise FileExistsError(folder)
        self.stores[folder] = self.new()
        return self.stores[folder]

    def open(self, folder: Path) -> Stored:
        return self.stores[folder]


SUM = "what_is_loaded_is_the_sum_of_what_was_saved"
LOADED = "what_is_saved_is_loaded_after_a_crash"
WHOLE = "a_replica_commits_on_it_and_remembers_its_log"
HIGHEST = "the_highest_numbers_are_kept"
PADDED = "padded_and_long_values_are_kept"
BEYOND = "a_value_beyond_the_bound_is_refused_or_kept_whole"
RECEIPT = "a_receipt_covers_the_very_records_that_were_saved"

CAUGHT: dict[str, tuple[Callable[[], Stored], set[str]]] = {
    "keeps the last Delta": (lambda: MemoryStore(latest), {SUM, LOADED, WHOLE}),
    "drops what is chosen": (lambda: MemoryStore(without_chosen), {SUM, LOADED, WHOLE}),
    "drops what is open": (lambda: MemoryStore(without_open), {SUM, LOADED}),
    "keeps the first Delta": (lambda: MemoryStore(first_only), {SUM, LOADED, WHOLE}),
    "cuts rounds": (lambda: MemoryStore(cut_rounds), {SUM, HIGHEST}),
    "strips commands": (lambda: MemoryStore(with_commands(str.strip)), {PADDED, LOADED}),
    "cuts commands": (
        lambda: MemoryStore(with_commands(first_64_kib)),
        {PADDED, BEYOND},
    ),
    "copies records": (lambda: CopiesDeltas(fold), {RECEIPT, WHOLE}),
}
"""For each lying store, tests of the kit that fail it."""


@pytest.mark.parametrize("liar", CAUGHT)
def test_a_lie_is_caught(liar: str, tmp_path: Path) -> None:
    new, tests = CAUGHT[liar]

    class Kit(TestMemoryLog):
        def new(self) -> Stored:
            return new()

    told = failures(Kit, [f"test_{test}" for test in tests], tmp_path)
    assert {it.removeprefix("test_") for it in told} == tests, told


@pytest.mark.parametrize("store", [LeavesThePromiseUnchecked, FallsBackToAnOlderCopy])
def test_damage_that_is_not_noticed_is_caught(store: type[LogInAFile], tmp_path: Path) -> None:
    class Kit(LogStoreKit[str]):
        values = "red", "blue"
        errors = (Damaged,)
        kind: ClassVar[type[LogInAFile]] = LogInAFile

        def create(self, folder: Path) -> LogInAFile:
            return self.kind.create(folder / "log")

        def open(self, folder: Path) -> LogInAFile:
            return self.kind.open(folder / "log")

    class Faulty(Kit):
        kind = store

    test = "test_damage_to_each_part_is_noticed"
    assert failures(Kit, [test], tmp_path) == {}
    (tmp_path / test).rename(tmp_path / "honest")
    assert "is that of a store which differs in" in failures(Faulty, [test], tmp_path)[test]


def test_it_has_every_test_of_the_kit_for_decisions_that_is_about_any_record() -> None:
    assert {f"test_{it}" for it in (SUM, LOADED, WHOLE, RECEIPT)} < every_test_of(LogStoreKit)
