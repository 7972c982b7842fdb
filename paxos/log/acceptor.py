"""The acceptor of a log: every slot is an acceptor of Basic Paxos, under one promise.

Source: the lecture, "Multi-Paxos"; "Paxos Made Simple", section 3.

- Prepare: refuse if more was promised; else promise for the whole log, and report one piece of what
  is accepted from a slot on.
- Accept of an open slot: refuse if more was promised; else ``acceptor.receive`` steps that slot.
- Another entry for a slot under a ballot that was accepted there proves that the ballot was used
  twice, and raises.
- Confirm: refuse if more was promised. It changes nothing.
"""

from __future__ import annotations

from paxos import acceptor
from paxos.acceptor import Acceptor
from paxos.ballot import V
from paxos.invariants import one_value_per_ballot
from paxos.log.memory import Memory, Update, held, placed, with_promise
from paxos.log.messages import Accept, Accepted, Confirm, Confirmed, Prepare, Promise
from paxos.messages import Accept as AcceptOne
from paxos.messages import Nack


def prepare(memory: Memory[V], request: Prepare, piece: int) -> tuple[Memory[V], Promise[V] | Nack]:
    """Promise, and report at most ``piece`` proposals; or refuse."""
    if request.ballot < memory.promised:
        return memory, Nack(request.ballot, memory.promised)
    if request.ballot > memory.promised:
        memory = with_promise(memory, request.ballot)
    return memory, _promise(memory, request, piece)


def _promise(memory: Memory[V], request: Prepare, piece: int) -> Promise[V]:
    accepted = [
        (slot, proposal)
        for slot, proposal in enumerate(memory.open, memory.first)
        if slot >= request.slot and proposal is not None
    ]
    is_last = len(accepted) <= piece
    return Promise(request.ballot, request.slot, memory.first, tuple(accepted[:piece]), is_last)


def accept(memory: Memory[V], request: Accept[V]) -> tuple[Update[V], Accepted | Nack]:
    """Accept for an open slot, or refuse.

    Raises InvariantError if the ballot has carried another entry for that slot.
    """
    ballot, slot = request.ballot, request.slot
    if ballot < memory.promised:
        return Update(memory), Nack(ballot, memory.promised)
    before = held(memory, slot)
    if before is not None and before.ballot == ballot:
        one_value_per_ballot(ballot, before.value, request.entry)
    one, _ = acceptor.receive(Acceptor(memory.promised, before), AcceptOne(ballot, request.entry))
    assert one.accepted is not None
    proposals = placed(memory.open, slot - memory.first, one.accepted)
    configurations, lease = memory.configurations, memory.lease
    memory = Memory(configurations, one.promised, memory.first, proposals, lease)
    return Update(memory, ((slot, one.accepted),)), Accepted(ballot, slot)


def confirm(memory: Memory[V], request: Confirm) -> Confirmed | Nack:
    """Say whether more was promised."""
    if request.ballot < memory.promised:
        return Nack(request.ballot, memory.promised)
    return Confirmed(request.ballot, request.number)
