"""Files of a store are for their owner only, and never where somebody else has put something."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from paxos_adapters.file import (
    FileStore,
    StoreExists,
    StoreLocked,
    StoreUnavailable,
    opening,
    private,
)
from paxos_adapters.file.mark import unfinished
from tests.support.files import PROMISED, copied, create, loaded, mark_of, reopen

NOBODY = 65_534
SIDES = "", "-mark", "-wal", "-shm"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def path() -> Iterator[Path]:
    """In a folder that every user may use, as ``/tmp`` is."""
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder) / "n1.db"


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def modes(path: Path) -> dict[str, int]:
    return {it.name: stat.S_IMODE(it.stat().st_mode) for it in path.parent.iterdir()}


def test_all_that_is_made_is_for_its_owner(path: Path, umask: int) -> None:
    """Whatever the umask says."""
    del umask
    with create(path) as file:
        file.save([("x", PROMISED)])
        assert modes(path) == {f"n1.db{side}": 0o600 for side in SIDES}
    with reopen(path):
        assert modes(path) == {f"n1.db{side}": 0o600 for side in SIDES}


def test_so_is_what_a_creation_that_is_cut_off_leaves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, int]] = []

    def watched(_: Path) -> None:
        seen.append(modes(path))

    monkeypatch.setattr(opening, "sync", watched)
    create(path).close()
    assert set(seen[0]) == {"n1.db-new", "n1.db-mark", "n1.db-mark-new"}
    assert {mode for it in seen for mode in it.values()} == {0o600}


def test_what_was_open_to_others_is_closed_to_them_when_it_is_opened(path: Path) -> None:
    with create(path) as file:
        file.save([("x", PROMISED)])
        crashed = copied(path, path.parent / "crashed")
    for it in crashed.parent.iterdir():
        it.chmod(0o666)
    with reopen(crashed):
        assert modes(crashed) == {f"n1.db{side}": 0o600 for side in SIDES}


@needs_root
def test_another_user_can_neither_read_it_nor_lock_it(path: Path) -> None:
    """A lock can be taken through a file that is open for reading only."""
    program = f"""
import fcntl, os
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
for side in {SIDES!r}:
    try:
        file = os.open({str(path)!r} + side, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print(side, "is locked")
    except PermissionError:
        print(side, "denied")
"""
    with create(path) as file:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == [f"{side} denied" for side in SIDES]
        file.save([("x", PROMISED)])
    reopen(path).close()


def test_a_lock_of_a_reader_would_stop_a_node(path: Path) -> None:
    """Why nobody else may read the mark."""
    create(path).close()
    with mark_of(path).open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        with pytest.raises(StoreLocked, match="open already"):
            reopen(path)


@pytest.mark.parametrize("side", ["", "-mark", "-mark-new", "-new", "-wal", "-shm", "-new-wal"])
@pytest.mark.parametrize("target", ["there", "not there"])
def test_a_planted_link_is_not_followed_by_a_creation(path: Path, side: str, target: str) -> None:
    victim = path.with_name("victim")
    if target == "there":
        victim.write_bytes(b"precious")
    planted = path.with_name(path.name + side)
    planted.symlink_to(victim)
    try:
        create(path).close()
    except (StoreExists, StoreUnavailable):
        pass
    else:
        assert loaded(path) == set()
        assert not planted.is_symlink()
    assert victim.exists() == (target == "there")
    if target == "there":
        assert victim.read_bytes() == b"precious"


def test_a_link_in_place_of_a_new_store_is_named(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(StoreExists, match="there is a link"):
        create(path)
    assert not path.with_name("elsewhere").exists()


@pytest.mark.parametrize("side", ["-mark", "-wal", "-shm"])
def test_a_planted_link_is_not_followed_by_an_opening(path: Path, side: str) -> None:
    with create(path):
        crashed = copied(path, path.parent / "crashed")
    planted = crashed.with_name(crashed.name + side)
    victim = path.with_name("victim")
    if planted.exists():
        planted.rename(victim)
    else:
        victim.write_bytes(b"precious")
    before = victim.read_bytes()
    planted.symlink_to(victim)
    with pytest.raises(StoreUnavailable):
        reopen(crashed)
    assert victim.read_bytes() == before


@needs_root
def test_a_file_of_another_user_does_not_become_the_mark(path: Path) -> None:
    unfinished(path).touch()
    os.chown(unfinished(path), NOBODY, NOBODY)
    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        create(path)
    assert not path.exists()


def test_a_part_of_a_store_that_is_gone_does_not_become_one_of_a_new_store(path: Path) -> None:
    """SQLite would take what is in that log for a part of the new file."""
    with create(path) as file:
        file.save([("x", PROMISED)])
        log = path.with_name("n1.db-wal").read_bytes()
    other = path.parent / "other"
    other.mkdir()
    (other / "n1.db-wal").write_bytes(log)
    with pytest.raises(StoreExists, match=r"n1\.db-wal is there, a part of it"):
        create(other / "n1.db")
    assert (other / "n1.db-wal").read_bytes() == log


def test_a_new_file_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileExistsError):
        private.make(tmp_path / "x")


def test_what_is_not_a_file_is_not_opened(path: Path) -> None:
    create(path).close()
    mark_of(path).unlink()
    os.mkfifo(mark_of(path))
    with pytest.raises(StoreUnavailable, match="not a regular file"):
        reopen(path)


@pytest.mark.parametrize("make", [create, reopen])
def test_a_lock_that_cannot_be_taken_refuses_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], FileStore]
) -> None:
    """Some network file systems have no locks: two servers could use one file there."""
    if make is reopen:
        create(path).close()

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks)
        with pytest.raises(StoreUnavailable, match="No locks available"):
            make(path)
    make(path).close()
