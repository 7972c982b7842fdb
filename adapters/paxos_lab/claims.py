"""What the parts of a machine say, in words that are the same for all machines: its claims.

- A vote, a request, a read and a choice are each of one slot. A machine of one decision has slot 0.
- A machine says by functions which of these its records, messages, requests and reports are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, TypeAlias, final

from attrs import frozen

from paxos import Ballot, From, QuorumSystem
from paxos_adapters.machine import M, P, Q, R, S, T


class Vote(NamedTuple):
    """A value for a slot under a ballot: accepted, or asked for."""

    slot: int
    ballot: Ballot
    value: Hashable


@final
@frozen
class Proposed:
    """The program asks for ``value``."""

    value: Hashable


@final
@frozen
class ReadBegun:
    """The program begins the read ``id`` of a slot."""

    id: Hashable
    slot: int = 0


@final
@frozen
class ValueFound:
    """A server says that ``value`` is chosen."""

    value: Hashable
    slot: int = 0


@final
@frozen
class NothingBelow:
    """A server says that nothing ever is chosen below ``ballot``."""

    ballot: Ballot
    slot: int = 0


@final
@frozen
class NothingYet:
    """A server says that nothing was chosen when the read ``id`` began."""

    id: Hashable


@final
@frozen
class LogReadBegun:
    """The program begins the read ``id`` of a log."""

    id: Hashable


@final
@frozen
class SnapshotRestored:
    """The program has restored a snapshot of all slots below ``first`` of a log."""

    first: int


@final
@frozen
class SlotCommitted:
    """A server says, once in a session, that ``value`` is chosen for ``slot`` of a log."""

    value: Hashable
    slot: int


@final
@frozen
class ReadAt:
    """A server says that the read ``id`` sees all slots below ``first``."""

    id: Hashable
    first: int


Asked: TypeAlias = Proposed | ReadBegun | LogReadBegun | SnapshotRestored
Quorums: TypeAlias = tuple[int, QuorumSystem]
"""A slot, and what governs from it on."""

Finding: TypeAlias = ValueFound | NothingBelow | NothingYet | SlotCommitted | ReadAt


def _nothing(_: object) -> tuple[()]:
    return ()


def _none(_: object) -> None:
    return None


def _never(_: object) -> bool:
    return False


def _unchanged(_: int, __: object) -> None:
    return None


def _always(_: object, __: object) -> bool:
    return True


def _below_none(_: object) -> int:
    return 0


@frozen
class Claims(Generic[S, Q, M, T, R, P]):
    """What the parts of a machine claim, for a checker. Nothing, if not said.

    ``votes``: what a durable record, or a message that has left, accepts. ``asks``: what a message
    asks others to accept. ``proposes``: what an event has the program ask for. ``finds``: what a
    report says is chosen or seen. ``keeps``: whether a state may follow another. ``covers``:
    whether a disk has what a message commits to. ``needs_no_request``: whether a value may be
    chosen unasked. ``changes``: which quorums a value chosen for a slot brings, and from which slot
    on. ``holds``: below which slot all are chosen, as a durable record says. ``finishes``: the slot
    and the quorums of the change that is finished, as a state says.
    """

    votes: Callable[[R | M], Iterable[Vote]] = _nothing
    asks: Callable[[M], Iterable[Vote]] = _nothing
    proposes: Callable[[From[M] | T | Q], Asked | None] = _none
    finds: Callable[[P], Iterable[Finding]] = _nothing
    keeps: Callable[[S, S], bool] = _always
    covers: Callable[[tuple[R, ...], M], bool] = _always
    needs_no_request: Callable[[Hashable], bool] = _never
    changes: Callable[[int, Hashable], Quorums | None] = _unchanged
    holds: Callable[[R], int] = _below_none
    finishes: Callable[[S], Quorums | None] = _none
