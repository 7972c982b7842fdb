"""A toy log, as a machine: one record for each slot, and a record that replaces many.

- The server with the lowest id is the primary. It appends numbers, and all servers store them.
- An entry is durable before it is copied, and a copy before it is acknowledged.
- An entry is committed once all servers have acknowledged it. Copies are sent again until then.
- Each server may compact: one record, the sum, stands for all entries before the first gap.

So a disk is folded by hand: the latest record of each type would lose entries.
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
from paxos_adapters.coding import Kinds
from paxos_adapters.machine import Effect, Machine
from paxos_adapters.timeouts import Timeouts
from paxos_lab.claims import Claims, Proposed, ValueFound, Vote
from paxos_lab.simulate import Network, Requests, Setup


@frozen
class Append:
    """The program asks the primary to append ``number``."""

    number: int


@frozen
class Compact:
    """The program asks a server to compact its log."""


@frozen
class Entry:
    """``number`` stands in ``slot``: the record of it, the order to copy it, the report of it."""

    slot: int
    number: int


@frozen
class Stored:
    """The entry in ``slot`` is durable at the sender."""

    slot: int


@frozen
class Resend:
    """The primary's timer: copy the entry in ``slot`` again unless it is committed."""

    slot: int


@frozen
class Total:
    """The record that replaces all entries up to ``slot``: their sum."""

    slot: int = 0
    total: int = 0


Message: TypeAlias = Entry | Stored
Request: TypeAlias = Append | Compact
Record: TypeAlias = Entry | Total
Event: TypeAlias = From[Message] | Resend | Request
EMPTY = Total()


@frozen
class Server:
    """``entries`` are those behind ``compacted``, by slot; ``stored`` the acknowledgements."""

    me: ServerId
    members: tuple[ServerId, ...]
    compacted: Total = EMPTY
    entries: tuple[Entry, ...] = ()
    stored: frozenset[tuple[int, ServerId]] = frozenset()

    def at(self, slot: int) -> Record | None:
        """The record that holds ``slot``."""
        if slot <= self.compacted.slot:
            return self.compacted
        return next((it for it in self.entries if it.slot == slot), None)


Step: TypeAlias = tuple[Server, Outbound[Record, Effect[Message, Resend, Entry]]]
NOTHING: Now[Effect[Message, Resend, Entry]] = Now(())
ToyLog: TypeAlias = Machine[Server, Request, Message, Resend, Record, Entry]


def compacting(disk: tuple[Record, ...], record: Record) -> tuple[Record, ...]:
    """The disk after one more record: a total, and the entries behind it."""
    records = (*disk, record)
    total = max(
        (it for it in records if isinstance(it, Total)), key=lambda it: it.slot, default=None
    )
    entries = {it.slot: it for it in records if isinstance(it, Entry)}
    if total is None:
        return tuple(entries.values())
    return (total, *(it for it in entries.values() if it.slot > total.slot))


def start(me: ServerId, quorum: QuorumSystem, records: Iterable[Record]) -> Server:
    """A server with what its disk remembers."""
    total, entries = EMPTY, dict[int, Entry]()
    for record in records:
        if isinstance(record, Entry):
            entries[record.slot] = record
        elif record.slot > total.slot:
            total = record
    behind = tuple(entries[slot] for slot in sorted(entries) if slot > total.slot)
    return Server(me, tuple(sorted(quorum.members)), total, behind)


def receive(state: Server, event: Event) -> Step:
    """One step."""
    if isinstance(event, Append):
        return _append(state, event.number)
    if isinstance(event, Compact):
        return _compact(state)
    if isinstance(event, Resend):
        return _resend(state, event.slot)
    if isinstance(event.message, Entry):
        return _store(state, event.sender, event.message)
    return _count(state, event.sender, event.message.slot)


def _append(state: Server, number: int) -> Step:
    if state.me != state.members[0]:
        return state, NOTHING
    slots = (state.compacted.slot, *(it.slot for it in state.entries))
    entry = Entry(max(slots) + 1, number)
    effects = Broadcast(entry), SetTimer(Resend(entry.slot), 0)
    return evolve(state, entries=(*state.entries, entry)), AfterSave(entry, effects)


def _store(state: Server, sender: ServerId, entry: Entry) -> Step:
    answer = (To(sender, Stored(entry.slot)),)
    held = state.at(entry.slot)
    if held is not None:
        return state, AfterSave(held, answer)
    entries = sorted((*state.entries, entry), key=lambda it: it.slot)
    return evolve(state, entries=tuple(entries)), AfterSave(entry, answer)


def _count(state: Server, sender: ServerId, slot: int) -> Step:
    entry = state.at(slot)
    if (slot, sender) in state.stored or not isinstance(entry, Entry):
        return state, NOTHING
    state = evolve(state, stored=state.stored | {(slot, sender)})
    return state, Now((Tell(entry),)) if _is_committed(state, slot) else NOTHING


def _resend(state: Server, slot: int) -> Step:
    entry = state.at(slot)
    if _is_committed(state, slot) or not isinstance(entry, Entry):
        return state, NOTHING
    return state, AfterSave(entry, (Broadcast(entry), SetTimer(Resend(slot), 0)))


def _compact(state: Server) -> Step:
    slot, total = state.compacted.slot, state.compacted.total
    for entry in state.entries:
        if entry.slot == slot + 1:
            slot, total = entry.slot, total + entry.number
    if slot == state.compacted.slot:
        return state, NOTHING
    compacted = Total(slot, total)
    entries = tuple(it for it in state.entries if it.slot > slot)
    return evolve(state, compacted=compacted, entries=entries), AfterSave(compacted, ())


def _is_committed(state: Server, slot: int) -> bool:
    return all((slot, it) in state.stored for it in state.members)


def _delay(_request: SetTimer[Resend], timeouts: Timeouts) -> tuple[float, float]:
    return timeouts.retry_min_s, timeouts.retry_max_s


def _members(state: Server) -> tuple[ServerId, ...]:
    return state.members


def toy_log() -> ToyLog:
    """The machine."""
    return Machine("toy-log", start, receive, members=_members, delay=_delay, fold=compacting)


KINDS: Kinds[Server, Event, Record] = Kinds(Server, Event, Record, (__name__,))
"""Its types, for recordings."""


# --- for a simulator and its checker ------------------------------------------------------------

BALLOT = Ballot(1, ServerId(1))
"""Every entry is voted for under one ballot, since the primary never changes."""

APPENDS = 4


def votes(said: Record | Message) -> tuple[Vote, ...]:
    """An entry is a vote of the server that has it."""
    return (Vote(said.slot, BALLOT, said.number),) if isinstance(said, Entry) else ()


def proposes(event: Event) -> Proposed | None:
    """A number."""
    return Proposed(event.number) if isinstance(event, Append) else None


def finds(report: Entry) -> tuple[ValueFound]:
    """What is reported is committed."""
    return (ValueFound(report.number, report.slot),)


def keeps(before: Server, after: Server) -> bool:
    """No entry changes, and none is lost but for the total."""
    behind = [it for it in before.entries if it.slot > after.compacted.slot]
    return all(it in after.entries for it in behind)


def covers(disk: tuple[Record, ...], message: Message) -> bool:
    """The slot that a message is about is on the disk."""
    return any(
        it.slot == message.slot if isinstance(it, Entry) else it.slot >= message.slot for it in disk
    )


LogClaims: TypeAlias = Claims[Server, Request, Message, Resend, Record, Entry]
CLAIMS: LogClaims = Claims(votes=votes, proposes=proposes, finds=finds, keeps=keeps, covers=covers)


@frozen
class AppendsAndCompactions(Requests[Server, Request, Entry]):
    """The primary appends APPENDS numbers, one after the other; the others compact."""

    def request(self, place: int, session: int, count: int, report: Entry | None) -> Request | None:
        """The next number, after each start anew; a compaction after each start."""
        if place:
            return Compact()
        if count >= APPENDS or (count and report is None):
            return None
        return Append(APPENDS * session + count)

    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:
        """The primary, if it reaches all servers."""
        primary = min(quorum.members)
        is_able = primary in network.servers and network.around(primary) == quorum.members
        return frozenset({primary} if is_able else ())


LogSetup: TypeAlias = Setup[Server, Request, Message, Resend, Record, Entry]


def log_setup(machine: ToyLog | None = None, *, liveness: bool = False) -> LogSetup:
    """Three servers, simulated."""
    return Setup(
        machine=machine or toy_log(),
        requests=AppendsAndCompactions(),
        quorum=majority(map(ServerId, (1, 2, 3))),
        claims=CLAIMS,
        liveness=liveness,
    )
