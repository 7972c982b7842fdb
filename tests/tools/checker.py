"""Judges a run of a cluster by what its clients were told, and in the end by what was saved.

A name is a register that is written once. It was one, for all that anybody could see, if and only
if for each name:

- all answers with a value have the same value;
- that value was proposed for this name, by somebody who asked before anybody was answered;
- no read was answered with None that was begun after an answer with a value had been completed;
- once faults had stopped, each node answered with the value.

And of what acceptors have saved, each by itself:

- at one ballot, one value was accepted;
- a value that a majority accepted at one ballot is the value of the answers;
- whichever majority one looks at, the accepted value of the highest ballot in it is the value of
  the answers: no proposer to come can choose another one.

It knows neither the library's states nor the run: only the log, the names of files and this page.

Source: Herlihy and Wing, "Linearizability" (1990), for a register that is written once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from attrs import frozen

from paxos_adapters.file import rows

Ballot: TypeAlias = tuple[int, int]


class Entry(msgspec.Struct, frozen=True):
    """One question of one client, and what it was told; times in seconds, on one clock.

    ``said`` is what was proposed. Without ``done_s`` there was no answer: the outcome is unknown.
    """

    node: int
    verb: Literal["propose", "read", "watch"]
    name: str
    said: str
    asked_s: float
    done_s: float | None = None
    told: str | None = None


@frozen
class Vote:
    """What one acceptor has accepted last for one name."""

    acceptor: int
    name: str
    ballot: Ballot
    value: str


def check(
    log: Iterable[Entry], votes: Iterable[Vote], nodes: Sequence[int], calm_s: float
) -> list[str]:
    """Every fault that was found, in words. ``calm_s`` is when faults stopped."""
    entries, accepted = defaultdict[str, list[Entry]](list), defaultdict[str, list[Vote]](list)
    for entry in log:
        entries[entry.name].append(entry)
    for vote in votes:
        accepted[vote.name].append(vote)
    faults = list[str]()
    for name, asked in entries.items():
        told = {it.told for it in asked if it.told is not None}
        faults += [f"{name!r}: {fault}" for fault in _told(asked, told, nodes, calm_s)]
        faults += [f"{name!r}: {fault}" for fault in _voted(accepted[name], told, nodes)]
    faults += [f"{name!r} was voted on, and nobody asked" for name in accepted.keys() - entries]
    return faults


def _told(
    asked: Sequence[Entry], told: set[str], nodes: Sequence[int], calm_s: float
) -> Iterator[str]:
    if len(told) > 1:
        yield f"{len(told)} values were told: {sorted(told)}"
    answers = [it for it in asked if it.told is not None and it.done_s is not None]
    first_s = min((it.done_s for it in answers if it.done_s is not None), default=float("inf"))
    for value in sorted(told):
        begun_s = [it.asked_s for it in asked if it.verb == "propose" and it.said == value]
        if not begun_s:
            yield f"{value!r} comes from nowhere"
        elif min(begun_s) > min(it.done_s or 0.0 for it in answers if it.told == value):
            yield f"{value!r} was told before anybody proposed it"
    for it in asked:
        if it.done_s is not None and it.told is None:
            if it.verb != "read":
                yield f"node {it.node} answered a {it.verb} with nothing"
            elif it.asked_s > first_s:
                late_s = it.asked_s - first_s
                yield f"node {it.node} read nothing, {late_s:.3f} s after a value was told"
    for node in nodes:
        if not any(it.node == node and it.asked_s >= calm_s for it in answers):
            yield f"node {node} never decided"


def _voted(votes: Sequence[Vote], told: set[str], nodes: Sequence[int]) -> Iterator[str]:
    majority = len(nodes) // 2 + 1
    at = defaultdict[Ballot, list[Vote]](list)
    for vote in votes:
        at[vote.ballot].append(vote)
    for ballot, same in at.items():
        values = {it.value for it in same}
        if len(values) > 1:
            yield f"{sorted(values)} were accepted at ballot {ballot}"
        elif len(same) >= majority and values != told:
            yield f"{values} was chosen at ballot {ballot}, and {told or 'nothing'} told"
    by_acceptor = {it.acceptor: it for it in votes}
    for some in combinations(nodes, majority):
        found = max(
            (by_acceptor[it] for it in some if it in by_acceptor),
            key=lambda vote: vote.ballot,
            default=None,
        )
        if told and (found is None or found.value not in told):
            yield f"{some} could choose {found.value if found else 'anything'!r}, not {told}"


def read_log(path: Path) -> list[Entry]:
    """What a client has written down, one JSON line for each question."""
    return [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]


def read_votes(paths: Mapping[int, Path]) -> Iterator[Vote]:
    """What the acceptors have accepted, from the files that they have left."""
    for acceptor, path in paths.items():
        for row in rows(path):
            words = row.fields.split()
            if row.kind == "acceptor" and "accepted" in words and row.value is not None:
                round_, server = words[words.index("accepted") + 1].split(".")
                yield Vote(acceptor, row.name, (int(round_), int(server)), row.value.decode())


def chosen_by_majority(votes: Iterable[Vote], nodes: Sequence[int]) -> int:
    """For how many names a majority's last votes are for one ballot."""
    at = defaultdict[tuple[str, Ballot], set[int]](set)
    for vote in votes:
        at[vote.name, vote.ballot].add(vote.acceptor)
    return sum(len(acceptors) > len(nodes) // 2 for acceptors in at.values())
