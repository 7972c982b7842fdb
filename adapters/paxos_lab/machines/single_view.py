"""One decision for pictures: words for its messages, and what its states show."""

from __future__ import annotations

from typing import TypeAlias

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Chosen,
    Done,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    Message,
    Nack,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Query,
    QueryTimer,
    Read,
    RetryTimer,
    server,
)
from paxos.ballot import V
from paxos.errors import assert_never
from paxos.proposer import Accepting, ClientRequest, Preparing
from paxos.server import ServerTimer
from paxos_adapters.printable import printable
from paxos_lab.machines.single import votes
from paxos_lab.machines.view import TIMES_OUT, Look, View, Words

SingleView: TypeAlias = View[
    server.Server[V], ClientRequest[V], Message[V], ServerTimer, server.Record[V], server.Report[V]
]
"""What pictures show of one decision."""


def describe(message: Message[V]) -> str:
    """``message`` in a few words."""
    return say(message).text


def say(message: Message[V]) -> Words:
    """What a picture says of ``message``."""
    if type(message) is Prepare:
        ballot = message.ballot
        return Words(f"Prepare {ballot}", ballot, request=f"P {ballot}")
    if type(message) is Promise:
        ballot, held = message.ballot, _text(message.accepted)
        return Words(f"Promise {ballot}, {_held(held)}", ballot, is_answer=True, found=held)
    if type(message) is Accept:
        ballot, value = message.ballot, str(message.value)
        text = f"Accept {ballot} {printable(value)}"
        return Words(text, ballot, request=f"A {ballot}", value=value)
    if type(message) is Accepted:
        ballot = message.ballot
        value = str(message.value)
        text = f"Accepted {ballot} {printable(value)}"
        return Words(text, ballot, is_answer=True, voted=value)
    if type(message) is Nack:
        ballot, promised = message.ballot, message.promised
        text = f"Nack {ballot}, {promised} is promised"
        return Words(text, ballot, is_answer=True, is_refusal=True)
    if type(message) is Chosen:
        value = str(message.value)
        return Words(f"Chosen {printable(value)}", message.ballot, is_answer=True, voted=value)
    if type(message) is Heartbeat:
        return Words("Heartbeat")
    if type(message) is Query:
        return Words(f"Query {message.id}")
    if type(message) is Answer:
        return Words(f"Answer {message.id}, {_held(_text(message.accepted))}", is_answer=True)
    assert_never(message)


def own(event: ClientRequest[V] | ServerTimer) -> str:
    """What a server does by itself."""
    if type(event) is Propose:
        return f"proposes {event.value}"
    if type(event) is Inquire:
        return "asks what is chosen"
    if type(event) is Read:
        return "reads what is chosen"
    if type(event) is RetryTimer:
        return TIMES_OUT
    if type(event) is HeartbeatTimer or type(event) is QueryTimer:
        return ""
    assert_never(event)


def told(report: server.Report[V]) -> str:
    """What a server tells its program."""
    if type(report) is Done:
        return f"knows that {report.value} is chosen"
    if type(report) is NothingChosen:
        return f"knows that nothing is chosen below {report.ballot}"
    if type(report) is NotYetChosen:
        return "knows that nothing was chosen when it began to read"
    assert_never(report)


def look(state: server.Server[V], _slot: int | None = 0) -> Look:
    """What a server holds and knows."""
    phase, choice = state.proposer.phase, state.learner.choice
    return Look(
        state.acceptor.promised,
        _text(state.acceptor.accepted),
        phase.ballot if isinstance(phase, Preparing | Accepting) else None,
        str(phase.value) if isinstance(phase, Accepting) else None,
        None if choice is None else str(choice.chosen.value),
    )


def disk(records: tuple[server.Record[V], ...], _slot: int | None = 0) -> Look:
    """What a server holds that is down."""
    memories = [it for it in records if isinstance(it, Acceptor)]
    return Look(memories[-1].promised, _text(memories[-1].accepted)) if memories else Look()


def single_view() -> SingleView[V]:
    """The view of one decision, whatever its values; they are shown as text."""
    return View(say, own, told, look, votes=votes, disk=disk)


def _text(held: Proposal[V] | None) -> Proposal[str] | None:
    return None if held is None else Proposal(held.ballot, str(held.value))


def _held(held: Proposal[str] | None) -> str:
    return "nothing accepted" if held is None else f"{held.ballot} {printable(held.value)}"
