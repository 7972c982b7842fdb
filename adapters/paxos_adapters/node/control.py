"""A node answers its own machine: a Unix socket beside the data file.

- The server that opens the store has its lock, so a socket left over belongs to no process: it is
  replaced. Anything else by that name is left alone.
- What comes in is checked as if it were hostile: the length of a line, the time that it takes, how
  many ask at once, each field. Whatever is wrong is one answer, and the end of that connection.
- After an answer the next question may come on the same connection, for so long as a question may
  take. What comes before the answer is dropped, and the connection ends with the answer.
- Callers that wait for the cluster have places of their own, so that they never keep others from
  seeing how the node is.
- A caller that hangs up is forgotten. What was proposed goes on.
- A node that stops by itself ends all calls: their callers have its answers before it hangs up.
- A forked process keeps no socket, neither this one nor those of callers, and removes none.
- What is wrong with a question never stops the server; what is wrong with the server does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Never

from msgspec.json import Decoder, encode

from paxos import PaxosError
from paxos.errors import assert_never
from paxos_adapters import forks
from paxos_adapters.codecs import TRUNCATED
from paxos_adapters.host import ServerStopped
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.node import control_members
from paxos_adapters.node.control_backup import contents, taken
from paxos_adapters.node.control_logs import answer_of_log, log_of
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    Brief,
    ChangeRequest,
    ChosenReply,
    ContentsRequest,
    Continuing,
    ControlError,
    ErrorReply,
    LogsReply,
    LogsRequest,
    MembersReply,
    MembersRequest,
    MoveRequest,
    NotChosenReply,
    PieceReply,
    ProposeRequest,
    Question,
    ReadRequest,
    SnapshotReply,
    SnapshotRequest,
    StateReply,
    StateRequest,
    StatusReply,
    StatusRequest,
    StepReply,
    StepsRequest,
    Waiting,
    WatchingReply,
    WatchRequest,
    reachable,
)
from paxos_adapters.node.node import Node
from paxos_adapters.node.tolerance import log_tolerance, up
from paxos_adapters.requests.errors import (
    CommandUnknown,
    NoAnswer,
    NodeClosed,
    OutcomeUnknown,
)
from paxos_adapters.single import single_coder
from paxos_adapters.udp.errors import Removed

MAX_WAITING = 64
"""How many wait for an answer of the cluster at a time."""

MAX_BRIEF = 64
"""How many more connections are open: callers that have not asked yet, or ask how the node is."""

LINE_S = 10.0
"""How long a question may take to arrive."""

LAST_ANSWERS_S = 1.0
"""How long the answers of a node that has stopped may take to leave."""

ACCEPT_AGAIN_S = 0.1
"""How long to wait before the next one is let in, if the system has no descriptor left."""

_log = LimitedLog(logging.getLogger(__name__))
_question: Decoder[Question] = Decoder(Question)


@asynccontextmanager
async def serve(node: Node[bytes], path: Path) -> AsyncGenerator[None, None]:
    """Answer questions at the socket ``path`` until left. Raises ControlError."""
    process = os.getpid()
    control = _Control(node, _bound(path))
    try:
        yield
    finally:
        if os.getpid() == process:
            await control.close()
            if path.is_socket():
                path.unlink(missing_ok=True)


def _bound(path: Path) -> socket.socket:
    """A socket that only its owner can connect to; before ``listen`` nobody can."""
    sock = forks.own(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    sock.setblocking(False)
    try:
        if path.is_socket():
            path.unlink()
        with reachable(path) as address:
            sock.bind(address)
        path.chmod(0o600)
    except OSError as error:
        sock.close()
        what = f"{error.strerror}; move away what is there, or choose another folder"
        raise ControlError(path, what) from error
    except ControlError:
        sock.close()
        raise
    return sock


class Caller:
    """One connection. ``answers`` were told; ``is_early``: something came before its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.answers = 0
        self.is_early = False

    async def tell(self, answer: Answer) -> None:
        """One answer, once there is room for it. Raises OSError if nobody is there any more."""
        line = encode(answer) + b"\n"
        if len(line) > MAX_LINE_BYTES:
            line = encode(_too_long(len(line))) + b"\n"
        self.answers += 1
        self._writer.write(line)
        await self._writer.drain()

    async def hung_up(self) -> None:
        """Wait until nobody is there any more, whatever comes until then."""
        with suppress(OSError):
            while await self.reader.read(MAX_LINE_BYTES):
                self.is_early = True


class _Control:
    """The callers of one node."""

    def __init__(self, node: Node[bytes], sock: socket.socket) -> None:
        self._node = node
        self._socket = sock
        self._asking: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Future[bool]] = set()
        sock.listen()
        self._accepting = node.guard.task(self._accept)

    async def close(self) -> None:
        """Hang up on all callers that are left."""
        if self._waiting and self._node.status().stopped is not None:
            await asyncio.wait(self._waiting, timeout=LAST_ANSWERS_S)
        tasks = self._accepting, *self._asking
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        facts = {"event": "control", "server": self._node.me}
        while True:
            try:
                sock, _ = await loop.sock_accept(self._socket)
            except OSError as error:
                _log.warning("accept", "no more questions can come for now: %s", error, extra=facts)
                await asyncio.sleep(ACCEPT_AGAIN_S)
            else:
                self._take(forks.own(sock))

    def _take(self, sock: socket.socket) -> None:
        task = self._node.guard.task(lambda: self._talk(sock))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(lambda _: sock.close())  # Also if it has not begun.

    async def _talk(self, sock: socket.socket) -> None:
        with suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE_BYTES)
            caller = Caller(reader, writer)
            try:
                if len(self._asking) > MAX_WAITING + MAX_BRIEF:
                    await caller.tell(_crowded(MAX_WAITING + MAX_BRIEF))
                    return
                while await self._exchange(caller):
                    pass
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _exchange(self, caller: Caller) -> bool:
        """Answer one question; whether another one may follow."""
        question = await _asked(caller)
        if question is None:
            return False
        if type(question) is ErrorReply:
            await caller.tell(question)
            return False
        if isinstance(question, Brief):
            await caller.tell(self._brief(question))
        elif len(self._waiting) >= MAX_WAITING:
            await caller.tell(_crowded(MAX_WAITING))
        else:
            return await self._wait(question, caller)
        return True

    def _brief(self, question: Brief) -> Answer:
        if type(question) is StatusRequest:
            return self._status()
        if type(question) is StateRequest:
            return self._state(question.name)
        if type(question) is LogsRequest:
            return self._logs()
        if type(question) is MembersRequest:
            return MembersReply(self._node.me, self._node.members.status())
        if type(question) is ContentsRequest:
            return self._contents(question)
        assert_never(question)

    async def _wait(self, question: Waiting | Continuing, caller: Caller) -> bool:
        """Have the cluster answer, unless the caller hangs up before; whether more may follow."""
        answering = asyncio.ensure_future(self._tell(question, caller))
        gone = asyncio.ensure_future(caller.hung_up())
        self._waiting.add(answering)
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            return answering.done() and answering.result() and not caller.is_early
        finally:
            self._waiting.discard(answering)
            answering.cancel()
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)

    async def _tell(self, question: Waiting | Continuing, caller: Caller) -> bool:
        if isinstance(question, Continuing):
            await caller.tell(await self._last(question, caller))
            return False
        await caller.tell(await self._answer(question))
        return True

    def _status(self) -> StatusReply:
        host, port, *_ = self._node.place
        at = str(host), int(port)
        return StatusReply(self._node.file.identity.cluster, at, self._node.status())

    def _state(self, name: str) -> Answer:
        coder = single_coder(TRUNCATED)
        try:
            state = self._node.state(name)
        except PaxosError as error:
            return _error_reply(error)
        peers = self._node.status().peers
        up = [self._node.me, *(it for it, peer in peers.items() if peer.is_up)]
        quorum = coder.encode(self._node.quorum)
        return StateReply(self._node.me, quorum, coder.encode(state), up)

    def _contents(self, question: ContentsRequest) -> Answer:
        try:
            return contents(self._node, question.after)
        except PaxosError as error:
            return _error_reply(error)

    def _logs(self) -> LogsReply:
        status, served = self._node.status(), self._node.served.items()
        return LogsReply(
            self._node.me,
            {name: log.status() for name, log in served},
            sorted(up(status)),
            {name: sorted({me for it in log.quorums for me in it.members}) for name, log in served},
            {name: log_tolerance(log.quorums, status) for name, log in served},
        )

    async def _answer(self, question: Waiting) -> Answer:
        try:
            if type(question) is ProposeRequest:
                name, timeout_s = question.name, question.timeout_s
                chosen = await self._node.propose(name, question.value, timeout_s=timeout_s)
                return ChosenReply(chosen)
            if type(question) is ReadRequest:
                found = await self._node.read(question.name, timeout_s=question.timeout_s)
                return NotChosenReply() if found is None else ChosenReply(found.value)
            if type(question) is WatchRequest:
                name, timeout_s = question.name, question.timeout_s
                return ChosenReply(await self._node.watch(name, timeout_s=timeout_s))
            if type(question) is MoveRequest:
                return await control_members.move(self._node, question)
            return await answer_of_log(self._node, question)
        except PaxosError as error:
            return _error_reply(error)

    async def _last(self, question: Continuing, caller: Caller) -> Answer:
        """Tell all answers but for the last one, which says why there are no more."""
        try:
            if type(question) is ChangeRequest:
                return await control_members.change(self._node, question, caller.tell)
            if type(question) is SnapshotRequest:
                return await self._snapshot(question, caller)
            if type(question) is StepsRequest:
                return await self._steps(question, caller)
            assert_never(question)
        except PaxosError as error:
            return _error_reply(error)

    async def _snapshot(self, question: SnapshotRequest, caller: Caller) -> PieceReply:
        """Tell the pieces of a snapshot; an empty one ends them. Raises PaxosError."""
        log, timeout_s = log_of(self._node, question.name), question.timeout_s
        snapshot = await log.snapshot(timeout_s, alone=question.alone)
        await caller.tell(SnapshotReply(snapshot.slot))
        async for piece in taken(question.name, snapshot):
            await caller.tell(PieceReply(piece))
        return PieceReply(b"")

    async def _steps(self, question: StepsRequest, caller: Caller) -> Never:
        """Tell what is applied. Raises what says why there is no more of it."""
        async with log_of(self._node, question.name).watch() as steps:
            await caller.tell(WatchingReply())
            async for it in steps:
                await caller.tell(StepReply(it.slot, it.command, it.result))
        raise AssertionError("a watcher never comes to an end without an error")


async def _asked(caller: Caller) -> Question | ErrorReply | None:
    """The next question; None if the caller hangs up, or asks no more."""
    is_first = not caller.answers
    try:
        async with asyncio.timeout(LINE_S):
            line = await caller.reader.readline()
        return _question.decode(line) if line else None
    except TimeoutError:
        what = f"no question came within {LINE_S:g} s."
        return ErrorReply("BadQuestion", what) if is_first else None
    except (ValueError, RecursionError) as error:  # Too long, too deep, or no UTF-8.
        return ErrorReply("BadQuestion", f"this is not a question: {error}.")


def _crowded(others: int) -> ErrorReply:
    return ErrorReply("TooManyRequests", f"{others} others are asking already; ask again later.")


def _too_long(size_bytes: int) -> ErrorReply:
    what = f"the answer has {size_bytes:,} bytes, and a line has at most {MAX_LINE_BYTES:,}."
    return ErrorReply("TooLarge", what)


def _error_reply(error: PaxosError) -> ErrorReply:
    """What is wrong, for a caller with a command line and no node of its own."""
    kind = type(error).__name__
    stopped = error if isinstance(error, ServerStopped) else error.__cause__
    if not isinstance(stopped, ServerStopped):
        why = error.why if isinstance(error, NoAnswer | OutcomeUnknown) else ""
        return ErrorReply(kind, str(error), why)
    why = _why(stopped)
    if isinstance(error, CommandUnknown):
        return ErrorReply(kind, str(CommandUnknown(error.name, why, error.number)), why)
    if isinstance(error, NoAnswer | OutcomeUnknown):
        return ErrorReply(kind, str(type(error)(error.name, why)), why)
    again = "Ask" if isinstance(stopped.cause, Removed) else "Start it again, or ask"
    return ErrorReply(kind, f"{why}. {again} another one.", why)


def _why(stopped: ServerStopped) -> str:
    """Why the server has stopped, without a full stop."""
    if isinstance(stopped.cause, NodeClosed):
        return "the server has ended"
    if isinstance(stopped.cause, Removed):
        return f"server {stopped.cause.server} was removed from the cluster, and has ended"
    return f"the server has stopped for good: {str(stopped.cause).rstrip('.')}"
