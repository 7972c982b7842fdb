"""Runs that a notebook shows as pictures by themselves.

    Cluster(3)              servers of one decision in memory; as the value of a cell, a picture
    replay("run.jsonl")     the picture of a recording
    Stage(), LogStage()     of ``paxos_lab.lecture``: they are shown, too

The picture has the theme of the notebook. Printed, it is a drawing in lines of text.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from paxos import QuorumSystem
from paxos_adapters import memory
from paxos_lab.draw.picture import Picture
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS
from paxos_lab.observers import Observers
from paxos_lab.record import PROTOCOLS, SingleTrace, Trace, is_of_log, log_timeline, single_timeline
from paxos_lab.record import replay as replayed
from paxos_lab.record import replay_log as replayed_log

__all__ = ["Cluster", "replay"]

KNOWN = {**PROTOCOLS, **{it.protocol.name: it.protocol for it in SCENARIOS.values()}}
"""The protocols that may have been recorded, by name."""

VARIANTS = {it.protocol.name: it.protocol.receive for it in LOG_SCENARIOS.values()}
"""The same of a log."""


class Cluster(memory.Cluster[str]):
    """Servers in one process that agree on one value, and the picture of what they did.

    >>> cluster = Cluster(3)
    >>> cluster.propose(cluster.servers[0], "red")
    >>> _ = cluster.run()
    >>> "red is chosen" in str(cluster.picture)
    True
    """

    def __init__(
        self, servers: int = 3, *, quorum: QuorumSystem | None = None, seed: int = 0
    ) -> None:
        """As a cluster in memory. Raises QuorumError for less than one server."""
        self.trace: SingleTrace[str] = Trace()
        super().__init__(servers, quorum=quorum, seed=seed, observer=Observers((self.trace,)))

    @property
    def picture(self) -> Picture:
        """What has happened so far."""
        return Picture(single_timeline(self.trace))

    def _repr_html_(self) -> str:
        return self.picture.svg


def replay(
    path: str | PathLike[str], *more: str | PathLike[str], name: str = "", slot: int | None = None
) -> Picture:
    """The picture of a recording, or of those of all servers of a cluster.

    ``name`` is the decision, ``slot`` that of a log, None for all slots. Raises OSError and
    RecordingError.
    """
    paths = [Path(it) for it in (path, *more)]
    if is_of_log(paths[0]):
        return Picture(log_timeline(replayed_log(*paths, variants=VARIANTS), slot=slot))
    found = replayed(*paths, protocols=KNOWN)
    has_numbers = KNOWN[found.headers[0].protocol].has_numbers
    return Picture(single_timeline(found, name, has_numbers=has_numbers))
