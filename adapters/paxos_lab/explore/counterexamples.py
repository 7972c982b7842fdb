"""From a violation to a run that a person can follow: each event by itself, and none that could go.

- The search skips what it can. Here each of its moves is unfolded into the events that make it up.
- The events are taken again, one by one, by a system that skips nothing. What counts is what that
  system finds.
- Then each event that is not needed is left out. The run is 1-minimal: without any one of its
  events the rule holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import Accept, Chosen, From, Inquire, Message, Prepare, Propose, Query, Read
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


# --- in words -----------------------------------------------------------------------------------


def name(scope: Scope, process: int) -> str:
    """What a picture calls it: A2 is an acceptor, P1 a proposer, R1 a reader, I1 an inquirer."""
    kinds = scope.acceptors, scope.proposers, scope.readers, scope.inquirers
    for letter, count in zip("APRI", kinds, strict=True):
        if process < count:
            return f"{letter}{process + 1}"
        process -= count
    raise ValueError(f"there is no such process in {scope}")


def words(scope: Scope, act: Act) -> str:
    """One act in a line."""
    me, event = name(scope, act.process), act.event
    parts: list[str] = []
    if isinstance(event, From):
        sender = name(scope, _sender(scope, event))
        parts.append(f"{me} receives {describe(event.message)} from {sender}")
    elif event is not None:
        parts.append(_own(me, event))
    if act.crash is not Crash.NONE:
        parts.append(f"{me} {act.crash.value}, and starts again")
    return ", ".join(parts)


def _sender(scope: Scope, arrived: From[Message[str]]) -> int:
    place = sorted(scope.quorum.members).index(arrived.sender)
    is_client = isinstance(arrived.message, Prepare | Accept | Query | Chosen)
    return place + scope.acceptors if is_client else place


def _own(me: str, event: Event) -> str:
    if isinstance(event, Propose):
        return f"{me} proposes {event.value}"
    if isinstance(event, Read):
        return f"{me} reads"
    return f"{me} inquires" if isinstance(event, Inquire) else f"{me}'s timer fires"
