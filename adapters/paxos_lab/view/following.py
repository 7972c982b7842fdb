"""What could have happened next: from each step on, what was possible, and what it leads to.

- The answers are the core's own, computed beforehand: the page knows nothing of the protocol.
- Possible are: a message in flight arrives, a timer fires, a save is over, a server crashes and
  starts again from its disk. A save is over at once, and what a step says leaves at once.
- What the recording lost may still arrive here. What changes nothing is left out.
- Bounded: MOST_FLYING messages in flight, the newest; MOST events in all. First come those after
  each step, the last steps first; then those after these, as long as there is room.

Source: stateright's Explorer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic

from attrs import Factory, define, evolve, frozen

from paxos import From, InvariantError, QuorumSystem, Saved, ServerId
from paxos_adapters.machine import Effect, M, Machine, P, Process, Q, R, S, T
from paxos_lab.claims import Vote
from paxos_lab.explain.grammar import listed, named
from paxos_lab.machines.view import TIMES_OUT, Look, View
from paxos_lab.record import Began, Ended, MachineReplay, Step, Took
from paxos_lab.record.timeline import votes

MOST = 3_000
MOST_FLYING = 16


@frozen
class Flying(Generic[M]):
    """A message that may arrive."""

    sender: ServerId
    receiver: ServerId
    message: M


@frozen
class World(Generic[S, Q, M, T, R, P]):
    """The servers of one decision or log, what is on its way, and the timers that are set.

    A server that is down has a disk, and no process. ``votes`` are durable.
    """

    up: Mapping[ServerId, Process[S, R, Effect[M, T, P]]]
    disks: Mapping[ServerId, tuple[R, ...]]
    flying: tuple[Flying[M], ...] = ()
    timers: tuple[tuple[ServerId, T | Q], ...] = ()
    votes: Mapping[Vote, frozenset[ServerId]] = Factory(dict[Vote, frozenset[ServerId]])


@define
class Event:
    """Something that could happen to ``me``: in words, and how it looks then.

    ``place`` is where it leads: a place in ``Following.places``; None: that was not computed.
    """

    me: ServerId
    words: str
    look: Look | None
    chooses: bool = False
    place: int | None = None


@frozen
class Following:
    """``after`` gives, by step, a place; and a place is all that could happen there."""

    after: dict[int, int] = Factory(dict[int, int])
    places: list[list[Event]] = Factory(list[list[Event]])


def following(
    replay: MachineReplay[S, Q, M, T, R, P],
    view: View[S, Q, M, T, R, P],
    name: str,
    shown: Iterable[int],
    slot: int | None = 0,
) -> Following:
    """What could have happened after each of the steps ``shown`` of ``name``.

    Nothing, if the servers of the recording have several lanes.
    """
    steps = [it for it in replay.steps if it.entry.name == name]
    machine, quorum, found = replay.machine, replay.quorum, Following()
    if machine is None or quorum is None or any(it.me != it.entry.server for it in steps):
        return found
    explorer = _Explorer(machine, view, quorum, slot)
    worlds = dict(explorer.worlds(steps))
    wanted = sorted(set(shown) & worlds.keys(), reverse=True)[:MOST]
    turn: deque[tuple[World[S, Q, M, T, R, P], int | Event]] = deque(
        (worlds[it], it) for it in wanted
    )
    room = MOST
    while turn and room > 0:
        world, leads_here = turn.popleft()
        place = len(found.places)
        if isinstance(leads_here, Event):
            leads_here.place = place
        else:
            found.after[leads_here] = place
        events = list(explorer.events(world))
        found.places.append([event for event, _ in events])
        turn.extend((then, event) for event, then in events)
        room -= len(events)
    return found


@frozen
class _Explorer(Generic[S, Q, M, T, R, P]):
    machine: Machine[S, Q, M, T, R, P]
    view: View[S, Q, M, T, R, P]
    quorum: QuorumSystem
    slot: int | None

    # --- what was recorded --------------------------------------------------------------------

    def worlds(
        self, steps: Iterable[Step[S, Q, M, T, R, P]]
    ) -> Iterator[tuple[int, World[S, Q, M, T, R, P]]]:
        """The world after each step."""
        world: World[S, Q, M, T, R, P] = World({}, {})
        for step in steps:
            world = self._after(world, step)
            yield step.number, world

    def _after(
        self, world: World[S, Q, M, T, R, P], step: Step[S, Q, M, T, R, P]
    ) -> World[S, Q, M, T, R, P]:
        me, what = step.me, step.entry.what
        up = {it: process for it, process in world.up.items() if it != me}
        if step.after is not None:
            up[me] = Process(step.after, step.disk, step.waiting)
        flying, timers = list(world.flying), list(world.timers)
        if step.arrival is not None:
            it = Flying(step.arrival.received.sender, me, step.arrival.received.message)
            flying = [other for other in flying if other != it]
        if type(what) is Took:
            timers = [it for it in timers if it != (me, what.event)]
        if type(what) is Began or type(what) is Ended:
            timers = [it for it in timers if it[0] != me]
        first = self.machine.first if type(what) is Began else ()
        sent = [Flying(it.sender, it.receiver, it.message) for it in step.sent]
        return World(
            up,
            {**world.disks, me: step.disk},
            _newest([*flying, *sent]),
            tuple(dict.fromkeys([*timers, *((me, it) for it in (*first, *step.timers))])),
            _counted(world.votes, votes(step, self.view)),
        )

    # --- what is possible -----------------------------------------------------------------------

    def events(
        self, world: World[S, Q, M, T, R, P]
    ) -> Iterator[tuple[Event, World[S, Q, M, T, R, P]]]:
        """What could happen, and the world after it."""
        for me, process in sorted(world.up.items()):
            if process.waiting:
                yield self._let(world, me, "has saved", process, ())
        for flying in reversed(world.flying):
            if flying.receiver in world.up:
                words = f"receives {self.view.say(flying.message).text}, from S{flying.sender}"
                rest = evolve(world, flying=tuple(it for it in world.flying if it != flying))
                came = From(flying.sender, flying.message)
                yield from self._take(rest, flying.receiver, words, came)
        for me, timer in world.timers:
            words = self.view.own(timer)
            rest = evolve(world, timers=tuple(it for it in world.timers if it != (me, timer)))
            if me in world.up:
                yield from self._take(rest, me, words or "ticks", timer)
        yield from self._restarts(world)

    def _take(
        self, world: World[S, Q, M, T, R, P], me: ServerId, words: str, event: From[M] | T | Q
    ) -> Iterator[tuple[Event, World[S, Q, M, T, R, P]]]:
        before = world.up[me]
        try:
            process, effects = self.machine.take(before, event)
        except InvariantError as error:
            told = f"S{me} {words}: it finds the protocol broken ({type(error).__name__})."
            yield Event(me, told, self._look(before.state)), world
            return
        out = self.machine.sort(process, effects)
        if process.state == before.state and not (process.waiting or out.messages or out.reports):
            return
        if words == TIMES_OUT and process.state == before.state:
            words = "times out, and asks again"
        yield self._let(world, me, words, process, effects)

    def _let(
        self,
        world: World[S, Q, M, T, R, P],
        me: ServerId,
        words: str,
        process: Process[S, R, Effect[M, T, P]],
        effects: tuple[Effect[M, T, P], ...],
    ) -> tuple[Event, World[S, Q, M, T, R, P]]:
        """The save of ``process`` is over, and what it says leaves."""
        records = process.unsaved
        saved, freed = self.machine.saved(process, Saved(records))
        out = self.machine.sort(saved, (*effects, *freed))
        told = [f"S{me} {words}" + "".join(f", {self.view.told(it)}" for it in out.reports) + "."]
        by_text: dict[str, list[ServerId]] = {}
        for receiver, message in out.messages:
            by_text.setdefault(self.view.say(message).text, []).append(receiver)
        told.extend(
            f"It sends {text} to {listed(f'S{it}' for it in to)}." for text, to in by_text.items()
        )
        said: list[R | M] = [*records, *(message for _, message in out.messages)]
        cast = [(me, vote) for it in said for vote in self.view.votes(it)]
        counted = _counted(world.votes, cast)
        chosen = list(self._chosen(world.votes, counted, process.state))
        event = Event(me, " ".join(told + chosen), self._look(saved.state), bool(chosen))
        timers: list[tuple[ServerId, T | Q]] = [*world.timers]
        timers.extend((me, it.timer) for it in out.timers)
        then: World[S, Q, M, T, R, P] = World(
            {**world.up, me: saved},
            {**world.disks, me: saved.disk},
            _newest([*world.flying, *(Flying(me, to, it) for to, it in out.messages)]),
            tuple(dict.fromkeys(timers)),
            counted,
        )
        return event, then

    def _look(self, state: S) -> Look:
        return self.view.look(state, self.slot)

    def _chosen(
        self,
        before: Mapping[Vote, frozenset[ServerId]],
        after: Mapping[Vote, frozenset[ServerId]],
        state: S,
    ) -> Iterator[str]:
        for vote, voters in after.items():
            was = before.get(vote, frozenset[ServerId]())
            if was == voters:
                continue
            governs = self.view.governs
            quorum = self.quorum if governs is None else governs(state, vote.slot)
            if quorum.is_phase2(voters) and not quorum.is_phase2(was):
                yield f"{vote.value} is chosen: accepted by {named(voters)}, a quorum."

    def _restarts(
        self, world: World[S, Q, M, T, R, P]
    ) -> Iterator[tuple[Event, World[S, Q, M, T, R, P]]]:
        for me, disk in sorted(world.disks.items()):
            try:
                process = self.machine.begin(me, self.quorum, disk)
            except InvariantError:
                continue
            words = "crashes, and starts again" if me in world.up else "starts again"
            timers: list[tuple[ServerId, T | Q]] = [it for it in world.timers if it[0] != me]
            timers.extend((me, it) for it in self.machine.first)
            then = evolve(world, up={**world.up, me: process}, timers=tuple(timers))
            yield Event(me, f"S{me} {words}.", self._look(process.state)), then


def _newest(flying: Iterable[Flying[M]]) -> tuple[Flying[M], ...]:
    """The newest of ``flying``, of equal ones the first."""
    return tuple(dict.fromkeys(flying))[-MOST_FLYING:]


def _counted(
    before: Mapping[Vote, frozenset[ServerId]], cast: Iterable[tuple[ServerId, Vote]]
) -> Mapping[Vote, frozenset[ServerId]]:
    found = dict(before)
    for me, vote in cast:
        found[vote] = found.get(vote, frozenset[ServerId]()) | {me}
    return found
