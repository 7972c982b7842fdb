"""Logs of several servers in one process: each event by hand, or all that is under way at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random

from paxos import Broadcast, From, Proposal, Saved, ServerId, SetTimer, To, majority
from paxos.log import CampaignTimer, HeartbeatTimer
from paxos.log.events import LogTimer
from paxos.log.memory import Record, fetched, fold
from paxos.log.messages import Entry
from paxos.log.replica import DEFAULT_RULES
from paxos_adapters.file.entries import LogRecord
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.log_messages import LogMessage, SnapshotOffer
from paxos_adapters.ports import Place
from paxos_adapters.replication.applying import Applied, started
from paxos_adapters.replication.process import LogEffect, LogEvent, LogProcess
from paxos_adapters.replication.program import Program
from paxos_adapters.replication.snapshots import OtherVersion, check_of, codecs_of, restored
from paxos_adapters.replication.snapshots import pieces as pieces_of
from paxos_adapters.replication.starting import replay
from paxos_adapters.state_machine import StateMachine

Counter = StateMachine[int, int, int]
IDS = [ServerId(number) for number in range(1, 6)]


class Disk:
    """What one server has saved of a log: a store of its process, and of its snapshots."""

    def __init__(self) -> None:
        self.records: tuple[Record[bytes], ...] = ()
        self.handle: SnapshotHandle | None = None
        self.pieces: dict[tuple[int, bytes], list[bytes]] = {}

    def fetch(self, slot: int, count: int, size_bytes: int) -> tuple[Proposal[Entry[bytes]], ...]:
        if self.handle is not None and slot < self.handle.slot:
            return ()
        return fetched(self.records, slot, 1 if size_bytes < 1 else count)

    def snapshot(self) -> SnapshotHandle | None:
        return self.handle

    def snapshot_piece(self, handle: SnapshotHandle, index: int) -> bytes:
        return self.pieces[handle.slot, handle.digest][index]

    def save(self, records: Sequence[LogRecord]) -> Saved[LogRecord]:
        for record in records:
            if type(record) is SnapshotHandle:
                self.handle = record
            else:
                self.records = fold(self.records, record)
        return Saved(tuple(records))


class Server:
    """One server of a log: its process, its disk, and its snapshots, taken at once."""

    def __init__(self, world: World, me: ServerId, disk: Disk) -> None:
        self.world = world
        self.me = me
        self.disk = disk
        self.is_slow = False
        """It takes long to save the pieces of a snapshot that comes in."""
        self.sweeps = 0
        self._incoming: tuple[SnapshotOffer, list[bytes]] | None = None
        machine = world.machines.get(me, world.machine)
        codecs = codecs_of(machine)
        self._codecs = codecs
        quorum = majority(IDS[: world.size])
        start: Applied[int, int] | OtherVersion = started(machine, quorum)
        if disk.handle is not None:
            stream = (disk.snapshot_piece(disk.handle, it) for it in range(disk.handle.pieces))
            start = restored(codecs, stream)
        world.starts += 1
        self.program = Program(
            "log", machine, codecs, DEFAULT_RULES.window, start, world.starts, world.snapshot
        )
        if disk.handle is not None:
            first_piece = disk.snapshot_piece(disk.handle, 0)
            self.program.keep(check_of(disk.handle.slot, disk.handle.digest, first_piece))
        while self.program.failure is None:
            if not (found := disk.fetch(self.program.applied.slot, 64, 1 << 15)):
                break
            replay(self.program, codecs, found)
        self.process = LogProcess(Place(me, "log"), quorum, disk.records, self.program, disk, self)
        for timer in self.process.timers:
            world.timers.append((me, timer))

    def take(self, applied: Applied[int, int]) -> None:
        found = list(pieces_of(self._codecs, applied))
        self.process.on_taken(self._stored(applied.slot, found))

    def _stored(self, slot: int, found: list[bytes]) -> SnapshotHandle:
        digest = blake2b(b"".join(found), digest_size=DIGEST_BYTES).digest()
        self.disk.pieces[slot, digest] = found
        return SnapshotHandle(slot, len(found), sum(map(len, found)), digest)

    def begin(self, offer: SnapshotOffer) -> None:
        self._incoming = offer, []

    def put(self, pieces: Sequence[bytes], *, is_last: bool) -> None:
        assert self._incoming is not None
        offer, held = self._incoming
        held += pieces
        if not self.is_slow:
            self.process.on_put()
        if is_last:
            handle = self._stored(offer.slot, held)
            assert (handle.digest, handle.size_bytes) == (offer.digest, offer.size_bytes)
            self.process.install(handle, restored(self._codecs, held))

    def sweep(self) -> None:
        self.sweeps += 1


def nothing_lost(_sender: ServerId, _receiver: ServerId, _message: LogMessage) -> bool:
    return False


class World:
    """Servers 1 to ``size`` that run ``machine``, on a network that delivers what it has.

    ``machines``: those of the servers that start with another one.
    """

    def __init__(self, machine: Counter, size: int = 3, snapshot_bytes: int = 1 << 30) -> None:
        self.machine = machine
        self.machines: dict[ServerId, Counter] = {}
        self.size = size
        self.snapshot = snapshot_bytes
        self.starts = 0
        self.timers: deque[tuple[ServerId, LogTimer]] = deque()
        self.network: deque[tuple[ServerId, ServerId, LogMessage]] = deque()
        self.lost: Callable[[ServerId, ServerId, LogMessage], bool] = nothing_lost
        self.servers: dict[ServerId, Server] = {}
        for me in IDS[:size]:
            self.start(me, Disk())

    def start(self, me: ServerId, disk: Disk) -> Server:
        self.servers[me] = Server(self, me, disk)
        return self.servers[me]

    def crash(self, me: ServerId) -> Disk:
        self.timers = deque((it, timer) for it, timer in self.timers if it != me)
        self.network = deque(it for it in self.network if it[1] != me)
        return self.servers.pop(me).disk

    def receive(self, me: ServerId, event: LogEvent) -> None:
        self._perform(me, self.servers[me].process.receive(event))
        self.settle(me)

    def settle(self, me: ServerId) -> None:
        """Send on what waits, and save."""
        process = self.servers[me].process
        self._perform(me, process.work())
        while records := process.take_unsaved():
            self._perform(me, process.on_saved(self.servers[me].disk.save(records)))
            self._perform(me, process.work())

    def _perform(self, me: ServerId, effects: Sequence[LogEffect]) -> None:
        for effect in effects:
            if type(effect) is To:
                self.network.append((me, effect.receiver, effect.message))
            elif type(effect) is Broadcast:
                for member in self.servers[me].process.members:
                    self.network.append((me, member, effect.message))
            elif type(effect) is SetTimer:
                self.timers.append((me, effect.timer))

    def deliver(self) -> None:
        """All that is under way, and what comes of it, until nothing is."""
        for me in self.servers:
            self.settle(me)
        while self.network:
            sender, receiver, message = self.network.popleft()
            if receiver in self.servers and not self.lost(sender, receiver, message):
                self.receive(receiver, From(sender, message))

    def beat(self, times: int = 1) -> None:
        """So many heartbeats of each server; a campaign comes with them."""
        for _ in range(times):
            due, self.timers = self.timers, deque()
            for me, timer in due:
                if me in self.servers:
                    self.receive(me, timer)
            self.deliver()
            due = deque(it for it in self.timers if type(it[1]) is CampaignTimer)
            self.timers = deque(it for it in self.timers if type(it[1]) is HeartbeatTimer)
            Random(len(self.timers)).shuffle(due)
            for me, timer in due:
                self.receive(me, timer)
                self.deliver()
