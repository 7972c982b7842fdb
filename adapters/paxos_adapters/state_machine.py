"""A state machine: what a program replicates. Every replica runs the same commands in order.

- ``apply`` is a function of its arguments alone: no clock, no chance, nothing from outside.
- The state that was handed in is not looked at again.
- ``Applied`` is a replica of it: the state and the sessions after all slots below ``slot``.
- Each command of a session is run once, whatever was sent again; see ``paxos.log.sessions``.

Source: the lecture, "Replicated state machine" and "Client protocol".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from attrs import frozen

from paxos import Proposal
from paxos.log import Command, sessions
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos_adapters import arguments
from paxos_adapters.ports import Codec

C = TypeVar("C")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")
S_contra = TypeVar("S_contra", contravariant=True)

LogCommand: TypeAlias = sessions.Command[C]
"""What stands in the log: a command of a session, or the opening of one."""


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
    """

    start: S
    apply: Callable[[S, C], tuple[S, R]]
    commands: Codec[C] | None = None
    states: Codec[S] | None = None
    results: Codec[R] | None = None
    queries: Sequence[NamedQuery[S]] = ()

    def __attrs_post_init__(self) -> None:
        """Raise BadArgument for objects of another type."""
        arguments.callable_("apply", self.apply, "a function of a state and a command")
        for what in "commands", "states", "results":
            codec: object = getattr(self, what)
            if codec is not None:
                arguments.fits(what, codec, Codec)


@frozen
class Applied(Generic[S, R]):
    """A state, the sessions, and the slot that comes next."""

    state: S
    sessions: sessions.Sessions[R]
    slot: int = FIRST_SLOT


def started(machine: StateMachine[S, C, R]) -> Applied[S, R]:
    """Before the first slot."""
    return Applied(machine.start, sessions.Sessions())


def applied(
    machine: StateMachine[S, C, R],
    before: Applied[S, R],
    proposal: Proposal[Entry[LogCommand[C]]],
) -> tuple[Applied[S, R], sessions.Outcome[R] | None]:
    """One slot more, and what came of its command; None for an entry without one."""
    entry = proposal.value
    if type(entry) is not Command:
        return Applied(before.state, before.sessions, before.slot + 1), None
    table, state, outcome = sessions.apply(
        machine.apply, before.sessions, before.state, before.slot, entry.value
    )
    return Applied(state, table, before.slot + 1), outcome
