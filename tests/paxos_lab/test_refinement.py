"""Every step of Paxos is an action of Lamport's modules; a flaw is a step that is none."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from attrs import evolve

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Chosen,
    From,
    Prepare,
    Promise,
    Proposal,
    ServerId,
    To,
    flexible,
    majority,
    server,
    weighted,
)
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import Act, counterexample
from paxos_lab.explore.interleavings import Crash, Move
from paxos_lab.explore.refinement import Refinement, State, refine
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import Exploration, explore
from paxos_lab.explore.specification import (
    Action,
    Actions,
    NoSuchAction,
    Spec,
    Voting,
    check,
    consensus_action,
    learn,
    start,
    voting_action,
)
from paxos_lab.machines.faulty import BROKEN
from paxos_lab.machines.protocols import LECTURE, PAXOS, Event, Protocol, Receive, Server, Step
from paxos_lab.rules import AGREEMENT

NAMED = {it.name: it for it in (PAXOS, *LECTURE, *BROKEN)}
S1, S2, S3 = MEMBERS = [ServerId(number) for number in (1, 2, 3)]

STUTTERS = Actions(Action.STUTTERING, Action.STUTTERING, Action.STUTTERING)
ASKS = Actions(Action.PHASE_1A, Action.STUTTERING, Action.STUTTERING)
PROMISES = Actions(Action.PHASE_1B, Action.INCREASE_MAX_BAL, Action.STUTTERING)
PROPOSES = Actions(Action.PHASE_2A, Action.STUTTERING, Action.STUTTERING)
VOTES = Actions(Action.PHASE_2B, Action.VOTE_FOR, Action.STUTTERING)
CHOOSES = Actions(Action.PHASE_2B, Action.VOTE_FOR, Action.NEXT)


# --- Paxos refines all three --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "states", "steps"),
    [
        (Scope(acceptors=3, proposers=1, ballots=2), 769, 2_955),
        (Scope(acceptors=2, proposers=2, ballots=1), 14_533, 79_684),
        (Scope(acceptors=2, proposers=1, ballots=1, inquirers=1), 11_164, 63_246),
        pytest.param(
            Scope(acceptors=2, proposers=1, ballots=1, readers=1),
            216_782,
            1_696_447,
            marks=pytest.mark.slow,
        ),
        (Scope(proposers=1, quorum=flexible(MEMBERS, phase1=3, phase2=1)), 133, 429),
        (Scope(proposers=1, quorum=flexible(MEMBERS, phase1=1, phase2=3)), 1_711, 6_492),
        (Scope(proposers=1, quorum=weighted({S1: 2, S2: 1, S3: 1})), 651, 2_420),
    ],
)
def test_every_step_is_one_action_of_each_module(scope: Scope, states: int, steps: int) -> None:
    system, found = refine(scope)

    assert (found.violation, found.exhausted) == (None, True)
    assert (found.states, found.transitions) == (states, steps)
    assert sum(system.seen.values()) == steps
    assert {actions for _, actions in system.seen} == {
        *(STUTTERS, ASKS, PROMISES, PROPOSES, VOTES, CHOOSES)
    }


@pytest.mark.parametrize(
    ("scope", "states", "steps"),
    [
        pytest.param(
            Scope(acceptors=2, proposers=1, ballots=2, crashes=1),
            8_501,
            46_353,
            marks=pytest.mark.slow,
        ),
        (Scope(acceptors=1, proposers=1, ballots=3, crashes=2), 6_012, 23_897),
    ],
)
def test_a_crash_is_stuttering_or_an_action_of_which_nobody_heard(
    scope: Scope, states: int, steps: int
) -> None:
    """At rest: stuttering. Before the sending: what was saved has happened, if only on the disk."""
    system, found = refine(scope)

    assert (found.violation, found.exhausted) == (None, True)
    assert (found.states, found.transitions) == (states, steps)
    assert {actions for fate, actions in system.seen if fate is Crash.AT_REST} == {STUTTERS}
    assert {actions for fate, actions in system.seen if fate is Crash.BEFORE_SENDING} == {
        *(STUTTERS, PROMISES, VOTES, CHOOSES)
    }


def test_what_each_step_is_when_one_value_is_chosen() -> None:
    system = Refinement(Scope(acceptors=2, proposers=1, ballots=1))
    found = explore(system, always={"": lambda state: not system.spec(state).learned})

    assert found.violation is not None
    states = (found.violation.start, *(state for _, state in found.violation.run))
    changes = [check(*pair) for pair in pairwise(system.spec(state) for state in states)]
    assert [it for it in changes if it != STUTTERS] == [
        *(ASKS, PROMISES, PROMISES, PROPOSES, VOTES, CHOOSES)
    ]


# --- a flaw is a step that is no action ---------------------------------------------------------

CRASHING = Scope(acceptors=2, proposers=1, ballots=2, crashes=1)
RIVALS = Scope(acceptors=2, proposers=2, ballots=1)
ALONE = Scope(acceptors=3, proposers=1, ballots=1)
READING = Scope(acceptors=2, proposers=1, ballots=1, readers=1)

NOT_ALLOWED = "the 1b messages of no quorum allow the value"
NOT_SAFE = "no quorum shows that the value is safe"


def refuted(found: Exploration[State, Move]) -> str:
    """Why the last step of the shortest run is no action."""
    assert found.violation is not None
    assert found.violation.end.wrong is not None
    assert all(state.wrong is None for _, state in found.violation.run[:-1])
    return found.violation.end.wrong


def as_voting_sees_it(before: Spec, after: Spec) -> Actions:
    was, now = before.voting, after.voting
    return Actions(
        Action.STUTTERING, voting_action(was, now), consensus_action(was.chosen, now.chosen)
    )


def as_consensus_sees_it(before: Spec, after: Spec) -> Actions:
    chosen = consensus_action(before.voting.chosen, after.voting.chosen)
    return Actions(Action.STUTTERING, Action.STUTTERING, chosen)


@pytest.mark.parametrize(
    ("name", "scope", "run", "wrong"),
    [
        ("promise-forgotten", RIVALS, 2, "Phase1b(1), 1.1: maxBal[1] must be 1.1 and is 0.0"),
        ("promise-not-raised", ALONE, 6, "Phase2b(3), 1.1, red: maxBal[3] must be 1.1 and is 0.0"),
        ("own-value-kept", RIVALS, 11, f"Phase2a(1.2, blue): {NOT_ALLOWED}"),
        ("own-value-kept", CRASHING, 12, f"Phase2a(2.1, red'): {NOT_ALLOWED}"),
        ("stale-promise-counted", CRASHING, 7, f"Phase2a(2.1, red'): {NOT_ALLOWED}"),
        (
            "reply-before-save",
            CRASHING,
            3,
            "a step that sends nothing: maxBal[1] must be 1.1 and is 0.0",
        ),
        ("round-reused", CRASHING, 9, "Phase2a(1.1, red'): red was sent under 1.1 before"),
        ("first-value-only", RIVALS, 1, f"Phase2a(1.1, red): {NOT_ALLOWED}"),
        ("accept-everything", RIVALS, 1, f"Phase2a(1.1, red): {NOT_ALLOWED}"),
        ("look-first", RIVALS, 2, "Phase1b(1), 1.1: maxBal[1] must be 1.1 and is 0.0"),
    ],
)
def test_paxos_has_no_such_action(name: str, scope: Scope, run: int, wrong: str) -> None:
    _, found = refine(evolve(scope, protocol=NAMED[name]))

    action, _, broken = wrong.partition(": ")
    assert refuted(found).startswith(f"Paxos: {action} is not allowed: {broken}.")
    assert found.violation is not None
    assert len(found.violation.run) == run


@pytest.mark.parametrize(
    ("name", "scope", "run", "wrong"),
    [
        ("promise-forgotten", RIVALS, 6, f"VoteFor(1, 1.1, red): {NOT_SAFE}"),
        ("promise-not-raised", ALONE, 6, "VoteFor(3, 1.1, red): maxBal[3] becomes 0.0"),
        ("own-value-kept", CRASHING, 13, f"VoteFor(1, 2.1, red'): {NOT_SAFE}"),
        ("stale-promise-counted", CRASHING, 8, f"VoteFor(1, 2.1, red'): {NOT_SAFE}"),
        (
            "reply-before-save",
            CRASHING,
            3,
            "IncreaseMaxBal(1, 0.0): maxBal[1] falls from 1.1 to 0.0",
        ),
        ("round-reused", CRASHING, 11, "VoteFor(2, 1.1, red'): 1 has voted for red under 1.1"),
        ("first-value-only", RIVALS, 2, f"VoteFor(1, 1.1, red): {NOT_SAFE}"),
        ("accept-everything", RIVALS, 2, f"VoteFor(1, 1.1, red): {NOT_SAFE}"),
        ("look-first", RIVALS, 6, f"VoteFor(1, 1.1, red): {NOT_SAFE}"),
    ],
)
def test_voting_has_no_such_action(name: str, scope: Scope, run: int, wrong: str) -> None:
    """It knows of no messages, and sees the same flaws later."""
    _, found = refine(evolve(scope, protocol=NAMED[name]), as_voting_sees_it)

    action, _, broken = wrong.partition(": ")
    assert refuted(found).startswith(f"Voting: {action} is not allowed: {broken}.")
    assert found.violation is not None
    assert len(found.violation.run) == run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("promise-forgotten", 15),
        ("own-value-kept", 15),
        ("stale-promise-counted", 13),
        ("accept-everything", 7),
        ("look-first", 15),
    ],
)
def test_consensus_has_no_such_action(name: str, run: int) -> None:
    """It knows only what is chosen."""
    _, found = refine(evolve(CRASHING, protocol=NAMED[name]), as_consensus_sees_it)

    assert refuted(found).startswith("Consensus: Next, to {red, red'} is not allowed: {red} is")
    assert found.violation is not None
    assert len(found.violation.run) == run


def test_a_step_that_is_no_action_is_not_counted_as_one() -> None:
    system, found = refine(evolve(ALONE, protocol=NAMED["first-value-only"]))

    assert (found.transitions, system.seen) == (1, {})


def test_a_reader_that_takes_what_is_accepted_for_chosen() -> None:
    _, found = refine(evolve(READING, protocol=NAMED["read-not-completed"]))

    assert refuted(found).startswith(
        "learning red is not allowed: no quorum has voted for it under 1.1."
    )


def follow(system: Refinement, acts: Iterable[Act]) -> tuple[State, ...]:
    """The states of one run, to the first step that is not an action.

    What cannot happen is skipped.
    """
    (state,) = system.start()
    run = [state]
    for act in acts:
        for move, after in system.steps(state):
            if (move.process, move.events[-1:], move.crash) == (act.process, _last(act), act.crash):
                state = after
                run.append(after)
                break
        if state.wrong is not None:
            break
    return tuple(run)


def _last(act: Act) -> tuple[Event, ...]:
    return () if act.event is None else (act.event,)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param("lowest-taken", NOT_ALLOWED, marks=pytest.mark.slow),
        ("own-value-kept", NOT_ALLOWED),
        ("promise-forgotten", "maxBal[1] must be 1.1"),
    ],
)
def test_a_run_to_two_values_is_no_run_of_paxos(name: str, wrong: str) -> None:
    """Scopes too large to leave nothing out: the run that breaks agreement has a wrong step."""
    system, found = explore_cluster(Scope(protocol=NAMED[name]), rules=[AGREEMENT])
    assert found.violation is not None
    example = counterexample(system, found.violation)

    states = follow(Refinement(example.scope), (taken.act for taken in example.run))

    assert len(states) <= len(example.run)
    assert wrong in str(states[-1].wrong)


def test_a_run_of_paxos_is_followed_to_its_end() -> None:
    scope = Scope(acceptors=2, proposers=1, ballots=1)
    system, found = explore_cluster(scope)
    chosen = explore(system, always={"": lambda state: not system.chosen(state)}).violation
    assert (found.violation, chosen is None) == (None, False)
    assert chosen is not None
    example = counterexample(system, chosen)

    twice = [taken.act for taken in example.run for _ in range(2)]
    states = follow(plain := Refinement(scope), twice)

    assert len(states) == len(example.run) + 1
    assert states[-1].wrong is None
    assert plain.spec(states[-1]).voting.chosen == {"red"}


# --- other acceptors that are none --------------------------------------------------------------


def instead(state: Server, memory: Acceptor[str], ask: From[Accept[str]]) -> Step:
    vote = memory.accepted
    assert vote is not None
    answer = To(ask.sender, Accepted(vote.ballot, vote.value))
    return evolve(state, acceptor=memory), AfterSave(memory, (answer,))


def votes_below_its_promise(state: Server, event: Event) -> Step:
    if type(event) is From and type(event.message) is Accept:
        ask = event.message
        memory = Acceptor(state.acceptor.promised, Proposal(ask.ballot, ask.value))
        return instead(state, memory, From(event.sender, ask))
    return server.receive(state, event)


def votes_for_what_nobody_asked(state: Server, event: Event) -> Step:
    if type(event) is From and type(event.message) is Accept:
        ask = event.message
        memory = Acceptor(ask.ballot, Proposal(ask.ballot, "grey"))
        return instead(state, memory, From(event.sender, ask))
    return server.receive(state, event)


def keeps_its_vote_to_itself(state: Server, event: Event) -> Step:
    after, outbound = server.receive(state, event)
    if type(event) is From and type(event.message) is Prepare and after != state:
        answer = To(event.sender, Promise[str](event.message.ballot, None))
        return after, AfterSave(after.acceptor, (answer,))
    return after, outbound


def saves_its_promise_alone(state: Server, event: Event) -> Step:
    after, outbound = server.receive(state, event)
    if type(event) is From and type(event.message) is Accept and after != state:
        memory = Acceptor[str](after.acceptor.promised, None)
        vote = Accepted(event.message.ballot, event.message.value)
        return after, AfterSave(memory, (To(event.sender, vote),))
    return after, outbound


def tells_of_a_vote_that_it_never_cast(state: Server, event: Event) -> Step:
    after, outbound = server.receive(state, event)
    if type(event) is From and type(event.message) is Prepare and after != state:
        ballot = event.message.ballot
        answer = To(event.sender, Promise(ballot, Proposal(ballot, "grey")))
        return after, AfterSave(after.acceptor, (answer,))
    return after, outbound


def promises_more_than_was_asked(state: Server, event: Event) -> Step:
    if type(event) is From and type(event.message) is Prepare:
        ballot = Ballot(event.message.ballot.round + 5, event.message.ballot.server)
        event = From(event.sender, Prepare(ballot))
    return server.receive(state, event)


@pytest.mark.parametrize(
    ("receive", "scope", "wrong"),
    [
        (votes_below_its_promise, RIVALS, "Phase2b(1), 1.1, red: maxBal[1] is 1.2"),
        (
            votes_for_what_nobody_asked,
            RIVALS,
            "Phase2b(1), 1.1, grey: no 2a message for grey under 1.1 was sent",
        ),
        (
            keeps_its_vote_to_itself,
            RIVALS,
            "Phase1b(1), 1.2: it carries the vote none, and its last vote is red under 1.1",
        ),
        (
            saves_its_promise_alone,
            CRASHING,
            "a step that sends nothing: the last vote of 1 must be red under 1.1 and is none",
        ),
        (
            tells_of_a_vote_that_it_never_cast,
            RIVALS,
            "Phase1b(1), 1.1: it carries the vote grey under 1.1, and its last vote is none",
        ),
        (promises_more_than_was_asked, RIVALS, "Phase1b(1), 6.1: no 1a message for 6.1 was sent"),
    ],
)
def test_an_acceptor_that_is_none(receive: Receive, scope: Scope, wrong: str) -> None:
    _, found = refine(evolve(scope, protocol=Protocol("", "", receive)))

    action, _, broken = wrong.partition(": ")
    assert f"Paxos: {action} is not allowed: {broken}." in refuted(found)


# --- clause by clause ---------------------------------------------------------------------------

B1, B2, B3 = Ballot(1, S1), Ballot(1, S2), Ballot(2, S1)
RED, BLUE = Proposal(B1, "red"), Proposal(B2, "blue")


def spec(*memory: Acceptor[str]) -> Spec:
    """Three acceptors with ``memory``, which have voted for what they hold; the rest is said."""
    votes = {
        From(me, Accepted(it.accepted.ballot, it.accepted.value))
        for me, it in zip(MEMBERS, memory, strict=True)
        if it.accepted is not None
    }
    return evolve(
        start(majority(MEMBERS)),
        memory=tuple(zip(MEMBERS, memory, strict=True)),
        sent_1a=frozenset({Prepare(B1), Prepare(B2)}),
        sent_2a=frozenset({Accept(B1, "red"), Accept(B2, "blue")}),
        sent_2b=frozenset(votes),
    )


NEW = Acceptor[str]()
TWO_VOTES = spec(Acceptor(B1, RED), Acceptor(B2, BLUE), NEW)
FOUND = evolve(
    TWO_VOTES,
    sent_1b=frozenset({From(S1, Promise(B3, RED)), From(S2, Promise(B3, BLUE))}),
)
PROMISED = From(S3, Promise[str](B2, None))


def refusals() -> Iterator[tuple[str, Spec, Spec]]:
    """What fails, and a step that fails by it."""
    before, low = spec(NEW, NEW, NEW), Acceptor[str](B2, None)
    asks = evolve(before, sent_1a=before.sent_1a | {Prepare(B3)})
    yield "maxBal[3] must be 0.0", before, evolve(asks, memory=spec(NEW, NEW, low).memory)
    yield "another message", asks, before
    yield "another message", before, evolve(asks, sent_1a=asks.sent_1a | {Prepare(Ballot(9, S1))})
    yield "maxBal[3] must be 0.0", before, spec(NEW, NEW, low)
    promised = evolve(spec(NEW, NEW, low), sent_1b=frozenset({PROMISED}))
    yield "maxBal[3] is 2.1", spec(NEW, NEW, Acceptor(B3)), promised
    yield "maxBal[3] is 1.2", spec(NEW, NEW, low), promised
    yield "maxBal[2] must be 0.0", before, evolve(promised, memory=spec(NEW, low, low).memory)
    yield (
        "red was sent under 1.1",
        before,
        evolve(before, sent_2a=before.sent_2a | {Accept(B1, "blue")}),
    )
    lower, highest = ({*FOUND.sent_2a, Accept(B3, it)} for it in ("red", "blue"))
    yield NOT_ALLOWED, FOUND, evolve(FOUND, sent_2a=frozenset(lower))
    yield NOT_ALLOWED, TWO_VOTES, evolve(TWO_VOTES, sent_2a=frozenset(highest))
    raised = spec(Acceptor(B1, RED), Acceptor(B2, BLUE), low).memory
    yield "maxBal[3] must be 0.0", FOUND, evolve(FOUND, sent_2a=frozenset(highest), memory=raised)
    voted = spec(NEW, NEW, Acceptor(B2, BLUE))
    yield "the last vote of 3 must be", before, evolve(voted, memory=promised.memory)
    yield "another message", before, evolve(voted, sent_1a=frozenset())


@pytest.mark.parametrize(("wrong", "before", "after"), [*refusals()])
def test_a_clause_of_paxos(wrong: str, before: Spec, after: Spec) -> None:
    with pytest.raises(NoSuchAction) as refused:
        check(before, after)

    assert refused.value.action.startswith("Paxos: ")
    assert refused.value.broken.startswith(wrong)


def test_the_highest_of_two_votes_is_allowed() -> None:
    asked = frozenset({*FOUND.sent_2a, Accept(B3, "blue")})

    assert check(FOUND, evolve(FOUND, sent_2a=asked)) == PROPOSES


def voting(*votes: From[Accepted[str]], max_bal: tuple[Ballot, Ballot, Ballot]) -> Voting:
    return Voting(majority(MEMBERS), tuple(zip(MEMBERS, max_bal, strict=True)), frozenset(votes))


ZERO = Ballot(0, ServerId(0))
R1, L1 = From(S1, Accepted(B1, "red")), From(S1, Accepted(B1, "blue"))
R2, L2 = From(S2, Accepted(B1, "red")), From(S2, Accepted(B1, "blue"))
THIRD = From(S1, Accepted(B3, "blue"))


@pytest.mark.parametrize(
    ("wrong", "before", "after"),
    [
        (
            "a vote is taken back",
            voting(R1, max_bal=(B1, B1, B1)),
            voting(max_bal=(B1, B1, B1)),
        ),
        (
            "another acceptor changes",
            voting(max_bal=(ZERO, ZERO, ZERO)),
            voting(max_bal=(B1, B1, ZERO)),
        ),
        (
            "maxBal[1] is 1.2",
            voting(max_bal=(B2, B1, B1)),
            voting(R1, max_bal=(B1, B1, B1)),
        ),
        (
            "1 has voted under 1.1",
            voting(R1, max_bal=(B1, B1, B1)),
            voting(R1, L1, max_bal=(B1, B1, B1)),
        ),
        (
            "1 has voted for red under 1.1",
            voting(R1, max_bal=(B1, B1, B1)),
            voting(R1, L2, max_bal=(B1, B1, B1)),
        ),
        (
            "no quorum shows",
            voting(R1, R2, max_bal=(B3, B3, B1)),
            voting(R1, R2, THIRD, max_bal=(B3, B3, B1)),
        ),
        (
            "maxBal[1] becomes 1.2",
            voting(max_bal=(B1, B1, B1)),
            voting(R1, max_bal=(B2, B1, B1)),
        ),
        (
            "something else changes",
            voting(max_bal=(B1, B1, B1)),
            voting(R1, max_bal=(B1, B1, B2)),
        ),
    ],
)
def test_a_clause_of_voting(wrong: str, before: Voting, after: Voting) -> None:
    with pytest.raises(NoSuchAction) as refused:
        voting_action(before, after)

    assert refused.value.action.startswith("Voting: ")
    assert refused.value.broken.startswith(wrong)


@pytest.mark.parametrize(
    ("value", "safe", "votes", "max_bal"),
    [
        ("red", True, [], (B3, B3, ZERO)),
        ("red", False, [], (B3, B2, B2)),
        ("red", True, [R1], (B3, B3, ZERO)),
        ("red", False, [L1], (B3, B3, ZERO)),
        ("red", True, [L1], (B3, B3, B3)),
        ("red", False, [L1, From(S2, Accepted(B3, "red"))], (B3, B3, ZERO)),
        ("red", False, [L1, From(S3, Accepted(B2, "red"))], (B3, B3, B2)),
        ("red", True, [L1, From(S2, Accepted(B2, "red"))], (B3, B3, B2)),
        ("blue", False, [L1, From(S2, Accepted(B2, "red"))], (B3, B3, B2)),
    ],
)
def test_what_shows_that_a_value_is_safe(
    value: str,
    safe: bool,
    votes: list[From[Accepted[str]]],
    max_bal: tuple[Ballot, Ballot, Ballot],
) -> None:
    """Under ballot 2.1: who has promised it, and what was voted for below it."""
    assert voting(*votes, max_bal=max_bal).shows_safe(B3, value) == safe


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        ("", "red blue", "it is more than one value"),
        ("red", "red blue", "{red} is chosen already"),
        ("red", "", "a chosen value is chosen no more"),
        ("red", "blue", "a chosen value is chosen no more"),
    ],
)
def test_a_clause_of_consensus(before: str, after: str, wrong: str) -> None:
    with pytest.raises(NoSuchAction, match=wrong) as refused:
        consensus_action(frozenset(before.split()), frozenset(after.split()))

    assert refused.value.action.startswith("Consensus: Next, to {")


def test_what_is_learned_must_be_chosen() -> None:
    before = spec(Acceptor(B1, RED), Acceptor(B1, RED), NEW)
    learn(before, evolve(before, learned=frozenset({Chosen(B1, "red")})))

    for wrong in (Chosen(B2, "red"), Chosen(B1, "blue")):
        with pytest.raises(NoSuchAction, match=f"learning {wrong.value}"):
            learn(before, evolve(before, learned=frozenset({wrong})))


def test_the_error_survives_the_way_to_another_process() -> None:
    error = NoSuchAction("Phase1b", "maxBal")

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.action, again.broken) == (str(error), "Phase1b", "maxBal")
