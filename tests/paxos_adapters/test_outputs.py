"""What writes a file touches nothing but files of its own kind, and no file of a server."""

from __future__ import annotations

import ast
import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from paxos import Acceptor, Ballot, Proposal, ServerId, majority
from paxos_adapters import outputs
from paxos_adapters.codecs import RAW, TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.memory import Cluster
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_protocol import socket_path
from paxos_adapters.outputs import (
    NEW,
    RECORDING,
    Kind,
    OutputRefused,
    check,
    create,
    files_of,
    move,
    open_for_writing,
    remove,
    replace,
)
from paxos_adapters.wire import Key
from paxos_cli import app, logs
from paxos_lab.draw.shapes import PICTURE
from paxos_lab.record import Recorder
from paxos_lab.record.recorder import older
from paxos_lab.view import PAGE
from tests.support import PACKAGES

Capture = pytest.CaptureFixture[str]
Contents = dict[str, bytes]
ME = ServerId(1)
NOTE = Kind("a note", b"note:")
FOLDER = Path(outputs.__file__).parents[1]


def contents(folder: Path) -> Contents:
    """Every file of ``folder`` that can be read, by name."""
    return {it.name: it.read_bytes() for it in folder.iterdir() if it.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A recording, in a folder of its own."""
    (tmp_path / "recordings").mkdir()
    path = tmp_path / "recordings" / "run"
    with Recorder(path, codec=TEXT, runtime="test") as recorder:
        cluster = Cluster[str](servers=1, observer=recorder)
        cluster.propose(ME, "red")
        cluster.run()
    return path


@pytest.fixture
def writers(run: Path) -> dict[str, Callable[[Path], int]]:
    """Every option that writes, as what writes to a path; and what programs call."""

    def command(*words: str) -> Callable[[Path], int]:
        return lambda path: app.run([*words, str(path)])

    def library(write: Callable[[Path], object]) -> Callable[[Path], int]:
        def call(path: Path) -> int:
            try:
                write(path)
            except (OutputRefused, OSError):
                return 1
            return 0

        return call

    return {
        "demo --record": command("demo", "--record"),
        "lecture --record": command("lecture", "cut-off", "--record"),
        "simulate --record": command("simulate", "--seed", "3", "--record"),
        "explore --record": command("explore", "--rule", "look-first", "--record"),
        "draw --svg": command("draw", str(run), "--svg"),
        "view --out": command("view", str(run), "--out"),
        "keygen --out": command("keygen", "--out"),
        "members settle --out": command("members", "settle", str(run), "--servers", "1", "--out"),
        "Recorder": library(lambda path: Recorder(path, codec=TEXT, runtime="test").close()),
        "create": library(lambda path: create(path, b"x")),
        "replace": library(lambda path: replace(path, PAGE, b"x")),
        "remove": library(lambda path: remove(path, RECORDING)),
        "move from": library(lambda path: move(path, run.with_name("new"), RECORDING)),
        "move to": library(lambda path: move(run, path, RECORDING)),
        "open": library(lambda path: os.close(open_for_writing(path, NOTE))),
    }


def test_no_writer_touches_a_file_of_a_server_that_runs(
    tmp_path: Path, writers: dict[str, Callable[[Path], int]]
) -> None:
    """Whatever stands in its folder: store, mark, log, index, socket, keys, description."""
    folder = tmp_path / "server"
    folder.mkdir()
    data = folder / "n1.db"
    (folder / "keyring").write_text(Key.generate(os.urandom).text)
    (folder / "cluster.toml").write_text('name = "c"\n')

    async def running() -> None:
        with FileStore.create(data, cluster="c", server=ME, quorum=majority([ME])) as file:
            async with (
                Node(file, NetworkConfig({ME: ("127.0.0.1", 0)}), codec=RAW) as node,
                serve(node, socket_path(data)),
            ):
                await node.propose("x", b"y")
                names = sorted(os.listdir(folder))
                assert {"n1.db", "n1.db-mark", "n1.db-wal", "n1.db-shm", "n1.db.sock"} < {*names}
                before = contents(folder)
                for what, write in writers.items():
                    for name in names:
                        assert write(folder / name) != 0, (what, name)
                    for path in files_of(data):
                        assert write(path) != 0, (what, path.name)
                    assert sorted(os.listdir(folder)) == names, what
                    assert contents(folder) == before, what

    asyncio.run(running())


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-mark-new", "-new", ".sock"])
def test_no_writer_takes_a_name_that_a_store_uses(
    tmp_path: Path, suffix: str, writers: dict[str, Callable[[Path], int]]
) -> None:
    """Of a server that does not run: SQLite would take what is there for its own."""
    data = tmp_path / "n1.db"
    FileStore.create(data, cluster="c", server=ME, quorum=majority([ME])).close()
    for what, write in writers.items():
        assert write(tmp_path / f"n1.db{suffix}") != 0, what
    (tmp_path / "n2.db-mark").write_bytes(b"of a store that is lost")
    for what, write in writers.items():
        assert write(tmp_path / "n2.db") != 0, what
        assert write(tmp_path / f"n2.db{suffix}") != 0, what
    assert {*os.listdir(tmp_path)} == {"n1.db", "n1.db-mark", "n2.db-mark", "recordings"}


def test_no_writer_touches_what_it_does_not_know(
    tmp_path: Path, writers: dict[str, Callable[[Path], int]]
) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "letter").write_text("Dear reader")
    (folder / "link").symlink_to("letter")
    (folder / "nowhere").symlink_to("not there")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    names = sorted(os.listdir(folder))
    for what, write in writers.items():
        for name in [*names, "", "no/such/file", "x" * 300]:
            assert write(folder / name) != 0 or (what, name) == ("remove", ""), (what, name)
        assert sorted(os.listdir(folder)) == names, what
        assert (folder / "letter").read_text() == "Dear reader"


def test_what_a_command_prints_to_is_no_place_for_a_file(tmp_path: Path) -> None:
    """Its log, for one, as long as nothing is in it."""
    command = f"{sys.executable} -m paxos_cli demo --record log > {tmp_path}/log 2>&1"
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert "prints to" in (tmp_path / "log").read_text()


def leave(*_: object, **__: object) -> None:
    """What a process does with its logs is not for the process of the tests."""


class TestNode:
    """``paxos node --record``: the files that its cluster names are known before they are there."""

    @pytest.mark.parametrize(
        "record",
        [
            *("n1.db", "n1.db-wal", "n1.db-shm", "n1.db-mark", "n1.db.sock", "n2.db", "n2.db-wal"),
            *("n", "keyring", "cluster.toml", "sub/../n1.db", "other.db", "other.db-wal"),
        ],
    )
    @pytest.mark.parametrize("is_empty", [False, True], ids=["absent", "empty"])
    def test_it_is_refused_before_anything_begins(
        self,
        tmp_path: Path,
        record: str,
        is_empty: bool,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(logs, "configure", leave)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        (tmp_path / "cluster.toml").write_text(
            'name = "c"\nkeyring = "keyring"\n'
            '[[servers]]\nid = 1\naddress = "127.0.0.1:47101"\ndata = "n1.db"\n'
            '[[servers]]\nid = 2\naddress = "127.0.0.1:47102"\ndata = "n2.db"\n'
            '[[servers]]\nid = 3\naddress = "127.0.0.1:47103"\ndata = "n.1"\n'
        )
        if is_empty and record != "cluster.toml":
            (tmp_path / record).write_bytes(b"")
        before = {*os.listdir(tmp_path)}
        words = ["node", "--id", "1", "--create", "--record", record]
        assert app.run([*words, "--data", "other.db"]) == 2
        told = capsys.readouterr().err
        assert "belongs to a server" in told or "is not a recording" in told
        assert {*os.listdir(tmp_path)} == before

    def test_a_demo_knows_its_files_too(self, tmp_path: Path, capsys: Capture) -> None:
        record = tmp_path / "s1.db-wal"
        assert app.run(["demo", "--data", str(tmp_path), "--record", str(record)]) == 2
        assert "belongs to a server" in capsys.readouterr().err
        assert os.listdir(tmp_path) == []


class TestRotation:
    """A recording that is full becomes FILE.1: checked anew each time."""

    @staticmethod
    def recorder(path: Path, keep: int = 1) -> Recorder[str]:
        return Recorder(path, codec=TEXT, runtime="test", max_bytes=4_096, keep=keep)

    @staticmethod
    def fill(recorder: Recorder[str], decisions: int = 40) -> None:
        for _ in range(decisions):
            cluster = Cluster[str](servers=1, observer=recorder)
            cluster.propose(ME, "red")
            cluster.run()

    @pytest.mark.slow
    @pytest.mark.parametrize("keep", [0, 1, 3])
    def test_no_descriptor_stays_open(self, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "run"
        with self.recorder(path, keep) as recorder:
            self.fill(recorder, 1)
            before = open_descriptors()
            self.fill(recorder, 400)
            assert recorder.failure is None
            assert open_descriptors() == before
        assert open_descriptors() == before - 1
        assert len(os.listdir(tmp_path)) == keep + 1

    def test_what_is_in_the_way_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        with self.recorder(path) as recorder:
            older(path, 1).write_text("a letter")
            before = open_descriptors()
            self.fill(recorder)
            assert isinstance(recorder.failure, OutputRefused)
            assert open_descriptors() == before - 1
        assert older(path, 1).read_text() == "a letter"

    def test_a_store_in_the_way_stays(self, tmp_path: Path) -> None:
        path, ballot = tmp_path / "n", Ballot(1, ME)
        with (
            self.recorder(path) as recorder,
            FileStore.create(
                tmp_path / "n.1", cluster="c", server=ME, quorum=majority([ME])
            ) as file,
        ):
            self.fill(recorder)
            assert isinstance(recorder.failure, OutputRefused)
            file.save([("x", Acceptor(ballot, Proposal(ballot, b"red")))])
        with FileStore.open(
            tmp_path / "n.1", cluster="c", server=ME, quorum=majority([ME])
        ) as file:
            assert file.load("x").records

    @pytest.mark.parametrize("keep", [0, 1])
    def test_what_took_its_place_stays(self, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "run"
        with self.recorder(path, keep) as recorder:
            path.unlink()
            path.write_bytes(RECORDING.mark or b"")
            self.fill(recorder)
            assert isinstance(recorder.failure, OutputRefused)
        assert path.read_bytes() == RECORDING.mark
        assert os.listdir(tmp_path) == ["run"]


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/dev/fd"))


class TestFunctions:
    """What opens, makes, replaces, moves and removes."""

    def test_what_is_made_is_for_its_owner_only(self, tmp_path: Path) -> None:
        create(tmp_path / "new", b"one")
        replace(tmp_path / "page", NOTE, b"note: two")
        os.close(open_for_writing(tmp_path / "opened", NOTE))
        for name, content in ("new", b"one"), ("page", b"note: two"), ("opened", b""):
            assert (tmp_path / name).read_bytes() == content
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert {*os.listdir(tmp_path)} == {"new", "page", "opened"}

    @pytest.mark.parametrize("there", [b"one", b""])
    def test_create_replaces_nothing(self, tmp_path: Path, there: bytes) -> None:
        (tmp_path / "file").write_bytes(there)
        with pytest.raises(OutputRefused, match="is there already, and is left as it is"):
            create(tmp_path / "file", b"two")
        with pytest.raises(OutputRefused):
            open_for_writing(tmp_path / "file", NEW)
        assert contents(tmp_path) == {"file": there}

    def test_nor_what_came_in_between(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def overtaken(path: Path, parts: Iterable[bytes]) -> Path:
            path.with_name("file").write_bytes(b"theirs")
            return written(path, parts)

        written = outputs._written  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(outputs, "_written", overtaken)
        writes: list[Callable[[], None]] = [
            lambda: create(tmp_path / "file", b"ours"),
            lambda: replace(tmp_path / "file", NOTE, b"ours"),
        ]
        for write in writes:
            (tmp_path / "file").unlink(missing_ok=True)
            with pytest.raises(OutputRefused):
                write()
            assert contents(tmp_path) == {"file": b"theirs"}

    def test_its_own_kind_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        for there in b"", b"note: one":
            path.write_bytes(there)
            replace(path, NOTE, b"note: two")
            assert path.read_bytes() == b"note: two"
        move(path, tmp_path / "other", NOTE)
        remove(tmp_path / "other", NOTE)
        remove(tmp_path / "other", NOTE)
        assert os.listdir(tmp_path) == []

    def test_a_kind_is_told_by_how_a_file_begins(self) -> None:
        assert NOTE.is_in(b"note: x")
        assert not NOTE.is_in(b" note: x")
        assert PAGE.is_in(b"<!doctype html>" + (PAGE.mark or b""))
        assert not PAGE.is_in(b" " * 1_000 + (PAGE.mark or b""))
        assert PICTURE.is_in((PICTURE.mark or b"") + b' role="img">')
        assert not NEW.is_in(b"")

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputRefused, match="there is no such folder"):
            check(tmp_path / "no" / "file", NOTE)


def test_every_file_is_opened_for_writing_in_one_place() -> None:
    """Anything else that makes, writes, renames or removes a file is listed here, with its reason.

    The store, its mark and the socket beside it have rules of their own; kits are for tests.
    """
    known = {
        "paxos_adapters/outputs.py": {"os.open", "os.link", "os.replace", "open", ".unlink"},
        "paxos_cli/__init__.py": {"os.open"},  # /dev/null, in place of a closed standard stream
        "paxos_cli/help.py": {"shutil"},  # how wide the terminal is
        "paxos_cli/cluster.py": {"os.link", ".unlink"},  # cluster.toml, when everything is there
        "paxos_cli/restore.py": {"os.rename", "shutil"},  # a folder that was made for it
        "paxos_adapters/backup/restoring.py": {".unlink"},  # files that the same call has made
        "paxos_adapters/forks.py": {"os.open"},  # /dev/null, in place of an inherited socket
        "paxos_adapters/node/control.py": {".unlink"},  # a socket, and nothing else
    }
    packages = (FOLDER / name for name in PACKAGES)
    for path in sorted(path for package in packages for path in package.rglob("*.py")):
        name = path.relative_to(FOLDER).as_posix()
        if name.startswith(("paxos_adapters/file/", "paxos_testing/")):
            continue
        assert found_in(path) == known.get(name, set()), name


WRITES = {"write_text", "write_bytes", "touch", "rename", "unlink", "rmdir", "symlink_to"}
IN_OS = {"open", "link", "replace", "rename", "remove", "unlink", "truncate", "symlink", "mkfifo"}
MODULES = {"shutil", "tempfile"}


def found_in(path: Path) -> set[str]:
    """The calls in ``path`` that can make, change or remove a file."""
    found: set[str] = set()
    for it in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(it, ast.Import | ast.ImportFrom):
            module = it.module or "" if isinstance(it, ast.ImportFrom) else it.names[0].name
            found |= {module} & MODULES
        if not isinstance(it, ast.Call):
            continue
        modes = [word for word in it.args if isinstance(word, ast.Constant)]
        is_reading = any(word.value in ("rb", "r") for word in modes) or "O_RDONLY" in ast.dump(it)
        match it.func:
            case ast.Name(id="open") if not is_reading:
                found.add("open")
            case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr in IN_OS:
                found |= {f"os.{attr}"} - ({"os.open"} if is_reading else set())
            case ast.Attribute(attr=attr) if attr in WRITES:
                found.add(f".{attr}")
            case _:
                pass
    return found
