"""A timeline: one decision of a trace, ready to be drawn.

- Time runs in steps, from 1. Each step is a moment in the lane of one server, with what it holds
  and knows from there on.
- A message is an arrow from the step in which it left to the step in which it arrived, or to none:
  lost, or late. What arrived twice has an arrow for each time. What no server was seen to send
  comes from outside.
- A value is chosen in the step in which the last vote of a quorum became durable, also if no server
  knows it.
- Of the machine it knows only the view. With several slots, a timeline is of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Generic

from attrs import evolve, frozen

from paxos import Chosen, From, QuorumSystem, ServerId
from paxos.ballot import V
from paxos.errors import assert_never
from paxos.invariants import Decision
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_lab.claims import Vote
from paxos_lab.machines.log_view import log_view
from paxos_lab.machines.plain_view import plain_view
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.machines.view import TIMES_OUT, Look, View, Words
from paxos_lab.record.entries import Began, Ended, Freed, Given, Known, Noted, Took
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.trace import LogTrace, SingleTrace, Step, Trace

NOTHING = Look()


class Kind(Enum):
    """What happens in a moment."""

    STARTS = "starts"
    IS_KNOWN = "is there"
    IS_ASKED = "is asked by its program"
    RECEIVES = "receives"
    TIMES_OUT = "times out"
    TICKS = "ticks"
    FINDS_FAULT = "finds the protocol broken"
    HAS_SAVED = "has saved"
    IS_NOTED = "is noted"
    ENDS = "ends"


@frozen
class Moment:
    """Step ``step``: what the server in ``lane`` does, in words, and how it looks after it.

    ``look`` is None where the server is not there, and ``disk`` is then what it holds.
    ``changes``: it looks otherwise than before. ``reports`` are what it tells its program.
    """

    step: int
    at_s: float
    lane: ServerId
    kind: Kind
    does: str
    look: Look | None
    changes: bool
    reports: tuple[str, ...] = ()
    disk: Look = NOTHING

    @property
    def text(self) -> str:
        """All of it in words."""
        return ", ".join([self.does, *self.reports])


@frozen
class Arrow:
    """``message`` from the lane ``sender`` to the lane ``receiver``.

    It leaves in step ``left``, None: it comes from outside; it arrives in step ``arrived``, None:
    it is lost or late. ``is_repeated``: it has arrived before. ``slot`` is what it is about; None:
    all.
    """

    message: object
    words: Words
    sender: ServerId
    receiver: ServerId
    left: int | None
    arrived: int | None
    is_repeated: bool = False
    slot: int | None = None

    @property
    def text(self) -> str:
        """The message in a few words."""
        return self.words.text


@frozen
class Decided:
    """In step ``step`` a quorum has come to accept one value under one ballot, for ``slot``.

    None: the timeline is of one slot.
    """

    step: int
    choice: Decision[str]
    slot: int | None = None


@frozen
class Timeline:
    """Lanes by their names, in order; and what happens in them, between them, and by all of them.

    ``arrows`` are in the order in which they leave. The first of ``decided`` is the choice; another
    one of the same value confirms it. ``has_numbers``: ballots are shown.
    """

    name: str
    lanes: dict[ServerId, str]
    moments: tuple[Moment, ...]
    arrows: tuple[Arrow, ...]
    decided: tuple[Decided, ...]
    has_numbers: bool = True

    @property
    def last(self) -> dict[ServerId, Moment]:
        """The last moment of each server: how it looks in the end."""
        return {it.lane: it for it in sorted(self.moments, key=lambda it: it.step)}

    @property
    def delivered(self) -> Timeline:
        """The same without what never arrived."""
        return evolve(self, arrows=tuple(it for it in self.arrows if it.arrived is not None))

    @property
    def eventful(self) -> Timeline:
        """``delivered`` without the heartbeats that say nothing of a log."""
        told = self.delivered
        return evolve(told, arrows=tuple(it for it in told.arrows if it.text != "Heartbeat"))


def timeline(
    trace: Trace[S, Q, M, T, R, P],
    view: View[S, Q, M, T, R, P],
    name: str = "",
    slot: int | None = 0,
) -> Timeline:
    """What happened to one slot of ``name``, or to all of them for None.

    Raises RecordingError if there is nothing about it.
    """
    steps = tuple(step for step in trace.steps if step.entry.name == name)
    if not steps:
        raise RecordingError(f"the recording says nothing about a decision {name!r}.")
    shown = _Slot(trace, view, slot, steps, lanes_of(steps))
    moments = map(shown.moment, steps)
    return Timeline(
        name,
        trace.lanes,
        tuple(it for it in moments if it is not None),
        tuple(sorted(shown.arrows(), key=lambda it: (it.left or it.arrived or 0, it.receiver))),
        tuple(shown.decided()),
        view.has_numbers,
    )


def single_timeline(trace: SingleTrace[V], name: str = "", *, has_numbers: bool = True) -> Timeline:
    """What happened to the decision ``name``, of servers of one decision. Raises as timeline.

    Without ``has_numbers`` it is told as before ballots: ``accept?(red)``, ``yes`` and ``no``.
    """
    view: SingleView[V] = single_view() if has_numbers else plain_view()
    return timeline(trace, view, name)


def log_timeline(
    trace: LogTrace[V], text: Callable[[V], str] = str, slot: int | None = None
) -> Timeline:
    """What happened to the log of ``trace``, or to one slot of it; ``text`` describes its commands.

    Raises RecordingError if it has several logs, or nothing.
    """
    if len(trace.names) > 1:
        names = ", ".join(map(repr, trace.names))
        raise RecordingError(f"it tells of the logs {names}: record each in a file of its own.")
    return timeline(trace, log_view(text), next(iter(trace.names), ""), slot)


@frozen
class _Slot(Generic[S, Q, M, T, R, P]):
    """One slot of a trace, seen through ``view``: the ``steps`` of its name, and their lanes."""

    trace: Trace[S, Q, M, T, R, P]
    view: View[S, Q, M, T, R, P]
    slot: int | None
    steps: tuple[Step[S, Q, M, T, R, P], ...]
    lanes: dict[ServerId, list[ServerId]]

    # --- moments ----------------------------------------------------------------------------

    def moment(self, step: Step[S, Q, M, T, R, P]) -> Moment | None:
        """None for what is about another slot."""
        look, before = (
            None if state is None else self.view.look(state, self.slot)
            for state in (step.after, step.before)
        )
        if look == before and not self._is_about(step):
            return None
        kind, text = self._told(step, before, look)
        reports = tuple(self.view.told(it) for it in step.reports if self._is_here(it))
        at_s, lane = step.entry.at_s, step.entry.server
        disk = self.view.disk(step.disk, self.slot)
        return Moment(step.number, at_s, lane, kind, text, look, look != before, reports, disk)

    def _is_here(self, it: M | T | Q | P) -> bool:
        """Whether it is about this slot, or about all."""
        return self.slot is None or self.view.slot(it) in (None, self.slot)

    def _is_about(self, step: Step[S, Q, M, T, R, P]) -> bool:
        what = step.entry.what
        if type(what) is Freed:
            said = [
                *(self._is_here(it.message) for it in step.sent),
                *map(self._is_here, step.reports),
            ]
            return not said or any(said)
        if type(what) is not Took:
            return True
        if step.arrival is not None:
            return self._is_here(step.arrival.received.message)
        return isinstance(what.event, From) or self._is_here(what.event)

    def _told(
        self, step: Step[S, Q, M, T, R, P], before: Look | None, look: Look | None
    ) -> tuple[Kind, str]:
        what = step.entry.what
        if type(what) is Took:
            if what.raised is not None:
                return Kind.FINDS_FAULT, f"finds the protocol broken: {what.raised}"
            if step.arrival is not None:
                return (
                    Kind.RECEIVES,
                    f"receives {self.view.say(step.arrival.received.message).text}",
                )
            text = "" if isinstance(what.event, From) else self.view.own(what.event)
            if text == TIMES_OUT and step.before != step.after:
                return Kind.TIMES_OUT, f"{text} and {_goes_on(step, before, look)}"
            return (Kind.IS_ASKED, text) if text not in (TIMES_OUT, "") else (Kind.TICKS, "ticks")
        if type(what) is Freed:
            return Kind.HAS_SAVED, "has saved"
        if type(what) is Began:
            return Kind.STARTS, "starts again" if what.records else "starts"
        if type(what) is Ended:
            return Kind.ENDS, what.why
        if type(what) is Noted:
            return Kind.IS_NOTED, what.text
        if type(what) is Known or type(what) is Given:
            return Kind.IS_KNOWN, "is there already"
        assert_never(what)

    # --- arrows -----------------------------------------------------------------------------

    def arrows(self) -> Iterator[Arrow]:
        """What arrived, and then what did not."""
        for step in self.steps:
            arrival, me = step.arrival, step.entry.server
            if arrival is None or not self._is_here(arrival.received.message):
                continue
            sent, message = arrival.sent, arrival.received.message
            words, slot, at = self.view.say(message), self.view.slot(message), step.number
            if sent is None:
                sender = self.lanes.get(arrival.received.sender, [arrival.received.sender])[0]
                yield Arrow(message, words, sender, me, None, at, slot=slot)
            else:
                left, is_repeated = sent.step, arrival.is_repeated
                yield Arrow(message, words, sent.lane, me, left, at, is_repeated, slot)
        for it in self.trace.undelivered:
            if it.name == self.steps[0].entry.name and self._is_here(it.message):
                words = self.view.say(it.message)
                to = _lane(self.lanes, it.receiver, words)
                yield Arrow(it.message, words, it.lane, to, it.step, None)

    # --- choices ----------------------------------------------------------------------------

    def decided(self) -> Iterator[Decided]:
        """The steps in which a quorum came to accept a value."""
        found: dict[Vote, set[ServerId]] = {}
        for step in self.steps:
            for me, vote in votes(step, self.view):
                if self.slot not in (None, vote.slot):
                    continue
                quorum = self._quorum(step, vote.slot)
                voters = found.setdefault(vote, set())
                was_enough = quorum is None or quorum.is_phase2(voters)
                voters.add(me)
                if quorum is not None and not was_enough and quorum.is_phase2(voters):
                    choice = Decision(Chosen(vote.ballot, str(vote.value)), frozenset(voters))
                    yield Decided(step.number, choice, vote.slot if self.slot is None else None)

    def _quorum(self, step: Step[S, Q, M, T, R, P], slot: int) -> QuorumSystem | None:
        """The quorums of ``slot``, for which a server votes in ``step``: it was open before."""
        if self.view.governs is None or step.before is None:
            return self.trace.quorum
        return self.view.governs(step.before, slot)


def _goes_on(step: Step[S, Q, M, T, R, P], before: Look | None, look: Look | None) -> str:
    """What the timer of a proposal has led to."""
    if look is not None and before is not None and look.asks != before.asks:
        return f"starts over under {look.asks}"
    return "asks again" if step.sent else "waits for the leader"


def lanes_of(steps: Iterable[Step[S, Q, M, T, R, P]]) -> dict[ServerId, list[ServerId]]:
    """By id: the lanes of each server, in order; the explorer has two, the acceptor's first."""
    lanes: dict[ServerId, set[ServerId]] = {}
    for step in steps:
        lanes.setdefault(step.me, set()).add(step.entry.server)
    return {me: sorted(those) for me, those in lanes.items()}


def _lane(lanes: dict[ServerId, list[ServerId]], receiver: ServerId, words: Words) -> ServerId:
    """Where a message that did not arrive was going to."""
    those = lanes.get(receiver, [receiver])
    return those[0] if words.request else those[-1]


def votes(
    step: Step[S, Q, M, T, R, P], view: View[S, Q, M, T, R, P]
) -> Iterator[tuple[ServerId, Vote]]:
    """What counts as accepted from ``step`` on, and by which server: it is durable, or has left."""
    said: list[tuple[ServerId, R | M]] = [(it.sender, it.message) for it in step.sent]
    if step.after is not None:
        said = [*((step.me, it) for it in step.saved), *said]
    for me, it in said:
        for vote in view.votes(it):
            yield me, Vote(vote.slot, vote.ballot, str(vote.value))
