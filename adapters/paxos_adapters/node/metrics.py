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
    for create, name, figures, unit, what in (
        (counter, "saves", _saves, "{save}", "Commits to the file, in all its sessions."),
        (gauge, "names.in_memory", _in_memory, "{name}", "Names that are in memory."),
        (gauge, "values.in_memory", _bytes_in_memory, "By", "What the values in memory take."),
        (gauge, "names.asked", _asked, "{name}", "Names that somebody waits for."),
        (
            gauge,
            "proposals.unresolved",
            _unresolved,
            "{proposal}",
            "Those whose callers have left.",
        ),
        (gauge, "servers.up", _up, "{server}", "Servers that are up, with this one."),
        (gauge, "tolerance", _tolerance, "{server}", "How many more may fail; -1: too many did."),
        (gauge, "peer.round_trip", _trips, "s", "The last round trip to a peer."),
        (gauge, "votes", _votes, "1", "1 once enough peers have acknowledged its session."),
        (gauge, "descent.proven", _proven, "1", "1 if no older copy of its file can have voted."),
        (counter, "datagrams.refused", _refused, "{datagram}", "What was not taken, by reason."),
        (counter, "datagrams.lost", _lost, "{datagram}", "What could not be sent, by reason."),
    ):
        create(f"paxos.{name}", watched(figures), unit, what)


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


def _saves(status: Status) -> Figures:
    return [(status.saves, {})]


def _in_memory(status: Status) -> Figures:
    return [(status.in_memory, {})]


def _bytes_in_memory(status: Status) -> Figures:
    return [(status.in_memory_bytes, {})]


def _asked(status: Status) -> Figures:
    return [(status.asked, {})]


def _unresolved(status: Status) -> Figures:
    return [(status.unresolved, {})]


def _up(status: Status) -> Figures:
    return [(1 + sum(it.is_up for it in status.peers.values()), {})]


def _tolerance(status: Status) -> Figures:
    return [(status.tolerance, {})]


def _votes(status: Status) -> Figures:
    return [(status.descent.votes, {})]


def _proven(status: Status) -> Figures:
    return [(status.descent.is_proven, {})]


def _trips(status: Status) -> Figures:
    for peer, it in status.peers.items():
        if it.round_trip_s is not None:
            yield it.round_trip_s, {"paxos.peer": int(peer)}


def _refused(status: Status) -> Figures:
    return _by_reason(status.refused)


def _lost(status: Status) -> Figures:
    return _by_reason(status.lost)


def _by_reason(counts: Mapping[str, int]) -> Figures:
    return [(times, {"reason": reason}) for reason, times in counts.items()]
