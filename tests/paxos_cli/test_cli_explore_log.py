"""``paxos explore --log``: what it prints, what it records, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from paxos_cli.exit_codes import ExitCode
from tests.support.commands import PAXOS, Ended, call


def explore(folder: Path, *words: object) -> Ended:
    return call("explore", "--log", *words, folder=folder)


def test_the_log_keeps_its_rules(tmp_path: Path) -> None:
    ended = explore(tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        "log: servers 3, leaders 2, slots 1, ballots for each 1, heartbeats of none, no crash."
        in ended.stdout
    )
    assert "3,430 states, 12,893 transitions, depth 23, " in ended.stdout
    assert "All states seen. Every rule holds in each of them." in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("found-dropped", "Broken: agreement, by 16 events"),
        ("first-believed", "Broken: what is reported is chosen, by 19 events"),
    ],
)
def test_a_broken_log_is_drawn_and_recorded(rule: str, told: str, tmp_path: Path) -> None:
    """In a scope that is as small as shows it, if none is given."""
    ended = explore(tmp_path, "--rule", rule)

    assert ended.returncode == 1
    assert told in ended.stdout
    assert "S1       S2       S3" in ended.stdout
    assert "1: blue1 is chosen under 2.2" in ended.stdout
    for log in (), ("--log",):
        again = call("explore", *log, "--replay", "counterexample.jsonl", folder=tmp_path)
        assert again.returncode == 0
        assert again.stdout.strip() in ended.stdout
    replayed = call("replay", "counterexample.jsonl", folder=tmp_path)
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert "every state is the one that was recorded" in replayed.stdout


def test_members_change_in_a_window_of_one(tmp_path: Path) -> None:
    members = "--founders", "1,1,0", "--change", "0,1,1"
    ended = explore(tmp_path, *members, "--heartbeats", "leaders", "--crashes", 1)

    assert "slots 2, ballots for each 1" in ended.stdout
    assert "one crash, members change from 1 and 2 to 2 and 3." in ended.stdout
    assert "5,495 states, 14,673 transitions, depth 36, " in ended.stdout


def test_a_log_that_outlives_its_quorums_is_broken_by_a_change(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", "quorums-outlived")

    assert ended.returncode == 1
    assert "members change from 1 and 2 and 3 to 1 and 2." in ended.stdout
    assert "Broken: agreement, by 20 events" in ended.stdout


@pytest.mark.slow
def test_a_log_that_takes_notice_of_more_is_searched_again(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", "old-votes-counted")

    assert ended.returncode == 1
    assert "Searched again: this log takes notice of each Accepted." in ended.stdout
    assert "Broken: what is reported is chosen, by 15 events" in ended.stdout


def test_a_scope_that_is_given_is_taken(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", "first-believed", "--heartbeats", "none")

    assert ended.returncode == 0
    assert "heartbeats of none" in ended.stdout


def test_one_rule_alone_can_be_checked(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--crashes", 1, "--check", "a window bounds the open slots")

    assert ended.returncode == 0
    assert "one crash." in ended.stdout
    assert "What was checked holds (a window bounds the open slots) in each" in ended.stdout


def test_a_search_that_is_cut_short_says_so(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--slots", 2, "--max-states", 50)

    assert ended.returncode == ExitCode.CUT_SHORT
    assert "Cut short: there are more than 50 states (--max-states)." in ended.stdout


def test_an_interruption_ends_with_a_summary(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PAXOS, "explore", "--log", "--slots", "3", "--ballots", "3"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        # The title is out, so the signal is waited for.
        running.send_signal(signal.SIGINT)
        told, errors = running.communicate()

    assert (running.returncode, errors) == (130, "")
    assert "Cut short: interrupted. No rule was broken in what was seen." in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--log", "--readers", 1), "--readers is for one decision"),
        (("--log", "--acceptors", 5), "--acceptors is for one decision"),
        (("--log", "--quorum", "2/2"), "--quorum is for one decision"),
        (("--log", "--rule", "look-first"), "--rule look-first is for one decision"),
        (("--log", "--slots", 0), "not in the range"),
        (("--log", "--heartbeats", "some"), "'some' is not one of"),
        (
            ("--log", "--check", "a read that finds nothing began before the choice"),
            "is for one decision",
        ),
        (("--slots", 2), "--slots is for a log: add --log."),
        (("--change", "1,1"), "--change is for a log: add --log."),
        (("--log", "--change", "1,1,1,1"), "are not all among the servers 1 to 3"),
        (("--log", "--change", "1,some"), "the members 1,some are no weights"),
        (("--log", "--change", "0"), "the members 0 are no weights"),
        (("--heartbeats", "all"), "--heartbeats is for a log"),
        (("--rule", "base-ignored"), "--rule base-ignored is for a log"),
        (("--check", "a window bounds the open slots"), "is for a log"),
    ],
)
def test_bad_arguments_are_one_line(words: tuple[object, ...], told: str, tmp_path: Path) -> None:
    ended = call("explore", *words, folder=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    ended = explore(tmp_path, "--rule", "found-dropped", "--record", "no/such/folder")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no/such/folder cannot be written" in ended.stderr
