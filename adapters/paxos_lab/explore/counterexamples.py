"""From a violation to a run that a person can follow: each event by itself, and none that could go.

- The search skips what it can. Here each of its moves is unfolded into the events that make it up.
- The events are step again, one by one, by a system that skips nothing. What counts is what that
  system finds.
- Then each event that is not needed is left out. The run is 1-minimal: without any one of its
  events the rule holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import Accept, Chosen, From, Inquire, Message, Prepare, Propose, Query, Read, ServerId
from paxos_adapters.memory import Delivery
from paxos_lab.draw import Moment
from paxos_lab.explore.interleavings import Crash, Interleavings, Move, State
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import Violation
from paxos_lab.machines.protocols import Event
from paxos_lab.machines.single_view import describe
from paxos_lab.rules import RULES


@frozen
class Act:
    """``process`` takes ``event``, or none, and goes on or crashes."""

    process: int
    event: Event | None
    crash: Crash


@frozen
class RunStep:
    """One act of a run, and the states around it."""

    act: Act
    before: State
    after: State


Run: TypeAlias = tuple[RunStep, ...]
History: TypeAlias = list[Delivery[Message[str]] | Moment]


@frozen
class Counterexample:
    """A run of ``system``, which skips nothing, that breaks ``rule``, and is 1-minimal."""

    rule: str
    system: Interleavings
    run: Run

    @property
    def scope(self) -> Scope:
        """What was explored."""
        return self.system.scope


def counterexample(system: Interleavings, violation: Violation[State, Move]) -> Counterexample:
    """The run behind ``violation``, which a search of ``system`` has found."""
    plain = Interleavings(evolve(system.scope, reduced=False))
    run = replay(plain, _unfolded(system, violation))
    wanted = _goal(plain, violation.rule, run)
    for place in reversed(range(len(run))):
        rest = (step.act for index, step in enumerate(run) if index != place)
        shorter = replay(plain, rest)
        if shorter and wanted(shorter[-1].after):
            run = shorter
    return Counterexample(violation.rule, plain, run)


def _goal(system: Interleavings, rule: str, run: Run) -> Callable[[State], bool]:
    if rule in RULES:
        return system.breaks(rule)
    held = system.accepted(run[-1].after)
    return lambda state: system.accepted(state) == held


def choices(system: Interleavings, state: State) -> Iterator[tuple[Act, State]]:
    """All that can happen next, one event at a time, in an order that never changes."""
    for move, after in system.moves(state):
        yield Act(move.process, move.events[-1] if move.events else None, move.crash), after


def replay(system: Interleavings, acts: Iterable[Act]) -> Run:
    """Take ``acts`` one by one, without those that are impossible or change nothing."""
    (state,) = system.start()
    run: list[RunStep] = []
    for act in acts:
        for choice, after in choices(system, state):
            if choice == act:
                run.append(RunStep(act, state, after))
                state = after
                break
    return tuple(run)


def _unfolded(system: Interleavings, violation: Violation[State, Move]) -> Iterator[Act]:
    """The same run with every acceptor in its own place, and every event by itself."""
    state = violation.start
    for _, target in violation.run:
        move, after = next(
            (move, after)
            for move, after in system.moves(state)
            if system.canonical(after) == target
        )
        *quiet, last = move.events or (None,)
        yield from (Act(move.process, event, Crash.NONE) for event in quiet)
        yield Act(move.process, last, move.crash)
        for process, event in system.immediate_answers(state, move, after):
            yield Act(process, event, Crash.NONE)
        state = after


# --- to be looked at ----------------------------------------------------------------------------


def lanes(scope: Scope) -> dict[ServerId, str]:
    """The lanes of a diagram, from left to right: the first client, the acceptors, the others."""
    first, *others = range(scope.acceptors, scope.acceptors + scope.clients)
    order = (first, *range(scope.acceptors), *others)
    return {ServerId(process): name(scope, process) for process in order}


def name(scope: Scope, process: int) -> str:
    """What a diagram calls it: A2 is an acceptor, P1 a proposer, R1 a reader, I1 an inquirer."""
    kinds = scope.acceptors, scope.proposers, scope.readers, scope.inquirers
    for letter, count in zip("APRI", kinds, strict=True):
        if process < count:
            return f"{letter}{process + 1}"
        process -= count
    raise ValueError(f"there is no such process in {scope}")


def history(example: Counterexample) -> History:
    """The run as the rows of a space-time diagram, with what comes true on the way."""
    shown: History = []
    for step in example.run:
        shown.extend(_shown(example.scope, step.act))
        news = example.system.chosen(step.after) - example.system.chosen(step.before)
        shown.extend(
            Moment(ServerId(step.act.process), f"{value} is chosen") for value in sorted(news)
        )
    return shown


def _shown(scope: Scope, act: Act) -> Iterator[Delivery[Message[str]] | Moment]:
    me = ServerId(act.process)
    if isinstance(act.event, From):
        sender = ServerId(_sender(scope, act.event))
        yield Delivery(0.0, sender, me, act.event.message)
    elif act.event is not None:
        yield Moment(me, _own(scope, act.process, act.event))
    if act.crash is not Crash.NONE:
        yield Moment(me, f"{name(scope, act.process)} {act.crash.value}, and starts again")


def _sender(scope: Scope, arrived: From[Message[str]]) -> int:
    place = sorted(scope.quorum.members).index(arrived.sender)
    is_client = isinstance(arrived.message, Prepare | Accept | Query | Chosen)
    return place + scope.acceptors if is_client else place


def _own(scope: Scope, process: int, event: Event) -> str:
    who = name(scope, process)
    if isinstance(event, Propose):
        return f"{who} proposes {event.value}"
    if isinstance(event, Read):
        return f"{who} reads"
    return f"{who} inquires" if isinstance(event, Inquire) else f"{who}'s timer fires"


def words(scope: Scope, act: Act) -> str:
    """One act in a line."""
    parts: list[str] = []
    for item in _shown(scope, act):
        if isinstance(item, Moment):
            parts.append(item.label)
        else:
            who, to = name(scope, item.sender), name(scope, item.receiver)
            parts.append(f"{to} receives {describe(item.message)} from {who}")
    return ", ".join(parts)
