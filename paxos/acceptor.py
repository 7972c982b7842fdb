"""The acceptor: the memory of the protocol.

Source: the lecture, "The protocol"; "Paxos Made Simple", section 2.2, P1a and P2b.

- Prepare(n): refuse if more than n was promised; else promise n, and report what was accepted.
- Accept(n, v): refuse if more than n was promised; else promise n *and* accept v under n,
  whether or not a Prepare(n) came before.
- The promise and the accepted proposal are durable before the answer leaves. A refusal commits
  to nothing and leaves at once, with the promise that stands in the way.
- A repeated request changes nothing and is answered again, sealed again.
- Query: report what was accepted. It changes nothing and makes no record. "Nothing" leaves at
  once, since it commits to nothing; an accepted proposal leaves once it is durable, as in a vote.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from paxos.ballot import NO_BALLOT, Ballot, Proposal, V
from paxos.errors import assert_never
from paxos.messages import Accept, Accepted, Answer, Nack, Prepare, Promise, Query, ReadId, Request
from paxos.outbound import AfterSave, Now, Outbound
from paxos.values import frozen


@final
@frozen
class Acceptor(Generic[V]):
    """What an acceptor knows; all of it must survive a crash, so the state is its own record."""

    promised: Ballot = NO_BALLOT
    accepted: Proposal[V] | None = None


Response: TypeAlias = Promise[V] | Accepted[V] | Nack | Answer[V]
"""One answer to one request; it goes to the server that asked."""

Step: TypeAlias = tuple[Acceptor[V], Outbound[Acceptor[V], Response[V]]]
"""The state after a request, and the answer."""


def receive(state: Acceptor[V], request: Request[V]) -> Step[V]:
    """Answer one request."""
    if type(request) is Prepare:
        return _prepare(state, request.ballot)
    if type(request) is Accept:
        return _accept(state, request.ballot, request.value)
    if type(request) is Query:
        return _query(state, request.id)
    assert_never(request)


def _prepare(state: Acceptor[V], ballot: Ballot) -> Step[V]:
    if ballot < state.promised:
        return state, Now((Nack(ballot, state.promised),))
    if ballot > state.promised:
        state = Acceptor(ballot, state.accepted)
    return state, AfterSave(state, (Promise(ballot, state.accepted),))


def _accept(state: Acceptor[V], ballot: Ballot, value: V) -> Step[V]:
    if ballot < state.promised:
        return state, Now((Nack(ballot, state.promised),))
    accepted = state.accepted
    if accepted is None or ballot > accepted.ballot:
        accepted = Proposal(ballot, value)
        state = Acceptor(ballot, accepted)
    return state, AfterSave(state, (Accepted(ballot, accepted.value),))


def _query(state: Acceptor[V], read: ReadId) -> Step[V]:
    if state.accepted is None:
        return state, Now((Answer(read, None),))
    return state, AfterSave(state, (Answer(read, state.accepted),))
