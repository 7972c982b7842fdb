"""What the programs on three servers are told in one simulated run of a log, faults and all.

- The log carries the labels of commands, not the commands: a run is the same whatever is applied.
- Every server is asked for every command, over and over, whether it leads or not. So commands are
  chosen more than once, as after a client that asks again.
- Stores keep few entries. A program restores a snapshot when it starts, and where it is sent one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from paxos import Proposal, ServerId
from paxos.log import Command, Committed, Lead, Prefix, Propose, Replica, SnapshotInstalled
from paxos.log.events import Event, LogTimer, Report, Request
from paxos.log.memory import Record
from paxos.log.messages import Entry, Message
from paxos_adapters.codecs import TEXT
from paxos_adapters.log import LogDriver, members
from paxos_lab.draw import text
from paxos_lab.record import LogRecorder, LogTrace, Trace, log_timeline
from paxos_lab.simulate import CALM, CommandsAndReads, Faults, LogSetup, Outcome, Simulator, play
from paxos_lab.simulate.log import RULES_OF_RUNS, LogAct

TICKS, CALM_TICKS = 640, 160
PACE = 4
"""How long a run takes, and within how many ticks a server is asked again."""

LEAD_EVERY = 120
"""Of how many requests one asks for the lead, although another server may have it."""

LogSimulator: TypeAlias = Simulator[
    Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]
]


@frozen
class Repeated(CommandsAndReads):
    """Each server is asked for all ``labels``, one after the other, and again."""

    labels: tuple[str, ...] = ()

    def request(
        self,
        place: int,
        session: int,
        count: int,
        report: Report[str] | None,  # noqa: ARG002
    ) -> Request[str]:
        """A command, or the lead."""
        turn = count + 40 * place
        if turn % LEAD_EVERY == LEAD_EVERY - 1:
            return Lead()
        return Propose(Command(self.labels[(count + place + session) % len(self.labels)]))


class Source(Enum):
    """Where a program has from what it is told."""

    STORE = "it has started, and has nothing but its store, with a snapshot of all below the slot"
    PEER = "another server has sent it a snapshot of all below the slot"
    LOG = "its own server reports"


@frozen
class Told:
    """The program on ``server`` is told that ``proposals`` are chosen, from ``slot`` on.

    What is told while an earlier step is still being saved may come too early, so a program waits
    for the slots in between. ``acts`` is how much of the run has happened by then.
    """

    server: ServerId
    slot: int
    proposals: tuple[Proposal[Entry[str]], ...]
    by: Source
    acts: int


@frozen
class History:
    """One run: what each server was told, in order, and all acts."""

    labels: tuple[str, ...]
    setup: LogSetup
    told: tuple[Told, ...] = field(repr=False)
    acts: tuple[LogAct, ...] = field(repr=False)
    broken: str | None

    def picture(self, acts: int, width: int) -> Iterator[str]:
        """The lines of a space-time diagram of the first ``acts``, a heading first."""
        trace: LogTrace[str] = Trace(members=members)
        play(self.setup, islice(self.acts, acts), trace=trace)
        yield from text(log_timeline(trace).eventful, width=width).splitlines()

    def record(self, acts: int, path: Path) -> None:
        """Record the first ``acts`` in the file ``path``."""
        with LogRecorder(path, codec=TEXT, runtime="simulation", rules=RULES_OF_RUNS) as recorder:
            play(self.setup, islice(self.acts, acts), recorder)


def simulated(labels: tuple[str, ...], seed: int, has_faults: bool) -> History:
    """The run of ``seed`` in which servers are asked for the commands called ``labels``."""
    setup = LogSetup(
        snapshots=True,
        faults=Faults() if has_faults else CALM,
        faulty_ticks=TICKS if has_faults else CALM_TICKS,
        pace=PACE,
        requests=Repeated((ServerId(1), ServerId(2), ServerId(3)), labels=labels),
    )
    acts: list[LogAct] = []
    simulator = _Remembering(seed, setup, acts)
    run = simulator.run()
    return History(labels, setup, tuple(simulator.told), tuple(acts), run.broken)


class Watched(LogSimulator):
    """A run in which ``tell`` is called with all that programs are told."""

    @abstractmethod
    def tell(self, told: Told) -> None:
        """The program on a server is told this."""

    def answered(self, place: int, report: Report[str]) -> None:
        """See ``Simulator``."""
        super().answered(place, report)
        if type(report) is Committed:
            self._tell(place, report.slot, report.proposals, Source.LOG)

    def _start(self, place: int) -> None:
        super()._start(place)
        kept = next((it for it in self.disks[place] if type(it) is Prefix), Prefix[str]())
        self._tell(place, kept.floor, kept.proposals, Source.STORE)

    def _take(self, place: int, driver: LogDriver[str], event: Event[str]) -> Outcome:
        if type(event) is SnapshotInstalled:
            self._tell(place, event.first, (), Source.PEER)
        return super()._take(place, driver, event)

    def _tell(
        self, place: int, slot: int, proposals: tuple[Proposal[Entry[str]], ...], by: Source
    ) -> None:
        # The act in progress is noted when it is over.
        acts = 0 if self.trace is None else len(self.trace) + 1
        self.tell(Told(self.members[place], slot, proposals, by, acts))


class _Remembering(Watched):
    """A run that takes down what programs are told."""

    def __init__(self, seed: int, setup: LogSetup, acts: list[LogAct]) -> None:
        self.told: list[Told] = []
        super().__init__(seed, setup, acts)

    def tell(self, told: Told) -> None:
        """See ``Watched``."""
        self.told.append(told)
