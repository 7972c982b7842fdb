"""What is simulated, and what comes of it: a setup, a life, and the acts that a life is made of."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import Factory, field, frozen

from paxos import QuorumSystem, ServerId, UsageError, majority
from paxos_adapters import arguments, limits
from paxos_lab.machines.protocols import PAXOS, VALUES, Event, Protocol
from paxos_lab.rules import RULES
from paxos_lab.simulate.faults import Faults
from paxos_lab.simulate.networks import Network, everywhere

MAX_SERVERS = len(VALUES)
FAULTY_TICKS = 160
"""How long faults last."""

LIVENESS_TICKS = 4_000
"""Within how many ticks after the last fault everybody who was asked must have answered."""

LIVENESS = "liveness"
"""The rule that is broken if somebody has not."""


class SetupError(UsageError, ValueError):
    """A simulation that cannot be run as it was described."""


def _majority(setup: Setup) -> QuorumSystem:
    count = arguments.whole("servers", setup.servers, 0, limits.MAX_SERVERS)
    return majority(map(ServerId, range(1, count + 1)))


def _everywhere(setup: Setup) -> Network:
    return everywhere(setup.quorum.members)


@frozen
class Setup:
    """What is simulated. The first ``proposers`` servers propose, the next ``readers`` read.

    A reader reads up to MAX_READS times, until something is chosen; in every second life of its
    own it inquires instead.
    ``liveness``: faults end after FAULTY_TICKS, and all that are ``answerable`` in ``network``
    must have an answer. ``trusting``: a server votes whatever happened to its disk, to see what
    comes of that. Only ``rules`` count as broken. Raises SetupError, BadNumber.
    """

    servers: int = 3
    proposers: int = 2
    readers: int = 1
    protocol: Protocol = PAXOS
    quorum: QuorumSystem = field(default=Factory(_majority, takes_self=True))
    network: Network = field(default=Factory(_everywhere, takes_self=True))
    faults: Faults = field(factory=Faults)
    liveness: bool = False
    trusting: bool = False
    rules: tuple[str, ...] = RULES

    @property
    def askers(self) -> int:
        """How many servers are asked for something."""
        return self.proposers + self.readers

    def __attrs_post_init__(self) -> None:
        for name in "servers", "proposers", "readers":
            arguments.whole(name, getattr(self, name), 0)
        if not 1 <= self.servers <= MAX_SERVERS or len(self.quorum.members) != self.servers:
            raise SetupError(
                f"{self.servers} servers, and a quorum system of {len(self.quorum.members)} "
                f"members: name as many of the one as of the other, 1 to {MAX_SERVERS}."
            )
        if not 1 <= self.askers <= self.servers:
            raise SetupError(
                f"{self.proposers} proposers and {self.readers} readers among {self.servers} "
                "servers: there must be one at least, and each of them is a server."
            )
        if self.network.servers != self.quorum.members:
            raise SetupError(
                f"the network {self.network.name} links {_named(self.network.servers)}, and the "
                f"servers are {_named(self.quorum.members)}: these must be the same."
            )
        if not 0 <= self.network.gone_by <= FAULTY_TICKS:
            raise SetupError(
                f"the network {self.network.name} loses its links by tick {self.network.gone_by}: "
                f"let it be while there are faults, from 0 to {FAULTY_TICKS}."
            )


def _named(servers: frozenset[ServerId]) -> str:
    return ", ".join(f"S{it}" for it in sorted(servers))


@frozen
class Life:
    """What a life came to.

    ``events`` is how many messages, wake-ups and requests reached a server; ``reports`` how many
    answers the servers gave; ``met`` how often each fault occurred, in the order of ``Fault``.
    ``digest`` is the same wherever the same life is lived; empty unless it was asked for.
    """

    seed: int
    events: int
    reports: int
    chosen: str | None
    broken: str | None
    ticks: int
    met: tuple[int, ...]
    digest: str = ""


class Fate(Enum):
    """What becomes of a server at one moment of its life."""

    GOES_ON = "goes on"
    SAVES_SLOWLY = "takes its time to save"
    SAVED = "has saved"
    BEFORE_SAVE = "crashes before the save"
    TORN = "crashes within the save"
    UNSENT = "crashes after the save, before it sends"
    STORE_FAILS = "cannot save, and stops"
    STORE_LIES = "saves, is told that it could not, and stops"
    CRASHES = "crashes"
    PAUSES = "pauses"
    RESUMES = "goes on after a pause"
    BACKS_UP = "has its disk backed up"
    RESTARTS = "starts again"
    RESTORED = "starts again from the backup"
    WIPED = "starts again with an empty disk"
    REFUSED = "has lost its disk, and does not start"
    CUT = "has links cut"
    MENDED = "has its links back"
    CALM = "suffers no fault any more"
    SEVERED = "has links cut for good"


@frozen
class Act:
    """``server`` takes ``event``, or none, and ``fate`` is what becomes of it then.

    ``saved`` is how many steps of a batch were saved before a crash within the save.
    """

    tick: int
    server: ServerId
    event: Event | None
    saved: int
    fate: Fate


Noted: TypeAlias = tuple[int, int, int, Fate]
"""The same in numbers: the tick, the place of the server, the item that it takes or else the
complement of what was saved, and the fate."""
