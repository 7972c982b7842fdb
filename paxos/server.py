"""A server: the three roles in one process, for one decision.

Source: the lecture, "The protocol", "Liveness" and "Who knows".

- Requests go to the acceptor, answers to the proposer. What an acceptor says that it accepted, in a
  vote or in an answer to a query, goes also to the learner.
- A server announces the choice to all when it has counted it out, and when a proposal or inquiry of
  its own learns it from another server. That one may have told nobody else: its announcement may
  have met a partition that is healed by now. Each server announces once, so this stays bounded.
- A read that is told the choice does not announce it: reads must stay cheap.
- Afterwards a server tells everybody who still asks or says that a proposal is under way. A server
  that asks nothing, and that every announcement missed, does not hear of the choice until it asks.
- A proposer that is woken while a higher server has a proposal under way leaves it the floor, most
  of the time.
- New rounds start above every promise that the server's own acceptor has made.
- A read sends no heartbeat while it only queries: it has no need that others yield.
- What survives a crash: the acceptor, and the round of the proposer. One step saves one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeAlias, final

from paxos import acceptor, election, invariants, learner, proposer
from paxos.acceptor import Acceptor
from paxos.ballot import ServerId, V
from paxos.election import Election, HeartbeatTimer
from paxos.errors import UnknownServer, assert_never
from paxos.learner import Learner
from paxos.messages import (
    Accept,
    Accepted,
    Answer,
    Chosen,
    From,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Query,
    Reply,
    Request,
)
from paxos.outbound import NO_MESSAGES, Broadcast, Now, Outbound, SetTimer, Tell, To
from paxos.proposer import (
    Accepting,
    Done,
    Inquire,
    MaxRound,
    Preparing,
    Propose,
    Proposer,
    RetryTimer,
)
from paxos.quorum import QuorumSystem
from paxos.reader import QueryTimer, Read
from paxos.values import frozen


@final
@frozen
class Server(Generic[V]):
    """The state of one server. ``start`` makes one; ``receive`` moves it on."""

    acceptor: Acceptor[V]
    proposer: Proposer[V]
    learner: Learner[V]
    election: Election


Record: TypeAlias = Acceptor[V] | MaxRound
"""What a server saves. The latest of each kind is what counts."""

ServerTimer: TypeAlias = RetryTimer | QueryTimer | HeartbeatTimer
"""What a SetTimer asks to have handed back."""

Event: TypeAlias = proposer.ClientRequest[V] | ServerTimer | From[Message[V]]
"""What can happen to a server: the program asks, time passes, a message arrives."""

Report: TypeAlias = proposer.Report[V]
"""What a server tells the program that embeds it."""

Effect: TypeAlias = (
    To[Message[V]] | Broadcast[Message[V]] | SetTimer[ServerTimer] | Tell[proposer.Report[V]]
)
"""What a server wants done: send, wake, or tell the program."""

Step: TypeAlias = tuple[Server[V], Outbound[Record[V], Effect[V]]]
"""The state after an event, and what leaves."""


def start(me: ServerId, quorum: QuorumSystem, records: Iterable[Record[V]] = ()) -> Server[V]:
    """A new server; or, from the records that it saved, the same server after a crash.

    Raises UnknownServer if ``me`` is no member, InvariantError for a record that no acceptor can
    have saved.
    """
    if me not in quorum.members:
        raise UnknownServer(me, quorum.members)
    memory, max_round = Acceptor[V](), MaxRound(0)
    for record in records:
        if type(record) is Acceptor:
            memory = record
        elif type(record) is MaxRound:
            max_round = record
        else:
            assert_never(record)
    invariants.promise_covers_accepted(memory)
    return Server(
        memory,
        Proposer(me, quorum, max_round.round),
        Learner(quorum),
        Election(me, quorum.members),
    )


def receive(state: Server[V], event: Event[V]) -> Step[V]:
    """Take one event.

    Raises Busy if asked for something new while at work, and InvariantError if what it hears
    proves that some server broke the protocol.
    """
    if type(event) is From:
        return _hear(state, event.sender, event.message)
    if type(event) is RetryTimer:
        return _wake(state, event)
    if type(event) is HeartbeatTimer:
        return _beat(state, event)
    if type(event) is QueryTimer:
        return _drive(state, event)
    if type(event) is Propose or type(event) is Inquire or type(event) is Read:
        return _drive(state, event)
    assert_never(event)


def _hear(state: Server[V], sender: ServerId, message: Message[V]) -> Step[V]:
    if sender not in state.learner.quorum.members:
        return state, NO_MESSAGES
    if type(message) is Prepare or type(message) is Accept or type(message) is Query:
        return _answer(state, sender, message)
    if type(message) is Heartbeat:
        return _notice(state, sender, message)
    if type(message) is Accepted:
        return _count(state, sender, message, message)
    if type(message) is Answer:
        accepted = message.accepted
        if accepted is None:
            return _advance(state, sender, message)
        return _count(state, sender, Accepted(accepted.ballot, accepted.value), message)
    if type(message) is Chosen:
        known, _ = learner.receive(state.learner, message)
        return _advance(_learnt(state, known), sender, message)
    if type(message) is Promise or type(message) is Nack:
        return _advance(state, sender, message)
    assert_never(message)


def _answer(state: Server[V], sender: ServerId, request: Request[V]) -> Step[V]:
    if state.learner.choice is not None:
        return state, Now((To(sender, state.learner.choice.chosen),))
    memory, outbound = acceptor.receive(state.acceptor, request)
    state = Server(memory, state.proposer, state.learner, state.election)
    return state, outbound.map(lambda answer: To(sender, answer))


def _notice(state: Server[V], sender: ServerId, heartbeat: Heartbeat) -> Step[V]:
    if state.learner.choice is not None:
        return state, Now((To(sender, state.learner.choice.chosen),))
    hint, outbound = election.receive(state.election, From(sender, heartbeat))
    return Server(state.acceptor, state.proposer, state.learner, hint), outbound


def _advance(state: Server[V], sender: ServerId, reply: Reply[V]) -> Step[V]:
    at_work, outbound = proposer.receive(state.proposer, From(sender, reply))
    return Server(state.acceptor, at_work, state.learner, state.election), outbound


def _count(
    state: Server[V], sender: ServerId, vote: Accepted[V], reply: Accepted[V] | Answer[V]
) -> Step[V]:
    known, news = learner.receive(state.learner, From(sender, vote))
    state, outbound = _advance(_learnt(state, known), sender, reply)
    if not news.messages or type(state.proposer.phase) is Done:
        return state, outbound
    # Late votes have chosen what this server proposed earlier: only it can know, so it must tell.
    (chosen,) = news.messages
    announces = _is_working(state.proposer)
    state, outbound = _advance(state, state.proposer.me, chosen)
    return state, outbound if announces else outbound.followed_by(Broadcast(chosen))


def _drive(state: Server[V], event: proposer.ClientRequest[V] | QueryTimer) -> Step[V]:
    """Let the proposer go on; heartbeats begin with its first ballot in this matter."""
    at_work, outbound = proposer.receive(_informed(state), event)
    if _is_working(state.proposer) or not _is_working(at_work):
        return Server(state.acceptor, at_work, state.learner, state.election), outbound
    hint, beat = election.start(state.election)
    state = Server(state.acceptor, at_work, state.learner, hint)
    return state, outbound.followed_by(*beat.messages)


def _wake(state: Server[V], wake: RetryTimer) -> Step[V]:
    phase = proposer.waiting_for(state.proposer, wake)
    if phase is None:
        return state, NO_MESSAGES
    if election.yields(state.election, phase.task.attempt):
        at_work, outbound = proposer.defer(state.proposer, phase)
    else:
        at_work, outbound = proposer.receive(_informed(state), wake)
    return Server(state.acceptor, at_work, state.learner, state.election), outbound


def _beat(state: Server[V], beat: HeartbeatTimer) -> Step[V]:
    if not _is_working(state.proposer):
        return state, NO_MESSAGES
    claims = proposer.has_quorum_contact(state.proposer)
    hint, outbound = election.receive(state.election, beat, claims=claims)
    return Server(state.acceptor, state.proposer, state.learner, hint), outbound


def _learnt(state: Server[V], known: Learner[V]) -> Server[V]:
    return Server(state.acceptor, state.proposer, known, state.election)


def _informed(state: Server[V]) -> Proposer[V]:
    return proposer.observe(state.proposer, state.acceptor.promised)


def _is_working(state: Proposer[V]) -> bool:
    return type(state.phase) is Preparing or type(state.phase) is Accepting
