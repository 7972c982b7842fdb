"""What must hold at all times: the predicates that tests, explorers and running nodes share.

Source: "Paxos Made Simple", sections 2.1 and 2.2 (P1a, P2 and its consequences); the lecture,
"Why accepting everything is wrong" and "The protocol".

Each function returns if its rule holds and raises an InvariantError if it is broken. This is the
only module of the core that compares values, with ``!=``, which must give a bool. An object is
always the same value as itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, final

from paxos.acceptor import Acceptor
from paxos.ballot import NO_BALLOT, Ballot, Proposal, ServerId, V
from paxos.errors import InvariantError, assert_never, format_ids
from paxos.messages import Accepted, Answer, Chosen, From, Promise
from paxos.quorum import QuorumSystem
from paxos.values import frozen


@final
@frozen
class Decision(Generic[V]):
    """What is chosen, and the quorum that accepted it.

    No voters: another server announced it, without its quorum.
    """

    chosen: Chosen[V]
    voters: frozenset[ServerId]

    def __str__(self) -> str:
        how = f"by the quorum {format_ids(self.voters)}" if self.voters else "as announced"
        return f"{self.chosen.value!r} under ballot {self.chosen.ballot} {how}"


class AgreementBroken(InvariantError):
    """Two different values were chosen."""

    def __init__(self, first: Decision[V], second: Decision[V]) -> None:
        super().__init__(f"two values are chosen: {first}, and {second}.")
        self.first = first
        self.second = second


def agreement(first: Decision[V], second: Decision[V]) -> None:
    """P2: only one value is ever chosen."""
    if _differ(first.chosen.value, second.chosen.value):
        raise AgreementBroken(first, second)


def validity(chosen: V, proposed: Iterable[V]) -> None:
    """Only a proposed value is chosen."""
    if all(_differ(chosen, value) for value in proposed):
        raise InvariantError(f"{chosen!r} was chosen, and no server ever proposed it.")


def one_value_per_ballot(ballot: Ballot, first: V, second: V) -> None:
    """A ballot carries one value, so a ballot is never used twice."""
    if _differ(first, second):
        raise InvariantError(
            f"ballot {ballot} carries both {first!r} and {second!r}, so it was used twice."
        )


def unused_while_preparing(ballot: Ballot, named: Proposal[V]) -> None:
    """While promises of ``ballot`` are collected, nothing can be accepted under it."""
    if named.ballot == ballot:
        raise InvariantError(
            f"ballot {ballot} is still being prepared, and {named.value!r} was accepted under it, "
            "so it was used twice."
        )


def promise_covers_accepted(state: Acceptor[V]) -> None:
    """An acceptor has promised at least the ballot that it has accepted."""
    if state.accepted is not None and state.accepted.ballot > state.promised:
        raise InvariantError(
            f"{state.accepted.ballot} was accepted above the promise {state.promised}: accepting "
            "must raise the promise."
        )


def acceptor_monotonic(before: Acceptor[V], after: Acceptor[V]) -> None:
    """Promise and accepted ballot only rise, and an accepted proposal is never forgotten."""
    was, now = _accepted_ballot(before), _accepted_ballot(after)
    if after.promised < before.promised or now < was:
        raise InvariantError(
            f"an acceptor went back, from promise {before.promised} and accepted {was} "
            f"to promise {after.promised} and accepted {now}."
        )
    _same_if_same_ballot(before, after)


def durable_before_sent(durable: Acceptor[V], answer: Promise[V] | Accepted[V] | Answer[V]) -> None:
    """What an answer commits to would survive a crash at the moment when the answer leaves."""
    needed = _commitment(answer)
    if durable.promised < needed.promised or _accepted_ballot(durable) < _accepted_ballot(needed):
        raise InvariantError(
            f"{answer} was sent while the disk held {durable}: a crash would undo it."
        )
    _same_if_same_ballot(durable, needed)


def choices(votes: Iterable[From[Accepted[V]]], quorum: QuorumSystem) -> tuple[Decision[V], ...]:
    """Every proposal that a phase-2 quorum has accepted, in the order of ballots.

    ``votes`` is all that was ever accepted, not only the latest of each acceptor.
    Raises InvariantError if a ballot carries two values.
    """
    voters: dict[Ballot, set[ServerId]] = {}
    values: dict[Ballot, V] = {}
    for vote in votes:
        if vote.sender not in quorum.members:
            continue
        ballot, value = vote.message.ballot, vote.message.value
        one_value_per_ballot(ballot, values.setdefault(ballot, value), value)
        voters.setdefault(ballot, set()).add(vote.sender)
    return tuple(
        Decision(Chosen(ballot, values[ballot]), frozenset(voters[ballot]))
        for ballot in sorted(voters)
        if quorum.is_phase2(voters[ballot])
    )


def _same_if_same_ballot(one: Acceptor[V], other: Acceptor[V]) -> None:
    first, second = one.accepted, other.accepted
    if first is not None and second is not None and first.ballot == second.ballot:
        one_value_per_ballot(first.ballot, first.value, second.value)


def _differ(first: V, second: V) -> bool:
    return first is not second and first != second


def _commitment(answer: Promise[V] | Accepted[V] | Answer[V]) -> Acceptor[V]:
    """The least memory that makes ``answer`` true."""
    if type(answer) is Accepted:
        return Acceptor(answer.ballot, Proposal(answer.ballot, answer.value))
    if type(answer) is Promise:
        return Acceptor(answer.ballot, answer.accepted)
    if type(answer) is Answer:
        accepted = answer.accepted
        return Acceptor(NO_BALLOT if accepted is None else accepted.ballot, accepted)
    assert_never(answer)


def _accepted_ballot(state: Acceptor[V]) -> Ballot:
    return NO_BALLOT if state.accepted is None else state.accepted.ballot
