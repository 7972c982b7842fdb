"""What a node measures, as OpenTelemetry instruments. Needs the extra ``otel``.

    async with Node(...) as node:
        observe(node)

- An instrument asks the node when it is read, in the node's own event loop, wherever the reader
  runs. Nothing is counted twice, and nothing is kept.
- A node whose loop does not answer, or has ended, is observed no more: no number is better than an
  old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import TypeVar

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from paxos_adapters.node.node import Node
from paxos_adapters.node.status import Status

V = TypeVar("V")

PATIENCE_S = 1.0
"""How long a reader waits for the event loop of the node."""

Attributes = Mapping[str, str | int]
Figures = Iterable[tuple[float, Attributes]]


def observe(node: Node[V], meter: Meter | None = None) -> None:
    """Have ``meter`` observe ``node``, which runs in this event loop.

    Without a meter, that of the global provider. All figures carry ``paxos.cluster`` and
    ``paxos.server``. For the whole life of the process: OpenTelemetry knows no way back.
    """
    meter = get_meter("paxos_adapters") if meter is None else meter
    ask = _asking(node)
    who: Attributes = {"paxos.cluster": node.file.identity.cluster, "paxos.server": int(node.me)}

    def watched(
        figures: Callable[[Status], Figures],
    ) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        def look(_: CallbackOptions) -> Iterable[Observation]:
            status = ask()
            if status is not None:
                for figure, attributes in figures(status):
                    yield Observation(figure, {**who, **attributes})

        return [look]

    counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
    for create, name, unit, what in (
        (counter, "saves", "{save}", "Commits to the file, in all its sessions."),
        (gauge, "names.in_memory", "{name}", "Names that are in memory."),
        (gauge, "values.in_memory", "By", "What the values in memory take."),
        (gauge, "names.asked", "{name}", "Names that somebody waits for."),
        (gauge, "proposals.unresolved", "{proposal}", "Those whose callers have left."),
        (gauge, "servers.up", "{server}", "Servers that are up, with this one."),
        (gauge, "tolerance", "{server}", "How many more may fail; -1: too many did."),
        (gauge, "peer.round_trip", "s", "The last round trip to a peer."),
        (gauge, "votes", "1", "1 once enough peers have acknowledged its session."),
        (gauge, "descent.proven", "1", "1 if no older copy of its file can have voted."),
        (counter, "datagrams.refused", "{datagram}", "What was not taken, by reason."),
        (counter, "datagrams.lost", "{datagram}", "What could not be sent, by reason."),
    ):
        create(f"paxos.{name}", watched(FIGURES[name]), unit, what)


def _asking(node: Node[V]) -> Callable[[], Status | None]:
    """What asks ``node`` for its status from any thread; None if there is no answer."""
    loop = asyncio.get_running_loop()

    def ask() -> Status | None:
        try:
            if asyncio.get_running_loop() is loop:
                return node.status()
        except RuntimeError:
            pass  # No loop runs in this thread.
        told: Future[Status] = Future()
        try:
            loop.call_soon_threadsafe(lambda: told.set_result(node.status()))
            return told.result(PATIENCE_S)
        except (RuntimeError, Late):
            return None

    return ask


def _trips(status: Status) -> Figures:
    for peer, it in status.peers.items():
        if it.round_trip_s is not None:
            yield it.round_trip_s, {"paxos.peer": int(peer)}


def _by_reason(counts: Mapping[str, int]) -> Figures:
    return [(times, {"reason": reason}) for reason, times in counts.items()]


FIGURES: Mapping[str, Callable[[Status], Figures]] = {
    "saves": lambda it: [(it.saves, {})],
    "names.in_memory": lambda it: [(it.in_memory, {})],
    "values.in_memory": lambda it: [(it.in_memory_bytes, {})],
    "names.asked": lambda it: [(it.asked, {})],
    "proposals.unresolved": lambda it: [(it.unresolved, {})],
    "servers.up": lambda it: [(1 + sum(peer.is_up for peer in it.peers.values()), {})],
    "tolerance": lambda it: [(it.tolerance, {})],
    "peer.round_trip": _trips,
    "votes": lambda it: [(it.descent.votes, {})],
    "descent.proven": lambda it: [(it.descent.is_proven, {})],
    "datagrams.refused": lambda it: _by_reason(it.refused),
    "datagrams.lost": lambda it: _by_reason(it.lost),
}
"""What each instrument reads off a status."""
