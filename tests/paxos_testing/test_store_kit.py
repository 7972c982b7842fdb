"""The kit for stores: honest stores pass it, and it catches each lie, by the test for it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from examples.json_store import JsonStore, JsonStoreError
from paxos import Ballot, ServerId, majority, server
from paxos_adapters.file import Decision, FileStore, StoreError
from paxos_adapters.file import database as database_module
from paxos_adapters.memory import MemoryStore
from paxos_testing import StoreKit, crashing, sessions, stores
from paxos_testing.corruption import damages
from paxos_testing.crashing import kill_after_calls, run_until_killed
from tests.paxos_testing.faulty_stores import KITS
from tests.support.kits import every_test_of, failures, run_pytest
from tests.support.slow import slow_but_for

ROOT = Path(__file__).parents[2]
ONE = ServerId(1)
VALUES = "red", "", "\0'é\n", "x" * 5000


@pytest.mark.slow
class TestFileStore(StoreKit[bytes]):
    """The store that comes with the library promises everything."""

    values = *(it.encode() for it in VALUES), bytes(range(256))
    errors = (StoreError,)

    def create(self, folder: Path) -> Decision:
        path = folder / "n1.db"
        return FileStore.create(path, cluster="demo", server=ONE, quorum=majority([ONE])).decision(
            "x"
        )

    def open(self, folder: Path) -> Decision:
        path = folder / "n1.db"
        return FileStore.open(path, cluster="demo", server=ONE, quorum=majority([ONE])).decision(
            "x"
        )

    def failing(self) -> AbstractContextManager[object]:
        full = sqlite3.OperationalError("database or disk is full")
        return patch.object(database_module, "put", side_effect=full)


@pytest.mark.slow
class TestJsonStore(StoreKit[str]):
    """The example of the documents, for which nothing but the kit was at hand."""

    values = VALUES
    errors = (JsonStoreError,)

    def create(self, folder: Path) -> JsonStore:
        return JsonStore.create(folder / "votes.json")

    def open(self, folder: Path) -> JsonStore:
        return JsonStore.open(folder / "votes.json")

    def failing(self) -> AbstractContextManager[object]:
        return patch("os.fsync", side_effect=OSError("Input/output error"))


class TestMemoryStore(StoreKit[str]):
    """A store in memory declares what it cannot promise."""

    values = VALUES
    outlives_its_process = excludes_others = notices_damage = False

    def setup_method(self) -> None:
        self.stores: dict[Path, MemoryStore[server.Record[str]]] = {}

    def create(self, folder: Path) -> MemoryStore[server.Record[str]]:
        if folder in self.stores:
            raise FileExistsError(folder)
        self.stores[folder] = MemoryStore()
        return self.stores[folder]

    def open(self, folder: Path) -> MemoryStore[server.Record[str]]:
        return self.stores[folder]


CAUGHT = {
    "GivesReceiptsEarly": {
        "what_is_saved_is_loaded_after_a_crash": "now the store holds",
        "nothing_is_loaded_that_was_not_saved": "and nothing is loaded",
        "the_highest_numbers_are_kept": "and nothing is loaded",
        "padded_and_long_values_are_kept": "another one is loaded",
        "a_value_beyond_the_bound_is_refused_or_kept_whole": "something else is loaded",
        "the_latest_record_of_each_type_is_loaded": "was saved last",
        "every_receipt_survives_a_kill": "must be on the disk before ``save`` returns",
        "creating_what_is_there_is_refused": "has become nothing",
        "damage_is_noticed": "is loaded. Keep a checksum",
        "a_save_that_failed_leaves_nothing_in_memory": "opened anew, and holds nothing",
        "a_server_decides_on_it_and_remembers_its_vote": "has forgotten its vote",
    },
    "SavesOneByOne": {"a_batch_is_whole_or_absent_after_a_kill": "half a batch is loaded"},
    "KeepsTheFirst": {"the_latest_record_of_each_type_is_loaded": "was saved last"},
    "KnowsMore": {
        "a_new_store_holds_nothing": "just created holds MaxRound(round=0)",
        "nothing_is_loaded_that_was_not_saved": "MaxRound(round=0) is loaded",
        "the_highest_numbers_are_kept": "MaxRound(round=0) is loaded",
        "padded_and_long_values_are_kept": "another one is loaded",
        "the_latest_record_of_each_type_is_loaded": "MaxRound(round=0) is loaded",
        "a_creation_that_is_killed_can_be_done_again": "MaxRound(round=0)",
    },
    "CopiesRecords": {
        "a_receipt_covers_the_very_records_that_were_saved": "not of equal ones",
        "a_server_decides_on_it_and_remembers_its_vote": "NotSaved",
    },
    "LoadsTwice": {"loaded_records_come_with_a_receipt": "more than one record of a type"},
    "CreatesWhereItShouldOpen": {
        "opening_what_is_not_there_is_refused": "opened where there is none",
        "damage_is_noticed": "votes.json is gone",
    },
    "CreatesOverWhatIsThere": {"creating_what_is_there_is_refused": "created where there is one"},
    "CreatesStepByStep": {
        "a_creation_that_is_killed_can_be_done_again": "can neither be opened nor created"
    },
    "LocksNothing": {
        "a_second_open_is_refused": "opened twice in one process",
        "a_second_open_in_another_process_is_refused": "opened in two processes",
    },
    "LocksItsProcess": {"a_second_open_in_another_process_is_refused": "opened in two processes"},
    "TakesDamageForEmpty": {
        "damage_is_noticed": "votes.json is empty (seed 20131017)",
        "damage_to_each_part_is_noticed": "and nothing is loaded",
    },
    "TripsOverDamage": {
        "damage_is_noticed": "votes.json is empty: what was raised is none of",
        "damage_to_each_part_is_noticed": "what was raised is none of",
    },
    "LeavesThePromiseUnchecked": {
        "damage_to_each_part_is_noticed": "of a store which differs in its promise (seed 20131017)",
    },
    "FallsBackToAnOlderCopy": {
        "damage_is_noticed": "use no older copy",
        "damage_to_each_part_is_noticed": "use no older copy",
    },
    "CutsRounds": {
        "the_highest_numbers_are_kept": "MaxRound(round=4294967295) is loaded",
        "the_latest_record_of_each_type_is_loaded": "was saved last",
    },
    "StripsValues": {"padded_and_long_values_are_kept": "Cut and strip nothing"},
    "CutsValues": {
        "padded_and_long_values_are_kept": "a value of 1,048,577 characters",
        "a_value_beyond_the_bound_is_refused_or_kept_whole": "1,048,577 bytes was saved, and",
    },
    "SwallowsFailures": {
        "a_save_that_fails_raises": "returned although its writes failed",
        "a_save_that_failed_is_the_last": "The first failure is final",
        "a_save_that_failed_leaves_nothing_in_memory": "as a whole",
    },
    "TriesAgain": {
        "a_save_that_failed_is_the_last": "The first failure is final",
        "a_save_that_failed_leaves_nothing_in_memory": "as a whole",
    },
    "KeepsPhantoms": {"a_save_that_failed_leaves_nothing_in_memory": "the next save failed, and"},
}
"""For each lying store, the tests of the kit that fail it, and why they say they do."""


LONG = "GivesReceiptsEarly", "KeepsTheFirst"
"""Many tests find them, or hypothesis looks long for the least example."""
EVERY_TEST = every_test_of(StoreKit)


def named(tests: Iterable[str]) -> list[str]:
    return [f"test_{test}" for test in tests]


class TestLies:
    """The kit is worth what it catches."""

    @pytest.fixture(autouse=True)
    def less(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What lies all the time is found in little."""
        monkeypatch.setattr(sessions, "KILLS", 20)
        monkeypatch.setattr(stores, "DAMAGES", 5)

    @pytest.mark.parametrize("liar", slow_but_for(lambda it: it not in LONG, CAUGHT))
    def test_a_lie_is_caught_and_what_is_said_teaches(self, liar: str, tmp_path: Path) -> None:
        told = failures(KITS[liar], named(CAUGHT[liar]), tmp_path)
        for test, words in CAUGHT[liar].items():
            assert words in told.get(f"test_{test}", ""), test

    @pytest.mark.slow
    @pytest.mark.parametrize("liar", CAUGHT)
    def test_a_lie_is_caught_by_no_other_test(self, liar: str, tmp_path: Path) -> None:
        others = EVERY_TEST.difference(named(CAUGHT[liar]))
        assert failures(KITS[liar], others, tmp_path) == {}

    def test_every_test_of_the_kit_catches_some_lie(self) -> None:
        assert {test for caught in CAUGHT.values() for test in named(caught)} == EVERY_TEST
        assert CAUGHT.keys() == KITS.keys()


class TestLives:
    """A life is told of while it lasts, and its end is no secret."""

    def test_what_it_yields_is_heard_before_it_is_killed(self) -> None:
        def work() -> Iterator[int]:
            yield from range(2)
            os.kill(os.getpid(), signal.SIGKILL)
            yield 2

        assert list(run_until_killed(work)) == [0, 1]

    def test_it_ends_when_nobody_listens_any_more(self) -> None:
        def work() -> Iterator[int]:
            yield os.getpid()
            signal.pause()

        with closing(run_until_killed(work)) as life:
            child = next(life)
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)

    def test_what_it_raises_fails_the_test(self) -> None:
        def work() -> Iterator[int]:
            yield 1 // 0

        with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
            list(run_until_killed(work))

    def test_a_store_that_waits_fails_the_test(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def work() -> Iterator[None]:
            signal.pause()
            yield

        monkeypatch.setattr(crashing, "PATIENCE_S", 0.01)
        with pytest.raises(pytest.fail.Exception, match="refuses, it does not wait"):
            list(run_until_killed(work))

    @pytest.mark.slow
    def test_it_can_be_killed_at_each_call(self) -> None:
        def work(last: int) -> Iterator[str]:
            kill_after_calls(last)
            for letter in "ab":
                yield letter.upper()

        told = ["".join(run_until_killed(partial(work, last))) for last in range(200)]
        assert list(dict.fromkeys(told)) == ["", "A", "AB"]


def test_the_page_says_what_the_bounds_are() -> None:
    page = " ".join((ROOT / "docs" / "stores.md").read_text().split())

    assert "(round 2^63 - 1 of server 2^32 - 1 if not said)" in page
    assert StoreKit.highest == Ballot((1 << 63) - 1, ServerId((1 << 32) - 1))
    assert "(1 MiB if not said)" in page
    assert StoreKit.most_bytes == 1 << 20


@pytest.mark.slow
def test_the_store_of_the_how_to_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "stores.md").read_text()
    (program,) = (it for it in re.findall(r"```python\n(.*?)```", page, re.S) if "StoreKit" in it)
    (tmp_path / "test_mine.py").write_text(program)

    done = run_pytest(tmp_path / "test_mine.py", "-k", "fail or server", "-p", "no:cacheprovider")

    assert "4 passed" in done.stdout, done.stdout


def test_an_empty_file_can_only_be_lost() -> None:
    assert [*damages({Path("a"): b""}, {}, 3, Random(1))] == [("a is gone", {})]
