"""What is simulated, and what comes of it: a setup, a run, and the acts that a run is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Generic

from attrs import Factory, field, frozen

from paxos import From, QuorumSystem, ServerId, To, UsageError
from paxos_adapters.machine import M, Machine, P, Q, R, S, T
from paxos_adapters.timeouts import Timeouts
from paxos_lab.claims import Claims
from paxos_lab.rules import RULES
from paxos_lab.simulate.faults import Faults
from paxos_lab.simulate.networks import Network, everywhere

FAULTY_TICKS = 160
"""How long faults last."""

LIVENESS_TICKS = 4_000
"""Within how many ticks after the last fault every server that was asked must have answered."""

LIVENESS = "liveness"
"""The rule that is broken if a server has not."""

TIMEOUTS = Timeouts(retry_min_s=24, retry_max_s=192, heartbeat_s=24)
"""The delays of timers, in ticks instead of seconds."""


class SetupError(UsageError, ValueError):
    """A simulation that cannot be run as it was described."""


class Requests(ABC, Generic[S, Q, P]):
    """What the servers are asked for. A server is called by its place in the order of the ids.

    The other methods say what must come of it once the faults have ended.
    """

    @abstractmethod
    def request(self, place: int, session: int, count: int, report: P | None) -> Q | None:
        """What to ask a server for next, after ``count`` requests since its last start.

        ``session`` counts its starts, from 0. ``report`` is what it has just said; None after a
        start. None: nothing.
        """

    @abstractmethod
    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:
        """Which servers, once asked, must answer, if only what ``network`` lacks goes wrong."""

    def request_after_faults(
        self, place: int, session: int, count: int, report: P | None
    ) -> Q | None:
        """As ``request``, once the faults have ended."""
        return self.request(place, session, count, report)

    def is_answer(self, request: Q, report: P) -> bool:  # noqa: ARG002
        """Whether ``report`` answers ``request``."""
        return True

    def redirect(self, request: Q, refusal: UsageError) -> ServerId | None:  # noqa: ARG002
        """Which server to ask instead of one that refuses, if any."""
        return None

    def has_settled(self, states: Iterable[S]) -> bool:  # noqa: ARG002
        """Whether nothing is left to do for servers that have answered."""
        return True


def all_links(setup: Setup[S, Q, M, T, R, P]) -> Network:
    """The network that lacks no link."""
    return everywhere(setup.members)


def no_snapshot(_disk: tuple[object, ...], _report: object) -> None:
    """No program sends another one what it has restored from."""


@frozen(kw_only=True)
class Setup(Generic[S, Q, M, T, R, P]):
    """A machine, what its servers are asked, and what goes wrong around them.

    ``claims`` tell the checker what the machine says; only ``rules`` count as broken.
    ``liveness``: faults end after ``faulty_ticks``, and all that must answer have to.
    ``pace``: within how many ticks a server is asked again, whatever it says, until it has answered
    what it was asked after the faults; None: once it has given a report.
    ``allow_lost_disk_votes``: a server votes whatever happened to its disk, to see what comes of
    that.
    ``snapshot``: what a report has a program send to that of another server, from the disk. It
    arrives there as a request. Raises SetupError.
    """

    machine: Machine[S, Q, M, T, R, P]
    requests: Requests[S, Q, P]
    quorum: QuorumSystem
    claims: Claims[S, Q, M, T, R, P]
    network: Network = field(default=Factory(all_links, takes_self=True))
    faults: Faults = field(factory=Faults)
    liveness: bool = False
    allow_lost_disk_votes: bool = False
    rules: tuple[str, ...] = RULES
    faulty_ticks: int = FAULTY_TICKS
    pace: int | None = None
    snapshot: Callable[[tuple[R, ...], P], To[Q] | None] = no_snapshot

    @property
    def members(self) -> tuple[ServerId, ...]:
        """The servers, by their places."""
        return tuple(sorted(self.quorum.members))

    def __attrs_post_init__(self) -> None:
        if self.network.servers != frozenset(self.members):
            raise SetupError(
                f"the network {self.network.name} links {_named(self.network.servers)}, and the "
                f"servers are {_named(self.members)}: these must be the same."
            )
        if not 0 <= self.network.gone_by <= self.faulty_ticks:
            raise SetupError(
                f"the network {self.network.name} loses its links by tick {self.network.gone_by}: "
                f"let it be while there are faults, from 0 to {self.faulty_ticks}."
            )


def _named(servers: Iterable[ServerId]) -> str:
    return ", ".join(f"S{it}" for it in sorted(servers))


@frozen
class Run:
    """What a run came to.

    ``events`` is how many messages, timers and requests reached a server; ``reports`` how many
    the servers gave; ``met`` how often each fault occurred, in the order of ``Fault``.
    ``digest`` is the same on every machine; empty unless it was asked for. ``slots`` is how many
    slots had something chosen, ``changes`` in how many that was a change of members, and
    ``finished`` how many of the changes a server said to be finished.
    """

    seed: int
    events: int
    reports: int
    chosen: tuple[Hashable, ...]
    broken: str | None
    ticks: int
    met: tuple[int, ...]
    digest: str = ""
    slots: int = field(default=0, repr=False)
    changes: int = field(default=0, repr=False)
    finished: int = field(default=0, repr=False)


class Outcome(Enum):
    """What becomes of a server at one moment of a run."""

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
    HEALED = "has its links back"
    FAULTS_END = "suffers no fault any more"
    SEVERED = "has links cut for good"


@frozen
class Act(Generic[Q, M, T]):
    """``server`` takes an event, or none, and ``outcome`` is what becomes of it then.

    ``event`` is a message, a timer, or a snapshot that another program has sent; ``request`` is
    something that its own program asks for.
    ``saved`` is how many of the steps that waited were durable when a save ended.
    """

    tick: int
    server: ServerId
    outcome: Outcome
    event: From[M] | T | Q | None = None
    request: Q | None = None
    saved: int = 0
