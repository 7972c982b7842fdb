"""Locks by name, each with an owner and a fencing token.

- A token is given out once and rises with each grant, whatever the name. What a lock protects
  refuses a token below one that it has seen: an owner that was slow does no harm.
- An owner that acquires its lock again keeps the token, and begins its time to live anew.
- A lock is released by its token, or expires by a Tick, if it has a time to live.

Source: Burrows, "The Chubby lock service for loosely-coupled distributed systems" (2006), section
2.4, where tokens are sequencers.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

from attrs import evolve, field

from paxos.errors import assert_never
from paxos.values import frozen
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines.ticks import Clock, Tick, check_ttl, scheduled, ticked
from paxos_adapters.value_codec import ValueCodec

# --- commands -------------------------------------------------------------------------------------


@final
@frozen
class Acquire:
    """Give the lock ``name`` to ``owner``, for ``ttl_s`` seconds if said. Raises BadNumber."""

    name: str
    owner: str
    ttl_s: int | None = field(default=None, validator=check_ttl)


@final
@frozen
class Release:
    """Give the lock ``name`` back, if it is held under ``token``."""

    name: str
    token: int


Command: TypeAlias = Acquire | Release | Tick


# --- states and results ---------------------------------------------------------------------------


@final
@frozen
class Grant:
    """A lock is held by ``owner``, under ``token``."""

    owner: str
    token: int


@final
@frozen
class Locks:
    """The locks that are held, the latest token, and the time."""

    held: PersistentMap[Grant] = PersistentMap()
    token: int = 0
    clock: Clock = Clock()


@final
@frozen
class Acquired:
    """The owner holds the lock under ``token``."""

    token: int


@final
@frozen
class Refused:
    """Nothing was changed: another has the lock as ``held`` says; None: nobody has it."""

    held: Grant | None


@final
@frozen
class Released:
    """The lock is free."""


@final
@frozen
class Expired:
    """The locks that a Tick has freed, in order."""

    names: tuple[str, ...]


Result: TypeAlias = Acquired | Refused | Released | Expired


# --- reads ----------------------------------------------------------------------------------------


def holder(state: Locks, name: str) -> Grant | None:
    """The owner and the token of the lock ``name``; None if it is free."""
    return state.held.get(name)


# --- the machine ----------------------------------------------------------------------------------


def apply(state: Locks, command: Command) -> tuple[Locks, Result]:
    """Carry out ``command``."""
    if type(command) is Acquire:
        return _acquired(state, command)
    if type(command) is Release:
        held = state.held.get(command.name)
        if held is None or held.token != command.token:
            return state, Refused(held)
        clock = scheduled(state.clock, command.name, None)
        return evolve(state, held=state.held.remove(command.name), clock=clock), Released()
    if type(command) is Tick:
        clock, gone = ticked(state.clock, command)
        held_after = state.held
        for name in gone:
            held_after = held_after.remove(name)
        return evolve(state, held=held_after, clock=clock), Expired(gone)
    assert_never(command)


def _acquired(state: Locks, command: Acquire) -> tuple[Locks, Result]:
    held = state.held.get(command.name)
    if held is not None and held.owner != command.owner:
        return state, Refused(held)
    clock = scheduled(state.clock, command.name, command.ttl_s)
    if held is not None:
        return evolve(state, clock=clock), Acquired(held.token)
    token = state.token + 1
    grants = state.held.put(command.name, Grant(command.owner, token))
    return Locks(grants, token, clock), Acquired(token)


_MODULES: Final = __name__, Tick.__module__

LOCK: Final = StateMachine(
    Locks(),
    apply,
    commands=ValueCodec[Command](Command, *_MODULES),
    states=ValueCodec[Locks](Locks, *_MODULES),
    results=ValueCodec[Result](Result, *_MODULES),
)
"""All locks are free."""
