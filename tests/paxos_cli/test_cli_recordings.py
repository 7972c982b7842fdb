"""``--record``, ``paxos replay`` and ``paxos explain``: what they print and write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paxos_cli.exit_codes import ExitCode
from paxos_lab.record.entries import Body
from tests.support.commands import Ended, call
from tests.support.recordings import forge, lines


def paxos(folder: Path, *words: object) -> Ended:
    return call(*words, folder=folder)


@pytest.mark.parametrize(
    ("command", "code", "about"),
    [
        (("demo", "--seed", 7), 0, "Recorded by memory"),
        (("lecture", "reused-and-late"), 0, "Recorded by lecture"),
        (("lecture", "new-quorums-unasked"), 0, "unasked, window 4, piece 2"),
        (("simulate", "--seed", 3), 0, "Recorded by simulation"),
        (("simulate", "--log", "--seed", 3), 0, "log, window 4, piece 2, seed 3"),
        (("simulate", "--rule", "promise-forgotten", "--jobs", 1), 1, "broken agreement"),
        (("explore", "--rule", "look-first"), 1, "Recorded by exploration"),
    ],
    ids=["demo", "lecture", "lecture-log", "simulate", "log", "failing-seed", "explore"],
)
def test_what_a_command_records_can_be_replayed(
    command: tuple[object, ...], code: int, about: str, tmp_path: Path
) -> None:
    recorded = paxos(tmp_path, *command, "--record", "run")
    replayed = paxos(tmp_path, "replay", "run", "--plain")

    assert recorded.returncode == code, recorded.stderr
    assert "run " in recorded.stdout.splitlines()[-1]
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert about in replayed.stdout
    assert replayed.stdout.endswith("and every state is the one that was recorded.\n")
    assert replayed.stdout.isascii()


def test_a_recording_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    paxos(tmp_path, "demo", "--seed", 1, "--record", "run")
    (tmp_path / "run.1").write_bytes((tmp_path / "run").read_bytes())
    (tmp_path / "run.2").write_text("something else")
    paxos(tmp_path, "demo", "--seed", 7, "--record", "run")

    assert "50 messages were sent, 50 arrived." in paxos(tmp_path, "replay", "run").stdout
    assert {it.name for it in tmp_path.iterdir()} == {"run", "run.2"}


def test_the_first_difference_is_told(tmp_path: Path) -> None:
    paxos(tmp_path, "lecture", "cut-off", "--record", "run")
    forge(tmp_path / "run", lambda them: them[0].update(protocol="look-first"))

    ended = paxos(tmp_path, "replay", "run")

    assert (ended.returncode, ended.stderr) == (1, "")
    last = ended.stdout.splitlines()[-1]
    assert last.startswith("After 6 steps with the same states: step 7, of server 1 (run, line 8)")
    assert "recorded was acceptor" in last


def test_a_kill_and_another_core_are_told(tmp_path: Path) -> None:
    paxos(tmp_path, "demo", "--seed", 7, "--record", "run")
    forge(tmp_path / "run", lambda them: them[0].update(core={}))
    content = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(content[:-30])

    ended = paxos(tmp_path, "replay", "run")

    assert ended.returncode == 0
    assert "run breaks off within a line" in ended.stdout
    assert "run was not closed" in ended.stdout
    assert "The core is another one now: __init__, acceptor, ballot" in ended.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("replay",), "Missing argument"),
        (("replay", "nowhere"), "nowhere cannot be used"),
        (("replay", "junk"), "junk is not a recording that this version can read"),
        (("replay", "."), "is a directory"),
        (("explain",), "name recordings or data files"),
        (("explain", "nowhere"), "nowhere cannot be used"),
        (("explain", "junk"), "junk is not a recording"),
        (("explain", "."), ". is a directory, not a file."),
        (("lecture", "--record", "run"), "--record takes the NAME"),
        (("demo", "--record", "no/such/run"), "no/such/run cannot be written"),
        (("demo", "--record", "junk"), "junk is there already, and is not a recording"),
    ],
)
def test_what_is_wrong_is_one_line(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")

    ended = paxos(tmp_path, *words)

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert (tmp_path / "junk").read_text() == "junk"


def test_a_decision_is_explained(tmp_path: Path) -> None:
    """The lecture's example 6c: S3, S4 and S5 have promised 4.5, and refuse 3.1."""
    paxos(tmp_path, "lecture", "not-chosen-unseen", "--record", "run")

    ended = paxos(tmp_path, "explain", "run")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "'Y' is chosen under 4.5: accepted by S3, S4 and S5, a quorum.",
        "It was chosen once more under 5.1: accepted by S1, S2 and S3, a quorum.",
        "S1 and S5 know it; S2, S3 and S4 do not yet, and will be told, or find out by asking.",
        "3.1 'X' of S1: accepted by S1; S3, S4 and S5 have promised 4.5 and refuse it; "
        "S2 has promised 5.1 and refuses it; it cannot be chosen any more.",
    ]


def test_what_is_not_decided_has_a_code_of_its_own(tmp_path: Path) -> None:
    paxos(tmp_path, "lecture", "livelock", "--record", "run")

    ended = paxos(tmp_path, "explain", "run")

    assert ended.returncode == ExitCode.NOTHING_CHOSEN
    assert "7.3 of S3 and 6.1 of S1 duel." in ended.stdout


def test_stores_are_explained(tmp_path: Path) -> None:
    """Stopped half way: red is accepted by S1 and S2, and three are a quorum."""
    paxos(tmp_path, "demo", "--seed", 7, "--stop-after", 12, "--data", "data")
    stores = sorted((tmp_path / "data").glob("*.db"))

    half = paxos(tmp_path, "explain", *stores, "colour")
    paxos(tmp_path, "demo", "--data", "data")
    whole = paxos(tmp_path, "explain", *stores, "colour")
    other = paxos(tmp_path, "explain", *stores, "shape")

    assert half.returncode == ExitCode.NOTHING_CHOSEN
    assert "it has S1 and S2, and needs 1 more of S3, S4 and S5." in half.stdout
    assert whole.returncode == 0
    assert whole.stdout.startswith("'red' is chosen under")
    assert other.returncode == 1
    assert "nothing about a decision 'shape'; there are 'colour'." in other.stderr


# --- the document -------------------------------------------------------------------------------

DOCUMENT = Path(__file__).parents[2] / "docs" / "recording.md"
SESSIONS = re.findall(r"^```console\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
RECORDS = (
    "lecture not-chosen-unseen --record run.jsonl",
    "lecture two-leaders --record log.jsonl",
)
(LINES,) = re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


@pytest.mark.parametrize("session", SESSIONS, ids=["replay", "explain", "log"])
def test_the_document_shows_what_the_commands_print(session: str, tmp_path: Path) -> None:
    for command in RECORDS:
        paxos(tmp_path, *command.split())
    _, *commands = re.split(r"^\$ paxos (.*)\n", session, flags=re.M)

    for command, shown in zip(commands[::2], commands[1::2], strict=True):
        if command not in RECORDS:
            assert paxos(tmp_path, *command.split()).stdout == shown


def test_the_format_is_as_the_document_shows_it(tmp_path: Path) -> None:
    """Also a golden test: whatever changes these lines needs another number of the format."""
    paxos(tmp_path, "lecture", "not-chosen-unseen", "--record", "run.jsonl")
    recorded = lines(tmp_path / "run.jsonl")
    (tmp_path / "shown").write_text(LINES)
    shown = lines(tmp_path / "shown")
    changing: Body = {"run": "", "core": {}, "version": ""}

    assert {**shown[0], **changing} == {**recorded[0], **changing}
    assert list(shown[0]) == list(recorded[0])
    assert [line for line in recorded if line in shown] == shown[1:]


class TestALog:
    """The recording of a log: explained, drawn and shown as a whole, or one slot of it."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        assert paxos(tmp_path, "lecture", "two-leaders", "--record", "run").returncode == 0
        return tmp_path

    def test_it_is_explained(self, folder: Path) -> None:
        ended = paxos(folder, "explain", "run", "--plain")

        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("S3 leads under 2.3, which S2 and S3 have promised.")
        assert "All slots below 3 are chosen." in ended.stdout

    def test_a_slot_is_explained(self, folder: Path) -> None:
        chosen, open_ = (paxos(folder, "explain", "run", slot) for slot in (2, 3))

        assert (chosen.returncode, open_.returncode) == (0, ExitCode.NOTHING_CHOSEN)
        assert "is chosen under 2.3: accepted by S2 and S3, a quorum." in chosen.stdout
        assert open_.stdout.startswith("Nothing is chosen.\n")

    def test_it_is_drawn(self, folder: Path) -> None:
        whole = paxos(folder, "draw", "run", "--from", 1, "--to", 60, "--plain")
        slot = paxos(folder, "draw", "run", 1, "--to", 100, "--plain")

        assert (whole.returncode, slot.returncode) == (0, 0)
        assert re.search(r"Accept \d\.\d 1: ", whole.stdout)
        assert re.search(r"Accept \d\.\d 1: ", slot.stdout)
        assert not re.search(r"Accept \d\.\d 2: ", slot.stdout)

    def test_it_is_shown_as_a_page(self, folder: Path) -> None:
        whole = paxos(folder, "view", "run")
        slot = paxos(folder, "view", "run", 2, "--out", "slot.html")

        assert (whole.returncode, slot.returncode) == (0, 0)
        page = (folder / "run.html").read_text()
        assert "S3 leads under 2.3" in page
        assert "1: a is chosen once more: accepted by S2 and S3, a quorum." in page
        assert "2: c is chosen: accepted by S2 and S3, a quorum." in page
        assert "Agreement is broken" not in page
        assert "is chosen under 2.3" in (folder / "slot.html").read_text()

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (
                ("explain", "run", "none"),
                "'none' is not a slot of a log: slots are counted from",
            ),
            (("explain", "run", "0"), "'0' is not a slot of a log"),
            (("view", "run", "x"), "'x' is not a slot of a log"),
            (("draw", "run", "x"), "'x' is not a slot of a log"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_one_line(
        self, words: tuple[str, ...], told: str, folder: Path
    ) -> None:
        ended = paxos(folder, *words)

        assert ended.returncode == 2
        assert told in ended.stderr
        assert len(ended.stderr.splitlines()) == 1

    def test_a_slot_of_a_decision_is_one_line_too(self, tmp_path: Path) -> None:
        paxos(tmp_path, "demo", "--record", "run")
        ended = paxos(tmp_path, "draw", "run", 1)

        assert ended.returncode == 1
        assert "nothing about a decision '1'" in ended.stderr
