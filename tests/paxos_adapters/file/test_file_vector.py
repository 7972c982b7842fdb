"""A store file that was kept is read as it was meant, and written the same way today."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from paxos import Acceptor, MaxRound
from paxos_adapters.file import FileStore, inspect, rows
from paxos_adapters.file.mark import peek
from paxos_adapters.file.rows import Row
from tests.tools.file_vector import BALLOT, FOLDER, KNOWN, NAME, PEER, QUORUM, STATE, take, write


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for name in NAME, NAME + "-mark":
        shutil.copyfile(FOLDER / name, tmp_path / name)
    return tmp_path / NAME


def test_it_is_opened_and_holds_what_was_saved(kept: Path) -> None:
    with take(FileStore.open, kept) as file:
        assert file.decisions() == ("Führung", "leader", "lock")
        assert set(file.load("leader").records) == {STATE, MaxRound(3)}
        assert file.load("lock").records == (Acceptor(BALLOT),)
        assert file.load("Führung").records == (MaxRound(1 << 62),)
        assert (file.peers, file.quorum, file.saves) == ({PEER: KNOWN}, QUORUM, 5)
        assert (file.ended("0" * 15 + "1"), file.ended("0" * 15 + "2")) == (2, 4)
        assert file.identity.digest.hex() == "f81ad15480ced03c"


def test_its_rows_are_these_words(kept: Path) -> None:
    words = {(it.name, it.kind): (it.fields, it.saves) for it in rows(kept)}
    assert words == {
        ("", "peers"): ("2 fedcba9876543210 77", 4),
        ("0000000000000001", "session"): ("began 1 ended 2", 3),
        ("0000000000000002", "session"): ("began 3", 3),
        ("Führung", "round"): (f"max_round {1 << 62}", 4),
        ("leader", "acceptor"): ("promised 3.2 accepted 2.1", 2),
        ("leader", "round"): ("max_round 3", 2),
        ("lock", "acceptor"): ("promised 3.2", 2),
    }


def test_the_same_is_written_today(kept: Path, tmp_path: Path) -> None:
    """The identity, each row, the total of all checksums, and the mark, byte for byte."""
    (tmp_path / "new").mkdir()
    made = write(tmp_path / "new")
    assert inspect(made) == inspect(kept)
    assert list(rows(made)) == list(rows(kept))
    assert peek(made) == peek(kept)
    marks = [it.with_name(NAME + "-mark").read_bytes() for it in (made, kept)]
    assert marks[0] == marks[1]


def test_a_row_says_all_that_its_checksum_covers(kept: Path) -> None:
    row = next(it for it in rows(kept) if it.key == ("leader", "acceptor"))
    assert row == Row("leader", "acceptor", "promised 3.2 accepted 2.1", bytes(range(256)), 2)
