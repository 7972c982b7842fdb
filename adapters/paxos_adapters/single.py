"""The machine of one decision: ``paxos.server``, and the aliases that users need."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from paxos import AfterSave, Message, ServerId, server
from paxos.ballot import V
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.coding import Coder, Kinds
from paxos_adapters.driving import Driver
from paxos_adapters.host import Host
from paxos_adapters.machine import Effect, Machine, Process, latest
from paxos_adapters.ports import Codec, Observer
from paxos_adapters.timeouts import delay_range

Single: TypeAlias = Machine[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""A machine with the shape of Paxos for one decision: the library's own, or a broken variant."""

Receive: TypeAlias = Callable[[server.Server[V], server.Event[V]], server.Step[V]]
"""A function of the shape of ``server.receive``."""

SingleHost: TypeAlias = Host[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""A host of one decision."""

SingleDriver: TypeAlias = Driver[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""A driver of one decision."""

SingleObserver: TypeAlias = Observer[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""An observer of servers of one decision."""

SingleProcess: TypeAlias = Process[
    server.Server[V],
    server.Record[V],
    Effect[Message[V], ServerTimer, server.Report[V]],
]
"""A server of one decision, as a driver holds it."""


SingleStep: TypeAlias = AfterSave[
    server.Record[V], Effect[Message[V], ServerTimer, server.Report[V]]
]
"""A step of one decision that waits for its record."""


SingleCoder: TypeAlias = Coder[server.Server[V], server.Event[V], server.Record[V]]
"""What encodes and decodes a server of one decision."""


def members(state: server.Server[V]) -> tuple[ServerId, ...]:
    """All servers, in the order of their ids."""
    return tuple(sorted(state.learner.quorum.members))


def single(receive: Receive[V] | None = None, name: str = "paxos") -> Single[V]:
    """Paxos for one decision; or a variant of it, with another ``receive`` and ``name``."""
    return Machine(
        name,
        server.start,
        server.receive if receive is None else receive,
        members=members,
        delay=delay_range,
        fold=latest,
    )


def single_coder(codec: Codec[V]) -> SingleCoder[V]:
    """A coder for servers of one decision, and ``codec`` for their values."""
    kinds: Kinds[server.Server[V], server.Event[V], server.Record[V]] = Kinds(
        server.Server, server.Event, server.Record
    )
    return Coder(kinds, codec)
