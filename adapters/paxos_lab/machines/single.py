"""One decision for the laboratory: what its records, messages and reports claim, for a checker.

The machine is ``paxos_adapters.single``. All its broken variants have this table, too.
"""

from __future__ import annotations

from typing import TypeAlias

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Done,
    MaxRound,
    Message,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Promise,
    Propose,
    Read,
    server,
)
from paxos.ballot import V
from paxos.errors import assert_never
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_lab.checker import Checker
from paxos_lab.claims import (
    Asked,
    Claims,
    Finding,
    NothingBelow,
    NothingYet,
    Proposed,
    ReadBegun,
    ValueFound,
    Vote,
)
from paxos_lab.machines.protocols import Event, Server
from paxos_lab.rules import Commitment, is_durable, is_kept

Record: TypeAlias = server.Record[str]
Report: TypeAlias = server.Report[str]
SingleClaims: TypeAlias = Claims[
    Server, ClientRequest[str], Message[str], ServerTimer, Record, Report
]
SingleChecker: TypeAlias = Checker[
    Server, ClientRequest[str], Message[str], ServerTimer, Record, Report
]

NEW_DISK = Acceptor[str]()


def votes(said: server.Record[V] | Message[V]) -> tuple[Vote, ...]:
    """What an acceptor has accepted."""
    if type(said) is Acceptor:
        held = said.accepted
        return () if held is None else (Vote(0, held.ballot, held.value),)
    return (Vote(0, said.ballot, said.value),) if type(said) is Accepted else ()


def asks(message: Message[str]) -> tuple[Vote, ...]:
    """What an Accept asks for."""
    return (Vote(0, message.ballot, message.value),) if type(message) is Accept else ()


def proposes(event: Event) -> Asked | None:
    """A value, or a read."""
    if type(event) is Propose:
        return Proposed(event.value)
    return ReadBegun(event.id) if type(event) is Read else None


def finds(report: Report) -> tuple[Finding]:
    """What a report says."""
    if type(report) is Done:
        return (ValueFound(report.value),)
    if type(report) is NothingChosen:
        return (NothingBelow(report.ballot),)
    if type(report) is NotYetChosen:
        return (NothingYet(report.id),)
    assert_never(report)


def keeps(before: Server, after: Server) -> bool:
    """Whether the acceptor takes nothing back."""
    return after.acceptor is before.acceptor or is_kept(before.acceptor, after.acceptor)


def covers(disk: tuple[Record, ...], message: Message[str]) -> bool:
    """Whether an answer, or the round of a request, would survive a crash."""
    if type(message) is Prepare or type(message) is Accept:
        return any(type(it) is MaxRound and it.round >= message.ballot.round for it in disk)
    if type(message) is Promise or type(message) is Accepted or type(message) is Answer:
        memory = next((it for it in disk if type(it) is Acceptor), NEW_DISK)
        return _is_told(memory, message) or is_durable(memory, message)
    return True


def _is_told(memory: Acceptor[str], answer: Commitment) -> bool:
    """Whether ``answer`` tells just what is in ``memory``: the usual case, and quick to see."""
    held = memory.accepted
    if type(answer) is Promise:
        return answer.ballot == memory.promised and answer.accepted is held
    if type(answer) is Accepted:
        return held is not None and answer.ballot == held.ballot and answer.value is held.value
    return answer.accepted is held


CLAIMS: SingleClaims = Claims(votes, asks, proposes, finds, keeps, covers)
