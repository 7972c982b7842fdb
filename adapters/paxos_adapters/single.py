"""The machine of one decision: ``paxos.server``, with its alias."""

from __future__ import annotations

from typing import TypeAlias

from paxos import Message, ServerId, server
from paxos.ballot import V
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.machine import Effect, Machine, Process, latest
from paxos_adapters.timeouts import delay_range

Single: TypeAlias = Machine[
    server.Server[V],
    ClientRequest[V],
    Message[V],
    ServerTimer,
    server.Record[V],
    server.Report[V],
]
"""A machine with the shape of Paxos for one decision: the library's own, or a broken variant."""

SingleProcess: TypeAlias = Process[
    server.Server[V],
    server.Record[V],
    Effect[Message[V], ServerTimer, server.Report[V]],
]
"""A server of one decision, as a driver holds it."""


def members(state: server.Server[V]) -> tuple[ServerId, ...]:
    """All servers, in the order of their ids."""
    return tuple(sorted(state.learner.quorum.members))


def single() -> Single[V]:
    """Paxos for one decision."""
    return Machine(
        "paxos", server.start, server.receive, members=members, delay=delay_range, fold=latest
    )
