"""A change of members with hostile files and arguments, and on a disk that fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterable
from io import FileIO
from itertools import count
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from paxos import Ballot, PaxosError, Proposal, ServerId, majority
from paxos_adapters.file import StoreError, StoreExists, StoreLocked, inspect, opening
from paxos_adapters.file.mark import Mark
from paxos_adapters.file.moving import InTheWay
from paxos_adapters.file.writing import Writer
from paxos_adapters.members import (
    BadArtefact,
    IsALink,
    MembersError,
    NamedTwice,
    adopt,
    close_files,
    holding,
    inspect_artefact,
    reopen_files,
    settle,
)
from paxos_adapters.members.artefact import Header, Writing
from tests.support.member_files import NEW, RED, S1, S2, S4, accepted, make_two, opened
from tests.tools.members_kills import STEPS, Step

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_two(tmp_path)


@pytest.fixture
def artefact(files: list[Path], tmp_path: Path) -> Path:
    """The files are closed, and settled into this."""
    close_files(files)
    settle(files, NEW, tmp_path / "new")
    return tmp_path / "new"


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("server", [-1, 1 << 32, 1 << 80])
def test_members_that_no_node_can_have_are_not_settled(
    files: list[Path], tmp_path: Path, server: int
) -> None:
    """Once they are noted, there is no way back."""
    close_files(files)

    with pytest.raises(PaxosError, match="the id of a server"):
        settle(files, majority([S1, S2, ServerId(server)]), tmp_path / "new")

    reopen_files(files)


@pytest.mark.parametrize("way", ["as it is", "with its folder", "by a link"])
def test_a_file_that_is_named_twice_is_refused(files: list[Path], way: str) -> None:
    n1 = files[0]
    link = n1.with_name("link.db")
    link.symlink_to(n1)
    other = {"as it is": n1, "with its folder": n1.parent / "." / n1.name, "by a link": link}[way]

    with pytest.raises(NamedTwice):
        close_files([n1, other])

    assert inspect(n1).closed is None


def test_a_new_file_does_not_take_the_place_of_a_link(artefact: Path, files: list[Path]) -> None:
    link = files[1].with_name("link.db")
    link.symlink_to(files[1])
    before = sorted(artefact.parent.iterdir())

    with pytest.raises(IsALink, match=r"link\.db is a link, .* Name the file that it leads to"):
        adopt(artefact, link, S2)

    assert sorted(artefact.parent.iterdir()) == before


@pytest.mark.parametrize("suffix", ["-mark", "-mark-new", "-new", "-wal", "-shm", ".sock"])
def test_a_new_file_takes_no_name_that_another_store_uses(
    artefact: Path, files: list[Path], suffix: str
) -> None:
    before = files[1].read_bytes()
    place = files[1].with_name(files[1].name + suffix)

    with pytest.raises(PaxosError):
        adopt(artefact, place, S4)

    assert place.exists() == (suffix == "-mark")
    assert files[1].read_bytes() == before
    assert inspect(files[1]).closed is not None


def test_another_store_is_not_taken_for_a_draft(artefact: Path, tmp_path: Path) -> None:
    """A store is made under its name with "-new", and what was left there is cleared away."""
    adopt(artefact, tmp_path / "n9.db-new", S4)

    with pytest.raises(StoreExists, match="is another store"):
        adopt(artefact, tmp_path / "n9.db", S4)

    assert inspect(tmp_path / "n9.db-new").identity.server == S4


@pytest.mark.parametrize("end", ["", "-mark"])
def test_what_is_where_the_closed_file_would_go_stays(
    artefact: Path, files: list[Path], end: str
) -> None:
    membership = inspect_artefact(artefact).header.membership
    aside = files[0].with_name(f"n1.db-before-{membership}{end}")
    aside.write_text("mine")

    with pytest.raises(InTheWay):
        adopt(artefact, files[0], S1)

    assert aside.read_text() == "mine"
    assert [it.name for it in artefact.parent.glob("n1.db-before-*")] == [aside.name]
    assert inspect(files[0]).closed is not None


def test_a_move_is_not_taken_up_while_another_process_is_at_it(
    artefact: Path, files: list[Path]
) -> None:
    """It would take away the name under which that one makes the new file."""
    membership = inspect_artefact(artefact).header.membership
    aside = files[0].with_name(f"n1.db-before-{membership}")
    for end in "", "-mark":
        os.link(f"{files[0]}{end}", f"{aside}{end}")
    mark = Mark.open(files[0])

    with pytest.raises(StoreLocked):
        adopt(artefact, files[0], S1)

    assert files[0].samefile(aside)
    mark.close()


# --- artefacts -----------------------------------------------------------------------------------


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """Opening a pipe would wait for its writer; this one has one, so that the test ends."""
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(writer, b"x\n")

    with pytest.raises(BadArtefact, match="not a regular file"):
        adopt(tmp_path / "pipe", tmp_path / "n4.db", S4)

    os.close(writer)


def _cut(text: bytes) -> bytes:
    return text[:-1]


def _without_a_line(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], *lines[2:]])


def _out_of_order(text: bytes) -> bytes:
    first, *others = text.splitlines(keepends=True)
    return b"".join([first, others[1], others[0], *others[2:]])


def _longer(text: bytes) -> bytes:
    return text + b"\n"


def _nested(_: bytes) -> bytes:
    return b"[" * 100_000 + b"\n"


@pytest.mark.parametrize("damage", [_cut, _without_a_line, _out_of_order, _longer, _nested])
def test_a_damaged_artefact_is_not_adopted(
    files: list[Path], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    close_files(files)
    artefact = tmp_path / "new"
    settle(files, NEW, artefact)
    artefact.write_bytes(damage(artefact.read_bytes()))

    with pytest.raises(BadArtefact):
        adopt(artefact, files[0], S1)

    assert inspect(files[0]).closed is not None


def test_every_bit_of_an_artefact_counts(files: list[Path], tmp_path: Path) -> None:
    close_files(files)
    whole, bad = tmp_path / "new", tmp_path / "bad"
    settle(files, NEW, whole)
    sound = inspect_artefact(whole)
    text = whole.read_bytes()
    for place in range(len(text)):
        for bit in place % 8, (place + 3) % 8:
            bad.write_bytes(text[:place] + bytes([text[place] ^ 1 << bit]) + text[place + 1 :])
            try:
                found = inspect_artefact(bad)
            except BadArtefact:
                continue
            assert found == sound, f"bit {bit} of byte {place}"


def forge(
    path: Path,
    settled: Iterable[tuple[str, Proposal[bytes]]] = (("a", RED),),
    *,
    cluster: str = "demo",
    words: str = "counted 1 2 4 phase1 2 phase2 2",
    highest: int = 7,
) -> Path:
    """An artefact with a right digest, as a program could make that has this library's code."""
    writing = Writing(Header(cluster, words, "ab", "cd", (S1,)), settled, lambda: highest)
    path.write_bytes(b"".join(writing.lines()))
    return path


def proposed(number: int = 1, server: int = 1, value: bytes = b"red") -> Proposal[bytes]:
    return Proposal(Ballot(number, ServerId(server)), value)


@pytest.mark.parametrize(
    "settled",
    [
        [("", RED)],
        [("a" * 256, RED)],
        [("\ud800", RED)],
        [("a", proposed(value=bytes((1 << 20) + 1)))],
        [("a", proposed(number=-1))],
        [("a", proposed(number=1 << 63))],
        [("a", proposed(number=True))],
        [("a", proposed(server=1 << 63))],
        [("a", proposed(server=True))],
        [("a", RED), ("a", RED)],
    ],
)
def test_what_no_file_can_hold_is_not_adopted(
    tmp_path: Path, settled: list[tuple[str, Proposal[bytes]]]
) -> None:
    path = forge(tmp_path / "new", settled)

    with pytest.raises(BadArtefact):
        adopt(path, tmp_path / "n4.db", S4)

    assert [it.name for it in tmp_path.iterdir()] == ["new"]


def test_what_is_settled_above_the_highest_round_is_not_adopted(tmp_path: Path) -> None:
    """The new file would have accepted above its promise."""
    path = forge(tmp_path / "new", [("a", proposed(7)), ("b", proposed(8))])

    with pytest.raises(BadArtefact, match="above its highest"):
        adopt(path, tmp_path / "n4.db", S4)

    assert [it.name for it in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("cluster", "words", "highest"),
    [
        ("x" * 256, "counted 1 2 4 phase1 2 phase2 2", 7),
        ("demo", "counted 1 2 4 phase1 1 phase2 1", 7),
        ("demo", "counted 4 99999999999999999999 phase1 2 phase2 2", 7),
        ("demo", f"counted {'9' * 5_000} phase1 1 phase2 1", 7),
        ("demo", "counted 1 2 4 phase1 2 phase2 2", -1),
        ("demo", "counted 1 2 4 phase1 2 phase2 2", 1 << 63),
        ("demo", "counted 1 2 4 phase1 2 phase2 2", True),
    ],
)
def test_a_membership_that_no_file_can_have_is_not_adopted(
    tmp_path: Path, cluster: str, words: str, highest: int
) -> None:
    path = forge(tmp_path / "new", cluster=cluster, words=words, highest=highest)

    with pytest.raises(PaxosError):
        adopt(path, tmp_path / "n4.db", S4)

    assert [it.name for it in tmp_path.iterdir()] == ["new"]


def test_what_a_file_can_just_hold_is_adopted(tmp_path: Path) -> None:
    most = (1 << 63) - 1
    largest = proposed(number=most, server=(1 << 32) - 1, value=bytes(1 << 20))
    path = forge(tmp_path / "new", [("é" * 127, largest)], highest=most)

    adopt(path, tmp_path / "n4.db", S4)

    with opened(tmp_path / "n4.db", S4, NEW, "ab") as file:
        assert accepted(file, "é" * 127) == largest


# --- a disk that fails ---------------------------------------------------------------------------


class Disk:
    """Calls of the system, and statements of SQLite that write; from one of them on all fail."""

    CALLS = "fsync", "link", "open", "pwrite", "unlink"
    PRAGMAS = "journal_mode", "wal_checkpoint"
    STATEMENTS = sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_INSERT

    def __init__(self, good: int, patch: pytest.MonkeyPatch) -> None:
        self.left = good
        for name in self.CALLS:
            patch.setattr(os, name, self.counted(getattr(os, name)))
        for module in holding, opening:
            patch.setattr(module, "Writer", self.connected)

    @property
    def is_full(self) -> bool:
        self.left -= 1
        return self.left < 0

    def counted(self, real: Callable[P, T]) -> Callable[P, T]:
        def call(*words: P.args, **more: P.kwargs) -> T:
            if self.is_full:
                raise OSError(28, "No space left on device")
            return real(*words, **more)

        return call

    def connected(self, path: Path) -> Writer:
        connection = without_syncs(path)
        connection.set_authorizer(self.allows)
        return connection

    def allows(self, action: int, what: str | None, *_: str | None) -> int:
        is_pragma = action == sqlite3.SQLITE_PRAGMA and what in self.PRAGMAS
        fails = (is_pragma or action in self.STATEMENTS) and self.is_full
        return sqlite3.SQLITE_DENY if fails else sqlite3.SQLITE_OK


def without_syncs(path: Path) -> Writer:
    """Nothing is cut off here but by an error, so nothing has to be on the disk."""
    connection = Writer(path)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: object) -> None:
        pass

    monkeypatch.setattr(os, "fsync", fsync)
    for module in holding, opening:
        monkeypatch.setattr(module, "Writer", without_syncs)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("step", STEPS, ids=lambda it: it.name)
def test_a_step_goes_on_after_a_disk_that_failed_at_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    """It ends with a typed error, nothing is lost, and the same step does what is missing."""
    template = tmp_path / "template"
    template.mkdir()
    step.before(template)
    failed = 0
    for good in count():
        folder = tmp_path / str(good)
        shutil.copytree(template, folder)
        with monkeypatch.context() as patch:
            disk = Disk(good, patch)
            try:
                step.do(folder)
            except (StoreError, MembersError):
                failed += 1
        step.always(folder)
        step.again(folder)
        shutil.rmtree(folder)
        if disk.left >= 0:
            break

    assert failed > 10


def test_files_that_are_closed_again_are_on_the_disk_before_it_is_said(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a sync that failed, the system may take for saved what is not."""
    close_files(files)
    synced: list[bool] = []

    def fsync(file: int | FileIO) -> None:
        number = file if isinstance(file, int) else file.fileno()
        synced.append(stat.S_ISDIR(os.fstat(number).st_mode))

    monkeypatch.setattr(os, "fsync", fsync)
    close_files(files)

    assert synced.count(True) == len(files)
