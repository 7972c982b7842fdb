"""Explaining: from what is known of a decision to what has become of it, and why.

- A value is chosen if a phase-2 quorum has accepted it under one ballot, known or not. Each
  value has its own votes, since a broken protocol can have two under one ballot.
- A ballot can still win if enough acceptors have accepted it, or have promised nothing higher:
  those that are down count, since they may come back. Nobody takes back a promise.
- Why nothing moves is asked in this order: is a quorum up? is a proposal in progress? can one of
  them win, and is it alone?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic

from attrs import define, field

from paxos import Accepted, Ballot, Decision, From, QuorumSystem, ServerId, invariants
from paxos.ballot import V
from paxos.proposer import Accepting, Preparing, Working
from paxos_lab.explain.evidence import Evidence
from paxos_lab.explain.grammar import lacking
from paxos_lab.explain.reasons import (
    Agreed,
    Attempt,
    Block,
    Cause,
    Disagreed,
    DuelingProposers,
    Explanation,
    NoActiveProposer,
    Preempted,
    Split,
    TooFewUp,
    Undecided,
    Waiting,
)


def explain(evidence: Evidence[V], name: str = "") -> Explanation[V]:
    """What has become of the decision ``name``, and why. Compares values, with ``==``."""
    ballots = _ballots(evidence)
    attempts = tuple(_attempt(evidence, it) for it in ballots)
    counted = (it.choice(evidence.quorum) for it in ballots)
    choices = tuple(it for it in counted if it is not None) or _hearsay(evidence)
    if not choices:
        split = _split(evidence, name)
        if split is not None:
            return split
        unseen = evidence.quorum.members - evidence.servers.keys()
        return Undecided(name, evidence.quorum, _cause(evidence), unseen, attempts)
    value = choices[0].chosen.value
    if any(not _same(value, it.chosen.value) for it in choices):
        return Disagreed(name, choices, attempts)
    aware = frozenset(me for me, it in evidence.servers.items() if it.choice is not None)
    unaware = frozenset(evidence.servers) - aware
    return Agreed(name, value, choices, aware, unaware, attempts)


# --- ballots ------------------------------------------------------------------------------------


@define
class _Ballot(Generic[V]):
    """A ballot with one value, and who has accepted it; or a ballot that carried none yet."""

    ballot: Ballot
    value: tuple[V, ...]
    votes: list[From[Accepted[V]]] = field(factory=list[From[Accepted[V]]])

    def choice(self, quorum: QuorumSystem) -> Decision[V] | None:
        """The choice that the votes come to."""
        return next(iter(invariants.choices(self.votes, quorum)), None)


def _ballots(evidence: Evidence[V]) -> list[_Ballot[V]]:
    found: list[_Ballot[V]] = []
    for vote in (*evidence.votes, *_held(evidence)):
        _entered(found, vote.message.ballot, vote.message.value).votes.append(vote)
    for phase in _in_progress(evidence):
        if isinstance(phase, Accepting):
            _entered(found, phase.ballot, phase.value)
    asked = {it.ballot for it in _in_progress(evidence)} | {
        it.message.ballot for it in evidence.refusals
    }
    found.extend(_Ballot(it, ()) for it in asked - {it.ballot for it in found})
    return sorted(found, key=lambda it: it.ballot)


def _held(evidence: Evidence[V]) -> Iterator[From[Accepted[V]]]:
    """What acceptors hold are votes, too."""
    for me, it in evidence.servers.items():
        held = it.acceptor.accepted
        if held is not None:
            yield From(me, Accepted(held.ballot, held.value))


def _entered(found: list[_Ballot[V]], ballot: Ballot, value: V) -> _Ballot[V]:
    for it in found:
        if it.ballot == ballot and _same(it.value[0], value):
            return it
    found.append(_Ballot(ballot, (value,)))
    return found[-1]


def _in_progress(evidence: Evidence[V]) -> list[Working[V]]:
    phases = (it.proposer.phase for it in evidence.servers.values() if it.proposer is not None)
    return [it for it in phases if isinstance(it, Preparing | Accepting)]


def _attempt(evidence: Evidence[V], it: _Ballot[V]) -> Attempt[V]:
    voters = frozenset(vote.sender for vote in it.votes)
    blocked = tuple(_blocks(evidence, it.ballot, voters))
    is_chosen = it.choice(evidence.quorum) is not None
    can_win = is_chosen or _can_win(evidence, it.ballot, voters)
    return Attempt(it.ballot, it.value, voters, blocked, is_chosen, can_win)


def _blocks(evidence: Evidence[V], ballot: Ballot, voters: frozenset[ServerId]) -> Iterator[Block]:
    """The servers that refuse, because of the promise named first, or else of the present one."""
    refusals = [it for it in reversed(evidence.refusals) if it.message.ballot == ballot]
    said = {it.sender: it.message.promised for it in refusals}
    for me in sorted(evidence.servers.keys() - voters):
        promised = evidence.servers[me].acceptor.promised
        if me in said or promised > ballot:
            yield Block(me, said.get(me, promised), me in said)


def _can_win(evidence: Evidence[V], ballot: Ballot, voters: frozenset[ServerId]) -> bool:
    out_of_reach = {me for me, it in evidence.servers.items() if it.acceptor.promised > ballot}
    return evidence.quorum.is_phase2((evidence.quorum.members - out_of_reach) | voters)


def _hearsay(evidence: Evidence[V]) -> tuple[Decision[V], ...]:
    """What servers know, where the votes were not seen."""
    known = [it.choice for it in evidence.servers.values() if it.choice is not None]
    return tuple(sorted(known, key=lambda it: (it.chosen.ballot, -len(it.voters)))[:1])


def _same(one: V, other: V) -> bool:
    return one is other or one == other


# --- why nothing moves --------------------------------------------------------------------------


def _split(evidence: Evidence[V], name: str) -> Split[V] | None:
    """Whether acceptors that keep their first value have left none a chance."""
    if not evidence.keeps_first:
        return None
    groups: list[tuple[V, frozenset[ServerId]]] = []
    for vote in _held(evidence):
        same = [it for it in groups if _same(it[0], vote.message.value)]
        for it in same:
            groups.remove(it)
        voters = frozenset({vote.sender}).union(*(it[1] for it in same))
        groups.append((vote.message.value, voters))
    free = evidence.quorum.members - {vote.sender for vote in _held(evidence)}
    if any(evidence.quorum.is_phase2(voters | free) for _, voters in groups) or not groups:
        return None
    return Split(name, evidence.quorum, tuple(sorted(groups, key=lambda it: min(it[1]))))


def _cause(evidence: Evidence[V]) -> Cause:
    quorum = evidence.quorum
    up = evidence.heard.union(me for me, it in evidence.servers.items() if it.is_up)
    missing = quorum.members - up
    for phase in 1, 2:
        needed = lacking(quorum, phase, up, missing)
        if needed:
            return TooFewUp(quorum, up, missing, needed)
    ballots = sorted(_in_progress(evidence), key=lambda it: it.ballot)
    able = [it for it in ballots if _is_able(evidence, it)]
    if not ballots:
        return NoActiveProposer()
    if not able:
        promised = max(it.acceptor.promised for it in evidence.servers.values())
        return Preempted(tuple(it.ballot for it in ballots), promised)
    if len(ballots) > 1:
        others = tuple(it.ballot for it in ballots if it is not able[-1])
        return DuelingProposers(able[-1].ballot, others)
    return _waiting(evidence, able[-1])


def _is_able(evidence: Evidence[V], phase: Working[V]) -> bool:
    """Whether ``phase`` can be gone through with."""
    quorum = evidence.quorum
    open_to = frozenset(
        me
        for me in quorum.members
        if me not in evidence.servers or evidence.servers[me].acceptor.promised <= phase.ballot
    )
    if isinstance(phase, Preparing):
        return evidence.quorum.is_phase1(open_to | phase.answered) and evidence.quorum.is_phase2(
            open_to
        )
    return evidence.quorum.is_phase2(open_to | phase.answered)


def _waiting(evidence: Evidence[V], phase: Working[V]) -> Waiting:
    number = 1 if isinstance(phase, Preparing) else 2
    among = evidence.quorum.members - phase.answered - phase.refused
    needed = lacking(evidence.quorum, number, phase.answered, among) or frozenset()
    return Waiting(evidence.quorum, phase.ballot, number, phase.answered, needed, among)
