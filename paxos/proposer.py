"""The proposer: gets a value chosen, its own or the one that it finds.

Source: the lecture, "The protocol" and "Liveness"; "Paxos Made Simple", section 2.2, P2c.

- Preparing: ask all for a promise, under a ballot above every round seen and saved before use.
- With promises of a phase-1 quorum: continue with the value of the *highest* accepted proposal
  among them, else with its own. An inquiry has no value of its own: finding none ends it.
- Accepting: ask all to accept. With acceptances of a phase-2 quorum the value is chosen.
- A Nack aborts nothing while a quorum is still possible; the next round goes above what it named.
- A retry sends the same ballot again, once. After that it starts a new round, with the *original*
  value, but only if refused; at once if no quorum is possible any more.
- Replies to another ballot and those of non-members change nothing; repeated ones count once.
- A proposer with a ballot in progress that receives Chosen announces it; server.py says why.
- A read queries first, see reader.py. If it stalls it goes on as an inquiry, and backs off as one.
- Nothing is accepted under a ballot before its Accept is sent, nor reported in a promise of a lower
  ballot. A reply that says so proves that a ballot was used twice.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from attrs import evolve

from paxos import reader
from paxos.acceptor import Acceptor
from paxos.ballot import Ballot, Proposal, ServerId, V
from paxos.errors import Busy, assert_never
from paxos.invariants import one_value_per_ballot, promise_covers_accepted, unused_while_preparing
from paxos.learner import Learner
from paxos.messages import (
    Accept,
    Accepted,
    Answer,
    Chosen,
    From,
    Nack,
    Prepare,
    Promise,
    Query,
    Reply,
)
from paxos.outbound import NO_MESSAGES, AfterSave, Broadcast, Now, Outbound, SetTimer, Tell
from paxos.quorum import NO_SERVERS, QuorumSystem
from paxos.reader import NotYetChosen, Querying, QueryTimer, Read
from paxos.values import frozen


@final
@frozen
class Propose(Generic[V]):
    """Get a value chosen: ``value``, unless another one may be chosen already."""

    value: V


@final
@frozen
class Inquire:
    """Run the protocol to find out what is chosen, and complete a value that may be.

    Slower than a Read, and it delays rivals; but its report holds for all lower ballots.
    """


ClientRequest: TypeAlias = Propose[V] | Inquire | Read
"""What the program can request of a proposer."""


@final
@frozen
class RetryTimer:
    """Time to retry under ``ballot``; stale under any other ballot."""

    ballot: Ballot


@final
@frozen
class MaxRound:
    """The record that makes a round safe to use: ``round`` and all below are never used again."""

    round: int


@final
@frozen
class Task(Generic[V]):
    """The request in progress, kept unchanged through all rounds.

    ``attempt`` counts the retries so far. A proposal found under a ballot of this server carries
    the requested value only from round ``own_from`` on. Earlier ballots carried the value of an
    earlier request, or an adopted one.
    """

    request: ClientRequest[V]
    attempt: int
    own_from: int


@final
@frozen
class Idle:
    """No request is in progress."""


@final
@frozen
class Preparing(Generic[V]):
    """Phase 1: the servers that promised, those that refused, and the highest proposal found."""

    ballot: Ballot
    task: Task[V]
    answered: frozenset[ServerId] = NO_SERVERS
    refused: frozenset[ServerId] = NO_SERVERS
    resent: bool = False
    highest: Proposal[V] | None = None


@final
@frozen
class Accepting(Generic[V]):
    """Phase 2: the servers that have accepted ``value``, and those that refused."""

    ballot: Ballot
    task: Task[V]
    value: V
    own: bool
    answered: frozenset[ServerId] = NO_SERVERS
    refused: frozenset[ServerId] = NO_SERVERS
    resent: bool = False


@final
@frozen
class Done(Generic[V]):
    """``value`` is chosen. Also what the proposer reports to the program that embeds it.

    ``own``: the value was chosen under a ballot that carried the requested value. If not ``own``,
    it may still be that value: a rival can have completed it. A disk that was rolled back can make
    ``own`` wrong, since it uses a ballot twice. Include a unique id in the value to distinguish.
    """

    ballot: Ballot
    value: V
    own: bool


@final
@frozen
class NothingChosen:
    """Report on an inquiry: nothing was or will be chosen below ``ballot``."""

    ballot: Ballot


Working: TypeAlias = Preparing[V] | Accepting[V]
"""A ballot is in progress."""

Phase: TypeAlias = Idle | Querying[V] | Working[V] | Done[V]
"""What a proposer is doing."""


@final
@frozen
class Proposer(Generic[V]):
    """One server's proposer. ``max_round`` is the highest round that it has used or seen.

    After a crash, start again with the ``max_round`` of the last MaxRound record; the phase need
    not survive.
    """

    me: ServerId
    quorum: QuorumSystem
    max_round: int = 0
    phase: Phase[V] = Idle()


Event: TypeAlias = ClientRequest[V] | RetryTimer | QueryTimer | From[Reply[V]]
"""What can happen to a proposer: a request of the program, a timer, a reply."""

Report: TypeAlias = Done[V] | NothingChosen | NotYetChosen
"""What a proposer reports to the program that embeds it."""

Effect: TypeAlias = (
    Broadcast[Prepare | Accept[V] | Query | Chosen[V]]
    | SetTimer[RetryTimer]
    | SetTimer[QueryTimer]
    | Tell[Report[V]]
)
"""What a proposer wants done: send to all, set a timer, or report to the program."""

Step: TypeAlias = tuple[Proposer[V], Outbound[MaxRound, Effect[V]]]
"""The state after an event, and what leaves; a new round is saved first."""


def receive(state: Proposer[V], event: Event[V]) -> Step[V]:
    """Take one event.

    Raises Busy for a request while another one is in progress, and InvariantError if a reply shows
    that a ballot was used twice.
    """
    if type(event) is From:
        return _on_reply(state, event.sender, event.message)
    if type(event) is RetryTimer:
        return _on_retry_timer(state, event)
    if type(event) is QueryTimer:
        return _on_query_timer(state, event)
    if type(event) is Propose or type(event) is Inquire or type(event) is Read:
        return _on_client_request(state, event)
    assert_never(event)


def observe(state: Proposer[V], seen: Ballot) -> Proposer[V]:
    """Keep the next round above that of ``seen``, which some server uses."""
    if seen.round <= state.max_round:
        return state
    return Proposer(state.me, state.quorum, seen.round, state.phase)


def waiting_for(state: Proposer[V], timer: RetryTimer) -> Working[V] | None:
    """The phase that set ``timer``, or None if the timer is stale."""
    phase = state.phase
    if type(phase) is Preparing or type(phase) is Accepting:
        return phase if timer.ballot == phase.ballot else None
    return None


def has_quorum_contact(state: Proposer[V]) -> bool:
    """Whether a quorum has answered the ballot in progress, with a Nack or otherwise.

    For an Accept that was not sent again yet, the promises before it show that.
    """
    phase = state.phase
    if type(phase) is Preparing:
        return state.quorum.is_phase1(phase.answered | phase.refused)
    if type(phase) is Accepting:
        return not phase.resent or state.quorum.is_phase2(phase.answered | phase.refused)
    return False


def defer(state: Proposer[V], phase: Working[V]) -> Step[V]:
    """Set the retry timer again and send nothing: let the leader proceed."""
    task = evolve(phase.task, attempt=phase.task.attempt + 1)
    timer = SetTimer(RetryTimer(phase.ballot), task.attempt)
    return _with_phase(state, evolve(phase, task=task)), Now((timer,))


def _on_client_request(state: Proposer[V], request: ClientRequest[V]) -> Step[V]:
    phase = state.phase
    if type(phase) is Done:
        return state, Now((Tell(Done(phase.ballot, phase.value, own=False)),))
    if type(phase) is not Idle:
        raise Busy(None if type(phase) is Querying else phase.ballot)
    if type(request) is Read:
        return _query(state, Querying(request.id, Learner(state.quorum)))
    return _start_round(state, Task(request, attempt=0, own_from=state.max_round + 1))


def _start_round(state: Proposer[V], task: Task[V]) -> Step[V]:
    ballot = Ballot(state.max_round + 1, state.me)
    state = Proposer(state.me, state.quorum, ballot.round, Preparing(ballot, task))
    messages = Broadcast(Prepare(ballot)), SetTimer(RetryTimer(ballot), task.attempt)
    return state, AfterSave(MaxRound(ballot.round), messages)


def _query(state: Proposer[V], read: Querying[V]) -> Step[V]:
    timer = SetTimer(QueryTimer(read.id), read.attempt)
    return _with_phase(state, read), Now((Broadcast(Query(read.id)), timer))


def _on_query_timer(state: Proposer[V], timer: QueryTimer) -> Step[V]:
    read = state.phase
    if type(read) is not Querying or read.id != timer.id:
        return state, NO_MESSAGES
    if reader.is_stalled(read):
        state = observe(state, reader.highest(read))
        task = Task[V](Read(read.id), read.attempt + 1, own_from=state.max_round + 1)
        return _start_round(state, task)
    return _query(state, reader.again(read))


def _on_reply(state: Proposer[V], sender: ServerId, reply: Reply[V]) -> Step[V]:
    phase = state.phase
    if type(phase) is Done or sender not in state.quorum.members:
        return state, NO_MESSAGES
    if type(reply) is Chosen:
        return _on_chosen(state, phase, reply)
    if type(reply) is Answer:
        return _on_answer(state, phase, sender, reply)
    if type(phase) is Idle or type(phase) is Querying or reply.ballot != phase.ballot:
        return state, NO_MESSAGES
    if type(reply) is Nack:
        return _on_nack(state, phase, sender, reply.promised)
    if type(reply) is Promise:
        return _on_promise(state, phase, sender, reply)
    if type(reply) is Accepted:
        return _on_accepted(state, phase, sender, reply.value)
    assert_never(reply)


def _on_chosen(state: Proposer[V], phase: Phase[V], chosen: Chosen[V]) -> Step[V]:
    if type(phase) is Preparing or type(phase) is Accepting:
        _check_carried(phase, Proposal(chosen.ballot, chosen.value))
        own = _is_own(state, phase.task, chosen.ballot)
        return _finish(state, Done(chosen.ballot, chosen.value, own), Broadcast(chosen))
    # A read does not announce what it learns: servers that poll must stay cheap.
    return _finish(state, Done(chosen.ballot, chosen.value, own=False))


def _on_answer(state: Proposer[V], phase: Phase[V], sender: ServerId, answer: Answer[V]) -> Step[V]:
    if type(phase) is not Querying or answer.id != phase.id:
        return state, NO_MESSAGES
    outcome = reader.count(phase, sender, answer.accepted)
    if type(outcome) is Querying:
        return _with_phase(state, outcome), NO_MESSAGES
    if type(outcome) is NotYetChosen:
        return _with_phase(state, Idle()), Now((Tell(outcome),))
    if type(outcome) is Chosen:
        # Other servers may not know it yet: this one has counted the votes.
        done = Done(outcome.ballot, outcome.value, own=False)
        return _finish(state, done, Broadcast(outcome))
    assert_never(outcome)


def _check_carried(phase: Working[V], named: Proposal[V]) -> None:
    """Raise InvariantError if ``named`` contradicts what the ballot of ``phase`` carried."""
    if type(phase) is Preparing:
        unused_while_preparing(phase.ballot, named)
    elif type(phase) is Accepting:
        if named.ballot == phase.ballot:
            one_value_per_ballot(phase.ballot, phase.value, named.value)
    else:
        assert_never(phase)


def _on_promise(
    state: Proposer[V], phase: Working[V], sender: ServerId, promise: Promise[V]
) -> Step[V]:
    accepted = promise.accepted
    if accepted is not None:
        promise_covers_accepted(Acceptor(promise.ballot, accepted))
        _check_carried(phase, accepted)
    if type(phase) is not Preparing or sender in phase.answered:
        return state, NO_MESSAGES
    highest = phase.highest
    if accepted is not None:
        if highest is None or accepted.ballot > highest.ballot:
            highest = accepted
        elif accepted.ballot == highest.ballot:
            one_value_per_ballot(accepted.ballot, highest.value, accepted.value)
    answered = phase.answered | {sender}
    if state.quorum.is_phase1(answered):
        return _start_accepting(state, phase, highest)
    ballot, task, refused = phase.ballot, phase.task, phase.refused
    phase = Preparing(ballot, task, answered, refused, phase.resent, highest)
    return _with_phase(state, phase), NO_MESSAGES


def _start_accepting(state: Proposer[V], phase: Preparing[V], found: Proposal[V] | None) -> Step[V]:
    ballot, task = phase.ballot, phase.task
    if found is not None:
        value = found.value
        own = _is_own(state, task, found.ballot)
        if not own:
            task = evolve(task, own_from=ballot.round + 1)
    elif type(task.request) is Propose:
        value, own = task.request.value, True
    else:
        return _with_phase(state, Idle()), Now((Tell(_nothing_found(task.request, ballot)),))
    accepting = Accepting(ballot, task, value, own, refused=phase.refused)
    return _with_phase(state, accepting), Now((Broadcast(Accept(ballot, value)),))


def _nothing_found(request: Inquire | Read, ballot: Ballot) -> NothingChosen | NotYetChosen:
    # Promises that name no proposal also answer a query: they came after the read began.
    return NotYetChosen(request.id) if type(request) is Read else NothingChosen(ballot)


def _is_own(state: Proposer[V], task: Task[V], ballot: Ballot) -> bool:
    is_proposal = type(task.request) is Propose
    return is_proposal and ballot.server == state.me and ballot.round >= task.own_from


def _on_accepted(state: Proposer[V], phase: Working[V], sender: ServerId, value: V) -> Step[V]:
    _check_carried(phase, Proposal(phase.ballot, value))
    if type(phase) is not Accepting or sender in phase.answered:
        return state, NO_MESSAGES
    answered = phase.answered | {sender}
    if state.quorum.is_phase2(answered):
        done = Done(phase.ballot, phase.value, phase.own)
        return _finish(state, done, Broadcast(Chosen(phase.ballot, phase.value)))
    ballot, task, refused = phase.ballot, phase.task, phase.refused
    phase = Accepting(ballot, task, phase.value, phase.own, answered, refused, phase.resent)
    return _with_phase(state, phase), NO_MESSAGES


def _on_nack(state: Proposer[V], phase: Working[V], sender: ServerId, promised: Ballot) -> Step[V]:
    phase = evolve(phase, refused=phase.refused | {sender})
    return observe(_with_phase(state, phase), promised), NO_MESSAGES


def _finish(state: Proposer[V], done: Done[V], *news: Broadcast[Chosen[V]]) -> Step[V]:
    return _with_phase(state, done), Now((*news, Tell(done)))


def _on_retry_timer(state: Proposer[V], timer: RetryTimer) -> Step[V]:
    phase = waiting_for(state, timer)
    if phase is None:
        return state, NO_MESSAGES
    task = evolve(phase.task, attempt=phase.task.attempt + 1)
    if phase.refused and (phase.resent or not _can_win(state.quorum, phase)):
        return _start_round(state, task)
    again = Prepare(phase.ballot) if type(phase) is Preparing else Accept(phase.ballot, phase.value)
    phase = evolve(phase, task=task, resent=True)
    return _with_phase(state, phase), Now((Broadcast(again), SetTimer(timer, task.attempt)))


def _can_win(quorum: QuorumSystem, phase: Working[V]) -> bool:
    possible = (quorum.members - phase.refused) | phase.answered
    if type(phase) is Preparing:
        return quorum.is_phase1(possible)
    return quorum.is_phase2(possible)


def _with_phase(state: Proposer[V], phase: Phase[V]) -> Proposer[V]:
    return Proposer(state.me, state.quorum, state.max_round, phase)
