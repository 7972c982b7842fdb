"""The log for the laboratory: what its records, messages and reports claim, for a checker.

- A vote is an entry that a Delta has written. An Accepted carries no value, so it adds none.
- What a CatchUp has written is chosen, not accepted here: it is below ``first``, and adds no vote
  unless its ballot is the one promised, as in a vote that was believed at once.
- A Noop needs no request. A Change of slot n governs from n + window on.
- A Delta says below which slot all are chosen: its ``first``. The founders are no change, so there
  is nothing of theirs to finish.

Source: the lecture, "Multi-Paxos".
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TypeAlias

from paxos import From, InvariantError, Proposal
from paxos.ballot import V
from paxos.log import (
    Accept,
    Accepted,
    Change,
    Committed,
    Delta,
    Noop,
    Prepare,
    Promise,
    Propose,
    Read,
    Readable,
    Replica,
    SnapshotInstalled,
    invariants,
    replica,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.memory import FIRST_SLOT, Record
from paxos.log.messages import Entry, Message
from paxos_lab.checker import Checker
from paxos_lab.claims import (
    Asked,
    Claims,
    Finding,
    LogReadBegun,
    Proposed,
    Quorums,
    ReadAt,
    SlotCommitted,
    SnapshotRestored,
    Vote,
)

LogClaims: TypeAlias = Claims[
    Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]
]
LogChecker: TypeAlias = Checker[
    Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]
]


def votes(said: Record[str] | Message[str]) -> tuple[Vote, ...]:
    """What an acceptor has accepted."""
    if type(said) is not Delta:
        return ()
    return tuple(
        Vote(slot, it.ballot, it.value) for slot, it in said.written if is_vote(said, slot, it)
    )


def is_vote(record: Delta[V], slot: int, proposal: Proposal[Entry[V]]) -> bool:
    """Whether what ``record`` has written for ``slot`` was accepted here, not caught up with."""
    return slot >= record.first or proposal.ballot == record.promised


def asks(message: Message[str]) -> tuple[Vote, ...]:
    """What an Accept asks for."""
    if type(message) is not Accept:
        return ()
    return (Vote(message.slot, message.ballot, message.entry),)


def proposes(event: From[Message[str]] | LogTimer | Request[str]) -> Asked | None:
    """An entry, a read, or a snapshot that the program has restored."""
    if type(event) is Propose:
        return Proposed(event.entry)
    if type(event) is Read:
        return LogReadBegun(event.number)
    if type(event) is SnapshotInstalled:
        return SnapshotRestored(event.first)
    return None


def finds(report: Report[str]) -> tuple[Finding, ...]:
    """What a report says."""
    if type(report) is Committed:
        return tuple(
            SlotCommitted(it.value, slot) for slot, it in enumerate(report.proposals, report.slot)
        )
    if type(report) is Readable and report.first is not None:
        return (ReadAt(report.number, report.first),)
    return ()


def keeps(before: Replica[str], after: Replica[str]) -> bool:
    """Whether nothing is taken back: no promise, no chosen slot, and nothing accepted."""
    if before.memory is not after.memory:
        try:
            invariants.memory_monotonic(before.memory, after.memory)
        except InvariantError:
            return False
    return True


def covers(disk: tuple[Record[str], ...], message: Message[str]) -> bool:
    """Whether the ballot of a request, a promise or a vote would survive a crash."""
    if not isinstance(message, Prepare | Promise | Accepted):
        return True
    saved = next((it for it in disk if type(it) is Delta), None)
    if saved is None or saved.promised < message.ballot:
        return False
    if type(message) is Accepted:
        return _has(saved, message.slot)
    if type(message) is Promise:
        is_known = message.first <= saved.first
        return is_known and all(_has(saved, slot) for slot, _ in message.accepted)
    return True


def _has(saved: Delta[str], slot: int) -> bool:
    return slot < saved.first or any(slot == it for it, _ in saved.written)


def needs_no_request(value: Hashable) -> bool:
    """A Noop is proposed by a leader, of its own accord."""
    return type(value) is Noop


def changes(window: int, slot: int, value: Hashable) -> Quorums | None:
    """From which slot on the chosen ``value`` governs, and which quorums."""
    return (slot + window, value.quorum) if type(value) is Change else None


def holds(record: Record[str]) -> int:
    """Below which slot a replica that starts from ``record`` knows all to be chosen."""
    return record.first if type(record) is Delta else 0


def finishes(state: Replica[str]) -> Quorums | None:
    """The change that is finished, if the last one known to a replica is."""
    change = state.memory.configurations[-1]
    if change.slot == FIRST_SLOT or not replica.is_changed(state):
        return None
    return change.slot, change.quorum


def claims(window: int) -> LogClaims:
    """What a log with ``window`` claims."""
    return Claims(
        votes,
        asks,
        proposes,
        finds,
        keeps,
        covers,
        needs_no_request,
        partial(changes, window),
        holds,
        finishes,
    )
