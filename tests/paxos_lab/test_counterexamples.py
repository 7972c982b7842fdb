"""Counterexamples: runs that a person can follow, and that are 1-minimal."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from paxos import ServerId, weighted
from paxos_adapters.codecs import TEXT
from paxos_adapters.memory import Cluster
from paxos_lab.draw import text
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import (
    Act,
    Counterexample,
    counterexample,
    replay,
    words,
)
from paxos_lab.explore.recorded import lanes, picture, read, write
from paxos_lab.explore.scopes import Scope
from paxos_lab.record import PROTOCOLS, Recorder, RecordingError
from paxos_lab.rules import AGREEMENT, CHOOSABLE, REPORTED, UNDISTURBED
from tests.support.recordings import Lines, forge


@cache
def example(name: str, crashes: int = 0) -> Counterexample:
    rule = {"first-value-only": CHOOSABLE, "round-reused": UNDISTURBED}.get(name, AGREEMENT)
    if name == "read-not-completed":
        scope, rule = Scope(proposers=1, readers=1, protocol=PROTOCOLS[name]), REPORTED
    else:
        proposers = 3 if name == "first-value-only" else 2
        scope = Scope(proposers=proposers, crashes=crashes, protocol=PROTOCOLS[name])
    system, found = explore_cluster(scope, rules=[rule])
    assert found.violation is not None
    return counterexample(system, found.violation)


ALL = [
    ("accept-everything", 0),
    ("look-first", 0),
    ("first-value-only", 0),
    ("promise-forgotten", 0),
    ("lowest-taken", 0),
    ("own-value-kept", 0),
    ("read-not-completed", 0),
    ("reply-before-save", 1),
    ("round-reused", 1),
]


SLOW = "lowest-taken", "reply-before-save"


def parameters(*every: tuple[str, int]) -> list[object]:
    """Those with the walk of a second are slow."""
    return [pytest.param(*it, marks=[pytest.mark.slow] if it[0] in SLOW else []) for it in every]


def drawn(it: Counterexample) -> str:
    return text(picture(it), width=7)


def test_the_lectures_conflicting_choices() -> None:
    assert (
        drawn(example("accept-everything"))
        == """\
P1     A1     A2     A3     P2
◆      │      │      │      │      P1 proposes red
●─────▶┼─────▶│      │      │      Accept 1.1 red
│      │      ◆      │      │      red is chosen under 1.1
│      │      │      │      ◆      P2 proposes blue
│      │◀─────┼──────┼◀─────●      Accept 1.2 blue
│      ◆      │      │      │      blue is chosen under 1.2, too
"""
    )


def test_the_lectures_split_votes() -> None:
    it = example("first-value-only")

    held = it.system.accepted(it.run[-1].after)

    assert it.system.chosen(it.run[-1].after) == frozenset()
    assert sorted(proposal.value for proposal in held if proposal is not None) == [
        "blue",
        "green",
        "red",
    ]


@pytest.mark.parametrize(
    ("name", "crashes"), parameters(*[it for it in ALL if it[0] != "first-value-only"])
)
def test_a_run_is_1_minimal(name: str, crashes: int) -> None:
    it = example(name, crashes)
    for place in range(len(it.run)):
        acts = [taken.act for index, taken in enumerate(it.run) if index != place]
        run = replay(it.system, acts)
        assert not run or not it.system.breaks(it.rule)(run[-1].after)


@pytest.mark.parametrize(("name", "crashes"), parameters(*ALL))
def test_every_act_follows_from_the_one_before(name: str, crashes: int) -> None:
    it = example(name, crashes)

    assert replay(it.system, [taken.act for taken in it.run]) == it.run
    assert all(one.after == two.before for one, two in zip(it.run, it.run[1:], strict=False))


def test_an_act_that_is_impossible_is_passed_over() -> None:
    it = example("accept-everything")
    impossible = Act(0, it.run[0].act.event, it.run[0].act.crash)

    assert replay(it.system, [impossible, it.run[0].act]) == it.run[:1]


@pytest.mark.slow
def test_a_picture_shows_every_event_and_each_choice() -> None:
    it = example("reply-before-save", 1)
    shown = picture(it)

    events = [moment for moment in shown.moments if moment.step > len(shown.lanes)]
    assert len(events) >= len(it.run)
    assert [decided.choice.chosen.value for decided in shown.decided] == ["red", "blue"]
    assert any("crashes" in moment.text for moment in shown.moments)


def test_an_act_in_words() -> None:
    it = example("read-not-completed")
    said = [words(it.scope, taken.act) for taken in it.run]

    assert said[0] == "P1 proposes red"
    assert "A1 receives Prepare 1.1 from P1" in said
    assert "R1 reads" in said
    assert said[-1] == "R1 receives Answer 0/0, 1.1 red from A3"


def test_the_names_of_all_kinds_of_processes() -> None:
    scope = Scope(acceptors=4, proposers=1, readers=2, inquirers=1)

    assert list(lanes(scope).values()) == ["P1", "A1", "A2", "A3", "A4", "R1", "R2", "I1"]


# --- recordings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "crashes"), parameters(*ALL))
def test_a_recording_plays_the_same_run_again(name: str, crashes: int, tmp_path: Path) -> None:
    it, path = example(name, crashes), tmp_path / "run.jsonl"
    write(path, it)

    again = read(path)

    assert again.rule == it.rule
    assert [taken.act for taken in again.run] == [taken.act for taken in it.run]
    assert again.system.accepted(again.run[-1].after) == it.system.accepted(it.run[-1].after)


def test_a_recording_of_another_protocol_says_where_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path, example("promise-forgotten"))
    forge(path, lambda lines: lines[0].update(protocol="paxos"))

    with pytest.raises(RecordingError, match=r"step \d+, .*acceptor.*the protocol has changed"):
        read(path)


def test_an_event_that_cannot_happen_is_told(tmp_path: Path) -> None:
    """The states fit; but nobody had sent what arrives."""
    path = tmp_path / "run.jsonl"
    write(path, example("accept-everything"))

    def leave_out_the_first_proposal(lines: Lines) -> None:
        place = next(place for place, line in enumerate(lines) if "took" in line)
        del lines[place : place + 2]

    forge(path, leave_out_the_first_proposal)

    with pytest.raises(RecordingError, match=r"event 1 was 'A1 receives Accept 1.1 red from P1'"):
        read(path)


def test_a_recording_of_something_else_is_no_counterexample(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Recorder(path, codec=TEXT, runtime="memory") as recorder:
        Cluster[str](3, observer=recorder)

    with pytest.raises(RecordingError, match="not of the explorer"):
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"recording": 1}',
        '{"recording":3,"protocol":"paxos"}',
        '{"recording":3,"protocol":"paxos"}\n',
        "\x00",
    ],
)
def test_what_is_no_recording(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)

    with pytest.raises(RecordingError, match=re.escape(path.name)):
        read(path)


def test_quorums_of_any_kind_are_recorded(tmp_path: Path) -> None:
    members = [ServerId(number) for number in (1, 2, 3)]
    quorum = weighted(dict.fromkeys(members, 1))
    scope = Scope(quorum=quorum, protocol=PROTOCOLS["accept-everything"])
    system, found = explore_cluster(scope)
    assert found.violation is not None

    write(tmp_path / "run.jsonl", counterexample(system, found.violation))

    assert read(tmp_path / "run.jsonl").scope.quorum == quorum
