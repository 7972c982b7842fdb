"""A trace: what happened to processes, step by step. Timelines and explanations start from it.

- It is an observer, of a run as it happens or of its replay: both give the same steps.
- A step is an entry of a recording, with what follows from it: the states around it, what became
  durable, what left, and which message it was that arrived.
- A save is a step of its own if anything waited for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Generic, TypeAlias, TypeGuard

from attrs import Factory, define, evolve, field, frozen

from paxos import (
    AfterSave,
    Broadcast,
    From,
    InvariantError,
    Message,
    QuorumSystem,
    ServerId,
    SetTimer,
    Tell,
    To,
    log,
    server,
)
from paxos.ballot import V
from paxos.log import events
from paxos.log.memory import Record
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.machine import Effect, M, P, Process, Q, R, S, T
from paxos_adapters.ports import Key, Place
from paxos_lab.record.entries import Began, Ended, Entry, Freed, Given, Known, Noted, Took, What
from paxos_lab.record.in_flight import Arrival, InFlight, Sent


@frozen
class Step(Generic[S, Q, M, T, R, P]):
    """One thing that happened at the server ``me``: the ``number``-th.

    ``before`` and ``after`` are None where the server is not there, and ``disk`` is what it has on
    its disk afterwards. ``saved`` is durable from here on. ``sent`` and ``reports`` have left, also
    those of earlier steps whose save is over. ``arrival`` is there if it was a message. What is
    ``waiting`` has not left, and ``timers`` were set.
    """

    number: int
    entry: Entry[S, From[M] | T | Q, R]
    me: ServerId
    before: S | None
    after: S | None
    disk: tuple[R, ...] = ()
    saved: tuple[R, ...] = ()
    sent: tuple[Sent[M], ...] = ()
    reports: tuple[P, ...] = ()
    arrival: Arrival[M] | None = None
    waiting: tuple[AfterSave[R, Effect[M, T, P]], ...] = field(default=(), eq=False, repr=False)
    timers: tuple[T, ...] = field(default=(), eq=False, repr=False)


SingleStep: TypeAlias = Step[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""A step of a server of one decision."""

LogStep: TypeAlias = Step[
    log.Replica[V], events.Request[V], log.Message[V], events.LogTimer, Record[V], events.Report[V]
]
"""A step of a replica of a log."""


@define
class Trace(Generic[S, Q, M, T, R, P]):
    """All steps, and what is there after the last of them.

    ``states`` are the servers that are up, ``disks`` what is durable of all. ``lane_names``, by id,
    are those of lanes that are not called by the ids of their servers. A broadcast reaches
    ``members``; without it, those of the quorum.
    """

    quorum: QuorumSystem | None = None
    lane_names: dict[str, str] = Factory(dict[str, str])
    steps: list[Step[S, Q, M, T, R, P]] = field(factory=list[Step[S, Q, M, T, R, P]])
    states: dict[Key, S] = field(factory=dict[Key, S])
    disks: dict[Key, tuple[R, ...]] = field(factory=dict[Key, tuple[R, ...]])
    in_flight: InFlight[M] = field(factory=InFlight[M])
    members: Callable[[S], Iterable[ServerId]] | None = None
    _waiting: dict[Key, tuple[AfterSave[R, Effect[M, T, P]], ...]] = Factory(
        dict[Key, tuple[AfterSave[R, Effect[M, T, P]], ...]]
    )
    _numbers: Iterator[int] = field(factory=lambda: count(1))
    _now_s: float = 0.0

    @property
    def lanes(self) -> dict[ServerId, str]:
        """What each server is called, in order: S and its id, if it has no other name."""
        seen = {step.entry.server for step in self.steps}
        if not self.lane_names and self.quorum is not None:
            seen |= self.quorum.members
        return {lane: self.lane_names.get(str(lane), f"S{lane}") for lane in sorted(seen)}

    @property
    def names(self) -> tuple[str, ...]:
        """The decisions, in the order in which they came up."""
        return tuple(dict.fromkeys(step.entry.name for step in self.steps))

    @property
    def undelivered(self) -> list[Sent[M]]:
        """What has not arrived, in the order in which it was sent: it is lost, or late."""
        arrivals = (step.arrival.sent for step in self.steps if step.arrival is not None)
        arrived = {it.number for it in arrivals if it is not None}
        return [it for step in self.steps for it in step.sent if it.number not in arrived]

    def can_come(self, place: Place, event: From[M] | T | Q) -> bool:
        """Whether ``event``, if it is a message, was seen to be sent."""
        if not self._is_message(event):
            return True
        return self.in_flight.can_arrive(place.server, place.name, event)

    def add(self, step: Step[S, Q, M, T, R, P]) -> None:
        """``step`` has happened."""
        key = step.entry.server, step.entry.name
        self.steps.append(step)
        self.disks[key] = step.disk
        if step.after is None:
            self.states.pop(key, None)
        else:
            self.states[key] = step.after

    # --- what an observer is told ---------------------------------------------------------------

    def set_time(self, now_s: float) -> None:
        """What comes next happens at ``now_s``."""
        self._now_s = now_s

    def started(
        self, place: Place, quorum: QuorumSystem, process: Process[S, R, Effect[M, T, P]]
    ) -> None:
        """A server starts from its disk."""
        self.quorum = quorum
        self._add(place, Began(place.server, process.disk), process, process.disk)

    def stepped(
        self,
        place: Place,
        event: From[M] | T | Q,
        before: Process[S, R, Effect[M, T, P]],
        after: Process[S, R, Effect[M, T, P]],
    ) -> None:
        """``event`` led from ``before`` to ``after``."""
        waits = len(after.waiting) > len(before.waiting)
        saved = tuple(it for it in after.disk if all(it is not old for old in before.disk))
        self._add(place, Took(event, waits=waits), after, saved, self._arrival(place, event))

    def state_set(self, place: Place, process: Process[S, R, Effect[M, T, P]]) -> None:
        """The server is in this state from here on."""
        self._add(place, Given(process.state), process)

    def known(self, place: Place, process: Process[S, R, Effect[M, T, P]]) -> None:
        """The server was up before the trace begins."""
        waiting = tuple(it.record for it in process.waiting)
        self._add(place, Known(place.server, process.state, process.disk, waiting), process)

    def saved(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],
        records: tuple[R, ...],
        count: int,
    ) -> None:
        """The first ``count`` waiting steps are durable; a step that did not wait was so itself."""
        if self._waiting.get(place.key):
            self._add(place, Freed(count), process, records)

    def sent(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],
        effects: tuple[Effect[M, T, P], ...],
    ) -> None:
        """The last step lets ``effects`` leave."""
        step = self.steps[-1]
        if self.members is not None:
            members: Iterable[ServerId] = self.members(process.state)
        else:
            members = () if self.quorum is None else sorted(self.quorum.members)
        sent = tuple(self._sent(place, step.number, effects, tuple(members)))
        reports = tuple(it.report for it in effects if isinstance(it, Tell))
        timers = tuple(it.timer for it in effects if isinstance(it, SetTimer))
        self.steps[-1] = evolve(
            step,
            sent=step.sent + sent,
            reports=step.reports + reports,
            timers=step.timers + timers,
        )
        self.in_flight.send(sent)

    def failed(self, place: Place, event: From[M] | T | Q, error: InvariantError) -> None:
        """``event`` raised ``error``, and changed nothing."""
        took = Took(event, raised=type(error).__name__)
        self._add(place, took, None, arrival=self._arrival(place, event))

    def stopped(self, place: Place, records: tuple[R, ...], why: str) -> None:
        """The server has stopped; ``records``, of what waited, are durable."""
        key = place.key
        self._waiting.pop(key, None)
        self.disks[key] = self.disks.get(key, ()) + records
        self._add(place, Ended(why, len(records)), None)

    def note(self, place: Place, text: str) -> None:
        """Something happens at ``place``, by no event."""
        self._add(place, Noted(text), None)

    def _add(
        self,
        place: Place,
        what: What[R, From[M] | T | Q, S],
        process: Process[S, R, Effect[M, T, P]] | None,
        saved: tuple[R, ...] = (),
        arrival: Arrival[M] | None = None,
    ) -> None:
        key = place.key
        before = self.states.get(key)
        after = None if isinstance(what, Ended) else before
        disk = self.disks.get(key, ())
        if process is not None:
            after, disk = process.state, process.disk
            self._waiting[key] = process.waiting
        entry = Entry(self._now_s, key[0], place.name, what)
        number = len(self.steps) + 1
        waiting = self._waiting.get(key, ())
        self.add(
            Step(number, entry, place.server, before, after, disk, saved, (), (), arrival, waiting)
        )

    def _arrival(self, place: Place, event: From[M] | T | Q) -> Arrival[M] | None:
        if self._is_message(event):
            return self.in_flight.arrive(place.server, place.name, event)
        return None

    def _is_message(self, event: From[M] | T | Q) -> TypeGuard[From[M]]:
        return isinstance(event, From)

    def _sent(
        self,
        place: Place,
        step: int,
        effects: Iterable[Effect[M, T, P]],
        members: tuple[ServerId, ...],
    ) -> Iterator[Sent[M]]:
        lane = place.key[0]
        for it in effects:
            if isinstance(it, To):
                receivers: Iterable[ServerId] = (it.receiver,)
            elif isinstance(it, Broadcast):
                receivers = members
            else:
                continue
            for receiver in receivers:
                number = next(self._numbers)
                at_s, me, name = self._now_s, place.server, place.name
                yield Sent(number, step, at_s, lane, me, receiver, name, it.message)


SingleTrace: TypeAlias = Trace[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""A trace of servers of one decision."""

LogTrace: TypeAlias = Trace[
    log.Replica[V], events.Request[V], log.Message[V], events.LogTimer, Record[V], events.Report[V]
]
"""A trace of replicas of a log."""
