"""The walk over all runs of a system, on machines small enough to count by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from attrs import frozen

from paxos_lab.explore.search import explore


@frozen
class Counters:
    """``size`` counters from 0 to ``top``; each step adds one to one of them."""

    size: int
    top: int

    def start(self) -> Iterator[tuple[int, ...]]:
        yield (0,) * self.size

    def steps(self, state: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
        for index, count in enumerate(state):
            if count < self.top:
                yield index, (*state[:index], count + 1, *state[index + 1 :])


@pytest.mark.parametrize(("size", "top"), [(1, 1), (1, 5), (2, 3), (3, 2), (4, 1)])
def test_every_state_is_seen_once(size: int, top: int) -> None:
    """(top + 1)^size states; each has a step for every counter below the top."""
    found = explore(Counters(size, top))

    assert found.states == (top + 1) ** size
    assert found.transitions == size * top * (top + 1) ** (size - 1)
    assert found.depth == size * top + 1
    assert found.exhausted
    assert found.violation is None


def test_a_broken_rule_ends_the_walk_with_a_shortest_run_to_it() -> None:
    found = explore(Counters(2, 9), always={"below four": lambda state: sum(state) < 4})

    assert found.violation is not None
    assert found.violation.rule == "below four"
    assert found.violation.start == (0, 0)
    assert len(found.violation.run) == 4
    assert sum(found.violation.end) == 4
    assert not found.exhausted


def test_the_run_leads_from_the_start_to_the_end_step_by_step() -> None:
    system = Counters(3, 2)
    found = explore(system, always={"not that": lambda state: state != (2, 0, 1)})

    assert found.violation is not None
    here = found.violation.start
    for action, after in found.violation.run:
        assert (action, after) in system.steps(here)
        here = after
    assert here == found.violation.end == (2, 0, 1)


def test_a_rule_that_is_broken_at_the_start_needs_no_step() -> None:
    found = explore(Counters(1, 1), always={"never zero": lambda state: state != (0,)})

    assert found.violation is not None
    assert (found.violation.run, found.violation.end) == ((), (0,))


def test_rules_that_hold_nowhere_are_named() -> None:
    found = explore(
        Counters(2, 2),
        sometimes={"all full": lambda state: min(state) == 2, "over": lambda state: max(state) > 2},
    )

    assert found.never == {"over"}


def test_a_bound_ends_the_walk_and_says_so() -> None:
    system = Counters(2, 9)

    assert explore(system, max_states=100).exhausted
    found = explore(system, max_states=99)
    assert (found.states, found.exhausted, found.violation) == (99, False, None)


def test_a_start_that_is_named_twice_counts_once() -> None:
    @frozen
    class Twice(Counters):
        def start(self) -> Iterator[tuple[int, ...]]:
            yield (0,)
            yield (0,)
            yield (1,)

    assert explore(Twice(1, 1)).states == 2


def test_a_deep_run_needs_no_deep_stack() -> None:
    depth = 3 * sys.getrecursionlimit()
    found = explore(Counters(1, depth), always={"short": lambda state: state != (depth,)})

    assert found.violation is not None
    assert len(found.violation.run) == depth
