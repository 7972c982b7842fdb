"""Law 1 of the log: seen through any one slot, each run is a run of Basic Paxos.

Each step of simulated replicas is projected on each open slot. It must be a step of
``paxos.acceptor`` with the message that the slot sees, or no step at all. The invariants of a
memory hold after each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from paxos import Accept as AcceptOne
from paxos import Acceptor, From, acceptor
from paxos import Prepare as PrepareOne
from paxos.log import Accept, CampaignTimer, Lead, Prepare, invariants, replica
from paxos.log.events import Event
from paxos.log.memory import Memory, held
from paxos.log.messages import Entry
from paxos.log.replica import Replica, Step
from paxos_adapters.log import LogReceive
from paxos_lab.simulate.log import LogSetup
from paxos_lab.simulate.sweep import sweep


class NotBasicPaxos(AssertionError):
    """A slot has taken a step that an acceptor of Basic Paxos does not take."""


def at(memory: Memory[str], slot: int) -> Acceptor[Entry[str]]:
    """The acceptor of a slot."""
    return Acceptor(memory.promised, held(memory, slot))


def seen(
    state: Replica[str], event: Event[str], after: Replica[str], slot: int
) -> Iterator[PrepareOne | AcceptOne[Entry[str]]]:
    """What the acceptor of ``slot`` gets of ``event``: at most one message, and of members only."""
    if type(event) is From and event.sender not in replica.members(state):
        return
    first, end = state.memory.first, state.memory.first + state.rules.window
    if type(event) is Lead or type(event) is CampaignTimer:
        if after.memory.promised > state.memory.promised:
            yield PrepareOne(after.memory.promised)
    elif type(event) is From and type(event.message) is Prepare:
        yield PrepareOne(event.message.ballot)
    elif type(event) is From and type(event.message) is Accept:
        message = event.message
        if message.slot == slot and slot < end:
            yield AcceptOne(message.ballot, message.entry)
        elif first <= message.slot < end:
            yield PrepareOne(message.ballot)  # One promise serves all slots.


def held_against_basic_paxos(receive: LogReceive[str], counts: dict[str, int]) -> LogReceive[str]:
    """``receive``, which raises NotBasicPaxos for a step of a slot that is none."""

    def checked(state: Replica[str], event: Event[str]) -> Step[str]:
        after, outbound = receive(state, event)
        for slot in range(after.memory.first, after.memory.first + len(after.memory.open)):
            one = at(state.memory, slot)
            for message in seen(state, event, after, slot):
                one, _ = acceptor.receive(one, message)
                counts[type(message).__name__] = counts.get(type(message).__name__, 0) + 1
            if one != at(after.memory, slot):
                raise NotBasicPaxos(f"slot {slot} of S{state.me}, on {event}")
        invariants.memory_monotonic(state.memory, after.memory)
        invariants.promise_covers_accepted(after.memory)
        invariants.window_holds(after.memory, state.rules.window)
        return after, outbound

    return checked


@pytest.mark.parametrize(
    "setup", [LogSetup(), LogSetup(servers=5, changes=True)], ids=["three", "changes"]
)
def test_every_step_of_every_slot_is_one_of_basic_paxos(setup: LogSetup) -> None:
    counts: dict[str, int] = {}
    checked = held_against_basic_paxos(replica.receive, counts)
    done = sweep(range(40), evolve(setup, receive=checked))

    assert done.failure is None
    assert counts["Accept"] > 1_000
    assert counts["Prepare"] > 1_000


def forgets_a_vote(state: Replica[str], event: Event[str]) -> Step[str]:
    """A Prepare empties the last slot that is held."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Prepare and after.memory.open:
        open_ = (*after.memory.open[:-1], None)
        return evolve(after, memory=evolve(after.memory, open=open_)), outbound
    return after, outbound


def test_a_step_that_is_none_is_found() -> None:
    checked = held_against_basic_paxos(forgets_a_vote, {})
    with pytest.raises(NotBasicPaxos):
        sweep(range(50), LogSetup(receive=checked))
