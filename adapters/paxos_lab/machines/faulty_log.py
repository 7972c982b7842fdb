"""The log with one rule broken, to see what that rule is for, and that drivers notice.

Each is ``replica.receive`` with a single change around it, as in ``faulty`` for one decision.
"""

from __future__ import annotations

from attrs import evolve

from paxos import From, Proposal, To
from paxos.log import Accept, Accepted, Heartbeat, Promise, replica
from paxos.log.events import Effect, Event
from paxos.log.leader import Leading, Preparing
from paxos.log.memory import FIRST_SLOT
from paxos.log.replica import Replica, Step
from paxos_adapters.log import LogReceive
from paxos_lab.machines.log_protocols import LOG, LogProtocol


def first_believed(state: Replica[str], event: Event[str]) -> Step[str]:
    """What a leader knows to be chosen is believed of entries under any ballot (question 4)."""
    if type(event) is From and isinstance(event.message, Accept | Heartbeat):
        message, memory = event.message, state.memory
        if type(message) is Accept or message.leads:
            open_ = tuple(
                it if it is None or slot >= message.first else Proposal(message.ballot, it.value)
                for slot, it in enumerate(memory.open, memory.first)
            )
            state = evolve(state, memory=evolve(memory, open=open_))
    return replica.receive(state, event)


def found_dropped(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader does not propose the entries again that its promises carry."""
    if type(event) is From and type(event.message) is Promise:
        message = evolve(event.message, accepted=(), is_last=True)
        event = From(event.sender, message)
    return replica.receive(state, event)


def base_ignored(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader proposes for slots that its promises know to be chosen."""
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, evolve(event.message, first=FIRST_SLOT))
    return replica.receive(state, event)


def first_hidden(state: Replica[str], event: Event[str]) -> Step[str]:
    """A promise does not say which slots are known to be chosen."""
    after, outbound = replica.receive(state, event)
    return after, outbound.map(_hidden)


def _hidden(effect: Effect[str]) -> Effect[str]:
    if type(effect) is To and type(effect.message) is Promise:
        return To(effect.receiver, evolve(effect.message, first=FIRST_SLOT))
    return effect


def lowest_found(state: Replica[str], event: Event[str]) -> Step[str]:
    """Of two entries found for a slot a leader proposes the one with the lower ballot again."""
    role = state.role
    if type(role) is Preparing and type(event) is From and type(event.message) is Promise:
        message = event.message
        if message.ballot == role.ballot:
            found = dict(role.found)
            for slot, it in message.accepted:
                if slot in found and found[slot].ballot > it.ballot:
                    found[slot] = it
            kept = tuple((slot, it) for slot, it in message.accepted if slot not in found)
            state = evolve(state, role=evolve(role, found=tuple(found.items())))
            event = From(event.sender, evolve(message, accepted=kept))
    return replica.receive(state, event)


def old_votes_counted(state: Replica[str], event: Event[str]) -> Step[str]:
    """A vote under an earlier ballot counts for the entry that is in flight."""
    role = state.role
    if type(role) is Leading and type(event) is From and type(event.message) is Accepted:
        ballot = max(event.message.ballot, role.ballot)
        event = From(event.sender, evolve(event.message, ballot=ballot))
    return replica.receive(state, event)


def quorums_outlived(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader goes on for slots whose quorums have not promised."""
    after, outbound = replica.receive(state, event)
    role = after.role
    if type(role) is Leading:
        after = evolve(after, role=evolve(role, promised=replica.members(after)))
    return after, outbound


def _named(receive: LogReceive[str], name: str, summary: str) -> LogProtocol:
    """``receive`` under its own name, with its docstring as a phrase."""
    phrase = summary[:1].lower() + summary[1:].removesuffix(".")
    return LogProtocol(name.replace("_", "-"), phrase, receive)


BROKEN_LOGS = tuple(
    _named(function, function.__name__, function.__doc__ or "")
    for function in (
        first_believed,
        found_dropped,
        base_ignored,
        first_hidden,
        lowest_found,
        old_votes_counted,
        quorums_outlived,
    )
)

LOG_PROTOCOLS = {it.name: it for it in (LOG, *BROKEN_LOGS)}
"""All that can be driven in place of the log, and the log, by name."""

VARIANTS = {it.name: it.receive for it in BROKEN_LOGS}
"""How the broken ones step, by name."""
