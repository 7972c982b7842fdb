"""Networks that stay broken, each a puzzle for an election: which servers reach which.

- A link carries messages both ways. All other links are gone from some tick on, and never
  come back.
- A server that is linked with a quorum, itself included, is quorum-connected: it can decide.
- One that is linked with a server that decides is told.
- All others can wait without an end, whichever server is elected. Their clients must ask another.

Source: Ng, Haridi and Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (2023),
section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import combinations

from attrs import evolve, frozen

from paxos import QuorumSystem, ServerId

S1, S2, S3, S4, S5 = FIVE = tuple(map(ServerId, range(1, 6)))
THREE = S1, S2, S3


@frozen
class Network:
    """The ``links`` that stay among ``servers``; each is a pair.

    Each run draws the tick from which on all others are gone: ``gone_by`` at the latest, and with
    0, from the start.
    """

    name: str
    summary: str
    servers: frozenset[ServerId]
    links: frozenset[frozenset[ServerId]]
    gone_by: int = 64

    def around(self, server: ServerId) -> frozenset[ServerId]:
        """``server`` and all that it is linked with."""
        return frozenset({server}).union(*(link for link in self.links if server in link))

    def among(self, servers: Set[ServerId]) -> Network:
        """What is left of the network when only ``servers`` are."""
        links = frozenset(link for link in self.links if link <= servers)
        return evolve(self, servers=self.servers & servers, links=links)


def everywhere(servers: Iterable[ServerId]) -> Network:
    """All links stay."""
    return _network("everywhere", "all are linked", servers, combinations(sorted(servers), 2))


def quorum_loss(hub: ServerId) -> Network:
    """Five servers, and only ``hub`` reaches the others: a leader elsewhere has no quorum."""
    links = ((hub, leaf) for leaf in FIVE if leaf != hub)
    return _network("quorum-loss", f"all are linked with S{hub} only", FIVE, links)


def constrained(hub: ServerId, leader: ServerId) -> Network:
    """Five servers, ``leader`` linked with no other, the rest with ``hub`` only.

    Only ``hub`` can take over, although others may hold what is newer.
    """
    links = ((hub, leaf) for leaf in FIVE if leaf not in (hub, leader))
    summary = f"S{leader} is alone, the rest are linked with S{hub} only"
    return _network("constrained", summary, FIVE, links)


def chained(middle: ServerId) -> Network:
    """Three servers in a line, whose ends do not reach each other: a quorum for each of them."""
    links = ((middle, end) for end in THREE if end != middle)
    return _network("chained", f"the ends of a line are linked with S{middle} only", THREE, links)


def _network(
    name: str,
    summary: str,
    servers: Iterable[ServerId],
    links: Iterable[tuple[ServerId, ServerId]],
) -> Network:
    return Network(name, summary, frozenset(servers), frozenset(map(frozenset, links)))


PARTIAL = {it.name: it for it in (quorum_loss(S1), constrained(S1, S5), chained(S1))}
"""The three of the paper, by name, with the lowest id in the middle: all others lead before it."""


def is_quorum_connected(network: Network, quorum: QuorumSystem, server: ServerId) -> bool:
    """Whether ``server`` reaches enough of the others, and they it, for both phases."""
    reached = network.around(server)
    return quorum.is_phase1(reached) and quorum.is_phase2(reached)


def answerable(
    network: Network, quorum: QuorumSystem, proposers: Set[ServerId], readers: Set[ServerId]
) -> frozenset[ServerId]:
    """Which of ``proposers`` and ``readers`` must get an answer, once nothing else goes wrong.

    A reader that is quorum-connected may find that nothing is chosen, and leave it at that: only
    proposers decide. What takes more than one link to get around is not counted on. A server in
    between that was asked for nothing does not ask again for what it missed.
    """
    asked = frozenset(proposers | readers)
    able = frozenset(it for it in asked if is_quorum_connected(network, quorum, it))
    told = (network.around(decider) for decider in able & proposers)
    return able | asked.intersection(frozenset[ServerId]().union(*told))
