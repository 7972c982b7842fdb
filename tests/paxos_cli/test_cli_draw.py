"""``paxos draw``: what it prints and writes."""

from __future__ import annotations

from errno import ENOSPC
from pathlib import Path

import pytest

from paxos import Propose
from paxos_adapters.codecs import TEXT
from paxos_cli import app, draw
from paxos_lab.lecture import Stage
from paxos_lab.lecture.scenarios import block_each_other
from paxos_lab.record import Recorder
from tests.paxos_cli.test_cli_recordings import paxos
from tests.support import S1, THREE
from tests.support.recordings import driven
from tests.support.svgs import of_class, texts, tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    paxos(folder, "lecture", "not-chosen-unseen", "--record", "run")
    return folder


def test_in_the_terminal(folder: Path) -> None:
    ended = paxos(folder, "draw", "run", "--title", "Example 3")
    plain = paxos(folder, "draw", "run", "--plain")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Example 3\n\n◆ event")
    assert "│      │      │◀─────┼◀─────◉      Accept 4.5 Y\n" in ended.stdout
    assert "late: Accept 3.1 X\n" in ended.stdout
    assert "│ S5     │ 4.5      │ 4.5 Y    │ Y               │" in ended.stdout
    assert plain.stdout.isascii()
    assert plain.stdout.count("\n") == ended.stdout.count("\n") - 2


def test_as_svg(folder: Path) -> None:
    ended = paxos(folder, "draw", "run", "--svg", "run.svg", "--title", "Example 3")

    assert (ended.returncode, ended.stdout) == (0, "Drawn: run.svg.\n")
    root = tree((folder / "run.svg").read_text(encoding="utf-8"))
    assert next(texts(root)).words == "Example 3"
    assert len(of_class(root, "choice")) == 2


def test_a_picture_that_cannot_be_written_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full, for example."""

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(draw, "replace", full)
    assert app.run(["draw", str(folder / "run"), "--svg", str(folder / "full.svg")]) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "No space left on device" in said.err


def test_for_mermaid(folder: Path) -> None:
    ended = paxos(folder, "draw", "run", "--mermaid", "--from", 36, "--to", 38)

    assert ended.returncode == 0
    assert ended.stdout.splitlines()[6:] == [
        "    Note over L1: starts over",
        "    L1-xL4: Prepare 5.1",
        "    L1-xL5: Prepare 5.1",
        "    L1->>L1: Prepare 5.1",
        "    L1->>L2: Prepare 5.1",
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--svg", "x", "--mermaid"), 2, "--svg or --mermaid, not both"),
        (("--from", 9, "--to", 3), 2, "--from 9 comes after --to 3"),
        (("--from", 900), 2, "no step is in between: there are steps 1 to 48"),
        (("shape",), 1, "nothing about a decision 'shape'"),
        (("--svg", "nowhere/x.svg"), 2, "nowhere/x.svg cannot be written: there is no such"),
    ],
    ids=["both", "backwards", "beyond", "unknown", "unwritable"],
)
def test_what_cannot_be_is_one_line(
    words: tuple[object, ...], code: int, message: str, folder: Path
) -> None:
    ended = paxos(folder, "draw", "run", *words)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_no_recording_is_one_line(folder: Path) -> None:
    (folder / "text").write_text("no recording\n")

    ended = paxos(folder, "draw", "text")

    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)


def test_a_long_run_is_drawn_in_parts(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", codec=TEXT, runtime="test") as recorder:
        block_each_other(Stage(servers=3, observer=recorder), times=24)

    whole = paxos(tmp_path, "draw", "run")
    first = paxos(tmp_path, "draw", "run", "--to", 300)

    assert whole.returncode == 2
    assert "more than a picture can hold, which is 300: " in whole.stderr
    assert "such as --from 1 --to 300." in whole.stderr
    assert (first.returncode, first.stderr) == (0, "")


def test_one_of_several_decisions(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", codec=TEXT, runtime="test") as recorder:
        for name in ("colour", "shape"):
            it = driven(S1, THREE, recorder, name=name)
            it.step(Propose(f"any {name}"))

    unsaid = paxos(tmp_path, "draw", "run")
    one = paxos(tmp_path, "draw", "run", "shape")

    assert unsaid.returncode == 2
    assert "there are 2 decisions: 'colour', 'shape'. Name one behind the files." in unsaid.stderr
    assert "S1 proposes any shape\n" in one.stdout
    assert "colour" not in one.stdout


def test_what_is_lost_can_be_left_out(folder: Path) -> None:
    whole, without = (paxos(folder, "draw", "run", *more) for more in ((), ("--without-lost",)))

    assert "lost: " in whole.stdout
    assert "lost: " not in without.stdout
    assert (without.returncode, without.stderr) == (0, "")
