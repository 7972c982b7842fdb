"""The leader of a log: one phase 1 for all slots, then phase 2 for many slots at once.

Source: the lecture, "Multi-Paxos", "Eliminating Prepares" and "Configuration changes".

Phase 1:

- One Prepare for all slots from the own ``first`` on. Pieces are asked for one after the other, so
  the last piece of a replica comes after all others: then it has promised.
- A promise names the first slot that its sender does not know to be chosen. The leader knows all
  below the highest of these before it proposes; until then it asks that replica.
- It leads once phase-1 quorums of every configuration in the window have promised.
- For each slot up to the highest found, it proposes the highest proposal found, or else a Noop.

Phase 2:

- A proposal takes the next slot: at most a window of slots is in flight, and none that is governed
  by a quorum system that the promises do not cover.
- A vote counts for its ballot and slot, once for each member.
- Slots are chosen from ``first`` on, without a gap: a phase-2 quorum has voted, and this replica
  holds the entry itself.
- Whatever moves ``first``, what is in flight below is dropped, and the next slots are looked at.
- A higher ballot, in whatever message, ends the leadership. So does the heartbeat after the first
  open slot has come under a quorum system that the promises do not cover.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeAlias, final

from paxos.ballot import Ballot, Proposal, ServerId, V
from paxos.invariants import one_value_per_ballot
from paxos.log.lease import Granted
from paxos.log.memory import Configuration, Memory, governing, held
from paxos.log.messages import Accept, Entry, Noop, Promise
from paxos.quorum import NO_SERVERS
from paxos.values import frozen


@final
@frozen
class Following:
    """Another replica leads, or none."""


@final
@frozen
class Preparing(Generic[V]):
    """Phase 1 under ``ballot``, for all slots from ``slot`` on.

    ``found`` are the highest proposals accepted, by slot. All slots below ``base`` are chosen, as
    ``known_by`` has promised.
    """

    ballot: Ballot
    slot: int
    promised: frozenset[ServerId] = NO_SERVERS
    found: tuple[tuple[int, Proposal[Entry[V]]], ...] = ()
    base: int = 0
    known_by: ServerId | None = None


@final
@frozen
class InFlight(Generic[V]):
    """An entry that is proposed for a slot, the members that voted, and the beat it was sent in."""

    entry: Entry[V]
    beat: int
    voters: frozenset[ServerId] = NO_SERVERS


@final
@frozen
class Leading(Generic[V]):
    """Phase 2 under ``ballot``. ``in_flight`` begins with the memory's ``first``.

    ``promised`` have promised the ballot. What may have been chosen before is below ``settled``.
    ``granted``: the leases of this leadership.
    """

    ballot: Ballot
    promised: frozenset[ServerId]
    settled: int
    in_flight: tuple[InFlight[V], ...] = ()
    granted: Granted = ()


Role: TypeAlias = Following | Preparing[V] | Leading[V]


def count_promise(role: Preparing[V], sender: ServerId, promise: Promise[V]) -> Preparing[V]:
    """Merge one piece of a promise. Raises InvariantError if a ballot carries two entries."""
    found = dict(role.found)
    for slot, proposal in promise.accepted:
        known = found.get(slot)
        if known is None or proposal.ballot > known.ballot:
            found[slot] = proposal
        elif proposal.ballot == known.ballot:
            one_value_per_ballot(proposal.ballot, known.value, proposal.value)
    knows_more = promise.first > role.base
    return Preparing(
        role.ballot,
        role.slot,
        role.promised | {sender} if promise.is_last else role.promised,
        tuple(found.items()),
        promise.first if knows_more else role.base,
        sender if knows_more else role.known_by,
    )


def next_slot(promise: Promise[V]) -> int:
    """From where on the next piece of ``promise`` is asked for: the same, after an empty one."""
    return promise.accepted[-1][0] + 1 if promise.accepted else promise.slot


def has_promises(role: Preparing[V], memory: Memory[V], window: int) -> bool:
    """Whether phase 1 is over for all slots of the window."""
    end = memory.first + window
    needed = [governing(memory.configurations, memory.first)]
    needed += [it.quorum for it in memory.configurations if memory.first < it.slot < end]
    return role.base <= memory.first and all(it.is_phase1(role.promised) for it in needed)


def begun(role: Preparing[V], memory: Memory[V], beat: int) -> Leading[V]:
    """The leadership: it proposes what was found again, and a Noop where nothing was."""
    found = dict(role.found)
    settled = max([memory.first, *(slot + 1 for slot in found)])
    entries = (
        found[slot].value if slot in found else Noop() for slot in range(memory.first, settled)
    )
    in_flight = tuple(InFlight(entry, beat) for entry in entries)
    return Leading(role.ballot, role.promised, settled, in_flight)


def room(role: Leading[V], memory: Memory[V], window: int) -> int:
    """How many more slots may be proposed for now."""
    next_ = memory.first + len(role.in_flight)
    return max(min(memory.first + window, _limit(role, memory.configurations)) - next_, 0)


def _limit(role: Leading[V], configurations: Sequence[Configuration]) -> int:
    """The first slot that a quorum system governs which the promises do not cover."""
    uncovered = (it.slot for it in configurations if not it.quorum.is_phase1(role.promised))
    return min(uncovered, default=1 << 62)


def proposed(role: Leading[V], entry: Entry[V], beat: int) -> Leading[V]:
    """``entry`` is in flight for the next slot."""
    in_flight = (*role.in_flight, InFlight(entry, beat))
    return Leading(role.ballot, role.promised, role.settled, in_flight, role.granted)


def accepts(role: Leading[V], memory: Memory[V]) -> Iterator[Accept[V]]:
    """The requests for all that is in flight."""
    for slot, it in enumerate(role.in_flight, memory.first):
        yield Accept(role.ballot, slot, it.entry, memory.first)


def unanswered(
    role: Leading[V], memory: Memory[V], beat: int
) -> Iterator[tuple[Accept[V], frozenset[ServerId]]]:
    """The requests sent more than a whole beat before ``beat``, and which members voted."""
    for slot, it in enumerate(role.in_flight, memory.first):
        if it.beat + 1 < beat:
            yield Accept(role.ballot, slot, it.entry, memory.first), it.voters


def count_vote(role: Leading[V], memory: Memory[V], sender: ServerId, slot: int) -> Leading[V]:
    """The vote of ``sender`` for ``slot``, if that is in flight and it has not voted yet."""
    place = slot - memory.first
    if not 0 <= place < len(role.in_flight) or sender in role.in_flight[place].voters:
        return role
    it = role.in_flight[place]
    voted = InFlight(it.entry, it.beat, it.voters | {sender})
    in_flight = (*role.in_flight[:place], voted, *role.in_flight[place + 1 :])
    return Leading(role.ballot, role.promised, role.settled, in_flight, role.granted)


def chosen_count(role: Leading[V], memory: Memory[V]) -> int:
    """How many slots from ``first`` on are chosen now."""
    count = 0
    for slot, it in enumerate(role.in_flight, memory.first):
        own = held(memory, slot)
        quorum = governing(memory.configurations, slot)
        if own is None or own.ballot != role.ballot or not quorum.is_phase2(it.voters):
            break
        count += 1
    return count


def dropped(role: Leading[V], count: int) -> Leading[V]:
    """``first`` has moved by ``count`` slots."""
    if not count:
        return role
    in_flight = role.in_flight[count:]
    return Leading(role.ballot, role.promised, role.settled, in_flight, role.granted)
