"""A node in a process of its own, which does what it is told on stdin; and the handle on it.

- One JSON line is one order, and one JSON line answers it, in any order: they are numbered.
- The end of stdin is the order to go: whoever starts such a process and dies leaves none behind.
- What it has to complain of goes into a file: a run in which that holds a traceback has failed.
- A flaw breaks Paxos in this process, so that those who look for faults can be seen to find some.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec
from attrs import evolve, frozen

from paxos import (
    NO_MESSAGES,
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    MaxRound,
    PaxosError,
    Prepare,
    Promise,
    Proposal,
    Query,
    Saved,
    ServerId,
    acceptor,
    majority,
)
from paxos import server as servers
from paxos.log import sessions as log_sessions
from paxos.messages import Request
from paxos_adapters.codecs import TEXT
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.node import NetworkConfig, Node, Removed, registers
from paxos_adapters.replication.batches import Items
from paxos_adapters.replication.leases import Instant, Leases, read_clocks
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.proposals import Proposals
from paxos_adapters.replication.submissions import Submission, Submissions
from paxos_adapters.timeouts import Lease, Timeouts
from paxos_adapters.udp import sessions
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import Authenticated, Keyring, frame, wire
from paxos_adapters.wire.frame import HEADER_BYTES, TAG_BYTES, Header
from tests.support.faults import Faults, FaultyNode
from tests.support.forking import fork
from tests.support.spawning import spawn
from tests.support.tortured_machine import COMMANDS, TORTURED, Command, Totals, of_key

T = TypeVar("T")
Log: TypeAlias = ReplicatedLog[Totals, Command, int]

CLUSTER = "torture"
PACE = Timeouts(retry_min_s=0.05, retry_max_s=2.0)
START_S, LOOK_S = 60.0, 1.0
"""For how long a process may start, or end. One that waits looks so often, see ``in_time``."""

DRIFT = 0.1
WAKE_UP_S = 60.0
"""How rarely a process looks at the clock that should do it with each read."""

PR_SET_PDEATHSIG = 1

Verb: TypeAlias = Literal[
    "propose",
    "read",
    "watch",
    "status",
    "submit",
    "get",
    "numbers",
    "suffer",
    "lead",
    "lease",
    "replace",
]
Flaw: TypeAlias = Literal[
    "",
    "forgets",
    "accepts everything",
    "answers nobody",
    "checks no tag",
    "remembers all it hears",
    "hears old disks",
    "reads old states",
    "runs commands again",
    "loses commands",
    "reads the clock now and then",
    "reads once removed",
]


class Setup(msgspec.Struct, frozen=True):
    """What a node process is started with. ``idle``: how many names stay in memory.

    ``founders``: the members that its file names, if others have an address, too.
    With ``has_log`` it runs a log, too, of which a snapshot is due after ``snapshot_bytes``.
    Without ``faults`` it cannot be made to suffer any. ``is_forked``: it need not import all anew.
    ``lease_s``: for how long its leader reads alone; 0: it does not.
    """

    me: int
    path: str
    addresses: dict[int, Address]
    keys: str
    idle: int = registers.CACHE_SIZE
    has_log: bool = False
    snapshot_bytes: int = 20_000
    faults: Faults | None = None
    is_forked: bool = False
    lease_s: float = 0.0
    flaw: Flaw = ""
    founders: tuple[int, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """Something to do."""

    number: int
    verb: Verb
    name: str = ""
    value: str = ""
    timeout_s: float | None = None


class Replacement(msgspec.Struct, frozen=True):
    """``new``, at an address, is to be a member in the place of ``old``."""

    old: int
    new: int
    address: Address


class Standing(msgspec.Struct, frozen=True):
    """What of a node's status is of interest here; ``missing`` have not acknowledged it."""

    saves: int
    in_memory: int
    asked: int
    refused: dict[str, int]
    lost: dict[str, int]
    missing: tuple[int, ...] = ()
    applied: int = 0
    floor: int = 0
    pending: int = 0
    stopped: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """What came of an order: a value or None, or, if ``unknown`` says why, nothing is known.

    ``has_lease``: while it was carried out, this server answered reads alone.
    """

    number: int
    value: str | None = None
    unknown: str = ""
    has_lease: bool = False
    standing: Standing | None = None


# --- the process --------------------------------------------------------------------------------


async def serve(setup: Setup) -> None:
    """Run a node until stdin ends."""
    me, founders = ServerId(setup.me), setup.founders or tuple(setup.addresses)
    with FileStore.open(
        setup.path, cluster=CLUSTER, server=me, quorum=majority(map(ServerId, founders))
    ) as file:
        node = Node(
            file,
            NetworkConfig(
                {ServerId(it): address for it, address in setup.addresses.items()},
                protection=Authenticated(Keyring.parse(setup.keys)),
            ),
            codec=TEXT,
            timeouts=evolve(PACE, lease=Lease(setup.lease_s, DRIFT) if setup.lease_s else None),
        )
        async with node, AsyncExitStack() as stack:
            log = node.log("totals", TORTURED, snapshot_bytes=setup.snapshot_bytes)
            totals = await stack.enter_async_context(log) if setup.has_log else None
            faulty = None if setup.faults is None else FaultyNode(file.path, setup.faults)
            process = NodeProcess(node, totals, faulty)
            _say(Answer(0))
            working = set[asyncio.Task[None]]()
            async for line in await _stdin():
                order = msgspec.json.decode(line, type=Order)
                task = asyncio.create_task(process.obey(order))
                working.add(task)
                task.add_done_callback(working.discard)
        await asyncio.gather(*working)


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


@frozen
class NodeProcess:
    """What carries out orders: a node, its log, and what it can be made to suffer."""

    node: Node[str]
    log: Log | None
    faulty: FaultyNode | None

    async def obey(self, order: Order) -> None:
        """Carry out ``order``, and say what came of it."""
        try:
            _say(await self._answer(order))
        except PaxosError as error:
            _say(Answer(order.number, unknown=str(error)))

    async def _answer(self, order: Order) -> Answer:
        node, number, name, timeout_s = self.node, order.number, order.name, order.timeout_s
        if order.verb == "propose":
            return Answer(number, await node.propose(name, order.value, timeout_s=timeout_s))
        if order.verb == "read":
            found = await node.read(name, timeout_s=timeout_s)
            return Answer(number, None if found is None else found.value)
        if order.verb == "watch":
            return Answer(number, await node.watch(name, timeout_s=timeout_s))
        if order.verb == "status":
            return Answer(number, standing=self._standing())
        if order.verb == "suffer":
            assert self.faulty is not None, "this node cannot be made to suffer"
            if order.value:
                self.faulty.suffer(msgspec.json.decode(order.value, type=Faults))
            counts = self.faulty.take_counts()
            return Answer(number, msgspec.json.encode(counts).decode())
        if order.verb == "replace":
            it = msgspec.json.decode(order.value, type=Replacement)
            await node.members.replace(
                ServerId(it.old), ServerId(it.new), it.address, timeout_s=timeout_s
            )
            return Answer(number, "")
        before = self._has_lease
        answer = await self._answer_of_log(order)
        return Answer(number, answer, has_lease=before and self._has_lease)

    @property
    def _has_lease(self) -> bool:
        return self.log is not None and self.log.status().lease_s is not None

    async def _answer_of_log(self, order: Order) -> str:
        log, timeout_s = self.log, order.timeout_s
        assert log is not None, f"this node has no log to {order.verb}"
        if order.verb == "submit":
            command = COMMANDS.decode(order.value.encode())
            return str(await log.submit(command, timeout_s=timeout_s))
        if order.verb == "get":
            return str(await log.read(lambda it: of_key(it, order.name).total, timeout_s=timeout_s))
        if order.verb == "lead":
            log.lead()
            return ""
        if order.verb == "lease":
            return "held" if self._has_lease else ""
        assert order.verb == "numbers"
        return msgspec.json.encode(of_key(log.state, order.name).numbers).decode()

    def _standing(self) -> Standing:
        it, log = self.node.status(), self.log
        of_node = dict(it.refused), dict(it.lost), it.descent.missing
        if log is None:
            return Standing(it.saves, it.in_memory, it.asked, *of_node, stopped=it.stopped)
        of_log = log.status()
        progress = of_log.applied, of_log.floor, of_log.pending
        return Standing(it.saves, it.in_memory, it.asked, *of_node, *progress, it.stopped)


def _say(answer: Answer) -> None:
    os.write(1, msgspec.json.encode(answer) + b"\n")


def spoil(flaw: Flaw) -> None:
    """Break this process."""
    for whose, what, broken in FLAWS[flaw]:
        setattr(whose, what, broken)


def _load(file: FileStore, name: str) -> Saved[servers.Record[bytes]]:
    """Nothing, but the rounds that were used."""
    return Saved(tuple(it for it in load(file, name).records if type(it) is MaxRound))


def _yes(_: Acceptor[bytes], request: Request[bytes]) -> acceptor.Step[bytes]:
    """An acceptor that has no memory and refuses nothing."""
    if type(request) is Query:
        return acceptor.receive(Acceptor[bytes](), request)
    ballot = request.ballot
    if type(request) is Prepare:
        state = Acceptor[bytes](ballot)
        return state, AfterSave(state, (Promise[bytes](ballot, None),))
    assert type(request) is Accept
    state = Acceptor(ballot, Proposal(ballot, request.value))
    return state, AfterSave(state, (Accepted(ballot, request.value),))


def _silent(state: servers.Server[bytes], _: object) -> servers.Step[bytes]:
    return state, NO_MESSAGES


def _unchecked(_: Authenticated, __: Header, datagram: bytes) -> bytes:
    return datagram[HEADER_BYTES:-TAG_BYTES]


def _hoarding(datagram: bytes) -> Header:
    hoard.append(datagram + bytes(1_000))
    return frame.read_header(datagram)


def _whatever(_: Known | None, said: DiskStatus) -> Known:
    return Known(said.session, said.saves)


def _true(_: FileStore, __: Known) -> bool:
    return True


async def _old_state(log: Log, query: Callable[[Totals], int], **_: object) -> int:
    """What this server had when it was asked the last time but one."""
    seen.append(log.state)
    return query(seen[max(len(seen) - 3, 0)])


def _applied_again(
    machine: Callable[[Totals, Command], tuple[Totals, int]],
    table: log_sessions.Sessions[int],
    state: Totals,
    _session: int,
    _done_below: int,
    commands: Iterable[tuple[int, Command]],
) -> tuple[log_sessions.Sessions[int], Totals, list[log_sessions.Outcome[int]]]:
    """Every command, whether it was run before or not."""
    outcomes: list[log_sessions.Outcome[int]] = []
    for _, command in commands:
        state, result = machine(state, command)
        outcomes.append(log_sessions.Result(result))
    return table, state, outcomes


def _added_twice(self: Proposals, items: Items) -> None:
    add(self, items)
    add(self, items)


def _acknowledged(self: Submissions[int], commands: Sequence[bytes]) -> Submission[int]:
    """A result at once: the command is nowhere."""
    answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    answer.set_result([0])
    return Submission(len(self), commands, answer, 0)


def _going_on(self: Guard, failed: Callable[[BaseException], None]) -> None:
    """A server that was removed goes on."""

    def unless_removed(cause: BaseException) -> None:
        removed.append(cause) if isinstance(cause, Removed) else failed(cause)

    make_guard(self, unless_removed)


async def _removed_read(
    self: Log, query: Callable[[Totals], int], *, timeout_s: float | None = None
) -> int:
    """A server that was removed asks nobody."""
    return query(self.state) if removed else await read(self, query, timeout_s=timeout_s)


def _by_wake_up(self: Leases, lease: Lease | None) -> None:
    make_leases(self, lease, _clocks_at_wake_up)


def _clocks_at_wake_up() -> Instant:
    """What the clocks said when this process woke up the last time, to look at them."""

    def look() -> None:
        clocks.append(read_clocks())
        asyncio.get_running_loop().call_later(WAKE_UP_S, look)

    if not clocks:
        look()
    return clocks[-1]


add = Proposals.add
make_leases = Leases.__init__
clocks: list[Instant] = []
load = FileStore.load
hoard: list[bytes] = []
make_guard = Guard.__init__
read = Log.read
removed: list[Removed] = []
seen: list[Totals] = []
FLAWS: Mapping[Flaw, Sequence[tuple[object, str, object]]] = {
    "": (),
    "forgets": ((FileStore, "load", _load),),
    "accepts everything": ((acceptor, "receive", _yes),),
    "answers nobody": ((servers, "receive", _silent),),
    "checks no tag": ((Authenticated, "open", _unchecked),),
    "remembers all it hears": ((wire, "read_header", _hoarding),),
    "reads old states": ((ReplicatedLog, "read", _old_state),),
    "runs commands again": (
        (log_sessions, "apply_all", _applied_again),
        (Proposals, "add", _added_twice),
    ),
    "loses commands": ((Submissions, "submit", _acknowledged),),
    "reads once removed": (
        (Guard, "__init__", _going_on),
        (ReplicatedLog, "read", _removed_read),
    ),
    "reads the clock now and then": ((Leases, "__init__", _by_wake_up),),
    "hears old disks": (
        (sessions, "check_descent", _whatever),
        (FileStore, "descends_from", _true),
    ),
}


def main(words: Sequence[str]) -> int:
    """Run the node that ``words[0]`` describes, in JSON."""
    if sys.platform == "linux":  # Who stands still does not notice that stdin has ended.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    setup = msgspec.json.decode(words[0], type=Setup)
    registers.CACHE_SIZE, registers.CACHE_SLACK = setup.idle, setup.idle // 10
    spoil(setup.flaw)
    asyncio.run(serve(setup))
    return 0


# --- the handle ---------------------------------------------------------------------------------


class Gone(Exception):
    """The process has ended, and with it what it was told to do."""


class Process(Protocol):
    """A process, spawned or forked: see ``asyncio.subprocess.Process``."""

    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        ...

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    async def wait(self) -> int:
        """Wait until it has ended."""
        ...


class Remote:
    """A node process, as the one who started it sees it."""

    def __init__(self, process: Process) -> None:
        """Use ``start``."""
        self._process = process
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {
            0: asyncio.get_running_loop().create_future()
        }
        self._reading = asyncio.create_task(self._read())

    @staticmethod
    async def start(setup: Setup, log: Path, wrapper: Sequence[str] = ()) -> Remote:
        """A node that listens. Raises Gone if it ends before it does."""
        words = msgspec.json.encode(setup).decode()
        if setup.is_forked:
            return await Remote._ready(await fork(main, [words], log))
        with log.open("ab") as complaints:
            process = await spawn(
                "tests.support.node_process", words, wrapper=wrapper, complaints=complaints
            )
        return await Remote._ready(process)

    @staticmethod
    async def _ready(process: Process) -> Remote:
        """The handle, once it listens. Raises Gone."""
        remote = Remote(process)
        ready = remote._waiting[0]
        try:
            await in_time(ready)
        except TimeoutError:
            process.send_signal(signal.SIGABRT)  # It says where it is.
            await remote._over()
            raise Gone from None
        except BaseException:
            await remote.kill()
            raise
        return remote

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether it still runs."""
        return not self._reading.done()

    async def ask(
        self, verb: Verb, name: str = "", value: str = "", *, timeout_s: float | None = None
    ) -> Answer:
        """Give an order, and wait for what comes of it. Raises Gone."""
        if not self.is_up:
            raise Gone
        order = Order(next(self._numbers), verb, name, value, timeout_s)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[order.number] = future
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        return await future

    async def standing(self) -> Standing:
        """How it is. Raises Gone."""
        answer = await self.ask("status")
        assert answer.standing is not None
        return answer.standing

    async def suffer(self, faults: Faults | None = None) -> dict[str, int]:
        """Have it suffer ``faults`` from now on; what happened since the last call. Raises Gone."""
        value = "" if faults is None else msgspec.json.encode(faults).decode()
        answer = await self.ask("suffer", value=value)
        assert answer.value is not None
        return msgspec.json.decode(answer.value, type=dict[str, int])

    async def kill(self) -> None:
        """SIGKILL, and wait until it is over."""
        if self._process.returncode is None:
            self._process.kill()
        await self._over()

    def pause(self) -> None:
        """Let it stand still, until ``resume``."""
        with suppress(ProcessLookupError):  # It has just ended.
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, unless it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)

    async def close(self) -> int:
        """Let it end by itself; its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return await in_time(asyncio.ensure_future(self._over()))
        except TimeoutError:
            await self.kill()
            raise

    async def _over(self) -> int:
        code = await self._process.wait()
        await self._reading
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            with suppress(ConnectionError):  # It was killed, and has not read all.
                async for line in self._process.stdout:
                    answer = msgspec.json.decode(line, type=Answer)
                    future = self._waiting.pop(answer.number)
                    if not future.done():  # Its caller has left.
                        future.set_result(answer)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Gone())
                    future.exception()  # Who waits is told; that nobody waits is no news.
            self._waiting.clear()


async def in_time(future: asyncio.Future[T]) -> T:
    """What comes of it within START_S. Raises TimeoutError.

    If this process is stopped along with the other one, that counts as one look.
    """
    for _ in range(round(START_S / LOOK_S)):
        if (await asyncio.wait([future], timeout=LOOK_S))[0]:
            return future.result()
    raise TimeoutError


def create(folder: Path, members: Sequence[int]) -> Mapping[int, Path]:
    """The empty file of each member."""
    paths = {me: folder / f"n{me}.db" for me in members}
    for me, path in paths.items():
        FileStore.create(
            path, cluster=CLUSTER, server=ServerId(me), quorum=majority(map(ServerId, members))
        ).close()
    return paths


def join(folder: Path, me: int, founders: Sequence[int]) -> Path:
    """The empty file of a server that is to be added to the members."""
    path = folder / f"n{me}.db"
    quorum = majority(map(ServerId, founders))
    FileStore.create(
        path, cluster=CLUSTER, server=ServerId(me), quorum=quorum, joining=True
    ).close()
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
