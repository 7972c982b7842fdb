"""Explanations, against what the lecture says of each of its scenarios; and of whatever else."""

from __future__ import annotations

from pathlib import Path

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Chosen,
    Decision,
    From,
    Nack,
    Promise,
    Proposal,
    Propose,
    QuorumSystem,
    Server,
    ServerId,
    explicit,
    flexible,
    majority,
    server,
    weighted,
)
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.memory import Cluster
from paxos_lab.explain import (
    Agreed,
    Block,
    Disagreed,
    DuelingProposers,
    Evidence,
    Explanation,
    Known,
    MembersDiffer,
    NoActiveProposer,
    Preempted,
    Split,
    TooFewUp,
    Undecided,
    UnknownDecision,
    Waiting,
    explain,
    of_files,
    of_replay,
    of_states,
)
from paxos_lab.lecture import SCENARIOS, Stage
from paxos_lab.machines.protocols import PAXOS, Protocol
from paxos_lab.record import Recorder, replay
from tests.support import FIVE, S1, S2, S3, S4, S5, THREE, ballot
from tests.support.recordings import driven

PROTOCOLS = {it.protocol.name: it.protocol for it in SCENARIOS.values()}
ALL = frozenset({S1, S2, S3, S4, S5})


def of_recording(recorded: Recorder[str]) -> Explanation[str]:
    return explain(of_replay(replay(recorded.path, protocols=PROTOCOLS)))


def recorder(path: Path, protocol: Protocol = PAXOS) -> Recorder[str]:
    return Recorder(path / "run", codec=TEXT, runtime="lecture", protocol=protocol.name)


def of_scenario(name: str, path: Path) -> Explanation[str]:
    scenario = SCENARIOS[name]
    with recorder(path, scenario.protocol) as recording:
        scenario.schedule(scenario.stage(recording))
    return of_recording(recording)


# --- the lecture, by hand -----------------------------------------------------------------------

CHOSEN: dict[str, tuple[str, dict[str, str], str]] = {
    # the value; under which ballots, and by whom; and who knows
    "change-of-mind": ("blue", {"1.3": "123"}, "3"),
    "cut-off": ("blue", {"1.5": "345"}, "5"),
    "two-phases": ("newer", {"5.5": "123"}, "5"),
    "already-chosen": ("X", {"3.1": "123", "4.5": "345"}, "15"),
    "not-chosen-seen": ("X", {"3.1": "123", "4.5": "345"}, "15"),
    "not-chosen-unseen": ("Y", {"4.5": "345", "5.1": "123"}, "15"),
    "random-delay": ("red", {"4.1": "12", "5.3": "23"}, "13"),
    "leader": ("blue", {"3.3": "23"}, "13"),
    "who-knows": ("red", {"1.1": "123", "2.4": "345"}, "1245"),
    "reader": ("red", {"2.4": "345"}, "4"),
    "accepted-is-not-chosen": ("X", {"5.1": "123"}, "1"),
    "server-first": ("blue", {"502.5": "345"}, "5"),
    "promise-raised": ("X", {"2.5": "235", "3.3": "124"}, "35"),
}
BROKEN = {
    "conflicting-choices": [("red", "1.1", "123"), ("blue", "1.5", "345")],
    "looking-first": [("red", "1.1", "123"), ("blue", "1.5", "345")],
    "reused-and-found": [("v2", "1.1", "13"), ("v1", "2.3", "23")],
    "reused-and-late": [("v2", "1.1", "23"), ("v1", "1.1", "23"), ("v1", "2.3", "23")],
    "promise-not-raised": [("X", "2.5", "235"), ("Y", "3.3", "124")],
}
BLOCKED = {
    # a proposal that failed: who accepted it, and which promise was in its way, where
    "cut-off": ("1.1", "red", "12", {"3": "1.5"}),
    "not-chosen-unseen": ("3.1", "X", "1", {"3": "4.5", "4": "4.5", "5": "4.5"}),
    "accepted-is-not-chosen": ("3.4", "Y", "45", {"3": "5.1"}),
    "promise-raised": ("1.1", "Y", "1", {"2": "2.5"}),
}


def ids(digits: str) -> frozenset[ServerId]:
    return frozenset(ServerId(int(it)) for it in digits)


@pytest.mark.parametrize("name", CHOSEN)
def test_what_is_chosen_by_whom_and_who_knows(name: str, tmp_path: Path) -> None:
    value, choices, aware = CHOSEN[name]

    found = of_scenario(name, tmp_path)

    assert isinstance(found, Agreed)
    assert found.value == value
    assert {str(it.chosen.ballot): it.voters for it in found.choices} == {
        under: ids(voters) for under, voters in choices.items()
    }
    assert found.aware == ids(aware)
    assert found.unaware == {*SCENARIOS[name].stage().servers} - ids(aware)
    assert f"'{value}' is chosen under {next(iter(choices))}" in found.text


@pytest.mark.parametrize("name", BROKEN)
def test_two_choices_are_told_with_both_quorums(name: str, tmp_path: Path) -> None:
    found = of_scenario(name, tmp_path)

    assert isinstance(found, Disagreed)
    assert sorted(
        (str(it.chosen.ballot), it.chosen.value, it.voters) for it in found.choices
    ) == sorted((under, value, ids(voters)) for value, under, voters in BROKEN[name])
    assert "Agreement is broken" in found.text


@pytest.mark.parametrize("name", BLOCKED)
def test_which_promise_blocked_whom(name: str, tmp_path: Path) -> None:
    under, value, voters, blocks = BLOCKED[name]

    found = of_scenario(name, tmp_path)

    assert isinstance(found, Agreed)
    (attempt,) = [it for it in found.attempts if str(it.ballot) == under]
    assert (attempt.value, attempt.voters) == ((value,), ids(voters))
    assert [it for it in attempt.blocked if it.is_said] == [
        Block(ServerId(int(me)), ballot(promised), is_said=True) for me, promised in blocks.items()
    ]
    assert not attempt.is_chosen
    assert not attempt.can_win
    assert f"{under} '{value}' of S" in found.text


def test_votes_that_split_for_ever(tmp_path: Path) -> None:
    found = of_scenario("split-votes", tmp_path)

    assert isinstance(found, Split)
    assert found.votes == (("red", ids("12")), ("blue", ids("3")), ("green", ids("45")))
    assert "nothing ever can be" in found.text


def test_two_that_block_each_other(tmp_path: Path) -> None:
    """Rounds have risen from 3 to 7; S3 has looked last, and S1 is cut off before it writes."""
    found = of_scenario("livelock", tmp_path)

    assert isinstance(found, Undecided)
    assert found.cause == DuelingProposers(ballot("7.3"), (ballot("6.1"),))
    cut_off = {str(it.ballot): {block.promised for block in it.blocked} for it in found.attempts}
    assert cut_off == {
        "3.1": {ballot("3.3")},
        "3.3": {ballot("4.1")},
        "4.1": {ballot("5.3")},
        "5.3": {ballot("6.1")},
        "6.1": {ballot("7.3")},
        "7.3": set(),
    }
    assert "random delay" in found.text
    assert "leader" in found.text


def test_numbers_that_rise_block_what_was_promised_before(tmp_path: Path) -> None:
    """S1 has drawn 3.1 above all it has seen, and S3 is still under 1.3."""
    found = of_scenario("proposal-numbers", tmp_path)

    assert isinstance(found, Undecided)
    assert found.cause == DuelingProposers(ballot("3.1"), (ballot("1.3"),))


def test_every_scenario_is_among_these() -> None:
    told = {*CHOSEN, *BROKEN, "split-votes", "livelock", "proposal-numbers"}

    assert told == SCENARIOS.keys()


# --- half way through the lecture ---------------------------------------------------------------


def test_a_dead_server_with_the_highest_number_blocks_all(tmp_path: Path) -> None:
    """Question 5, before S5 comes back: 103.1 and 403.4 stay below 501.5."""
    scenario = SCENARIOS["server-first"]
    with recorder(tmp_path, scenario.protocol) as recording:
        stage = scenario.stage(recording)
        stage.propose(S5, "blue", in_round=501)
        stage.deliver(S5, to=sorted(ALL))
        stage.crash(S5)
        stage.propose(S1, "red", in_round=101)
        stage.deliver(S1, to=(S1, S2, S3, S4))

    found = of_recording(recording)

    assert isinstance(found, Undecided)
    assert found.cause == Preempted((ballot("101.1"),), ballot("501.5"))
    assert "round 502 or above" in found.text


def test_a_proposer_that_waits(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        stage = Stage(observer=recording)
        stage.propose(S1, "red")
        stage.deliver(S1, to=(S1, S2))
    found = of_recording(recording)

    assert isinstance(found, Undecided)
    assert found.cause == Waiting(FIVE, ballot("1.1"), 1, ids("12"), ids("3"), ids("345"))
    assert "needs 1 more of S3, S4 and S5" in found.text


def test_a_value_that_needs_one_more(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        stage = Stage(observer=recording)
        stage.propose(S1, "red")
        stage.deliver(S1, to=(S1, S2, S3))
        stage.deliver(S1, to=(S1, S2))
    found = of_recording(recording)

    assert isinstance(found, Undecided)
    assert isinstance(found.cause, Waiting)
    assert found.cause.phase == 2
    assert (
        "'red' may be chosen yet under 1.1: it has S1 and S2, and needs 1 more of S3, S4 and S5."
        in found.text
    )


def test_too_few_are_up(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        stage = Stage(observer=recording)
        stage.propose(S1, "red")
        stage.deliver(S1, to=(S1, S2))
        for me in (S3, S4, S5):
            stage.crash(me)
    found = of_recording(recording)

    assert isinstance(found, Undecided)
    assert found.cause == TooFewUp(FIVE, ids("12"), ids("345"), ids("3"))
    assert "Only S1 and S2 are up, which is not a quorum: 1 more of S3, S4 and S5" in found.text


def test_nobody_asks() -> None:
    states = {me: up(me, THREE) for me in (S1, S2, S3)}

    found = explain(Evidence(THREE, states))

    assert isinstance(found, Undecided)
    assert found.cause == NoActiveProposer()
    assert found.text == (
        "Nothing is chosen.\n"
        "No proposal or read is in progress: a server has to propose, or to inquire."
    )


# --- what is known, and what is not -------------------------------------------------------------


def up(me: ServerId, quorum: QuorumSystem) -> Known[str]:
    state: Server[str] = server.start(me, quorum)
    return Known(state.acceptor, state.proposer)


def down(accepted: str, value: str = "red") -> Known[str]:
    return Known(Acceptor(ballot(accepted), Proposal(ballot(accepted), value)))


def test_what_is_out_of_sight_may_have_chosen() -> None:
    found = explain(Evidence(THREE, {S1: down("1.1")}))

    assert isinstance(found, Undecided)
    assert found.unseen == ids("23")
    assert found.text.startswith("Nothing is seen to be chosen, with S2 and S3 out of sight.")
    assert "'red' may be chosen already under 1.1" in found.text


def test_somebody_knows_what_nobody_was_seen_to_vote_for() -> None:
    state: Server[str] = server.start(S1, THREE)
    told = Decision(Chosen(ballot("2.2"), "red"), frozenset())

    found = explain(Evidence(THREE, {S1: Known(Acceptor[str](), state.proposer, told)}))

    assert isinstance(found, Agreed)
    assert found.choices == (told,)
    assert "as reported by a server" in found.text


def test_votes_of_the_past_count() -> None:
    """S3 has accepted 2.2 since; under 1.1 it was one of a quorum, and was seen to be."""
    servers = {S1: down("1.1"), S3: down("2.2"), S2: Known(Acceptor[str](ballot("2.2")))}
    vote = From(S3, Accepted(ballot("1.1"), "red"))

    assert isinstance(explain(Evidence(THREE, servers)), Undecided)
    assert isinstance(explain(Evidence(THREE, servers, votes=(vote,))), Agreed)


def test_who_has_promised_that_very_ballot_can_accept_it() -> None:
    at_2_3 = Known(Acceptor[str](ballot("2.3")))
    servers = {S1: down("1.1"), S2: Known(Acceptor[str](ballot("1.1"))), S3: at_2_3}

    can, cannot = (
        explain(Evidence(THREE, servers)),
        explain(Evidence(THREE, {**servers, S2: at_2_3})),
    )

    assert isinstance(can, Undecided)
    assert isinstance(cannot, Undecided)
    assert [it.can_win for it in can.attempts] == [True]
    assert [it.can_win for it in cannot.attempts] == [False]
    assert "'red' may be chosen yet under 1.1: it has S1, and needs S2." in can.text


def test_the_first_refusal_is_the_reason() -> None:
    servers = {S1: down("1.1"), S2: Known(Acceptor[str](ballot("9.3")))}
    refusals = tuple(From(S2, Nack(ballot("1.1"), ballot(it))) for it in ("2.3", "9.3"))

    found = explain(Evidence(THREE, servers, refusals=refusals))

    assert isinstance(found, Undecided)
    (attempt,) = found.attempts
    assert attempt.blocked == (Block(S2, ballot("2.3"), is_said=True),)
    assert attempt.can_win  # S3 may come to vote for it.


@pytest.mark.parametrize(
    ("quorum", "there", "needed"),
    [
        (flexible(ALL, phase1=4, phase2=2), "12", "34"),
        (weighted({S1: 1, S2: 1, S3: 3, S4: 1, S5: 1}), "1", "3"),
        (explicit(phase1=[[S1, S2], [S4, S5, S2]], phase2=[[S2, S4], [S2, S1]]), "2", "1"),
    ],
)
def test_the_fewest_that_must_come_back(quorum: QuorumSystem, there: str, needed: str) -> None:
    states = {me: up(me, quorum) for me in quorum.members & ids(there)}

    found = explain(Evidence(quorum, states))

    assert isinstance(found, Undecided)
    assert isinstance(found.cause, TooFewUp)
    assert found.cause.needed == ids(needed)


def test_flexible_quorums_choose_by_phase_2() -> None:
    quorum = flexible(ALL, phase1=4, phase2=2)
    servers = {me: down("1.1") if me in (S1, S2) else Known(Acceptor[str]()) for me in ALL}

    found = explain(Evidence(quorum, servers))

    assert isinstance(found, Agreed)
    assert "No server that is up knows it" in found.text


def test_values_that_cannot_be_hashed() -> None:
    servers = {
        me: Known(Acceptor(ballot("1.1"), Proposal(ballot("1.1"), ["red"]))) for me in (S1, S2)
    }

    found = explain(Evidence(THREE, servers))

    assert isinstance(found, Agreed)
    assert found.value == ["red"]


# --- sources ------------------------------------------------------------------------------------


def test_a_vote_that_waits_for_its_save_is_none(tmp_path: Path) -> None:
    """Two have accepted in memory; one of the two saves is not over."""
    with recorder(tmp_path) as recording:
        one, two, _ = (driven(me, THREE, recording) for me in (S1, S2, S3))
        for it in (one, two):
            it.take(From(S1, Accept(ballot("1.1"), "red")))
        one.save()
        half = explain(of_replay(replay(tmp_path / "run")))
        two.save()
    whole = explain(of_replay(replay(tmp_path / "run")))

    assert isinstance(half, Undecided)
    assert isinstance(whole, Agreed)


def test_a_vote_that_a_crash_left_on_the_disk_counts(tmp_path: Path) -> None:
    memory = Acceptor(ballot("1.1"), Proposal(ballot("1.1"), "red"))
    with recorder(tmp_path) as recording:
        for me in (S1, S2, S3):
            driven(me, THREE, recording, () if me == S3 else (memory,))

    assert isinstance(explain(of_replay(replay(tmp_path / "run"))), Agreed)


def test_a_vote_of_before_a_restart_counts_for_ever(tmp_path: Path) -> None:
    """S1 starts with its vote for 1.1, and has given it for 2.3 since; S2 was down all the time."""
    memory = Acceptor(ballot("1.1"), Proposal(ballot("1.1"), "red"))
    with recorder(tmp_path) as recording:
        disks = {S1: (memory,), S2: (memory,), S3: ()}
        one, _, _ = (driven(me, THREE, recording, disk) for me, disk in disks.items())
        one.step(From(S3, Accept(ballot("2.3"), "red")))

    found = explain(of_replay(replay(tmp_path / "run")))

    assert isinstance(found, Agreed)
    assert [(it.chosen.ballot, it.voters) for it in found.choices] == [(ballot("1.1"), ids("12"))]


def test_a_name_that_nobody_has_heard_of(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        Cluster[str](3, observer=recording)
    found = replay(tmp_path / "run")

    with pytest.raises(UnknownDecision, match=r"^there is nothing about a decision 'x'; there is"):
        of_replay(found, "x")


def test_servers_that_run_and_of_which_some_are_asked() -> None:
    """Who is up and was not asked is no missing server."""
    state: server.Server[str] = server.start(S1, FIVE)
    state, _ = server.receive(state, Propose("red"))

    alone = explain(of_states(FIVE, [state], {S1, S2}), "x")
    assert isinstance(alone, Undecided)
    assert isinstance(alone.cause, TooFewUp)
    assert alone.cause.up == {S1, S2}

    together = explain(of_states(FIVE, [state], {S1, S2, S3}), "x")
    assert isinstance(together, Undecided)
    assert isinstance(together.cause, Waiting)

    ballot_, vote = ballot("1.1"), Accepted(ballot("1.1"), "red")
    for me in (S2, S3, S4):
        state, _ = server.receive(state, From(me, Promise[str](ballot_, None)))
    for me in (S2, S3, S4):
        state, _ = server.receive(state, From(me, vote))
    chosen = explain(of_states(FIVE, [state], {S1}), "x")
    assert isinstance(chosen, Agreed)
    assert chosen.choices[0].chosen == Chosen(ballot_, "red")
    assert chosen.aware == {S1}
    assert chosen.unaware == frozenset()


def test_the_files_of_servers(tmp_path: Path) -> None:
    paths = [tmp_path / f"{me}.db" for me in (S1, S2, S3)]
    memory = Acceptor(ballot("1.1"), Proposal(ballot("1.1"), b"red"))
    for me, path in zip((S1, S2, S3), paths, strict=True):
        with FileStore.create(path, cluster="c", server=me, quorum=majority([S1, S2, S3])) as file:
            if me != S2:
                file.decision("leader").save((memory,))

    evidence = of_files(paths)

    found = explain(evidence["leader"], "leader")
    assert isinstance(found, Agreed)
    assert [it.voters for it in found.choices] == [ids("13")]
    other = tmp_path / "other.db"
    FileStore.create(other, cluster="c", server=S1, quorum=majority([S1, S2])).close()
    with pytest.raises(MembersDiffer, match="stores of one membership only"):
        of_files([*paths[1:], other])
