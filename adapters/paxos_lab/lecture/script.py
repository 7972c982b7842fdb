"""A scenario: a schedule by name, with its heading and what the lecture says there.

- The schedule is a function on a stage. Its docstring is all that is to be read with it: the first
  line is the title, the rest the text.
- It raises if the run is not as the lecture says, and returns if it is.
- A scenario of a log is played on a stage of replicas; else there is no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from inspect import getdoc
from typing import TypeAlias, TypeVar

from attrs import frozen

from paxos import PaxosError, ServerId
from paxos_adapters.log import LogObserver
from paxos_adapters.single import SingleObserver
from paxos_lab.draw.layout import under
from paxos_lab.lecture.log_stage import LogStage
from paxos_lab.lecture.stage import Stage
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.machines.protocols import PAXOS, Protocol
from paxos_lab.record import Timeline, log_timeline, single_timeline

X = TypeVar("X")
Schedule: TypeAlias = Callable[[Stage], None]
LogSchedule: TypeAlias = Callable[[LogStage], None]


@frozen
class Played:
    """What came of a schedule: the run, the claims that held, what is chosen, and what ended it.

    ``slots`` are rows for a table of a log: a server, its promise, and what it has in each slot.
    """

    told: Timeline
    claims: tuple[str, ...]
    choices: tuple[str, ...]
    failure: PaxosError | None
    broken: str | None = None
    slots: tuple[tuple[str, ...], ...] = ()


@frozen
class Scenario:
    """A schedule by name, the heading that it belongs to, and what the lecture says there."""

    heading: str
    name: str
    title: str
    text: str
    protocol: Protocol
    servers: int
    schedule: Schedule

    def stage(self, observer: SingleObserver[str] | None = None) -> Stage:
        """A stage to play it on; ``observer`` is told what happens."""
        return Stage(self.protocol, self.servers, observer)

    def play(self, observer: SingleObserver[str] | None = None) -> Played:
        """Play it; an error of the library is what has ended it."""
        stage = self.stage(observer)
        failure = _failure(self.schedule, stage)
        has_numbers = self.protocol.has_numbers
        choices = (
            _choice(it.chosen.value, it.voters) + under(it.chosen.ballot, has_numbers=has_numbers)
            for it in stage.choices
        )
        told = single_timeline(stage.trace, has_numbers=has_numbers)
        return Played(told, tuple(stage.claims), tuple(choices), failure, _broken(stage))


@frozen
class LogScenario:
    """The same for a log. ``members`` are those of the first slots; all servers, if not said."""

    heading: str
    name: str
    title: str
    text: str
    protocol: LogProtocol
    servers: int
    members: tuple[ServerId, ...]
    schedule: LogSchedule

    def stage(self, observer: LogObserver[str] | None = None) -> LogStage:
        """A stage to play it on; ``observer`` is told what happens."""
        return LogStage(self.protocol, self.servers, self.members, observer)

    def play(self, observer: LogObserver[str] | None = None) -> Played:
        """Play it; an error of the library is what has ended it."""
        stage = self.stage(observer)
        failure = _failure(self.schedule, stage)
        choices = (
            f"slot {it.slot}: {_choice(it.entry, it.voters)}{under(it.ballot)}"
            for it in stage.choices
        )
        return Played(
            log_timeline(stage.trace),
            tuple(stage.claims),
            tuple(choices),
            failure,
            _broken(stage),
            tuple(_slots(stage)),
        )


def scenario(
    heading: str, name: str, *, protocol: Protocol = PAXOS, servers: int = 5
) -> Callable[[Schedule], Scenario]:
    """Make a scenario of a schedule, whose docstring is its title and its text."""

    def of(schedule: Schedule) -> Scenario:
        return Scenario(heading, name, *_words(schedule), protocol, servers, schedule)

    return of


def log_scenario(
    heading: str,
    name: str,
    *,
    protocol: LogProtocol = LOG,
    servers: int = 3,
    members: tuple[ServerId, ...] = (),
) -> Callable[[LogSchedule], LogScenario]:
    """The same for a schedule of a log."""

    def of(schedule: LogSchedule) -> LogScenario:
        words = _words(schedule)
        return LogScenario(heading, name, *words, protocol, servers, members, schedule)

    return of


def _words(schedule: object) -> tuple[str, str]:
    title, _, text = (getdoc(schedule) or "").partition("\n\n")
    return title.rstrip("."), text


def _failure(schedule: Callable[[X], None], stage: X) -> PaxosError | None:
    try:
        schedule(stage)
    except PaxosError as error:
        return error
    return None


def _broken(stage: Stage | LogStage) -> str | None:
    return stage.seen.broken


def _choice(value: object, voters: Iterable[ServerId]) -> str:
    return f"{value} by {', '.join(f'S{me}' for me in sorted(voters))}"


def _slots(stage: LogStage) -> Iterator[tuple[str, ...]]:
    """A row for each server: what it knows to be chosen, or else what it has accepted."""
    held = {me: stage.log(me) | stage.accepted(me) for me in stage.servers}
    last = max((slot for it in held.values() for slot in it), default=0)
    for me, slots in held.items():
        promised = stage.memory(me).promised
        name = f"S{me}" if stage.is_up(me) else f"S{me}, down"
        cells = (slots.get(slot, "") for slot in range(1, last + 1))
        yield name, str(promised) if promised.round else "", *cells
