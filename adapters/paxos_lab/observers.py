"""Several observers told the same, one after the other."""

from __future__ import annotations

from typing import Generic

from attrs import frozen

from paxos import From, InvariantError, QuorumSystem
from paxos_adapters.machine import Effect, M, P, Process, Q, R, S, T
from paxos_adapters.ports import Observer, Place


@frozen
class Observers(Generic[S, Q, M, T, R, P]):
    """An observer that tells all of ``each``, in their order."""

    each: tuple[Observer[S, Q, M, T, R, P], ...]

    def set_time(self, now_s: float) -> None:
        """Tell all."""
        for it in self.each:
            it.set_time(now_s)

    def started(
        self, place: Place, quorum: QuorumSystem, process: Process[S, R, Effect[M, T, P]]
    ) -> None:
        """Tell all."""
        for it in self.each:
            it.started(place, quorum, process)

    def stepped(
        self,
        place: Place,
        event: From[M] | T | Q,
        before: Process[S, R, Effect[M, T, P]],
        after: Process[S, R, Effect[M, T, P]],
    ) -> None:
        """Tell all."""
        for it in self.each:
            it.stepped(place, event, before, after)

    def state_set(self, place: Place, process: Process[S, R, Effect[M, T, P]]) -> None:
        """Tell all."""
        for it in self.each:
            it.state_set(place, process)

    def saved(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],
        records: tuple[R, ...],
        count: int,
    ) -> None:
        """Tell all."""
        for it in self.each:
            it.saved(place, process, records, count)

    def sent(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],
        effects: tuple[Effect[M, T, P], ...],
    ) -> None:
        """Tell all."""
        for it in self.each:
            it.sent(place, process, effects)

    def failed(self, place: Place, event: From[M] | T | Q, error: InvariantError) -> None:
        """Tell all."""
        for it in self.each:
            it.failed(place, event, error)

    def stopped(self, place: Place, records: tuple[R, ...], why: str) -> None:
        """Tell all."""
        for it in self.each:
            it.stopped(place, records, why)
