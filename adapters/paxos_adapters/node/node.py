"""A node: one server of a cluster on UDP and a file, with any number of named decisions.

    network = NetworkConfig(addresses, protection=Authenticated(keyring))
    async with Node(file, network, codec=TEXT) as node:
        value = await node.propose("leader", "me")
        assert await node.read("leader") == Found(value)

- What comes, from its peers or from programs, leads to a turn: see ``turn.py``.
- Values are encoded and decoded at the edge, for the caller: see ``values.py``. Inside are bytes.
- What is not expected stops the node for good: see ``stopping.py``.
- A timeout or a cancellation does not take back what was begun: its outcome is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from types import NoneType
from typing import Generic, Self, TypeVar

from paxos import NO_BALLOT, Done, RetryTimer, SetTimer, server
from paxos.server import ServerTimer
from paxos_adapters import arguments
from paxos_adapters.file import FileStore
from paxos_adapters.host import ServerStopped
from paxos_adapters.limits import RESERVED
from paxos_adapters.log import LogObserver
from paxos_adapters.node.hosting import Hosting
from paxos_adapters.node.logs import NameOfLog
from paxos_adapters.node.ports import Links, NodeFile
from paxos_adapters.node.saving import INLINE_SAVE_S
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.stopping import Stopping
from paxos_adapters.node.tolerance import needed, tolerance
from paxos_adapters.node.turn import Turn
from paxos_adapters.ports import Codec, Observer
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.served import ServedLog
from paxos_adapters.replication.starting import SNAPSHOT_BYTES
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
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Timeouts, delay_range, drawn
from paxos_adapters.udp.endpoint import SocketAddress
from paxos_adapters.udp.errors import BadName, check_name
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.network import NetworkConfig

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")


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
        self.quorum = file.quorum
        self._values = Values(codec)
        self._links = links
        self._timeouts = timeouts
        self._random = Random() if random is None else random
        self._stopping = Stopping(self.me, file.path, self._let_go)
        self.guard = self._stopping.guard
        self._turn = Turn(
            file,
            links,
            self._stopping,
            timeouts=timeouts,
            random=self._random,
            observer=observer,
        )
        self._decisions, self._logs = self._turn.decisions, self._turn.logs
        self._host = Hosting(file, links, self._stopping, self._turn, timeouts)
        self._participant, self.members = self._host.participant, self._host.members

    # --- start and stop ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen.

        Raises AddressError, ThreadNotStarted, Failed if nothing can be saved, and StoreAlreadyUsed
        if this open file was served before.
        """
        self._links.acquire_file()
        try:
            self._turn.begin(self._inline_save_s)
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
        # The first datagram says what the file has of the members.
        await self._participant.recover()
        await self._links.open(self._turn.hear, self._turn.take, self.guard)
        self._stopping.check()

    async def __aexit__(self, *_: object) -> None:
        """Let go, as ``close`` does."""
        await self.close()

    async def close(self) -> None:
        """Finish the save in progress, and let go. Calls that still wait end at once.

        In a forked process there is nothing to close.
        """
        if self._turn.has_begun and not self._stopping.is_forked:
            self._stopping.stop(NodeClosed())
            await self._turn.wait_ended()
            await self._links.wait_closed()
            await self._participant.wait_ended()

    async def stopped(self) -> ServerStopped:
        """Wait until the node has stopped, by itself or since it was closed, and say why.

        Raises Forked.
        """
        return await self._stopping.wait()

    @property
    def place(self) -> SocketAddress:
        """Where it listens, as the system says it. Raises Forked."""
        self._stopping.check_process()
        return self._links.endpoint.local_address

    def _let_go(self, stopped: ServerStopped) -> None:
        self.file.stop_waiting()
        self._decisions.questions.end(stopped)
        self._logs.end(stopped)
        self._participant.end()
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
                await self._stopping.end.wait()
        if (stopped := self._stopping.cause) is not None:
            raise NoAnswer(name, str(stopped)) from stopped

    def state(self, name: str) -> server.Server[bytes]:
        """What this server holds and knows of ``name``, encoded; some may wait for a save.

        Raises BadName, NotStarted and ServerStopped, and what loading raises.
        """
        self._check_decision(name)
        return self._decisions.state(name)

    def _check_decision(self, name: str, timeout_s: float | None = None) -> float | None:
        """The same, for a name that must not be that of a log."""
        timeout_s = self._check(name, timeout_s)
        if self._turn.is_log(name):
            raise NameOfLog(name)
        return timeout_s

    def _check(self, name: str, timeout_s: float | None = None) -> float | None:
        """``timeout_s``, checked like all else that a program passes in."""
        self._host.check_usable()
        check_name(name)
        if name.startswith(RESERVED):
            raise BadName(name)
        return arguments.timeout(timeout_s)

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
        async with self._host.run_log(name, machine, snapshot_bytes, observer) as log:
            yield log

    @property
    def served(self) -> Mapping[str, ServedLog]:
        """The logs that run, by name, as clients use them."""
        return self._logs.served

    def on_missing_log(self, call: Callable[[str], None]) -> None:
        """Have ``call`` called with the name of a log that is asked for and does not run here."""
        self._logs.on_missing = call
        self._participant.ask_for_logs()

    def ask_for_log(self, name: str) -> None:
        """A client asks for a log that does not run here."""
        self._logs.on_missing(name)

    def on_submitted(self, call: Callable[[str, float], None]) -> None:
        """Have ``call`` called for each submission to a log that was answered.

        With the name of the log, and the time in seconds that it took.
        """
        self._logs.on_submitted = call

    # --- how it is --------------------------------------------------------------------------------

    def status(self) -> Status:
        """How it is now. Raises NotStarted and Forked."""
        self._stopping.check_process()
        if not self._turn.has_begun:
            raise NotStarted
        stopped = self._stopping.cause
        peers = self._links.peers()
        up = frozenset(it for it, peer in peers.items() if peer.is_up) | {self.me}
        quorum = self._links.registration.quorum
        return Status(
            self.me,
            peers,
            tolerance(quorum, up) if stopped is None else -1,
            self.file.saves,
            len(self._decisions),
            len(self._decisions.questions),
            {reason.name.lower(): times for reason, times in self._links.refused.items()},
            {**self._links.endpoint.counts, **self._decisions.dropped},
            self._decisions.promised,
            self._links.endpoint.buffers,
            self._descent(),
            None if stopped is None else str(stopped),
            in_memory_bytes=self._decisions.size_bytes,
            unresolved=self._decisions.questions.unresolved,
            waits=None if (wait := self.file.waits) is None else str(wait),
            needed=needed(quorum, up),
        )

    def _descent(self) -> Descent:
        it = self._links.registration
        return Descent(tuple(sorted(it.missing)), it.is_proven, it.is_open)


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
