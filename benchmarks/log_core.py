"""Replicas of the pure core of the log, by one plain loop: the CPU that a slot takes.

Three replicas; the first leads, with WIDTH slots in flight. Every seal is opened with a receipt, as
a host does; the disk is left out. Prints JSON: microseconds a slot of the leader, of a follower and
of all three, and microseconds of one ``acceptor.receive`` of an Accept of Basic Paxos.

    python benchmarks/log_core.py SLOTS
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable

from paxos import (
    Accept,
    Acceptor,
    AfterSave,
    Ballot,
    Broadcast,
    From,
    Saved,
    ServerId,
    To,
    acceptor,
    majority,
)
from paxos.log import Command, Lead, Message, Propose, replica
from paxos.log.events import Effect, Event

WIDTH = 8
"""How many slots are in flight."""

MEMBERS = tuple(map(ServerId, (1, 2, 3)))
LEADER, FOLLOWER, _ = MEMBERS


class Replicas:
    """Three replicas, and the CPU that each has taken."""

    def __init__(self) -> None:
        quorum = majority(MEMBERS)
        self._states: dict[ServerId, replica.Replica[str]] = {
            me: replica.start(me, quorum) for me in MEMBERS
        }
        self.seconds = dict.fromkeys(MEMBERS, 0.0)

    def take(self, me: ServerId, events: Iterable[Event[str]]) -> list[Effect[str]]:
        """What one replica wants done after ``events``, with its seals opened."""
        effects: list[Effect[str]] = []
        state = self._states[me]
        started = time.process_time()
        for event in events:
            state, outbound = replica.receive(state, event)
            if type(outbound) is AfterSave:
                effects.extend(outbound.release(Saved((outbound.record,))))
            else:
                effects.extend(outbound.messages)
        self.seconds[me] += time.process_time() - started
        self._states[me] = state
        return effects

    def run(self, me: ServerId, events: Iterable[Event[str]]) -> None:
        """Let one replica take ``events``, and all of them what follows."""
        waiting: dict[ServerId, list[Event[str]]] = {me: [*events]}
        while waiting:
            me, batch = waiting.popitem()
            for effect in self.take(me, batch):
                for to, message in _messages(effect):
                    waiting.setdefault(to, []).append(From(me, message))


def _messages(effect: Effect[str]) -> Iterable[tuple[ServerId, Message[str]]]:
    if type(effect) is To:
        return [(effect.receiver, effect.message)]
    if type(effect) is Broadcast:
        return [(me, effect.message) for me in MEMBERS]
    return []


def one_accept(count: int) -> float:
    """Microseconds of an Accept of Basic Paxos, each under a new ballot."""
    requests = [Accept(Ballot(it, LEADER), "value") for it in range(1, count + 1)]
    state: Acceptor[str] = Acceptor()
    started = time.process_time()
    for request in requests:
        state, outbound = acceptor.receive(state, request)
        assert type(outbound) is AfterSave
        outbound.release(Saved((outbound.record,)))
    return (time.process_time() - started) / count * 1e6


def main(slots: int) -> None:
    """Time ``slots`` slots."""
    replicas = Replicas()
    replicas.run(LEADER, [Lead()])
    replicas.seconds = dict.fromkeys(MEMBERS, 0.0)
    proposals = [Propose(Command("value"))] * WIDTH
    for _ in range(slots // WIDTH):
        replicas.run(LEADER, proposals)
    us = {me: it / slots * 1e6 for me, it in replicas.seconds.items()}
    figures = {
        "leader": us[LEADER],
        "follower": us[FOLLOWER],
        "all": sum(us.values()),
        "accept": one_accept(min(slots, 20_000)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))
