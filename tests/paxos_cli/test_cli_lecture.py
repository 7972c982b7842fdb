"""``paxos lecture``, run as its users run it, and the page that shows what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from paxos_cli import app
from paxos_cli.canvas import canvas
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS, LogScenario, Scenario
from paxos_lab.lecture.log_examination import ANY_BALLOT
from paxos_lab.machines import faulty
from paxos_lab.machines.protocols import LECTURE, Protocol

PAGE = (Path(__file__).parents[2] / "docs" / "lecture.md").read_text(encoding="utf-8")
SHOWN: list[tuple[str, str]] = re.findall(r"^```console\n\$ (.*?)\n(.+?)^```$", PAGE, re.M | re.S)

EVERY: dict[str, Scenario | LogScenario] = {**SCENARIOS, **LOG_SCENARIOS}
PROTOCOLS = {it.name: it for it in (*faulty.BROKEN, *LECTURE)}


@pytest.fixture
def lecture(capsys: pytest.CaptureFixture[str]) -> Lecture:
    return Lecture(capsys)


class Lecture:
    """The command, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Its exit code; what it printed is in ``out`` and ``err``."""
        code = app.run(["lecture", *arguments])
        self.out, self.err = self._capsys.readouterr()
        return code


def swap(monkeypatch: pytest.MonkeyPatch, name: str, protocol: Protocol) -> None:
    """Let one scenario run on another protocol."""
    monkeypatch.setitem(SCENARIOS, name, evolve(SCENARIOS[name], protocol=protocol))


class TestList:
    """Without a name."""

    def test_every_scenario_has_a_line(self, lecture: Lecture) -> None:
        assert lecture() == 0
        lines = [line.split(maxsplit=2) for line in lecture.out.splitlines()]
        for it in EVERY.values():
            assert [it.heading, it.name, it.title] in lines

    def test_each_part_fits_on_a_page(self, lecture: Lecture) -> None:
        lecture()
        first, part_1, part_2, last = lecture.out.split("\n\n")
        assert [first.count("\n"), last.count("\n")] == [0, 1]
        for part in (part_1, part_2):
            assert max(map(len, part.splitlines())) <= 80
            assert len(part.splitlines()) <= 25


class TestPlay:
    """With a name."""

    @pytest.mark.parametrize("options", [(), ("--plain",)])
    @pytest.mark.parametrize("name", EVERY)
    def test_it_ends_well_and_fits_on_a_page(
        self, lecture: Lecture, name: str, options: tuple[str, ...]
    ) -> None:
        assert lecture(name, *options) == 0
        assert lecture.err == ""
        assert max(map(len, lecture.out.splitlines())) <= 80
        assert lecture.out.isascii() == bool(options)

    def test_it_shows_the_words_the_messages_the_servers_and_the_outcome(
        self, lecture: Lecture
    ) -> None:
        lecture("cut-off")
        it = SCENARIOS["cut-off"]
        lines = lecture.out.splitlines()
        assert lines[0] == f"4. {it.title}"
        assert " ".join(lines[2:5]) == " ".join(it.text.split())
        assert "│◀─────┼──────●      │      │      Nack 1.1, 1.5 is promised" in lines
        assert "│ S3     │ 1.5      │ 1.5 blue │                 │" in lines
        assert lines[-4:] == [
            "✓ S3 has promised 1.5 and refuses 1.1",
            "✓ only blue is chosen",
            "chosen: blue by S3, S4, S5 under 1.5",
            "",
        ]

    def test_every_choice_is_shown(self, lecture: Lecture) -> None:
        lecture("reused-and-late")
        assert lecture.out.endswith(
            "chosen: v2 by S2, S3 under 1.1\n"
            "        v1 by S2, S3 under 1.1\n"
            "        v1 by S2, S3 under 2.3\n"
            "✗ Broken rule: agreement\n\n"
        )

    def test_no_choice_is_shown_too(self, lecture: Lecture) -> None:
        lecture("livelock")
        assert lecture.out.endswith("chosen: nothing\n\n")

    def test_a_server_that_is_down_still_has_its_disk(self, lecture: Lecture) -> None:
        lecture("two-phases", "--plain")
        assert "| S1     | 5.5      | 5.5 newer | down            |" in lecture.out

    def test_what_each_server_has_in_each_slot_is_shown(self, lecture: Lecture) -> None:
        lecture("next-slot", "--plain")
        assert (
            "| server | promised | slot 1 | slot 2 | slot 3  | slot 4  | slot 5  |" in lecture.out
        )
        assert (
            "| S2     | 2.1      | mov    | add    | 2.1 cmp | 2.1 sub | 2.1 jmp |" in lecture.out
        )
        assert (
            "| S3     | 1.3      | mov    | add    | cmp     | sub     | jmp     |" in lecture.out
        )
        assert "        slot 5: jmp by S1, S2 under 2.1\n" in lecture.out

    def test_all_of_them(self, lecture: Lecture) -> None:
        assert lecture("--all") == 0
        played = lecture.out
        for name in EVERY:
            lecture(name)
            assert lecture.out in played


def test_a_plain_canvas_cuts_off_with_ascii() -> None:
    assert canvas(plain=True).fit("a long val…") == "a long val..."


class TestFailure:
    """A run that is not as the lecture says."""

    @pytest.mark.parametrize("arguments", ["cut-off", "--all"])
    def test_it_is_drawn_and_the_claim_is_named(
        self, lecture: Lecture, monkeypatch: pytest.MonkeyPatch, arguments: str
    ) -> None:
        swap(monkeypatch, "cut-off", PROTOCOLS["promise-forgotten"])
        assert lecture(arguments) == 1
        assert "✗ S3 has promised 1.5 and refuses 1.1\n" in lecture.out
        assert "│      │      ◆      │      │      red is chosen under 1.1\n" in lecture.out
        assert "This is not what the lecture says.\n" in lecture.out

    @pytest.mark.parametrize(
        ("protocol", "said"),
        [
            ("accept-everything", "! two values are chosen: 'red' under ballot 1.1"),
            ("promise-forgotten", "! S3 has promised 1.5 and refuses 1.1"),
        ],
    )
    def test_an_error_of_the_library_is_told_like_a_claim(
        self, lecture: Lecture, monkeypatch: pytest.MonkeyPatch, protocol: str, said: str
    ) -> None:
        swap(monkeypatch, "cut-off", PROTOCOLS[protocol])
        assert lecture("cut-off", "--plain") == 1
        assert said in lecture.out
        assert lecture.out.isascii()
        assert lecture.err == ""

    def test_a_log_that_does_not_keep_a_rule_is_told_like_a_decision(
        self, lecture: Lecture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = evolve(LOG_SCENARIOS["exact-ballot"], protocol=ANY_BALLOT)
        monkeypatch.setitem(LOG_SCENARIOS, "exact-ballot", broken)
        assert lecture("exact-ballot") == 1
        assert "✗ S1 believes nothing of X\n" in lecture.out
        assert "◆     │     │     S1 commits 1: X" in lecture.out
        assert "This is not what the lecture says.\n" in lecture.out

    @pytest.mark.slow
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_no_protocol_ends_in_a_traceback(
        self, lecture: Lecture, monkeypatch: pytest.MonkeyPatch, protocol: str
    ) -> None:
        for name in SCENARIOS:
            swap(monkeypatch, name, PROTOCOLS[protocol])
        assert lecture("--all") == 1
        assert lecture.out.count("Who holds what") == len(EVERY)


class TestArguments:
    """One line for those who err."""

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ("alredy-chosen", "Did you mean 'already-chosen'"),
            ("promise", "Did you mean 'promise-raised' or 'promise-not-raised'?"),
            ("zzz", "'paxos lecture' lists them all."),
            ("livelock --all", "not both"),
            ("livelock leader", "(leader)"),
            ("--nonsense", "'--nonsense'"),
        ],
    )
    def test_a_mistake_is_one_line(self, lecture: Lecture, arguments: str, named: str) -> None:
        assert lecture(*arguments.split()) == 2
        assert lecture.out == ""
        (line,) = lecture.err.splitlines()
        assert line.startswith("paxos lecture: ")
        assert named in line

    def test_help_names_the_options(self, lecture: Lecture) -> None:
        assert lecture("--help") == 0
        for word in "NAME", "--all", "--plain":
            assert word in lecture.out


class TestProcess:
    """As a program of its own."""

    @pytest.mark.slow
    @pytest.mark.parametrize("switch", ["-O", "-OO"])
    def test_claims_are_checked_without_assertions_too(self, switch: str) -> None:
        program = (
            "import sys; from attrs import evolve; "
            "from paxos_lab.machines import faulty; from paxos_cli import app; "
            "from paxos_lab.lecture import SCENARIOS; "
            "it = SCENARIOS['cut-off']; good = app.run(['lecture', 'cut-off']); "
            "(forgotten,) = (it for it in faulty.BROKEN if it.name == 'promise-forgotten'); "
            "SCENARIOS['cut-off'] = evolve(it, protocol=forgotten); "
            "sys.exit(10 * good + app.run(['lecture', 'cut-off']))"
        )
        ended = execute(switch, "-c", program)
        assert (ended.returncode, ended.stderr) == (1, "")

    def test_ascii_where_unicode_cannot_be_printed(self) -> None:
        ended = execute("-m", "paxos_cli", "lecture", "livelock", encoding="ascii")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.isascii()


class TestPage:
    """docs/lecture.md."""

    def test_it_shows_the_list_and_a_scenario(self) -> None:
        assert [command for command, _ in SHOWN] == [
            "paxos lecture",
            "paxos lecture not-chosen-unseen",
            "paxos lecture hole-filled",
        ]

    @pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
    def test_what_it_shows_is_what_is_printed(
        self, lecture: Lecture, command: str, shown: str
    ) -> None:
        lecture(*command.split()[2:])
        assert shown.rstrip() == lecture.out.rstrip()

    def test_it_names_every_scenario_and_no_other(self) -> None:
        prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S)
        assert re.findall(r"`paxos lecture ([a-z][a-z-]*)`", prose) == list(EVERY)


def execute(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """Run Python in a pipe that takes ``encoding``."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        encoding=encoding,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"},
        check=False,
    )
