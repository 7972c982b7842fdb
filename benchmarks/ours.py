"""Decisions by the core of paxos: fresh states each time, messages handed over by one plain loop.

Every seal is opened with a receipt, as a host does; the receipt costs what it costs, the disk is
left out. Prints the seconds that ``COUNT`` decisions among ``SERVERS`` acceptors took.

    python benchmarks/ours.py SERVERS COUNT
"""

# ruff: noqa: T201 - the figure is this program's output

from __future__ import annotations

import sys
import time

from paxos import (
    Accepted,
    Acceptor,
    AfterSave,
    Broadcast,
    Chosen,
    From,
    Learner,
    Propose,
    Proposer,
    QuorumSystem,
    Saved,
    ServerId,
    acceptor,
    learner,
    majority,
    proposer,
)


def decide(members: tuple[ServerId, ...], quorum: QuorumSystem) -> str:
    """One decision: all that is sent arrives, in order."""
    acceptors: list[Acceptor[str]] = [Acceptor() for _ in members]
    learning: Learner[str] = Learner(quorum)
    proposing, outbound = proposer.receive(Proposer(members[0], quorum), Propose("value"))
    assert type(outbound) is AfterSave
    pending = list(outbound.release(Saved((outbound.record,))))
    for effect in pending:
        if type(effect) is not Broadcast or type(effect.message) is Chosen:
            continue
        steps = [acceptor.receive(state, effect.message) for state in acceptors]
        acceptors = [state for state, _ in steps]
        saved = Saved(tuple(acceptors))
        for member, (_, answer) in zip(members, steps, strict=True):
            free = answer.release(saved) if type(answer) is AfterSave else answer.messages
            for message in free:
                if type(message) is Accepted:
                    learning, _ = learner.receive(learning, From(member, message))
                else:
                    proposing, more = proposer.receive(proposing, From(member, message))
                    assert type(more) is not AfterSave
                    pending.extend(more.messages)
    assert learning.choice is not None
    return learning.choice.chosen.value


def main(servers: int, count: int) -> None:
    """Time ``count`` decisions."""
    members = tuple(ServerId(number) for number in range(1, servers + 1))
    quorum = majority(members)
    started = time.perf_counter()
    for _ in range(count):
        decide(members, quorum)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
