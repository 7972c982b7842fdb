"""``paxos explore``: what it prints, what it records, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from paxos_cli import app
from paxos_cli import explore as command
from paxos_cli.exit_codes import ExitCode
from tests.support.commands import PAXOS, Ended, call


def explore(folder: Path, *words: object) -> Ended:
    return call("explore", *words, folder=folder)


def test_paxos_keeps_its_rules(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--ballots", 1)

    assert ended.returncode == 0
    assert ended.stderr == ""
    assert "paxos: acceptors 3, proposers 2, ballots for each 1, no crash." in ended.stdout
    assert " states, " in ended.stdout
    assert "All states seen. Every rule holds in each of them." in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_time_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = count(100.0, 2.0)
    monkeypatch.setattr(command, "time", SimpleNamespace(perf_counter=clock.__next__))
    assert app.run(["explore", "--ballots", "1", "--plain"]) == 0

    assert "315 states, 713 transitions, depth 16, 2.0 s (158 states/s)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("accept-everything", "Broken: agreement, by 6 events"),
        ("first-value-only", "No value is chosen, and from here none ever can be."),
        ("look-first", "Broken: agreement"),
    ],
)
def test_the_lectures_faults_are_drawn_and_recorded(rule: str, told: str, tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", rule)

    assert ended.returncode == 1
    assert told in ended.stdout
    assert "P1     A1     A2     A3     P2" in ended.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["counterexample.jsonl"]

    again = explore(tmp_path, "--replay", "counterexample.jsonl")
    assert again.returncode == 0
    assert again.stdout.strip() in ended.stdout


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("read-not-completed", "R1 reads"),
        ("nothing-from-one", "Broken: a read that finds nothing began before the choice, by 10 "),
        ("read-id-reused", "readers 1 with 2 reads each, ballots for each 2"),
    ],
)
def test_broken_reads_are_drawn_and_recorded(rule: str, told: str, tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", rule)

    assert ended.returncode == 1
    assert told in ended.stdout
    again = explore(tmp_path, "--replay", "counterexample.jsonl")
    assert again.returncode == 0
    assert again.stdout.strip() in ended.stdout


def test_readers_and_inquirers(tmp_path: Path) -> None:
    few = "--ballots", 1, "--proposers", 1
    assert explore(tmp_path, *few, "--readers", 1, "--reads", 2).returncode == 0
    ended = explore(tmp_path, *few, "--inquirers", 1)
    assert ended.returncode == 0
    assert "proposers 1, inquirers 1, ballots for each 1" in ended.stdout


def test_plain_is_ascii(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", "accept-everything", "--plain")

    assert ended.stdout.isascii()


def test_one_rule_alone_can_be_checked(tmp_path: Path) -> None:
    words = "--rule", "reply-before-save", "--ballots", 1, "--check"

    assert "Broken: saved before sent" in explore(tmp_path, *words, "saved before sent").stdout
    assert explore(tmp_path, *words, "agreement").returncode == 0


def test_quorums_are_sizes_or_weights(tmp_path: Path) -> None:
    assert explore(tmp_path, "--ballots", 1, "--quorum", "3/1").returncode == 0
    assert explore(tmp_path, "--ballots", 1, "--quorum", "2,1,1").returncode == 0


def test_a_walk_that_is_cut_short_says_so(tmp_path: Path) -> None:
    few = explore(tmp_path, "--max-states", 50)
    small = explore(tmp_path, "--acceptors", 5, "--proposers", 3, "--memory", 50)

    assert (few.returncode, small.returncode) == (ExitCode.CUT_SHORT, ExitCode.CUT_SHORT)
    assert "Cut short: there are more than 50 states (--max-states)." in few.stdout
    assert "allowed (--memory). No rule was broken in what was seen." in small.stdout


def test_a_scope_in_which_nothing_happens_proves_nothing(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--proposers", 0, "--readers", 1)

    assert ended.returncode == 1
    assert "never: a value is chosen" in ended.stdout


def test_an_interruption_ends_with_a_summary(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PAXOS, "explore", "--acceptors", "5", "--proposers", "3", "--ballots", "3"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        # The title is out; the walk begins behind it, and the signal handler with it.
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(30)  # A second one at its end would be that of another program.
            except subprocess.TimeoutExpired:
                continue
        told = running.stdout.read()

    assert running.returncode == 130
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--proposers", 4), "4 proposers, 0 readers and 0 inquirers among 3 acceptors"),
        (("--quorum", "1/1"), "share no server"),
        (("--quorum", "some"), "neither two sizes"),
        (("--quorum", "1,1"), "neither two sizes"),
        (("--quorum", "4/4"), "cannot be"),
        (("--rule", "wishful"), "'wishful' is not one of"),
        (("--check", "wishes"), "'wishes' is not one of"),
        (("--replay", "nowhere"), "No such file or directory: 'nowhere'"),
        (("--ballots", 0), "not in the range"),
    ],
)
def test_bad_arguments_are_one_line(words: tuple[object, ...], told: str, tmp_path: Path) -> None:
    ended = explore(tmp_path, *words)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_recording_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text("nothing of the kind")
    ended = explore(tmp_path, "--replay", "run.jsonl")

    assert ended.returncode == 2
    assert "is not a recording that this version can read" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Before the walk, which can be long."""
    ended = explore(tmp_path, "--rule", "accept-everything", "--record", "no/such/folder")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no/such/folder cannot be written" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_reader_whose_flaw_takes_a_reader(tmp_path: Path) -> None:
    assert (
        "Broken: what is reported is chosen"
        in explore(tmp_path, "--rule", "read-not-completed").stdout
    )


def test_what_was_not_checked_is_not_said_to_hold(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--ballots", "1", "--check", "agreement")

    assert "What was checked holds (agreement) in each of them." in ended.stdout
