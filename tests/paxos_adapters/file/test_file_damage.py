"""Damage to a store file is named, and never taken for a clean end."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from paxos import MaxRound
from paxos_adapters.file import FileStore, OlderFormat, StoreCorrupted, inspect, rows
from paxos_adapters.file.rows import Row
from tests.support.files import (
    ACCEPTED,
    PROMISED,
    create,
    edit,
    forge,
    mark_of,
    reopen,
)
from tests.tools.file_vector import FOLDER, take


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


@pytest.fixture
def saved(path: Path) -> Path:
    with create(path) as file:
        file.save([("leader", ACCEPTED), ("leader", MaxRound(4))])
        file.save([("lock", PROMISED)])
    return path


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        ("UPDATE records SET fields = 'promised 1.1' WHERE name = 'lock'", "record of 'lock'"),
        ("UPDATE records SET saves = 9 WHERE name = 'lock'", "record of 'lock' is not as"),
        ("UPDATE records SET name = 'luck' WHERE name = 'lock'", "record of 'luck' is not as"),
        ("UPDATE records SET sum = x'00' WHERE name = 'lock'", "record of 'lock' is not as"),
        ("UPDATE records SET value = x'726565' WHERE value IS NOT NULL", "record of 'leader'"),
        ("UPDATE records SET value = NULL WHERE value IS NOT NULL", "says 'promised 3.2 accepted"),
        ("UPDATE records SET value = x'' WHERE name = 'lock'", "record of 'lock' is not as"),
        ("DELETE FROM records WHERE name = 'leader'", "its parts are not of one time"),
        ("DELETE FROM records WHERE name = 'lock'", "saved 3 times, and only the first 2"),
        ("DELETE FROM records WHERE kind = 'session'", "its parts are not of one time"),
        ("DELETE FROM identity", "whose it is"),
        ("UPDATE identity SET server = 2", "whose it is"),
        ("UPDATE identity SET membership = 'ab'", "whose it is"),
        ("UPDATE identity SET quorum = 'counted 1 2 3 phase1 1 phase2 3'", "whose it is"),
        ("PRAGMA user_version = 0", "format 0"),
    ],
)
def test_what_is_lost_is_named(saved: Path, statement: str, damage: str) -> None:
    edit(saved, statement)
    with pytest.raises(StoreCorrupted, match=f"{damage}.*must not vote under its old id"):
        reopen(saved)
    with pytest.raises(StoreCorrupted, match=damage):
        inspect(saved)


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        (
            "CREATE TRIGGER thief AFTER INSERT ON records BEGIN"
            " DELETE FROM records WHERE name = new.name; END",
            "the trigger 'thief'",
        ),
        ("CREATE TABLE more (it TEXT)", "the table 'more'"),
        ("CREATE VIEW all_of_it AS SELECT * FROM records", "the view 'all_of_it'"),
        ("CREATE INDEX slow ON records (fields)", "the index 'slow'"),
        ("ALTER TABLE records ADD COLUMN more TEXT", "the table 'records' is not as"),
        ("ALTER TABLE identity RENAME COLUMN server TO id", "the table 'identity' is not as"),
        ("DROP INDEX sessions", "no index 'sessions'"),
        ("DROP TABLE identity", "no table 'identity'"),
    ],
)
def test_a_schema_that_this_library_did_not_make(saved: Path, statement: str, damage: str) -> None:
    """A trigger could undo a save for which there was a receipt."""
    edit(saved, statement)
    for use in reopen, inspect:
        with pytest.raises(StoreCorrupted, match=damage):
            use(saved)


@pytest.mark.parametrize(
    "row",
    [
        Row("x", "acceptor", "promised 3.2 accepted 2.2", None, 3),
        Row("x", "acceptor", "promised 3.2", b"red", 3),
        Row("x", "acceptor", "promised 3.2 accepted 4.2", b"red", 3),
        Row("x", "acceptor", "promised 3.2 ", None, 3),
        Row("x", "acceptor", "promised 03.2", None, 3),
        Row("x", "acceptor", "promised -3.2", None, 3),
        Row("x", "acceptor", "", None, 3),
        Row("x", "acceptor", "promised", None, 3),
        Row("x", "round", "max_round -1", None, 3),
        Row("x", "round", "max_round 7", b"", 3),
        Row("x", "round", "max_round 7 8", None, 3),
        Row("", "peers", "2 abababababababab 9,", None, 3),
        Row("", "peers", "3 abababababababab 9, 2 abababababababab 9", None, 3),
        Row("", "peers", "2 ABABABABABABABAB 9", None, 3),
        Row("x", "peers", "", None, 3),
        Row("abababababababab", "session", "began 3 ended 2", None, 3),
        Row("abababababababab", "session", "began 3 until 4", None, 3),
        Row("x", "session", "began 3 ended 4", None, 3),
        Row("x", "closed", "for a change", None, 3),
        Row("x", "twin", "promised 3.2", None, 3),
        Row("x", "round", "max_round 7", None, 0),
    ],
    ids=str,
)
def test_a_row_that_contradicts_itself_is_damage_under_a_right_checksum(
    saved: Path, row: Row
) -> None:
    """It is not read as a server that has promised or accepted nothing."""
    forge(saved, row)
    for use in reopen, inspect:
        with pytest.raises(StoreCorrupted, match="makes no sense"):
            use(saved)


def test_a_forged_row_that_makes_sense_is_read(saved: Path) -> None:
    """So it is the sense of the others that was refused."""
    forge(saved, Row("x", "round", "max_round 7", None, 3))
    with reopen(saved) as file:
        assert set(file.load("x").records) == {MaxRound(7)}


def test_a_row_of_another_store(saved: Path, tmp_path: Path) -> None:
    with create(tmp_path / "n2.db") as other:
        other.save([("x", PROMISED)])
        other.save([("lock", ACCEPTED)])
    with closing(sqlite3.connect(saved, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS other", (str(tmp_path / "n2.db"),))
        connection.execute("DELETE FROM records WHERE name = 'lock'")
        query = "INSERT INTO records SELECT * FROM other.records WHERE name = 'lock'"
        connection.execute(query)
    with pytest.raises(StoreCorrupted, match="record of 'lock' is not as it was saved"):
        reopen(saved)


def test_a_file_without_its_mark(saved: Path) -> None:
    mark_of(saved).unlink()
    for use in reopen, inspect:
        with pytest.raises(StoreCorrupted, match=r"n1\.db-mark is gone"):
            use(saved)


def test_a_file_with_the_mark_of_another(saved: Path, tmp_path: Path) -> None:
    create(tmp_path / "n2.db").close()
    (tmp_path / "n2.db-mark").replace(mark_of(saved))
    with pytest.raises(StoreCorrupted, match="belongs to another store"):
        reopen(saved)


def test_a_file_that_was_rolled_back(saved: Path) -> None:
    older = saved.read_bytes()
    with reopen(saved) as file:
        file.save([("lock", ACCEPTED)])
    saved.write_bytes(older)
    with pytest.raises(StoreCorrupted, match="saved 5 times, and only the first 3 are there"):
        reopen(saved)


def test_a_log_that_is_gone(path: Path) -> None:
    file = create(path)
    file.save([("leader", ACCEPTED)])
    crashed = path.parent / "crashed"
    crashed.mkdir()
    for name in "n1.db", "n1.db-mark":
        shutil.copy(path.with_name(name), crashed)
    file.close()
    with pytest.raises(StoreCorrupted, match="saved 2 times, and only the first 0 are there"):
        reopen(crashed / "n1.db")


def test_something_else_altogether(saved: Path) -> None:
    saved.write_bytes(b"a letter to my landlord" * 99)
    with pytest.raises(StoreCorrupted, match="SQLite says: file is not a database"):
        reopen(saved)


def test_what_is_refused_is_left_as_it_is(saved: Path) -> None:
    edit(saved, "UPDATE records SET value = x'726565' WHERE value IS NOT NULL")
    files = saved, mark_of(saved)
    before = [it.read_bytes() for it in files]
    with pytest.raises(StoreCorrupted):
        reopen(saved)
    assert [it.read_bytes() for it in files] == before


@pytest.mark.parametrize("fields", ["'promised 1.1'", "CAST(x'ff' AS TEXT)"])
def test_a_record_that_goes_bad_while_the_file_is_open(saved: Path, fields: str) -> None:
    """Text that is none is shown by its bytes."""
    with reopen(saved) as file:
        edit(saved, f"UPDATE records SET fields = {fields} WHERE name = 'lock'")
        with pytest.raises(StoreCorrupted, match="of 'lock' is not as it was saved"):
            file.load("lock")


def test_the_first_format_is_refused_by_name(saved: Path) -> None:
    """By the mark, before anything else of it is looked at, or by the file itself."""
    mark = bytearray(mark_of(saved).read_bytes())
    mark[:12] = b"paxos mark 1"
    whole = mark_of(saved).read_bytes()
    mark_of(saved).write_bytes(mark)
    for use in reopen, inspect:
        with pytest.raises(OlderFormat, match="format 1, and this version reads and writes"):
            use(saved)
    mark_of(saved).write_bytes(whole)
    edit(saved, "PRAGMA user_version = 1")
    for use in reopen, inspect:
        with pytest.raises(OlderFormat, match=r"and CHANGELOG\.md"):
            use(saved)


@pytest.mark.parametrize("number", [2, 3])
def test_a_file_of_an_earlier_format_is_refused_as_it_is(tmp_path: Path, number: int) -> None:
    """The node of the second has promised more than each name of it says."""
    path = tmp_path / f"store-{number}.db"
    for name in path.name, mark_of(path).name:
        shutil.copyfile(FOLDER / name, tmp_path / name)
    before = path.read_bytes(), mark_of(path).read_bytes()
    uses: tuple[Callable[[Path], object], ...] = (
        partial(take, FileStore.open),
        inspect,
        lambda it: next(rows(it)),
    )
    for use in uses:
        with pytest.raises(OlderFormat, match=f"format {number}, and this version reads"):
            use(path)
    assert (path.read_bytes(), mark_of(path).read_bytes()) == before
