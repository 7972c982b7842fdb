"""The replicas of an explored log, of which each step is taken once.

- A process is a replica, its disk, and how often it may still ask for the lead. Equal ones share a
  number. Messages, votes and choices are bits.
- A step is saved at once, so nothing waits. A refusal is lost: it would only end a leadership, and
  a leader whose messages are late does no more than one that has ended.
- A replica is stripped of what cannot matter here: which servers seem to be alive, or to hold how
  much; the beat in which an entry was sent; a highest round from which it draws no ballot. If no
  quorums change, neither does it matter which servers have promised a leader.
- All others seem to be alive, and to have promised a leader: so it goes on when it sends a
  heartbeat.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos import NO_BALLOT, Ballot, From, InvariantError, Nack, Saved, ServerId
from paxos.log import (
    Accept,
    CatchUp,
    Committed,
    HeartbeatTimer,
    Lead,
    Propose,
    invariants,
    replica,
)
from paxos.log.election import Election, Peer
from paxos.log.events import Event, LogTimer, Report
from paxos.log.leader import InFlight, Leading, Preparing, Role
from paxos.log.memory import FIRST_SLOT, Record
from paxos.log.messages import Message
from paxos.log.replica import Replica
from paxos_adapters.log import LogProcess
from paxos_adapters.machine import Process, Sorted
from paxos_lab.claims import Vote
from paxos_lab.explore.cluster import Envelope
from paxos_lab.explore.log_claims import Receiver
from paxos_lab.explore.log_scope import Heartbeats, LogScope, SlotEntry
from paxos_lab.explore.processes import iter_bits
from paxos_lab.machines.log import covers, votes
from paxos_lab.rules import KEPT, SAVED, UNDISTURBED, WINDOW

K = TypeVar("K", bound=Hashable)

Sent: TypeAlias = Envelope[Message[str]]

Leaving: TypeAlias = Sorted[Message[str], LogTimer, Report[str]]


@frozen(cache_hash=True)
class LogProcessState:
    """A replica, its disk, and how many ballots it may still draw."""

    state: Replica[str]
    disk: tuple[Record[str], ...]
    ballots: int


@frozen
class Cast:
    """A vote of ``server``."""

    server: ServerId
    vote: Vote


@frozen
class LogStep:
    """Where ``event`` leads, what it sends, votes for and reports, and a rule that it breaks.

    ``event`` is None for a crash.
    """

    event: Event[str] | None
    process: int
    sent: int = 0
    votes: int = 0
    reports: int = 0
    broken: str | None = None


class Numbered(Generic[K]):
    """Values, numbered in the order in which they came first; and sets of them as bits."""

    def __init__(self) -> None:
        self.all: list[K] = []
        self._numbers: dict[K, int] = {}

    def number(self, it: K) -> int:
        """The number of ``it``, from 0."""
        number = self._numbers.setdefault(it, len(self.all))
        if number == len(self.all):
            self.all.append(it)
        return number

    def bit(self, it: K) -> int:
        """The set of ``it`` alone."""
        return 1 << self.number(it)

    def among(self, bits: int) -> Iterator[K]:
        """The values in ``bits``."""
        return (self.all[bit.bit_length() - 1] for bit in iter_bits(bits))


class LogProcesses:
    """The processes of ``scope`` found so far, all that they have sent, and their steps.

    ``addressed`` are the messages to each server, and ``rivals`` of each request those for another
    entry under the same ballot. ``promised`` is the promise of each process, and ``forgotten`` the
    messages that it ignores from now on. ``caught_up`` are the processes after a CatchUp.
    """

    def __init__(self, scope: LogScope) -> None:
        self.scope = scope
        self.servers = tuple(sorted(scope.members))
        self.known: Numbered[LogProcessState] = Numbered()
        self.sent: Numbered[Sent] = Numbered()
        self.votes: Numbered[Cast] = Numbered()
        self.choices: Numbered[SlotEntry] = Numbered()
        self.addressed = dict.fromkeys(self.servers, 0)
        self.promised: list[Ballot] = []
        self.forgotten: list[int] = []
        self.rivals: dict[int, int] = {}
        self.caught_up: set[int] = set()
        self._receivers: list[tuple[Receiver, ...]] = []
        self._receipts: dict[tuple[int, int], LogStep] = {}
        self._own_steps: dict[int, tuple[LogStep, ...]] = {}
        self._crashed: dict[int, LogStep] = {}

    def start(self) -> tuple[int, ...]:
        """The process with which each server begins."""
        return tuple(self._begin(me, (), self.scope.ballots_of(me)) for me in self.servers)

    def receive(self, number: int, bit: int) -> LogStep:
        """What a message does."""
        key = number, bit
        if key not in self._receipts:
            it = self.sent.all[bit.bit_length() - 1]
            step = self._receipts[key] = self._take(number, From(it.sender, it.message))
            if type(it.message) is CatchUp and step.process != number:
                self.caught_up.add(step.process)
        return self._receipts[key]

    def own_steps(self, number: int) -> tuple[LogStep, ...]:
        """What a replica can do without a message."""
        if number not in self._own_steps:
            events = self._own_events(self.known.all[number])
            self._own_steps[number] = tuple(self._take(number, it) for it in events)
        return self._own_steps[number]

    def crash(self, number: int) -> LogStep:
        """The same replica, started again from its disk."""
        if number not in self._crashed:
            it = self.known.all[number]
            self._crashed[number] = LogStep(None, self._begin(it.state.me, it.disk, it.ballots))
        return self._crashed[number]

    @property
    def taken(self) -> Iterator[tuple[int, LogStep]]:
        """All steps so far, and where they began."""
        yield from [(number, step) for (number, _), step in self._receipts.items()]
        yield from [(number, it) for number, steps in self._own_steps.items() for it in steps]
        yield from self._crashed.items()

    # --- one step -------------------------------------------------------------------------------

    def _begin(self, me: ServerId, disk: tuple[Record[str], ...], ballots: int) -> int:
        state = self.scope.machine.start(me, self.scope.quorum, disk)
        return self._number(LogProcessState(self.plain(state, ballots), disk, ballots))

    def _own_events(self, it: LogProcessState) -> Iterator[Event[str]]:
        scope, state, role = self.scope, it.state, it.state.role
        if it.ballots and state.me in replica.members(state):
            yield Lead()
        if type(role) is Leading and replica.room(state):
            slot = state.memory.first + len(role.in_flight)
            if slot <= scope.slots:
                yield Propose(scope.entry(state.me, slot))
        sends_heartbeats = scope.heartbeats is Heartbeats.ALL or type(role) is Leading
        if scope.heartbeats is not Heartbeats.NONE and sends_heartbeats:
            yield HeartbeatTimer(0)

    def _take(self, number: int, event: Event[str]) -> LogStep:
        machine, before = self.scope.machine, self.known.all[number]
        try:
            process, free = machine.take(Process(before.state, before.disk), event)
        except InvariantError:
            return LogStep(event, number, broken=UNDISTURBED)
        records = process.unsaved
        process, freed = machine.saved(process, Saved(records))
        leaving = machine.sort(process, free + freed)
        me, ballots = before.state.me, before.ballots - (type(event) is Lead)
        state = self.plain(process.state, ballots)
        cast = {self.votes.bit(Cast(me, it)) for record in records for it in votes(record)}
        return LogStep(
            event,
            self._number(LogProcessState(state, process.disk, ballots)),
            self._sent(process, leaving),
            sum(cast),
            self._reports(leaving),
            _broken(before.state, process, leaving),
        )

    def _sent(self, process: LogProcess[str], leaving: Leaving) -> int:
        """The messages that leave, with what is fetched from the disk, and without refusals."""
        messages = [*leaving.messages]
        for report in leaving.reports:
            fetched = self.scope.machine.fetch(process.disk, report) or ()
            messages.extend((it.receiver, it.message) for it in fetched)
        me = process.state.me
        return sum({self._bit(Envelope(me, to, it)) for to, it in messages if type(it) is not Nack})

    def _reports(self, leaving: Leaving) -> int:
        """What is reported as chosen."""
        return sum(
            self.choices.bit((slot, it.value))
            for report in leaving.reports
            if type(report) is Committed
            for slot, it in enumerate(report.proposals, report.slot)
        )

    def plain(self, state: Replica[str], ballots: int) -> Replica[str]:
        """``state`` without what cannot matter, if it may still draw ``ballots``."""
        me, rules, memory = state.me, state.rules, state.memory
        matters = ballots and state.max_round > memory.promised.round
        max_round = state.max_round if matters else 0
        role, hint = self._plain_role(state.role), self.hint(me)
        return Replica(me, rules, memory, role, hint, (), max_round, FIRST_SLOT)

    def _plain_role(self, role: Role[str]) -> Role[str]:
        if type(role) is Leading:
            in_flight = tuple(InFlight(it.entry, 0, it.voters) for it in role.in_flight)
            promised = role.promised if self.scope.change else self.scope.members
            return Leading(role.ballot, promised, 0, in_flight)
        if type(role) is Preparing:
            return evolve(role, found=tuple(sorted(role.found, key=lambda it: it[0])))
        return role

    def hint(self, me: ServerId) -> Election:
        """All others seem to be alive."""
        peers = (Peer(it, NO_BALLOT, in_contact=False) for it in self.servers if it != me)
        return Election(me, peers=tuple(peers))

    # --- what is forgotten ----------------------------------------------------------------------

    def ignores(self, number: int, sent: Sent) -> bool:
        """Whether a process ignores a message from now on, after any crash too: a claim."""
        if sent.receiver != self.known.all[number].state.me:
            return False
        return type(sent.message) in self.scope.forgets and all(
            it.ignores(sent.sender, sent.message) for it in self._receivers[number]
        )

    def _number(self, it: LogProcessState) -> int:
        number = self.known.number(it)
        if number == len(self.forgotten):
            may_lead = it.ballots > 0
            receivers = [Receiver(it.state, may_lead)]
            if self.scope.crashes:
                again = self.scope.machine.start(it.state.me, self.scope.quorum, it.disk)
                receivers.append(Receiver(again, may_lead))
            self._receivers.append(tuple(receivers))
            self.promised.append(it.state.memory.promised)
            ignored = (sent for sent in self.sent.all if self.ignores(number, sent))
            self.forgotten.append(sum(map(self.sent.bit, ignored)))
        return number

    def _bit(self, it: Sent) -> int:
        known = len(self.sent.all)
        bit = self.sent.bit(it)
        if known < len(self.sent.all):
            self.addressed[it.receiver] |= bit
            self.rivals[bit] = 0
            for other in self.sent.all:
                if _are_rivals(it.message, other.message):
                    self.rivals[bit] |= self.sent.bit(other)
                    self.rivals[self.sent.bit(other)] |= bit
            for number in range(len(self.forgotten)):
                if self.ignores(number, it):
                    self.forgotten[number] |= bit
        return bit


def _are_rivals(one: Message[str], other: Message[str]) -> bool:
    """Whether both ask for the same slot under one ballot, for different entries."""
    if type(one) is not Accept or type(other) is not Accept:
        return False
    is_same_place = (one.ballot, one.slot) == (other.ballot, other.slot)
    return is_same_place and one.entry != other.entry


def _broken(before: Replica[str], process: LogProcess[str], leaving: Leaving) -> str | None:
    """The first rule that a step breaks by itself."""
    state = process.state
    try:
        invariants.memory_monotonic(before.memory, state.memory)
        invariants.promise_covers_accepted(state.memory)
    except InvariantError:
        return KEPT
    try:
        invariants.window_holds(state.memory, state.rules.window)
    except InvariantError:
        return WINDOW
    is_saved = all(covers(process.disk, message) for _, message in leaving.messages)
    return None if is_saved else SAVED
