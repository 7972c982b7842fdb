"""A number that commands add to.

- A command is the whole number to add; the result is the new total, which is the state.
"""

from __future__ import annotations

from typing import Final

from paxos_adapters.codecs import INTEGER
from paxos_adapters.state_machine import StateMachine


def apply(total: int, amount: int) -> tuple[int, int]:
    """``total`` and ``amount`` together, as the next state and as the result."""
    return total + amount, total + amount


COUNTER: Final = StateMachine(0, apply, commands=INTEGER, states=INTEGER, results=INTEGER)
"""A counter that starts at 0."""
