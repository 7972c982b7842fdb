"""Exactly once: a pure function around the state machine of the user.

Source: the lecture, "Client protocol"; Ongaro, "Consensus: Bridging Theory and Practice" (2014),
section 6.3.

- A session is opened by an entry of the log. Its id is the place of that entry: no two are equal.
- A command that was run is answered from the table; its result is the same on all replicas.
- A client says below which number it needs no results any more: they are dropped.
- The table is bounded. The session used least recently, in the order of the log, is closed.
- A command of a closed session is not run: it may have been run before.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Open a session for one client. The result is its id."""


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
    """The results of the commands that were run and may be asked for again, by number."""

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
        return evolve(sessions, open=(*rest, opened)), state, Opened(place)
    if type(command) is not SessionCommand:
        assert_never(command)
    session = next((it for it in sessions.open if it.id == command.session), None)
    if session is None:
        return sessions, state, SessionClosed()
    known = dict(session.results)
    if command.number in known:
        return sessions, state, Result(known[command.number])
    if command.number < session.done_below:
        return sessions, state, ResultDropped()
    state, result = machine(state, command.command)
    kept = {it: found for it, found in known.items() if it >= command.done_below}
    kept[command.number] = result
    done_below = max(session.done_below, command.done_below)
    used = Session(session.id, tuple(kept.items()), done_below)
    others = tuple(it for it in sessions.open if it is not session)
    return evolve(sessions, open=(*others, used)), state, Result(result)
