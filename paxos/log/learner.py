"""The learner of a log: which slots are chosen, from the first open one on, without a gap.

Source: the lecture, "Multi-Paxos", "Full disclosure".

- "All slots below n are chosen" comes with a ballot. It is believed of a slot only if what is
  accepted there has *exactly* that ballot, and of no slot behind one of which it is not believed.
- CatchUp: what is chosen from a slot on. It is taken only if it touches ``first`` without a gap.
- A snapshot stands for all slots below its own. What was accepted there is dropped unread.
"""

from __future__ import annotations

from paxos.ballot import Ballot, V
from paxos.invariants import one_value_per_ballot
from paxos.log.memory import Configuration, Memory, Update, advanced, held
from paxos.log.messages import CatchUp


def believe(memory: Memory[V], ballot: Ballot, first: int, window: int) -> Update[V]:
    """All slots below ``first`` are chosen, says the leader of ``ballot``."""
    count = 0
    for proposal in memory.open[: max(first - memory.first, 0)]:
        if proposal is None or proposal.ballot != ballot:
            break
        count += 1
    return advanced(memory, count, window)


def learn(memory: Memory[V], message: CatchUp[V], window: int) -> Update[V]:
    """Take what is chosen from ``first`` on. Raises InvariantError for a ballot used twice."""
    news = message.proposals[memory.first - message.slot :] if message.slot <= memory.first else ()
    written = tuple(enumerate(news, memory.first))
    for slot, proposal in written:
        before = held(memory, slot)
        if before is not None and before.ballot == proposal.ballot:
            one_value_per_ballot(proposal.ballot, before.value, proposal.value)
    proposals = (*news, *memory.open[len(news) :])
    configurations, lease = memory.configurations, memory.lease
    filled = Memory(configurations, memory.promised, memory.first, proposals, lease)
    update = advanced(filled, len(news), window)
    return Update(update.memory, written, update.chosen)


def install(memory: Memory[V], first: int, configurations: tuple[Configuration, ...]) -> Memory[V]:
    """The memory once a snapshot stands for all slots below ``first``."""
    if first <= memory.first:
        return memory
    proposals = memory.open[first - memory.first :]
    return Memory(configurations, memory.promised, first, proposals, memory.lease)
