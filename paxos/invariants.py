"""What must hold at all times: the predicates that tests, explorers and running nodes share.

Source: "Paxos Made Simple", sections 2.1 and 2.2 (P1a, P2 and its consequences); the lecture,
"Why accepting everything is wrong" and "The protocol".

Each function returns if its rule holds and raises an InvariantError if it is broken. This is the
only module of the core that compares values, with ``==``; equal values are the same value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, final

from paxos.acceptor import Acceptor
from paxos.ballot import NO_BALLOT, Ballot, ServerId, V
from paxos.errors import InvariantError, servers
from paxos.messages import Accepted, Chosen, From, Promise
from paxos.quorum import QuorumSystem
from paxos.values import frozen


@final
@frozen
class Choice(Generic[V]):
    """What is chosen, and the quorum that accepted it.

    No voters: another server told so, and kept its quorum to itself.
    """

    chosen: Chosen[V]
    voters: frozenset[ServerId]

    def __str__(self) -> str:
        who = f"the quorum {servers(self.voters)}" if self.voters else "a quorum told by a server"
        return f"{self.chosen.value!r} under ballot {self.chosen.ballot} by {who}"


class AgreementBroken(InvariantError):
    """Two different values were chosen."""

    def __init__(self, first: Choice[V], second: Choice[V]) -> None:
        super().__init__(
            f"two values are chosen: {first}, and {second}. The protocol rules that out, so some "
            "server broke it: a lost or restored disk, an id in use twice, or an answer sent "
            "before its save. Stop the servers, and find that one before any starts again."
        )
        self.first = first
        self.second = second


def agreement(first: Choice[V], second: Choice[V]) -> None:
    """P2: only one value is ever chosen."""
    if first.chosen.value != second.chosen.value:
        raise AgreementBroken(first, second)


def validity(chosen: V, proposed: Iterable[V]) -> None:
    """Only a value that someone proposed is chosen."""
    if not any(chosen == value for value in proposed):
        raise InvariantError(f"{chosen!r} was chosen, and nobody ever proposed it.")


def one_value_a_ballot(ballot: Ballot, first: V, second: V) -> None:
    """A ballot carries one value, so a ballot is never used twice."""
    if first != second:
        raise InvariantError(
            f"ballot {ballot} carries both {first!r} and {second!r}, so it was used twice: two "
            "servers share an id, or a round was not saved before its use. Find that server."
        )


def promise_covers_accepted(state: Acceptor[V]) -> None:
    """An acceptor has promised at least the ballot that it has accepted."""
    if state.accepted is not None and state.accepted.ballot > state.promised:
        raise InvariantError(
            f"{state.accepted.ballot} was accepted above the promise {state.promised}: accepting "
            "must raise the promise."
        )


def never_moves_back(before: Acceptor[V], after: Acceptor[V]) -> None:
    """Promise and accepted ballot only rise, and an accepted proposal is never forgotten."""
    was, now = _accepted_ballot(before), _accepted_ballot(after)
    if after.promised < before.promised or now < was:
        raise InvariantError(
            f"an acceptor went back, from promise {before.promised} and accepted {was} "
            f"to promise {after.promised} and accepted {now}."
        )
    if before.accepted is not None and after.accepted is not None and was == now:
        one_value_a_ballot(now, before.accepted.value, after.accepted.value)


def durable_before_sent(durable: Acceptor[V], answer: Promise[V] | Accepted[V]) -> None:
    """What an answer commits to would survive a crash at the moment when the answer leaves."""
    ballot = answer.ballot if type(answer) is Accepted else NO_BALLOT
    if durable.promised < answer.ballot or _accepted_ballot(durable) < ballot:
        raise InvariantError(
            f"{answer} was sent while the disk held {durable}: a crash now would forget what was "
            "said. Save first, then send."
        )


def choices(votes: Iterable[From[Accepted[V]]], quorum: QuorumSystem) -> tuple[Choice[V], ...]:
    """Every proposal that a phase-2 quorum has accepted, in the order of ballots.

    ``votes`` is all that was ever accepted, not only the latest of each acceptor.
    Raises InvariantError if a ballot carries two values.
    """
    voters: dict[Ballot, set[ServerId]] = {}
    values: dict[Ballot, V] = {}
    for vote in votes:
        ballot, value = vote.message.ballot, vote.message.value
        one_value_a_ballot(ballot, values.setdefault(ballot, value), value)
        voters.setdefault(ballot, set()).add(vote.sender)
    return tuple(
        Choice(Chosen(ballot, values[ballot]), frozenset(voters[ballot]))
        for ballot in sorted(voters)
        if quorum.is_phase2(voters[ballot])
    )


def _accepted_ballot(state: Acceptor[V]) -> Ballot:
    return NO_BALLOT if state.accepted is None else state.accepted.ballot
