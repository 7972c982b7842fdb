"""Part 2 of the lecture, heading by heading, and the questions of its examination about the log.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos". Every scenario of
``paxos lecture`` about a log is played here by name; the tests below each heading look closer.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from paxos import From, Nack, PaxosError, ServerId, UnknownServer, majority
from paxos.log import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Configuration,
    Message,
    NotLeading,
    Prepare,
    Promise,
    Replica,
    WindowFull,
    replica,
    sessions,
)
from paxos.log.events import Event
from paxos.log.leader import Leading
from paxos.log.replica import Step
from paxos.log.sessions import Opened, Outcome, Result, Sessions
from paxos_adapters.codecs import TEXT
from paxos_adapters.log import LogReceive
from paxos_lab.lecture import (
    LOG_SCENARIOS,
    ImpossibleStep,
    LogScenario,
    LogStage,
    log_stage,
)
from paxos_lab.lecture.log_examination import ID_FIRST
from paxos_lab.lecture.log_stage import RULES
from paxos_lab.lecture.multi_paxos import NEW, OLD, SPEAKS_ON, UNASKED, counted
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.record import LogRecorder, log_timeline, replay_log
from paxos_lab.rules import AGREEMENT, REPORTED
from tests.support import S1, S2, S3, S4, S5, ballot

ALL = (S1, S2, S3)

OUTCOMES: dict[str, tuple[list[str], list[str]]] = {
    "next-slot": (
        ["1 mov 1.3 123", "2 add 1.3 123", "3 cmp 2.1 12", "4 sub 2.1 12", "5 jmp 2.1 12"],
        [
            "mov / add / cmp / sub / jmp",
            "mov / add ; 3: 2.1 cmp, 4: 2.1 sub, 5: 2.1 jmp",
            "mov / add / cmp / sub / jmp",
        ],
    ),
    "pipelined": (
        ["1 a 1.1 12", "2 b 1.1 12", "3 c 1.1 12"],
        ["a / b / c", "1: 1.1 a, 2: 1.1 b, 3: 1.1 c", ""],
    ),
    "silent-leader": (["1 a 2.3 23"], ["", "1: 2.3 a", "a"]),
    "two-leaders": (
        ["1 a 1.1 123", "1 a 2.3 23", "2 c 2.3 23"],
        ["a ; 2: 1.1 b", "a ; 2: 2.3 c", "a / c"],
    ),
    "one-prepare": (
        ["1 a 1.1 12", "2 b 1.1 12", "3 c 1.1 12"],
        ["a / b / c ; 4: 1.1 d", "a / b ; 3: 1.1 c", "a / b"],
    ),
    "hole-filled": (
        ["1 a 1.1 12", "2 no-op 1.3 23", "3 c 1.3 23"],
        ["1: 1.1 a", "a ; 2: 1.3 no-op, 3: 1.3 c", "a / no-op / c"],
    ),
    "accepts-retried": (["1 a 1.1 12"], ["a", "1: 1.1 a", ""]),
    "first-unchosen": (["1 a 1.1 123", "2 b 1.1 123"], ["a / b", "a / b", "a / b"]),
    "catch-up": (
        ["1 a 1.1 12", "2 b 1.1 12", "3 c 1.1 12"],
        ["a / b / c", "a / b ; 3: 1.1 c", "a / b / c"],
    ),
    "chosen-stays": (["1 a 1.1 123"], ["a", "1: 1.1 a", "a"]),
    "learned-from-above": (
        ["1 A 1.4 345", "1 A 2.1 123", "2 Y 2.5 345"],
        ["A / Y", "A ; 2: 2.1 X", "1: 2.1 A, 2: 2.5 Y", "A / Y ; 3: 2.5 W", "A / Y"],
    ),
    "speaks-on": (
        ["1 A 1.4 345", "1 A 2.1 123", "2 Y 2.5 345"],
        ["A / Y", "A / X ; 3: 2.1 Z", "1: 2.1 A, 2: 2.5 Y", "A / Y ; 3: 2.5 W", "A / Y"],
    ),
    "redirect": (["1 a 1.1 123"], ["a", "1: 1.1 a", "1: 1.1 a"]),
    "exactly-once": (
        [
            "1 open session 1.1 123",
            "2 +5 #1 1.1 123",
            "2 +5 #1 2.3 23",
            "3 +5 #1 2.3 23",
            "4 +2 #2 2.3 23",
        ],
        [
            "open session ; 2: 1.1 +5 #1",
            "open session ; 2: 2.3 +5 #1, 3: 2.3 +5 #1, 4: 2.3 +2 #2",
            "open session / +5 #1 / +5 #1 / +2 #2",
        ],
    ),
    "change-by-window": (
        [
            "1 members 3,4,5 1.1 123",
            "2 no-op 1.1 123",
            "3 no-op 1.1 123",
            "4 no-op 1.1 123",
            "4 no-op 2.3 23",
            "5 a 2.3 34",
        ],
        [
            "members 3,4,5 / no-op / no-op / no-op",
            "members 3,4,5 / no-op / no-op ; 4: 2.3 no-op",
            "members 3,4,5 / no-op / no-op / no-op / a",
            "members 3,4,5 / no-op / no-op ; 5: 2.3 a",
            "",
        ],
    ),
    "new-quorums": (
        [
            "1 members 3,4,5 1.3 123",
            "1 members 3,4,5 3.1 12",
            "2 no-op 1.3 123",
            "2 no-op 3.1 12",
            "3 no-op 1.3 123",
            "3 no-op 3.1 12",
            "4 no-op 1.3 123",
            "4 no-op 3.1 12",
            "5 b 2.3 34",
        ],
        [
            "members 3,4,5 / no-op / no-op / no-op",
            "1: 3.1 members 3,4,5, 2: 3.1 no-op, 3: 3.1 no-op, 4: 3.1 no-op",
            "members 3,4,5 / no-op / no-op / no-op / b",
            "members 3,4,5 / no-op / no-op ; 5: 2.3 b",
            "members 3,4,5 / no-op / no-op",
        ],
    ),
    "new-quorums-unasked": (
        [
            "1 members 3,4,5 1.3 123",
            "1 members 3,4,5 3.1 12",
            "2 no-op 1.3 123",
            "2 no-op 3.1 12",
            "3 no-op 1.3 123",
            "3 no-op 3.1 12",
            "4 no-op 1.3 123",
            "4 no-op 3.1 12",
            "5 b 2.3 34",
            "5 a 3.1 45",
        ],
        [
            "members 3,4,5 / no-op / no-op / no-op",
            "1: 3.1 members 3,4,5, 2: 3.1 no-op, 3: 3.1 no-op, 4: 3.1 no-op",
            "members 3,4,5 / no-op / no-op / no-op / b",
            "members 3,4,5 / no-op / no-op ; 5: 3.1 a",
            "members 3,4,5 / no-op / no-op ; 5: 3.1 a",
        ],
    ),
    "holes-and-order": (
        ["1 a 1.3 23", "2 no-op 1.3 23", "3 c 1.3 23"],
        ["2: 1.1 b", "1: 1.3 a, 2: 1.3 no-op, 3: 1.3 c", "a / no-op / c"],
    ),
    "rounds-of-prepare": (
        ["1 a 1.3 23", "2 b 1.3 23", "3 c 1.3 23"],
        ["", "1: 1.3 a, 2: 1.3 b, 3: 1.3 c", "a / b / c"],
    ),
    "exact-ballot": (["1 Y 2.2 123", "2 Z 2.2 123"], ["Y / Z", "Y / Z", "Y ; 2: 2.2 Z"]),
    "any-ballot": (["1 Y 2.2 23", "2 Z 2.2 123"], ["X ; 2: 2.2 Z", "Y / Z", "Y ; 2: 2.2 Z"]),
    "log-server-first": (["1 a 301.3 123", "1 a 302.3 23"], ["1: 301.3 a", "1: 302.3 a", "a"]),
    "change-too-early": (
        ["1 members 3,4,5 1.1 123", "2 no-op 1.1 123", "3 no-op 1.1 123", "4 no-op 1.1 123"],
        [
            "members 3,4,5 / no-op / no-op ; 4: 1.1 no-op",
            "members 3,4,5 / no-op / no-op ; 4: 1.1 no-op",
            "members 3,4,5 / no-op / no-op ; 4: 1.1 no-op",
            "",
            "",
        ],
    ),
    "change-finished": (
        [
            "1 members 3,4,5 1.1 123",
            "2 no-op 1.1 123",
            "3 no-op 1.1 123",
            "4 no-op 1.1 123",
            "5 a 2.4 45",
        ],
        [
            "members 3,4,5 / no-op / no-op / no-op",
            "members 3,4,5 / no-op / no-op ; 4: 1.1 no-op",
            "members 3,4,5 / no-op / no-op ; 4: 1.1 no-op",
            "members 3,4,5 / no-op / no-op / no-op / a",
            "members 3,4,5 / no-op / no-op / no-op ; 5: 2.4 a",
        ],
    ),
}
"""By scenario: what was chosen (slot, entry, ballot, voters), and what each server has then.

First what it knows to be chosen, from slot 1 on; and then what it has accepted, with its slot.
"""


def play(name: str, receive: LogReceive[str] | None = None) -> LogStage:
    """The stage after one scenario, on its own protocol or on another one."""
    scenario = LOG_SCENARIOS[name]
    if receive is not None:
        scenario = evolve(scenario, protocol=LogProtocol("broken", "", receive))
    stage = scenario.stage()
    scenario.schedule(stage)
    return stage


def has(stage: LogStage, me: ServerId) -> str:
    """What ``me`` knows to be chosen, and what it has accepted."""
    accepted = ", ".join(f"{slot}: {it}" for slot, it in stage.accepted(me).items())
    return " ; ".join(it for it in (" / ".join(stage.log(me).values()), accepted) if it)


def sent(stage: LogStage, kind: type[Message[str]]) -> list[tuple[ServerId, ServerId]]:
    """From whom to whom messages of ``kind`` went, in order."""
    return [
        (it.sender, it.receiver)
        for step in stage.trace.steps
        for it in step.sent
        if type(it.message) is kind
    ]


class TestScenarios:
    """Every scenario of ``paxos lecture`` about a log, by name."""

    @pytest.mark.parametrize("name", LOG_SCENARIOS)
    def test_it_ends_as_the_lecture_says(self, name: str) -> None:
        stage = play(name)
        chosen = [
            f"{it.slot} {it.entry} {it.ballot} {''.join(map(str, sorted(it.voters)))}"
            for it in stage.choices
        ]

        assert stage.claims
        assert (chosen, [has(stage, me) for me in stage.servers]) == OUTCOMES[name]

    def test_every_heading_and_every_question_about_the_log_has_one(self) -> None:
        headings = dict.fromkeys(it.heading for it in LOG_SCENARIOS.values())

        assert " ".join(headings) == "9 10 11 12 13 14 Q1 Q3 Q4 Q5 Q8"
        assert list(LOG_SCENARIOS) == list(OUTCOMES)

    @pytest.mark.parametrize("scenario", LOG_SCENARIOS.values(), ids=lambda it: it.name)
    def test_it_says_something_in_short_sentences(self, scenario: LogScenario) -> None:
        sentences = re.split(r"(?<=[.?!]) ", " ".join(scenario.text.split()))

        assert scenario.title
        assert "\n\n" not in scenario.text
        assert [it for it in sentences if len(it.split()) > 25] == []

    @pytest.mark.parametrize("scenario", LOG_SCENARIOS.values(), ids=lambda it: it.name)
    def test_a_recording_of_it_replays(self, scenario: LogScenario, tmp_path: Path) -> None:
        path, protocol = tmp_path / "run", scenario.protocol
        with LogRecorder(
            path, codec=TEXT, runtime="a test", rules=RULES, protocol=protocol.name
        ) as recorder:
            stage = scenario.stage(recorder)
            scenario.schedule(stage)
        found = replay_log(path, variants={protocol.name: protocol.receive})

        assert (recorder.failure, found.difference) == (None, None)
        assert found.states == stage.trace.states
        assert found.disks == stage.trace.disks

    @pytest.mark.parametrize("scenario", LOG_SCENARIOS.values(), ids=lambda it: it.name)
    def test_the_library_breaks_no_rule_and_a_variant_does(self, scenario: LogScenario) -> None:
        broken = play(scenario.name).checker.broken

        if scenario.protocol in (LOG, ID_FIRST):
            assert broken is None
        else:
            assert broken in (AGREEMENT, REPORTED)


# --- planted faults -------------------------------------------------------------------------------


def hides_what_is_accepted(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader does not see what its promises found."""
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, evolve(event.message, accepted=(), is_last=True))
    return replica.receive(state, event)


def has_a_larger_window(state: Replica[str], event: Event[str]) -> Step[str]:
    return replica.receive(evolve(state, rules=replica.Rules(8, 2)), event)


def finds_everybody_alive(state: Replica[str], event: Event[str]) -> Step[str]:
    """No peer grows old."""
    peers = tuple(evolve(it, age=0) for it in state.election.peers)
    return replica.receive(evolve(state, election=evolve(state.election, peers=peers)), event)


def takes_back_promises(state: Replica[str], event: Event[str]) -> Step[str]:
    """A lower request is granted, too."""
    if type(event) is From and isinstance(event.message, Accept | Prepare):
        lower = min(state.memory.promised, event.message.ballot)
        state = evolve(state, memory=evolve(state.memory, promised=lower))
    return replica.receive(state, event)


def never_asks_again(state: Replica[str], event: Event[str]) -> Step[str]:
    """What is in flight is always young."""
    role = state.role
    if type(role) is Leading:
        young = tuple(evolve(it, beat=state.election.beat) for it in role.in_flight)
        state = evolve(state, role=evolve(role, in_flight=young))
    return replica.receive(state, event)


def hears_no_mark(state: Replica[str], event: Event[str]) -> Step[str]:
    """What an Accept says to be chosen is not heard."""
    if type(event) is From and type(event.message) is Accept:
        event = From(event.sender, evolve(event.message, first=1))
    return replica.receive(state, event)


def never_learns(state: Replica[str], event: Event[str]) -> Step[str]:
    """What it is sent of the chosen prefix is lost."""
    if type(event) is From and type(event.message) is CatchUp:
        event = From(event.sender, CatchUp[str](1, ()))
    return replica.receive(state, event)


def goes_back(state: Replica[str], event: Event[str]) -> Step[str]:
    """An Accept for a chosen slot opens it again: the summary's acceptor."""
    if type(event) is From and type(event.message) is Accept:
        slot, memory = event.message.slot, state.memory
        if slot < memory.first:
            state = evolve(state, memory=evolve(memory, first=slot, open=()))
    return replica.receive(state, event)


def names_nobody(state: Replica[str], event: Event[str]) -> Step[str]:
    """It forgets which leader it follows."""
    follows = ballot("0.0")
    return replica.receive(evolve(state, election=evolve(state.election, follows=follows)), event)


def takes_a_piece_for_the_whole(state: Replica[str], event: Event[str]) -> Step[str]:
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, evolve(event.message, is_last=True))
    return replica.receive(state, event)


def is_a_member_from_the_first(state: Replica[str], event: Event[str]) -> Step[str]:
    """The new members govern, before a change says so."""
    (first, *_) = state.memory.configurations
    both = majority({*OLD, *NEW})
    memory = evolve(state.memory, configurations=(Configuration(first.slot, both),))
    return replica.receive(evolve(state, memory=memory), event)


FAULTS: dict[str, tuple[LogReceive[str], str]] = {
    "next-slot": (hides_what_is_accepted, "has asked for nothing in slot 4"),
    "pipelined": (has_a_larger_window, "four slots are open, and there is no room"),
    "silent-leader": (finds_everybody_alive, "S3 knows that S2 has no leader either"),
    "two-leaders": (takes_back_promises, "S2 refuses b, and S1 leads no more"),
    "one-prepare": (takes_back_promises, "S2 has promised more"),
    "hole-filled": (hides_what_is_accepted, "has asked for nothing in slot 2"),
    "accepts-retried": (never_asks_again, "S1 has asked S2 again"),
    "first-unchosen": (hears_no_mark, "S2 and S3 know it with b"),
    "catch-up": (never_learns, "S3 asks from slot 1 on"),
    "chosen-stays": (goes_back, "S1 accepts nothing below its first open slot"),
    "learned-from-above": (SPEAKS_ON.receive, "S1 leads no more"),
    "speaks-on": (replica.receive, "server 1 does not lead this log"),
    "redirect": (names_nobody, "S2 names S1"),
    "exactly-once": (hides_what_is_accepted, "has asked for nothing in slot 4"),
    "change-by-window": (UNASKED.receive, "S1 has no promises for slot 5"),
    "new-quorums": (UNASKED.receive, "S1 has no room for slot 5"),
    "new-quorums-unasked": (replica.receive, "slot 5 cannot be proposed yet"),
    "holes-and-order": (hides_what_is_accepted, "has asked for nothing in slot 1"),
    "rounds-of-prepare": (takes_a_piece_for_the_whole, "S3 asks S2 from slot 1 on"),
    "exact-ballot": (LOG_SCENARIOS["any-ballot"].protocol.receive, "S1 believes nothing of X"),
    "any-ballot": (replica.receive, "S1 runs X in slot 1"),
    "log-server-first": (replica.receive, "two of three are up, and neither leads"),
    "change-too-early": (is_a_member_from_the_first, "they do not even know that they are members"),
    "change-finished": (never_learns, "they know all below slot 5"),
}
"""For each scenario: a replica that does not keep its rule, and what is then said."""


@pytest.mark.parametrize("scenario", LOG_SCENARIOS.values(), ids=lambda it: it.name)
def test_whatever_the_replicas_run_it_is_played_to_an_end(scenario: LogScenario) -> None:
    for receive, _ in FAULTS.values():
        played = evolve(scenario, protocol=LogProtocol("broken", "", receive)).play()
        assert played.failure is not None or played.claims


def test_every_scenario_has_a_fault() -> None:
    assert list(FAULTS) == list(LOG_SCENARIOS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_scenario_fails_on_a_replica_without_its_rule(name: str) -> None:
    receive, said = FAULTS[name]

    with pytest.raises(PaxosError) as failure:
        play(name, receive)
    assert said in str(failure.value)


# --- 9. Selecting log entries ---------------------------------------------------------------------


def test_9_a_command_that_loses_its_slot_is_not_in_the_log() -> None:
    stage = play("next-slot")

    assert "ret" not in {it.entry for it in stage.choices}
    assert stage.log(S3)[5] == "jmp"


def test_9_a_leader_proposes_no_more_than_a_window() -> None:
    stage = play("pipelined")
    for entry in "efg":
        stage.propose(S1, entry)

    with pytest.raises(WindowFull) as refusal:
        stage.propose(S1, "h")
    assert refusal.value.slot == 8


# --- 10. Leader election --------------------------------------------------------------------------


def test_10_a_leader_that_is_heard_is_not_replaced() -> None:
    stage = LogStage()
    stage.lead(S1, to=ALL)
    for _ in range(10):
        for me in (S2, S3, S1):
            stage.beat(me, to=ALL)

    assert stage.campaigning == set()
    assert stage.leads(S1)


def test_10_a_leader_that_hears_no_quorum_stops() -> None:
    stage = LogStage()
    stage.lead(S1, to=ALL)
    for me in (S2, S3, S1):
        stage.beat(me, to=ALL)
    stage.beat(S1)
    assert stage.leads(S1)
    stage.beat(S1)

    assert not stage.leads(S1)


def test_10_the_promise_decides_between_two_leaders() -> None:
    stage = play("two-leaders")

    refusals = [
        (step.me, it.receiver, it.message)
        for step in stage.trace.steps
        for it in step.sent
        if type(it.message) is Nack
    ]
    assert refusals == [(S2, S1, Nack(ballot("1.1"), ballot("2.3")))]


# --- 11. Eliminating Prepares ---------------------------------------------------------------------


def test_11_every_command_after_the_first_takes_one_round_trip() -> None:
    stage = LogStage()
    stage.lead(S1, to=(S1, S2))
    before = len(stage.trace.steps)
    for entry in "abcdef":
        stage.propose(S1, entry, to=(S1, S2))
    kinds = [type(it.message) for step in stage.trace.steps[before:] for it in step.sent]

    assert list(stage.log(S1).values()) == [*"abcdef"]
    assert kinds == [Accept, Accept, Accept, Accepted, Accepted] * 6


def test_11_a_leader_that_was_refused_finds_its_own_command_when_it_prepares_again() -> None:
    stage = play("one-prepare")
    stage.lead(S1, to=ALL)
    stage.deliver_slots(S1, 3, 4, to=ALL)

    assert list(stage.log(S1).values()) == [*"abcd"]
    assert stage.memory(S1).promised == ballot("2.1")


# --- 12. Full disclosure --------------------------------------------------------------------------


def test_12_only_those_that_have_not_voted_are_asked_again() -> None:
    stage = play("accepts-retried")
    asked = sent(stage, Accept)

    assert asked == [(S1, S1), (S1, S2), (S1, S3), (S1, S2), (S1, S3)]


def test_12_what_is_caught_up_with_comes_from_the_disk_in_pieces() -> None:
    stage = play("catch-up")
    pieces = [
        len(it.message.proposals)
        for step in stage.trace.steps
        for it in step.sent
        if type(it.message) is CatchUp
    ]

    assert pieces == [2, 1]


def test_12_a_leader_that_learns_from_above_speaks_under_its_own_ballot_no_more() -> None:
    stage = play("learned-from-above")

    with pytest.raises(NotLeading):
        stage.propose(S1, "Z")
    assert play("speaks-on").log(S2) == {1: "A", 2: "X"}


# --- 13. Client protocol --------------------------------------------------------------------------


def test_13_without_its_table_the_command_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    log = play("exactly-once").log(S3)
    assert counted(log) == (7, [Opened(1), Result(5), Result(5), Result(7)])
    apply = sessions.apply

    def forgetful(
        machine: Callable[[int, int], tuple[int, int]],
        table: Sessions[int],
        total: int,
        place: int,
        command: sessions.Command[int],
    ) -> tuple[Sessions[int], int, Outcome[int]]:
        table = evolve(table, open=tuple(evolve(it, results=()) for it in table.open))
        return apply(machine, table, total, place, command)

    monkeypatch.setattr(sessions, "apply", forgetful)
    assert counted(log)[0] == 12


# --- 14. Configuration changes --------------------------------------------------------------------


def test_14_a_change_lets_the_new_members_decide_from_a_window_on() -> None:
    stage = play("change-by-window")

    assert {it.slot for it in stage.choices if it.voters <= {*OLD}} == {1, 2, 3, 4}
    assert {it.slot for it in stage.choices if it.voters <= {*NEW}} == {5}


def test_14_without_new_promises_two_entries_are_chosen() -> None:
    stage = play("new-quorums-unasked")

    assert (stage.chosen(5), stage.checker.broken) == (["b", "a"], AGREEMENT)
    assert stage.log(S3)[5] == "b"


# --- the examination ------------------------------------------------------------------------------


def test_question_1_the_log_of_an_acceptor_has_a_hole_and_falling_numbers() -> None:
    stage = LogStage()
    stage.lead(S1, to=(S1, S2))
    for entry, to in (("a", (S2,)), ("b", (S1,)), ("c", (S2,))):
        stage.propose(S1, entry, to=to)
    stage.lead(S3, to=(S2, S3))
    stage.deliver_slots(S3, 1, to=(S2,))

    open_ = [None if it is None else it.ballot for it in stage.memory(S2).open]
    assert open_ == [ballot("1.3"), None, ballot("1.1")]


@pytest.mark.parametrize(("count", "rounds"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)])
def test_question_3_a_new_leader_prepares_once_for_each_piece(count: int, rounds: int) -> None:
    stage = LogStage()
    stage.lead(S1, to=(S1, S2))
    for entry in "abcd"[:count]:
        stage.propose(S1, entry, to=(S2,))
    stage.lead(S3, to=(S2, S3))

    assert sent(stage, Prepare).count((S3, S2)) == rounds


def test_question_4_a_server_that_does_not_believe_it_asks() -> None:
    stage = play("exact-ballot")

    assert sent(stage, CatchUpRequest) == [(S1, S2), (S1, S2)]
    assert play("any-ballot").checker.broken == REPORTED


def test_question_5_numbers_stay_unique_when_the_server_comes_first() -> None:
    stage = play("log-server-first")
    drawn = {
        (it.sender, it.message.ballot)
        for step in stage.trace.steps
        for it in step.sent
        if type(it.message) is Prepare
    }

    assert {(me, str(it)) for me, it in drawn} == {
        *((S3, "301.3"), (S1, "101.1"), (S2, "201.2"), (S1, "102.1"), (S3, "302.3"))
    }


def test_question_7_to_accept_raises_the_promise() -> None:
    """X is chosen by S2, S3 and S5 under 1.5, and S2 had promised no more than 1.1."""
    stage = LogStage(servers=5)
    stage.lead(S1, to=ALL)
    stage.lead(S5, to=(S3, S4, S5))
    stage.propose(S5, "X", to=(S2, S3, S5))
    stage.propose(S1, "Y", to=(S1, S2))
    assert stage.accepted(S2) == {1: "1.5 X"}

    stage.lead(S3, to=(S1, S2, S4))
    stage.deliver_slots(S3, 1, to=(S1, S2, S4))
    assert stage.chosen(1) == ["X"]


def test_question_8_a_member_that_knows_of_no_change_cannot_lead() -> None:
    stage = play("change-too-early")

    for me in (S4, S5):
        assert replica.members(stage.state(me)) == {*OLD}
        with pytest.raises(UnknownServer):
            stage.lead(me, to=(S4, S5))


def test_question_8_after_a_finished_change_the_new_members_go_on() -> None:
    stage = play("change-finished")
    stage.propose(S4, "b", to=(S4, S5))

    assert stage.chosen(6) == ["b"]
    assert [it for it in OLD if stage.is_up(it)] == []


# --- the stage ------------------------------------------------------------------------------------


def test_the_example_of_the_stage_is_so() -> None:
    assert doctest.testmod(log_stage) == (0, 5)


IMPOSSIBLE: list[Callable[[LogStage], object]] = [
    lambda it: it.campaign(S1, to=ALL),
    lambda it: it.accept(S1, 1),
    lambda it: it.deliver(S1, to=ALL),
]


class TestStage:
    """Nothing happens unless the schedule says so."""

    def test_a_timeline_asks_the_quorums_that_govern_a_slot(self) -> None:
        told = log_timeline(play("change-by-window").trace)
        (fifth,) = (it.choice for it in told.decided if it.slot == 5)

        assert [it.slot for it in told.decided] == [1, 2, 3, 4, 4, 5]
        assert fifth.voters == {S3, S4}

    def test_a_broadcast_reaches_the_members_that_its_sender_knows(self) -> None:
        stage = play("change-by-window")

        assert stage.messages(Prepare, S1, S4) == []
        assert len(stage.messages(Prepare, S3, S4)) == 1

    def test_what_goes_to_others_than_those_named_is_lost(self) -> None:
        stage = LogStage()
        stage.lead(S1, to=(S2,))

        assert not stage.leads(S1)
        assert [stage.memory(me).promised for me in ALL] == [
            ballot(it) for it in ("1.1", "1.1", "0.0")
        ]

    def test_pieces_of_a_promise_are_asked_for_until_the_last(self) -> None:
        stage = LogStage()
        stage.lead(S1, to=(S1, S2))
        for entry in "abcd":
            stage.propose(S1, entry, to=(S2,))
        stage.lead(S3, to=(S2, S3))

        assert sent(stage, Promise)[-3:] == [(S2, S3), (S3, S3), (S2, S3)]

    def test_a_crash_leaves_what_was_saved(self) -> None:
        stage = LogStage()
        stage.lead(S1, to=ALL)
        stage.propose(S1, "a", to=ALL)
        stage.propose(S1, "b", to=(S1,))
        assert has(stage, S1) == "a ; 2: 1.1 b"
        stage.crash(S1)
        assert has(stage, S1) == "a ; 2: 1.1 b"
        stage.restart(S1)

        assert has(stage, S1) == "a ; 2: 1.1 b"
        assert not stage.leads(S1)
        with pytest.raises(NotLeading):
            stage.propose(S1, "c")

    def test_that_a_slot_is_chosen_may_be_forgotten_until_the_next_save(self) -> None:
        stage = LogStage()
        stage.lead(S1, to=ALL)
        stage.propose(S1, "a", to=ALL)
        stage.crash(S1)

        assert (stage.log(S1), stage.accepted(S1)) == ({}, {1: "1.1 a"})

    @pytest.mark.parametrize("step", IMPOSSIBLE)
    def test_a_step_that_cannot_be_is_an_error(self, step: Callable[[LogStage], object]) -> None:
        with pytest.raises(ImpossibleStep, match="server 1 "):
            step(LogStage())
