"""A server: which role gets what, who knows tells, and what survives a crash.

Last, servers decide together, over a network and disks that fit on half a page.
"""

from __future__ import annotations

from collections import deque
from itertools import permutations, product
from typing import Generic

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    Busy,
    Chosen,
    Done,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    InvariantError,
    MaxRound,
    Message,
    Nack,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Query,
    QueryTimer,
    QuorumSystem,
    Read,
    ReadId,
    RetryTimer,
    Server,
    ServerId,
    SetTimer,
    Tell,
    To,
    UnknownServer,
    election,
)
from paxos.ballot import V
from paxos.invariants import AgreementBroken, acceptor_monotonic, durable_before_sent
from paxos.proposer import Accepting, Idle, Preparing, defer
from paxos.server import Effect, Event, Record, Report, ServerTimer, receive, start
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
    ballot,
    free,
    opened,
    sealed,
)

B11, B21, B22, B33 = map(ballot, ["1.1", "2.1", "2.2", "3.3"])


def after(state: Server[str], *events: Event[str]) -> Server[str]:
    """The server after these events."""
    for event in events:
        state, _ = receive(state, event)
    return state


def said(state: Server[str], event: Event[str]) -> tuple[Effect[str], ...]:
    """What the server says at once to this event."""
    return free(receive(state, event)[1])


def restarted(*records: Record[str]) -> Server[str]:
    """S1, from these records."""
    return start(S1, THREE, records)


def promises(number: Ballot, *senders: ServerId) -> list[Event[str]]:
    """From these servers, who have accepted nothing."""
    return [From(sender, Promise[str](number, None)) for sender in senders]


def votes(number: Ballot, value: str, *senders: ServerId) -> list[Event[str]]:
    """From these servers."""
    return [From(sender, Accepted(number, value)) for sender in senders]


READ = Read(ReadId(7, 1))
NEW = restarted()
PREPARING = after(NEW, Propose("a"))
ACCEPTING = after(PREPARING, *promises(B11, S1, S2))
DONE = after(ACCEPTING, *votes(B11, "a", S1, S2))
TOLD = after(NEW, From(S2, Chosen(B22, "b")))
READING = after(NEW, READ)
INQUIRING = after(NEW, Inquire())
STATES = {
    "new": NEW,
    "reading": READING,
    "preparing": PREPARING,
    "accepting": ACCEPTING,
    "done": DONE,
    "told": TOLD,
}


# To start


def test_a_new_server_knows_nothing() -> None:
    assert NEW.acceptor == Acceptor()
    assert (NEW.proposer.me, NEW.proposer.max_round, NEW.proposer.phase) == (S1, 0, Idle())
    assert (NEW.learner.tallies, NEW.learner.choice) == ((), None)
    assert NEW.election == election.Election(S1, THREE.members)
    assert NEW.proposer.quorum is NEW.learner.quorum is THREE


def test_a_server_that_is_no_member_cannot_start() -> None:
    with pytest.raises(UnknownServer) as refusal:
        start(NON_MEMBER, THREE)
    assert (refusal.value.server, refusal.value.members) == (NON_MEMBER, THREE.members)


OLD, LATEST = Acceptor[str](B11), Acceptor(B22, Proposal(B22, "a"))


@pytest.mark.parametrize(
    ("records", "memory", "max_round"),
    [
        ([OLD], OLD, 0),
        ([MaxRound(5)], Acceptor[str](), 5),
        ([OLD, LATEST], LATEST, 0),
        ([MaxRound(4), MaxRound(5)], Acceptor[str](), 5),
        ([OLD, MaxRound(4), LATEST, MaxRound(5)], LATEST, 5),
        ([MaxRound(4), MaxRound(5), OLD, LATEST], LATEST, 5),
    ],
)
def test_a_server_starts_again_from_the_latest_record_of_each_kind(
    records: list[Record[str]], memory: Acceptor[str], max_round: int
) -> None:
    state = start(S1, THREE, iter(records))
    assert state.acceptor == memory
    assert state.proposer.max_round == max_round
    assert (state.proposer.phase, state.learner, state.election) == (
        Idle(),
        NEW.learner,
        NEW.election,
    )


@pytest.mark.parametrize("promised", [Acceptor[str]().promised, B11, B21, B22], ids=str)
def test_a_server_does_not_start_from_a_record_that_cannot_be(promised: Ballot) -> None:
    """Accepting promises, so nothing is ever accepted above the promise."""
    record = Acceptor(promised, Proposal(B21, "a"))
    if promised >= B21:
        assert restarted(record).acceptor is record
        return
    with pytest.raises(InvariantError, match=f"2.1 was accepted above the promise {promised}"):
        restarted(record)


# Each event goes to its role


def test_prepare_goes_to_the_acceptor() -> None:
    """Its answer goes to whoever asked, under the seal of the acceptor's record."""
    state, outbound = receive(NEW, From(S2, Prepare(B22)))
    assert sealed(outbound, Acceptor(B22)) == (To(S2, Promise[str](B22, None)),)
    assert state.acceptor == Acceptor(B22)
    assert (state.proposer, state.learner, state.election) == (
        NEW.proposer,
        NEW.learner,
        NEW.election,
    )
    again, outbound = receive(state, From(S2, Prepare(B22)))
    assert sealed(outbound, Acceptor(B22)) == (To(S2, Promise[str](B22, None)),)
    assert isinstance(outbound, AfterSave)
    assert outbound.record is again.acceptor is state.acceptor


def test_accept_goes_to_the_acceptor() -> None:
    state, outbound = receive(NEW, From(S2, Accept(B22, "b")))
    record = Acceptor(B22, Proposal(B22, "b"))
    assert sealed(outbound, record) == (To(S2, Accepted(B22, "b")),)
    assert state.acceptor == record


@pytest.mark.parametrize("request_", [Prepare(B11), Accept(B11, "a")])
def test_a_refusal_waits_for_nothing(request_: Prepare | Accept[str]) -> None:
    state = after(NEW, From(S2, Prepare(B22)))
    assert said(state, From(S3, request_)) == (To(S3, Nack(B11, B22)),)


def test_promises_go_to_the_proposer() -> None:
    state = after(PREPARING, *promises(B11, S1))
    assert said(state, From(S2, Promise[str](B11, None))) == (Broadcast(Accept(B11, "a")),)
    assert isinstance(ACCEPTING.proposer.phase, Accepting)


def test_refusals_go_to_the_proposer() -> None:
    state, outbound = receive(PREPARING, From(S2, Nack(B11, B33)))
    assert free(outbound) == ()
    assert isinstance(state.proposer.phase, Preparing)
    assert state.proposer.phase.refused == {S2}
    assert state.proposer.max_round == 3


def test_acceptances_go_to_the_proposer_and_to_the_learner() -> None:
    state = after(ACCEPTING, *votes(B11, "a", S1))
    state, outbound = receive(state, From(S3, Accepted(B11, "a")))
    assert free(outbound) == (Broadcast(Chosen(B11, "a")), Tell(Done(B11, "a", own=True)))
    assert state.proposer.phase == Done(B11, "a", own=True)
    assert state.learner.choice is not None
    assert state.learner.choice.chosen == Chosen(B11, "a")
    assert state.learner.choice.voters == {S1, S3}


@pytest.mark.parametrize(
    ("state", "announces"),
    [(NEW, False), (READING, False), (PREPARING, True), (INQUIRING, True), (ACCEPTING, True)],
    ids=["new", "reading", "preparing", "inquiring", "accepting"],
)
def test_news_goes_to_the_learner_and_is_reported_once(state: Server[str], announces: bool) -> None:
    """A proposer at work announces what it is told. A read does not, nor a bystander."""
    news = From(S3, Chosen(B33, "c"))
    announcement = (Broadcast(news.message),) if announces else ()
    assert said(state, news) == (*announcement, Tell(Done(B33, "c", own=False)))
    state = after(state, news)
    assert state.learner.choice is not None
    assert state.learner.choice.chosen == Chosen(B33, "c")
    assert said(state, news) == ()


def test_heartbeats_go_to_the_election() -> None:
    state, outbound = receive(NEW, From(S3, Heartbeat()))
    assert free(outbound) == ()
    assert election.leader(state.election) == S3


def test_propose_prepares_above_a_round_that_is_saved_first() -> None:
    state, outbound = receive(NEW, Propose("a"))
    assert sealed(outbound, MaxRound(1)) == (
        Broadcast(Prepare(B11)),
        SetTimer(RetryTimer(B11), 0),
        SetTimer(HeartbeatTimer(1), 0),
    )
    assert state.election == election.Election(S1, THREE.members, 1)


def test_inquire_prepares_too_and_may_find_nothing() -> None:
    state, outbound = receive(NEW, Inquire())
    assert sealed(outbound, MaxRound(1))[0] == Broadcast(Prepare(B11))
    state = after(state, *promises(B11, S1))
    assert said(state, From(S2, Promise[str](B11, None))) == (Tell(NothingChosen(B11)),)


def test_wake_sends_the_same_ballot_again() -> None:
    assert said(PREPARING, RetryTimer(B11)) == (
        Broadcast(Prepare(B11)),
        SetTimer(RetryTimer(B11), 1),
    )
    assert said(ACCEPTING, RetryTimer(B11)) == (
        Broadcast(Accept(B11, "a")),
        SetTimer(RetryTimer(B11), 1),
    )


@pytest.mark.parametrize("request_", [Propose("b"), Inquire()])
@pytest.mark.parametrize("state", [PREPARING, ACCEPTING], ids=["preparing", "accepting"])
def test_one_thing_at_a_time(state: Server[str], request_: Propose[str] | Inquire) -> None:
    with pytest.raises(Busy, match=r"ballot 1\.1 is still in progress") as busy:
        receive(state, request_)
    assert busy.value.ballot == B11


# Who knows tells it

BY_VOTES = after(NEW, From(S2, Prepare(B22)), *votes(B22, "b", S2, S3))
BY_NEWS = after(NEW, From(S2, Prepare(B22)), From(S3, Chosen(B22, "b")))
"""Both have promised 2.2, and know of its choice."""

QUESTIONS: list[Message[str]] = [
    *(Prepare(number) for number in (B11, B22, B33)),
    *(Accept(number, value) for number, value in product((B11, B22, B33), "bc")),
    Query(READ.id),
    Heartbeat(),
]


@pytest.mark.parametrize("sender", [S1, S2, S3])
@pytest.mark.parametrize("message", QUESTIONS, ids=str)
@pytest.mark.parametrize("state", [BY_VOTES, BY_NEWS], ids=["by votes", "by news"])
def test_who_knows_answers_with_chosen(
    state: Server[str], message: Message[str], sender: ServerId
) -> None:
    """Below, at and above its promise, whoever asks, itself included; nothing else changes."""
    same, outbound = receive(state, From(sender, message))
    assert same is state
    assert free(outbound) == (To(sender, Chosen(B22, "b")),)


def test_who_learns_of_an_old_round_tells_everybody() -> None:
    """Its proposer has moved on to round 4 when the vote that completes 1.1 comes."""
    state = after(
        ACCEPTING, *votes(B11, "a", S1), From(S3, Nack(B11, B33)), RetryTimer(B11), RetryTimer(B11)
    )
    assert isinstance(state.proposer.phase, Preparing)
    assert state.proposer.phase.ballot == ballot("4.1")
    state, outbound = receive(state, From(S2, Accepted(B11, "a")))
    news = Chosen(B11, "a")
    assert free(outbound) == (Broadcast(news), Tell(Done(B11, "a", own=True)))
    assert said(state, From(S1, Prepare(ballot("4.1")))) == (To(S1, news),)
    assert said(state, From(S1, news)) == ()


def test_an_idle_server_that_counts_out_the_choice_tells_everybody() -> None:
    state = after(NEW, *votes(B22, "b", S2))
    assert said(state, From(S3, Accepted(B22, "b"))) == (
        Tell(Done(B22, "b", own=False)),
        Broadcast(Chosen(B22, "b")),
    )


def test_who_knows_reports_it_to_who_asks_for_more() -> None:
    """Nothing is prepared, nothing is queried and no heartbeat begins."""
    requests: list[Event[str]] = [Propose("z"), Inquire(), READ]
    for request in requests:
        assert said(DONE, request) == (Tell(Done(B11, "a", own=False)),)
        assert said(TOLD, request) == (Tell(Done(B22, "b", own=False)),)


# Non-members, and servers that break the protocol

WORDS: list[Message[str]] = [
    Prepare(B33),
    Accept(B33, "z"),
    Promise(B11, None),
    Promise(B11, Proposal(B11, "z")),
    Accepted(B11, "a"),
    Accepted(B11, "z"),
    Nack(B11, B33),
    Query(READ.id),
    Answer(READ.id, None),
    Answer(READ.id, Proposal(B11, "z")),
    Chosen(B11, "z"),
    Heartbeat(),
]


@pytest.mark.parametrize("message", WORDS, ids=str)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_non_members_are_ignored(state: Server[str], message: Message[str]) -> None:
    """They get no answer, count for nothing and prove nothing."""
    same, outbound = receive(state, From(NON_MEMBER, message))
    assert same is state
    assert free(outbound) == ()


def test_a_second_choice_is_an_error() -> None:
    """Told by a member, or found in the votes; the server can still tell what it knew."""
    with pytest.raises(AgreementBroken) as broken:
        receive(DONE, From(S2, Chosen(B22, "b")))
    assert broken.value.first.voters == {S1, S2}
    state = after(DONE, *votes(B22, "b", S2))
    with pytest.raises(AgreementBroken):
        receive(state, From(S3, Accepted(B22, "b")))
    assert said(state, From(S3, Prepare(B33))) == (To(S3, Chosen(B11, "a")),)


def test_a_ballot_with_two_values_is_an_error() -> None:
    state = after(ACCEPTING, *votes(B11, "a", S1))
    with pytest.raises(InvariantError, match=r"ballot 1\.1 carries both 'a' and 'b'"):
        receive(state, From(S2, Accepted(B11, "b")))
    assert said(state, From(S2, Accepted(B11, "a")))[0] == Broadcast(Chosen(B11, "a"))


# Reads


def told(sender: ServerId, accepted: Proposal[str] | None = None) -> Event[str]:
    """The answer to READ."""
    return From(sender, Answer(READ.id, accepted))


IN_FLIGHT = Proposal(B22, "b")
STALLED = after(READING, *[told(S1, IN_FLIGHT), told(S2), QueryTimer(READ.id)] * 2)


def test_a_read_queries_without_a_record_or_a_heartbeat() -> None:
    state, outbound = receive(NEW, READ)
    query = Broadcast(Query(READ.id)), SetTimer(QueryTimer(READ.id), 0)
    assert free(outbound) == query
    assert said(state, QueryTimer(READ.id)) == (query[0], SetTimer(QueryTimer(READ.id), 1))
    assert said(state, HeartbeatTimer(0)) == said(state, HeartbeatTimer(1)) == ()


def test_a_query_goes_to_the_acceptor() -> None:
    state, outbound = receive(NEW, From(S2, Query(READ.id)))
    assert state == NEW
    assert free(outbound) == (To(S2, Answer[str](READ.id, None)),)
    accepted = after(NEW, From(S2, Accept(B22, "b")))
    _, outbound = receive(accepted, From(S3, Query(READ.id)))
    assert sealed(outbound, accepted.acceptor) == (To(S3, Answer(READ.id, IN_FLIGHT)),)


def test_a_query_promises_nothing() -> None:
    """A proposal goes on as if there were no readers."""
    state = after(NEW, From(S2, Query(READ.id)), From(S3, Query(READ.id)))
    assert state == NEW


def test_answers_of_nothing_end_a_read() -> None:
    state = after(READING, told(S2))
    assert said(state, told(S3)) == (Tell(NotYetChosen(READ.id)),)
    assert after(state, told(S3)) == NEW


def test_answers_that_name_one_ballot_end_a_read_and_the_learner_knows_too() -> None:
    state = after(READING, told(S2, IN_FLIGHT))
    state, outbound = receive(state, told(S3, IN_FLIGHT))
    assert free(outbound) == (Broadcast(Chosen(B22, "b")), Tell(Done(B22, "b", own=False)))
    assert state.learner.choice is not None
    assert state.learner.choice.voters == {S2, S3}


def test_answers_and_votes_add_up() -> None:
    """Each is the word of an acceptor that it accepted."""
    state = after(READING, *votes(B22, "b", S3))
    assert said(state, told(S2, IN_FLIGHT)) == (
        Tell(Done(B22, "b", own=False)),
        Broadcast(Chosen(B22, "b")),
    )


def test_late_answers_are_votes_too() -> None:
    state = after(PREPARING, told(S2, IN_FLIGHT))
    assert said(state, told(S3, IN_FLIGHT)) == (
        Broadcast(Chosen(B22, "b")),
        Tell(Done(B22, "b", own=False)),
    )


def test_answers_with_two_values_under_one_ballot_are_an_error() -> None:
    state = after(READING, told(S2, IN_FLIGHT))
    with pytest.raises(InvariantError, match="used twice"):
        receive(state, told(S3, Proposal(B22, "c")))


def test_a_read_that_has_stalled_runs_the_protocol_with_heartbeats() -> None:
    state = after(READING, *[told(S1, IN_FLIGHT), told(S2), QueryTimer(READ.id)])
    state = after(state, told(S1, IN_FLIGHT), told(S2), From(S2, Prepare(B22)))
    effects = sealed(receive(state, QueryTimer(READ.id))[1], MaxRound(3))
    prepared = ballot("3.1")
    assert effects == (
        Broadcast(Prepare(prepared)),
        SetTimer(RetryTimer(prepared), 2),
        SetTimer(HeartbeatTimer(1), 0),
    )


def test_a_stale_query_timer_starts_no_second_chain_of_beats() -> None:
    assert isinstance(STALLED.proposer.phase, Preparing)
    same, outbound = receive(STALLED, QueryTimer(READ.id))
    assert same == STALLED
    assert free(outbound) == ()


def test_one_thing_at_a_time_while_reading() -> None:
    requests: list[Event[str]] = [Propose("z"), Inquire(), Read(ReadId(7, 2))]
    for request in requests:
        with pytest.raises(Busy, match="a read is still in progress") as busy:
            receive(READING, request)
        assert busy.value.ballot is None


# Rounds start above what the own acceptor has promised

B73 = ballot("7.3")
PROMISED = after(NEW, From(S3, Prepare(B73)))


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (PROMISED, Propose("a")),
        (PROMISED, Inquire()),
        (restarted(Acceptor[str](B73)), Propose("a")),
        (restarted(Acceptor[str](B73), MaxRound(7)), Propose("a")),
        (restarted(MaxRound(7)), Propose("a")),
        (
            after(
                PREPARING,
                From(S3, Prepare(B73)),
                From(S2, Nack(B11, B22)),
                From(S3, Nack(B11, B22)),
            ),
            RetryTimer(B11),
        ),
    ],
    ids=["propose", "inquire", "restart", "restart, saved", "restart, used", "wake"],
)
def test_rounds_start_above_the_promise(state: Server[str], event: Event[str]) -> None:
    """Below it, the server would refuse itself."""
    effects = sealed(receive(state, event)[1], MaxRound(8))
    assert effects[0] == Broadcast(Prepare(ballot("8.1")))


# The heartbeat


def beats(effects: tuple[Effect[str], ...]) -> list[int]:
    """The numbers of the heartbeats for which a wake-up is asked."""
    wakes = [effect.timer for effect in effects if isinstance(effect, SetTimer)]
    return [wake.number for wake in wakes if isinstance(wake, HeartbeatTimer)]


REFUSED = after(PREPARING, From(S2, Nack(B11, B22)), From(S3, Nack(B11, B22)))
MIXED = after(PREPARING, From(S1, Promise[str](B11, None)), From(S3, Nack(B11, B22)))
ONE_ANSWER = after(PREPARING, From(S1, Promise[str](B11, None)))
ONE_REFUSAL = after(PREPARING, From(S3, Nack(B11, B22)))


@pytest.mark.parametrize(
    "state", [REFUSED, MIXED, ACCEPTING], ids=["refused", "mixed", "accepting"]
)
def test_who_is_at_work_and_hears_a_quorum_says_so(state: Server[str]) -> None:
    """And asks for the next beat, for as long as the work lasts."""
    for number in range(1, 4):
        state, outbound = receive(state, HeartbeatTimer(number))
        assert free(outbound) == (Broadcast(Heartbeat()), SetTimer(HeartbeatTimer(number + 1), 0))


AGAIN_ONE_VOTE = after(ACCEPTING, RetryTimer(B11), From(S1, Accepted(B11, "a")))
AGAIN_REFUSED = after(
    ACCEPTING, RetryTimer(B11), From(S2, Nack(B11, B22)), From(S3, Nack(B11, B22))
)


def test_whoever_is_refused_by_a_quorum_in_phase_2_says_so_too() -> None:
    assert said(AGAIN_REFUSED, HeartbeatTimer(1)) == (
        Broadcast(Heartbeat()),
        SetTimer(HeartbeatTimer(2), 0),
    )


@pytest.mark.parametrize(
    "state",
    [PREPARING, ONE_ANSWER, ONE_REFUSAL, AGAIN_ONE_VOTE],
    ids=["no answer", "promise", "refusal", "one vote, asked again"],
)
def test_who_hears_no_quorum_claims_nothing(state: Server[str]) -> None:
    """And yet asks for the next beat, and forgets the silent."""
    state = after(state, From(S2, Heartbeat()))
    for number in range(1, 4):
        state, outbound = receive(state, HeartbeatTimer(number))
        assert free(outbound) == (SetTimer(HeartbeatTimer(number + 1), 0),)
    assert state.election.heard == ()
    assert said(state, HeartbeatTimer(1)) == ()


@pytest.mark.parametrize("state", [PREPARING, ACCEPTING], ids=["preparing", "accepting"])
@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_a_beat_of_another_number_changes_nothing(state: Server[str], number: int) -> None:
    """Stale, repeated or never asked for; nobody is older for it."""
    state = after(state, HeartbeatTimer(1), From(S3, Heartbeat()))
    same, outbound = receive(state, HeartbeatTimer(number))
    assert same == state
    assert free(outbound) == ()


@pytest.mark.parametrize("hears", [False, True])
@pytest.mark.parametrize("state", [NEW, DONE, TOLD], ids=["new", "done", "told"])
def test_who_is_not_at_work_is_silent(state: Server[str], hears: bool) -> None:
    """The chain ends."""
    number = state.election.beat
    state = after(state, From(S3, Heartbeat())) if hears else state
    same, outbound = receive(state, HeartbeatTimer(number))
    assert same is state
    assert free(outbound) == ()


def test_there_is_one_chain_of_beats() -> None:
    """A request that comes before the last beat of the one before makes that beat stale."""
    state, outbound = receive(NEW, Inquire())
    assert beats(sealed(outbound, MaxRound(1))) == [1]
    state = after(state, *promises(B11, S1, S2))
    state, outbound = receive(state, Inquire())
    assert beats(sealed(outbound, MaxRound(2))) == [2]
    assert said(state, HeartbeatTimer(1)) == ()
    assert said(after(state, HeartbeatTimer(1)), HeartbeatTimer(2)) == (
        SetTimer(HeartbeatTimer(3), 0),
    )
    assert said(after(state, HeartbeatTimer(2)), HeartbeatTimer(2)) == ()


def test_the_chain_starts_again_after_its_end() -> None:
    state = after(NEW, Inquire(), *promises(B11, S1, S2), HeartbeatTimer(1))
    assert beats(sealed(receive(state, Propose("a"))[1], MaxRound(2))) == [2]
    state = after(state, Propose("a"))
    assert said(state, HeartbeatTimer(1)) == ()
    assert beats(said(state, HeartbeatTimer(2))) == [3]


def test_a_new_round_starts_no_second_chain() -> None:
    state = after(PREPARING, From(S2, Nack(B11, B22)), From(S3, Nack(B11, B22)))
    effects = sealed(receive(state, RetryTimer(B11))[1], MaxRound(3))
    assert effects == (Broadcast(Prepare(ballot("3.1"))), SetTimer(RetryTimer(ballot("3.1")), 1))


# Yielding


AGAIN = [(PREPARING, Prepare(B11)), (ACCEPTING, Accept(B11, "a"))]
"""Servers at work, and what they send again when they are woken."""


@pytest.mark.parametrize(("state", "again"), AGAIN, ids=["preparing", "accepting"])
@pytest.mark.parametrize("higher", [S2, S3])
def test_three_retries_out_of_four_yield_to_a_higher_server(
    state: Server[str], again: Prepare | Accept[str], higher: ServerId
) -> None:
    """Each of them counts, and nothing but the count changes."""
    state = after(state, From(higher, Heartbeat()))
    for attempt in range(12):
        asked = SetTimer(RetryTimer(B11), attempt + 1)
        assert isinstance(state.proposer.phase, Preparing | Accepting)
        waiting, _ = defer(state.proposer, state.proposer.phase)
        now, outbound = receive(state, RetryTimer(B11))
        if attempt in (3, 7, 11):
            assert free(outbound) == (Broadcast(again), asked)
        else:
            assert free(outbound) == (asked,)
            assert now == Server(state.acceptor, waiting, state.learner, state.election)
        state = now


@pytest.mark.parametrize(("state", "again"), AGAIN, ids=["preparing", "accepting"])
@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("higher", [S2, S3])
@pytest.mark.parametrize("silent", range(5))
def test_it_yields_until_two_whole_intervals_are_silent(
    state: Server[str],
    again: Prepare | Accept[str],
    attempt: int,
    higher: ServerId,
    silent: int,
) -> None:
    """The first of three beats ends an interval that had already begun."""
    state = after(state, *[RetryTimer(B11)] * attempt, From(higher, Heartbeat()))
    state = after(state, *(HeartbeatTimer(number) for number in range(1, silent + 1)))
    asked = SetTimer(RetryTimer(B11), attempt + 1)
    left = (asked,) if silent < 3 else (Broadcast(again), asked)
    assert said(state, RetryTimer(B11)) == left


def test_a_refused_server_that_yields_starts_over_at_its_turn() -> None:
    """The wake-ups that it slept over count for the next round too."""
    state = after(PREPARING, From(S2, Nack(B11, B33)), From(S3, Nack(B11, B33)))
    state = after(state, From(S3, Heartbeat()), *[RetryTimer(B11)] * 3)
    state, outbound = receive(state, RetryTimer(B11))
    number = ballot("4.1")
    assert sealed(outbound, MaxRound(4)) == (
        Broadcast(Prepare(number)),
        SetTimer(RetryTimer(number), 4),
    )
    assert said(state, RetryTimer(number)) == (SetTimer(RetryTimer(number), 5),)


def test_a_lower_server_is_left_nothing() -> None:
    highest = after(start(S3, THREE), Propose("a"))
    alone = said(highest, RetryTimer(ballot("1.3")))
    assert alone == (Broadcast(Prepare(ballot("1.3"))), SetTimer(RetryTimer(ballot("1.3")), 1))
    heard = after(highest, *(From(sender, Heartbeat()) for sender in (S1, S2, S3)))
    assert said(heard, RetryTimer(ballot("1.3"))) == alone


def test_yielding_stops_nothing_else() -> None:
    """Answers that come meanwhile count, and requests begin at once."""
    state = after(PREPARING, From(S3, Heartbeat()), RetryTimer(B11), *promises(B11, S1))
    assert said(state, From(S2, Promise[str](B11, None))) == (Broadcast(Accept(B11, "a")),)
    state = after(NEW, From(S3, Heartbeat()))
    assert sealed(receive(state, Propose("a"))[1], MaxRound(1))[0] == Broadcast(Prepare(B11))


HEARD = after(NEW, From(S3, Heartbeat()))
AWAKE = [after(state, Propose("a")) for state in (NEW, HEARD)]
OVER = [NEW, HEARD, DONE, TOLD, after(NEW, Inquire(), *promises(B11, S1, S2))]


@pytest.mark.parametrize(
    ("state", "number"),
    [
        *product(AWAKE, [ballot("0.1"), ballot("1.2"), B21]),
        *product([after(state, *promises(B11, S1, S2)) for state in AWAKE], [ballot("1.2"), B21]),
        *product(OVER, [B11, B22]),
    ],
)
def test_a_stale_wake_up_is_ignored(state: Server[str], number: Ballot) -> None:
    """It is not even counted or asked for again, whichever server leads."""
    same, outbound = receive(state, RetryTimer(number))
    assert same is state
    assert free(outbound) == ()


# What survives a crash


def test_a_promise_is_kept_over_a_restart() -> None:
    """Also by a server that promised only by accepting."""
    for promised in Prepare(B22), Accept(B22, "b"):
        _, outbound = receive(NEW, From(S2, promised))
        assert isinstance(outbound, AfterSave)
        state = restarted(outbound.record)
        assert said(state, From(S3, Prepare(B11))) == (To(S3, Nack(B11, B22)),)
        assert said(state, From(S3, Accept(B11, "c"))) == (To(S3, Nack(B11, B22)),)


def test_an_accepted_proposal_is_told_after_a_restart() -> None:
    _, outbound = receive(NEW, From(S2, Accept(B22, "b")))
    assert isinstance(outbound, AfterSave)
    accepted = Proposal(B22, "b")
    _, outbound = receive(restarted(outbound.record), From(S3, Prepare(B33)))
    assert sealed(outbound, Acceptor(B33, accepted)) == (To(S3, Promise(B33, accepted)),)


def test_a_ballot_is_not_used_again_after_a_restart() -> None:
    """However often the server crashes."""
    disk: list[Record[str]] = []
    for round_ in range(1, 5):
        _, outbound = receive(restarted(*disk), Propose("a"))
        effects = sealed(outbound, MaxRound(round_))
        assert effects[0] == Broadcast(Prepare(Ballot(round_, S1)))
        disk.append(MaxRound(round_))


# Servers decide

MEMBERS = S1, S2, S3


class World(Generic[V]):
    """A network that loses nothing, a disk and a clock for each server."""

    def __init__(self, quorum: QuorumSystem = THREE) -> None:
        self.quorum = quorum
        members = sorted(quorum.members)
        self.servers: dict[ServerId, Server[V]] = {me: start(me, quorum) for me in members}
        self.disks: dict[ServerId, list[Record[V]]] = {me: [] for me in members}
        self.reports: dict[ServerId, list[Report[V]]] = {me: [] for me in members}
        self.network = deque[tuple[ServerId, From[Message[V]]]]()
        self.wakes: list[tuple[ServerId, ServerTimer]] = []
        self.sent: list[Message[V]] = []

    def save(self, me: ServerId, record: Record[V]) -> None:
        """Make it durable."""
        self.disks[me].append(record)

    def restart(self, me: ServerId) -> None:
        """Nothing is left but the disk."""
        self.servers[me] = start(me, self.quorum, self.disks[me])
        self.wakes = [(who, wake) for who, wake in self.wakes if who != me]

    def step(self, me: ServerId, event: Event[V]) -> None:
        """Receive, save, release, send."""
        self.servers[me], outbound = receive(self.servers[me], event)
        if isinstance(outbound, AfterSave):
            self.save(me, outbound.record)
        for effect in opened(outbound):
            if isinstance(effect, Broadcast):
                for receiver in self.servers:
                    self.send(me, receiver, effect.message)
            elif isinstance(effect, To):
                self.send(me, effect.receiver, effect.message)
            elif isinstance(effect, SetTimer):
                self.wakes.append((me, effect.timer))
            else:
                self.reports[me].append(effect.report)

    def send(self, me: ServerId, receiver: ServerId, message: Message[V]) -> None:
        """Send what a crash at this moment would not make untrue."""
        revived = start(me, self.quorum, self.disks[me])
        if isinstance(message, Promise | Accepted):
            durable_before_sent(revived.acceptor, message)
        elif isinstance(message, Prepare) and message.ballot.round > revived.proposer.max_round:
            raise InvariantError(f"{message.ballot} is used before it is saved")
        self.sent.append(message)
        self.network.append((receiver, From(me, message)))

    def propose(self, me: ServerId, value: V) -> None:
        """From the request to the end."""
        self.step(me, Propose(value))
        self.settle()

    def deliver(self) -> None:
        """The next message, if there is one."""
        if self.network:
            self.step(*self.network.popleft())

    def deliver_all(self) -> None:
        """Every message, and those that it leads to."""
        while self.network:
            self.deliver()

    def settle(self) -> None:
        """Deliver everything; wake everybody who asked for it; again, until all is quiet."""
        for _ in range(100):
            self.deliver_all()
            due, self.wakes = self.wakes, []
            for me, wake in due:
                self.step(me, wake)
            if not self.network and not self.wakes:
                return
        raise AssertionError("the servers never came to rest")

    def values(self) -> list[V | None]:
        """What each server knows to be chosen."""
        choices = [each.learner.choice for each in self.servers.values()]
        return [choice and choice.chosen.value for choice in choices]


def test_three_servers_decide() -> None:
    """One proposes, all learn it, each reports it once."""
    world = World[str]()
    world.propose(S1, "a")
    assert world.values() == ["a", "a", "a"]
    assert world.reports == {
        S1: [Done(B11, "a", own=True)],
        S2: [Done(B11, "a", own=False)],
        S3: [Done(B11, "a", own=False)],
    }


def test_everything_is_saved_before_it_is_said() -> None:
    """Each promise, acceptance and round; and nothing else is saved."""
    world = World[str]()
    world.propose(S1, "a")
    said_by_all = [type(message) for message in world.sent]
    assert said_by_all.count(Promise) == said_by_all.count(Accepted) == 3
    promised, accepted = Acceptor[str](B11), Acceptor(B11, Proposal(B11, "a"))
    assert world.disks == {
        S1: [MaxRound(1), promised, accepted],
        S2: [promised, accepted],
        S3: [promised, accepted],
    }


class Forgetful(World[str]):
    """A world whose disks keep only one kind of record."""

    def __init__(self, kept: type[Record[str]]) -> None:
        super().__init__()
        self.kept = kept

    def save(self, me: ServerId, record: Record[str]) -> None:
        if isinstance(record, self.kept):
            super().save(me, record)


@pytest.mark.parametrize(
    ("kept", "message"),
    [(Acceptor, r"1\.1 is used before it is saved"), (MaxRound, "was sent while the disk held")],
)
def test_a_disk_that_forgets_is_noticed(kept: type[Record[str]], message: str) -> None:
    """So the checks of this world can fail."""
    world = Forgetful(kept)
    with pytest.raises(InvariantError, match=message):
        world.propose(S1, "a")
    assert world.values() == [None, None, None]


@pytest.mark.parametrize("order", list(permutations([S1, S2, S3])), ids=str)
def test_rivals_agree(order: tuple[ServerId, ...]) -> None:
    """All three propose at once; each reports the one choice, once."""
    world = World[str]()
    for me in order:
        world.step(me, Propose(f"of {me}"))
    world.settle()
    assert len(set(world.values())) == 1
    assert world.values()[0] in {"of 1", "of 2", "of 3"}
    assert [len(reports) for reports in world.reports.values()] == [1, 1, 1]


def test_a_bystander_hears_the_choice_from_a_proposer_that_lost() -> None:
    """S2 missed the announcement of S1; S3, which was told by S1, tells it."""
    world = World[str]()
    world.propose(S1, "a")
    world.restart(S2)
    world.restart(S3)
    assert world.values() == ["a", None, None]
    world.step(S3, Propose("c"))
    world.settle()
    assert world.values() == ["a", "a", "a"]


def test_a_read_ends_and_saves_nothing() -> None:
    world = World[str]()
    for me in MEMBERS:
        world.step(me, READ)
        world.settle()
    assert world.disks == {S1: [], S2: [], S3: []}
    assert world.reports == {me: [NotYetChosen(READ.id)] for me in MEMBERS}
    world.propose(S1, "a")
    world.restart(S2)
    world.step(S2, Read(ReadId(7, 2)))
    world.settle()
    assert world.reports[S2][-1] == Done(B11, "a", own=False)


def test_a_read_completes_what_was_left_half_done() -> None:
    """S1 goes down when S2 alone has accepted; S3 reads, and can learn it only by completing it."""
    world = World[str]()
    world.servers[S2] = after(world.servers[S2], From(S1, Accept(B11, "a")))
    world.save(S2, world.servers[S2].acceptor)
    world.step(S3, READ)
    world.settle()
    assert world.reports[S3] == [NotYetChosen(READ.id)]
    world.servers[S1] = start(S1, THREE, [Acceptor(B21, Proposal(B21, "b"))])
    world.step(S3, Read(ReadId(7, 2)))
    world.settle()
    assert world.reports[S3][-1] == Done(ballot("3.3"), "b", own=False)
    assert world.values() == ["b"] * 3


@pytest.mark.parametrize("value", ANY_VALUES, ids=type)
def test_any_value_is_decided(value: object) -> None:
    """What is proposed is handed on as it is, also to a server that must ask after a crash."""
    world = World[object]()
    world.propose(S1, value)
    world.restart(S2)
    world.step(S2, Inquire())
    world.settle()
    for me, times in (S1, 1), (S2, 2), (S3, 1):
        reports = world.reports[me]
        assert [type(report) for report in reports] == [Done] * times
        assert all(isinstance(report, Done) and report.value is value for report in reports)


@pytest.mark.parametrize("me", [S1, S2, S3])
@pytest.mark.parametrize("deliveries", range(16))
def test_a_crash_at_any_moment_breaks_nothing(me: ServerId, deliveries: int) -> None:
    """While S1 gets its value chosen, a server restarts and proposes another one.

    A decision takes 15 deliveries: five messages to or from each of three servers.
    """
    world = World[str]()
    world.step(S1, Propose("a"))
    for _ in range(deliveries):
        world.deliver()
    before, used = world.servers[me], [m.ballot for m in world.sent if isinstance(m, Prepare)]
    world.restart(me)
    acceptor_monotonic(before.acceptor, world.servers[me].acceptor)
    already = len(world.sent)
    world.step(me, Propose("b"))
    fresh = world.sent[already]
    assert isinstance(fresh, Prepare)
    assert fresh.ballot not in used
    assert fresh.ballot > before.acceptor.promised
    world.settle()
    for asks in MEMBERS:
        world.step(asks, Inquire())
        world.settle()
    assert world.values() in (["a"] * 3, ["b"] * 3)
    if Chosen(B11, "a") in world.sent:
        assert world.values() == ["a"] * 3


# A leader that is deaf


class DeafLeader(World[str]):
    """Five servers. S5 only sends heartbeats; the first Prepares of S1 are lost."""

    def __init__(self, lost: int) -> None:
        super().__init__(FIVE)
        self.to_lose = lost * len(FIVE.members)

    def send(self, me: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if me == S1 and isinstance(message, Prepare) and self.to_lose:
            self.to_lose -= 1
        elif receiver != S5:
            super().send(me, receiver, message)


@pytest.mark.parametrize("lost", range(4))
def test_a_deaf_leader_does_not_block_the_rest_for_ever(lost: int) -> None:
    """S5 keeps sending heartbeats; S1 gets its value chosen at a fourth retry.

    The first Prepare leaves at once. Each loss costs four wake-ups, since only one of them sends.
    """
    world = DeafLeader(lost)
    world.step(S1, Propose("of 1"))
    world.deliver_all()
    woken = 0
    for _ in range(4 * lost):
        assert world.reports[S1] == []
        due, world.wakes = world.wakes, []
        for me, wake in due:
            world.step(S1, From(S5, Heartbeat()))
            if (me, type(wake)) == (S1, RetryTimer):
                assert election.leader(world.servers[S1].election) == S5
                woken += 1
            world.step(me, wake)
            world.deliver_all()
    assert woken == 4 * lost
    assert world.reports[S1] == [Done(B11, "of 1", own=True)]
    assert [world.reports[me] for me in (S2, S3, S4)] == [[Done(B11, "of 1", own=False)]] * 3
    assert world.values() == ["of 1"] * 4 + [None]
