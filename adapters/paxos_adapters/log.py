"""The machine of a replicated log: ``paxos.log.replica``, and the aliases that users need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from paxos import ServerId, SetTimer, To
from paxos.ballot import V
from paxos.errors import assert_never
from paxos.log import (
    CampaignTimer,
    CatchUp,
    Change,
    Command,
    Fetch,
    HeartbeatTimer,
    Noop,
    ReleaseTimer,
    replica,
)
from paxos.log.events import Event, LogTimer, Report, Request
from paxos.log.memory import Record, fetched, fold
from paxos.log.messages import Message
from paxos.log.replica import DEFAULT_RULES, Replica, Rules, Step
from paxos_adapters.coding import Coder, Kinds
from paxos_adapters.driving import Driver
from paxos_adapters.host import Host
from paxos_adapters.machine import Effect, Machine, Process
from paxos_adapters.ports import Codec, Observer
from paxos_adapters.timeouts import Timeouts

Log: TypeAlias = Machine[Replica[V], Request[V], Message[V], LogTimer, Record[V], Report[V]]
"""A machine with the shape of a replicated log: the library's own, or a broken variant."""

LogReceive: TypeAlias = Callable[[Replica[V], Event[V]], Step[V]]
"""A function of the shape of ``replica.receive``."""

LogDriver: TypeAlias = Driver[Replica[V], Request[V], Message[V], LogTimer, Record[V], Report[V]]
"""A driver of a replica."""

LogObserver: TypeAlias = Observer[
    Replica[V], Request[V], Message[V], LogTimer, Record[V], Report[V]
]
"""An observer of replicas."""

LogHost: TypeAlias = Host[Replica[V], Request[V], Message[V], LogTimer, Record[V], Report[V]]
"""A host of a replica."""

LogProcess: TypeAlias = Process[Replica[V], Record[V], Effect[Message[V], LogTimer, Report[V]]]
"""A replica, as a driver holds it."""

LogCoder: TypeAlias = Coder[Replica[V], Event[V], Record[V]]
"""What encodes and decodes a replica."""


def members(state: Replica[V]) -> tuple[ServerId, ...]:
    """The servers of all configurations in use, in the order of their ids."""
    return tuple(sorted(replica.members(state)))


def delay(request: SetTimer[LogTimer], timeouts: Timeouts) -> tuple[float, float]:
    """Heartbeats are regular; a campaign waits for a random part of the interval.

    A lease says itself how long it is, in thousandths.
    """
    if type(request.timer) is HeartbeatTimer:
        return timeouts.heartbeat_s, timeouts.heartbeat_s
    if type(request.timer) is CampaignTimer:
        return 0.0, timeouts.heartbeat_s
    if type(request.timer) is ReleaseTimer:
        return request.timer.lease / 1000, request.timer.lease / 1000
    assert_never(request.timer)


def fetch(
    rules: Rules, disk: tuple[Record[V], ...], report: Report[V]
) -> tuple[To[Message[V]], ...] | None:
    """The CatchUp that answers a Fetch, of at most a piece; None for any other report."""
    if type(report) is not Fetch:
        return None
    proposals = fetched(disk, report.slot, rules.piece)
    if not proposals:
        return ()
    return (To(report.receiver, CatchUp(report.slot, proposals)),)


def log(
    rules: Rules = DEFAULT_RULES, receive: LogReceive[V] | None = None, name: str = "log"
) -> Log[V]:
    """A replicated log under ``rules``; or a variant, with another ``receive`` and ``name``."""
    return Machine(
        name,
        partial(replica.start, rules=rules),
        replica.receive if receive is None else receive,
        members=members,
        delay=delay,
        first=(HeartbeatTimer(0),),
        fold=fold,
        fetch=partial(fetch, rules),
    )


def log_coder(codec: Codec[V]) -> LogCoder[V]:
    """A coder for replicas, and ``codec`` for their values."""
    kinds: Kinds[Replica[V], Event[V], Record[V]] = Kinds(
        Replica, Event, Record, modules=("paxos.log",), entries=(Command, Noop, Change)
    )
    return Coder(kinds, codec)
