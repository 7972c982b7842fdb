"""What is synced when a store is created, opened and closed, and what happens if a sync fails.

SQLite's own syncs are not seen here: tests/tools/torture.py records those.
"""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path

import pytest

from paxos_adapters.disk_status import Known
from paxos_adapters.file import SaveFailed, StoreNotFound, StoreUnavailable
from paxos_adapters.file.mark import peek
from tests.support.files import PROMISED, TWO, create, loaded, reopen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


class Syncs:
    """Every fsync of this process: what was synced, by name, and what the folder held then."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.seen: list[tuple[str, frozenset[str]]] = []
        self.fails_at: int | None = None
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, file: int | FileIO) -> None:
        if len(self.seen) == self.fails_at:
            raise OSError(5, "Input/output error")
        number = file if isinstance(file, int) else file.fileno()
        found = Path(os.readlink(f"/proc/self/fd/{number}"))
        is_folder = stat.S_ISDIR(os.fstat(number).st_mode)
        name = "folder" if is_folder else "mark" if "-mark" in found.name else found.name
        self.seen.append((name, frozenset(it.name for it in self.folder.iterdir())))
        self._fsync(number)

    @property
    def names(self) -> list[str]:
        """What was synced so far, in order."""
        return [name for name, _ in self.seen]


@pytest.fixture
def syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(tmp_path, monkeypatch)


def test_a_creation_syncs_each_part_before_it_has_its_name(path: Path, syncs: Syncs) -> None:
    with create(path):
        assert syncs.names == ["mark", "n1.db-new", "folder", "folder", "mark"]
        mark, draft, named, *_ = syncs.seen
        assert "n1.db-mark" not in mark[1]
        assert "n1.db-mark" in draft[1]
        assert "n1.db" not in draft[1]
        assert "n1.db" in named[1]


def test_an_opening_syncs_the_folder_and_then_the_mark(path: Path, syncs: Syncs) -> None:
    """SQLite does not tell if its own sync of the folder fails."""
    create(path).close()
    syncs.seen.clear()
    with reopen(path) as file:
        assert syncs.names == ["folder", "mark"]
        assert peek(path).session == file.session


def test_closing_syncs_the_mark(path: Path, syncs: Syncs) -> None:
    with create(path) as file:
        file.save([("x", PROMISED)])
        syncs.seen.clear()
    assert syncs.names == ["mark"]


def test_a_save_does_not_sync_the_mark(path: Path, syncs: Syncs) -> None:
    with create(path) as file:
        syncs.seen.clear()
        file.save([("x", PROMISED)])
        assert syncs.names == []


@pytest.mark.parametrize("which", range(5))
def test_a_creation_whose_sync_fails_is_refused_and_can_be_done_again(
    path: Path, syncs: Syncs, which: int
) -> None:
    syncs.fails_at = which
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        create(path)
    syncs.fails_at = None
    if which < 2:
        with pytest.raises(StoreNotFound):
            reopen(path)
        create(path).close()
    assert loaded(path, "x") == set()


@pytest.mark.parametrize("which", range(2))
def test_an_opening_whose_sync_fails_is_refused_and_can_be_done_again(
    path: Path, syncs: Syncs, which: int
) -> None:
    with create(path) as file:
        file.save([("x", PROMISED)])
    syncs.seen.clear()
    syncs.fails_at = which
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        reopen(path)
    syncs.fails_at = None
    with reopen(path) as again:
        assert again.ended(file.session) == 2
    assert loaded(path, "x") == {PROMISED}


@pytest.mark.parametrize("news", [False, True])
def test_closing_whose_sync_fails_says_so_and_lets_go(path: Path, syncs: Syncs, news: bool) -> None:
    file = create(path)
    if news:
        file.set_peer_status(TWO, Known("ab" * 8, 3))
    syncs.fails_at = len(syncs.seen)
    with pytest.raises(SaveFailed, match="Input/output error"):
        file.close()
    syncs.fails_at = None
    with reopen(path) as again:
        assert again.peers == ({TWO: Known("ab" * 8, 3)} if news else {})
