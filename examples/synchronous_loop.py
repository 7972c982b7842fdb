"""The core in a plain loop: no thread, no event loop, no adapter. Messages get lost.

Run it: ``python examples/synchronous_loop.py``

Three servers share one agenda in virtual time. A third of all messages is lost, and wake-ups make
up for them. The four steps with a number are all that a host must do: see docs/embedding.md.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from random import Random

from paxos import (
    AfterSave,
    Broadcast,
    Done,
    From,
    Propose,
    Saved,
    ServerId,
    SetTimer,
    To,
    majority,
    server,
)

MEMBERS = [ServerId(number) for number in (1, 2, 3)]
LOST, TRIP_S, SHORTEST_S = 1 / 3, 0.01, 0.05


def run(seed: int) -> tuple[dict[ServerId, str], int]:
    """Two rivals propose. What each server comes to know, and how many messages were lost."""
    random, order, lost = Random(seed), count(), 0
    states: dict[ServerId, server.Server[str]]
    states = {me: server.start(me, majority(MEMBERS)) for me in MEMBERS}
    disks: dict[tuple[ServerId, type], server.Record[str]] = {}
    known: dict[ServerId, str] = {}
    agenda: list[tuple[float, int, ServerId, server.Event[str]]] = []

    def later(at_s: float, me: ServerId, event: server.Event[str]) -> None:
        heappush(agenda, (at_s, next(order), me, event))

    later(0, MEMBERS[0], Propose("red"))
    later(0, MEMBERS[2], Propose("blue"))
    while agenda:
        now_s, _, me, event = heappop(agenda)
        states[me], outbound = server.receive(states[me], event)  # 1. one step
        if isinstance(outbound, AfterSave):
            disks[me, type(outbound.record)] = outbound.record  # 2. save, and only then
            effects = outbound.release(Saved((outbound.record,)))  # 3. open the seal
        else:
            effects = outbound.messages
        for effect in effects:  # 4. do what it wants done
            if isinstance(effect, To | Broadcast):
                receivers = [effect.receiver] if isinstance(effect, To) else MEMBERS
                for receiver in receivers:
                    if random.random() < LOST:
                        lost += 1
                    else:
                        later(now_s + TRIP_S, receiver, From(me, effect.message))
            elif isinstance(effect, SetTimer):
                retry_max_s = SHORTEST_S * 2 ** min(effect.attempt + 1, 6)
                later(now_s + random.uniform(SHORTEST_S, retry_max_s), me, effect.timer)
            elif isinstance(effect.report, Done):
                known[me] = effect.report.value
    return known, lost


def main() -> None:
    """Show a few runs."""
    for seed in range(5):
        known, lost = run(seed)
        learnt = ", ".join(f"S{me} {value}" for me, value in sorted(known.items()))
        print(f"seed {seed}: {learnt}; {lost} messages were lost")


if __name__ == "__main__":
    main()
