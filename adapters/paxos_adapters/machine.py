"""A machine: all that a driver must know to run a server, explore it, simulate it or record it.

- A machine is a frozen record of functions. ``receive`` takes a state and an event, and returns a
  state and an outbound. A broken variant is ``evolve(machine, receive=broken)``.
- A process is a state, the records on its disk, and the steps that wait for a save, in order. It is
  a value: to drop the new one undoes the step.
- ``take`` and ``saved`` are the only places that open seals. What waits leaves once its record is
  durable. A record that is on the disk already, by identity, is not waited for.
- ``fold`` makes a disk of records. The law: a start from the folded disk equals a start from all
  records, in order.

Source: the lecture, "The protocol", for what must be durable; etcd's raft, for messages that ride
on the write they depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from paxos import (
    AfterSave,
    Broadcast,
    From,
    Outbound,
    QuorumSystem,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
)
from paxos.errors import assert_never
from paxos_adapters.timeouts import Timeouts

F_co = TypeVar("F_co", covariant=True)
M = TypeVar("M")
P = TypeVar("P")
Q = TypeVar("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

Event: TypeAlias = From[M] | T | Q
"""What can happen: a message M arrives, a timer T fires, the program asks for Q."""

Effect: TypeAlias = To[M] | Broadcast[M] | SetTimer[T] | Tell[P]
"""What a step wants done: send, set a timer, hand a report P to the program."""


def in_order(disk: tuple[R, ...], record: R) -> tuple[R, ...]:
    """Keep every record, in order."""
    return (*disk, record)


def latest(disk: tuple[R, ...], record: R) -> tuple[R, ...]:
    """Keep the latest record of each type."""
    return (*[it for it in disk if type(it) is not type(record)], record)


def nothing_fetched(_disk: tuple[object, ...], _report: object) -> None:
    """No report asks for what is on the disk."""


@frozen
class Process(Generic[S_co, R_co, F_co]):
    """One server as a driver holds it. ``waiting`` are the steps whose records are not durable."""

    state: S_co
    disk: tuple[R_co, ...]
    waiting: tuple[AfterSave[R_co, F_co], ...] = ()

    @property
    def unsaved(self) -> tuple[R_co, ...]:
        """The records that the waiting steps need durable, in order, each of them once."""
        return tuple({id(it.record): it.record for it in self.waiting}.values())


@frozen
class Sorted(Generic[M, T, P]):
    """Effects by what a driver does with them: messages with receivers, timers, reports."""

    messages: tuple[tuple[ServerId, M], ...]
    timers: tuple[SetTimer[T], ...]
    reports: tuple[P, ...]


@frozen
class Machine(Generic[S, Q, M, T, R, P]):
    """A state machine S with requests Q, messages M, timers T, records R and reports P.

    A Broadcast reaches ``members``; ``delay`` gives the least and the greatest delay of a timer,
    and a driver draws between them. The timers ``first`` fire at once after a start. ``fetch``
    gives the messages that answer a report from the disk; None if it is for the program.
    """

    name: str
    start: Callable[[ServerId, QuorumSystem, Iterable[R]], S]
    receive: Callable[[S, From[M] | T | Q], tuple[S, Outbound[R, Effect[M, T, P]]]]
    members: Callable[[S], Iterable[ServerId]]
    delay: Callable[[SetTimer[T], Timeouts], tuple[float, float]]
    first: tuple[T, ...] = ()
    fold: Callable[[tuple[R, ...], R], tuple[R, ...]] = in_order
    fetch: Callable[[tuple[R, ...], P], tuple[To[M], ...] | None] = nothing_fetched

    def begin(
        self, me: ServerId, quorum: QuorumSystem, disk: Iterable[R] = ()
    ) -> Process[S, R, Effect[M, T, P]]:
        """A process that starts from the records on ``disk``. Raises what ``start`` raises."""
        records = tuple(disk)
        return Process(self.start(me, quorum, records), records)

    def take(
        self, process: Process[S, R, Effect[M, T, P]], event: From[M] | T | Q
    ) -> tuple[Process[S, R, Effect[M, T, P]], tuple[Effect[M, T, P], ...]]:
        """One step: the process after it, and what may leave at once. Raises as ``receive``."""
        state, outbound = self.receive(process.state, event)
        disk, waiting = process.disk, process.waiting
        if type(outbound) is not AfterSave:
            is_same = state is process.state
            return process if is_same else Process(state, disk, waiting), outbound.messages
        if _is_on(disk, outbound.record):
            return Process(state, disk, waiting), outbound.release(Saved((outbound.record,)))
        return Process(state, disk, (*waiting, outbound)), ()

    def saved(
        self,
        process: Process[S, R, Effect[M, T, P]],
        receipt: Saved[R],
        count: int | None = None,
    ) -> tuple[Process[S, R, Effect[M, T, P]], tuple[Effect[M, T, P], ...]]:
        """The process once the first ``count`` steps that wait are durable, and what they free.

        All of them, if not said. Raises NotSaved if ``receipt`` does not cover a record.
        """
        disk = process.disk
        effects: list[Effect[M, T, P]] = []
        for step in process.waiting[:count]:
            if _is_on(disk, step.record):
                effects.extend(step.release(Saved((step.record,))))
                continue
            effects.extend(step.release(receipt))
            disk = self.fold(disk, step.record)
        rest = () if count is None else process.waiting[count:]
        return Process(process.state, disk, rest), tuple(effects)

    def sort(
        self, process: Process[S, R, Effect[M, T, P]], effects: Iterable[Effect[M, T, P]]
    ) -> Sorted[M, T, P]:
        """``effects`` by kind; a Broadcast is a message to each of ``members``."""
        messages: list[tuple[ServerId, M]] = []
        timers: list[SetTimer[T]] = []
        reports: list[P] = []
        for effect in effects:
            if type(effect) is To:
                messages.append((effect.receiver, effect.message))
            elif type(effect) is Broadcast:
                messages.extend((it, effect.message) for it in self.members(process.state))
            elif type(effect) is SetTimer:
                timers.append(effect)
            elif type(effect) is Tell:
                reports.append(effect.report)
            else:
                assert_never(effect)
        return Sorted(tuple(messages), tuple(timers), tuple(reports))


def _is_on(disk: Iterable[object], record: object) -> bool:
    return id(record) in map(id, disk)
