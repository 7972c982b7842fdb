"""All runs: every state that a system can reach, breadth first.

- A system says where it starts and what can happen next. Nothing else is asked of it.
- A state seen before is not expanded again, so states are hashable values.
- Breadth first: the run to a broken rule is a shortest one.
- ``always`` must hold in every state. ``sometimes`` must hold in at least one, so that a rule is
  not kept only because nothing ever happened. What is ``possible`` must be within reach from every
  state, whatever happened before.
- Bounded: after ``max_states``, or when ``on_progress`` says so, the search stops and says so.
  What it found until then stands.

Source: explicit-state model checking as in TLC (Yu, Manolios, Lamport, 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from attrs import define, evolve, field, frozen

from paxos_adapters import arguments

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
S = TypeVar("S", bound=Hashable)

DEFAULT_MAX_STATES = 1_000_000
PROGRESS_STATES = 1_000
"""After how many states the search reports its progress."""


class System(Protocol[S, A_co]):
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
    """What a search found.

    ``transitions`` counts every step from every state, also those that lead nowhere new. ``depth``
    is the number of states on the longest of the shortest runs. ``exhausted``: there is no state
    left to see. ``never`` names the ``sometimes`` rules that held nowhere.
    """

    states: int
    transitions: int
    depth: int
    exhausted: bool
    violation: Violation[S, A] | None
    never: frozenset[str]


@frozen
class Progress:
    """How far a search is: ``waiting`` is the number of states seen and not yet expanded."""

    states: int
    transitions: int
    depth: int
    waiting: int


def explore(
    system: System[S, A],
    *,
    always: Mapping[str, Callable[[S], bool]] | None = None,
    sometimes: Mapping[str, Callable[[S], bool]] | None = None,
    possible: Mapping[str, Callable[[S], bool]] | None = None,
    max_states: int = DEFAULT_MAX_STATES,
    on_progress: Callable[[Progress], bool] | None = None,
) -> Exploration[S, A]:
    """Search every state that ``system`` can reach, and stop at the first that breaks a rule.

    What is ``possible`` is judged after a search that saw everything, and costs the memory for all
    transitions. ``on_progress`` is called from time to time, and says whether to go on.
    Raises BadNumber.
    """
    arguments.whole("max_states", max_states, 1)
    back = dict[S, list[S]]() if possible else None
    search = _Search(
        system, dict(always or {}), dict(sometimes or {}), max_states, on_progress, back
    )
    found = search.run()
    if not found.exhausted or back is None:
        return found
    for name, holds in (possible or {}).items():
        if (lost := _out_of_reach(holds, search.origin, back)) is not None:
            return evolve(found, violation=_violation(system, name, lost, search.origin))
    return found


@define
class _Search(Generic[S, A]):
    """A search in progress. ``origin`` says from where each state was reached first.

    ``back`` says from where each was reached at all, if anybody wants to know.
    """

    system: System[S, A]
    always: Mapping[str, Callable[[S], bool]]
    never: dict[str, Callable[[S], bool]]
    max_states: int
    on_progress: Callable[[Progress], bool] | None
    back: dict[S, list[S]] | None
    origin: dict[S, S | None] = field(factory=dict[S, S | None])
    transitions: int = 0
    depth: int = 0
    is_cut_short: bool = False
    violation: Violation[S, A] | None = None

    def run(self) -> Exploration[S, A]:
        """Search level by level until there is no new state, or a reason to stop."""
        level = self._start()
        while level and not self._is_over:
            self.depth += 1
            level = self._expand(level)
        return Exploration(
            len(self.origin),
            self.transitions,
            self.depth,
            not self._is_over,
            self.violation,
            frozenset(self.never),
        )

    @property
    def _is_over(self) -> bool:
        return self.is_cut_short or self.violation is not None

    def _start(self) -> list[S]:
        level: list[S] = []
        for state in self.system.start():
            if state not in self.origin:
                self.origin[state] = None
                level.append(state)
                if self._breaks(state):
                    break
        return level

    def _expand(self, level: list[S]) -> list[S]:
        """The new states that follow ``level``; some of them, if that ends the search."""
        system, origin, back, on_progress = self.system, self.origin, self.back, self.on_progress
        following: list[S] = []
        for place, state in enumerate(level):
            for _, after in system.steps(state):
                self.transitions += 1
                if back is not None:
                    back.setdefault(after, []).append(state)
                if after in origin:
                    continue
                if len(origin) == self.max_states:
                    self.is_cut_short = True
                    return following
                origin[after] = state
                following.append(after)
                if self._breaks(after):
                    return following
            if on_progress is not None and place % PROGRESS_STATES == 0:
                waiting = len(level) - place + len(following)
                progress = Progress(len(origin), self.transitions, self.depth, waiting)
                if not on_progress(progress):
                    self.is_cut_short = True
                    return following
        return following

    def _breaks(self, state: S) -> bool:
        """Whether ``state`` breaks a rule. What it shows to happen is not ``never``."""
        for name in [name for name, holds in self.never.items() if holds(state)]:
            del self.never[name]
        for name, holds in self.always.items():
            if not holds(state):
                self.violation = _violation(self.system, name, state, self.origin)
                return True
        return False


def _violation(
    system: System[S, A], rule: str, end: S, origin: Mapping[S, S | None]
) -> Violation[S, A]:
    run: list[tuple[A, S]] = []
    state = end
    while (before := origin[state]) is not None:
        action = next(action for action, after in system.steps(before) if after == state)
        run.append((action, state))
        state = before
    return Violation(rule, state, tuple(reversed(run)))


def _out_of_reach(
    holds: Callable[[S], bool], origin: Mapping[S, S | None], back: Mapping[S, list[S]]
) -> S | None:
    """The first state seen from which no state is reached where it holds."""
    frontier = [state for state in origin if holds(state)]
    near = set(frontier)
    for state in frontier:
        for before in back.get(state, ()):
            if before not in near:
                near.add(before)
                frontier.append(before)
    return next((state for state in origin if state not in near), None)
