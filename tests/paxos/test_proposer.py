"""The proposer: how a value gets chosen, its own or the one that it finds.

First the tables: every event in every phase. Then the rules, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations, product
from typing import TypeAlias

import pytest
from attrs import evolve

from paxos import (
    NO_MESSAGES,
    Accept,
    Accepted,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    Busy,
    Chosen,
    Done,
    From,
    Inquire,
    InvariantError,
    Learner,
    MaxRound,
    Nack,
    NothingChosen,
    NotSaved,
    NotYetChosen,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QueryTimer,
    QuorumSystem,
    Read,
    ReadId,
    Reply,
    RetryTimer,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    explicit,
    flexible,
    weighted,
)
from paxos.proposer import (
    Accepting,
    ClientRequest,
    Effect,
    Event,
    Idle,
    Phase,
    Preparing,
    Step,
    Task,
    defer,
    has_quorum_contact,
    observe,
    receive,
    waiting_for,
)
from paxos.reader import Querying
from tests.support import (
    ANY_VALUES,
    FIVE,
    NON_MEMBER,
    S1,
    S2,
    S3,
    S4,
    S5,
    THREE,
    Untouchable,
    ballot,
    free,
    opened,
    sealed,
)

Working: TypeAlias = Preparing[str] | Accepting[str]

# The tables. Server 2 of five works under 4.2 and has seen round 6. S1 has answered it, S5 has
# refused it; in half of the rows S3 has answered too, so that the next answer makes a majority.

NOW = ballot("4.2")
BALLOTS = tuple(map(ballot, ("3.5", "4.1", "4.2", "4.3", "5.1")))
SENDERS = {"answered": S1, "new": S4, "refused": S5, "non-member": NON_MEMBER}

FOUND = Proposal(ballot("2.3"), "found")
PROPOSE = Task(Propose("mine"), attempt=2, own_from=3)
READ = Read(ReadId(5, 7))
INQUIRE: Task[str] = Task(Inquire(), attempt=2, own_from=3)
ONE, TWO = frozenset({S1}), frozenset({S1, S3})
REFUSED = frozenset({S5})

PHASES: Mapping[str, Phase[str]] = {
    "idle": Idle(),
    "preparing, nothing found": Preparing(NOW, PROPOSE, ONE, REFUSED, True),
    "preparing, nothing found, last": Preparing(NOW, PROPOSE, TWO, REFUSED, True),
    "preparing, found": Preparing(NOW, PROPOSE, ONE, REFUSED, True, FOUND),
    "preparing, found, last": Preparing(NOW, PROPOSE, TWO, REFUSED, True, FOUND),
    "inquiring, nothing found": Preparing(NOW, INQUIRE, ONE, REFUSED, True),
    "inquiring, nothing found, last": Preparing(NOW, INQUIRE, TWO, REFUSED, True),
    "inquiring, found": Preparing(NOW, INQUIRE, ONE, REFUSED, True, FOUND),
    "inquiring, found, last": Preparing(NOW, INQUIRE, TWO, REFUSED, True, FOUND),
    "accepting its own": Accepting(NOW, PROPOSE, "mine", True, ONE, REFUSED, True),
    "accepting its own, last": Accepting(NOW, PROPOSE, "mine", True, TWO, REFUSED, True),
    "accepting another's": Accepting(NOW, PROPOSE, "found", False, ONE, REFUSED, True),
    "accepting another's, last": Accepting(NOW, PROPOSE, "found", False, TWO, REFUSED, True),
    "querying": Querying(READ.id, Learner(FIVE), 2),
    "done": Done(NOW, "mine", True),
}
AT_WORK = tuple(name for name in PHASES if name not in ("idle", "querying", "done"))


def in_phase(phase: Phase[str], max_round: int = 6) -> Proposer[str]:
    return Proposer(S2, FIVE, max_round, phase)


def replies(number: Ballot) -> Mapping[str, Reply[str]]:
    """Every kind of answer to ``number``."""
    return {
        "promise, nothing accepted": Promise(number, None),
        "promise, accepted below what was found": Promise(number, Proposal(ballot("1.5"), "lower")),
        "promise, accepted what was found": Promise(number, FOUND),
        "promise, accepted above what was found": Promise(
            number, Proposal(ballot("2.4"), "higher")
        ),
        "promise, accepted under it": Promise(number, Proposal(number, "mine")),
        "promise, accepted under it, another's": Promise(number, Proposal(number, "other")),
        "promise, accepted above it": Promise(number, Proposal(ballot("5.2"), "mine")),
        "accepted, its own": Accepted(number, "mine"),
        "accepted, another's": Accepted(number, "found"),
        "nack below max_round": Nack(number, ballot("5.3")),
        "nack at max_round": Nack(number, ballot("6.3")),
        "nack above max_round": Nack(number, ballot("7.3")),
        "chosen": Chosen(number, "told"),
        "chosen, its own": Chosen(number, "mine"),
    }


Outcome: TypeAlias = tuple[Proposer[str], tuple[Effect[str], ...]]


def outcome(before: Proposer[str], sender: ServerId, reply: Reply[str]) -> Outcome:
    """What counts, in the lecture's words; all the rest is ignored."""
    if sender == NON_MEMBER or isinstance(before.phase, Done):
        return before, ()
    match before.phase, reply:
        case ((Idle() | Querying()), Chosen() as told):
            done = Done(told.ballot, told.value, own=False)
            return in_phase(done), (Tell(done),)
        case (Preparing() | Accepting()) as phase, Chosen() as told:
            carried_its_own = told.ballot.server == S2 and told.ballot.round >= 3
            own = phase.task == PROPOSE and carried_its_own
            done = Done(told.ballot, told.value, own)
            return in_phase(done), (Broadcast(told), Tell(done))
        case (Preparing() | Accepting()) as phase, Nack() as nack if nack.ballot == NOW:
            phase = evolve(phase, refused=phase.refused | {sender})
            return in_phase(phase, max(6, nack.promised.round)), ()
        case Preparing() as phase, Promise() as promise if promise.ballot == NOW:
            return on_promise(before, phase, sender, promise)
        case Accepting() as phase, Accepted() as vote if vote.ballot == NOW:
            voters = phase.answered | {sender}
            if sender in phase.answered:
                return before, ()
            if len(voters) < 3:
                return in_phase(evolve(phase, answered=voters)), ()
            done = Done(NOW, phase.value, phase.own)
            return in_phase(done), (Broadcast(Chosen(NOW, phase.value)), Tell(done))
        case _:
            return before, ()


def shows_a_ballot_used_twice(phase: Phase[str], sender: ServerId, reply: Reply[str]) -> bool:
    """What it tells under NOW was never asked for; or a promise of NOW tells of what is above."""
    if not isinstance(phase, Preparing | Accepting) or sender == NON_MEMBER:
        return False
    match reply:
        case Promise(number, told):
            if number != NOW or told is None:
                return False
        case Accepted(number, value) | Chosen(number, value):
            told = Proposal(number, value)
        case _:
            return False
    if isinstance(reply, Promise) and told.ballot > NOW:
        return True
    unasked = isinstance(phase, Preparing) or told.value != phase.value
    return told.ballot == NOW and unasked


def on_promise(
    before: Proposer[str], phase: Preparing[str], sender: ServerId, promise: Promise[str]
) -> Outcome:
    if sender in phase.answered:
        return before, ()
    voters = phase.answered | {sender}
    heard = [found for found in (phase.highest, promise.accepted) if found is not None]
    heard.sort(key=lambda found: found.ballot)
    if len(voters) < 3:
        highest = heard[-1] if heard else None
        return in_phase(evolve(phase, answered=voters, highest=highest)), ()
    if not heard and phase.task == INQUIRE:
        return in_phase(Idle()), (Tell(NothingChosen(NOW)),)
    value = heard[-1].value if heard else "mine"
    task = evolve(phase.task, own_from=5) if heard else phase.task
    accepting = Accepting(NOW, task, value, not heard, frozenset(), REFUSED, False)
    return in_phase(accepting), (Broadcast(Accept(NOW, value)),)


@pytest.mark.parametrize("kind", replies(NOW))
@pytest.mark.parametrize("phase", PHASES)
def test_table_of_replies(phase: str, kind: str) -> None:
    before = in_phase(PHASES[phase])
    for number, sender in product(BALLOTS, SENDERS):
        reply = replies(number)[kind]
        row = f"{phase}; {kind}; ballot {number}; sender {sender}"
        if shows_a_ballot_used_twice(before.phase, SENDERS[sender], reply):
            with pytest.raises(InvariantError, match=r"used twice|must raise the promise"):
                receive(before, From(SENDERS[sender], reply))
            continue
        expected, messages = outcome(before, SENDERS[sender], reply)

        after, outbound = receive(before, From(SENDERS[sender], reply))

        assert after == expected, row
        assert free(outbound) == messages, row
        assert after is before or expected is not before, f"not the same object: {row}"


AGAIN, OVER = "asks again", "starts over"

REFUSALS = {
    "nobody": frozenset[ServerId](),
    "a minority": frozenset({S4, S5}),
    "a majority": frozenset({S3, S4, S5}),
    "a majority, two of whom had answered": frozenset({S1, S3, S5}),
}

ON_WAKING = [  # who has refused, whether it has asked again already, what it does
    ("nobody", False, AGAIN),
    ("nobody", True, AGAIN),
    ("a minority", False, AGAIN),
    ("a minority", True, OVER),
    ("a majority", False, OVER),
    ("a majority", True, OVER),
    ("a majority, two of whom had answered", False, AGAIN),
    ("a majority, two of whom had answered", True, OVER),
]


def asking(refusers: str, resent: bool) -> list[tuple[Working, Prepare | Accept[str]]]:
    """Each phase that waits for answers, and what it asks for."""
    refused = REFUSALS[refusers]
    answered = TWO if refusers == "a majority, two of whom had answered" else ONE
    return [
        (Preparing(NOW, PROPOSE, answered, refused, resent), Prepare(NOW)),
        (Preparing(NOW, PROPOSE, answered, refused, resent, FOUND), Prepare(NOW)),
        (Preparing(NOW, INQUIRE, answered, refused, resent), Prepare(NOW)),
        (Accepting(NOW, PROPOSE, "mine", True, answered, refused, resent), Accept(NOW, "mine")),
        (Accepting(NOW, INQUIRE, "found", False, answered, refused, resent), Accept(NOW, "found")),
    ]


@pytest.mark.parametrize(("refusers", "resent", "reaction"), ON_WAKING)
def test_table_of_wake_ups(refusers: str, resent: bool, reaction: str) -> None:
    for phase, request in asking(refusers, resent):
        task = evolve(phase.task, attempt=3)

        after, outbound = receive(in_phase(phase), RetryTimer(NOW))

        if reaction == AGAIN:
            assert after == in_phase(evolve(phase, task=task, resent=True)), phase
            assert free(outbound) == (Broadcast(request), SetTimer(RetryTimer(NOW), 3)), phase
        else:
            new = ballot("7.2")
            assert after == in_phase(Preparing(new, task), max_round=7), phase
            assert sealed(outbound, MaxRound(7)) == (
                Broadcast(Prepare(new)),
                SetTimer(RetryTimer(new), 3),
            ), phase


@pytest.mark.parametrize(("refusers", "resent"), [row[:2] for row in ON_WAKING])
def test_table_of_stale_wake_ups(refusers: str, resent: bool) -> None:
    stale = [number for number in BALLOTS if number != NOW]
    for (phase, _), number in product(asking(refusers, resent), stale):
        before = in_phase(phase)
        assert waiting_for(before, RetryTimer(number)) is None
        assert receive(before, RetryTimer(number)) == (before, NO_MESSAGES), (phase, number)
        assert receive(before, RetryTimer(number))[0] is before


@pytest.mark.parametrize("phase", ["idle", "querying", "done"])
def test_table_of_wake_ups_with_nothing_to_do(phase: str) -> None:
    before = in_phase(PHASES[phase])
    for number in BALLOTS:
        assert waiting_for(before, RetryTimer(number)) is None
        assert receive(before, RetryTimer(number)) == (before, NO_MESSAGES), number
        assert receive(before, RetryTimer(number))[0] is before


@pytest.mark.parametrize(("refusers", "resent"), [row[:2] for row in ON_WAKING])
def test_who_waits_on_says_nothing_and_counts_the_wake_up(refusers: str, resent: bool) -> None:
    for phase, _ in asking(refusers, resent):
        after, outbound = defer(in_phase(phase), phase)

        assert after == in_phase(evolve(phase, task=evolve(phase.task, attempt=3)))
        assert free(outbound) == (SetTimer(RetryTimer(NOW), 3),)


ASKED = pytest.mark.parametrize("asked", [Propose("new"), Inquire(), READ], ids=repr)


@pytest.mark.parametrize("asked", [Propose("new"), Inquire()], ids=repr)
def test_table_of_requests_when_idle(asked: Propose[str] | Inquire) -> None:
    after, outbound = receive(in_phase(Idle()), asked)

    new = ballot("7.2")
    assert after == in_phase(Preparing(new, Task(asked, 0, own_from=7)), max_round=7)
    assert sealed(outbound, MaxRound(7)) == (Broadcast(Prepare(new)), SetTimer(RetryTimer(new), 0))


@ASKED
@pytest.mark.parametrize("phase", [*AT_WORK, "querying"])
def test_table_of_requests_at_work(phase: str, asked: ClientRequest[str]) -> None:
    before = in_phase(PHASES[phase])

    with pytest.raises(Busy) as error:
        receive(before, asked)

    assert error.value.ballot == (None if phase == "querying" else NOW)
    assert before == in_phase(PHASES[phase])


@ASKED
@pytest.mark.parametrize("own", [True, False])
def test_table_of_requests_when_done(own: bool, asked: ClientRequest[str]) -> None:
    before = in_phase(Done(NOW, "chosen", own))

    after, outbound = receive(before, asked)

    assert after is before
    assert free(outbound) == (Tell(Done(NOW, "chosen", own=False)),)


@pytest.mark.parametrize(
    ("found_under", "own"),
    [  # own rounds from 2 on carried the given value
        ("1.1", False),
        ("1.2", False),
        ("1.3", False),
        ("2.1", False),
        ("2.2", True),
        ("2.3", False),
        ("3.1", False),
        ("3.2", True),
        ("3.3", False),
    ],
)
def test_table_of_whose_value_was_found(found_under: str, own: bool) -> None:
    task = Task(Propose("mine"), attempt=0, own_from=2)
    before = in_phase(Preparing(NOW, task, TWO))

    after, outbound = receive(before, promise(S4, "4.2", Proposal(ballot(found_under), "x")))

    known = task if own else Task(Propose("mine"), attempt=0, own_from=5)
    nobody = frozenset[ServerId]()
    assert after == in_phase(Accepting(NOW, known, "x", own, nobody, nobody, False))
    assert free(outbound) == (Broadcast(Accept(NOW, "x")),)


# The rules, told as stories. Server 1 of three, unless it says otherwise.

FRESH: Proposer[str] = Proposer(S1, THREE)
SEEN_ROUND_4: Proposer[str] = Proposer(S1, THREE, max_round=4)


def promise(sender: ServerId, number: str, found: Proposal[str] | None = None) -> Event[str]:
    return From(sender, Promise(ballot(number), found))


def accepted(sender: ServerId, number: str, value: str = "mine") -> Event[str]:
    return From(sender, Accepted(ballot(number), value))


def answer(sender: ServerId, told: Proposal[str] | None = None) -> Event[str]:
    return From(sender, Answer(ReadId(8, 1), told))


def nack(sender: ServerId, number: str, promised: str) -> Event[str]:
    return From(sender, Nack(ballot(number), ballot(promised)))


def wake(number: str) -> Event[str]:
    return RetryTimer(ballot(number))


def proposal(number: str, value: str) -> Proposal[str]:
    return Proposal(ballot(number), value)


def play(state: Proposer[str], *events: Event[str]) -> Step[str]:
    """The state after all ``events``, and what the last one made it say."""
    step: Step[str] = state, NO_MESSAGES
    for event in events:
        step = receive(step[0], event)
    return step


def ignores(state: Proposer[str], event: Event[str]) -> bool:
    """Whether ``event`` changes nothing, not even the object, and is met with silence."""
    after, outbound = receive(state, event)
    return after is state and outbound == NO_MESSAGES


def overtaken(number: str, *, by: str) -> tuple[Event[str], ...]:
    """S2 and S3 refuse ``number``, since they have promised ``by``; then the wake-up comes."""
    return nack(S2, number, by), nack(S3, number, by), wake(number)


def asks_to_prepare(number: str, attempt: int) -> tuple[Effect[str], ...]:
    return Broadcast(Prepare(ballot(number))), SetTimer(RetryTimer(ballot(number)), attempt)


def asks_to_accept(number: str, value: str) -> tuple[Effect[str], ...]:
    return (Broadcast(Accept(ballot(number), value)),)


def tells_all(number: str, value: str, *, own: bool) -> tuple[Effect[str], ...]:
    return Broadcast(Chosen(ballot(number), value)), Tell(Done(ballot(number), value, own))


# Ballots


def test_a_round_is_sealed_by_its_number() -> None:
    state, outbound = receive(FRESH, Propose("mine"))

    assert state.max_round == 1
    assert sealed(outbound, MaxRound(1)) == asks_to_prepare("1.1", attempt=0)


def test_the_record_of_the_round_before_does_not_free_a_prepare() -> None:
    _, outbound = receive(SEEN_ROUND_4, Propose("mine"))

    assert isinstance(outbound, AfterSave)
    with pytest.raises(NotSaved):
        outbound.release(Saved((MaxRound(4),)))


def test_a_round_that_starts_over_is_sealed_too() -> None:
    _, outbound = play(FRESH, Propose("mine"), *overtaken("1.1", by="2.2"))

    assert sealed(outbound, MaxRound(3)) == asks_to_prepare("3.1", attempt=1)


def test_the_next_round_goes_above_every_round_seen() -> None:
    state = observe(FRESH, ballot("8.3"))

    _, outbound = receive(state, Propose("mine"))

    assert sealed(outbound, MaxRound(9)) == asks_to_prepare("9.1", attempt=0)


@pytest.mark.parametrize("seen", ["3.3", "4.3"])
def test_seeing_no_new_round_changes_nothing(seen: str) -> None:
    assert observe(SEEN_ROUND_4, ballot(seen)) is SEEN_ROUND_4


def test_seeing_a_new_round_does_not_disturb_the_round_under_way() -> None:
    state, _ = receive(SEEN_ROUND_4, Propose("mine"))

    assert observe(state, ballot("9.3")) == Proposer(S1, THREE, 9, state.phase)


def test_two_proposers_never_use_the_same_ballot() -> None:
    _, one = receive(FRESH, Propose("one"))
    _, two = receive(Proposer(S2, THREE), Propose("two"))

    assert sealed(one, MaxRound(1)) == asks_to_prepare("1.1", attempt=0)
    assert sealed(two, MaxRound(1)) == asks_to_prepare("1.2", attempt=0)


def test_after_a_restart_from_the_record_no_ballot_is_used_again() -> None:
    used: list[Ballot] = []
    record = MaxRound(0)
    for _life in range(3):
        state: Proposer[str] = Proposer(S1, THREE, record.round)
        event: Event[str] = Propose("mine")
        for _round in range(3):
            state, outbound = receive(state, event)
            assert isinstance(outbound, AfterSave)
            record = outbound.record
            number = Ballot(record.round, S1)
            assert Broadcast(Prepare(number)) in opened(outbound)
            used.append(number)
            for refuser in (S2, S3):
                state, _ = receive(state, From(refuser, Nack(number, Ballot(number.round, S3))))
            event = RetryTimer(number)

    assert [number.round for number in used] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


# Phase 1


def test_it_waits_for_promises_of_a_quorum() -> None:
    state, outbound = play(FRESH, Propose("mine"), promise(S2, "1.1"))

    assert isinstance(state.phase, Preparing)
    assert free(outbound) == ()


def test_it_keeps_its_own_value_when_nobody_has_accepted_any() -> None:
    _, outbound = play(FRESH, Propose("mine"), promise(S2, "1.1"), promise(S3, "1.1"))

    assert free(outbound) == asks_to_accept("1.1", "mine")


@pytest.mark.parametrize(
    "order",
    list(permutations([None, proposal("2.5", "older"), proposal("3.4", "newest")])),
    ids=str,
)
def test_it_adopts_the_value_of_the_highest_accepted_ballot_in_whatever_order(
    order: tuple[Proposal[str] | None, ...],
) -> None:
    promises = [
        promise(sender, "5.1", found) for sender, found in zip((S2, S3, S4), order, strict=True)
    ]

    _, outbound = play(Proposer(S1, FIVE, max_round=4), Propose("mine"), *promises)

    assert free(outbound) == asks_to_accept("5.1", "newest")


def test_the_highest_ballot_decides_and_not_the_number_of_servers() -> None:
    _, outbound = play(
        Proposer(S1, FIVE, max_round=4),
        Propose("mine"),
        promise(S2, "5.1", proposal("2.5", "common")),
        promise(S3, "5.1", proposal("3.4", "newest")),
        promise(S4, "5.1", proposal("2.5", "common")),
    )

    assert free(outbound) == asks_to_accept("5.1", "newest")


def test_within_a_round_the_higher_server_decides_what_is_adopted() -> None:
    _, outbound = play(
        SEEN_ROUND_4,
        Propose("mine"),
        promise(S2, "5.1", proposal("3.2", "by server 2")),
        promise(S3, "5.1", proposal("3.3", "by server 3")),
    )

    assert free(outbound) == asks_to_accept("5.1", "by server 3")


def test_a_promise_that_arrives_twice_counts_once() -> None:
    once, _ = play(FRESH, Propose("mine"), promise(S2, "1.1"))

    assert ignores(once, promise(S2, "1.1"))


def test_the_promise_of_a_non_member_does_not_count() -> None:
    before, _ = play(FRESH, Propose("mine"), promise(S2, "1.1"))

    assert ignores(before, promise(NON_MEMBER, "1.1"))


def test_a_promise_of_an_earlier_round_does_not_count() -> None:
    before, _ = play(FRESH, Propose("mine"), *overtaken("1.1", by="2.2"), promise(S2, "3.1"))

    assert ignores(before, promise(S3, "1.1"))


def test_a_promise_that_comes_after_the_quorum_changes_nothing() -> None:
    before, _ = play(FRESH, Propose("mine"), promise(S1, "1.1"), promise(S2, "1.1"))

    assert ignores(before, promise(S3, "1.1", proposal("0.3", "late")))


def test_a_promise_counts_though_a_refusal_of_the_same_server_overtook_it() -> None:
    _, outbound = play(
        FRESH, Propose("mine"), promise(S1, "1.1"), nack(S2, "1.1", "2.2"), promise(S2, "1.1")
    )

    assert free(outbound) == asks_to_accept("1.1", "mine")


# Phase 2


def accepting_mine() -> Proposer[str]:
    return play(FRESH, Propose("mine"), promise(S1, "1.1"), promise(S2, "1.1"))[0]


def test_acceptances_of_a_quorum_choose_the_value_and_everybody_is_told() -> None:
    state, outbound = play(accepting_mine(), accepted(S1, "1.1"), accepted(S3, "1.1"))

    assert free(outbound) == tells_all("1.1", "mine", own=True)
    assert state.phase == Done(ballot("1.1"), "mine", own=True)


def test_promises_are_no_acceptances() -> None:
    before = accepting_mine()

    after, outbound = play(before, promise(S2, "1.1"), accepted(S3, "1.1"))

    assert free(outbound) == ()
    assert isinstance(after.phase, Accepting)


def test_an_acceptance_under_a_ballot_that_is_still_prepared_proves_it_used_twice() -> None:
    before, _ = play(FRESH, Propose("mine"), promise(S1, "1.1"))

    for sender in S1, S2:
        with pytest.raises(InvariantError, match="is still being prepared"):
            receive(before, accepted(sender, "1.1"))


def test_a_choice_under_a_ballot_that_is_still_prepared_proves_it_used_twice() -> None:
    before, _ = play(FRESH, Propose("mine"), promise(S1, "1.1"))

    with pytest.raises(InvariantError, match="is still being prepared"):
        receive(before, From(S2, Chosen(ballot("1.1"), "mine")))


@pytest.mark.parametrize("sender", [S1, S2])
@pytest.mark.parametrize("told", ["1.1", "1.2", "2.1"])
def test_a_promise_that_tells_of_its_ballot_or_above_proves_a_ballot_used_twice(
    sender: ServerId, told: str
) -> None:
    """Also in a repeated promise, of S1. A rolled-back disk of this very server can do that."""
    before, _ = play(FRESH, Propose("mine"), promise(S1, "1.1"))

    with pytest.raises(InvariantError):
        receive(before, promise(sender, "1.1", proposal(told, "somebody else's")))


def test_a_promise_that_comes_again_after_its_accept_may_tell_of_that_accept() -> None:
    assert ignores(accepting_mine(), promise(S2, "1.1", proposal("1.1", "mine")))


@pytest.mark.parametrize(
    "told", [proposal("1.1", "another"), proposal("2.1", "mine")], ids=["used twice", "above"]
)
def test_a_promise_that_comes_again_may_tell_of_nothing_else(told: Proposal[str]) -> None:
    with pytest.raises(InvariantError):
        receive(accepting_mine(), promise(S2, "1.1", told))


def test_promises_that_tell_of_two_values_under_one_ballot_prove_it_used_twice() -> None:
    before, _ = play(
        Proposer(S1, FIVE), Propose("mine"), promise(S1, "1.1", proposal("0.9", "one"))
    )

    with pytest.raises(InvariantError, match="carries both 'one' and 'other'"):
        receive(before, promise(S2, "1.1", proposal("0.9", "other")))


def test_an_acceptance_that_arrives_twice_counts_once() -> None:
    once, _ = receive(accepting_mine(), accepted(S2, "1.1"))

    assert ignores(once, accepted(S2, "1.1"))


def test_an_acceptance_that_comes_again_with_another_value_proves_a_ballot_used_twice() -> None:
    once, _ = receive(accepting_mine(), accepted(S2, "1.1"))

    with pytest.raises(InvariantError, match="used twice"):
        receive(once, accepted(S2, "1.1", "another"))


def test_the_acceptance_of_a_non_member_does_not_count() -> None:
    before, _ = receive(accepting_mine(), accepted(S2, "1.1"))

    assert ignores(before, accepted(NON_MEMBER, "1.1"))


def test_answers_to_a_ballot_that_is_not_its_own_do_not_count() -> None:
    preparing, _ = play(FRESH, Propose("mine"), promise(S2, "1.1"))
    accepting, _ = receive(accepting_mine(), accepted(S2, "1.1"))

    for foreign in ("0.3", "1.2", "2.1"):
        assert ignores(preparing, promise(S3, foreign))
        assert ignores(preparing, nack(S3, foreign, "9.3"))
        assert ignores(accepting, accepted(S3, foreign))
        assert ignores(accepting, nack(S3, foreign, "9.3"))


def test_an_acceptance_of_an_earlier_round_does_not_count() -> None:
    before, _ = play(
        accepting_mine(),
        *overtaken("1.1", by="2.2"),
        *(promise(S1, "3.1"), promise(S2, "3.1"), accepted(S2, "3.1")),
    )

    assert ignores(before, accepted(S1, "1.1"))


# Refusals and wake-ups


def test_a_refusal_is_met_with_silence_until_the_wake_up() -> None:
    _, outbound = play(FRESH, Propose("mine"), nack(S2, "1.1", "2.2"), nack(S3, "1.1", "2.2"))

    assert free(outbound) == ()


def test_refusals_move_the_next_round_above_all_that_they_name() -> None:
    _, outbound = play(
        FRESH, Propose("mine"), nack(S2, "1.1", "7.2"), nack(S3, "1.1", "5.3"), wake("1.1")
    )

    assert sealed(outbound, MaxRound(8)) == asks_to_prepare("8.1", attempt=1)


def test_a_second_refusal_of_the_same_server_still_moves_the_next_round() -> None:
    state, _ = play(FRESH, Propose("mine"), nack(S2, "1.1", "2.2"), nack(S2, "1.1", "6.2"))

    assert state.max_round == 6


def test_one_refusal_does_not_abort_phase_1_while_it_can_be_won() -> None:
    _, outbound = play(
        FRESH, Propose("mine"), nack(S3, "1.1", "2.3"), promise(S1, "1.1"), promise(S2, "1.1")
    )

    assert free(outbound) == asks_to_accept("1.1", "mine")


def test_one_refusal_does_not_abort_phase_2_while_it_can_be_won() -> None:
    _, outbound = play(
        accepting_mine(), nack(S3, "1.1", "2.3"), accepted(S1, "1.1"), accepted(S2, "1.1")
    )

    assert free(outbound) == tells_all("1.1", "mine", own=True)


def test_without_a_refusal_it_asks_the_same_again_for_ever() -> None:
    state, _ = receive(FRESH, Propose("mine"))
    for attempt in range(1, 6):
        state, outbound = receive(state, wake("1.1"))
        assert free(outbound) == asks_to_prepare("1.1", attempt)


def test_refused_by_one_it_asks_again_once_before_it_starts_over() -> None:
    refused, _ = play(FRESH, Propose("mine"), nack(S3, "1.1", "2.3"))

    asked_again, first = receive(refused, wake("1.1"))
    _, second = receive(asked_again, wake("1.1"))

    assert free(first) == asks_to_prepare("1.1", attempt=1)
    assert sealed(second, MaxRound(3)) == asks_to_prepare("3.1", attempt=2)


def test_phase_2_asks_again_once_even_if_phase_1_had_to() -> None:
    _, outbound = play(
        FRESH,
        *(Propose("mine"), wake("1.1"), promise(S1, "1.1"), promise(S2, "1.1")),
        *(nack(S3, "1.1", "2.3"), wake("1.1")),
    )

    assert free(outbound) == (
        *asks_to_accept("1.1", "mine"),
        SetTimer(RetryTimer(ballot("1.1")), 2),
    )


def test_who_refused_phase_1_counts_as_lost_for_phase_2() -> None:
    _, outbound = play(
        FRESH,
        *(Propose("mine"), nack(S3, "1.1", "2.3"), promise(S1, "1.1"), promise(S2, "1.1")),
        *(nack(S2, "1.1", "2.3"), wake("1.1")),
    )

    assert sealed(outbound, MaxRound(3)) == asks_to_prepare("3.1", attempt=1)


@pytest.mark.parametrize("phase", ["phase 1", "phase 2"])
def test_when_no_quorum_can_be_had_any_more_it_starts_over_at_the_first_wake_up(phase: str) -> None:
    before = accepting_mine() if phase == "phase 2" else receive(FRESH, Propose("mine"))[0]

    _, outbound = play(before, *overtaken("1.1", by="2.3"))

    assert sealed(outbound, MaxRound(3)) == asks_to_prepare("3.1", attempt=1)


def test_who_refuses_after_it_has_answered_is_not_lost() -> None:
    _, outbound = play(FRESH, Propose("mine"), promise(S2, "1.1"), *overtaken("1.1", by="2.3"))

    assert free(outbound) == asks_to_prepare("1.1", attempt=1)


def test_attempts_grow_over_repeats_and_rounds() -> None:
    state, outbound = receive(FRESH, Propose("mine"))
    attempts: list[int] = []
    for event in (
        *(wake("1.1"), nack(S3, "1.1", "2.3"), wake("1.1")),
        *(promise(S1, "3.1"), promise(S2, "3.1"), wake("3.1")),
        *(nack(S1, "3.1", "4.3"), nack(S2, "3.1", "4.3"), wake("3.1")),
    ):
        state, outbound = receive(state, event)
        attempts += [effect.attempt for effect in opened(outbound) if isinstance(effect, SetTimer)]

    assert attempts == [1, 2, 3, 4]


def test_attempts_of_a_new_request_begin_at_0() -> None:
    idle, _ = play(FRESH, Inquire(), wake("1.1"), promise(S1, "1.1"), promise(S2, "1.1"))

    _, outbound = receive(idle, Propose("mine"))

    assert sealed(outbound, MaxRound(2)) == asks_to_prepare("2.1", attempt=0)


def test_the_wake_up_of_an_earlier_round_does_nothing() -> None:
    before, _ = play(FRESH, Propose("mine"), *overtaken("1.1", by="2.2"))

    assert ignores(before, wake("1.1"))


def test_waiting_for_finds_the_phase_that_asked_for_the_wake_up() -> None:
    for state in (receive(FRESH, Propose("mine"))[0], accepting_mine()):
        assert waiting_for(state, RetryTimer(ballot("1.1"))) is state.phase
        assert waiting_for(state, RetryTimer(ballot("2.1"))) is None


PROPOSED = (Propose("mine"),)
IN_PHASE_2 = (*PROPOSED, promise(S1, "1.1"), promise(S2, "1.1"))
ASKED_AGAIN = (*IN_PHASE_2, wake("1.1"))


@pytest.mark.parametrize(
    ("events", "hears"),
    [
        ((), False),
        (PROPOSED, False),
        ((*PROPOSED, promise(S1, "1.1")), False),
        ((*PROPOSED, nack(S3, "1.1", "2.2")), False),
        ((*PROPOSED, promise(S1, "1.1"), promise(S1, "1.1")), False),
        ((*PROPOSED, promise(S1, "1.1"), nack(S3, "1.1", "2.2")), True),
        ((*PROPOSED, nack(S2, "1.1", "2.2"), nack(S3, "1.1", "2.2")), True),
        (IN_PHASE_2, True),
        (ASKED_AGAIN, False),
        ((*ASKED_AGAIN, accepted(S1, "1.1")), False),
        ((*ASKED_AGAIN, accepted(S1, "1.1"), nack(S3, "1.1", "2.2")), True),
        ((*ASKED_AGAIN, nack(S2, "1.1", "2.2"), nack(S3, "1.1", "2.2")), True),
        ((*IN_PHASE_2, accepted(S1, "1.1"), accepted(S2, "1.1")), False),
    ],
)
def test_whether_it_hears_from_a_quorum(events: tuple[Event[str], ...], hears: bool) -> None:
    """Refusals are answers too; what it asked again needs answers of its own."""
    assert has_quorum_contact(play(FRESH, *events)[0]) is hears


def test_it_retries_with_the_original_value_after_it_has_adopted_another() -> None:
    adopted, first = play(
        SEEN_ROUND_4, Propose("mine"), promise(S1, "5.1"), promise(S2, "5.1", proposal("2.2", "x"))
    )

    _, second = play(
        adopted, *overtaken("5.1", by="6.3"), *(promise(S1, "7.1"), promise(S3, "7.1"))
    )

    assert free(first) == asks_to_accept("5.1", "x")
    assert free(second) == asks_to_accept("7.1", "mine")


# Inquire


def test_an_inquiry_asks_like_a_proposal() -> None:
    _, outbound = receive(FRESH, Inquire())

    assert sealed(outbound, MaxRound(1)) == asks_to_prepare("1.1", attempt=0)


def test_an_inquiry_that_finds_nothing_says_so_and_is_over() -> None:
    state, outbound = play(FRESH, Inquire(), promise(S1, "1.1"), promise(S3, "1.1"))

    assert free(outbound) == (Tell(NothingChosen(ballot("1.1"))),)
    assert state == Proposer(S1, THREE, max_round=1)


def test_after_an_inquiry_that_found_nothing_late_answers_and_wake_ups_do_nothing() -> None:
    idle, _ = play(FRESH, Inquire(), promise(S1, "1.1"), promise(S3, "1.1"))

    for event in (promise(S2, "1.1"), nack(S2, "1.1", "2.2"), accepted(S2, "1.1"), wake("1.1")):
        assert ignores(idle, event)


def test_an_inquiry_completes_a_value_in_flight() -> None:
    adopted, first = play(
        SEEN_ROUND_4, Inquire(), promise(S1, "5.1"), promise(S2, "5.1", proposal("2.3", "x"))
    )

    _, last = play(adopted, accepted(S1, "5.1", "x"), accepted(S2, "5.1", "x"))

    assert free(first) == asks_to_accept("5.1", "x")
    assert free(last) == tells_all("5.1", "x", own=False)


def test_an_inquiry_never_calls_a_value_its_own_even_under_its_own_ballot() -> None:
    found, mine = proposal("2.3", "x"), proposal("5.1", "x")

    _, outbound = play(
        SEEN_ROUND_4,
        *(Inquire(), promise(S1, "5.1"), promise(S2, "5.1", found)),
        *overtaken("5.1", by="6.3"),
        *(promise(S1, "7.1", mine), promise(S2, "7.1", found)),
        *(accepted(S1, "7.1", "x"), accepted(S2, "7.1", "x")),
    )

    assert free(outbound) == tells_all("7.1", "x", own=False)


# Read


A_READ = Read(ReadId(8, 1))
STALLS = (  # two whole rounds, and the highest ballot is the same
    *(answer(S1, proposal("2.3", "old")), answer(S2), QueryTimer(A_READ.id)),
    *(answer(S1, proposal("2.3", "old")), answer(S2), QueryTimer(A_READ.id)),
)


def asks_to_tell(attempt: int) -> tuple[Effect[str], ...]:
    return Broadcast(Query(A_READ.id)), SetTimer(QueryTimer(A_READ.id), attempt)


def test_a_read_queries_all_without_a_record() -> None:
    state, outbound = receive(SEEN_ROUND_4, A_READ)

    assert free(outbound) == asks_to_tell(0)
    assert state.max_round == 4


def test_a_quorum_that_has_accepted_nothing_ends_the_read() -> None:
    state, outbound = play(FRESH, A_READ, answer(S2), answer(S3))

    assert free(outbound) == (Tell(NotYetChosen(A_READ.id)),)
    assert state == FRESH


def test_a_quorum_that_names_one_ballot_ends_the_read_and_all_are_told() -> None:
    found = proposal("2.3", "old")

    state, outbound = play(FRESH, A_READ, answer(S2, found), answer(S3, found))

    assert free(outbound) == tells_all("2.3", "old", own=False)
    assert state.phase == Done(ballot("2.3"), "old", own=False)


def test_a_read_that_is_told_the_choice_announces_nothing() -> None:
    _, outbound = play(FRESH, A_READ, From(S2, Chosen(ballot("2.2"), "theirs")))

    assert free(outbound) == (Tell(Done(ballot("2.2"), "theirs", own=False)),)


def test_answers_to_another_read_do_not_count() -> None:
    """Not those to the read before, nor to one of another session with the same number."""
    state, _ = play(FRESH, A_READ, answer(S2))

    for other in ReadId(8, 0), ReadId(8, 2), ReadId(7, 1):
        assert ignores(state, From(S3, Answer[str](other, None)))


def test_the_answer_of_a_non_member_does_not_count() -> None:
    state, _ = play(FRESH, A_READ, answer(S2))

    assert ignores(state, answer(NON_MEMBER))


@pytest.mark.parametrize("phase", ["idle", *AT_WORK, "done"])
def test_answers_and_query_timers_do_nothing_in_any_other_phase(phase: str) -> None:
    state = in_phase(PHASES[phase])

    assert ignores(state, answer(S3))
    assert ignores(state, answer(S3, proposal("2.3", "old")))
    assert ignores(state, QueryTimer(A_READ.id))


def test_a_read_that_is_woken_queries_again_under_the_same_id() -> None:
    _, outbound = play(FRESH, A_READ, answer(S2), QueryTimer(A_READ.id))

    assert free(outbound) == asks_to_tell(1)


def test_the_timer_of_another_read_does_nothing() -> None:
    state, _ = receive(FRESH, A_READ)

    assert ignores(state, QueryTimer(ReadId(8, 0)))


def test_a_stalled_read_goes_on_as_an_inquiry_and_backs_off_like_one() -> None:
    _, outbound = play(SEEN_ROUND_4, A_READ, *STALLS)

    assert sealed(outbound, MaxRound(5)) == asks_to_prepare("5.1", attempt=2)


def test_a_stalled_read_goes_above_the_ballots_that_were_named() -> None:
    _, outbound = play(FRESH, A_READ, *STALLS)

    assert sealed(outbound, MaxRound(3)) == asks_to_prepare("3.1", attempt=2)


def test_a_stalled_read_completes_what_it_finds() -> None:
    found = proposal("2.3", "old")
    state, _ = play(SEEN_ROUND_4, A_READ, *STALLS, promise(S1, "5.1", found))

    state, outbound = receive(state, promise(S2, "5.1"))
    assert free(outbound) == asks_to_accept("5.1", "old")

    _, outbound = play(state, accepted(S1, "5.1", "old"), accepted(S2, "5.1", "old"))
    assert free(outbound) == tells_all("5.1", "old", own=False)


def test_a_stalled_read_that_finds_nothing_after_all_reports_as_a_read() -> None:
    state, outbound = play(SEEN_ROUND_4, A_READ, *STALLS, promise(S2, "5.1"), promise(S3, "5.1"))

    assert free(outbound) == (Tell(NotYetChosen(A_READ.id)),)
    assert state.phase == Idle()


def test_a_stalled_read_never_calls_a_value_its_own() -> None:
    """Not even one that it finds under a ballot of its own."""
    found = proposal("5.1", "old")
    state, _ = play(SEEN_ROUND_4, A_READ, *STALLS, *overtaken("5.1", by="6.2"))

    state, _ = play(state, promise(S1, "7.1", found), promise(S2, "7.1"))
    _, outbound = play(state, accepted(S1, "7.1", "old"), accepted(S2, "7.1", "old"))

    assert free(outbound) == tells_all("7.1", "old", own=False)


# Done: once, and whose value


def test_its_own_value_found_again_under_its_own_earlier_ballot_is_still_its_own() -> None:
    _, outbound = play(
        accepting_mine(),
        *(accepted(S1, "1.1"), *overtaken("1.1", by="2.3")),
        *(promise(S1, "3.1", proposal("1.1", "mine")), promise(S2, "3.1")),
        *(accepted(S1, "3.1"), accepted(S2, "3.1")),
    )

    assert free(outbound) == tells_all("3.1", "mine", own=True)


def test_a_foreign_value_that_it_adopted_earlier_itself_is_not_its_own() -> None:
    found = proposal("2.3", "x")
    _, outbound = play(
        SEEN_ROUND_4,
        *(Propose("mine"), promise(S1, "5.1"), promise(S2, "5.1", found), accepted(S1, "5.1", "x")),
        *overtaken("5.1", by="6.3"),
        *(promise(S1, "7.1", proposal("5.1", "x")), promise(S2, "7.1", found)),
        *(accepted(S1, "7.1", "x"), accepted(S2, "7.1", "x")),
    )

    assert free(outbound) == tells_all("7.1", "x", own=False)


def test_a_value_found_under_the_ballot_of_a_rival_is_not_its_own() -> None:
    _, outbound = play(
        FRESH,
        *(Propose("mine"), *overtaken("1.1", by="2.3")),
        *(promise(S2, "3.1"), promise(S3, "3.1", proposal("2.3", "x"))),
        *(accepted(S2, "3.1", "x"), accepted(S3, "3.1", "x")),
    )

    assert free(outbound) == tells_all("3.1", "x", own=False)


def test_a_value_from_before_its_own_restart_is_not_its_own() -> None:
    _, outbound = play(
        SEEN_ROUND_4,
        *(Propose("mine"), promise(S1, "5.1", proposal("4.1", "old")), promise(S2, "5.1")),
        *(accepted(S1, "5.1", "old"), accepted(S2, "5.1", "old")),
    )

    assert free(outbound) == tells_all("5.1", "old", own=False)


def test_a_value_that_another_server_tells_is_not_its_own() -> None:
    state, outbound = receive(accepting_mine(), From(S2, Chosen(ballot("2.2"), "theirs")))

    assert free(outbound) == tells_all("2.2", "theirs", own=False)
    assert state.phase == Done(ballot("2.2"), "theirs", own=False)


@pytest.mark.parametrize("asked", [Propose("mine"), Inquire()], ids=repr)
def test_a_proposer_at_work_that_is_told_the_choice_announces_it(asked: ClientRequest[str]) -> None:
    state, _ = receive(FRESH, asked)

    _, outbound = receive(state, From(S2, Chosen(ballot("2.2"), "theirs")))

    assert free(outbound) == tells_all("2.2", "theirs", own=False)


def test_an_idle_proposer_believes_what_another_server_tells() -> None:
    _, outbound = receive(FRESH, From(S2, Chosen(ballot("2.2"), "theirs")))

    assert free(outbound) == (Tell(Done(ballot("2.2"), "theirs", own=False)),)


def test_once_done_nothing_moves_it_and_nothing_is_said() -> None:
    done, _ = play(accepting_mine(), accepted(S1, "1.1"), accepted(S2, "1.1"))

    for event in (
        *(accepted(S3, "1.1"), accepted(S1, "1.1"), promise(S3, "1.1")),
        *(nack(S3, "1.1", "9.3"), wake("1.1"), wake("2.1")),
        *(From(S1, Chosen(ballot("1.1"), "mine")), From(S2, Chosen(ballot("2.2"), "mine"))),
    ):
        assert ignores(done, event)


def test_a_proposal_after_that_is_told_what_was_chosen() -> None:
    done, _ = play(accepting_mine(), accepted(S1, "1.1"), accepted(S2, "1.1"))

    for request in (Propose("mine"), Propose("more"), Inquire()):
        after, outbound = receive(done, request)
        assert after is done
        assert free(outbound) == (Tell(Done(ballot("1.1"), "mine", own=False)),)


def test_a_proposal_while_at_work_is_an_error_that_names_the_ballot() -> None:
    state = accepting_mine()

    for request in (Propose("more"), Inquire()):
        with pytest.raises(Busy, match=r"ballot 1\.1 is still in progress") as error:
            receive(state, request)
        assert error.value.ballot == ballot("1.1")
    assert state == accepting_mine()


# Quorum systems: who must promise, who must accept


LOOK_4_CHOOSE_2 = flexible(FIVE.members, phase1=4, phase2=2)
LOOK_1_CHOOSE_5 = flexible(FIVE.members, phase1=1, phase2=5)
HEAVY_S1 = weighted({S1: 3, S2: 1, S3: 1})
HEAVIER_S4 = weighted({S1: 1, S2: 1, S3: 1, S4: 2})
GRID = explicit(phase1=[[S1, S2], [S3, S4]], phase2=[[S1, S3], [S2, S4]])


@pytest.mark.parametrize(
    ("quorum", "promisers", "acceptors"),
    [
        pytest.param(THREE, (S2, S3), (S1, S3), id="majority"),
        pytest.param(LOOK_4_CHOOSE_2, (S1, S2, S3, S4), (S4, S5), id="look 4, choose 2"),
        pytest.param(LOOK_1_CHOOSE_5, (S3,), (S1, S2, S3, S4, S5), id="look 1, choose 5"),
        pytest.param(HEAVY_S1, (S1,), (S1,), id="3 of 5 by S1 alone"),
        pytest.param(HEAVIER_S4, (S1, S4), (S2, S4), id="3 of 5 with S4"),
        pytest.param(HEAVIER_S4, (S1, S2, S3), (S1, S2, S3), id="3 of 5 without S4"),
        pytest.param(GRID, (S3, S4), (S2, S4), id="grid"),
    ],
)
def test_every_quorum_system_counts_promises_and_acceptances_in_its_own_way(
    quorum: QuorumSystem, promisers: tuple[ServerId, ...], acceptors: tuple[ServerId, ...]
) -> None:
    *first_promises, last_promise = (promise(sender, "1.1") for sender in promisers)
    *first_votes, last_vote = (accepted(sender, "1.1") for sender in acceptors)
    fresh: Proposer[str] = Proposer(S1, quorum)

    waiting, _ = play(fresh, Propose("mine"), *first_promises)
    accepting, asked = receive(waiting, last_promise)
    voting, _ = play(accepting, *first_votes)
    _, told = receive(voting, last_vote)

    assert isinstance(waiting.phase, Preparing)
    assert free(asked) == asks_to_accept("1.1", "mine")
    assert isinstance(voting.phase, Accepting)
    assert free(told) == tells_all("1.1", "mine", own=True)


@pytest.mark.parametrize(
    ("quorum", "refusers"),
    [
        pytest.param(LOOK_4_CHOOSE_2, (S4, S5), id="look 4, choose 2"),
        pytest.param(LOOK_1_CHOOSE_5, (S1, S2, S3, S4, S5), id="look 1, choose 5"),
        pytest.param(HEAVY_S1, (S1,), id="3 of 5 by S1 alone"),
        pytest.param(HEAVIER_S4, (S1, S4), id="3 of 5 with S4"),
        pytest.param(GRID, (S2, S3), id="grid"),
    ],
)
def test_refusals_that_leave_no_phase_1_quorum_start_over_at_the_first_wake_up(
    quorum: QuorumSystem, refusers: tuple[ServerId, ...]
) -> None:
    fresh: Proposer[str] = Proposer(S1, quorum)
    refusals = [nack(sender, "1.1", "2.5") for sender in refusers]

    _, still_possible = play(fresh, Propose("mine"), *refusals[1:], wake("1.1"))
    _, lost = play(fresh, Propose("mine"), *refusals, wake("1.1"))

    assert free(still_possible) == asks_to_prepare("1.1", attempt=1)
    assert sealed(lost, MaxRound(3)) == asks_to_prepare("3.1", attempt=1)


def test_in_phase_2_only_phase_2_quorums_matter() -> None:
    state, _ = play(
        Proposer(S1, LOOK_4_CHOOSE_2),
        *(Propose("mine"), *(promise(sender, "1.1") for sender in (S1, S2, S3, S4))),
        *(nack(sender, "1.1", "2.5") for sender in (S3, S4, S5)),
    )

    _, possible = receive(state, wake("1.1"))
    _, lost = play(state, nack(S2, "1.1", "2.5"), wake("1.1"))

    assert free(possible) == (
        *asks_to_accept("1.1", "mine"),
        SetTimer(RetryTimer(ballot("1.1")), 1),
    )
    assert sealed(lost, MaxRound(3)) == asks_to_prepare("3.1", attempt=1)


# Any value


@pytest.mark.parametrize("found", [False, True], ids=["its own", "found"])
@pytest.mark.parametrize("value", ANY_VALUES, ids=type)
def test_any_value_passes_through_untouched(value: object, found: bool) -> None:
    state: Proposer[object] = Proposer(S1, THREE, max_round=4)
    shown = Proposal(ballot("2.3"), value) if found else None
    events: tuple[Event[object], ...] = (
        Propose(Untouchable() if found else value),
        RetryTimer(ballot("5.1")),
        From(S1, Promise(ballot("5.1"), shown)),
        From(S2, Promise(ballot("5.1"), shown)),
        From(S3, Nack(ballot("5.1"), ballot("6.3"))),
        RetryTimer(ballot("5.1")),
        From(S1, Accepted(ballot("5.1"), value)),
        From(S2, Accepted(ballot("5.1"), value)),
        Propose(Untouchable()),
    )
    spoken: list[Accept[object] | Chosen[object] | Done[object]] = []
    for event in events:
        state, outbound = receive(state, event)
        for effect in opened(outbound):
            if isinstance(effect, Broadcast) and isinstance(effect.message, Accept | Chosen):
                spoken.append(effect.message)
            elif isinstance(effect, Tell) and isinstance(effect.report, Done):
                spoken.append(effect.report)

    assert [type(words) for words in spoken] == [Accept, Accept, Chosen, Done, Done]
    assert all(words.value is value for words in spoken)
