"""Quorum systems in words, in one canonical way: two are the same if and only if their words are.

A file has them in its identity, the log in its configurations and its entries.
"""

from __future__ import annotations

from typing import TypeAlias

from paxos import QuorumError, QuorumSystem, ServerId, explicit, flexible, weighted
from paxos.errors import assert_never
from paxos.quorum import BySize, ByWeight, Explicit
from paxos_adapters.printable import brief

MAX_QUORUM_BYTES = 1 << 16
"""A quorum system in words: room for thousands of servers, or of listed quorums."""

Ids: TypeAlias = frozenset[ServerId]


def words_of(quorum: QuorumSystem) -> str:
    """``quorum`` in canonical words, for example ``counted 1 2 3 phase1 2 phase2 2``."""
    match quorum:
        case BySize():
            members = " ".join(map(str, sorted(quorum.members)))
            return f"counted {members} phase1 {quorum.phase1} phase2 {quorum.phase2}"
        case ByWeight():
            weights = " ".join(f"{it}={weight}" for it, weight in sorted(quorum.weights))
            return f"weighted {weights} phase1 {quorum.phase1} phase2 {quorum.phase2}"
        case Explicit():
            return f"listed phase1 {_lists(quorum.phase1)} phase2 {_lists(quorum.phase2)}"
        case _:
            assert_never(quorum)


def _lists(quorums: frozenset[Ids]) -> str:
    return " ".join(",".join(map(str, it)) for it in sorted(map(sorted, quorums)))


def quorum_of(words: str) -> QuorumSystem:
    """The quorum system that ``words_of`` wrote. Raises ValueError for anything else."""
    try:
        quorum = _parsed(words)
    except QuorumError as error:
        raise ValueError(str(error)) from error
    if words_of(quorum) != words:
        raise ValueError(f"{brief(words)} is not the canonical form of a quorum system")
    return quorum


def _parsed(words: str) -> QuorumSystem:
    kind, _, rest = words.partition(" ")
    members, phase1, phase2 = _parts(rest)
    if kind == "counted":
        ids = map(_id, members.split())
        return flexible(ids, phase1=int(phase1), phase2=int(phase2))
    if kind == "weighted":
        pairs = (it.split("=") for it in members.split())
        weights = {_id(server): int(weight) for server, weight in pairs}
        return weighted(weights, phase1=int(phase1), phase2=int(phase2))
    if kind == "listed" and not members:
        return explicit(phase1=_unlisted(phase1), phase2=_unlisted(phase2))
    raise ValueError(f"{brief(kind)} is not a kind of quorum system")


def _parts(rest: str) -> tuple[str, str, str]:
    members, _, phases = rest.partition("phase1 ")
    phase1, _, phase2 = phases.partition(" phase2 ")
    return members, phase1, phase2


def _unlisted(lists: str) -> list[list[ServerId]]:
    return [[_id(it) for it in quorum.split(",")] for quorum in lists.split()]


def _id(text: str) -> ServerId:
    return ServerId(int(text))
