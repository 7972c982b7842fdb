"""Exactly once: a pure function around the state machine of the user.

Source: the lecture, "Client protocol"; Ongaro, "Consensus: Bridging Theory and Practice" (2014),
section 6.3.

- A session is opened by an entry of the log. Its id is the place of that entry: no two are equal.
- A command that was run is answered from the table; its result is the same on all replicas.
- A client says below which number it needs no results any more: they are dropped.
- Many commands of one session run in one step, so that its results are looked up once for all.
- The table is bounded. The session used least recently, in the order of the log, is closed.
- A command of a closed session is not run: it may have been run before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Generic, TypeAlias, TypeVar, final

from attrs import evolve

from paxos.errors import assert_never
from paxos.values import frozen

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

MAX_SESSIONS = 1_024
"""How many sessions may be open, if a log does not say otherwise."""


@final
@frozen
class OpenSession:
    """Open a session for one client. The result is its id; by the ``nonce`` the client knows it."""

    nonce: int = 0


@final
@frozen
class SessionCommand(Generic[C]):
    """``command`` number ``number`` of a session, counted from 1.

    The client needs no results of numbers below ``done_below`` any more.
    """

    session: int
    number: int
    done_below: int
    command: C


Command: TypeAlias = OpenSession | SessionCommand[C]


@final
@frozen
class Opened:
    """The result of OpenSession."""

    session: int
    nonce: int = 0


@final
@frozen
class Result(Generic[R]):
    """What the state machine returned for a command, now or when it was run."""

    result: R


@final
@frozen
class ResultDropped:
    """The command was run before, and the client has said that it needs no result any more."""


@final
@frozen
class SessionClosed:
    """The session is closed, or was never opened. The command was not run; maybe it was before."""


Outcome: TypeAlias = Opened | Result[R] | ResultDropped | SessionClosed


@final
@frozen
class Session(Generic[R]):
    """The results of the commands that were run and may be asked for again, in order of number."""

    id: int
    results: tuple[tuple[int, R], ...] = ()
    done_below: int = 1


@final
@frozen
class Sessions(Generic[R]):
    """The open sessions, the least recently used first."""

    open: tuple[Session[R], ...] = ()
    most: int = MAX_SESSIONS


def apply(
    machine: Callable[[S, C], tuple[S, R]],
    sessions: Sessions[R],
    state: S,
    place: int,
    command: Command[C],
) -> tuple[Sessions[R], S, Outcome[R]]:
    """Run ``command``, which stands at ``place`` of the log, unless it was run before."""
    if type(command) is OpenSession:
        rest = sessions.open[max(len(sessions.open) - sessions.most + 1, 0) :]
        opened: Session[R] = Session(place)
        return evolve(sessions, open=(*rest, opened)), state, Opened(place, command.nonce)
    if type(command) is not SessionCommand:
        assert_never(command)
    numbered = ((command.number, command.command),)
    session, done_below = command.session, command.done_below
    sessions, state, (outcome,) = apply_all(machine, sessions, state, session, done_below, numbered)
    return sessions, state, outcome


def apply_all(
    machine: Callable[[S, C], tuple[S, R]],
    sessions: Sessions[R],
    state: S,
    session_id: int,
    done_below: int,
    commands: Iterable[tuple[int, C]],
) -> tuple[Sessions[R], S, list[Outcome[R]]]:
    """Run the ``commands`` of one session, each with its number, in order; an outcome for each."""
    session = next((it for it in sessions.open if it.id == session_id), None)
    if session is None:
        return sessions, state, [SessionClosed() for _ in commands]
    results = list(session.results)
    outcomes: list[Outcome[R]] = []
    is_used = False
    for number, command in commands:
        place = _place(results, number)
        if place < len(results) and results[place][0] == number:
            outcomes.append(Result(results[place][1]))
        elif number < session.done_below:
            outcomes.append(ResultDropped())
        else:
            state, result = machine(state, command)
            results.insert(place, (number, result))
            outcomes.append(Result(result))
            is_used = True
    if not is_used:
        return sessions, state, outcomes
    kept = tuple(results[_place(results, done_below) :])
    used = Session(session_id, kept, max(session.done_below, done_below))
    others = tuple([it for it in sessions.open if it is not session])
    return evolve(sessions, open=(*others, used)), state, outcomes


def _place(results: list[tuple[int, R]], number: int) -> int:
    """Where ``number`` stands, or belongs: at the end, if a client sends its commands in order."""
    if not results or number > results[-1][0]:
        return len(results)
    return bisect_left(results, number, key=_number)


def _number(result: tuple[int, object]) -> int:
    return result[0]
