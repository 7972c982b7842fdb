"""Driving: one process of a machine, and an observer that is told of each of its steps.

- A driver holds one process. A batch of events is taken whole or not at all.
- ``take`` steps, ``stored`` is for drivers with a store of their own, ``save`` for those that are
  the disk. What each returns may leave.
- The observer is told when it is certain: of a step before anything of it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from paxos import From, InvariantError, QuorumSystem, Saved, ServerId
from paxos_adapters.machine import Effect, M, Machine, P, Process, Q, R, S, T

M_contra = TypeVar("M_contra", contravariant=True)
P_contra = TypeVar("P_contra", contravariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


@frozen
class Place:
    """Which process: the server, and the name of the decision, empty where there is only one."""

    server: ServerId
    name: str = ""


class Observer(Protocol[S_contra, Q_contra, M_contra, T_contra, R_contra, P_contra]):
    """Is told what happens to processes, in order. Must not raise, and must return at once."""

    def set_time(self, now_s: float) -> None:
        """What comes next happens at ``now_s`` of a virtual time. Not called in real time."""
        ...

    def started(
        self,
        place: Place,
        quorum: QuorumSystem,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
    ) -> None:
        """A process has started from its disk; an earlier one at this place has ended."""
        ...

    def stepped(
        self,
        place: Place,
        event: From[M_contra] | T_contra | Q_contra,
        before: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        after: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
    ) -> None:
        """``event`` led from ``before`` to ``after``."""
        ...

    def saved(
        self,
        place: Place,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        records: tuple[R_contra, ...],
        count: int,
    ) -> None:
        """``records``, of the first ``count`` steps that waited, are durable: now on its disk."""
        ...

    def sent(
        self,
        place: Place,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        effects: tuple[Effect[M_contra, T_contra, P_contra], ...],
    ) -> None:
        """``effects`` leave now, while the disk is that of ``process``."""
        ...

    def failed(
        self,
        place: Place,
        event: From[M_contra] | T_contra | Q_contra,
        error: InvariantError,
    ) -> None:
        """``event`` was not taken: it proves that some server broke the protocol."""
        ...

    def stopped(self, place: Place, records: tuple[R_contra, ...], why: str) -> None:
        """The process has ended. ``records`` of what waited became durable all the same."""
        ...


class Driver(Generic[S, Q, M, T, R, P]):
    """One process. What its methods return may leave, and is the caller's to carry out."""

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        place: Place,
        quorum: QuorumSystem,
        disk: Iterable[R] = (),
        observer: Observer[S, Q, M, T, R, P] | None = None,
    ) -> None:
        """Start from the records on ``disk``. Raises what the machine's ``start`` raises."""
        self.machine = machine
        self.place = place
        self.process = machine.begin(place.server, quorum, disk)
        self._observer = observer
        if observer is not None:
            observer.started(place, quorum, self.process)

    def take(self, *events: From[M] | T | Q) -> tuple[Effect[M, T, P], ...]:
        """Step through ``events``, all of them or none; what may leave at once.

        Raises as the machine's ``receive``, with the process as it was.
        """
        process, effects = self.process, list[Effect[M, T, P]]()
        steps: list[tuple[From[M] | T | Q, Process[S, R, Effect[M, T, P]]]] = []
        for event in events:
            try:
                process, free = self.machine.take(process, event)
            except InvariantError as error:
                self._tell(steps)
                if self._observer is not None:
                    self._observer.failed(self.place, event, error)
                raise
            steps.append((event, process))
            effects.extend(free)
        self._tell(steps)
        self.process = process
        return self._send(tuple(effects))

    def stored(self, receipt: Saved[R], count: int | None = None) -> tuple[Effect[M, T, P], ...]:
        """The first ``count`` steps that wait are durable, or all of them; what they free.

        Raises NotSaved, with the process as it was, if ``receipt`` does not cover them.
        """
        waited = self.process.waiting[:count]
        process, effects = self.machine.saved(self.process, receipt, count)
        self.process = process
        if self._observer is not None and waited:
            records = tuple({id(it.record): it.record for it in waited}.values())
            self._observer.saved(self.place, process, records, len(waited))
        return self._send(effects)

    def save(self, count: int | None = None) -> tuple[Effect[M, T, P], ...]:
        """As ``stored``, for a driver that is the disk."""
        records = tuple(it.record for it in self.process.waiting[:count])
        return self.stored(Saved(records), count)

    def stop(self, why: str, durable: int = 0) -> tuple[R, ...]:
        """End the process, with the first ``durable`` waiting steps saved; the disk it leaves."""
        records = tuple(it.record for it in self.process.waiting[:durable])
        process, _ = self.machine.saved(self.process, Saved(records), durable)
        if self._observer is not None:
            self._observer.stopped(self.place, records, why)
        return process.disk

    def _tell(
        self, steps: Iterable[tuple[From[M] | T | Q, Process[S, R, Effect[M, T, P]]]]
    ) -> None:
        if self._observer is None:
            return
        before = self.process
        for event, after in steps:
            self._observer.stepped(self.place, event, before, after)
            before = after

    def _send(self, effects: tuple[Effect[M, T, P], ...]) -> tuple[Effect[M, T, P], ...]:
        if self._observer is not None and effects:
            self._observer.sent(self.place, self.process, effects)
        return effects
