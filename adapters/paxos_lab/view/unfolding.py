"""Unfolding: what can be said of a decision after each of its steps.

- A replay that has only come to a step is a replay, too: it is explained like any other.
- Its disks and states follow from the steps: a disk holds what was read at a start, and what was
  saved since.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from paxos import Acceptor
from paxos_lab.explain import explain, of_replay
from paxos_lab.record import Began, Known, Replay, Step


def unfolding(replay: Replay, name: str = "") -> Iterator[str]:
    """The explanation of the decision ``name`` after each step of it, in words."""
    so_far = evolve(replay, steps=[], states={}, disks={}, on_the_way=[], difference=None)
    text = ""
    for step in replay.steps:
        if step.entry.name != name:
            continue
        _advance(so_far, step)
        if not text or _matters(step):
            text = explain(of_replay(so_far, name), name).text
        yield text


def _matters(step: Step[str]) -> bool:
    return step.before != step.after or bool(step.saved) or bool(step.sent)


def _advance(replay: Replay, step: Step[str]) -> None:
    replay.steps.append(step)
    what, place = step.entry.what, (step.entry.server, step.entry.name)
    if step.after is None:
        replay.states.pop(place, None)
    else:
        replay.states[place] = step.after
    if isinstance(what, Began):
        replay.disks[place] = {}
    elif isinstance(what, Known):
        replay.disks.setdefault(place, {Acceptor: what.state.acceptor})
    for record in step.saved:
        replay.disks.setdefault(place, {})[type(record)] = record
