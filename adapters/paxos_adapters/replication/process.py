"""One log on one server: its replica, and the program that its commands come from and go to.

- Messages, timers and receipts in; what may leave out. The node saves, sends and sets timers.
- The leader proposes what waits; another server forwards its commands to the leader. When another
  server leads, and when nothing has come of them for a while, all are sent again.
- With each heartbeat the leader looks whether the log is to follow other members: ``following.py``.
- A newcomer asks the servers that the log of members names, and for that log those that its
  configuration names: all that a log began with may be gone.

Source: the lecture, "Multi-Paxos" and "Client protocol".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from attrs import evolve

from paxos import (
    Ballot,
    Broadcast,
    From,
    PaxosError,
    QuorumSystem,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
)
from paxos.errors import assert_never
from paxos.log import (
    CatchUpRequest,
    Command,
    Committed,
    Elected,
    Fetch,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Propose,
    Readable,
    SnapshotInstalled,
    replica,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Following, Leading
from paxos.log.memory import Record
from paxos.log.messages import Message
from paxos.log.replica import DEFAULT_RULES, Replica
from paxos_adapters.driving import Driver
from paxos_adapters.file.entries import LogRecord
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.log import Log, LogDriver, LogObserver, log
from paxos_adapters.log_messages import (
    Forward,
    HasVersions,
    LogMessage,
    ReadIndexReply,
    ReadIndexRequest,
    SnapshotOffer,
    SnapshotPiece,
    SnapshotRequest,
)
from paxos_adapters.machine import Effect
from paxos_adapters.ports import Place
from paxos_adapters.replication.announcing import Announcements
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.batches import (
    Check,
    SnapshotDue,
    VersionChange,
    batch,
    encoded,
    items_of,
)
from paxos_adapters.replication.figures import LogFigures, LogStatus
from paxos_adapters.replication.following import Follows, Proposes, decide
from paxos_adapters.replication.incoming import Incoming, Snapshots
from paxos_adapters.replication.membership import Wanted
from paxos_adapters.replication.own_snapshot import OwnSnapshot
from paxos_adapters.replication.patience import Patience
from paxos_adapters.replication.program import Program
from paxos_adapters.replication.proposals import Proposals
from paxos_adapters.replication.providing import LogStore, Provider
from paxos_adapters.replication.reads import Remote
from paxos_adapters.replication.snapshots import OtherVersion, check_of
from paxos_adapters.replication.versions import Versions
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.wire.fitting import fitted

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

LogEffect: TypeAlias = To[LogMessage] | Broadcast[LogMessage] | SetTimer[LogTimer]
"""What the node is to do."""

LogEvent: TypeAlias = From[LogMessage] | LogTimer
"""What the node has for a log."""


def _unheard(_name: str, _epoch: int) -> None:
    pass


class LogProcess(Generic[S, C, R]):
    """One log on one server. What its methods return may leave.

    ``on_followed`` is called with the name of the log and an epoch of the members, once or more
    often, when the log is done with that epoch.
    """

    def __init__(
        self,
        place: Place,
        quorum: QuorumSystem,
        records: Sequence[Record[bytes]],
        program: Program[S, C, R],
        store: LogStore,
        snapshots: Snapshots[S, R],
        observer: LogObserver[bytes] | None = None,
    ) -> None:
        """Start from ``records``, what the file has of the replica."""
        self.place = place
        self.program = program
        machine: Log[bytes] = log(evolve(DEFAULT_RULES, lease=program.leases.hold_ms))
        machine = evolve(machine, fold=_nothing_kept)
        self._driver: LogDriver[bytes] = Driver(machine, place, quorum, records, observer)
        self.timers: tuple[LogTimer, ...] = machine.first
        self._store = store
        self._provider = Provider(store, self.state.rules.piece)
        self._snapshots = snapshots
        self._proposals = Proposals()
        self._versions = Versions(program.versions)
        self._out: list[LogEffect] = []
        self._leader: Ballot | None = None
        self._leaders = 0
        self._commands_before = program.commands
        self._announcements = Announcements(self.state.memory.first)
        self._patience = Patience()
        self._saving = 0
        self._incoming = Incoming(snapshots)
        self._own = OwnSnapshot(self.state.memory.first, store.snapshot())
        self.on_followed: Callable[[str, int], None] = _unheard
        self._servers = frozenset[ServerId]()
        self._wanted: Wanted | None = None

    @property
    def state(self) -> Replica[bytes]:
        """The replica after the last step; some of it may wait for a save."""
        return self._driver.process.state

    @property
    def members(self) -> Iterable[ServerId]:
        """The servers that a Broadcast reaches."""
        return self._driver.machine.members(self.state)

    @property
    def quorums(self) -> tuple[QuorumSystem, ...]:
        """The quorum systems that govern the next slots."""
        return tuple([it.quorum for it in self.state.memory.configurations])

    def delay(self, timer: SetTimer[LogTimer], timeouts: Timeouts) -> tuple[float, float]:
        """The least and the greatest delay of a timer."""
        return self._driver.machine.delay(timer, timeouts)

    # --- events -----------------------------------------------------------------------------------

    def receive(self, event: LogEvent) -> list[LogEffect]:
        """Take one event. Raises InvariantError."""
        if type(event) is not From:
            if type(event) is not HeartbeatTimer:
                return self._take(event)
            self._on_beat()
            versions = Broadcast(self._versions.message)
            return [*self._take(event), versions, *self._follow()]
        sender, message = event.sender, event.message
        if type(message) is Forward:
            return self._on_forward(sender, message)
        if type(message) is ReadIndexRequest:
            return self._on_read_index_request(sender, message)
        if type(message) is ReadIndexReply:
            self.program.reads.on_answer(message.number, message.first)
            self.program.look()
            return []
        if type(message) is SnapshotOffer:
            return [*self._incoming.on_offer(sender, message, self.state.memory.first)]
        if type(message) is SnapshotRequest:
            return [*self._provider.on_request(sender, message)]
        if type(message) is SnapshotPiece:
            self._incoming.on_piece(sender, message)
            return []
        if type(message) is HasVersions:
            self._versions.on_said(sender, message)
            return []
        return self._take(From(sender, message))

    def _take(self, event: From[Message[bytes]] | LogTimer | Request[bytes]) -> list[LogEffect]:
        return self._sorted(self._driver.take(event))

    def take_unsaved(self) -> list[LogRecord]:
        """What is to be saved now, in this order, and handed back to ``on_saved``."""
        waiting = self._driver.process.waiting[self._saving :]
        self._saving += len(waiting)
        return self._own.take([it.record for it in waiting], self.program.consistency.checked)

    def on_saved(self, receipt: Saved[LogRecord]) -> list[LogEffect]:
        """What was taken to be saved is durable."""
        count, self._saving = self._saving, 0
        if self._own.on_saved(receipt.records):
            self._snapshots.sweep()
        waited = tuple([it.record for it in self._driver.process.waiting[:count]])
        return self._sorted(self._driver.stored(receipt.part(waited), count))

    def on_taken(self, handle: SnapshotHandle) -> None:
        """A snapshot of what is applied here is in the file: it will stand for the slots below.

        If it differs from what was chosen, it will not. The leader has it checked by the others.
        """
        check = self._check_of(handle)
        self.program.keep(check)
        if self.program.failure is not None:
            return
        self._own.on_taken(handle)
        is_asked = handle.slot == self.program.consistency.asked_at
        can_compare = is_asked or self._versions.of_all(self.members) is not None
        if check is not None and can_compare and type(self.state.role) is Leading:
            self._proposals.add(encoded(check))

    def _check_of(self, handle: SnapshotHandle) -> Check | None:
        return check_of(handle.slot, handle.digest, self._store.snapshot_piece(handle, 0))

    def _sorted(
        self, effects: Iterable[Effect[Message[bytes], LogTimer, Report[bytes]]]
    ) -> list[LogEffect]:
        """What is for the node. What is for the program is carried out."""
        out: list[LogEffect] = []
        for effect in effects:
            if type(effect) is Tell:
                out += self._on_report(effect.report)
            elif type(effect) is To:
                out.append(To(effect.receiver, fitted(effect.message)))
            else:
                out.append(effect)
                if type(effect) is Broadcast and type(effect.message) is Heartbeat:
                    out += self._to_others(effect.message)
        return out

    def _on_report(self, report: Report[bytes]) -> list[LogEffect]:
        if type(report) is Committed:
            self.program.commit(report.slot, report.proposals)
        elif type(report) is Fetch:
            return [*self._provider.on_fetch(report)]
        elif type(report) is Readable:
            remote = self.program.reads.on_answer(report.number, report.first)
            self.program.look()
            return [To(it.server, ReadIndexReply(it.number, report.first)) for it in remote]
        elif type(report) is not Elected:
            assert_never(report)
        return []

    # --- commands and reads -----------------------------------------------------------------------

    def work(self) -> list[LogEffect]:
        """Send on what waits, as far as it can be now: the last thing in a turn."""
        out, self._out = self._out, []
        return [*out, *self._work()]

    def _work(self) -> list[LogEffect]:
        due = self.program.take_due()
        if due is not None:
            self._incoming.on_due(due.slot)
            if not self._provider.is_sending or due.slot == self.program.consistency.asked_at:
                self._snapshots.take(due)
        leader = self._leader_now()
        if leader != self._leader:
            self._leader = leader
            self._leaders += leader is not None
            self._send_again()
        if type(self.state.role) is Following:
            self._proposals.clear()
        if leader is None:
            return []
        if leader.server != self.place.server:
            return self._ask(leader.server)
        return [*self._propose(), *self._read(), *self._announcements.due(self.state)]

    def _leader_now(self) -> Ballot | None:
        """The ballot that commands go to; None if no server is known to lead."""
        if type(self.state.role) is Leading:
            return self.state.role.ballot
        follows = self.state.election.follows
        return None if follows.server == self.place.server or not follows.round else follows

    def _on_beat(self) -> None:
        """What another server leads and has not answered for a while is sent again."""
        self._provider.on_beat()
        self._propose_version()
        self._make_snapshot_due()
        if self.program.failure is None:
            self._own.on_beat()
        self._announcements.on_beat()
        leader = self._leader
        is_asked = leader is not None and leader.server != self.place.server
        if self._patience.is_over(self.program.waiting if is_asked else None):
            self._send_again()

    def _send_again(self) -> None:
        self._patience.on_sent()
        for source in self.program.sources:
            source.send_again()
        self.program.reads.ask_again()

    def _ask(self, leader: ServerId) -> list[LogEffect]:
        out: list[LogEffect] = []
        for source in self.program.sources:
            while source.is_due and (items := source.take()) is not None:
                out.append(To(leader, Forward(batch([items]))))
        number = self.program.reads.next_question()
        if number is not None:
            out.append(To(leader, ReadIndexRequest(number)))
        return out

    def _propose(self) -> list[LogEffect]:
        for source in self.program.sources:
            while not self._proposals.is_full and (items := source.take()) is not None:
                self._proposals.add(items)
        out: list[LogEffect] = []
        while self._proposals and replica.room(self.state):
            if not self._proposals.is_due(*self._in_flight()):
                break
            out += self._take(Propose(Command(self._proposals.take())))
            self._announcements.first = self.state.memory.first
        return out

    def _propose_version(self) -> None:
        """Have the highest version run that all members have; once more with each heartbeat."""
        version, program = self._versions.of_all(self.members), self.program
        if version is None or version <= program.applied.version or program.failure is not None:
            return
        if type(self.state.role) is Leading:
            self._proposals.add(encoded(VersionChange(version)))

    def _make_snapshot_due(self) -> None:
        """Have all servers take a snapshot after one slot, if a caller waits for a check."""
        leader = self._leader_now()
        if leader is None or not self.program.consistency.is_asked():
            return
        due = encoded(SnapshotDue())
        if leader.server == self.place.server:
            self._proposals.add(due)
        else:
            self._out.append(To(leader.server, Forward(batch([due]))))

    def _in_flight(self) -> tuple[int, int]:
        """How many entries are in flight, and their bytes."""
        role = self.state.role
        assert type(role) is Leading
        entries = [it.entry for it in role.in_flight]
        return len(entries), sum(len(it.value) for it in entries if type(it) is Command)

    def _read(self) -> list[LogEffect]:
        number = self.program.reads.next_question()
        return [] if number is None else self._take(self.program.leases.read(number))

    def _on_forward(self, sender: ServerId, message: Forward) -> list[LogEffect]:
        if type(self.state.role) is not Following and (items := items_of(message.batch)):
            self._proposals.add(items)  # A candidate keeps them until it leads.
            self._announcements.on_forward(sender)
        return []

    def _on_read_index_request(
        self, sender: ServerId, message: ReadIndexRequest
    ) -> list[LogEffect]:
        if type(self.state.role) is not Leading or self.program.reads.is_full:
            return [To(sender, ReadIndexReply(message.number, None))]
        self.program.reads.add(Remote(sender, message.number))
        return []

    # --- members ----------------------------------------------------------------------------------

    def follow(self, servers: frozenset[ServerId], wanted: Wanted | None) -> None:
        """A newcomer asks ``servers``; ``wanted`` is None if the log is done with their epoch."""
        self._servers, self._wanted = servers, wanted

    def _follow(self) -> list[LogEffect]:
        if self._wanted is None:
            return []
        decision = decide(self.state, self._wanted)
        if type(decision) is Follows:
            self.on_followed(self.place.name, self._wanted.epoch)
        entries = decision.entries if type(decision) is Proposes else ()
        return [it for entry in entries for it in self._take(Propose(entry))]

    def _to_others(self, heartbeat: Heartbeat) -> list[LogEffect]:
        """What a newcomer sends to servers that it does not know by the log itself."""
        state = self.state
        known = replica.members(state)
        others = sorted(self._servers - known - {self.place.server})
        if self.place.server in known or not others:
            return []
        asked = others[state.election.beat % len(others)]
        request = To(asked, CatchUpRequest(state.memory.first))
        return [*(To(it, heartbeat) for it in others), request]

    # --- what this server lacks -------------------------------------------------------------------

    def on_put(self) -> None:
        """Pieces are saved: ask for the next ones, with the next ``work``."""
        self._out += self._incoming.take_next()

    def install(self, handle: SnapshotHandle, snapshot: Applied[S, R] | OtherVersion) -> None:
        """Go on from a snapshot, all pieces of which are in the file; with the next ``work``."""
        self._incoming.end()
        if handle.slot > self.state.memory.first:
            self._own.on_installed(handle)
            installed = SnapshotInstalled(handle.slot, snapshot.configurations)
            self._out += self._take(installed)
            self.program.install(snapshot)
            self.program.keep(self._check_of(handle))

    def give_up_install(self) -> None:
        """The snapshot cannot be used: another one may come."""
        self._incoming.give_up()

    def lead(self) -> None:
        """Campaign, even if another server leads; with the next ``work``. Raises UnknownServer."""
        self._out += self._take(Lead())

    def status(self) -> LogStatus:
        """How it is now."""
        state, program = self.state, self.program
        return LogStatus(
            self._leader,
            type(state.role) is Leading,
            state.memory.first,
            program.applied.slot,
            self._own.floor,
            len(program.submissions),
            program.submissions.unresolved,
            None if program.failure is None else str(program.failure),
            program.applied.version,
            self._versions.of_all(self.members),
            program.consistency.checked or None,
            program.leases.remaining_s(state),
            self._figures(),
        )

    def _figures(self) -> LogFigures:
        state = self.state
        proposed = len(state.role.in_flight) if type(state.role) is Leading else 0
        held = {**replica.progress(state), self.place.server: self._own.durable}
        return LogFigures(
            held,
            max(proposed, len(state.memory.open)),
            state.rules.window,
            self._own.age_s,
            self.program.commands - self._commands_before,
            self.program.reads.answered,
            self._leaders,
        )

    def end(self, error: PaxosError) -> None:
        """The process has ended, and with it all that wait."""
        self.program.end(error)
        self._driver.stop(f"{type(error).__name__}: {error}")


def _nothing_kept(
    _disk: tuple[Record[bytes], ...], _record: Record[bytes]
) -> tuple[Record[bytes], ...]:
    """The file has it: a long log takes no memory here."""
    return ()
