"""What leaves a transition, and what must be durable first.

Source: the lecture, "The protocol": what is durable before an answer leaves.

- ``Now`` may leave at once.
- ``AfterSave`` is sealed: its messages come free only against a receipt which says that the
  record it names is durable. To send early is a type error, in a ``match`` too: a pattern finds the
  record only. What a type checker cannot see are ``_messages`` by name, and a function given to
  ``map`` that keeps what it is shown.
- ``Saved`` is that receipt. Only a store makes one, after its sync has returned.
- A step that changes nothing still seals its answer, with the record that it depends on: the first
  save of that record may be in progress.
- ``map`` and ``followed_by`` change or add messages. Neither opens a seal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Never, TypeAlias, TypeVar, final

from attrs import Factory, field

from paxos.ballot import ServerId
from paxos.errors import NotSaved
from paxos.messages import M_co
from paxos.values import frozen

N = TypeVar("N")
R_co = TypeVar("R_co", covariant=True)
P_co = TypeVar("P_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


def _ids(saved: Saved[object]) -> frozenset[int]:
    return frozenset(map(id, saved.records))


@final
@frozen
class Saved(Generic[R_co]):
    """A receipt: each of ``records`` will be read back after a crash.

    It speaks of these very objects and not of equal ones, so that no value is ever compared.
    """

    records: tuple[R_co, ...]
    _ids: frozenset[int] = field(
        init=False, repr=False, eq=False, default=Factory(_ids, takes_self=True)
    )

    def __reduce__(self) -> tuple[object, ...]:
        return Saved, (self.records,)

    def part(self, records: tuple[N, ...]) -> Saved[N]:
        """The receipt for ``records`` alone, all of them among those saved.

        For a store that saves records of several machines in one commit. Raises NotSaved.
        """
        for record in records:
            if not self.covers(record):
                raise NotSaved(record)
        return Saved(records)

    def covers(self, record: object) -> bool:
        """Whether ``record`` is among the records saved."""
        return id(record) in self._ids


@final
@frozen
class Now(Generic[M_co]):
    """Messages that wait for nothing."""

    messages: tuple[M_co, ...]

    def map(self, change: Callable[[M_co], N]) -> Now[N]:
        """The same outbound, each message changed."""
        return Now(tuple(map(change, self.messages)))

    def followed_by(self, *more: N) -> Now[M_co | N]:
        """The same outbound, with more messages behind."""
        return Now((*self.messages, *more))


NO_MESSAGES: Now[Never] = Now(())
"""Nothing leaves."""


@final
@frozen
class AfterSave(Generic[R_co, M_co]):
    """Messages that wait for ``record`` to be durable."""

    __match_args__ = ("record",)

    record: R_co
    _messages: tuple[M_co, ...] = field(alias="messages")

    def release(self, saved: Saved[R_co]) -> tuple[M_co, ...]:
        """The messages, free to leave.

        Raises NotSaved if ``saved`` does not cover this very record.
        """
        if not saved.covers(self.record):
            raise NotSaved(self.record)
        return self._messages

    def map(self, change: Callable[[M_co], N]) -> AfterSave[R_co, N]:
        """The same outbound under the same seal, each message changed."""
        return AfterSave(self.record, tuple(map(change, self._messages)))

    def followed_by(self, *more: N) -> AfterSave[R_co, M_co | N]:
        """The same outbound under the same seal, with more messages behind."""
        return AfterSave(self.record, (*self._messages, *more))


Outbound: TypeAlias = AfterSave[R_co, M_co] | Now[M_co]
"""What a transition hands out: sealed by a record of type R, or free."""


@final
@frozen
class To(Generic[M_co]):
    """Send ``message`` to ``receiver``."""

    receiver: ServerId
    message: M_co


@final
@frozen
class Broadcast(Generic[M_co]):
    """Send ``message`` to every member, the sender included."""

    message: M_co


@final
@frozen
class SetTimer(Generic[T_co]):
    """Deliver ``timer`` back to ``receive`` after a delay that the adapter chooses.

    ``attempt`` counts from 0 how often this timer was set for one request, so that the delay can
    grow with it.
    """

    timer: T_co
    attempt: int


@final
@frozen
class Tell(Generic[P_co]):
    """Hand ``report`` to the program that embeds this server.

    A class of its own, so that no driver takes an effect that it does not know for a report.
    """

    report: P_co
