"""A queue: what was pushed first is popped first, each item once.

- A session runs a Pop exactly once, so one that is sent again returns the same item.
- An item that was popped is gone. A worker that may crash before it is done with an item takes a
  lock, or puts a note under a key, first.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

from attrs import evolve

from paxos.errors import assert_never
from paxos.values import frozen
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec


@final
@frozen
class Push:
    """Put ``item`` at the end."""

    item: bytes


@final
@frozen
class Pop:
    """Take the first item."""


Command: TypeAlias = Push | Pop


@final
@frozen
class Queue:
    """The items number ``first`` to ``end`` - 1; an item is counted when it is pushed, from 0."""

    items: PersistentMap[bytes] = PersistentMap()
    first: int = 0
    end: int = 0


@final
@frozen
class Pushed:
    """The item is in the queue, as ``number``."""

    number: int


@final
@frozen
class Popped:
    """The first item, which is no longer in the queue, and its number."""

    item: bytes
    number: int


@final
@frozen
class Empty:
    """There was nothing to pop."""


Result: TypeAlias = Pushed | Popped | Empty


def length(state: Queue) -> int:
    """How many items wait."""
    return state.end - state.first


def peek(state: Queue) -> bytes | None:
    """The first item, which stays; None if the queue is empty."""
    return state.items.get(str(state.first))


def apply(state: Queue, command: Command) -> tuple[Queue, Result]:
    """Carry out ``command``."""
    if type(command) is Push:
        items = state.items.put(str(state.end), command.item)
        return evolve(state, items=items, end=state.end + 1), Pushed(state.end)
    if type(command) is Pop:
        item = peek(state)
        if item is None:
            return state, Empty()
        items = state.items.remove(str(state.first))
        return evolve(state, items=items, first=state.first + 1), Popped(item, state.first)
    assert_never(command)


QUEUE: Final = StateMachine(
    Queue(),
    apply,
    commands=ValueCodec[Command](Command, __name__),
    states=ValueCodec[Queue](Queue, __name__),
    results=ValueCodec[Result](Result, __name__),
)
"""An empty queue."""
