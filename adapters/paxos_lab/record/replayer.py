"""Replaying: what happened to the servers of a recording is taken again, one entry after the other.

- Each event goes to the machine that was recorded. What it has changed must have the digests that
  were recorded, and an error must be the one that was raised.
- What a step says leaves when it left: at once, or when the save that it waited for was over.
- A trace is told of each step, as it would have been of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic

from attrs import define, evolve

from paxos import AfterSave, From, InvariantError, QuorumSystem, Saved
from paxos.errors import assert_never
from paxos_adapters.coding import Coder
from paxos_adapters.machine import Effect, M, Machine, P, Process, Q, R, S, T
from paxos_adapters.ports import Key, Place
from paxos_lab.record.entries import (
    Began,
    Digests,
    Ended,
    Entry,
    Freed,
    Given,
    Known,
    Noted,
    Took,
)
from paxos_lab.record.trace import Trace


class Differs(Exception):
    """A step diverges from the recording: what was expected, and what came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(expected, came)
        self.expected = expected
        self.came = came


@define
class _Incarnation(Generic[S, M, T, R, P]):
    """A server from one start to its end."""

    place: Place
    process: Process[S, R, Effect[M, T, P]]
    digests: Digests


class Replayer(Generic[S, Q, M, T, R, P]):
    """The servers of a recording. ``trace`` is told what happens to them."""

    def __init__(
        self,
        coder: Coder[S, From[M] | T | Q, R],
        trace: Trace[S, Q, M, T, R, P],
        quorum: QuorumSystem,
    ) -> None:
        self.quorum = quorum
        self.trace = trace
        self._coder = coder
        self._parts = coder.kinds.parts
        self._up: dict[Key, _Incarnation[S, M, T, R, P]] = {}

    def can_come(self, entry: Entry[S, From[M] | T | Q, R]) -> bool:
        """Whether nothing that was recorded has to happen before it."""
        what, it = entry.what, self._up.get((entry.server, entry.name))
        return it is None or type(what) is not Took or self.trace.can_come(it.place, what.event)

    def play(self, entry: Entry[S, From[M] | T | Q, R], machine: Machine[S, Q, M, T, R, P]) -> None:
        """Take one entry. Raises Differs."""
        key, what = (entry.server, entry.name), entry.what
        it = self._up.get(key)
        self.trace.set_time(entry.at_s)
        if type(what) is Began:
            self._start(Place(what.me, entry.name, entry.server), what, machine)
        elif type(what) is Known:
            self._know(Place(what.me, entry.name, entry.server), what)
        elif it is None:
            raise Differs("about a server that is there", "about none that has begun")
        elif type(what) is Took:
            self._take(it, what, machine)
        elif type(what) is Freed:
            self._free(it, what.steps, machine)
        elif type(what) is Given:
            it.process = evolve(it.process, state=what.state)
            it.digests = self._digests(what.state)
            self.trace.state_set(it.place, it.process)
        elif type(what) is Ended:
            del self._up[key]
            durable = tuple(step.record for step in it.process.waiting[: what.durable])
            self.trace.stopped(it.place, durable, what.why)
        elif type(what) is Noted:
            self.trace.note(it.place, what.text)
        else:
            assert_never(what)

    def end(self, keys: Iterable[Key], why: str) -> None:
        """Those of ``keys`` that are up have stopped."""
        for key in sorted(keys):
            it = self._up.pop(key, None)
            if it is not None:
                self.trace.stopped(it.place, (), why)

    def _start(self, place: Place, what: Began[R], machine: Machine[S, Q, M, T, R, P]) -> None:
        try:
            process = machine.begin(place.server, self.quorum, what.records)
        except InvariantError as error:
            raise Differs("a start", f"{type(error).__name__} ({error})") from error
        self._enter(place, process)
        self.trace.started(place, self.quorum, process)

    def _know(self, place: Place, what: Known[S, R]) -> None:
        """At the beginning of a file: new to us, or in the state in which we know it."""
        it = self._up.get(place.key)
        if it is not None:
            _compare(self._digests(what.state), it.digests)
            self.trace.known(place, it.process)
            return
        unseen = tuple(AfterSave[R, Effect[M, T, P]](it, ()) for it in what.waiting)
        process = Process(what.state, what.disk, unseen)
        self._enter(place, process)
        self.trace.known(place, process)

    def _enter(self, place: Place, process: Process[S, R, Effect[M, T, P]]) -> None:
        self._up[place.key] = _Incarnation(place, process, self._digests(process.state))

    def _take(
        self,
        it: _Incarnation[S, M, T, R, P],
        what: Took[From[M] | T | Q],
        machine: Machine[S, Q, M, T, R, P],
    ) -> None:
        before = it.process
        sealed = evolve(before, disk=())  # The recording says whether a step waited, not the disk.
        try:
            after, effects = machine.take(sealed, what.event)
        except Exception as error:
            if type(error).__name__ != what.raised or not isinstance(error, InvariantError):
                raise Differs(_outcome(what.raised), f"{type(error).__name__} ({error})") from error
            self.trace.failed(it.place, what.event, error)
            return
        if what.raised is not None:
            raise Differs(_outcome(what.raised), "a step")
        digests = self._changed(it, after.state)
        _compare(it.digests | what.digests, digests)
        after = evolve(after, disk=before.disk)
        is_sealed = len(after.waiting) > len(before.waiting)
        if what.waits and not is_sealed:
            raise Differs("one that waits for a save", "one that says what it has to say")
        if is_sealed and not what.waits:  # Its record was saved at once, or was on the disk.
            *earlier, step = after.waiting
            alone = evolve(after, waiting=(step,))
            saved, effects = machine.saved(alone, Saved((step.record,)))
            after = evolve(saved, waiting=tuple(earlier))
        it.process, it.digests = after, digests
        self.trace.stepped(it.place, what.event, before, after)
        if effects:
            self.trace.sent(it.place, after, effects)

    def _free(
        self, it: _Incarnation[S, M, T, R, P], steps: int, machine: Machine[S, Q, M, T, R, P]
    ) -> None:
        waiting = it.process.waiting
        if steps > len(waiting):
            raise Differs(f"the end of a save for {steps}", f"one for {len(waiting)}")
        records = tuple({id(step.record): step.record for step in waiting[:steps]}.values())
        it.process, effects = machine.saved(it.process, Saved(records), steps)
        self.trace.saved(it.place, it.process, records, steps)
        if effects:
            self.trace.sent(it.place, it.process, effects)

    def _changed(self, it: _Incarnation[S, M, T, R, P], after: S) -> Digests:
        """The digests of all parts; only those that are other objects now are made anew."""
        now = {part: getattr(after, part) for part in self._parts}
        return {
            part: it.digests[part]
            if state is getattr(it.process.state, part)
            else self._coder.digest(state)
            for part, state in now.items()
        }

    def _digests(self, state: S) -> Digests:
        return {part: self._coder.digest(getattr(state, part)) for part in self._parts}


def _compare(expected: Digests, came: Digests) -> None:
    others = [part for part, digest in came.items() if expected.get(part) != digest]
    if others:
        raise Differs(
            "; ".join(f"{part} {expected.get(part)}" for part in others),
            "; ".join(f"{part} {came[part]}" for part in others),
        )


def _outcome(raised: str | None) -> str:
    return "a step" if raised is None else raised
