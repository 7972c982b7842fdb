"""What a replica must not forget: its promise, its open slots, and which quorums govern them.

Source: the lecture, "Multi-Paxos", the durable state of an acceptor.

- One promise holds for the whole log.
- ``first`` is the first slot not known to be chosen. Slots below are in the store, and in no state.
  Slots from ``first`` on are open: a dense tuple, of at most a window of them.
- A step saves a Delta: the entries that it has written, and everything else as it is now. A memory
  is the sum of its deltas, in order. To save one twice is harmless.
- An entry below ``first`` is chosen. Its ballot is one at or above which it was chosen.
- A Change that is chosen for slot n governs from slot n + window on.
- ``lease`` is how long a lease may last that was granted, 0 if none was: see ``lease.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeAlias, final

from paxos.ballot import NO_BALLOT, Ballot, Proposal, V
from paxos.log.messages import Change, Entry
from paxos.quorum import QuorumSystem
from paxos.values import frozen

FIRST_SLOT = 1
"""Slots count from 1."""


@final
@frozen
class Configuration:
    """``quorum`` governs from ``slot`` on, until the next configuration."""

    slot: int
    quorum: QuorumSystem


Written: TypeAlias = tuple[tuple[int, Proposal[Entry[V]]], ...]
"""Accepted or chosen proposals with their slots."""


@final
@frozen
class Memory(Generic[V]):
    """The durable state of a replica. ``open`` are the proposals from ``first`` on, None: none."""

    configurations: tuple[Configuration, ...]
    promised: Ballot = NO_BALLOT
    first: int = FIRST_SLOT
    open: tuple[Proposal[Entry[V]] | None, ...] = ()
    lease: int = 0


@final
@frozen
class Delta(Generic[V]):
    """The record of a step: what it has ``written``, and the rest of the memory as it is now.

    The store drops what it has below ``floor``, since a snapshot stands for it.
    """

    promised: Ballot
    first: int
    configurations: tuple[Configuration, ...]
    written: Written[V] = ()
    floor: int = FIRST_SLOT
    lease: int = 0


@final
@frozen
class Update(Generic[V]):
    """A memory after a step, and what the step has ``written`` and found to be ``chosen``.

    ``chosen`` are the proposals of the slots below the new ``first``, from the old one on. A
    snapshot stands for all slots below ``floor``.
    """

    memory: Memory[V]
    written: Written[V] = ()
    chosen: tuple[Proposal[Entry[V]], ...] = ()
    floor: int = FIRST_SLOT


def with_promise(memory: Memory[V], ballot: Ballot) -> Memory[V]:
    """``memory``, with ``ballot`` promised."""
    return Memory(memory.configurations, ballot, memory.first, memory.open, memory.lease)


def held(memory: Memory[V], slot: int) -> Proposal[Entry[V]] | None:
    """What is accepted for the open ``slot``."""
    place = slot - memory.first
    return memory.open[place] if 0 <= place < len(memory.open) else None


def delta(memory: Memory[V], written: Written[V] = (), floor: int = FIRST_SLOT) -> Delta[V]:
    """The record of a step that has led to ``memory``."""
    configurations = memory.configurations
    return Delta(memory.promised, memory.first, configurations, written, floor, memory.lease)


def added(memory: Memory[V], record: Delta[V]) -> Memory[V]:
    """``memory`` after one more record."""
    proposals = memory.open[max(record.first - memory.first, 0) :]
    for slot, proposal in record.written:
        proposals = placed(proposals, slot - record.first, proposal)
    return Memory(record.configurations, record.promised, record.first, proposals, record.lease)


def placed(
    proposals: tuple[Proposal[Entry[V]] | None, ...], place: int, proposal: Proposal[Entry[V]]
) -> tuple[Proposal[Entry[V]] | None, ...]:
    """``proposals`` with one more, or another one, at ``place``; as they are if that is below 0."""
    if place < 0:
        return proposals
    gap = (None,) * (place - len(proposals))
    return (*proposals[:place], *gap, proposal, *proposals[place + 1 :])


def governing(configurations: Iterable[Configuration], slot: int) -> QuorumSystem:
    """The quorum system of ``slot``: that of the last configuration that begins at or before it."""
    found, *later = configurations
    for it in later:
        if it.slot > slot:
            break
        found = it
    return found.quorum


def advanced(memory: Memory[V], count: int, window: int) -> Update[V]:
    """``memory`` once its first ``count`` open slots, all of them held, are known to be chosen."""
    if not count:
        return Update(memory)
    chosen = tuple(it for it in memory.open[:count] if it is not None)
    first = memory.first + count
    changes = [
        Configuration(slot + window, it.value.quorum)
        for slot, it in enumerate(chosen, memory.first)
        if type(it.value) is Change
    ]
    configurations = governing_from((*memory.configurations, *changes), first)
    after = Memory(configurations, memory.promised, first, memory.open[count:], memory.lease)
    return Update(after, (), chosen)


def governing_from(
    configurations: tuple[Configuration, ...], slot: int
) -> tuple[Configuration, ...]:
    """Without those that govern no slot from ``slot`` on."""
    begun = sum(it.slot <= slot for it in configurations)
    return configurations[max(begun - 1, 0) :]


# --- the store ------------------------------------------------------------------------------------


@final
@frozen
class Prefix(Generic[V]):
    """What is chosen from ``floor`` on, without a gap: the part of a disk that no state holds."""

    floor: int = FIRST_SLOT
    proposals: tuple[Proposal[Entry[V]], ...] = ()


Record: TypeAlias = Prefix[V] | Delta[V]
"""What is on a disk. A step saves Deltas only."""


def summed(records: Iterable[Record[V]], memory: Memory[V]) -> Memory[V]:
    """``memory`` after the Deltas among ``records``, in order."""
    for record in records:
        if type(record) is Delta:
            memory = added(memory, record)
    return memory


def fold(disk: tuple[Record[V], ...], record: Record[V]) -> tuple[Record[V], ...]:
    """A disk after one more record: the prefix, and one Delta that is the sum of all."""
    if type(record) is Prefix:
        return (*disk, record)
    prefix = next((it for it in disk if type(it) is Prefix), Prefix[V]())
    before = summed(disk, Memory(()))
    filled = before.open
    for slot, proposal in record.written:
        filled = placed(filled, slot - before.first, proposal)
    floor, end = max(prefix.floor, record.floor), max(before.first, record.first)
    # A slot below the floor may be empty, so slots are cut off before the empty ones are.
    chosen = (*prefix.proposals, *filled)[floor - prefix.floor : end - prefix.floor]
    proposals = tuple(it for it in chosen if it is not None)
    after = added(before, record)
    held_ = ((slot, it) for slot, it in enumerate(after.open, after.first) if it is not None)
    return Prefix(floor, proposals), delta(after, tuple(held_))


def fetched(disk: Iterable[Record[V]], slot: int, piece: int) -> tuple[Proposal[Entry[V]], ...]:
    """At most ``piece`` of what the disk has from ``slot`` on; none below its floor."""
    prefix = next((it for it in disk if type(it) is Prefix), Prefix[V]())
    place = slot - prefix.floor
    return prefix.proposals[place : place + piece] if place >= 0 else ()
