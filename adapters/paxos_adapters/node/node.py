"""A node: one server of a cluster on UDP and a file, with any number of named decisions.

    network = NetworkConfig(addresses, protection=Authenticated(keyring))
    async with Node(file, network, codec=TEXT) as node:
        value = await node.propose("leader", "me")
        assert await node.read("leader") == Found(value)

- A turn: take what has arrived, step through all of it, send what is free, save the rest at once.
  While a save is in progress the next turns go on; what they have to save goes together into the
  next one.
- A message to itself does not leave the node.
- It votes, asks and answers once enough peers have acknowledged its session: ``registration.py``.
  Requests of programs wait until then.
- Values are encoded and decoded at the edge, for the caller: see ``values.py``. Inside are bytes.
- A save that fails, proof that some server broke the protocol, and every other exception that is
  not expected stop the node for good: whatever the event loop calls here is guarded.
- A timeout or a cancellation does not take back what was begun: its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from random import Random
from types import NoneType
from typing import Generic, Self, TypeVar

from paxos import (
    NO_BALLOT,
    Broadcast,
    Done,
    From,
    Nack,
    PaxosError,
    RetryTimer,
    Saved,
    ServerId,
    SetTimer,
    To,
    server,
)
from paxos.errors import assert_never
from paxos.log.events import LogTimer
from paxos.log.messages import CatchUpRequest
from paxos.server import ServerTimer
from paxos_adapters import arguments, forks
from paxos_adapters.file import FileStore, NotALog, SaveFailed
from paxos_adapters.file.entries import AnyEntry, AnyRecord, Entry, LogEntry
from paxos_adapters.guard import Guard
from paxos_adapters.host import ServerStopped
from paxos_adapters.limits import MEMBERS_LOG, RESERVED
from paxos_adapters.log import LogObserver
from paxos_adapters.log_messages import AnyMessage, LogMessage, is_for_decision, is_for_log
from paxos_adapters.node.decisions import Decisions
from paxos_adapters.node.epochs import MembersLog
from paxos_adapters.node.logs import Due, LogClosed, LogRunning, Logs, NameOfLog, Running
from paxos_adapters.node.members import Members
from paxos_adapters.node.ports import Links, NodeFile
from paxos_adapters.node.saving import INLINE_SAVE_S, AdaptiveSaver
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.timers import TimerWheel
from paxos_adapters.node.tolerance import needed, tolerance
from paxos_adapters.ports import Codec, Observer
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.membership import Membership
from paxos_adapters.replication.membership import addresses as addresses_of
from paxos_adapters.replication.membership import machine as machine_of_members
from paxos_adapters.replication.membership import steps as steps_of
from paxos_adapters.replication.served import ServedLog
from paxos_adapters.replication.snapshots import codecs_of
from paxos_adapters.replication.starting import SNAPSHOT_BYTES, LogRun, recovered
from paxos_adapters.requests.errors import (
    TOO_LATE,
    NoAnswer,
    NodeClosed,
    NotStarted,
    OutcomeUnknown,
)
from paxos_adapters.requests.values import Found, Values
from paxos_adapters.single import SingleObserver
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Lease, Timeouts, delay_range, drawn
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.endpoint import SocketAddress
from paxos_adapters.udp.errors import BadName, check_name
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.udp.sessions import Registering

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")
_logger = logging.getLogger(__name__)


class BaseNode(Generic[V]):
    """One server, on any memory and any links: ``Node`` and ``MemoryNode`` say which."""

    def __init__(
        self,
        file: NodeFile,
        links: Links,
        *,
        codec: Codec[V],
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        random: Random | None = None,
        inline_save_s: float = INLINE_SAVE_S,
        observer: SingleObserver[bytes] | None = None,
    ) -> None:
        """Raises BadNumber; BadArgument for an object of another type."""
        self._inline_save_s = arguments.seconds("inline_save_s", inline_save_s)
        arguments.fits("codec", codec, Codec)
        arguments.one_of("timeouts", timeouts, Timeouts)
        arguments.one_of("random", random, Random, NoneType)
        if observer is not None:
            arguments.fits("observer", observer, Observer)
        self.me = file.identity.server
        self.file = file
        self._values = Values(codec)
        self.quorum = file.quorum
        self._links = links
        self._timeouts = timeouts
        self._random = Random() if random is None else random
        self._logs = Logs()
        self.members = Members(self, self._logs, links.configured, links.check_address)
        self.guard = Guard(self._stop)
        self._turn, self._turn_end = self.guard(self._take_turn), self.guard(self._finish_turn)
        self._decisions = Decisions(
            file,
            links,
            self.guard,
            self._turn,
            timeouts=timeouts,
            random=self._random,
            observer=observer,
        )
        self._log_alarms = TimerWheel(self._ring_logs, self.guard)
        self._is_woken = False
        self._saver: AdaptiveSaver[AnyEntry, AnyRecord] | None = None
        self._stopped: ServerStopped | None = None
        self._process = os.getpid()
        self._end = asyncio.Event()

    # --- start and stop ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen.

        Raises AddressError, ThreadNotStarted, Failed if nothing can be saved, and StoreAlreadyUsed
        if this open file was served before.
        """
        self._links.acquire_file()
        self._loop = asyncio.get_running_loop()
        try:
            self._saver = AdaptiveSaver(
                lambda it: self.file.save_all(it),
                self._inline_save_s,
                self.guard,
                save_now=lambda it: self.file.save_all(it, wait=False),
            )
        except BaseException:
            self._links.release_file()
            raise
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def _open(self) -> None:
        self._decisions.resume()
        self.file.save_all(())  # One that is closed, or has failed, is refused here.
        await self.members.recover()  # The first datagram says what the file has of the members.
        await self._links.open(self._hear, self._turn, self.guard)
        if self._stopped is not None:
            raise self._stopped

    async def __aexit__(self, *_: object) -> None:
        """Let go, as ``close`` does."""
        await self.close()

    async def close(self) -> None:
        """Finish the save in progress, and let go. Calls that still wait end at once.

        In a forked process there is nothing to close.
        """
        if self._saver is not None and os.getpid() == self._process:
            self._stop(NodeClosed())
            await self._saver.close()
            await self._links.wait_closed()
            await self.members.wait_ended()

    async def stopped(self) -> ServerStopped:
        """Wait until the node has stopped, by itself or since it was closed, and say why.

        Raises Forked.
        """
        forks.check(self._process, self.file.path)
        await self._end.wait()
        assert self._stopped is not None
        return self._stopped

    @property
    def place(self) -> SocketAddress:
        """Where it listens, as the system says it. Raises Forked."""
        forks.check(self._process, self.file.path)
        return self._links.endpoint.local_address

    def _stop(self, cause: BaseException) -> None:
        if self._stopped is None:
            self._stopped = ServerStopped(self.me, cause)
            self._end.set()
            if not isinstance(cause, NodeClosed):
                facts = {"event": "stopped", "server": self.me, "reason": type(cause).__name__}
                is_foreseen = isinstance(cause, PaxosError)
                trace = None if is_foreseen else cause
                _logger.critical("%s", self._stopped, extra=facts, exc_info=trace)
            self.file.stop_waiting()
            self._decisions.questions.end(self._stopped)
            self._logs.end(self._stopped)
            self.members.end()
            self._links.close()

    # --- what programs ask ----------------------------------------------------------------------

    def propose(
        self, name: str, value: V, *, timeout_s: float | None = None
    ) -> Coroutine[object, object, V]:
        """Get a value chosen for ``name``: ``value``, unless another one is or may be already.

        The call itself encodes ``value``: from then on the object is the caller's again, before
        anything is awaited. With nothing begun it raises NotStarted, ServerStopped, BadName,
        BadNumber, TooLarge, and BadValue for a value that the codec does not bring back equal.

        Awaited, it returns what is chosen. Raises OutcomeUnknown after ``timeout_s``, or if the
        node stops before there is an answer; Undecodable for another value that is chosen, if the
        codec does not know it; with nothing begun TooManyRequests and ServerStopped.

        Too late, or cancelled, what was begun goes on until there is an answer, or the
        members change, and ``status().unresolved`` counts it. The CancelledError has a note that
        says so, which ``asyncio.wait_for`` and ``asyncio.timeout`` show as the cause of their
        TimeoutError. ``read(name)`` waits for what comes of it.
        """
        timeout_s = self._check_decision(name, timeout_s)
        return self._propose(name, self._values.encode(name, value), timeout_s)

    async def _propose(self, name: str, encoded: bytes, timeout_s: float | None) -> V:
        self._check(name)
        answer = self._decisions.questions.propose(name, encoded)
        report = await self._decisions.answer(name, answer, timeout_s, OutcomeUnknown)
        assert type(report) is Done
        return self._values.decode(name, report.value)

    async def read(self, name: str, *, timeout_s: float | None = None) -> Found[V] | None:
        """What is chosen for ``name``; None if nothing was when it was asked.

        While a proposal of this node for ``name`` is in progress, it waits for the outcome and
        returns the value that is chosen. It does so, too, if the caller of that proposal has left.

        Raises NoAnswer after ``timeout_s`` or if the node stops; Undecodable if the codec does not
        know the value; BadName, BadNumber, TooManyRequests, NotStarted and ServerStopped.
        """
        encoded = await self.read_encoded(name, timeout_s=timeout_s)
        return None if encoded is None else Found(self._values.decode(name, encoded))

    async def read_encoded(self, name: str, *, timeout_s: float | None = None) -> bytes | None:
        """The same, as the codec wrote it. Raises as ``read`` does, but for Undecodable."""
        timeout_s = self._check_decision(name, timeout_s)
        answer = self._decisions.questions.read(name)
        report = await self._decisions.answer(name, answer, timeout_s, NoAnswer)
        return report.value if type(report) is Done else None

    async def watch(self, name: str, *, timeout_s: float | None = None) -> V:
        """What is chosen for ``name``, as soon as something is: asks now and then until it is.

        Raises as ``read`` does.
        """
        timeout_s = self._check_decision(name, timeout_s)
        attempt = 0
        try:
            async with asyncio.timeout(timeout_s):
                while (found := await self.read(name)) is None:
                    await self._pause(name, attempt)
                    attempt += 1
                return found.value
        except NoAnswer:
            raise
        except TimeoutError:
            raise NoAnswer(name, TOO_LATE) from None

    async def _pause(self, name: str, attempt: int) -> None:
        """Wait as long as a proposal would before its next attempt.

        Raises NoAnswer as soon as the node stops.
        """
        timer = SetTimer[ServerTimer](RetryTimer(NO_BALLOT), attempt)
        with suppress(TimeoutError):
            async with asyncio.timeout(drawn(delay_range(timer, self._timeouts), self._random)):
                await self._end.wait()
        if self._stopped is not None:
            raise NoAnswer(name, str(self._stopped)) from self._stopped

    # --- logs -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def log(
        self,
        name: str,
        machine: StateMachine[S, C, R],
        *,
        snapshot_bytes: int = SNAPSHOT_BYTES,
        observer: LogObserver[bytes] | None = None,
    ) -> AsyncGenerator[ReplicatedLog[S, C, R], None]:
        """Take part in the replicated log ``name``, until left: every server runs its commands.

        A snapshot is due after ``snapshot_bytes`` of entries. Raises MissingCodec, LogRunning,
        NotALog for the name of a decision, BadName, BadNumber, BadArgument, BadSnapshot,
        NotStarted, ServerStopped, ThreadNotStarted, and what loading raises.
        """
        self._check(name)
        arguments.whole("snapshot_bytes", snapshot_bytes)
        codecs_of(machine)
        if name in self._logs:
            raise LogRunning(name)
        async with self._run_log(name, machine, snapshot_bytes, observer) as log:
            yield log

    @asynccontextmanager
    async def _run_log(
        self,
        name: str,
        machine: StateMachine[S, C, R],
        snapshot_bytes: int = SNAPSHOT_BYTES,
        observer: LogObserver[bytes] | None = None,
    ) -> AsyncGenerator[ReplicatedLog[S, C, R], None]:
        codecs, quorum = codecs_of(machine), await self.members.founding_quorum(name)
        found = await asyncio.to_thread(
            recovered, self.file, name, machine, codecs, snapshot_bytes, quorum
        )
        self.check_usable()
        if name in self._decisions:
            raise NotALog(name, is_log=False)
        run = LogRun(self, self.file, name, machine, codecs, found, observer)
        try:
            self._logs.add(run.process, run.served)
            self.members.on_entered(run.process)
            self.wake()
            yield run.log
        finally:
            run.close()
            self._logs.remove(run.process, LogClosed(name))
            self.members.on_left(name)

    # --- members ----------------------------------------------------------------------------------

    def log_of_members(self) -> AbstractAsyncContextManager[MembersLog]:
        """See ``members.MembersHost``."""
        return self._run_log(MEMBERS_LOG, machine_of_members(self.file.quorum))

    @property
    def advertised(self) -> Address:
        """See ``members.MembersHost``."""
        host, port = self._links.configured[self.me]
        return host, port or int(self.place[1])  # Port 0 stands for any that was free.

    def link(self, state: Membership) -> None:
        """See ``members.MembersHost``."""
        former = state.former - {it.server for it in state.leaving}
        known = {it: at for it, at in addresses_of(state).items() if at is not None}
        told = self._links.configured | known  # What is configured may be all that is up.
        addresses = {it: at for it, at in told.items() if it not in former}
        # Newcomers do not count before the change is finished: one that is down stops nobody.
        quorum = state.before[0] if state.before else state.quorum
        self._links.set_members(
            addresses, quorum, former=former, epoch=state.epoch, steps=steps_of(state)
        )

    async def suspend_decisions(self) -> None:
        """See ``epochs.EpochsHost``."""
        self._decisions.suspend()
        while self._decisions.is_saving:
            await self.pause()

    def resume_decisions(self) -> None:
        """See ``epochs.EpochsHost``."""
        self._decisions.resume()
        self.wake()

    def is_log(self, name: str) -> bool:
        """See ``epochs.EpochsHost``."""
        return name in self._logs or self.file.has_log(name)

    async def pause(self) -> None:
        """See ``epochs.EpochsHost``."""
        await asyncio.sleep(self._timeouts.heartbeat_s)

    @property
    def teachers(self) -> frozenset[ServerId]:
        """See ``members.MembersHost``."""
        return self._links.registration.teachers

    def ask_for_members(self, peers: frozenset[ServerId], first: int) -> None:
        """See ``members.MembersHost``."""
        for peer in sorted(peers):
            self._links.enqueue(peer, MEMBERS_LOG, CatchUpRequest(first))
        self.wake()

    @property
    def served(self) -> Mapping[str, ServedLog]:
        """The logs that run, by name, as clients use them."""
        return self._logs.served

    def on_missing_log(self, call: Callable[[str], None]) -> None:
        """Have ``call`` called with the name of a log that is asked for and does not run here."""
        self._logs.on_missing = call
        self.members.ask_for_logs()

    def ask_for_log(self, name: str) -> None:
        """A client asks for a log that does not run here."""
        self._logs.on_missing(name)

    @property
    def lease(self) -> Lease | None:
        """See ``replication.log.Host``."""
        return self._timeouts.lease

    def on_submitted(self, call: Callable[[str, float], None]) -> None:
        """Have ``call`` called for each submission to a log that was answered.

        With the name of the log, and the time in seconds that it took.
        """
        self._logs.on_submitted = call

    @property
    def stopwatch(self) -> Callable[[str, float], None] | None:
        """See ``replication.log.Host``."""
        return self._logs.on_submitted

    def check_usable(self) -> None:
        """See ``replication.log.Host``; raises NotStarted, too."""
        forks.check(self._process, self.file.path)
        if self._saver is None:
            raise NotStarted
        if self._stopped is not None:
            raise self._stopped

    def wake(self) -> None:
        """See ``replication.log.Host``."""
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._turn)

    def deliver(self, call: Callable[[], None]) -> None:
        """See ``replication.log.Host``."""
        with suppress(RuntimeError):  # The event loop has ended.
            self._loop.call_soon_threadsafe(self.guard(call))

    def on_snapshot_failed(self, name: str, error: Exception) -> None:
        """See ``replication.log.Host``."""
        if isinstance(error, SaveFailed):
            self._stop(error)
        elif self._stopped is None:
            facts = {"event": "snapshot", "server": self.me, "log": name}
            text = "no snapshot of the log %r: %s. It keeps its entries, and goes on"
            _logger.error(text, name, error, exc_info=error, extra=facts)

    def state(self, name: str) -> server.Server[bytes]:
        """What this server holds and knows of ``name``, encoded; some may wait for a save.

        Raises BadName, NotStarted and ServerStopped, and what loading raises.
        """
        self._check_decision(name)
        return self._decisions.state(name)

    def status(self) -> Status:
        """How it is now. Raises NotStarted and Forked."""
        forks.check(self._process, self.file.path)
        if self._saver is None:
            raise NotStarted
        peers = self._links.peers()
        up = frozenset(it for it, peer in peers.items() if peer.is_up) | {self.me}
        quorum = self._links.registration.quorum
        return Status(
            self.me,
            peers,
            tolerance(quorum, up) if self._stopped is None else -1,
            self.file.saves,
            len(self._decisions),
            len(self._decisions.questions),
            {reason.name.lower(): times for reason, times in self._links.refused.items()},
            {**self._links.endpoint.counts, **self._decisions.dropped},
            self._decisions.promised,
            self._links.endpoint.buffers,
            self._descent(),
            None if self._stopped is None else str(self._stopped),
            in_memory_bytes=self._decisions.size_bytes,
            unresolved=self._decisions.questions.unresolved,
            waits=None if (wait := self.file.waits) is None else str(wait),
            needed=needed(quorum, up),
        )

    def _descent(self) -> Descent:
        it = self._links.registration
        return Descent(tuple(sorted(it.missing)), it.is_proven, it.is_open)

    def _check_decision(self, name: str, timeout_s: float | None = None) -> float | None:
        """The same, for a name that must not be that of a log."""
        timeout_s = self._check(name, timeout_s)
        if self.is_log(name):
            raise NameOfLog(name)
        return timeout_s

    def _check(self, name: str, timeout_s: float | None = None) -> float | None:
        """``timeout_s``, checked like all else that a program passes in."""
        self.check_usable()
        check_name(name)
        if name.startswith(RESERVED):
            raise BadName(name)
        return arguments.timeout(timeout_s)

    # --- a turn ---------------------------------------------------------------------------------

    def _hear(self, sender: ServerId, name: str, message: AnyMessage) -> None:
        if is_for_log(message):
            if name in self._logs:
                self._logs.hear(name, From(sender, message))
            elif name == MEMBERS_LOG:
                self.members.use()
            else:
                self._links.endpoint.counts["no such log here"] += 1
                self._logs.on_missing(name)
        elif type(message) is Nack and name in self._logs:
            self._logs.hear(name, From(sender, message))
        elif is_for_decision(message) and not self.is_log(name):
            self._decisions.hear(sender, name, message)

    def _take_turn(self) -> None:
        """Step through what has come, send what is free, and save what waits."""
        self._is_woken = False
        has_answered = self._decisions.turn(lambda: self._is_open)
        self._take_turn_of_logs()
        if has_answered:
            # A caller that was answered may ask more: what follows shares the datagrams.
            self._loop.call_soon(self._turn_end)
        else:
            self._finish_turn()

    def _take_turn_of_logs(self) -> None:
        if self._may_log:
            self._perform_all(self._logs.turn())
        while self._logs.has_events and self._may_log:
            self._perform_all(self._logs.turn())
        self.members.look()

    def _perform_all(self, due: Iterable[Due]) -> None:
        for log, effect in due:
            name = log.place.name
            if type(effect) is To:
                self._post_to_log(effect.receiver, name, effect.message)
            elif type(effect) is Broadcast:
                for member in log.members:
                    self._post_to_log(member, name, effect.message)
            elif type(effect) is SetTimer:
                delay_s = drawn(log.delay(effect, self._timeouts), self._random)
                self._log_alarms.set((log, effect.timer), delay_s)
            else:
                assert_never(effect)

    def _post_to_log(self, receiver: ServerId, name: str, message: LogMessage) -> None:
        if receiver != self.me:
            self._links.enqueue(receiver, name, message)
        elif name in self._logs:
            self._logs.hear(name, From(self.me, message))

    def _finish_turn(self) -> None:
        if self._stopped is None and self._saver is not None:
            self._links.flush()
            if not self._saver.is_busy:
                self._save(self._saver)

    @property
    def _is_open(self) -> bool:
        return self._stopped is None and self._links.registration.is_open

    @property
    def _may_log(self) -> bool:
        """Whether logs go on: until this server votes, all they do is learn the members."""
        it = self._links.registration
        return self._stopped is None and (it.is_open or bool(it.teachers))

    def _save(self, saver: AdaptiveSaver[AnyEntry, AnyRecord]) -> None:
        waiting, sessions = self._decisions.take_waiting(), self._links.sessions.uncommitted()
        of_logs = self._logs.take_unsaved()
        if waiting or sessions or of_logs:
            saved = partial(self._saved, waiting, of_logs, sessions)
            saver.save([*waiting, *of_logs], saved)

    def _ring_logs(self, alarms: Sequence[tuple[Running, LogTimer]]) -> None:
        for log, timer in alarms:
            self._logs.ring(log, timer)
        self._turn()

    def _saved(
        self,
        waiting: Sequence[Entry],
        of_logs: Sequence[LogEntry],
        sessions: Sequence[Registering],
        saved: Saved[AnyRecord] | BaseException,
    ) -> None:
        if isinstance(saved, BaseException):
            self._stop(saved)
        elif self._stopped is None:
            self._links.sessions.on_committed(sessions)
            self._decisions.on_saved(waiting, saved)
            records = tuple([record for _, record in of_logs])
            self._perform_all(self._logs.on_saved(records, saved))
            self._turn()


class Node(BaseNode[V]):
    """One server, on UDP and a file. Belongs to the event loop that it is entered on."""

    def __init__(
        self,
        file: FileStore,
        network: NetworkConfig,
        *,
        codec: Codec[V],
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        random: Random | None = None,
        inline_save_s: float = INLINE_SAVE_S,
        observer: SingleObserver[bytes] | None = None,
    ) -> None:
        """The server whose data is ``file``: it names the server, the members and their quorums.

        - ``codec`` turns the values of this program into bytes: docs/codecs.md.
        - A save runs inline while the last one took less than ``inline_save_s``, else in a thread;
          always in a thread if that is 0.
        - ``observer`` is told what happens, in bytes: a recorder, for example.

        Raises BadNumber; BadArgument for an object of another type; NotTheMembers if the addresses
        are not those of the members; BadAddress; OlderCopy if the file was found to be one before.
        """
        arguments.one_of("file", file, FileStore)
        arguments.one_of("network", network, NetworkConfig)
        super().__init__(
            file,
            Mesh(file, network),
            codec=codec,
            timeouts=timeouts,
            random=random,
            inline_save_s=inline_save_s,
            observer=observer,
        )
