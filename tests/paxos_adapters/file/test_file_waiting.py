"""Another process that uses the file: a save waits, says so, and goes on; it has not failed."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from paxos import MaxRound
from paxos_adapters.disk_status import Known
from paxos_adapters.file import DiskBusy, FileStore, turns, writing
from tests.support.files import ACCEPTED, LATER, PROMISED, TWO, create, loaded, reopen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """A backup tool, a viewer: any program that knows SQLite."""
    create(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class Saving(threading.Thread):
    """A save that may have to wait."""

    def __init__(self, file: FileStore) -> None:
        super().__init__()
        self.file = file
        self.error: BaseException | None = None
        self.start()

    def until_it_waits(self) -> turns.Wait:
        """Not if the save is over before that."""
        while (wait := self.file.waits) is None:
            assert self.is_alive(), self.error
            time.sleep(0.001)
        return wait

    def run(self) -> None:
        try:
            self.file.save([("x", ACCEPTED)])
        except BaseException as error:
            self.error = error


def test_a_save_waits_for_the_write_lock_and_goes_on(
    path: Path, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with reopen(path) as file:
        file.save([("x", PROMISED)])
        other.execute("BEGIN IMMEDIATE")
        saving = Saving(file)
        wait = saving.until_it_waits()
        assert (wait.why, wait.lasts_s >= 0) == (turns.LOCKED, True)
        assert set(file.load("x").records) == {PROMISED}
        assert file.saves == 3
        other.execute("ROLLBACK")
        saving.join()
        assert saving.error is None
        assert file.saves == 4
        assert file.waits is None
        file.save([("x", LATER)])
    assert loaded(path, "x") == {LATER}
    waits, goes_on = caplog.records
    assert "cannot be saved to: another process holds its write lock" in waits.getMessage()
    assert "is saved to again" in goes_on.getMessage()


def test_waits_that_follow_each_other_share_a_line(
    path: Path, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that takes the lock again and again does not fill the log."""
    with reopen(path) as file:
        for number in range(5):
            other.execute("BEGIN IMMEDIATE")
            saving = Saving(file)
            saving.until_it_waits()
            other.execute("ROLLBACK")
            saving.join()
            assert file.saves == 3 + number
    assert len(caplog.records) == 2


def test_a_caller_that_cannot_wait_is_told(path: Path, other: sqlite3.Connection) -> None:
    """And nothing was written, nor is anything lost."""
    with reopen(path) as file:
        file.set_peer_status(TWO, Known("ab" * 8, 3))
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(DiskBusy, match=r"holds its write lock\. Nothing was written"):
                file.save([("x", PROMISED)], wait=False)
        assert (file.saves, file.waits) == (2, None)
        other.execute("ROLLBACK")
        file.save([("x", PROMISED)], wait=False)
    with reopen(path) as file:
        assert file.peers == {TWO: Known("ab" * 8, 3)}
    assert loaded(path, "x") == {PROMISED}


def test_closing_gives_up_a_save_that_waits(path: Path, other: sqlite3.Connection) -> None:
    file = reopen(path)
    other.execute("BEGIN IMMEDIATE")
    saving = Saving(file)
    saving.until_it_waits()
    file.close()
    saving.join()
    assert isinstance(saving.error, DiskBusy)
    other.execute("ROLLBACK")
    assert loaded(path, "x") == set()


def test_closing_does_not_wait_to_save_what_is_known_of_peers(
    path: Path, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It is lost then, as by a kill."""
    file = reopen(path)
    file.set_peer_status(TWO, Known("ab" * 8, 3))
    other.execute("BEGIN IMMEDIATE")
    file.close()
    other.execute("ROLLBACK")
    assert "what is known of peers was not saved" in caplog.text
    with reopen(path) as again:
        assert again.peers == {}


def test_a_forgotten_reader_does_not_make_the_log_grow_without_bound(
    path: Path,
    other: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Past the bound a save waits until the log can be emptied."""
    monkeypatch.setattr(turns, "MAX_LOG_BYTES", 64 << 10)
    monkeypatch.setattr(turns, "LOOK_BYTES", 16 << 10)
    monkeypatch.setattr(writing, "CHECKPOINT_PAGES", 8)
    with reopen(path) as file:
        other.execute("BEGIN")
        other.execute("SELECT * FROM records").fetchall()
        number = 0
        while file.log_bytes <= turns.MAX_LOG_BYTES:
            number += 1
            file.save([("x", MaxRound(number))], wait=False)
        assert 10 < number < 100
        for _ in range(turns.LOOK_BYTES // turns.ROW_BYTES):
            with suppress(DiskBusy):
                number += 1
                file.save([("x", MaxRound(number))], wait=False)
        with pytest.raises(DiskBusy, match=r"keeps its log at [\d,]+ bytes"):
            file.save([("x", MaxRound(number + 1))], wait=False)
        assert turns.MAX_LOG_BYTES < file.log_bytes < 2 * turns.MAX_LOG_BYTES
        saving = Saving(file)
        saving.until_it_waits()
        other.execute("ROLLBACK")
        saving.join()
        assert saving.error is None
        assert file.log_bytes < turns.MAX_LOG_BYTES / 2
        file.save([("x", MaxRound(1_000))])
    assert loaded(path, "x") == {ACCEPTED, MaxRound(1_000)}
    assert "another process reads it" in caplog.text


def test_a_reader_that_ends_leaves_the_log_small(
    path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "KEPT_LOG_BYTES", 16 << 10)
    monkeypatch.setattr(writing, "CHECKPOINT_PAGES", 8)
    with reopen(path) as file:
        other.execute("BEGIN")
        other.execute("SELECT * FROM records").fetchall()
        for number in range(100):
            file.save([("x", MaxRound(number))])
        grown = file.log_bytes
        other.execute("ROLLBACK")
        for number in range(3):
            file.save([("x", MaxRound(number))])
        assert file.log_bytes <= 16 << 10 < grown
