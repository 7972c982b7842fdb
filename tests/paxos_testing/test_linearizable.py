"""The checker of histories: against one that tries every order, and on faults that were planted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import permutations, product
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

import pytest
from attrs import define, evolve, field

from paxos_adapters.arguments import BadNumber
from paxos_testing.history import I, O, Operation, draw
from paxos_testing.linearizable import check
from tests.support import histories
from tests.support.histories import Registers

S = TypeVar("S")

Input: TypeAlias = int | None
"""A write of a number to a register; None: a read."""

Register: TypeAlias = Operation[Input, int]

START = 0


def apply(state: int, given: Input) -> tuple[int, int]:
    """A register: a write and a read return what it has afterwards."""
    state = state if given is None else given
    return state, state


def read(called: int, returned: int | None, output: int = 0) -> Register:
    return Operation("r", "x", called, returned, None, output)


def write(called: int, returned: int | None, value: int) -> Register:
    return Operation("w", "x", called, returned, value, value)


def is_linearizable(history: Sequence[Register]) -> bool:
    return check(history, apply, START) is None


# --- every small history --------------------------------------------------------------------------

KINDS: list[tuple[Input, int | None]] = [(0, 0), (1, 1), (None, 0), (None, 1), (0, None), (1, None)]
"""Input and output of an operation on a register of two values; None: an unknown outcome.

A read with an unknown outcome is a write of neither: it is left out, and tested by itself.
"""


def brute_force(
    history: Sequence[Operation[I, O]], apply: Callable[[S, I], tuple[S, O]], start: S
) -> bool:
    """The definition: some of what has unknown outcomes, in any order that time allows."""
    known = [it for it in history if it.returned is not None]
    unknown = [it for it in history if it.returned is None]
    for chosen in product([False, True], repeat=len(unknown)):
        happened = [it for it, is_chosen in zip(unknown, chosen, strict=True) if is_chosen]
        if any(fits(order, apply, start) for order in permutations([*known, *happened])):
            return True
    return False


def fits(order: Sequence[Operation[I, O]], apply: Callable[[S, I], tuple[S, O]], state: S) -> bool:
    for index, operation in enumerate(order):
        for later in order[index + 1 :]:
            if later.returned is not None and later.returned < operation.called:
                return False
        state, output = apply(state, operation.input)
        if operation.returned is not None and output != operation.output:
            return False
    return True


def shapes(returns: Sequence[bool]) -> Iterator[tuple[list[int], list[int]]]:
    """All orders of the calls, which come in their own order, and of the returns that there are."""

    def extend(
        called: list[int], returned: list[int], time: int
    ) -> Iterator[tuple[list[int], list[int]]]:
        begun = len(called)
        running = [it for it in range(begun) if returns[it] and not returned[it]]
        if begun == len(returns) and not running:
            yield called, returned
        if begun < len(returns):
            yield from extend([*called, time], [*returned, 0], time + 1)
        for index in running:
            ended = [*returned[:index], time, *returned[index + 1 :]]
            yield from extend(called, ended, time + 1)

    return extend([], [], 1)


def every_history(count: int) -> Iterator[list[Register]]:
    """All histories of ``count`` operations on a register with two values."""
    for kinds in product(KINDS, repeat=count):
        for called, returned in shapes([output is not None for _, output in kinds]):
            yield [
                Operation(index, "x", called[index], returned[index] or None, given, output)
                for index, (given, output) in enumerate(kinds)
            ]


def compare(count: int) -> tuple[int, int]:
    """How many histories there are, and how many of them are linearizable, by both checkers."""
    found = [0, 0]
    for history in every_history(count):
        expected = brute_force(history, apply, START)
        assert is_linearizable(history) == expected, draw(history)
        found[expected] += 1
    return sum(found), found[True]


def test_every_history_of_up_to_three_operations() -> None:
    assert [compare(count) for count in (1, 2, 3)] == [(6, 5), (76, 55), (1544, 1040)]


@pytest.mark.slow
def test_every_history_of_four_operations() -> None:
    assert compare(4) == (43_536, 28_618)


@pytest.mark.parametrize("seed", range(200))
def test_random_histories_of_six_operations(seed: int) -> None:
    """Half of them right, half with an output that was changed; three clients, three values."""
    random = Random(seed)
    plan = histories.Plan(6, clients=3, keys=1, unknown=0.3, values=3)
    history = histories.Registers(plan, random).run()
    if seed % 2:
        index = random.randrange(len(history))
        history[index] = evolve(history[index], output=random.choice([0, 1, 2, True, False]))

    found = check(history, histories.apply, None)

    assert (found is None) == brute_force(history, histories.apply, None), draw(history)
    assert found is None or seed % 2


# --- planted faults -------------------------------------------------------------------------------


@define
class Stale(Registers):
    """One read in ten returns what the register had before its last change."""

    before: dict[Hashable, int | None] = field(factory=dict[Hashable, int | None])

    def step(self, operation: histories.Register) -> histories.Output:
        state = self.states.get(operation.key)
        output = super().step(operation)
        if self.states[operation.key] != state:
            self.before[operation.key] = state
        is_read = type(operation.input) is histories.Read
        return self.before.get(operation.key) if is_read and self.random.random() < 0.1 else output


@define
class Losing(Registers):
    """One write in ten is acknowledged and forgotten."""

    def step(self, operation: histories.Register) -> histories.Output:
        state = self.states.get(operation.key)
        output = super().step(operation)
        if self.random.random() < 0.1:
            self.states[operation.key] = state
        return output


@define
class Doubling(Registers):
    """One operation in ten runs once more, right before the next one on its key."""

    again: dict[Hashable, histories.Register] = field(factory=dict[Hashable, histories.Register])

    def step(self, operation: histories.Register) -> histories.Output:
        earlier = self.again.get(operation.key)
        output = super().step(operation)
        if earlier is not None:
            super().step(earlier)
        self.again.pop(operation.key, None)
        if self.random.random() < 0.1:
            self.again[operation.key] = operation
        return output


PLAN = histories.Plan(10_000, values=1_000)


@pytest.mark.parametrize("seed", range(5))
def test_ten_thousand_operations_with_unknown_outcomes(seed: int) -> None:
    history = Registers(PLAN, Random(seed)).run()

    assert check(history, histories.apply, None) is None
    assert 300 < sum(it.returned is None for it in history) < 700


@pytest.mark.parametrize("fault", [Stale, Losing, Doubling])
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_fault_is_found(seed: int, fault: type[Registers]) -> None:
    assert check(fault(PLAN, Random(seed)).run(), histories.apply, None) is not None


def test_a_stale_read_is_explained() -> None:
    """With the shortest prefix: what comes after it, and other keys, are left out."""
    good: Register = Operation("z", "y", 1, 2, 7, 7)
    stale = read(5, 7, output=0)
    history = [write(1, 2, 1), write(3, 6, 2), read(4, 8, output=2), good, stale, write(8, 9, 3)]
    found = check(history, apply, START)

    assert found is not None
    assert (found.operation, found.possible) == (stale, (2, 1))
    assert (
        str(found)
        == """\
the history of 'x' is not linearizable: process r called None at 5, and got 0 at 7. \
Linearizable would have been 2 or 1.
The last 4 of 4 operations until then:
process w  1 -> 1           ├─┤
process w  2 -> 2               ├─────┤
process r  None -> unknown        ├──────╌
process r  None -> 0                ├───┤  <- cannot be placed"""
    )


def test_the_violation_in_the_documentation_is_what_is_printed() -> None:
    asked: list[tuple[int, int | None, Input, int]] = [(1, 4, 7, 7), (2, None, 8, 8)]
    asked += [(5, 6, None, 8), (7, 8, None, 0)]
    history: list[Register] = [
        Operation(process, "x", *each) for process, each in zip([1, 2, 3, 1], asked, strict=True)
    ]
    page = Path(__file__).parents[2] / "docs" / "testing.md"

    assert f"```text\n{check(history, apply, START)}\n```" in page.read_text(encoding="utf-8")


def test_a_lost_update_is_explained() -> None:
    """Both have seen nothing, and both say that theirs was written."""
    both = [
        histories.Register(name, "x", 1, 2 + place, histories.CompareAndSet(0, new), True)
        for place, (name, new) in enumerate([("a", 1), ("b", 2)])
    ]
    start: int | None = 0
    found = check(both, histories.apply, start)

    assert found is not None
    assert (found.operation, found.possible) == (both[1], (False,))


def test_a_command_that_was_run_twice_is_explained() -> None:
    def add(total: int, number: int) -> tuple[int, int]:
        return total + number, total + number

    history = [Operation("a", "x", 1, 4, 5, 5), Operation("b", "x", 5, 6, 1, 11)]
    found = check(history, add, 0)

    assert found is not None
    assert (found.operation, found.possible) == (history[1], (6,))


# --- unknown outcomes -----------------------------------------------------------------------------


def test_what_never_returned_may_happen_at_any_later_time_once_or_never() -> None:
    lost = write(1, None, 1)

    assert is_linearizable([lost])
    assert is_linearizable([lost, read(2, 3, 0)])
    assert is_linearizable([lost, read(2, 3, 0), write(4, 5, 2), read(6, 7, 2), read(8, 9, 1)])
    assert not is_linearizable([lost, read(2, 3, 1), write(4, 5, 2), read(6, 7, 1)])
    assert not is_linearizable([read(1, 2, 1), write(3, None, 1)]), "not before its call"


def test_the_output_of_what_never_returned_is_not_looked_at() -> None:
    assert is_linearizable([evolve(write(1, None, 1), output=5), read(2, 3, 1)])
    assert is_linearizable([read(1, None, output=5)])


def test_hundreds_of_unknown_outcomes_on_one_key() -> None:
    """Equal ones stand for each other, and those that are not needed are left out."""
    lost = [write(1 + number, None, number % 5) for number in range(500)]
    reads = [read(1_000 + 2 * it, 1_001 + 2 * it, it * 3 % 5) for it in range(200)]

    assert is_linearizable([*lost, *reads])
    assert not is_linearizable([*lost, *reads, read(2_000, 2_001, 7)])


# --- what comes in --------------------------------------------------------------------------------


def test_operations_at_the_same_time_are_concurrent() -> None:
    assert is_linearizable([write(1, 2, 1), read(2, 3, 0)])
    assert is_linearizable([write(1, 1, 1), read(1, 1, 0)])
    assert not is_linearizable([write(1, 2, 1), read(3, 3, 0)])
    assert is_linearizable([read(1, 2, 1), write(2, None, 1)])


def test_a_prefix_has_what_was_called_when_it_ends() -> None:
    stale = read(6, 7, 0)
    found = check([read(1, 2, 1), write(2, None, 1), stale], apply, START)

    assert found is not None
    assert found.operation is stale


def test_an_operation_cannot_return_before_it_was_called() -> None:
    with pytest.raises(BadNumber, match="returned is 1, and must be"):
        read(2, 1)


def test_an_empty_history_is_linearizable_and_draws_as_nothing() -> None:
    assert is_linearizable([])
    assert draw(list[Register]()) == ""
