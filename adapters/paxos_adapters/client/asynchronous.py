"""``AsyncClient``: the verbs of a log, for a program with an event loop that is not a server.

- Commands go through one connection, batch after batch, in the order in which they were submitted.
  Reads have connections of their own, a few at a time.
- What no server has answered is asked again, of the next one, until the time of its caller is over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

from paxos import PaxosError
from paxos_adapters import arguments, forks
from paxos_adapters.cannot_apply import STOPPED
from paxos_adapters.client.errors import ClientClosed, Refused, WatchEnded
from paxos_adapters.client.outbox import Asked, Outbox
from paxos_adapters.client.servers import Connection, Servers, Trouble, telling
from paxos_adapters.node.control_protocol import (
    Answer,
    ErrorReply,
    FoundReply,
    LogsReply,
    LogsRequest,
    OpenedReply,
    OpenRequest,
    QueryRequest,
    Question,
    ResultsReply,
    StepReply,
    StepsRequest,
    SubmitRequest,
    WatchingReply,
)
from paxos_adapters.replication.batches import MAX_COMMAND_BYTES
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.snapshots import codecs_of
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import (
    LEFT,
    TOO_LATE,
    NoAnswer,
    UnknownSubmission,
    command_unknown,
)
from paxos_adapters.requests.values import Values
from paxos_adapters.state_machine import Query, StateMachine

A = TypeVar("A")
C = TypeVar("C")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")

TIMEOUT_S = 5.0
"""How long a call waits, if the program does not say otherwise."""

SERVER_S, GRACE_S = 2.0, 1.0
"""How long one server may take before the next one is asked, and its answer to come."""

MAX_ASKING = 16
"""Questions beside commands that are asked at a time; others wait for them."""

NOTHING_BEGUN = {"TooManyRequests", "NoSuchLog", "LogClosed", "ServerStopped", *STOPPED}
ELSEWHERE = {*NOTHING_BEGUN, "CommandUnknown", "NoAnswer"}
"""What another server may do better."""


class AsyncClient(Generic[S, C, R]):
    """A client of one log. Belongs to the event loop that it is entered on."""

    def __init__(
        self,
        servers: Sequence[str | os.PathLike[str]],
        name: str,
        machine: StateMachine[S, C, R],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Of the log ``name``, by way of the servers of this machine whose data files these are.

        A call waits ``timeout_s`` at most, if it does not say otherwise. Raises BadArgument without
        a server or for another object, BadNumber, MissingCodec.
        """
        if isinstance(servers, str) or not servers:
            raise arguments.BadArgument("servers", servers, "a list of data files")
        codecs = codecs_of(machine)
        self.name = name
        self._timeout_s = arguments.seconds("timeout_s", timeout_s)
        self._commands = Values(codecs.commands, MAX_COMMAND_BYTES)
        self._codecs = codecs
        self._servers = Servers(servers)
        self._process = os.getpid()
        self._working: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin; servers are asked only when the program asks."""
        self._outbox = Outbox(self.name)
        self._asking = asyncio.Semaphore(MAX_ASKING)
        self._trouble: Trouble | None = None
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up. Calls that wait raise CommandUnknown, or NotReached."""
        working, self._working = self._working, None
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            self._outbox.end("the client was closed")
            await asyncio.sleep(0)  # Waiting callers have their exceptions now.
            self._servers.close()

    # --- commands ---------------------------------------------------------------------------------

    def submit(self, command: C, *, timeout_s: float | None = None) -> Coroutine[object, object, R]:
        """The result of ``command``, once it is chosen and applied. It is run exactly once.

        The call encodes the command. With nothing begun it raises ClientClosed, Forked, BadNumber,
        TooLarge and BadValue; awaited, TooManyRequests, NotReached, and Refused by a server with
        another state machine. Raises CommandUnknown, an OutcomeUnknown, if it was sent, and no
        server has answered in time; it goes on then, and ``outcome`` waits for it.
        """
        limit_s = self._check(timeout_s)
        return self._first(self._submit([self._commands.encode(self.name, command)], limit_s))

    async def _first(self, results: Coroutine[object, object, list[R]]) -> R:
        (result,) = await results
        return result

    def submit_many(
        self, commands: Iterable[C], *, timeout_s: float | None = None
    ) -> Coroutine[object, object, list[R]]:
        """The results of ``commands``, in their order; each is run once. Raises as ``submit``."""
        limit_s = self._check(timeout_s)
        return self._submit([self._commands.encode(self.name, it) for it in commands], limit_s)

    async def _submit(self, bodies: list[bytes], timeout_s: float) -> list[R]:
        self._check(None)
        asked = self._outbox.add(bodies)
        return await self._results(asked, [it.answer for it in asked], timeout_s)

    async def outcome(self, number: int, *, timeout_s: float | None = None) -> list[R]:
        """The results of the submission ``number``, whose caller has left with CommandUnknown.

        The last thousand are kept. Raises UnknownSubmission, and as ``submit`` does.
        """
        limit_s = self._check(timeout_s)
        asked = self._outbox.left(number)
        if asked is None:
            raise UnknownSubmission(self.name, number)
        # Several may wait for it: one that leaves must not end the wait of the others.
        return await self._results(asked, [asyncio.shield(it.answer) for it in asked], limit_s)

    async def _results(
        self, asked: list[Asked], answers: Sequence[asyncio.Future[bytes]], timeout_s: float
    ) -> list[R]:
        try:
            async with asyncio.timeout(timeout_s):
                found = [await it for it in answers]
        except asyncio.CancelledError as cancelled:
            number = self._outbox.leave(asked)
            if number is not None:
                cancelled.add_note(command_unknown(self.name, LEFT, number))
            raise
        except Exception as error:
            if type(error) is TimeoutError:  # CommandUnknown is one, too.
                raise self._outbox.late(asked, _why(self._trouble)) from None
            for it in asked:
                self._outbox.forget(it)
            raise
        return [self._codecs.results.decode(it) for it in found]

    async def _work(self) -> None:
        """Send what waits, batch after batch."""
        while True:
            await self._outbox.is_needed.wait()
            try:
                async with self._servers.connection() as connection:
                    await self._exchange(connection)
                self._trouble = None
            except Trouble as trouble:
                self._trouble = telling(self._trouble, trouble)
                await self._servers.pause()
            except Exception as error:  # Waiting callers get it, rather than wait in vain.
                self._outbox.fail_all(error)

    async def _exchange(self, connection: Connection) -> None:
        """One batch, and what came of it. Raises Trouble."""
        outbox = self._outbox
        if outbox.session is None:
            opened = await _told(connection, OpenRequest(self.name, outbox.nonce, SERVER_S))
            if type(opened) is not OpenedReply:
                outbox.fail(outbox.take(), _refused(opened))
                return
            outbox.session = opened.session
        if not (taken := outbox.take()):
            return
        commands = [(it.number, it.body) for it in taken]
        request = SubmitRequest(
            self.name, outbox.session, taken[0].number, commands, timeout_s=SERVER_S
        )
        answer = await connection.ask(request, SERVER_S + GRACE_S)
        if type(answer) is ResultsReply:
            outbox.on_results(taken, answer.results)
        elif type(answer) is not ErrorReply:
            raise Trouble(_unexpected(answer))
        elif answer.kind == "ClientSessionClosed":
            outbox.on_closed(taken)
        elif answer.kind in ELSEWHERE:
            if answer.kind in NOTHING_BEGUN:
                outbox.on_nothing_begun(taken)
            raise Trouble(answer.cause)
        else:
            outbox.fail(taken, _refused(answer))

    # --- reads ------------------------------------------------------------------------------------

    async def read(
        self, query: Query[S, Q, X], question: Q, *, timeout_s: float | None = None
    ) -> X:
        """What ``query`` finds: at least all that was answered before this began.

        Raises NoAnswer after the time-out; Refused by a server that has no such
        query, or whose query fails; ClientClosed, Forked, BadNumber, BadArgument, and what the
        codecs raise.
        """
        limit_s = self._check(timeout_s)
        arguments.one_of("query", query, Query)
        asked = QueryRequest(self.name, query.name, query.questions.encode(question), SERVER_S)

        def found(answer: Answer, _: Connection) -> bytes:
            if type(answer) is FoundReply:
                return answer.found
            raise _refused(answer)

        return query.answers.decode(await self._ask(asked, found, limit_s))

    async def status(self, *, timeout_s: float | None = None) -> LogStatus:
        """How the log is, on the server that is asked. Raises as ``read`` does."""
        limit_s = self._check(timeout_s)

        def found(answer: Answer, _: Connection) -> LogStatus:
            if type(answer) is not LogsReply:
                raise _refused(answer)
            if self.name not in answer.logs:
                raise Trouble(f"no log {self.name!r} runs on server {answer.me}")
            return answer.logs[self.name]

        return await self._ask(LogsRequest(), found, limit_s)

    async def _ask(
        self, question: Question, found: Callable[[Answer, Connection], A], timeout_s: float
    ) -> A:
        """Ask in turn until a server answers. Raises NoAnswer, and what ``found`` raises."""
        told: Trouble | None = None
        try:
            async with asyncio.timeout(timeout_s), self._asking:
                while True:
                    try:
                        async with self._servers.connection() as connection:
                            return found(await _told(connection, question), connection)
                    except Trouble as trouble:
                        told = telling(told, trouble)
                        await self._servers.pause()
        except TimeoutError:
            raise NoAnswer(self.name, _why(told)) from None

    @asynccontextmanager
    async def watch(
        self, *, timeout_s: float | None = None
    ) -> AsyncGenerator[AsyncIterator[Step[C, R]], None]:
        """What is applied from now on, on the server that is asked: see ``ReplicatedLog.watch``.

        Raises as ``read`` does. Iterating raises WatchEnded if the server ends, or gives it up.
        """
        limit_s = self._check(timeout_s)

        def found(answer: Answer, connection: Connection) -> Connection:
            if type(answer) is not WatchingReply:
                raise _refused(answer)
            connection.is_watching = True
            return connection

        connection = await self._ask(StepsRequest(self.name), found, limit_s)
        try:
            yield self._steps(connection)
        finally:
            connection.close()

    async def _steps(self, connection: Connection) -> AsyncGenerator[Step[C, R], None]:
        codecs = self._codecs
        while True:
            try:
                answer = await connection.hear()
            except (Trouble, OSError) as error:
                raise WatchEnded(self.name, str(error)) from None
            if type(answer) is not StepReply:
                why = answer.cause if type(answer) is ErrorReply else _unexpected(answer)
                raise WatchEnded(self.name, why)
            command = codecs.commands.decode(answer.command)
            yield Step(answer.slot, command, codecs.results.decode(answer.result))

    def _check(self, timeout_s: float | None) -> float:
        forks.check(self._process, f"the client of {self.name!r}")
        if self._working is None:
            raise ClientClosed
        return self._timeout_s if timeout_s is None else arguments.seconds("timeout_s", timeout_s)


async def _told(connection: Connection, question: Question) -> Answer:
    """The answer, unless another server may give a better one: then it raises Trouble."""
    answer = await connection.ask(question, SERVER_S + GRACE_S)
    if type(answer) is ErrorReply and answer.kind in ELSEWHERE:
        raise Trouble(answer.cause)
    return answer


def _why(trouble: Trouble | None) -> str:
    return TOO_LATE if trouble is None else str(trouble)


def _refused(answer: Answer) -> PaxosError:
    if type(answer) is ErrorReply:
        return Refused(answer.kind, answer.text)
    return Refused(type(answer).__name__, _unexpected(answer))


def _unexpected(answer: Answer) -> str:
    return f"the server gave another answer: {answer}"
