"""Named decisions: the first value that is decided for a name is its value from then on.

- The result is the value of the name: that of the command, or the one that came before.
- It is the contract of one decision of Basic Paxos, name by name, on a log.
"""

from __future__ import annotations

from typing import Final, final

from paxos.values import frozen
from paxos_adapters.codecs import RAW
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec


@final
@frozen
class Decide:
    """Let ``value`` be that of ``name``, unless it has one."""

    name: str
    value: bytes


def get(state: PersistentMap[bytes], name: str) -> bytes | None:
    """The value of ``name``; None if there is none yet."""
    return state.get(name)


def apply(state: PersistentMap[bytes], command: Decide) -> tuple[PersistentMap[bytes], bytes]:
    """Carry out ``command``; the result is the value that ``name`` has."""
    decided = state.get(command.name)
    if decided is not None:
        return state, decided
    return state.put(command.name, command.value), command.value


REGISTERS: Final = StateMachine(
    PersistentMap[bytes](),
    apply,
    commands=ValueCodec[Decide](Decide, __name__),
    states=ValueCodec[PersistentMap[bytes]](PersistentMap[bytes], __name__),
    results=RAW,
)
"""Nothing is decided."""
