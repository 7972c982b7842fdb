"""Everything that the core can raise.

- Stale, repeated and foreign messages never raise: they are data.
- Misuse by the calling program raises at once, and leaves the state as it was.
- A message that proves a broken protocol raises, since going on could spread a wrong value.
- Each error of the library, in the adapters too, is of one of three kinds: UsageError,
  OperationalError, InvariantError.

Each error says what happened, what it means and what to do.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Never, NoReturn

from paxos.ballot import Ballot, ServerId


def format_ids(ids: Set[ServerId]) -> str:
    """Server ids as a reader wants them: ``{1, 2, 3}``."""
    return "{" + ", ".join(map(str, sorted(ids))) + "}"


class PaxosError(Exception):
    """Whatever this library raises on purpose. Each one survives a trip to another process."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, vars(self))


def _rebuild(
    kind: type[PaxosError], args: tuple[object, ...], fields: dict[str, object]
) -> PaxosError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


class UsageError(PaxosError):
    """The calling program has passed or done something that it must not; change the program.

    Nothing was changed. The ProgrammingError of PEP 249.
    """


class OperationalError(PaxosError):
    """Something outside of the program has failed or is in the way: a file, a disk, a network.

    The same call can succeed once that is repaired. The OperationalError of PEP 249.
    """


class QuorumError(UsageError, ValueError):
    """A quorum system that cannot be used as it was written."""


class DisjointQuorums(QuorumError):
    """Two quorums share no server, so that two values could be chosen."""

    def __init__(self, phase1: Set[ServerId], phase2: Set[ServerId]) -> None:
        super().__init__(
            f"the phase-1 quorum {format_ids(phase1)} and the phase-2 quorum {format_ids(phase2)} "
            "share no server: a proposer could look at the one and miss the value that the other "
            "chose. Enlarge the quorums until every phase-1 quorum meets every phase-2 quorum."
        )
        self.phase1 = frozenset(phase1)
        self.phase2 = frozenset(phase2)


class UnknownServer(UsageError, ValueError):
    """A server that is not a member was asked to act as one."""

    def __init__(self, server: ServerId, members: Set[ServerId]) -> None:
        super().__init__(
            f"server {server!r} is not among the members {format_ids(members)}: nobody would count "
            "its votes. Give it one of those ids, or name it when you make the quorum system."
        )
        self.server = server
        self.members = frozenset(members)


class Busy(UsageError, RuntimeError):
    """A proposer was given a request while another one is in progress.

    ``ballot`` is the ballot in progress; None while a read only queries.
    """

    def __init__(self, ballot: Ballot | None) -> None:
        what = "a read" if ballot is None else f"ballot {ballot}"
        super().__init__(
            f"{what} is still in progress; nothing was changed. Wait until the proposer reports "
            "Done, NothingChosen or NotYetChosen, then ask again."
        )
        self.ballot = ballot


class UnexpectedInput(UsageError, TypeError):
    """A function was given something that is not meant for it."""

    def __init__(self, what: object) -> None:
        super().__init__(
            f"unexpected input {what!r}; nothing was changed. Run a type checker to find the "
            "caller. Messages of servers come as From(sender, message), except to an acceptor."
        )
        self.what = what


def assert_never(what: Never) -> NoReturn:
    """The end of a case distinction: type checkers prove that nothing is left.

    Raises UnexpectedInput where an untyped program gets here anyway.
    """
    raise UnexpectedInput(what)


class NotSaved(UsageError, ValueError):
    """AfterSave.release() was given a receipt for a different record."""

    def __init__(self, record: object) -> None:
        super().__init__(
            f"this receipt does not say that {record!r} is durable, so the messages that depend on "
            "it stay sealed. Save that very record, and release with the receipt for it."
        )
        self.record = record


class InvariantError(PaxosError):
    """Something that the protocol rules out has happened: some server broke the protocol.

    A disk that was wiped or rolled back, two servers with one id, or an answer sent before its
    save can do that.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} The protocol rules that out, so some server broke it: a lost or restored "
            "disk, an id in use twice, or an answer sent before its save. Stop the servers, and "
            "find that one before any starts again."
        )
