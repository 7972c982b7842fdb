"""Explaining: from what is known of a decision to what has become of it, and why.

- A value is chosen if a phase-2 quorum has accepted it under one ballot, whoever knows that. Each
  value has its own votes, since a broken protocol can have two under one ballot.
- A ballot can still win if enough acceptors have accepted it, or have promised nothing higher:
  those that are down count, since they may come back. Nobody takes back a promise.
- Why nothing moves is asked in this order: is a quorum up? is anybody at work? can one of them win,
  and is it alone?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic

from attrs import define, field

from paxos import Accepted, Ballot, Decision, From, QuorumSystem, ServerId, invariants
from paxos.ballot import V
from paxos.proposer import Accepting, Preparing, Working
from paxos_lab.explain.evidence import Scene
from paxos_lab.explain.grammar import lacking
from paxos_lab.explain.reasons import (
    Agreed,
    Attempt,
    Block,
    Cause,
    Disagreed,
    Explanation,
    NobodyAsks,
    Overtaken,
    Rivals,
    Split,
    TooFewUp,
    Undecided,
    Waiting,
)


def explain(scene: Scene[V], name: str = "") -> Explanation[V]:
    """What has become of the decision ``name``, and why. Compares values, with ``==``."""
    ballots = _ballots(scene)
    attempts = tuple(_attempt(scene, it) for it in ballots)
    counted = (it.choice(scene.quorum) for it in ballots)
    choices = tuple(it for it in counted if it is not None) or _hearsay(scene)
    if not choices:
        split = _split(scene, name)
        if split is not None:
            return split
        unseen = scene.quorum.members - scene.servers.keys()
        return Undecided(name, scene.quorum, _cause(scene), unseen, attempts)
    value = choices[0].chosen.value
    if any(not _same(value, it.chosen.value) for it in choices):
        return Disagreed(name, choices, attempts)
    aware = frozenset(me for me, it in scene.servers.items() if it.choice is not None)
    unaware = frozenset(scene.servers) - aware
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


def _ballots(scene: Scene[V]) -> list[_Ballot[V]]:
    found: list[_Ballot[V]] = []
    for vote in (*scene.votes, *_held(scene)):
        _entered(found, vote.message.ballot, vote.message.value).votes.append(vote)
    for phase in _at_work(scene):
        if isinstance(phase, Accepting):
            _entered(found, phase.ballot, phase.value)
    asked = {it.ballot for it in _at_work(scene)} | {it.message.ballot for it in scene.refusals}
    found.extend(_Ballot(it, ()) for it in asked - {it.ballot for it in found})
    return sorted(found, key=lambda it: it.ballot)


def _held(scene: Scene[V]) -> Iterator[From[Accepted[V]]]:
    """What acceptors hold are votes, too."""
    for me, it in scene.servers.items():
        held = it.acceptor.accepted
        if held is not None:
            yield From(me, Accepted(held.ballot, held.value))


def _entered(found: list[_Ballot[V]], ballot: Ballot, value: V) -> _Ballot[V]:
    for it in found:
        if it.ballot == ballot and _same(it.value[0], value):
            return it
    found.append(_Ballot(ballot, (value,)))
    return found[-1]


def _at_work(scene: Scene[V]) -> list[Working[V]]:
    phases = (it.proposer.phase for it in scene.servers.values() if it.proposer is not None)
    return [it for it in phases if isinstance(it, Preparing | Accepting)]


def _attempt(scene: Scene[V], it: _Ballot[V]) -> Attempt[V]:
    voters = frozenset(vote.sender for vote in it.votes)
    blocked = tuple(_blocks(scene, it.ballot, voters))
    is_chosen = it.choice(scene.quorum) is not None
    can_win = is_chosen or _can_win(scene, it.ballot, voters)
    return Attempt(it.ballot, it.value, voters, blocked, is_chosen, can_win)


def _blocks(scene: Scene[V], ballot: Ballot, voters: frozenset[ServerId]) -> Iterator[Block]:
    """Who refuses, because of the promise that it named first, or else of the one it is at now."""
    refusals = [it for it in reversed(scene.refusals) if it.message.ballot == ballot]
    said = {it.sender: it.message.promised for it in refusals}
    for me in sorted(scene.servers.keys() - voters):
        promised = scene.servers[me].acceptor.promised
        if me in said or promised > ballot:
            yield Block(me, said.get(me, promised), me in said)


def _can_win(scene: Scene[V], ballot: Ballot, voters: frozenset[ServerId]) -> bool:
    out_of_reach = {me for me, it in scene.servers.items() if it.acceptor.promised > ballot}
    return scene.quorum.is_phase2((scene.quorum.members - out_of_reach) | voters)


def _hearsay(scene: Scene[V]) -> tuple[Decision[V], ...]:
    """What servers know, where the votes were not seen."""
    known = [it.choice for it in scene.servers.values() if it.choice is not None]
    return tuple(sorted(known, key=lambda it: (it.chosen.ballot, -len(it.voters)))[:1])


def _same(one: V, other: V) -> bool:
    return one is other or one == other


# --- why nothing moves --------------------------------------------------------------------------


def _split(scene: Scene[V], name: str) -> Split[V] | None:
    """Whether acceptors that keep their first value have left none a chance."""
    if not scene.keeps_first:
        return None
    groups: list[tuple[V, frozenset[ServerId]]] = []
    for vote in _held(scene):
        same = [it for it in groups if _same(it[0], vote.message.value)]
        for it in same:
            groups.remove(it)
        voters = frozenset({vote.sender}).union(*(it[1] for it in same))
        groups.append((vote.message.value, voters))
    free = scene.quorum.members - {vote.sender for vote in _held(scene)}
    if any(scene.quorum.is_phase2(voters | free) for _, voters in groups) or not groups:
        return None
    return Split(name, scene.quorum, tuple(sorted(groups, key=lambda it: min(it[1]))))


def _cause(scene: Scene[V]) -> Cause:
    quorum = scene.quorum
    up = scene.heard.union(me for me, it in scene.servers.items() if it.is_up)
    missing = quorum.members - up
    for phase in 1, 2:
        needed = lacking(quorum, phase, up, missing)
        if needed:
            return TooFewUp(quorum, up, missing, needed)
    ballots = sorted(_at_work(scene), key=lambda it: it.ballot)
    able = [it for it in ballots if _is_able(scene, it)]
    if not ballots:
        return NobodyAsks()
    if not able:
        promised = max(it.acceptor.promised for it in scene.servers.values())
        return Overtaken(tuple(it.ballot for it in ballots), promised)
    if len(ballots) > 1:
        others = tuple(it.ballot for it in ballots if it is not able[-1])
        return Rivals(able[-1].ballot, others)
    return _waiting(scene, able[-1])


def _is_able(scene: Scene[V], phase: Working[V]) -> bool:
    """Whether ``phase`` can be gone through with."""
    open_to = frozenset(
        me
        for me in scene.quorum.members
        if me not in scene.servers or scene.servers[me].acceptor.promised <= phase.ballot
    )
    if isinstance(phase, Preparing):
        return scene.quorum.is_phase1(open_to | phase.answered) and scene.quorum.is_phase2(open_to)
    return scene.quorum.is_phase2(open_to | phase.answered)


def _waiting(scene: Scene[V], phase: Working[V]) -> Waiting:
    number = 1 if isinstance(phase, Preparing) else 2
    among = scene.quorum.members - phase.answered - phase.refused
    needed = lacking(scene.quorum, number, phase.answered, among) or frozenset()
    return Waiting(scene.quorum, phase.ballot, number, phase.answered, needed, among)
