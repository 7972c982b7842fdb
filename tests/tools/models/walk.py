"""Every state that a model can reach, breadth first, up to the first that is wrong.

- A model is a start, its steps, and what is wrong in a state; "" means nothing.
- Breadth first, so the run to a wrong state is a shortest one.
- The walk fails if it meets more states than ``MOST_STATES``: a scope is seen whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)

MOST_STATES = 3_000_000


class TooManyStatesError(Exception):
    """A scope is too large to be seen whole."""


class Walk(NamedTuple):
    """What a walk found: ``wrong`` is "" if all states were seen and nothing was wrong."""

    states: int
    depth: int
    wrong: str
    run: tuple[str, ...]


def walk(
    start: S, steps: Callable[[S], Iterable[tuple[str, S]]], wrong: Callable[[S], str]
) -> Walk:
    """Walk all states. Raises TooManyStatesError."""
    origin: dict[S, S | None] = {start: None}
    level, depth = [start], 0
    while level:
        following: list[S] = []
        for state in level:
            for _, after in steps(state):
                if after in origin:
                    continue
                origin[after] = state
                if found := wrong(after):
                    return Walk(len(origin), depth + 1, found, _run(after, origin, steps))
                following.append(after)
        if len(origin) > MOST_STATES:
            raise TooManyStatesError(f"more than {MOST_STATES:,} states, at depth {depth}")
        depth += bool(following)
        level = following
    return Walk(len(origin), depth, "", ())


def _run(
    end: S, origin: dict[S, S | None], steps: Callable[[S], Iterable[tuple[str, S]]]
) -> tuple[str, ...]:
    names: list[str] = []
    state = end
    while (before := origin[state]) is not None:
        names.append(next(name for name, after in steps(before) if after == state))
        state = before
    return tuple(reversed(names))
