"""What a node measures, as OpenTelemetry instruments. Needs the extra ``otel``.

    async with Node(...) as node:
        observe(node)

- An instrument asks the node when it is read, in the node's own event loop, wherever the reader
  runs. Nothing is counted twice, and nothing is kept. Only times of submissions are told as they
  come.
- A log is observed for as long as it runs on the node, whenever it was entered.
- A node whose loop does not answer, or has ended, is observed no more: no number is better than an
  old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from paxos_adapters.node.log_metrics import LOG_INSTRUMENTS, SUBMIT, log_figures
from paxos_adapters.node.node import Node
from paxos_adapters.node.observing import Attributes, Figures, asking
from paxos_adapters.node.status import Status

V = TypeVar("V")


def observe(node: Node[V], meter: Meter | None = None) -> None:
    """Have ``meter`` observe ``node``, which runs in this event loop.

    Without a meter, that of the global provider. All figures carry ``paxos.cluster`` and
    ``paxos.server``. For the whole life of the process: OpenTelemetry knows no way back.
    """
    meter = get_meter("paxos_adapters") if meter is None else meter
    who: Attributes = {"paxos.cluster": node.file.identity.cluster, "paxos.server": int(node.me)}

    def watched(
        ask: Callable[[], Figures | None],
    ) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        def look(_: CallbackOptions) -> Iterable[Observation]:
            for figure, attributes in ask() or ():
                yield Observation(figure, {**who, **attributes})

        return [look]

    counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
    creating = {"counter": counter, "gauge": gauge}
    for kind, name, unit, what in INSTRUMENTS:
        ask = asking(partial(_figures, node, name))
        creating[kind](f"paxos.{name}", watched(ask), unit, what)
    for kind, name, unit, what in LOG_INSTRUMENTS:
        ask = asking(partial(log_figures, node, name))
        creating[kind](f"paxos.{name}", watched(ask), unit, what)
    times = meter.create_histogram(f"paxos.{SUBMIT}", "s", "From a submission to its results.")
    node.on_submitted(lambda log, time_s: times.record(time_s, {**who, "paxos.log": log}))


def _figures(node: Node[V], name: str) -> Figures:
    return [*FIGURES[name](node.status())]


def _trips(status: Status) -> Figures:
    for peer, it in status.peers.items():
        if it.round_trip_s is not None:
            yield it.round_trip_s, {"paxos.peer": int(peer)}


def _by_reason(counts: Mapping[str, int]) -> Figures:
    return [(times, {"reason": reason}) for reason, times in counts.items()]


INSTRUMENTS = (
    ("counter", "saves", "{save}", "Commits to the file, in all its sessions."),
    ("gauge", "names.in_memory", "{name}", "Names that are in memory."),
    ("gauge", "values.in_memory", "By", "What the values in memory take."),
    ("gauge", "names.asked", "{name}", "Names that somebody waits for."),
    ("gauge", "proposals.unresolved", "{proposal}", "Those whose callers have left."),
    ("gauge", "servers.up", "{server}", "Servers that are up, with this one."),
    ("gauge", "tolerance", "{server}", "How many more may fail; -1: too many did."),
    ("gauge", "peer.round_trip", "s", "The last round trip to a peer."),
    ("gauge", "votes", "1", "1 once enough peers have acknowledged its session."),
    ("gauge", "descent.proven", "1", "1 if no older copy of its file can have voted."),
    ("counter", "datagrams.refused", "{datagram}", "What was not taken, by reason."),
    ("counter", "datagrams.lost", "{datagram}", "What could not be sent, by reason."),
)
"""Of each: what it is, its name behind ``paxos.``, its unit, and what it says."""

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
