"""What a node measures of its logs: see ``metrics.py``. All of it carries ``paxos.log``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from attrs import frozen

from paxos_adapters.node.node import Node
from paxos_adapters.node.observing import Figures
from paxos_adapters.node.tolerance import log_tolerance
from paxos_adapters.replication.figures import LogStatus

V = TypeVar("V")

SUBMIT = "log.submit"
"""A histogram, of seconds."""

LOG_INSTRUMENTS = (
    ("gauge", "log.chosen", "{slot}", "All slots below are known to be chosen."),
    ("gauge", "log.applied", "{slot}", "All slots below are applied here."),
    ("gauge", "log.snapshot", "{slot}", "A snapshot stands for all slots below."),
    ("gauge", "log.lag", "{slot}", "Slots that a server is not known to hold, of those chosen."),
    ("gauge", "log.in_flight", "{slot}", "Slots of the window that are open."),
    ("gauge", "log.window", "{slot}", "How many may be open."),
    ("gauge", "log.pending", "{command}", "Commands of this program without an answer."),
    ("gauge", "log.leads", "1", "1 if this server leads."),
    ("gauge", "log.stopped", "1", "1 if nothing more is applied here."),
    ("gauge", "log.tolerance", "{server}", "How many more may fail; -1: too many did."),
    ("counter", "log.commands", "{command}", "Commands that were applied here."),
    ("counter", "log.reads", "{read}", "Reads that were answered here."),
    ("counter", "log.leaders", "{leader}", "Leaders that this server has followed."),
)
"""See ``metrics.INSTRUMENTS``."""


@frozen
class _Seen:
    """A log, and how many more servers may fail."""

    status: LogStatus
    tolerance: int


def log_figures(node: Node[V], name: str) -> Figures:
    """What one instrument reads, of each log that runs on ``node``."""
    status = node.status()
    found: list[tuple[float, Mapping[str, str | int]]] = []
    for log, served in node.served.items():
        seen = _Seen(served.status(), log_tolerance(served.quorums, status))
        for figure, attributes in _LOG_FIGURES[name](seen):
            found.append((figure, {"paxos.log": log, **attributes}))
    return found


def _lags(seen: _Seen) -> Iterator[tuple[float, Mapping[str, str | int]]]:
    for server, held in seen.status.figures.held.items():
        yield max(0, seen.status.chosen - held), {"paxos.peer": int(server)}


_LOG_FIGURES: Mapping[str, Callable[[_Seen], Figures]] = {
    "log.chosen": lambda it: [(it.status.chosen, {})],
    "log.applied": lambda it: [(it.status.applied, {})],
    "log.snapshot": lambda it: [(it.status.floor, {})],
    "log.lag": _lags,
    "log.in_flight": lambda it: [(it.status.figures.in_flight, {})],
    "log.window": lambda it: [(it.status.figures.window, {})],
    "log.pending": lambda it: [(it.status.pending, {})],
    "log.leads": lambda it: [(it.status.leads, {})],
    "log.stopped": lambda it: [(it.status.stopped is not None, {})],
    "log.tolerance": lambda it: [(it.tolerance, {})],
    "log.commands": lambda it: [(it.status.figures.commands, {})],
    "log.reads": lambda it: [(it.status.figures.reads, {})],
    "log.leaders": lambda it: [(it.status.figures.leaders, {})],
}
