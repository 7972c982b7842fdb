"""Paxos with one rule broken, to see what that rule is for, and that drivers notice.

Each is ``server.receive`` with a single change around it. The catalogue of ``make mutants`` edits
the source instead and has many more; these have names for a command line.
"""

from __future__ import annotations

from attrs import evolve, frozen

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
    Saved,
    Tell,
    server,
)
from paxos.proposer import Idle, Preparing
from paxos.reader import Querying
from paxos_adapters.machine import Process
from paxos_lab.machines.protocols import LECTURE, PAXOS, Event, Protocol, Server, Step


@frozen
class Settled:
    """A step as if what it saves were durable at once: what that is, and what leaves."""

    state: Server
    record: server.Record[str] | None
    effects: tuple[server.Effect[str], ...]


def settled(state: Server, event: Event) -> Settled:
    """A step of Paxos, unsealed."""
    process, free = PAXOS.machine.take(Process(state, ()), event)
    done, freed = PAXOS.machine.saved(process, Saved(process.unsaved))
    return Settled(done.state, next(iter(process.unsaved), None), free + freed)


def promise_forgotten(state: Server, event: Event) -> Step:
    """A Prepare is answered, and the promise not kept."""
    after, outbound = server.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        return evolve(after, acceptor=state.acceptor), outbound
    return after, outbound


def promise_not_raised(state: Server, event: Event) -> Step:
    """Accepting does not raise the promise (examination question 7)."""
    if type(event) is not From or type(event.message) is not Accept:
        return server.receive(state, event)
    step = settled(state, event)
    memory = Acceptor(state.acceptor.promised, step.state.acceptor.accepted)
    return evolve(step.state, acceptor=memory), AfterSave(memory, step.effects)


def reply_before_save(state: Server, event: Event) -> Step:
    """Answers leave before what they rest on is durable."""
    if type(event) is not From:
        return server.receive(state, event)
    step = settled(state, event)
    return step.state, Now(step.effects)


def round_reused(state: Server, event: Event) -> Step:
    """The round that is saved is one below the round that is used (examination question 6)."""
    step = settled(state, event)
    if type(step.record) is not MaxRound:
        return server.receive(state, event)
    return step.state, AfterSave(MaxRound(step.record.round - 1), step.effects)


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
    """A promise for an earlier ballot counts for the one in progress."""
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
