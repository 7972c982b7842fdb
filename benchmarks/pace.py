"""Pace over round-trip time: requests and time that a decision takes, in virtual time.

Three servers; a message takes half a round trip, one to itself none, and a save 1 ms. One server
proposes, or two of them at once. Requests are what is not an answer: Prepare, Accept, Chosen and
Heartbeat, to all three. Run: ``python benchmarks/pace.py [DECISIONS]``. The same seeds
give the same table.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import TypeAlias

from attrs import Factory, define

from paxos import (
    Accept,
    Chosen,
    Done,
    From,
    Heartbeat,
    Message,
    Prepare,
    Propose,
    ServerId,
    majority,
    server,
)
from paxos.server import Record, ServerTimer
from paxos_adapters.host import Host
from paxos_adapters.memory import MemoryStore
from paxos_adapters.ports import Ports
from paxos_adapters.single import SingleHost, single
from paxos_adapters.timeouts import Timeouts

IDS = tuple(map(ServerId, (1, 2, 3)))
ROUND_TRIPS_MS = 1, 5, 10, 20, 40, 60, 100, 150, 200
PACES = {
    "the default": Timeouts(),
    "0.1 s": Timeouts(0.1, 5.0, 0.1),
    "0.2 s": Timeouts(0.2, 5.0, 0.2),
    "0.5 s": Timeouts(0.5, 5.0, 0.5),
}
DECISIONS = 200
REQUESTS = Prepare, Accept, Chosen, Heartbeat
SAVE_S = 0.001
"""Before an acceptor takes a Prepare or an Accept."""

Later: TypeAlias = tuple[float, int, Callable[[], None]]


@define
class World:
    """A virtual time, and what is to happen in it."""

    round_trip_s: float
    now_s: float = 0.0
    later: list[Later] = Factory(list[Later])
    sent: Counter[type] = Factory(Counter[type])
    hosts: dict[ServerId, SingleHost[str]] = Factory(dict[ServerId, SingleHost[str]])
    done_s: dict[ServerId, float] = Factory(dict[ServerId, float])
    numbers: count[int] = Factory(count)

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do it then."""
        heapq.heappush(self.later, (self.now_s + delay_s, next(self.numbers), act))

    def take(self, me: ServerId, event: server.Event[str]) -> None:
        """Hand an event to a server, and note when it is done."""
        if any(type(it) is Done for it in self.hosts[me].receive(event)):
            self.done_s.setdefault(me, self.now_s)

    def run(self, proposers: Sequence[ServerId]) -> None:
        """Until all who propose are done, and what was sent by then has arrived."""
        while self.later and len(self.done_s) < len(proposers):
            self.now_s, _, act = heapq.heappop(self.later)
            act()


@define
class Network:
    """The transport and the timer of one server."""

    world: World
    me: ServerId

    def send(self, receiver: ServerId, message: Message[str]) -> None:
        """Half a round trip, and none to itself."""
        self.world.sent[type(message)] += 1
        away_s = 0.0 if receiver == self.me else self.world.round_trip_s / 2
        delay_s = away_s + SAVE_S * isinstance(message, Prepare | Accept)
        self.world.at(delay_s, lambda: self.world.take(receiver, From(self.me, message)))

    def set_timer(self, timer: ServerTimer, delay_s: float) -> None:
        """In virtual time."""
        self.world.at(delay_s, lambda: self.world.take(self.me, timer))


def decide(
    round_trip_s: float, timeouts: Timeouts, proposers: Sequence[ServerId], seed: int
) -> World:
    """One decision; two who propose begin within one round trip of each other."""
    world, random = World(round_trip_s), Random(seed)
    for me in IDS:
        network = Network(world, me)
        ports = Ports(network, network, MemoryStore[Record[str]]())
        chance = Random(random.random())
        world.hosts[me] = Host(single(), me, majority(IDS), ports, timeouts=timeouts, random=chance)
    for me in proposers:
        start_s = 0.0 if me == proposers[0] else random.uniform(0, round_trip_s)
        world.at(start_s, partial(world.take, me, Propose(f"of {me}")))
    world.run(proposers)
    return world


def mean(
    round_trip_s: float, timeouts: Timeouts, proposers: Sequence[ServerId], decisions: int
) -> str:
    """Requests and milliseconds of a decision."""
    worlds = [decide(round_trip_s, timeouts, proposers, seed) for seed in range(decisions)]
    sent = sum(it.sent[kind] for it in worlds for kind in REQUESTS) / decisions
    took_s = sum(max(it.done_s.values()) for it in worlds) / decisions
    return f"{sent:.1f} | {1_000 * took_s:.0f}"


def main(words: Sequence[str]) -> int:
    """Print the table."""
    decisions = int(words[0]) if words else DECISIONS
    heading = " | ".join(f"{it}: requests | ms" for it in PACES)
    for proposers in IDS[:1], IDS[::2]:
        print(f"\nproposers: {len(proposers)}\n\n| round trip, ms | {heading} |")
        print("| ---: " * (1 + 2 * len(PACES)) + "|")
        for trip_ms in ROUND_TRIPS_MS:
            cells = [mean(trip_ms / 1_000, it, proposers, decisions) for it in PACES.values()]
            print(f"| {trip_ms} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
