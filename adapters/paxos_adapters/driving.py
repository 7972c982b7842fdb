"""Driving: one process of a machine, and an observer that is told of each of its steps.

- A driver holds one process. ``take`` takes an event, ``take_batch`` several of them or none.
- ``stored`` is for drivers with a store of their own, ``save`` for those that are the disk.
- What each of them returns may leave.
- The observer is told when it is certain: of a step before anything of it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic

from paxos import From, InvariantError, QuorumSystem, Saved
from paxos_adapters.machine import Effect, M, Machine, P, Process, Q, R, S, T
from paxos_adapters.ports import Observer, Place


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

    def take(self, event: From[M] | T | Q) -> tuple[Effect[M, T, P], ...]:
        """Take one event; what may leave at once.

        Raises as the machine's ``receive``, with the process as it was.
        """
        before = self.process
        try:
            self.process, effects = self.machine.take(before, event)
        except InvariantError as error:
            self._fail(event, error)
            raise
        if self._observer is not None:
            self._observer.stepped(self.place, event, before, self.process)
        return self._send(effects)

    def take_batch(self, events: Iterable[From[M] | T | Q]) -> tuple[Effect[M, T, P], ...]:
        """Take ``events``, all of them or none; what may leave at once. Raises as ``take``."""
        process = self.process
        effects: tuple[Effect[M, T, P], ...] = ()
        steps: list[tuple[From[M] | T | Q, Process[S, R, Effect[M, T, P]]]] = []
        for event in events:
            try:
                process, free = self.machine.take(process, event)
            except InvariantError as error:
                self._tell(steps)
                self._fail(event, error)
                raise
            steps.append((event, process))
            effects += free
        self._tell(steps)
        self.process = process
        return self._send(effects)

    def stored(self, receipt: Saved[R], count: int | None = None) -> tuple[Effect[M, T, P], ...]:
        """The first ``count`` steps that wait are durable, or all of them; what they free.

        Raises NotSaved, with the process as it was, if ``receipt`` does not cover them.
        """
        waited = self.process.waiting[:count]
        process, effects = self.machine.saved(self.process, receipt, count)
        self.process = process
        if self._observer is not None and waited:
            records = tuple([it.record for it in waited])
            self._observer.saved(self.place, process, records, len(waited))
        return self._send(effects)

    def save(self, count: int | None = None) -> tuple[Effect[M, T, P], ...]:
        """As ``stored``, for a driver that is the disk."""
        records = tuple([it.record for it in self.process.waiting[:count]])
        return self.stored(Saved(records), count)

    def step(self, event: From[M] | T | Q) -> tuple[Effect[M, T, P], ...]:
        """Take one event, on a disk that saves at once: a step after which nothing waits for it.

        Raises as ``take``.
        """
        try:
            process, free = self.machine.take(self.process, event)
        except InvariantError as error:
            self._fail(event, error)
            raise
        records = tuple(it.record for it in process.waiting)
        process, freed = self.machine.saved(process, Saved(records))
        self._tell([(event, process)])
        self.process = process
        if self._observer is not None and records:
            self._observer.saved(self.place, process, records, len(records))
        return self._send(free + freed)

    def stop(self, why: str, durable: int = 0) -> tuple[R, ...]:
        """End the process, with the first ``durable`` waiting steps saved; the disk it leaves."""
        records = tuple(it.record for it in self.process.waiting[:durable])
        process, _ = self.machine.saved(self.process, Saved(records), durable)
        if self._observer is not None:
            self._observer.stopped(self.place, records, why)
        return process.disk

    def set_state(self, state: S) -> None:
        """Put the process into ``state``, by no event: a schedule says so."""
        self.process = Process(state, self.process.disk, self.process.waiting)
        if self._observer is not None:
            self._observer.state_set(self.place, self.process)

    def _tell(
        self, steps: Iterable[tuple[From[M] | T | Q, Process[S, R, Effect[M, T, P]]]]
    ) -> None:
        if self._observer is None:
            return
        before = self.process
        for event, after in steps:
            self._observer.stepped(self.place, event, before, after)
            before = after

    def _fail(self, event: From[M] | T | Q, error: InvariantError) -> None:
        if self._observer is not None:
            self._observer.failed(self.place, event, error)

    def _send(self, effects: tuple[Effect[M, T, P], ...]) -> tuple[Effect[M, T, P], ...]:
        if self._observer is not None and effects:
            self._observer.sent(self.place, self.process, effects)
        return effects
