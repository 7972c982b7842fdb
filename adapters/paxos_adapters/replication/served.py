"""A log as programs of this machine use it that are not the server: in bytes, by names of queries.

- Commands come with the session and the numbers of their client, and are checked by the codec:
  what it does not know never gets into the log.
- A read is a query of the state machine, by its name: see ``Query``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from paxos import OperationalError, PaxosError, QuorumSystem, UsageError
from paxos.errors import assert_never
from paxos.log.sessions import Opened, Outcome, Result, ResultDropped, SessionClosed
from paxos_adapters.replication.batches import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_COMMAND_BYTES,
    Commands,
    Item,
    Opening,
)
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.log import Host, ReplicatedLog
from paxos_adapters.replication.process import LogProcess
from paxos_adapters.replication.snapshots import Codecs, pieces
from paxos_adapters.replication.submissions import SessionLost
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import TOO_LATE, BadValue, CommandUnknown
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.wire import TooLarge

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")


class ClientSessionClosed(OperationalError):
    """The session of a client is closed, so its commands were not run by this request."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r}: the session of this client is closed. This request has run nothing; an "
            "earlier one with the same number may have. Open another session."
        )
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return ClientSessionClosed, (self.name,)


class NoSuchQuery(UsageError, LookupError):
    """A query was asked for that the state machine of the log does not have."""

    def __init__(self, name: str, query: str) -> None:
        super().__init__(
            f"the state machine of the log {name!r} has no query {query!r}. Name one of its "
            "queries: StateMachine(..., queries=...)."
        )
        self.name, self.query = name, query

    def __reduce__(self) -> tuple[object, ...]:
        return NoSuchQuery, (self.name, self.query)


class QueryFailed(OperationalError):
    """A query has raised an exception: nothing was found, and nothing was changed."""

    def __init__(self, name: str, query: str, error: Exception) -> None:
        super().__init__(
            f"the query {query!r} of the log {name!r} has failed ({type(error).__name__}: "
            f"{error}). Correct the question, or the query of the state machine."
        )
        self.name, self.query, self.error = name, query, error

    def __reduce__(self) -> tuple[object, ...]:
        return QueryFailed, (self.name, self.query, self.error)


@frozen
class Snapshot:
    """What is applied of all slots below ``slot``. ``pieces`` may be taken in another thread.

    They raise what the codecs of the state machine raise.
    """

    slot: int
    pieces: Iterator[bytes]


class ServedLog(Protocol):
    """A log, whatever its commands are: see ``Served``."""

    async def open_session(self, nonce: int, timeout_s: float | None) -> int:
        """A new session, for the client that knows it by ``nonce``."""
        ...

    async def run(self, commands: Commands, timeout_s: float | None) -> list[bytes]:
        """The results of numbered commands of a client, in order."""
        ...

    async def query(self, query: str, question: bytes, timeout_s: float | None) -> bytes:
        """What a query finds."""
        ...

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[Step[bytes, bytes]]]:
        """What is applied here from now on."""
        ...

    async def check(self, *, timeout_s: float | None = None) -> int:
        """Compare the state here with that of the leader: ``ReplicatedLog.check``."""
        ...

    async def snapshot(self, timeout_s: float | None, *, alone: bool = False) -> Snapshot:
        """What is applied here: at least all that was answered before, unless ``alone``."""
        ...

    def status(self) -> LogStatus:
        """How it is now."""
        ...

    @property
    def quorums(self) -> tuple[QuorumSystem, ...]:
        """The quorum systems that govern the next slots."""
        ...


class Served(Generic[S, C, R]):
    """One log on one node."""

    def __init__(
        self,
        host: Host,
        log: ReplicatedLog[S, C, R],
        process: LogProcess[S, C, R],
        machine: StateMachine[S, C, R],
        codecs: Codecs[S, C, R],
    ) -> None:
        self._host = host
        self._log = log
        self._name = log.name
        self._program = process.program
        self._clients = self._program.clients
        self._codecs = codecs
        self._queries = {it.name: it for it in machine.queries}
        self.status, self.check = log.status, log.check
        self._process = process

    @property
    def quorums(self) -> tuple[QuorumSystem, ...]:
        """See ``ServedLog``."""
        return self._process.quorums

    async def open_session(self, nonce: int, timeout_s: float | None) -> int:
        """See ``ServedLog``. Raises TooManyRequests, CommandUnknown, and why nothing can be."""
        (opened,) = await self._outcomes(Opening(nonce), timeout_s)
        assert type(opened) is Opened
        return opened.session

    async def run(self, commands: Commands, timeout_s: float | None) -> list[bytes]:
        """See ``ServedLog``.

        With nothing begun it raises BadValue for a command that the codec does not know, TooLarge,
        TooManyRequests, and why nothing can be; ClientSessionClosed. Raises CommandUnknown after
        ``timeout_s``, if the node stops, and for results that are not kept any more.
        """
        self._check(commands)
        began_s = monotonic()
        outcomes = await self._outcomes(commands, timeout_s)
        if (stopwatch := self._host.stopwatch) is not None:
            stopwatch(self._name, monotonic() - began_s)
        return [self._result(it) for it in outcomes]

    def _check(self, commands: Commands) -> None:
        bodies = [body for _, body in commands.commands]
        largest, size_bytes = max(map(len, bodies)), sum(map(len, bodies))
        if largest > MAX_COMMAND_BYTES:
            raise TooLarge(f"a command for {self._name!r}", largest, MAX_COMMAND_BYTES)
        if len(bodies) > MAX_BATCH or size_bytes > MAX_BATCH_BYTES:
            what = f"a batch of {len(bodies):,} commands for {self._name!r}"
            raise TooLarge(what, size_bytes, MAX_BATCH_BYTES)
        for body in bodies:
            try:
                self._codecs.commands.decode(body)
            except Exception as error:  # A codec of the program may raise anything.
                why = f"cannot decode it ({type(error).__name__}: {error})"
                raise BadValue(self._name, self._codecs.commands, why) from error

    def _check_usable(self) -> None:
        if self._program.failure is not None:
            raise self._program.failure
        self._host.check_usable()

    async def _outcomes(self, item: Item, timeout_s: float | None) -> Sequence[Outcome[R]]:
        self._check_usable()
        carried = self._clients.carry(item)
        self._host.wake()
        try:
            async with asyncio.timeout(timeout_s):
                return await carried.answer
        except TimeoutError:
            raise CommandUnknown(self._name, TOO_LATE, None) from None
        except SessionLost:
            why = "its session has ended while this server was behind"
            raise CommandUnknown(self._name, why, None) from None
        except PaxosError as ended:
            raise CommandUnknown(self._name, str(ended), None) from ended
        finally:
            self._clients.forget(carried)
            self._host.wake()

    def _result(self, outcome: Outcome[R]) -> bytes:
        if type(outcome) is Result:
            return self._codecs.results.encode(outcome.result)
        if type(outcome) is SessionClosed:
            raise ClientSessionClosed(self._name)
        if type(outcome) is ResultDropped:
            why = "it was run, and its client has said that it needs no result"
            raise CommandUnknown(self._name, why, None)
        if type(outcome) is Opened:
            raise AssertionError("a command opens no session")
        assert_never(outcome)

    async def query(self, query: str, question: bytes, timeout_s: float | None) -> bytes:
        """See ``ServedLog``. Raises NoSuchQuery, QueryFailed, and as ``read`` of a log does."""
        found = self._queries.get(query)
        if found is None:
            raise NoSuchQuery(self._name, query)

        def answer(state: S) -> bytes:
            try:
                return found.answer(state, question)
            except Exception as error:  # It is the program's own code: it may raise anything.
                raise QueryFailed(self._name, query, error) from error

        return await self._log.read(answer, timeout_s=timeout_s)

    async def snapshot(self, timeout_s: float | None, *, alone: bool = False) -> Snapshot:
        """See ``ServedLog``. Raises as ``read`` of a log does, if that is not left out."""
        if not alone:
            await self._log.read(lambda _: None, timeout_s=timeout_s)
        applied = self._program.applied
        return Snapshot(applied.slot, pieces(self._codecs, applied))

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[AsyncIterator[Step[bytes, bytes]], None]:
        """See ``ServedLog``. Raises as ``ReplicatedLog.watch`` does."""
        async with self._log.watch() as steps:
            yield self._encoded(steps)

    async def _encoded(
        self, steps: AsyncIterator[Step[C, R]]
    ) -> AsyncGenerator[Step[bytes, bytes], None]:
        commands, results = self._codecs.commands, self._codecs.results
        async for it in steps:
            yield Step(it.slot, commands.encode(it.command), results.encode(it.result))
