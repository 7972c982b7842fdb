"""State machines with one mistake each. They are at the top of a module: other processes run them.

Each counts, or collects words; the mistake is in the name.
"""

from __future__ import annotations

import random
import time
from typing import Final

from attrs import field, frozen

from paxos_adapters.codecs import INTEGER, JSON, TEXT, Json, JsonValue
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec

Words = tuple[str, ...]
WORDS: Final = ValueCodec[Words](Words)


def changes_its_state(state: list[int], number: int) -> tuple[list[int], int]:
    state.append(number)
    return state, len(state)


def changes_its_command(total: int, numbers: list[int]) -> tuple[int, int]:
    numbers.sort()
    return total + sum(numbers), 0


def changes_a_part(state: dict[str, list[int]], number: int) -> tuple[dict[str, list[int]], int]:
    """The dict is a new one; the list within is not."""
    after = {**state}
    after.setdefault("numbers", []).append(number)
    return after, len(after["numbers"])


def draws(total: int, number: int) -> tuple[int, int]:
    return total + number, random.randrange(1_000_000)


def draws_seldom(total: int, number: int) -> tuple[int, int]:
    return total + number, int(random.random() < 0.002)


def looks_at_the_clock(state: float, number: int) -> tuple[float, int]:  # noqa: ARG001
    return time.monotonic_ns() / 1, number


calls = 0


def counts_its_calls(total: int, number: int) -> tuple[int, int]:
    global calls
    calls += 1
    return total + number, calls


highest = 0


def keeps_a_maximum(total: int, number: int) -> tuple[int, int]:
    """The second call finds what the first has left, which is the same."""
    global highest
    highest = max(highest, number)
    return total + number, highest


answer: list[int] = []


def returns_the_same_list(total: int, number: int) -> tuple[int, list[int]]:
    answer[:] = [number]
    return total + number, answer


def goes_through_a_set(words: Words, text: str) -> tuple[Words, str]:
    """Each process has an order of its own, and keeps it."""
    return words, ",".join(set(text.split()))


def divides(total: int, number: int) -> tuple[int, int]:
    return total + 100 // (number - 3), 0


def forgets_the_result(total: int, number: int) -> tuple[int, int]:
    return total + number  # type: ignore[return-value]


def pops_the_first(state: JsonValue, key: str) -> tuple[JsonValue, JsonValue]:
    """The order of a dict is not compared, and JSON sorts it."""
    assert isinstance(state, dict)
    after = {**state, key: key}
    if len(after) < 3:
        return after, None
    first = next(iter(after))
    return {it: after[it] for it in after if it != first}, first


class Rounded:
    """Loses what is behind the point."""

    def encode(self, value: float) -> bytes:
        return str(int(value)).encode()

    def decode(self, encoded: bytes) -> float:
        return float(encoded)


def halves(total: float, number: int) -> tuple[float, int]:
    return total + number / 2, number


@frozen
class Counted:
    """``hidden`` is not compared, and the codec does not carry it."""

    total: int
    hidden: int = field(default=0, eq=False)


class Total:
    """Carries the total alone."""

    def encode(self, value: Counted) -> bytes:
        return INTEGER.encode(value.total)

    def decode(self, encoded: bytes) -> Counted:
        return Counted(INTEGER.decode(encoded))


def answers_with_what_is_hidden(state: Counted, number: int) -> tuple[Counted, int]:
    return Counted(state.total + number, state.hidden + 1), state.hidden


class Silent:
    """Has no ``__eq__``."""


def has_no_equality(state: Silent, number: int) -> tuple[Silent, int]:
    return state, number


class Refuses(Json):
    """Cannot carry 7."""

    def encode(self, value: JsonValue) -> bytes:
        if value == 7:
            raise ValueError("7 cannot be carried")
        return super().encode(value)


def adds(total: int, number: int) -> tuple[int, int]:
    return total + number, number


CHANGES_ITS_STATE: Final = StateMachine[list[int], int, int]([], changes_its_state)
CHANGES_ITS_COMMAND: Final = StateMachine(0, changes_its_command)
CHANGES_A_PART: Final = StateMachine[dict[str, list[int]], int, int]({}, changes_a_part)
DRAWS: Final = StateMachine(0, draws, INTEGER, INTEGER, INTEGER)
DRAWS_SELDOM: Final = StateMachine(0, draws_seldom)
LOOKS_AT_THE_CLOCK: Final = StateMachine(0.0, looks_at_the_clock)
COUNTS_ITS_CALLS: Final = StateMachine(0, counts_its_calls)
KEEPS_A_MAXIMUM: Final = StateMachine(0, keeps_a_maximum)
RETURNS_THE_SAME_LIST: Final = StateMachine(0, returns_the_same_list)
GOES_THROUGH_A_SET: Final = StateMachine((), goes_through_a_set, TEXT, WORDS, TEXT)
DIVIDES: Final = StateMachine(0, divides)
FORGETS_THE_RESULT: Final = StateMachine(0, forgets_the_result)
POPS_THE_FIRST: Final = StateMachine[JsonValue, str, JsonValue](
    {}, pops_the_first, TEXT, JSON, JSON
)
HALVES: Final = StateMachine(0.0, halves, INTEGER, Rounded(), INTEGER)
HAS_NO_RESULTS: Final = StateMachine[int, int, int](0, adds, INTEGER, INTEGER)
HIDES: Final = StateMachine(Counted(0), answers_with_what_is_hidden, INTEGER, Total(), INTEGER)
HAS_NO_EQUALITY: Final = StateMachine(Silent(), has_no_equality)
REFUSES: Final = StateMachine[int, int, JsonValue](0, adds, INTEGER, INTEGER, Refuses())


class UnsortedWords:
    """Writes a set in the order in which the process has it."""

    def encode(self, value: frozenset[str]) -> bytes:
        return ",".join(value).encode()

    def decode(self, encoded: bytes) -> frozenset[str]:
        return frozenset(filter(None, encoded.decode().split(",")))


class UnsortedCounts:
    """Writes a dict in the order in which its keys came, and reads it backwards."""

    def encode(self, value: dict[str, int]) -> bytes:
        return ",".join(f"{word} {count}" for word, count in value.items()).encode()

    def decode(self, encoded: bytes) -> dict[str, int]:
        pairs = [it.split(" ") for it in encoded.decode().split(",") if it]
        return {word: int(count) for word, count in reversed(pairs)}


def collects(words: frozenset[str], word: str) -> tuple[frozenset[str], int]:
    return words | {word}, len(words)


def counts(before: dict[str, int], word: str) -> tuple[dict[str, int], int]:
    return before | {word: before.get(word, 0) + 1}, len(before)


WRITES_A_SET = StateMachine[frozenset[str], str, int](
    frozenset(), collects, commands=TEXT, states=UnsortedWords(), results=INTEGER
)
WRITES_A_DICT = StateMachine[dict[str, int], str, int](
    {}, counts, commands=TEXT, states=UnsortedCounts(), results=INTEGER
)
