"""A replicated log in the laboratory: recorded, replayed and drawn by what serves any machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import pytest

from paxos import Nack, Proposal, ServerId, majority
from paxos.log import (
    Accept,
    Accepted,
    CampaignTimer,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Committed,
    Configuration,
    Confirm,
    Confirmed,
    Delta,
    Elected,
    Fetch,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Message,
    Noop,
    Prepare,
    Promise,
    Propose,
    Read,
    Readable,
    Replica,
    Rules,
    SnapshotInstalled,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Leading
from paxos.log.memory import Record
from paxos.log.messages import Entry
from paxos_adapters.codecs import TEXT
from paxos_adapters.driving import Driver
from paxos_adapters.log import Log, LogObserver, log
from paxos_adapters.memory import Cluster, MemoryCluster, majority_of
from paxos_adapters.ports import Place
from paxos_lab.checker import Checker
from paxos_lab.draw.svg import svg
from paxos_lab.draw.terminal import text
from paxos_lab.machines.log import LogChecker, claims
from paxos_lab.machines.log_view import LogView, log_view
from paxos_lab.machines.view import TIMES_OUT, Look
from paxos_lab.record import (
    LogRecorder,
    LogTrace,
    Recorder,
    RecordingError,
    Trace,
    is_of_log,
    log_timeline,
    replay_log,
)
from paxos_lab.record.entries import Known
from paxos_lab.record.recorder import MIN_BYTES
from paxos_lab.rules import REPORTED
from paxos_lab.view import log_page
from tests.support import S1, S2, THREE, ballot

RULES = Rules(window=4, piece=2)
ONE, TWO = ballot("1.1"), ballot("2.2")
RED: Proposal[Entry[str]] = Proposal(ONE, Command("red"))
VIEW: LogView[str] = log_view()

Logs: TypeAlias = MemoryCluster[
    Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]
]


def run(observer: LogObserver[str]) -> Logs:
    """S1 leads and gets two commands chosen; S2 takes over, and gets one more chosen."""
    cluster: Logs = MemoryCluster(log(RULES), majority_of(3), observer=observer)
    lead(cluster, S1)
    propose(cluster, S1, "red")
    propose(cluster, S1, "green")
    lead(cluster, S2)
    propose(cluster, S2, "blue")
    return cluster


def lead(cluster: Logs, me: ServerId) -> None:
    cluster.receive(me, Lead())
    cluster.run_until(lambda: type(cluster.state(me).role) is Leading, 1_000)


def propose(cluster: Logs, me: ServerId, value: str) -> None:
    cluster.receive(me, Propose(Command(value)))
    cluster.run_until(
        lambda: any(
            type(it) is Committed and it.proposals[-1].value == Command(value)
            for _, it in cluster.reports
        ),
        1_000,
    )


def traced() -> LogTrace[str]:
    trace: LogTrace[str] = Trace()
    run(trace)
    return trace


def test_a_recorded_log_is_replayed_to_the_very_states_and_disks(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    recorder = LogRecorder(path, codec=TEXT, runtime="a test", rules=RULES)
    with recorder:
        cluster = run(recorder)
    found = replay_log(path)

    assert is_of_log(path)
    assert recorder.failure is None
    assert "paxos.log.replica" in found.headers[0].core
    assert found.difference is None
    assert found.states == {(me, ""): cluster.state(me) for me in cluster.servers}
    assert found.steps


def test_a_recording_that_begins_with_whole_states_is_replayed(tmp_path: Path) -> None:
    """Files are so small that most begin in the middle, with the state of each server."""
    path = tmp_path / "log.jsonl"
    recorder = LogRecorder(path, codec=TEXT, runtime="a test", rules=RULES, max_bytes=MIN_BYTES)
    with recorder:
        cluster = run(recorder)
    found = replay_log(path)

    assert recorder.failure is None
    assert {type(it.entry.what) for it in found.steps} >= {Known}
    assert found.difference is None
    assert found.states == {(me, ""): cluster.state(me) for me in cluster.servers}


def test_the_replay_of_a_log_has_the_bounds_that_were_recorded(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogRecorder(path, codec=TEXT, runtime="a test", rules=RULES) as recorder:
        run(recorder)

    assert {it.rules for it in replay_log(path).states.values()} == {RULES}


def test_what_is_no_recording_of_a_log_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with Recorder(path, codec=TEXT, runtime="a test") as recorder:
        Cluster[str](3, observer=recorder).run()

    assert not is_of_log(path)
    with pytest.raises(RecordingError, match="not a recording of one"):
        replay_log(path)
    with pytest.raises(RecordingError, match="name a recording"):
        replay_log()


def test_a_page_is_bounded_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogRecorder(path, codec=TEXT, runtime="a test", rules=RULES) as recorder:
        run(recorder)
    found = replay_log(path)

    assert log_page(found, title="a run").left_out == ""
    made = log_page(found, title="a run", max_steps=5)
    count = len(found.steps)
    assert (
        made.left_out == f"Left out are of the {count} steps, {count - 5} before step {count - 4}."
    )


def test_each_slot_has_a_timeline_of_its_own() -> None:
    drawn = text(log_timeline(traced(), slot=3).delivered, width=5).splitlines()

    assert "◉───▶┼───▶│    Accept 1.1 1: red" not in drawn
    assert [it[15:] for it in drawn if "blue" in it] == [
        "S2 proposes blue",
        "Accept 2.2 3: blue",
        "blue is chosen under 2.2",
    ]
    assert drawn[-1].endswith("S2 knows that it is chosen")


def test_the_whole_log_is_drawn_with_its_slots() -> None:
    told = log_timeline(traced())

    assert [(it.slot, it.choice.chosen.value) for it in told.decided][:2] == [
        (1, "red"),
        (2, "green"),
    ]
    assert "Accept 2.2 3: blue" in text(told)
    assert "★ 3: blue is chosen<" in svg(told)
    assert "chosen, too!" not in svg(told)


def test_what_is_accepted_is_filled_in_a_picture_of_all_slots() -> None:
    picture = svg(log_timeline(traced()))

    assert len(re.findall('class="moment accepted [^>]*>.*?>A 1.1 1: red<', picture, re.S)) == 3


@pytest.mark.parametrize(("first", "broken"), [(1, None), (2, REPORTED)])
def test_a_snapshot_stands_for_slots_that_are_chosen(first: int, broken: str | None) -> None:
    checker: LogChecker = Checker(claims(RULES.window))
    machine: Log[str] = log(RULES)
    driver = Driver(machine, Place(S1), THREE, (), checker)
    driver.take(SnapshotInstalled(first, (Configuration(1, THREE),)))

    assert checker.broken == broken


def test_what_is_shown_of_a_replica() -> None:
    trace: LogTrace[str] = Trace()
    state = run(trace).state(S2)

    assert VIEW.look(state, None) == Look(TWO, asks=TWO, knows="all below 4")
    assert VIEW.look(state, 1) == Look(TWO, asks=TWO, knows="it")
    assert VIEW.look(state, 4) == Look(TWO, asks=TWO)
    assert VIEW.disk((Delta(TWO, 2, (), ((2, RED),)),), 2) == Look(TWO, Proposal(ONE, "red"))


SAID: list[tuple[Message[str], str]] = [
    (Prepare(ONE, 2), "Prepare 1.1 from 2"),
    (Promise(ONE, 1, 1, (), True), "Promise 1.1, nothing accepted"),
    (Promise(TWO, 1, 1, ((1, RED),), True), "Promise 2.2, 1: 1.1 red"),
    (Accept(ONE, 1, Command("red"), 1), "Accept 1.1 1: red"),
    (Accept(ONE, 1, Noop(), 1), "Accept 1.1 1: no-op"),
    (Accept(ONE, 1, Change(majority([S1, S2])), 1), "Accept 1.1 1: members 1,2"),
    (Accepted(ONE, 1), "Accepted 1.1 1"),
    (Nack(ONE, TWO), "Nack 1.1, 2.2 is promised"),
    (Heartbeat(ONE, False, True, 3), "Heartbeat"),
    (Heartbeat(ONE, True, True, 3), "Heartbeat, chosen below 3"),
    (CatchUpRequest(2), "CatchUpRequest from 2"),
    (CatchUp(2, (RED,)), "CatchUp 2: red"),
    (Confirm(ONE, 1), "Confirm 1.1"),
    (Confirmed(ONE, 1), "Confirmed 1.1"),
]


@pytest.mark.parametrize(("message", "words"), SAID, ids=str)
def test_words_for_a_message(message: Message[str], words: str) -> None:
    assert VIEW.say(message).text == words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Propose(Command("red")), "proposes red"),
        (Read(1), "begins read 1"),
        (Lead(), "is asked to lead"),
        (SnapshotInstalled(5, (Configuration(5, THREE),)), "installs a snapshot of all below 5"),
        (CampaignTimer(1), TIMES_OUT),
        (HeartbeatTimer(1), ""),
    ],
    ids=str,
)
def test_words_for_what_a_replica_does_by_itself(
    event: Request[str] | LogTimer, words: str
) -> None:
    assert VIEW.own(event) == words


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Committed(2, (RED, RED)), "commits 2: red, 3: red"),
        (Elected(ONE), "leads under 1.1"),
        (Readable(1, None), "leads no more: read 1 is over"),
        (Readable(1, 4), "answers read 1 from all below 4"),
        (Fetch(S2, 1), "looks up slot 1 for S2"),
    ],
    ids=str,
)
def test_words_for_a_report(report: Report[str], words: str) -> None:
    assert VIEW.told(report) == words


def number(command: int) -> str:
    return f"number {command}"


def test_commands_are_described_by_the_program() -> None:
    view: LogView[int] = log_view(number)

    assert view.own(Propose(Command(7))) == "proposes number 7"
