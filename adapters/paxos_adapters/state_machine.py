"""A state machine: what a program replicates. Every replica runs the same commands in order.

- ``apply`` is a function of its arguments alone: no clock, no chance, nothing from outside.
- The state that was handed in is not looked at again.
- ``Applied`` is a replica of it: the state and the sessions after all slots below ``slot``.
- ``apply`` may have versions. An entry of the log says from where on a later one runs, so that all
  servers run the same one at each slot.
- Each command of a session is run once, whatever was sent again; see ``paxos.log.sessions``.

Source: the lecture, "Replicated state machine" and "Client protocol".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar, final

from attrs import evolve, field, frozen

from paxos import Proposal
from paxos.log import Command, sessions
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos_adapters import arguments
from paxos_adapters.limits import MAX_VERSION
from paxos_adapters.ports import Codec

C = TypeVar("C")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")
S_contra = TypeVar("S_contra", contravariant=True)

Apply: TypeAlias = Callable[[S, C], tuple[S, R]]
"""Runs a command: a state and a result."""

FIRST_VERSION = 1
"""What runs from the first slot on."""


@final
@frozen
class UseVersion:
    """From here on ``version`` of the state machine runs, unless a later one does already."""

    version: int


LogCommand: TypeAlias = sessions.Command[C] | UseVersion
"""What stands in the log: a command of a session, the opening of one, or a version."""


class VersionMissing(LookupError):
    """A program does not have this version of its state machine."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class NamedQuery(Protocol[S_contra]):
    """A query, whatever it asks and finds: see ``Query``."""

    @property
    def name(self) -> str:
        """What clients call it."""
        ...

    def answer(self, state: S_contra, question: bytes) -> bytes:
        """What it finds in ``state``, encoded. Raises what its codecs and ``find`` raise."""
        ...


@frozen
class Query(Generic[S, Q, X]):
    """A read that another process can ask for: ``find`` answers a question from a state.

    A function cannot be sent. So clients send the ``name`` and the question, in bytes.
    """

    name: str
    find: Callable[[S, Q], X]
    questions: Codec[Q]
    answers: Codec[X]

    def __attrs_post_init__(self) -> None:
        """Raise BadArgument for objects of another type."""
        arguments.callable_("find", self.find, "a function of a state and a question")
        arguments.fits("questions", self.questions, Codec)
        arguments.fits("answers", self.answers, Codec)

    def answer(self, state: S, question: bytes) -> bytes:
        """See ``NamedQuery``."""
        return self.answers.encode(self.find(state, self.questions.decode(question)))


@frozen
class StateMachine(Generic[S, C, R]):
    """``start`` is the first state; ``apply`` runs a command and returns a state and a result.

    The codecs are what servers on files and datagrams need: a snapshot holds the state, and the
    results that a session may ask for again. A cluster in memory needs none of them. ``queries``
    are the reads that clients of a server can ask for.

    ``apply`` is version ``version``. ``earlier`` are those before it, as far as a log may still
    have commands that ran with them: ``StateMachine(0, add_2, version=2, earlier={1: add})``.
    """

    start: S
    apply: Apply[S, C, R]
    commands: Codec[C] | None = None
    states: Codec[S] | None = None
    results: Codec[R] | None = None
    queries: Sequence[NamedQuery[S]] = ()
    version: int = FIRST_VERSION
    earlier: Mapping[int, Apply[S, C, R]] = field(
        factory=dict[int, Callable[[S, C], tuple[S, R]]], hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Raise BadArgument for objects of another type, and BadNumber."""
        arguments.whole("version", self.version, FIRST_VERSION, MAX_VERSION)
        if {*self.earlier} != {*self.versions[:-1]} or self.versions[0] < FIRST_VERSION:
            allowed = f"functions for the versions before {self.version}, without a gap"
            raise arguments.BadArgument("earlier", self.earlier, allowed)
        for function in (self.apply, *self.earlier.values()):
            arguments.callable_("apply", function, "a function of a state and a command")
        for what in "commands", "states", "results":
            codec: object = getattr(self, what)
            if codec is not None:
                arguments.fits(what, codec, Codec)

    @property
    def versions(self) -> range:
        """The versions of ``apply`` that this program has."""
        return range(self.version - len(self.earlier), self.version + 1)

    def of_version(self, version: int) -> Apply[S, C, R]:
        """``apply`` of this version. Raises VersionMissing."""
        if version == self.version:
            return self.apply
        if version not in self.earlier:
            raise VersionMissing(version)
        return self.earlier[version]


@frozen
class Applied(Generic[S, R]):
    """A state, the sessions, the slot that comes next, and the version that runs there."""

    state: S
    sessions: sessions.Sessions[R]
    slot: int = FIRST_SLOT
    version: int = FIRST_VERSION


def started(machine: StateMachine[S, C, R]) -> Applied[S, R]:
    """Before the first slot."""
    return Applied(machine.start, sessions.Sessions())


def applied(
    machine: StateMachine[S, C, R],
    before: Applied[S, R],
    proposal: Proposal[Entry[LogCommand[C]]],
) -> tuple[Applied[S, R], sessions.Outcome[R] | None]:
    """One slot more, and what came of its command; None for an entry without one.

    Raises VersionMissing, and what ``apply`` raises.
    """
    entry, after = proposal.value, evolve(before, slot=before.slot + 1)
    if type(entry) is not Command:
        return after, None
    command = entry.value
    if type(command) is UseVersion:
        return evolve(after, version=later_version(machine, before.version, command.version)), None
    table, state, outcome = sessions.apply(
        machine.of_version(before.version), before.sessions, before.state, before.slot, command
    )
    return evolve(after, state=state, sessions=table), outcome


def later_version(machine: StateMachine[S, C, R], before: int, asked: int) -> int:
    """The version that runs after ``asked`` was: it never falls. Raises VersionMissing."""
    if asked > before:
        machine.of_version(asked)
    return max(before, asked)
