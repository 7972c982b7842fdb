"""A second machine: a log that S1 always leads, with one record for each slot.

It knows nothing of Paxos: no ballot changes, nobody takes over. What a laboratory needs besides the
machine stands here: claims, requests and a setup.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import (
    AfterSave,
    Ballot,
    Broadcast,
    From,
    Now,
    Outbound,
    QuorumSystem,
    ServerId,
    SetTimer,
    Tell,
    To,
    majority,
)
from paxos_adapters.machine import Effect, Machine
from paxos_adapters.timeouts import Timeouts
from paxos_lab.checker import Claims, Proposed, ValueFound, Vote
from paxos_lab.simulate import Network, Setup

LEADER = ServerId(1)
BALLOT = Ballot(1, LEADER)
COMMANDS = 4


@frozen
class Append:
    """Request: add ``value`` to the log."""

    value: str


@frozen
class Entry:
    """Message and record: ``value`` stands in ``slot``."""

    slot: int
    value: str


@frozen
class Stored:
    """Message: the sender has the entry of ``slot`` on its disk."""

    slot: int


@frozen
class Resend:
    """Timer of the leader, which runs from its start on."""


@frozen
class Appended:
    """Report: a quorum has ``entry``."""

    entry: Entry


@frozen
class Log:
    """``holders`` are those that have each entry, as the leader knows."""

    me: ServerId
    quorum: QuorumSystem
    entries: tuple[Entry, ...] = ()
    holders: tuple[frozenset[ServerId], ...] = ()


LogEvent: TypeAlias = From[Entry | Stored] | Resend | Append
LogEffect: TypeAlias = Effect[Entry | Stored, Resend, Appended]
LogStep: TypeAlias = tuple[Log, Outbound[Entry, LogEffect]]


def start(me: ServerId, quorum: QuorumSystem, records: Iterable[Entry]) -> Log:
    """A server that has saved ``records``."""
    entries = tuple(records)
    return Log(me, quorum, entries, (frozenset({me}),) * len(entries))


def receive(state: Log, event: LogEvent) -> LogStep:
    """Take one event."""
    if type(event) is Append:
        return _append(state, event.value)
    if type(event) is Resend:
        return _resend(state)
    if type(event) is From and type(event.message) is Entry:
        return _store(state, event.sender, event.message)
    if type(event) is From and type(event.message) is Stored:
        return _count(state, event.sender, event.message.slot)
    raise AssertionError(event)


def _append(state: Log, value: str) -> LogStep:
    if any(it.value == value for it in state.entries):
        return state, Now(())
    entry = Entry(len(state.entries), value)
    holders = (*state.holders, frozenset({state.me}))
    after = evolve(state, entries=(*state.entries, entry), holders=holders)
    return after, AfterSave(entry, (Broadcast(entry),))


def _resend(state: Log) -> LogStep:
    if state.me != LEADER:
        return state, Now(())
    again = SetTimer(Resend(), 0)
    lacking = [
        entry
        for entry, holders in zip(state.entries, state.holders, strict=True)
        if holders != state.quorum.members
    ]
    if not lacking:
        return state, Now((again,))
    return state, AfterSave(lacking[-1], (*map(Broadcast, lacking), again))


def _store(state: Log, sender: ServerId, entry: Entry) -> LogStep:
    answer = To(sender, Stored(entry.slot))
    if entry.slot > len(state.entries) or state.me == LEADER:
        return state, Now(())
    if entry.slot < len(state.entries):
        return state, AfterSave(state.entries[entry.slot], (answer,))
    return evolve(state, entries=(*state.entries, entry)), AfterSave(entry, (answer,))


def _count(state: Log, sender: ServerId, slot: int) -> LogStep:
    before = state.holders[slot]
    after = before | {sender}
    holders = (*state.holders[:slot], after, *state.holders[slot + 1 :])
    is_new = state.quorum.is_phase2(after) and not state.quorum.is_phase2(before)
    told = (Tell(Appended(state.entries[slot])),) if is_new else ()
    return evolve(state, holders=holders), Now(told)


def members(state: Log) -> tuple[ServerId, ...]:
    """All servers."""
    return tuple(sorted(state.quorum.members))


def delay(_: SetTimer[Resend], timeouts: Timeouts) -> tuple[float, float]:
    """Always as long."""
    return timeouts.retry_min_s, timeouts.retry_max_s


def fold(disk: tuple[Entry, ...], record: Entry) -> tuple[Entry, ...]:
    """One entry for each slot."""
    return disk if any(it.slot == record.slot for it in disk) else (*disk, record)


LOG: Machine[Log, Append, Entry | Stored, Resend, Entry, Appended] = Machine(
    "toy log", start, receive, members=members, delay=delay, first=(Resend(),), fold=fold
)


# --- for the laboratory -------------------------------------------------------------------------


def votes(said: Entry | Stored) -> tuple[Vote, ...]:
    """An entry on a disk is a vote."""
    return (Vote(said.slot, BALLOT, said.value),) if type(said) is Entry else ()


def proposes(event: LogEvent) -> Proposed | None:
    """A command."""
    return Proposed(event.value) if type(event) is Append else None


def finds(report: Appended) -> ValueFound:
    """What was appended is chosen."""
    return ValueFound(report.entry.value, report.entry.slot)


def keeps(before: Log, after: Log) -> bool:
    """No entry changes."""
    return after.entries[: len(before.entries)] == before.entries


def covers(disk: tuple[Entry, ...], message: Entry | Stored) -> bool:
    """What is said to be stored is."""
    return any(it.slot == message.slot for it in disk)


CLAIMS: Claims[Log, Append, Entry | Stored, Resend, Entry, Appended] = Claims(
    votes=votes, proposes=proposes, finds=finds, keeps=keeps, covers=covers
)


@frozen
class Commands:
    """The leader is asked for COMMANDS values, one after the other."""

    def request(
        self, place: int, session: int, count: int, report: Appended | None
    ) -> Append | None:
        """The next command, after each start anew."""
        if place or count >= COMMANDS or (count and report is None):
            return None
        return Append(f"{session}.{count}")

    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:
        """The leader, if it reaches a quorum."""
        is_able = LEADER in network.servers and quorum.is_phase2(network.around(LEADER))
        return frozenset({LEADER} if is_able else ())


THREE = majority(map(ServerId, (1, 2, 3)))


def toy_log(
    machine: Machine[Log, Append, Entry | Stored, Resend, Entry, Appended] = LOG,
    *,
    liveness: bool = False,
) -> Setup[Log, Append, Entry | Stored, Resend, Entry, Appended]:
    """A setup for it."""
    return Setup(
        machine=machine, requests=Commands(), quorum=THREE, claims=CLAIMS, liveness=liveness
    )
