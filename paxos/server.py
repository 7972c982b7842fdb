"""A server: the three roles in one process, for one decision.

Source: the lecture, "The protocol", "Liveness" and "Who knows".

- Requests go to the acceptor, replies to the proposer. An accepted proposal that a vote or an
  answer to a query names goes also to the learner.
- A server announces the chosen value to all when it has counted the votes itself. It does so, too,
  when its own proposal or inquiry learns the value from another server. A partition may have
  stopped that server's announcement. Each server announces once, so this stays bounded.
- A read that receives Chosen does not announce it: reads must stay cheap.
- From then on the server answers every request and heartbeat with Chosen. A server that sends
  neither, and missed every announcement, does not learn the value until it asks.
- A proposer yields to a higher server with a ballot in progress, three retries out of four.
- New rounds start above every promise that the server's own acceptor has made.
- A read sends no heartbeat while it only queries: nobody needs to yield to it.
- Durable are the acceptor, and the round of the proposer. One step saves one of them.
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
"""What a server saves. The latest record of each type counts."""

ServerTimer: TypeAlias = RetryTimer | QueryTimer | HeartbeatTimer
"""What a SetTimer hands back."""

Event: TypeAlias = proposer.ClientRequest[V] | ServerTimer | From[Message[V]]
"""What can happen to a server: a request of the program, a timer, a message."""

Report: TypeAlias = proposer.Report[V]
"""What a server reports to the program that embeds it."""

Effect: TypeAlias = (
    To[Message[V]] | Broadcast[Message[V]] | SetTimer[ServerTimer] | Tell[proposer.Report[V]]
)
"""What a server wants done: send a message, set a timer, or report to the program."""

Step: TypeAlias = tuple[Server[V], Outbound[Record[V], Effect[V]]]
"""The state after an event, and what leaves."""


def start(me: ServerId, quorum: QuorumSystem, records: Iterable[Record[V]] = ()) -> Server[V]:
    """A new server; or, from the records that it saved, the same server after a crash.

    Raises UnknownServer if ``me`` is not a member, InvariantError for a record that no acceptor
    can have saved.
    """
    if me not in quorum.members:
        raise UnknownServer(me, quorum.members)
    acceptor_state: Acceptor[V] = Acceptor()
    max_round = MaxRound(0)
    for record in records:
        if type(record) is Acceptor:
            acceptor_state = record
        elif type(record) is MaxRound:
            max_round = record
        else:
            assert_never(record)
    invariants.promise_covers_accepted(acceptor_state)
    return Server(
        acceptor_state,
        Proposer(me, quorum, max_round.round),
        Learner(quorum),
        Election(me, quorum.members),
    )


def receive(state: Server[V], event: Event[V]) -> Step[V]:
    """Take one event.

    Raises Busy for a request while another one is in progress, and InvariantError if a message
    proves that some server broke the protocol.
    """
    if type(event) is From:
        return _on_message(state, event.sender, event.message)
    if type(event) is RetryTimer:
        return _on_retry_timer(state, event)
    if type(event) is HeartbeatTimer:
        return _on_heartbeat_timer(state, event)
    if type(event) is QueryTimer:
        return _advance_proposer(state, event)
    if type(event) is Propose or type(event) is Inquire or type(event) is Read:
        return _advance_proposer(state, event)
    assert_never(event)


def _on_message(state: Server[V], sender: ServerId, message: Message[V]) -> Step[V]:
    if sender not in state.learner.quorum.members:
        return state, NO_MESSAGES
    if type(message) is Prepare or type(message) is Accept or type(message) is Query:
        return _on_request(state, sender, message)
    if type(message) is Heartbeat:
        return _on_heartbeat(state, sender, message)
    if type(message) is Accepted:
        return _on_vote(state, sender, message, message)
    if type(message) is Answer:
        accepted = message.accepted
        if accepted is None:
            return _on_reply(state, sender, message)
        return _on_vote(state, sender, Accepted(accepted.ballot, accepted.value), message)
    if type(message) is Chosen:
        learner_state, _ = learner.receive(state.learner, message)
        return _on_reply(_with_learner(state, learner_state), sender, message)
    if type(message) is Promise or type(message) is Nack:
        return _on_reply(state, sender, message)
    assert_never(message)


def _on_request(state: Server[V], sender: ServerId, request: Request[V]) -> Step[V]:
    if state.learner.choice is not None:
        return state, Now((To(sender, state.learner.choice.chosen),))
    acceptor_state, outbound = acceptor.receive(state.acceptor, request)
    state = Server(acceptor_state, state.proposer, state.learner, state.election)
    return state, outbound.map(lambda answer: To(sender, answer))


def _on_heartbeat(state: Server[V], sender: ServerId, heartbeat: Heartbeat) -> Step[V]:
    if state.learner.choice is not None:
        return state, Now((To(sender, state.learner.choice.chosen),))
    election_state, outbound = election.receive(state.election, From(sender, heartbeat))
    return Server(state.acceptor, state.proposer, state.learner, election_state), outbound


def _on_reply(state: Server[V], sender: ServerId, reply: Reply[V]) -> Step[V]:
    proposer_state, outbound = proposer.receive(state.proposer, From(sender, reply))
    return Server(state.acceptor, proposer_state, state.learner, state.election), outbound


def _on_vote(
    state: Server[V], sender: ServerId, vote: Accepted[V], reply: Accepted[V] | Answer[V]
) -> Step[V]:
    learner_state, news = learner.receive(state.learner, From(sender, vote))
    state, outbound = _on_reply(_with_learner(state, learner_state), sender, reply)
    if not news.messages or type(state.proposer.phase) is Done:
        return state, outbound
    # Late votes have chosen an earlier proposal of this server: no other server counts them all.
    (chosen,) = news.messages
    announces = _has_ballot(state.proposer)
    state, outbound = _on_reply(state, state.proposer.me, chosen)
    return state, outbound if announces else outbound.followed_by(Broadcast(chosen))


def _advance_proposer(state: Server[V], event: proposer.ClientRequest[V] | QueryTimer) -> Step[V]:
    """Let the proposer proceed; heartbeats begin with the first ballot of a request."""
    proposer_state, outbound = proposer.receive(_informed_proposer(state), event)
    if _has_ballot(state.proposer) or not _has_ballot(proposer_state):
        return Server(state.acceptor, proposer_state, state.learner, state.election), outbound
    election_state, timer = election.start(state.election)
    state = Server(state.acceptor, proposer_state, state.learner, election_state)
    return state, outbound.followed_by(*timer.messages)


def _on_retry_timer(state: Server[V], timer: RetryTimer) -> Step[V]:
    phase = proposer.waiting_for(state.proposer, timer)
    if phase is None:
        return state, NO_MESSAGES
    if election.yields(state.election, phase.task.attempt):
        proposer_state, outbound = proposer.defer(state.proposer, phase)
    else:
        proposer_state, outbound = proposer.receive(_informed_proposer(state), timer)
    return Server(state.acceptor, proposer_state, state.learner, state.election), outbound


def _on_heartbeat_timer(state: Server[V], timer: HeartbeatTimer) -> Step[V]:
    if not _has_ballot(state.proposer):
        return state, NO_MESSAGES
    in_contact = proposer.has_quorum_contact(state.proposer)
    election_state, outbound = election.receive(state.election, timer, in_contact=in_contact)
    return Server(state.acceptor, state.proposer, state.learner, election_state), outbound


def _with_learner(state: Server[V], learner_state: Learner[V]) -> Server[V]:
    return Server(state.acceptor, state.proposer, learner_state, state.election)


def _informed_proposer(state: Server[V]) -> Proposer[V]:
    return proposer.observe(state.proposer, state.acceptor.promised)


def _has_ballot(state: Proposer[V]) -> bool:
    return type(state.phase) is Preparing or type(state.phase) is Accepting
