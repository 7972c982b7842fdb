"""Part 1 of the lecture, heading by heading, and four questions of its examination.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos". Every scenario of
``paxos lecture`` is played here by name; the tests below each heading look closer.
"""

from __future__ import annotations

import doctest
import sys

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Broadcast,
    Chosen,
    Done,
    From,
    Heartbeat,
    HeartbeatTimer,
    InvariantError,
    MaxRound,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    RetryTimer,
    ServerId,
    SetTimer,
    To,
    acceptor,
    invariants,
    proposer,
    server,
)
from paxos_adapters.memory import ServerDown
from paxos_lab.draw.terminal import rows
from paxos_lab.lecture import SCENARIOS, ClaimFailed, ImpossibleStep, Stage, examination
from paxos_lab.lecture.scenarios import LOOK_FIRST, block_each_other
from paxos_lab.machines import faulty
from paxos_lab.machines.protocols import LECTURE, PAXOS, Protocol
from paxos_lab.record import single_timeline
from paxos_lab.rules import ONE_VALUE
from tests.support import FIVE, S1, S2, S3, S4, S5, THREE, ballot, free, sealed

ALL = {S1, S2, S3, S4, S5}

OUTCOMES = {
    "split-votes": [],
    "change-of-mind": ["blue 1.3 123"],
    "conflicting-choices": ["red 1.1 123", "blue 1.5 345"],
    "looking-first": ["red 1.1 123", "blue 1.5 345"],
    "proposal-numbers": [],
    "cut-off": ["blue 1.5 345"],
    "two-phases": ["newer 5.5 123"],
    "already-chosen": ["X 3.1 123", "X 4.5 345"],
    "not-chosen-seen": ["X 3.1 123", "X 4.5 345"],
    "not-chosen-unseen": ["Y 4.5 345", "Y 5.1 123"],
    "livelock": [],
    "random-delay": ["red 4.1 12", "red 5.3 23"],
    "leader": ["blue 3.3 23"],
    "who-knows": ["red 1.1 123", "red 2.4 345"],
    "reader": ["red 2.4 345"],
    "accepted-is-not-chosen": ["X 5.1 123"],
    "server-first": ["blue 502.5 345"],
    "reused-and-found": ["v2 1.1 13", "v1 2.3 23"],
    "reused-and-late": ["v2 1.1 23", "v1 1.1 23", "v1 2.3 23"],
    "promise-raised": ["X 2.5 235", "X 3.3 124"],
    "promise-not-raised": ["X 2.5 235", "Y 3.3 124"],
}

BROKEN = {it.name: it for it in (*faulty.BROKEN, *LECTURE)}


def play(name: str, protocol: Protocol | None = None) -> Stage:
    """The stage after one scenario, on its own protocol or on another one."""
    scenario = SCENARIOS[name]
    stage = Stage(protocol or scenario.protocol, scenario.servers)
    scenario.schedule(stage)
    return stage


def done(stage: Stage, me: ServerId) -> Done[str] | None:
    """What the proposer of ``me`` has reported."""
    phase = stage.state(me).proposer.phase
    return phase if isinstance(phase, Done) else None


class TestScenarios:
    """Every scenario of ``paxos lecture``, by name."""

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_it_ends_as_the_lecture_says(self, name: str) -> None:
        stage = play(name)

        assert stage.claims
        assert [
            f"{it.chosen.value} {it.chosen.ballot} {''.join(map(str, sorted(it.voters)))}"
            for it in stage.choices
        ] == OUTCOMES[name]

    def test_every_heading_and_every_question_about_one_decision_has_one(self) -> None:
        headings = dict.fromkeys(it.heading for it in SCENARIOS.values())

        assert " ".join(headings) == "1 2 3 4 5 6a 6b 6c 7 8 Q2 Q5 Q6 Q7"
        assert list(SCENARIOS) == list(OUTCOMES)

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_it_has_something_to_say(self, name: str) -> None:
        scenario = SCENARIOS[name]

        assert scenario.title
        assert "\n\n" not in scenario.text
        assert 10 < len(scenario.text.split()) < 60
        assert scenario.stage().protocol is scenario.protocol

    @pytest.mark.parametrize(
        ("name", "claim"),
        [
            ("split-votes paxos", "an acceptor that has a value refuses the others"),
            ("change-of-mind first-value-only", "S1 and S2 gave up red"),
            ("conflicting-choices first-value-only", "blue is chosen as well"),
            ("looking-first paxos", "red and blue are chosen"),
            ("cut-off promise-forgotten", "S3 has promised 1.5 and refuses 1.1"),
            ("cut-off look-first", "S3 has promised 1.5 and refuses 1.1"),
            ("proposal-numbers round-reused", "after the crash it draws 3.1, and not 2.1 again"),
            ("two-phases own-value-kept", "S5 goes on with newer"),
            ("two-phases lowest-taken", "S5 goes on with newer"),
            ("two-phases reply-before-save", "what S1 answered is on its disk"),
            ("already-chosen own-value-kept", "S5 gives up Y for X"),
            ("not-chosen-seen own-value-kept", "S5 gives up Y for X"),
            ("not-chosen-unseen promise-forgotten", "S3, S4 and S5 have promised 4.5"),
            ("not-chosen-unseen lowest-taken", "S1 tries again, and adopts Y"),
            ("random-delay own-value-kept", "S3 finds red and completes it"),
            ("who-knows own-value-kept", "S4 runs the protocol and learns red"),
            ("reader read-not-completed", "red is the only value chosen"),
            ("accepted-is-not-chosen look-first", "S3 refuses it"),
            ("reused-and-late paxos", "S2 and S3 have given up v2"),
            ("promise-raised look-first", "S2 refuses the older Y"),
            ("promise-not-raised paxos", "S2 accepts the older Y"),
        ],
    )
    def test_another_protocol_ends_otherwise(self, name: str, claim: str) -> None:
        name, _, protocol = name.partition(" ")

        with pytest.raises(ClaimFailed) as refuted:
            play(name, BROKEN.get(protocol, PAXOS))

        assert refuted.value.claim.startswith(claim)

    @pytest.mark.parametrize("name", ["livelock", "leader", "server-first"])
    def test_a_schedule_that_cannot_go_on_says_why(self, name: str) -> None:
        with pytest.raises(ImpossibleStep, match="server 1 has no retry timer"):
            play(name, BROKEN["promise-forgotten"])


def happened(stage: Stage) -> list[str]:
    """What a picture of the stage says, row by row."""
    return [row.label for row in rows(single_timeline(stage.trace).delivered)][1:]


class TestStage:
    """What a schedule can ask for, and what it can see."""

    def test_the_example_in_the_documentation_is_right(self) -> None:
        result = doctest.testmod(sys.modules[Stage.__module__])

        assert result.attempted > 0
        assert result.failed == 0

    def test_nothing_happens_by_itself(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")

        assert happened(stage) == ["S1 proposes red"]
        assert all(stage.acceptor(me) == Acceptor() for me in stage.servers)

    def test_every_delivery_is_in_the_picture_and_news_follow_what_made_them(self) -> None:
        stage = Stage(servers=1)
        stage.propose(S1, "red")
        stage.both_phases(S1, to=(S1,))

        assert happened(stage) == [
            "S1 proposes red",
            "Prepare 1.1",
            "Promise 1.1, nothing accepted",
            "Accept 1.1 red",
            "red is chosen under 1.1",
            "Accepted 1.1 red",
            "S1 knows that red is chosen",
        ]

    def test_answers_wait_if_the_schedule_wants_it(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")

        answers = stage.arrive(S1, stage.said(S1), to=(S2, S3))

        assert answers == tuple(From(me, Promise[str](ballot("1.1"), None)) for me in (S2, S3))
        assert stage.said(S1) == Prepare(ballot("1.1"))

    def test_what_was_said_before_can_arrive_late(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")
        early = stage.said(S1)
        stage.deliver(S1, to=(S1, S2, S3))

        stage.arrive(S1, early, to=(S4,))

        assert stage.acceptor(S4) == Acceptor(ballot("1.1"))

    def test_a_crash_leaves_what_was_saved(self) -> None:
        stage = Stage()
        stage.propose(S1, "red", in_round=3)
        stage.deliver(S1, to=(S1, S2))
        stage.crash(S1)

        assert not stage.is_up(S1)
        assert stage.acceptor(S1) == Acceptor(ballot("3.1"))
        before = happened(stage)
        with pytest.raises(ServerDown):
            stage.arrive(S2, Prepare(ballot("4.2")), to=(S1,))
        assert happened(stage) == before

        stage.restart(S1)
        stage.propose(S1, "blue")
        assert stage.said(S1) == Prepare(ballot("4.1"))

    def test_a_crash_stops_what_was_to_be_said_and_woken(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")
        stage.crash(S1)
        stage.restart(S1)

        with pytest.raises(ImpossibleStep, match="has said nothing"):
            stage.deliver(S1, to=(S2,))
        with pytest.raises(ImpossibleStep, match="has no retry timer"):
            stage.wake(S1)
        with pytest.raises(ImpossibleStep, match="has no proposal in progress"):
            stage.beat(S1, to=(S2,))

    def test_a_lost_round_is_used_again(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")
        stage.crash(S1)
        stage.restart(S1, round_lost=True)
        stage.propose(S1, "blue")

        assert stage.said(S1) == Prepare(ballot("1.1"))
        assert happened(stage)[2:4] == ["S1 starts again", "S1 has lost its round"]

    def test_a_wake_up_is_told_as_what_comes_of_it(self) -> None:
        stage = Stage()
        stage.propose(S1, "red")
        stage.wake(S1)
        assert happened(stage)[-1] == "S1 times out and asks again"

        stage.propose(S5, "blue", in_round=2)
        stage.deliver(S5, to=(S2, S3, S4))
        stage.beat(S5, to=(S1,))
        stage.wake(S1)
        assert happened(stage)[-1] == "S1 times out and waits for the leader"
        assert stage.said(S1) == Prepare(ballot("1.1"))
        assert stage.said(S5) == Accept(ballot("2.5"), "blue")

        stage.deliver(S1, to=(S2, S3, S4))
        stage.wake(S1)
        stage.wake(S1)
        assert happened(stage)[-1] == "S1 times out and starts over under 3.1"

    def test_an_inquiry_that_finds_nothing_says_so(self) -> None:
        stage = Stage()
        stage.inquire(S4)
        stage.deliver(S4, to=(S1, S2, S3))

        assert happened(stage)[-1] == "S4 knows that nothing is chosen below 1.4"

    def test_a_claim_that_does_not_hold_is_an_error_and_not_an_assertion(self) -> None:
        stage = Stage()
        stage.check("it is so", holds=True)

        with pytest.raises(ClaimFailed, match="that it is not so: ") as refuted:
            stage.check("it is not so", holds=False)

        assert refuted.value.claim == "it is not so"
        assert stage.claims == ["it is so"]


# 1. Why one acceptance is not enough: split votes


def test_1_split_votes_block_acceptors_that_keep_the_first_value() -> None:
    stage = play("split-votes")

    held = {"red": {S1, S2}, "blue": {S3}, "green": {S4, S5}}
    assert {value: stage.holders(value) for value in held} == held
    for sender, value in (S1, "red"), (S3, "blue"), (S5, "green"):
        stage.arrive(sender, Accept(Ballot(9, sender), value), to=sorted(ALL))
    assert stage.chosen == []


def test_1_split_votes_are_overcome_by_accepting_another_value_later() -> None:
    stage = Stage()
    for me, value, home in (S1, "red", (S1, S2)), (S3, "blue", (S3,)), (S5, "green", (S4, S5)):
        stage.arrive(me, Accept(Ballot(1, me), value), to=home)
    assert stage.chosen == []

    stage.propose(S2, "gold", in_round=2)
    stage.deliver(S2, to=(S1, S2, S3))
    stage.deliver(S2, to=(S1, S2, S3, S4, S5))

    assert stage.chosen == ["blue"]
    assert stage.holders("blue") == ALL


# 2. Why accepting everything is wrong: conflicting choices


def test_2_accepting_everything_chooses_two_values() -> None:
    stage = play("conflicting-choices")

    first, second = stage.choices
    assert (stage.knows(S1), stage.knows(S5)) == ("red", "blue")
    assert first.voters & second.voters == {S3}
    with pytest.raises(invariants.AgreementBroken):
        invariants.agreement(first, second)


def test_2_a_chosen_value_stays_the_only_one() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.both_phases(S1, to=(S1, S2, S3))
    assert stage.chosen == ["red"]

    stage.propose(S5, "blue")
    stage.both_phases(S5, to=(S3, S4, S5))

    assert stage.chosen == ["red", "red"]


# 3. Conflicting choices, continued


def test_3_looking_first_without_an_order_still_chooses_two_values() -> None:
    stage = Stage(LOOK_FIRST)
    stage.propose(S5, "blue")
    s5_sees = stage.deliver(S5, to=(S3, S4, S5))
    stage.propose(S1, "red")
    stage.both_phases(S1, to=(S1, S2, S3))
    assert stage.chosen == ["red"]

    assert s5_sees == (Promise[str](ballot("1.5"), None),) * 3
    stage.deliver(S5, to=(S3, S4, S5))
    assert stage.chosen == ["red", "blue"]


def test_3_an_old_proposal_is_cut_off_once_a_newer_one_has_looked() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2, S3))
    stage.propose(S5, "blue")
    stage.deliver(S5, to=(S3, S4, S5))

    answers = stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S5, to=(S3, S4, S5))

    assert answers[2] == Nack(ballot("1.1"), promised=ballot("1.5"))
    assert stage.chosen == ["blue"]


# 4. Proposal numbers


def test_4_a_new_number_is_one_above_every_round_seen_with_the_servers_own_id() -> None:
    state, _ = proposer.receive(Proposer[str](S3, FIVE), Propose("red"))
    state, _ = proposer.receive(state, From(S1, Nack(ballot("1.3"), promised=ballot("7.1"))))
    for refusing in S2, S4:
        state, _ = proposer.receive(state, From(refusing, Nack(ballot("1.3"), ballot("2.1"))))

    _, outbound = proposer.receive(state, RetryTimer(ballot("1.3")))

    assert Broadcast(Prepare(ballot("8.3"))) in sealed(outbound, MaxRound(8))


def test_4_the_round_is_durable_before_it_is_used() -> None:
    _, outbound = proposer.receive(Proposer[str](S3, FIVE, max_round=4), Propose("red"))

    assert Broadcast(Prepare(ballot("5.3"))) in sealed(outbound, MaxRound(5))


def test_4_a_number_is_not_used_again_after_a_crash() -> None:
    before, outbound = server.receive(server.start(S1, FIVE), Propose("red"))
    assert isinstance(outbound, AfterSave)

    after = server.start(S1, FIVE, records=[outbound.record])
    _, outbound = server.receive(after, Propose("blue"))

    assert before.proposer.max_round == 1
    assert Broadcast(Prepare(ballot("2.1"))) in sealed(outbound, MaxRound(2))


# 5. The protocol


def test_5_the_two_phases_choose_the_proposers_own_value_if_nothing_was_accepted() -> None:
    stage = Stage()
    stage.propose(S1, "red")

    promises = stage.deliver(S1, to=(S1, S2, S3))
    acceptances = stage.deliver(S1, to=(S1, S2, S3))

    assert promises == (Promise[str](ballot("1.1"), accepted=None),) * 3
    assert acceptances == (Accepted(ballot("1.1"), "red"),) * 3
    assert done(stage, S1) == Done(ballot("1.1"), "red", own=True)


@pytest.mark.parametrize("order", [(S1, S2, S3), (S2, S1, S3)])
def test_5_the_value_of_the_highest_accepted_proposal_replaces_the_proposers_own(
    order: tuple[ServerId, ...],
) -> None:
    stage = Stage()
    stage.arrive(S1, Accept(ballot("3.1"), "older"), to=(S1,))
    stage.arrive(S2, Accept(ballot("4.2"), "newer"), to=(S2,))
    stage.propose(S5, "own", in_round=5)

    stage.deliver(S5, to=order)

    assert stage.said(S5) == Accept(ballot("5.5"), "newer")


def test_5_what_an_acceptor_answers_rests_on_what_it_saved() -> None:
    state, outbound = acceptor.receive(Acceptor[str](), Accept(ballot("1.1"), "red"))

    assert state == Acceptor(ballot("1.1"), Proposal(ballot("1.1"), "red"))
    assert sealed(outbound, state) == (Accepted(ballot("1.1"), "red"),)


# 6. The three examples


def test_6a_a_value_that_is_already_chosen_is_found_and_proposed_again() -> None:
    stage = play("already-chosen")

    assert done(stage, S1) == Done(ballot("3.1"), "X", own=True)
    assert done(stage, S5) == Done(ballot("4.5"), "X", own=False)
    assert stage.holders("X") == ALL


def test_6b_a_value_not_chosen_yet_but_seen_lets_both_proposers_succeed_with_it() -> None:
    stage = Stage()
    stage.propose(S1, "X", in_round=3)
    stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S1, to=(S3,))
    assert stage.chosen == []

    stage.propose(S5, "Y", in_round=4)
    stage.deliver(S5, to=(S3, S4, S5))
    stage.deliver(S5, to=(S4, S5, S3))
    late = stage.deliver(S1, to=(S1, S2))

    assert late == (Accepted(ballot("3.1"), "X"),) * 2
    assert stage.chosen == ["X", "X"]


def test_6c_a_value_neither_chosen_nor_seen_gives_way() -> None:
    stage = play("not-chosen-unseen")

    refusal = Nack(ballot("3.1"), promised=ballot("4.5"))
    arrows = single_timeline(stage.trace).arrows
    refused = [it.sender for it in arrows if it.message == refusal and it.receiver == S1]
    assert refused == [S3, S4, S5]
    assert done(stage, S5) == Done(ballot("4.5"), "Y", own=True)
    assert done(stage, S1) == Done(ballot("5.1"), "Y", own=False)


# 7. Liveness


@pytest.mark.parametrize("times", [2, 7, 20])
def test_7_two_proposers_can_block_each_other_for_as_long_as_they_like(times: int) -> None:
    stage = Stage(servers=3)

    block_each_other(stage, times)

    assert stage.chosen == []
    assert max(stage.acceptor(me).promised.round for me in stage.servers) == 3 + times


def test_7_remedy_1_a_proposer_that_waits_before_it_starts_over_lets_the_other_finish() -> None:
    stage = Stage(servers=3)
    block_each_other(stage, times=4)

    stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S3, to=(S1, S2, S3))
    assert stage.chosen == ["blue"]

    stage.wake(S1)
    stage.both_phases(S1, to=(S1, S2))
    assert done(stage, S1) == Done(ballot("8.1"), "blue", own=False)


def test_7_remedy_1_every_wake_up_asks_for_a_later_one() -> None:
    state, _ = proposer.receive(Proposer[str](S1, FIVE), Propose("red"))
    attempts: list[int] = []
    for _ in range(4):
        state, outbound = proposer.receive(state, RetryTimer(ballot("1.1")))
        attempts += [it.attempt for it in free(outbound) if isinstance(it, SetTimer)]

    assert attempts == [1, 2, 3, 4]


def test_7_remedy_2_the_lower_of_two_rivals_leaves_the_floor_to_the_higher() -> None:
    state, _ = server.receive(server.start(S1, FIVE), Propose("red"))
    state, _ = server.receive(state, From(S5, Heartbeat()))

    waiting, outbound = server.receive(state, RetryTimer(ballot("1.1")))

    assert waiting.proposer.max_round == 1
    assert free(outbound) == (SetTimer(RetryTimer(ballot("1.1")), 1),)


def test_7_remedy_2_after_silence_the_lower_one_goes_on() -> None:
    state, _ = server.receive(server.start(S1, FIVE), Propose("red"))
    state, _ = server.receive(state, From(S5, Heartbeat()))
    for number in 1, 2, 3:
        state, _ = server.receive(state, HeartbeatTimer(number))

    _, outbound = server.receive(state, RetryTimer(ballot("1.1")))

    assert Broadcast(Prepare(ballot("1.1"))) in free(outbound)


# 8. Who knows


def test_8_only_the_proposer_knows_that_its_value_was_chosen() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.propose(S2, "blue")
    stage.both_phases(S1, to=(S1, S2, S3))

    assert stage.chosen == ["red"]
    assert done(stage, S1) == Done(ballot("1.1"), "red", own=True)
    assert done(stage, S2) is None
    assert [me for me in stage.servers if stage.knows(me) is not None] == [S1]


def test_8_another_server_that_wants_to_know_runs_the_protocol_and_learns_the_same() -> None:
    stage = play("who-knows")

    assert done(stage, S4) == Done(ballot("2.4"), "red", own=False)


def test_8_a_reader_completes_a_value_that_may_be_chosen() -> None:
    stage = play("reader")

    assert done(stage, S4) == Done(ballot("2.4"), "red", own=False)
    assert stage.holders("red") == {S3, S4, S5}


def test_8_who_knows_tells_the_others() -> None:
    state, _ = server.receive(server.start(S1, THREE), Propose("red"))
    for answer in (Promise[str](ballot("1.1"), None), Accepted(ballot("1.1"), "red")):
        for sender in S1, S2:
            state, outbound = server.receive(state, From(sender, answer))

    assert Broadcast(Chosen(ballot("1.1"), "red")) in free(outbound)
    _, outbound = server.receive(state, From(S3, Prepare(ballot("2.3"))))
    assert free(outbound) == (To(S3, Chosen(ballot("1.1"), "red")),)


# The examination


def test_question_2_accepted_is_not_chosen() -> None:
    stage = play("accepted-is-not-chosen")

    assert stage.holders("Y") == {S4, S5}
    assert stage.holders("X") == {S1, S2, S3}


def test_question_5_numbers_stay_unique_when_the_server_comes_first() -> None:
    stage = play("server-first")
    drawn = {
        (arrow.sender, arrow.message.ballot)
        for arrow in single_timeline(stage.trace).delivered.arrows
        if isinstance(arrow.message, Prepare)
    }

    assert all(ballot.server == sender for sender, ballot in drawn)
    assert all(ballot.round // 100 == ballot.server for _, ballot in drawn)
    assert len({ballot for _, ballot in drawn}) == 6


def test_question_6_a_number_used_again_after_a_restart_breaks_agreement() -> None:
    stage = Stage(servers=3)
    one_one = ballot("1.1")
    stage.arrive(S1, Prepare(one_one), to=(S1, S2))
    stage.arrive(S1, Accept(one_one, "v1"), to=(S1,))

    stage.arrive(S1, Prepare(one_one), to=(S2, S3))
    stage.arrive(S1, Accept(one_one, "v2"), to=(S2, S3))

    found = stage.arrive(S2, Prepare(ballot("2.2")), to=(S1, S2))
    assert found == (
        From(S1, Promise(ballot("2.2"), Proposal(one_one, "v1"))),
        From(S2, Promise(ballot("2.2"), Proposal(one_one, "v2"))),
    )
    assert stage.checker.broken == ONE_VALUE


@pytest.mark.parametrize("name", ["reused-and-found", "reused-and-late"])
def test_question_6_the_checker_notices_a_number_used_again(name: str) -> None:
    assert play(name).checker.broken == ONE_VALUE


def test_question_6_our_proposer_notices_a_number_used_again() -> None:
    """It stops before it asks anybody to accept: one value is chosen, and v1 never is."""
    with pytest.raises(InvariantError, match=r"1\.1 carries both 'v1' and 'v2', so it was used tw"):
        play("reused-and-found", PAXOS)


def test_question_6_a_restarted_server_takes_a_new_number() -> None:
    _, outbound = server.receive(server.start(S1, THREE), Propose("v1"))
    assert isinstance(outbound, AfterSave)

    _, outbound = server.receive(server.start(S1, THREE, [outbound.record]), Propose("v2"))

    assert Broadcast(Prepare(ballot("2.1"))) in sealed(outbound, MaxRound(2))


def test_question_6_the_own_acceptor_remembers_a_number_that_it_has_promised() -> None:
    stage = Stage(servers=3)
    stage.propose(S1, "v1")
    stage.deliver(S1, to=(S1, S2))
    stage.crash(S1)
    stage.restart(S1, round_lost=True)
    stage.propose(S1, "v2")

    assert stage.said(S1) == Prepare(ballot("2.1"))


def test_question_6_our_acceptor_keeps_the_first_value_under_a_number() -> None:
    stage = Stage(servers=3)
    examination.late_accept_under_a_number_used_again(stage)

    assert set(stage.chosen) == {"v2"}
    assert stage.knows(S3) == "v2"


def test_question_7_accepting_raises_the_promise() -> None:
    stage = Stage()

    _, refusal = examination.old_accept_after_newer_choice(stage)

    assert refusal == Nack(ballot("1.1"), promised=ballot("2.5"))
    assert stage.knows(S3) == "X"


def test_question_7_without_that_a_second_value_is_chosen() -> None:
    assert play("promise-not-raised").chosen == ["X", "Y"]

    stage = Stage(BROKEN["promise-not-raised"])
    stage.arrive(S1, Prepare(ballot("1.1")), to=(S2,))
    stage.arrive(S5, Accept(ballot("2.5"), "X"), to=(S2,))
    with pytest.raises(InvariantError, match="accepting must raise the promise"):
        invariants.promise_covers_accepted(stage.acceptor(S2))


def test_question_7_our_acceptor_never_replaces_a_proposal_by_a_lower_one() -> None:
    with pytest.raises(InvariantError, match=r"1\.1 carries both 'Y' and 'X'"):
        play("promise-not-raised", BROKEN["promise-not-raised"])
