"""Protocols to drive in place of Paxos: those that the lecture starts from.

Each is a function of the shape of ``server.receive``, so that what drives one drives the others.
The lecture's three have no refusals that count and no order, and each fails in its way:

- first-value-only: an acceptor keeps the first value that it sees. Votes split, and stay split.
- accept-everything: an acceptor accepts every proposal. Two values are chosen.
- look-first: a proposer looks before it writes, and nothing cuts off an older one. Two again.

Source: the lecture, "Why one acceptance is not enough", "Why accepting everything is wrong" and
"Conflicting choices, continued".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import Factory, evolve, field, frozen

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Broadcast,
    From,
    MaxRound,
    Nack,
    Now,
    Prepare,
    Promise,
    Proposal,
    Propose,
    RetryTimer,
    To,
    server,
)
from paxos.proposer import Accepting, Idle, Task
from paxos_adapters.single import Single, single

Server: TypeAlias = server.Server[str]
"""A server whose values are text."""

Event: TypeAlias = server.Event[str]
"""What can happen to it."""

Step: TypeAlias = server.Step[str]
"""Its state after an event, and what leaves."""

Receive: TypeAlias = Callable[[Server, Event], Step]
"""What a protocol is: a function of the shape of ``server.receive``."""

VALUES = ("red", "blue", "green", "gold", "plum", "teal", "pink", "gray", "lime")
"""What is proposed: a value of its own for each server."""


def _machine(protocol: Protocol) -> Single[str]:
    machine: Single[str] = single()
    return evolve(machine, name=protocol.name, receive=protocol.receive)


@frozen
class Protocol:
    """A protocol by name, what it is, the function that is all of it, and the machine of that.

    ``has_numbers``: its acceptors compare ballots.
    """

    name: str
    summary: str
    receive: Receive
    has_numbers: bool = True
    machine: Single[str] = field(init=False, default=Factory(_machine, takes_self=True))


def _vote(state: Server, accept: From[Accept[str]]) -> Step:
    """Accept what is asked, whatever was promised or accepted before."""
    ask = accept.message
    memory = Acceptor(state.acceptor.promised, Proposal(ask.ballot, ask.value))
    answer = To(accept.sender, Accepted(ask.ballot, ask.value))
    return evolve(state, acceptor=memory), AfterSave(memory, (answer,))


def _write_at_once(state: Server, propose: Propose[str]) -> Step:
    """Ask all to accept, without a look at what they hold."""
    ballot = Ballot(state.proposer.max_round + 1, state.proposer.me)
    task = Task(propose, attempt=0, own_from=ballot.round)
    phase = Accepting(ballot, task, propose.value, own=True)
    at_work = evolve(state.proposer, max_round=ballot.round, phase=phase)
    messages = (Broadcast(Accept(ballot, propose.value)),)
    return evolve(state, proposer=at_work), AfterSave(MaxRound(ballot.round), messages)


def _without_phase_1(state: Server, event: Event) -> Step:
    if type(event) is Propose and type(state.proposer.phase) is Idle:
        return _write_at_once(state, event)
    if type(event) is RetryTimer:
        return state, Now(())
    return server.receive(state, event)


def first_value_only(state: Server, event: Event) -> Step:
    """An acceptor keeps the first value that it sees, and refuses every other one."""
    if type(event) is From and type(event.message) is Accept:
        ask, held = event.message, state.acceptor.accepted
        if held is not None and held.value != ask.value:
            return state, Now((To(event.sender, Nack(ask.ballot, held.ballot)),))
        return _vote(state, From(event.sender, ask))
    return _without_phase_1(state, event)


def accept_everything(state: Server, event: Event) -> Step:
    """An acceptor takes every value."""
    if type(event) is From and type(event.message) is Accept:
        return _vote(state, From(event.sender, event.message))
    return _without_phase_1(state, event)


def look_first(state: Server, event: Event) -> Step:
    """A proposer looks before it writes; looking blocks nobody."""
    if type(event) is From and type(event.message) is Prepare:
        memory = state.acceptor
        answer = To(event.sender, Promise(event.message.ballot, memory.accepted))
        return state, AfterSave(memory, (answer,))
    if type(event) is From and type(event.message) is Accept:
        return _vote(state, From(event.sender, event.message))
    return server.receive(state, event)


PAXOS = Protocol("paxos", "the library's own server", server.receive)
LECTURE = (
    Protocol(
        "first-value-only",
        "acceptors keep the first value that they see",
        first_value_only,
        has_numbers=False,
    ),
    Protocol(
        "accept-everything", "acceptors take every value", accept_everything, has_numbers=False
    ),
    Protocol(
        "look-first",
        "proposers look before they write, without numbers",
        look_first,
        has_numbers=False,
    ),
)
