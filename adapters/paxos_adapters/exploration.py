"""All runs: every state that a machine can reach, breadth first.

- A machine says where it starts and what can happen next. Nothing else is asked of it.
- A state seen before is not walked again, so states are hashable values.
- Breadth first: the run to a broken rule is a shortest one.
- ``always`` must hold in every state. ``sometimes`` must hold in at least one, so that a rule is
  not kept only because nothing ever happened.
- Bounded: after ``max_states`` the walk stops and says so. What it found until then stands.

Source: explicit-state model checking as in TLC (Yu, Manolios, Lamport, 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from attrs import frozen

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
S = TypeVar("S", bound=Hashable)

DEFAULT_MAX_STATES = 1_000_000


class Machine(Protocol[S, A_co]):
    """A system of any kind, for example servers and the messages between them."""

    def start(self) -> Iterable[S]:
        """The states in which it can begin."""
        ...

    def steps(self, state: S) -> Iterable[tuple[A_co, S]]:
        """What can happen in ``state``: the name of each step, and the state that it leads to."""
        ...


@frozen
class Violation(Generic[S, A]):
    """A shortest run that breaks ``rule``: where it starts, then each step and where it led."""

    rule: str
    start: S
    run: tuple[tuple[A, S], ...]

    @property
    def end(self) -> S:
        """The state that breaks the rule."""
        return self.run[-1][1] if self.run else self.start


@frozen
class Exploration(Generic[S, A]):
    """What a walk found.

    ``transitions`` counts every step from every state, also those that lead nowhere new;
    ``depth`` is the number of states on the longest of the shortest runs. ``exhausted``: there is
    no state left to see. ``never`` names the ``sometimes`` rules that held nowhere.
    """

    states: int
    transitions: int
    depth: int
    exhausted: bool
    violation: Violation[S, A] | None
    never: frozenset[str]


def explore(
    machine: Machine[S, A],
    *,
    always: Mapping[str, Callable[[S], bool]] | None = None,
    sometimes: Mapping[str, Callable[[S], bool]] | None = None,
    max_states: int = DEFAULT_MAX_STATES,
) -> Exploration[S, A]:
    """Walk every state that ``machine`` can reach, and stop at the first that breaks a rule."""
    rules = dict(always or {})
    never = dict(sometimes or {})
    origin: dict[S, tuple[A, S] | None] = {}
    transitions = depth = 0

    def found(violation: Violation[S, A] | None, *, exhausted: bool) -> Exploration[S, A]:
        return Exploration(len(origin), transitions, depth, exhausted, violation, frozenset(never))

    def broken(state: S) -> Violation[S, A] | None:
        for name in [name for name, holds in never.items() if holds(state)]:
            del never[name]
        for name, holds in rules.items():
            if not holds(state):
                return _violation(name, state, origin)
        return None

    level: list[S] = []
    for state in machine.start():
        if state not in origin:
            origin[state] = None
            level.append(state)
            if violation := broken(state):
                return found(violation, exhausted=False)
    while level:
        depth += 1
        following: list[S] = []
        for state in level:
            for action, after in machine.steps(state):
                transitions += 1
                if after in origin:
                    continue
                if len(origin) == max_states:
                    return found(None, exhausted=False)
                origin[after] = action, state
                following.append(after)
                if violation := broken(after):
                    return found(violation, exhausted=False)
        level = following
    return found(None, exhausted=True)


def _violation(rule: str, end: S, origin: Mapping[S, tuple[A, S] | None]) -> Violation[S, A]:
    run: list[tuple[A, S]] = []
    state = end
    while (step := origin[state]) is not None:
        action, before = step
        run.append((action, state))
        state = before
    return Violation(rule, state, tuple(reversed(run)))
