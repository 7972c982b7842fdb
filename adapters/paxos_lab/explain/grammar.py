"""How an explanation speaks of servers, values and what is needed."""

from __future__ import annotations

from collections.abc import Iterable

from paxos import ServerId
from paxos.quorum import BySize, ByWeight, Explicit, QuorumSystem


def named(servers: Iterable[ServerId]) -> str:
    """``S1, S2 and S3``; no server, if there is none."""
    return listed([f"S{it}" for it in sorted(servers)] or ["no server"])


def listed(names: Iterable[str]) -> str:
    """``one, two and three``; each once."""
    *most, last = dict.fromkeys(names)
    return f"{', '.join(most)} and {last}" if most else last


def verb(servers: Iterable[ServerId], one: str, many: str) -> str:
    """The form of a verb that goes with so many."""
    return one if len(frozenset(servers)) == 1 else many


def lacking(
    quorum: QuorumSystem, phase: int, have: frozenset[ServerId], among: frozenset[ServerId]
) -> frozenset[ServerId] | None:
    """The fewest of ``among`` that make a quorum of ``phase`` out of ``have``; None: none do."""
    is_quorum = quorum.is_phase1 if phase == 1 else quorum.is_phase2
    others = sorted((among & quorum.members) - have)
    if isinstance(quorum, Explicit):
        quorums = quorum.phase1 if phase == 1 else quorum.phase2
        fitting = [it - have for it in quorums if it <= have | among]
        return min(fitting, key=lambda it: (len(it), sorted(it)), default=None)
    if isinstance(quorum, ByWeight):
        weights = dict(quorum.weights)
        others.sort(key=lambda it: -weights[it])
    for count in range(len(others) + 1):
        if is_quorum(have | {*others[:count]}):
            return frozenset(others[:count])
    return None


def more(
    quorum: QuorumSystem,
    have: frozenset[ServerId],
    needed: frozenset[ServerId],
    among: frozenset[ServerId],
) -> str:
    """``2 more of S3, S4 and S5``; which they are, if no others will do."""
    others = among & quorum.members
    if not isinstance(quorum, BySize) or len(needed) == len(others):
        return named(needed)
    return f"{len(needed)}{' more' if have else ''} of {named(others)}"
