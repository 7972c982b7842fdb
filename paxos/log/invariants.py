"""What must hold of a log at all times: the predicates that tests, explorers and simulators share.

Source: the lecture, "Multi-Paxos"; "Paxos Made Simple", section 3. A slot is Basic Paxos, so most
rules are those of ``paxos.invariants``, slot by slot.

- One entry is chosen for a slot.
- Only what was proposed is chosen; a Noop is, without being asked for.
- A ballot carries one entry for a slot.
- At most a window of slots is open.
- The promise covers what is accepted, in every open slot.
- The promise, ``first``, and what is accepted in an open slot only rise while a replica runs.

Each function returns if its rule holds and raises an InvariantError if it is broken.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import invariants
from paxos.acceptor import Acceptor
from paxos.ballot import Ballot, Proposal, V
from paxos.errors import InvariantError
from paxos.invariants import Decision
from paxos.log.memory import Memory, held
from paxos.log.messages import Entry, Noop
from paxos.messages import Chosen
from paxos.quorum import NO_SERVERS


def agreement(slot: int, first: Proposal[Entry[V]], second: Proposal[Entry[V]]) -> None:
    """One entry is chosen for ``slot``, whatever the ballots."""
    one, other = (
        Decision(Chosen(it.ballot, (slot, it.value)), NO_SERVERS) for it in (first, second)
    )
    invariants.agreement(one, other)


def validity(entry: Entry[V], proposed: Iterable[Entry[V]]) -> None:
    """Only a proposed entry is chosen, or a Noop."""
    if type(entry) is not Noop:
        invariants.validity(entry, proposed)


def one_entry_per_ballot(ballot: Ballot, slot: int, first: Entry[V], second: Entry[V]) -> None:
    """A ballot carries one entry for ``slot``, so a ballot is never used twice."""
    invariants.one_value_per_ballot(ballot, (slot, first), (slot, second))


def window_holds(memory: Memory[V], window: int) -> None:
    """At most ``window`` slots are open."""
    if len(memory.open) > window:
        raise InvariantError(
            f"{len(memory.open)} slots are open from slot {memory.first} on, in a window of "
            f"{window}."
        )


def promise_covers_accepted(memory: Memory[V]) -> None:
    """A replica has promised at least each ballot that it has accepted."""
    for proposal in memory.open:
        invariants.promise_covers_accepted(Acceptor(memory.promised, proposal))


def memory_monotonic(before: Memory[V], after: Memory[V]) -> None:
    """Nothing is taken back: no promise, no slot known to be chosen, nothing accepted."""
    if after.promised < before.promised or after.first < before.first:
        raise InvariantError(
            f"a replica went back, from promise {before.promised} and first slot {before.first} "
            f"to promise {after.promised} and first slot {after.first}."
        )
    for slot, was in enumerate(before.open, before.first):
        now = held(after, slot)
        if slot >= after.first and now is not was:
            invariants.acceptor_monotonic(
                Acceptor(before.promised, was), Acceptor(after.promised, now)
            )
