"""Is a history linearizable? It knows nothing of Paxos, and takes histories of anything.

    violation = check(history, apply, start)
    assert violation is None, violation

- A history is linearizable if each operation can be placed at a moment between its call and its
  return. One copy of the object that runs them in this order must return the same.
- The object is what a StateMachine is: a first state, and a pure ``apply(state, input) -> (state,
  output)``. States are hashable.
- Objects under different keys are independent, so each key is checked by itself.
- The search places one operation after the other, and steps back where none fits. It never comes
  twice to the same operations placed and the same state, however they were ordered.
- An operation with an unknown outcome is placed only where no other leads on. Of two with the same
  input the earlier is placed first. Where fewer of them lead to the same, more are not tried.

Sources: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), the search; Lowe,
"Testing for linearizability" (2017), the cache; Horn and Kroening, "Faster linearizability checking
via P-compositionality" (2015), the keys.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos_testing.history import I, O, Operation, draw

S = TypeVar("S", bound=Hashable)

Apply: TypeAlias = Callable[[S, I], tuple[S, O]]
"""What the object does: the next state, and the output."""

DRAWN = 12
"""How many operations a violation draws."""


@frozen
class Violation(Generic[I, O]):
    """``prefix`` is the shortest beginning of the history of one key that is not linearizable.

    It ends when ``operation`` returns. What returned later has an unknown outcome in it, and what
    was called later is left out. ``possible`` are the outputs that would have been linearizable.
    """

    prefix: tuple[Operation[I, O], ...]
    operation: Operation[I, O]
    possible: tuple[O, ...]

    def __str__(self) -> str:
        """The explanation, and the last operations as a picture."""
        it = self.operation
        drawn = sorted(self.prefix, key=lambda it: it.called)[-DRAWN:]
        if it not in drawn:
            drawn = [it, *drawn[1:]]
        possible = " or ".join(map(repr, self.possible)) or "nothing"
        return (
            f"the history of {it.key!r} is not linearizable: process {it.process} called "
            f"{it.input!r} at {it.called}, and got {it.output!r} at {it.returned}. "
            f"Linearizable would have been {possible}.\n"
            f"The last {len(drawn)} of {len(self.prefix)} operations until then:\n"
            + draw(drawn, marked=it)
        )


def check(
    history: Iterable[Operation[I, O]], apply: Apply[S, I, O], start: S
) -> Violation[I, O] | None:
    """What shows that ``history`` is not linearizable; None if it is.

    With several keys ``start`` is the state of each. The time it takes can grow exponentially with
    the operations of one key that are concurrent, those with unknown outcomes included.
    """
    by_key: dict[Hashable, list[Operation[I, O]]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    violations = (_violation(part, apply, start) for part in by_key.values())
    return next((it for it in violations if it is not None), None)


def _violation(
    history: Sequence[Operation[I, O]], apply: Apply[S, I, O], start: S
) -> Violation[I, O] | None:
    if Search(history, apply, start).succeeds():
        return None
    returned = sorted(_with_outcome(history), key=lambda it: it[1])

    def fails(count: int) -> bool:
        return not Search(_prefix(history, returned, count), apply, start).succeeds()

    count = bisect_left(range(len(returned)), True, lo=1, key=fails)
    prefix, operation = _prefix(history, returned, count), returned[count - 1][0]
    search = Search(prefix, apply, start)
    search.succeeds()
    rest = [it for it in prefix if it is not operation]
    possible = (
        output
        for output in search.refused(operation)
        if Search([*rest, evolve(operation, output=output)], apply, start).succeeds()
    )
    return Violation(tuple(prefix), operation, tuple(possible))


def _with_outcome(
    history: Iterable[Operation[I, O]],
) -> Iterator[tuple[Operation[I, O], int]]:
    """The operations that returned, and when."""
    return ((it, it.returned) for it in history if it.returned is not None)


def _prefix(
    history: Iterable[Operation[I, O]], returned: list[tuple[Operation[I, O], int]], count: int
) -> list[Operation[I, O]]:
    """The history until ``count`` operations have returned."""
    kept = [it for it, _ in returned[:count]]
    end = returned[count - 1][1]
    later = [it for it, _ in returned[count:]] + [it for it in history if it.returned is None]
    open_ = [evolve(it, returned=None, output=None) for it in later if it.called <= end]
    return kept + open_


class Placed(NamedTuple, Generic[S]):
    """Which operations are placed, and the state that they lead to.

    Of those that returned, in the order of their calls: all before ``first``, and ``first + n`` for
    each bit n of ``more``. Of those with unknown outcomes: the bits of ``unknown``.
    """

    first: int
    more: int
    unknown: int
    state: S


class Search(Generic[S, I, O]):
    """A search for an order of the operations of one object."""

    def __init__(self, history: Sequence[Operation[I, O]], apply: Apply[S, I, O], start: S) -> None:
        ordered = sorted(_with_outcome(history), key=lambda it: it[0].called)
        self._known = [it for it, _ in ordered]
        self._called = [it.called for it in self._known]
        self._returned = [returned for _, returned in ordered]
        open_ = (it for it in history if it.returned is None)
        self._unknown = sorted(open_, key=lambda it: it.called)
        self._twins = _twins([it.input for it in self._unknown])
        self._apply = apply
        self._start = start
        self._seen: dict[tuple[int, int, S], list[int]] = {}
        self._refused: dict[int, list[O]] = {}

    def succeeds(self) -> bool:
        """Whether there is an order in which all operations that returned can be placed."""
        branches: list[Iterator[Placed[S]]] = [iter([Placed(0, 0, 0, self._start)])]
        while branches:
            placed = next(branches[-1], None)
            if placed is None:
                branches.pop()
            elif placed.first == len(self._known):
                return True
            elif self._is_new(placed):
                branches.append(self._next(placed))
        return False

    def refused(self, operation: Operation[I, O]) -> list[O]:
        """What the object would have returned in place of the output, wherever it was tried."""
        return self._refused.get(self._known.index(operation), [])

    def _is_new(self, placed: Placed[S]) -> bool:
        """Not if it was reached before, or the same with fewer of the unknown outcomes."""
        seen = self._seen.setdefault((placed.first, placed.more, placed.state), [])
        if any(unknown & placed.unknown == unknown for unknown in seen):
            return False
        seen.append(placed.unknown)
        return True

    def _next(self, placed: Placed[S]) -> Iterator[Placed[S]]:
        """What one more operation that returned can lead to, after none with unknown outcomes.

        Then after one of them, after two, and so on, as long as they lead to anything new.
        """
        indexes, end = self._candidates(placed.first, placed.more)
        reached = [placed]
        while reached:
            for each in reached:
                yield from self._place_known(each, indexes)
            more = (it for each in reached for it in self._place_unknown(each, end))
            reached = [it for it in more if self._is_new(it)]

    def _place_known(self, placed: Placed[S], indexes: list[int]) -> Iterator[Placed[S]]:
        first, more, unknown, state = placed
        for index in indexes:
            operation = self._known[index]
            after, output = self._apply(state, operation.input)
            if output == operation.output:
                yield Placed(*_advanced(first, more | 1 << index - first), unknown, after)
            elif output not in (refused := self._refused.setdefault(index, [])):
                refused.append(output)

    def _place_unknown(self, placed: Placed[S], end: int) -> Iterator[Placed[S]]:
        first, more, unknown, state = placed
        for twins, mask in self._twins:
            count = (unknown & mask).bit_count()
            if count < len(twins) and self._unknown[twins[count]].called <= end:
                after, _ = self._apply(state, self._unknown[twins[count]].input)
                yield Placed(first, more, unknown | 1 << twins[count], after)

    def _candidates(self, first: int, more: int) -> tuple[list[int], int]:
        """What was called before any that is not placed returned, and when that was."""
        found: list[int] = []
        end = self._returned[first]
        for index in range(first, len(self._known)):
            if self._called[index] > end:
                break
            if not more >> index - first & 1:
                found.append(index)
                end = min(end, self._returned[index])
        return found, end


def _advanced(first: int, more: int) -> tuple[int, int]:
    """The same, with all that is placed without a gap before ``first``."""
    while more & 1:
        first, more = first + 1, more >> 1
    return first, more


def _twins(inputs: list[I]) -> list[tuple[list[int], int]]:
    """The indexes of equal inputs, in their order, and a bit for each of them."""
    groups: list[list[int]] = []
    for index, each in enumerate(inputs):
        group = next((it for it in groups if inputs[it[0]] == each), None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    return [(group, sum(1 << index for index in group)) for group in groups]
