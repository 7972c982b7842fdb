"""A state machine for tortured logs: a total under each key, each key by itself.

- Every command is about one key, so that a history can be judged key by key.
- To add twice, to lose an addition and to read an old total all show in the totals.
- A key also has the numbers of the commands that were run for it, in their order.
"""

from __future__ import annotations

from typing import TypeAlias, final

from paxos.errors import assert_never
from paxos.values import frozen
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec


@final
@frozen
class Add:
    """Add ``amount`` to what ``key`` has, 0 at first; the result is the total."""

    key: str
    amount: int
    number: int = 0


@final
@frozen
class Swap:
    """Let ``key`` have ``total`` if it has ``expected``; the result is what it has then."""

    key: str
    expected: int
    total: int
    number: int = 0


@final
@frozen
class Get:
    """What ``key`` has: a read, not a command of the log."""

    key: str


Command: TypeAlias = Add | Swap
Input: TypeAlias = Command | Get


@final
@frozen
class Total:
    """What a key has, and the numbers of the commands that were run for it."""

    total: int = 0
    numbers: tuple[int, ...] = ()


Totals = PersistentMap[Total]


def apply_to_key(total: int, asked: Input) -> tuple[int, int]:
    """What one key has then, and the result."""
    if type(asked) is Add:
        return total + asked.amount, total + asked.amount
    if type(asked) is Swap:
        after = asked.total if total == asked.expected else total
        return after, after
    if type(asked) is Get:
        return total, total
    assert_never(asked)


def apply(totals: Totals, command: Command) -> tuple[Totals, int]:
    """Carry out ``command``."""
    before = of_key(totals, command.key)
    total, result = apply_to_key(before.total, command)
    return totals.put(command.key, Total(total, (*before.numbers, command.number))), result


def of_key(totals: Totals, key: str) -> Total:
    """What ``key`` has."""
    return totals.get(key) or Total()


COMMANDS = ValueCodec[Command](Command, __name__)
INPUTS = ValueCodec[Input](Input, __name__)
TORTURED = StateMachine(
    Totals(),
    apply,
    commands=COMMANDS,
    states=ValueCodec[Totals](Totals, __name__),
    results=ValueCodec[int](int),
)
