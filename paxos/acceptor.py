"""The acceptor: the memory of the protocol.

Source: the lecture, "The protocol"; "Paxos Made Simple", section 2.2, P1a and P2b.

- Prepare(n): refuse if more than n was promised; else promise n, and tell what was accepted.
- Accept(n, v): refuse if more than n was promised; else promise n *and* accept v under n,
  whether or not a Prepare(n) came before.
- The promise and the accepted proposal are durable before the answer leaves. A refusal commits
  to nothing and leaves at once, with the promise that stands in the way.
- A repeated request changes nothing and is answered again, sealed again.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, assert_never, final

from paxos.ballot import NO_BALLOT, Ballot, Proposal, V
from paxos.messages import Accept, Accepted, Nack, Prepare, Promise, Request
from paxos.outbound import AfterSave, Now, Outbound
from paxos.values import frozen


@final
@frozen
class Acceptor(Generic[V]):
    """What an acceptor knows; all of it must survive a crash, so the state is its own record."""

    promised: Ballot = NO_BALLOT
    accepted: Proposal[V] | None = None


Answer: TypeAlias = Promise[V] | Accepted[V] | Nack
"""One answer to one request; it goes to whoever asked."""


def receive(
    state: Acceptor[V], request: Request[V]
) -> tuple[Acceptor[V], Outbound[Acceptor[V], Answer[V]]]:
    """Answer one request."""
    ballot = request.ballot
    if ballot < state.promised:
        return state, Now((Nack(ballot, state.promised),))
    if type(request) is Prepare:
        if ballot > state.promised:
            state = Acceptor(ballot, state.accepted)
        return state, AfterSave(state, (Promise(ballot, state.accepted),))
    if type(request) is Accept:
        accepted = state.accepted
        if accepted is None or ballot > accepted.ballot:
            accepted = Proposal(ballot, request.value)
            state = Acceptor(ballot, accepted)
        return state, AfterSave(state, (Accepted(ballot, accepted.value),))
    assert_never(request)
