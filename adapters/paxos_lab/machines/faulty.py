"""Paxos with one rule broken, to see what that rule is for, and that drivers notice.

Each is ``server.receive`` with a single change around it. The catalogue of ``make mutants`` edits
the source instead and has many more; these have names for a command line.
"""

from __future__ import annotations

from attrs import evolve

from paxos import (
    Accept,
    Acceptor,
    AfterSave,
    Answer,
    Chosen,
    From,
    MaxRound,
    NotYetChosen,
    Now,
    Prepare,
    Promise,
    Propose,
    Read,
    ReadId,
    Tell,
    server,
)
from paxos.proposer import Idle, Preparing
from paxos.reader import Querying
from paxos_lab.machines.protocols import LECTURE, PAXOS, Event, Protocol, Server, Step
from paxos_lab.transitions import settle


def promise_forgotten(state: Server, event: Event) -> Step:
    """A Prepare is answered, and the promise not kept."""
    after, outbound = server.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        return evolve(after, acceptor=state.acceptor), outbound
    return after, outbound


def promise_not_raised(state: Server, event: Event) -> Step:
    """Accepting does not raise the promise (examination question 7)."""
    after, outbound = server.receive(state, event)
    if type(event) is not From or type(event.message) is not Accept:
        return after, outbound
    memory = Acceptor(state.acceptor.promised, after.acceptor.accepted)
    effects = settle((after, outbound)).effects
    return evolve(after, acceptor=memory), AfterSave(memory, effects)


def reply_before_save(state: Server, event: Event) -> Step:
    """Answers leave before what they rest on is durable."""
    after, outbound = server.receive(state, event)
    return after, Now(settle((after, outbound)).effects) if type(event) is From else outbound


def round_reused(state: Server, event: Event) -> Step:
    """The round that is saved is one below the round that is used (examination question 6)."""
    after, outbound = server.receive(state, event)
    transition = settle((after, outbound))
    if type(transition.record) is not MaxRound:
        return after, outbound
    return after, AfterSave(MaxRound(transition.record.round - 1), transition.effects)


def own_value_kept(state: Server, event: Event) -> Step:
    """A proposer goes on with its own value although a promise carried one."""
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, Promise[str](event.message.ballot, None))
    return server.receive(state, event)


def lowest_taken(state: Server, event: Event) -> Step:
    """Of two accepted proposals a proposer goes on with the lower one."""
    phase = state.proposer.phase
    if type(phase) is Preparing and type(event) is From and type(event.message) is Promise:
        counts = event.message.ballot == phase.ballot and event.sender not in phase.answered
        found, held = event.message.accepted, phase.highest
        if counts and found is not None and held is not None:
            lower = min(found, held, key=lambda proposal: proposal.ballot)
            event = From(event.sender, Promise(event.message.ballot, lower))
            at_work = evolve(state.proposer, phase=evolve(phase, highest=None))
            state = evolve(state, proposer=at_work)
    return server.receive(state, event)


def stale_promise_counted(state: Server, event: Event) -> Step:
    """A promise for an earlier ballot counts for the one under way."""
    phase = state.proposer.phase
    if type(phase) is Preparing and type(event) is From and type(event.message) is Promise:
        event = From(event.sender, Promise(phase.ballot, event.message.accepted))
    return server.receive(state, event)


def read_not_completed(state: Server, event: Event) -> Step:
    """A reader takes the first accepted value that it hears of for a chosen one."""
    phase = state.proposer.phase
    if type(event) is From and isinstance(event.message, Promise | Answer):
        reads = type(phase) is Querying or (
            type(phase) is Preparing and type(phase.task.request) is not Propose
        )
        found = event.message.accepted
        if reads and found is not None:
            event = From(event.sender, Chosen(found.ballot, found.value))
    return server.receive(state, event)


def nothing_from_one(state: Server, event: Event) -> Step:
    """A reader takes the first "nothing accepted" that it hears for the word of a quorum."""
    phase = state.proposer.phase
    if type(phase) is not Querying or type(event) is not From:
        return server.receive(state, event)
    if event.message == Answer[str](phase.id, None):
        at_work = evolve(state.proposer, phase=Idle())
        return evolve(state, proposer=at_work), Now((Tell(NotYetChosen(phase.id)),))
    return server.receive(state, event)


def read_id_reused(state: Server, event: Event) -> Step:
    """All reads of a server have one id, so that late answers to one count for the next."""
    return server.receive(state, Read(ReadId(0, 0)) if type(event) is Read else event)


BROKEN = tuple(
    Protocol(function.__name__.replace("_", "-"), function.__doc__ or "", function)
    for function in (
        promise_forgotten,
        promise_not_raised,
        reply_before_save,
        round_reused,
        own_value_kept,
        lowest_taken,
        stale_promise_counted,
        read_not_completed,
        nothing_from_one,
        read_id_reused,
    )
)

PROTOCOLS = {it.name: it for it in (PAXOS, *LECTURE, *BROKEN)}
"""All that can be driven in place of Paxos, and Paxos, by name."""
