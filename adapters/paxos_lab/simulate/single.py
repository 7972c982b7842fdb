"""One decision, simulated: which servers propose, and which read."""

from __future__ import annotations

from typing import TypeAlias

from attrs import Factory, field, frozen

from paxos import (
    Inquire,
    Message,
    NotYetChosen,
    Propose,
    QuorumSystem,
    Read,
    ReadId,
    ServerId,
    majority,
)
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters import arguments, limits
from paxos_adapters.single import Single
from paxos_lab.machines.protocols import PAXOS, VALUES, Protocol, Server
from paxos_lab.machines.single import CLAIMS, Record, Report, SingleClaims
from paxos_lab.simulate.networks import Network, answerable
from paxos_lab.simulate.schedules import Played
from paxos_lab.simulate.setup import Act, Requests, Setup, SetupError, all_links

MAX_SERVERS = len(VALUES)
MAX_READS = 3
"""How often a reader reads after each start, as long as nothing is chosen."""

SingleAct: TypeAlias = Act[ClientRequest[str], Message[str], ServerTimer]
SinglePlayed: TypeAlias = Played[ClientRequest[str], Message[str], ServerTimer]


@frozen
class ProposersAndReaders(Requests[Server, ClientRequest[str], Report]):
    """The first ``proposers`` servers propose, the next ``readers`` read.

    A reader reads up to MAX_READS times, until something is chosen; after every second start it
    inquires instead.
    """

    proposers: int
    readers: int

    def request(
        self, place: int, session: int, count: int, report: Report | None
    ) -> ClientRequest[str] | None:
        """A value of its own for each server and start, or a read."""
        if report is not None and (type(report) is not NotYetChosen or count >= MAX_READS):
            return None
        if place < self.proposers:
            return Propose(VALUES[place] + "'" * session)
        if place >= self.proposers + self.readers:
            return None
        return Inquire() if session % 2 else Read(ReadId(session, count))

    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:
        """Those that are ``answerable`` among the servers of ``network``."""
        ids = sorted(quorum.members)
        proposers = network.servers.intersection(ids[: self.proposers])
        askers = network.servers.intersection(ids[: self.proposers + self.readers])
        return answerable(network, quorum, proposers, askers - proposers)


def _machine(setup: SingleSetup) -> Single[str]:
    return setup.protocol.machine


def _majority(setup: SingleSetup) -> QuorumSystem:
    count = arguments.whole("servers", setup.servers, 0, limits.MAX_SERVERS)
    return majority(map(ServerId, range(1, count + 1)))


def _requests(setup: SingleSetup) -> ProposersAndReaders:
    return ProposersAndReaders(setup.proposers, setup.readers)


@frozen(kw_only=True)
class SingleSetup(Setup[Server, ClientRequest[str], Message[str], ServerTimer, Record, Report]):
    """Paxos for one decision or a broken variant, by its protocol.

    Raises SetupError, BadNumber.
    """

    servers: int = 3
    proposers: int = 2
    readers: int = 1
    protocol: Protocol = PAXOS
    quorum: QuorumSystem = field(default=Factory(_majority, takes_self=True))
    network: Network = field(default=Factory(all_links, takes_self=True))
    machine: Single[str] = field(init=False, default=Factory(_machine, takes_self=True))
    requests: ProposersAndReaders = field(init=False, default=Factory(_requests, takes_self=True))
    claims: SingleClaims = field(init=False, default=CLAIMS)

    def __attrs_post_init__(self) -> None:
        for name in "servers", "proposers", "readers":
            arguments.whole(name, getattr(self, name), 0)
        if not 1 <= self.servers <= MAX_SERVERS or len(self.quorum.members) != self.servers:
            raise SetupError(
                f"{self.servers} servers, and a quorum system of {len(self.quorum.members)} "
                f"members: name as many of the one as of the other, 1 to {MAX_SERVERS}."
            )
        if not 1 <= self.proposers + self.readers <= self.servers:
            raise SetupError(
                f"{self.proposers} proposers and {self.readers} readers among {self.servers} "
                "servers: there must be one at least, and each of them is a server."
            )
        super().__attrs_post_init__()
