"""Part 1 of the lecture, heading by heading, and three questions of its examination.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos". Each test plays one
schedule on the real functions; the flawed protocols that the lecture starts from are small
acceptors of their own, shown to fail.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Beat,
    Broadcast,
    Chosen,
    Done,
    From,
    Heartbeat,
    Inquire,
    InvariantError,
    MaxRound,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Saved,
    ServerId,
    To,
    Wake,
    WakeMe,
    acceptor,
    invariants,
    proposer,
    server,
)
from tests.support import FIVE, S1, S2, S3, S4, S5, THREE, ballot, free, sealed

Answer = Promise[str] | Accepted[str] | Nack


class Stage:
    """Five acceptors and as many proposers as a schedule needs; every step is asked for by name."""

    def __init__(self) -> None:
        self.acceptors = {member: Acceptor[str]() for member in (S1, S2, S3, S4, S5)}
        self.proposers: dict[ServerId, Proposer[str]] = {}
        self.asks: dict[ServerId, Prepare | Accept[str]] = {}
        self.votes: list[From[Accepted[str]]] = []

    def propose(self, me: ServerId, value: str, *, first_round: int = 1) -> None:
        """``me`` proposes ``value``, from ``first_round`` on; its Prepare can be delivered."""
        self._tell(me, Propose(value), first_round)

    def inquire(self, me: ServerId, *, first_round: int = 1) -> None:
        """``me`` asks what is chosen."""
        self._tell(me, Inquire(), first_round)

    def deliver(self, me: ServerId, *receivers: ServerId) -> list[Answer]:
        """What ``me`` asks for now reaches ``receivers``, and their answers reach ``me``."""
        ask = self.asks[me]
        answers = [self.give(receiver, ask) for receiver in receivers]
        for receiver, answer in zip(receivers, answers, strict=True):
            self._step(me, From(receiver, answer))
        return answers

    def give(self, receiver: ServerId, ask: Prepare | Accept[str]) -> Answer:
        """One request reaches one acceptor."""
        self.acceptors[receiver], outbound = acceptor.receive(self.acceptors[receiver], ask)
        if isinstance(outbound, AfterSave):
            outbound = outbound.release(Saved((outbound.record,)))
        (answer,) = outbound.messages
        if isinstance(answer, Accepted):
            self.votes.append(From(receiver, answer))
        return answer

    def wake(self, me: ServerId) -> None:
        """The wake-up that ``me`` waits for comes."""
        phase = self.proposers[me].phase
        assert isinstance(phase, proposer.Preparing | proposer.Accepting)
        self._step(me, Wake(phase.ballot))

    def chosen(self) -> list[str]:
        """The value of every ballot that a majority has accepted, whoever knows it."""
        return [choice.chosen.value for choice in invariants.choices(self.votes, FIVE)]

    def accepted_by(self, value: str) -> set[ServerId]:
        """Who holds ``value``."""
        held = {member: state.accepted for member, state in self.acceptors.items()}
        return {member for member, it in held.items() if it is not None and it.value == value}

    def knows(self, me: ServerId) -> Done[str] | None:
        """What the proposer of ``me`` knows to be chosen."""
        phase = self.proposers[me].phase
        return phase if isinstance(phase, Done) else None

    def _tell(self, me: ServerId, event: Propose[str] | Inquire, first_round: int) -> None:
        self.proposers.setdefault(me, Proposer(me, FIVE, max_round=first_round - 1))
        self._step(me, event)

    def _step(self, me: ServerId, event: proposer.Event[str]) -> None:
        self.proposers[me], outbound = proposer.receive(self.proposers[me], event)
        if isinstance(outbound, AfterSave):
            outbound = outbound.release(Saved((outbound.record,)))
        for effect in outbound.messages:
            if isinstance(effect, Broadcast) and isinstance(effect.message, Prepare | Accept):
                self.asks[me] = effect.message


@define
class FirstValueOnly:
    """The first flawed acceptor: it keeps the first value that it sees, for ever."""

    value: str | None = None

    def accept(self, value: str) -> bool:
        if self.value is None:
            self.value = value
        return self.value == value


@define
class AcceptEverything:
    """The second flawed acceptor: it accepts whatever it is told."""

    value: str | None = None

    def accept(self, value: str) -> bool:
        self.value = value
        return True


def majority_accepts(acceptors: Sequence[FirstValueOnly | AcceptEverything], value: str) -> bool:
    """Whether ``value`` is chosen: more than half of all five accept it."""
    return sum([it.accept(value) for it in acceptors]) > 2


# 1. Why one acceptance is not enough: split votes


def test_1_split_votes_block_acceptors_that_keep_the_first_value() -> None:
    five = [FirstValueOnly() for _ in range(5)]
    for it, value in zip(five, ["red", "red", "blue", "green", "green"], strict=True):
        it.accept(value)

    assert [majority_accepts(five, value) for value in ("red", "blue", "green")] == [False] * 3


def test_1_split_votes_are_overcome_by_accepting_another_value_later() -> None:
    stage = Stage()
    for me, value, home in (S1, "red", (S1, S2)), (S3, "blue", (S3,)), (S5, "green", (S4, S5)):
        for receiver in home:
            stage.give(receiver, Accept(Ballot(1, me), value))
    assert stage.chosen() == []

    stage.propose(S2, "gold", first_round=2)
    stage.deliver(S2, S1, S2, S3)
    stage.deliver(S2, S1, S2, S3, S4, S5)

    assert stage.chosen() == ["blue"]
    assert stage.accepted_by("blue") == {S1, S2, S3, S4, S5}


# 2. Why accepting everything is wrong: conflicting choices


def test_2_accepting_everything_chooses_two_values() -> None:
    five = [AcceptEverything() for _ in range(5)]

    assert majority_accepts(five[:3], "red")
    assert majority_accepts(five[2:], "blue")


def test_2_a_chosen_value_stays_the_only_one() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)
    assert stage.chosen() == ["red"]

    stage.propose(S5, "blue")
    stage.deliver(S5, S3, S4, S5)
    stage.deliver(S5, S3, S4, S5)

    assert stage.chosen() == ["red", "red"]


# 3. Conflicting choices, continued


def test_3_looking_first_without_an_order_still_chooses_two_values() -> None:
    five = [AcceptEverything() for _ in range(5)]
    s5_sees = [it.value for it in five[2:]]
    assert majority_accepts(five[:3], "red")

    assert s5_sees == [None, None, None]
    assert majority_accepts(five[2:], "blue")


def test_3_an_old_proposal_is_cut_off_once_a_newer_one_has_looked() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.deliver(S1, S1, S2, S3)
    stage.propose(S5, "blue")
    stage.deliver(S5, S3, S4, S5)

    answers = stage.deliver(S1, S1, S2, S3)
    stage.deliver(S5, S3, S4, S5)

    assert answers[2] == Nack(ballot("1.1"), promised=ballot("1.5"))
    assert stage.chosen() == ["blue"]


# 4. Proposal numbers


def test_4_a_new_number_is_one_above_every_round_seen_with_the_servers_own_id() -> None:
    state, _ = proposer.receive(Proposer[str](S3, FIVE), Propose("red"))
    state, _ = proposer.receive(state, From(S1, Nack(ballot("1.3"), promised=ballot("7.1"))))
    for refusing in S2, S4:
        state, _ = proposer.receive(state, From(refusing, Nack(ballot("1.3"), ballot("2.1"))))

    _, outbound = proposer.receive(state, Wake(ballot("1.3")))

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

    promises = stage.deliver(S1, S1, S2, S3)
    acceptances = stage.deliver(S1, S1, S2, S3)

    assert promises == [Promise(ballot("1.1"), accepted=None)] * 3
    assert acceptances == [Accepted(ballot("1.1"), "red")] * 3
    assert stage.knows(S1) == Done(ballot("1.1"), "red", own=True)


def test_5_the_value_of_the_highest_accepted_proposal_replaces_the_proposers_own() -> None:
    stage = Stage()
    stage.give(S1, Accept(ballot("3.1"), "older"))
    stage.give(S2, Accept(ballot("4.2"), "newer"))
    stage.propose(S5, "own", first_round=5)

    stage.deliver(S5, S2, S1, S3)

    assert stage.asks[S5] == Accept(ballot("5.5"), "newer")


def test_5_what_an_acceptor_answers_rests_on_what_it_saved() -> None:
    state, outbound = acceptor.receive(Acceptor[str](), Accept(ballot("1.1"), "red"))

    assert state == Acceptor(ballot("1.1"), Proposal(ballot("1.1"), "red"))
    assert sealed(outbound, state) == (Accepted(ballot("1.1"), "red"),)


# 6. The three examples


def test_6a_a_value_that_is_already_chosen_is_found_and_proposed_again() -> None:
    stage = Stage()
    stage.propose(S1, "X", first_round=3)
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)

    stage.propose(S5, "Y", first_round=4)
    stage.deliver(S5, S3, S4, S5)
    stage.deliver(S5, S3, S4, S5)

    assert stage.knows(S1) == Done(ballot("3.1"), "X", own=True)
    assert stage.knows(S5) == Done(ballot("4.5"), "X", own=False)
    assert stage.accepted_by("X") == {S1, S2, S3, S4, S5}


def test_6b_a_value_not_chosen_yet_but_seen_lets_both_proposers_succeed_with_it() -> None:
    stage = Stage()
    stage.propose(S1, "X", first_round=3)
    stage.deliver(S1, S1, S2, S3)
    accept_x = stage.asks[S1]
    stage.deliver(S1, S3)
    assert stage.chosen() == []

    stage.propose(S5, "Y", first_round=4)
    stage.deliver(S5, S3, S4, S5)
    stage.deliver(S5, S4, S5, S3)
    late = [stage.give(receiver, accept_x) for receiver in (S1, S2)]

    assert late == [Accepted(ballot("3.1"), "X")] * 2
    assert stage.chosen() == ["X", "X"]


def test_6c_a_value_neither_chosen_nor_seen_gives_way() -> None:
    stage = Stage()
    stage.propose(S1, "X", first_round=3)
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1)

    stage.propose(S5, "Y", first_round=4)
    stage.deliver(S5, S3, S4, S5)
    refusal = stage.deliver(S1, S3)
    stage.deliver(S5, S3, S4, S5)
    stage.deliver(S1, S4, S5)
    stage.wake(S1)
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)

    assert refusal == [Nack(ballot("3.1"), promised=ballot("4.5"))]
    assert stage.knows(S5) == Done(ballot("4.5"), "Y", own=True)
    assert stage.knows(S1) == Done(ballot("5.1"), "Y", own=False)
    assert set(stage.chosen()) == {"Y"}


# 7. Liveness


def blocked(stage: Stage, times: int) -> None:
    """S1 and S5 refuse each other ``times`` times: each prepares before the other's accept."""
    everybody = (S1, S2, S3, S4, S5)
    stage.propose(S1, "red", first_round=3)
    stage.deliver(S1, *everybody)
    stage.propose(S5, "blue", first_round=3)
    stage.deliver(S5, *everybody)
    loser, winner = S1, S5
    for _ in range(times):
        stage.deliver(loser, *everybody)
        stage.wake(loser)
        stage.deliver(loser, *everybody)
        loser, winner = winner, loser


@pytest.mark.parametrize("times", [2, 7, 20])
def test_7_two_proposers_can_block_each_other_for_as_long_as_they_like(times: int) -> None:
    stage = Stage()

    blocked(stage, times)

    assert stage.chosen() == []
    assert max(it.promised.round for it in stage.acceptors.values()) == 3 + times


def test_7_remedy_1_a_proposer_that_waits_before_it_starts_over_lets_the_other_finish() -> None:
    stage = Stage()
    blocked(stage, 4)

    stage.deliver(S1, S1, S2, S3, S4, S5)
    stage.deliver(S5, S1, S2, S3, S4, S5)
    assert stage.chosen() == ["blue"]

    stage.wake(S1)
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)
    assert stage.knows(S1) == Done(ballot("8.1"), "blue", own=False)


def test_7_remedy_1_every_wake_up_asks_for_a_later_one() -> None:
    state, _ = proposer.receive(Proposer[str](S1, FIVE), Propose("red"))
    attempts: list[int] = []
    for _ in range(4):
        state, outbound = proposer.receive(state, Wake(ballot("1.1")))
        attempts += [it.attempt for it in free(outbound) if isinstance(it, WakeMe)]

    assert attempts == [1, 2, 3, 4]


def test_7_remedy_2_the_lower_of_two_rivals_leaves_the_floor_to_the_higher() -> None:
    state, _ = server.receive(server.start(S1, FIVE), Propose("red"))
    state, _ = server.receive(state, From(S5, Heartbeat()))

    waiting, outbound = server.receive(state, Wake(ballot("1.1")))

    assert waiting.proposer.max_round == 1
    assert free(outbound) == (WakeMe(Wake(ballot("1.1")), 1),)


def test_7_remedy_2_after_silence_the_lower_one_goes_on() -> None:
    state, _ = server.receive(server.start(S1, FIVE), Propose("red"))
    state, _ = server.receive(state, From(S5, Heartbeat()))
    for number in 1, 2, 3:
        state, _ = server.receive(state, Beat(number))

    _, outbound = server.receive(state, Wake(ballot("1.1")))

    assert Broadcast(Prepare(ballot("1.1"))) in free(outbound)


# 8. Who knows


def test_8_only_the_proposer_knows_that_its_value_was_chosen() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.propose(S2, "blue")
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)

    assert stage.chosen() == ["red"]
    assert stage.knows(S1) == Done(ballot("1.1"), "red", own=True)
    assert stage.knows(S2) is None


def test_8_another_server_that_wants_to_know_runs_the_protocol_and_learns_the_same() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)

    stage.inquire(S4, first_round=2)
    stage.deliver(S4, S3, S4, S5)
    stage.deliver(S4, S3, S4, S5)

    assert stage.knows(S4) == Done(ballot("2.4"), "red", own=False)


def test_8_a_reader_completes_a_value_that_may_be_chosen() -> None:
    stage = Stage()
    stage.propose(S1, "red")
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S3)
    assert stage.chosen() == []

    stage.inquire(S4, first_round=2)
    stage.deliver(S4, S3, S4, S5)
    stage.deliver(S4, S3, S4, S5)

    assert stage.knows(S4) == Done(ballot("2.4"), "red", own=False)
    assert stage.chosen() == ["red"]


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
    stage = Stage()
    stage.propose(S4, "Y", first_round=3)
    stage.deliver(S4, S4, S5, S3)
    stage.propose(S1, "X", first_round=5)
    stage.deliver(S1, S1, S2, S3)
    stage.deliver(S1, S1, S2, S3)
    assert stage.chosen() == ["X"]

    late = stage.deliver(S4, S4, S5)

    assert late == [Accepted(ballot("3.4"), "Y")] * 2
    assert stage.accepted_by("Y") == {S4, S5}
    assert stage.chosen() == ["X"]


def test_question_6_a_number_used_again_after_a_restart_breaks_agreement() -> None:
    stage = Stage()
    one_one = ballot("1.1")
    for member in S1, S2:
        stage.give(member, Prepare(one_one))
    stage.give(S1, Accept(one_one, "v1"))

    for member in S2, S3:
        stage.give(member, Prepare(one_one))
    for member in S2, S3:
        stage.give(member, Accept(one_one, "v2"))

    found = [stage.give(member, Prepare(ballot("2.2"))) for member in (S1, S2)]
    assert found == [
        Promise(ballot("2.2"), Proposal(one_one, "v1")),
        Promise(ballot("2.2"), Proposal(one_one, "v2")),
    ]
    with pytest.raises(InvariantError, match="used twice"):
        invariants.choices(stage.votes, THREE)


def test_question_6_a_restarted_server_takes_a_new_number() -> None:
    _, outbound = server.receive(server.start(S1, THREE), Propose("v1"))
    assert isinstance(outbound, AfterSave)

    _, outbound = server.receive(server.start(S1, THREE, [outbound.record]), Propose("v2"))

    assert Broadcast(Prepare(ballot("2.1"))) in sealed(outbound, MaxRound(2))


def question_7(stage: Stage) -> Accept[str]:
    """Up to the point where X is chosen by S2, S3, S5, and S1's old Accept is under way."""
    stage.propose(S1, "Y")
    stage.deliver(S1, S1, S2, S3)
    stage.propose(S5, "X", first_round=2)
    stage.deliver(S5, S3, S4, S5)
    stage.deliver(S5, S2, S3, S5)
    assert stage.chosen() == ["X"]
    ask = stage.asks[S1]
    assert isinstance(ask, Accept)
    return ask


def test_question_7_accepting_raises_the_promise() -> None:
    stage = Stage()
    old = question_7(stage)

    assert stage.give(S2, old) == Nack(ballot("1.1"), promised=ballot("2.5"))


def test_question_7_without_that_a_second_value_is_chosen() -> None:
    stage = Stage()
    old = question_7(stage)
    stage.acceptors[S2] = Acceptor(promised=ballot("1.1"))  # as if accepting had not raised it

    for member in S1, S2:
        stage.give(member, old)
    stage.propose(S3, "Z", first_round=3)
    stage.deliver(S3, S1, S2, S4)
    stage.deliver(S3, S1, S2, S4)

    assert stage.chosen() == ["X", "Y"]
