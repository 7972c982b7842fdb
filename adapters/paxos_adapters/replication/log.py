"""A replicated state machine, as a program sees it.

    async with Node(...) as node, node.log("counter", COUNTER) as counter:
        total = await counter.submit(5)                   chosen, and run exactly once
        total = await counter.read(lambda total: total)   linearizable, without an entry in the log
        slot = await counter.check()                      the same on this server and the leader
        total = counter.state                             what this server has applied; may be old

- A command is encoded by the call that submits it: from then on the object is the caller's again.
- A timeout or a cancellation does not take back what was begun: its outcome is unknown, and
  ``outcome`` waits for it.
- A state is shared with the state machine. A program that looks at one must not change it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Generic, Protocol, TypeAlias, TypeVar

from paxos import PaxosError
from paxos_adapters import arguments
from paxos_adapters.cannot_apply import CannotApply
from paxos_adapters.replication.batches import MAX_COMMAND_BYTES
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.process import LogProcess
from paxos_adapters.replication.reads import Query
from paxos_adapters.replication.snapshots import Codecs
from paxos_adapters.replication.submissions import SessionLost
from paxos_adapters.replication.watching import Step, Watcher
from paxos_adapters.requests.errors import (
    LEFT,
    TOO_LATE,
    CommandUnknown,
    NoAnswer,
    UnknownSubmission,
    command_unknown,
)
from paxos_adapters.requests.values import Values
from paxos_adapters.timeouts import Lease

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")

Submitted: TypeAlias = tuple[int, asyncio.Future[list[R]]]
"""The number of a submission, and what brings its results."""


class Host(Protocol):
    """The node that a log runs on."""

    @property
    def lease(self) -> Lease | None:
        """The leases of its logs, as its user states them; None: they have none."""
        ...

    def check_usable(self) -> None:
        """Raise ServerStopped or Forked, if so."""
        ...

    def wake(self) -> None:
        """Take a turn soon: a log has something to send."""
        ...

    def deliver(self, call: Callable[[], None]) -> None:
        """From another thread: have ``call`` called on the event loop."""
        ...

    def on_snapshot_failed(self, name: str, error: Exception) -> None:
        """A snapshot of the log came to nothing."""
        ...

    @property
    def stopwatch(self) -> Callable[[str, float], None] | None:
        """What is told the time in seconds of each submission that is answered; None: nothing."""
        ...


class ReplicatedLog(Generic[S, C, R]):
    """One log on one node. ``Node.log`` makes it."""

    def __init__(self, host: Host, process: LogProcess[S, C, R], codecs: Codecs[S, C, R]) -> None:
        self.name = process.place.name
        self._host = host
        self._process = process
        self._program = process.program
        self._commands = Values(codecs.commands, MAX_COMMAND_BYTES)

    # --- commands ---------------------------------------------------------------------------------

    def submit(self, command: C, *, timeout_s: float | None = None) -> Coroutine[object, object, R]:
        """The result of ``command``, once it is chosen and applied here. It is run exactly once.

        The call encodes the command. With nothing begun it raises ServerStopped, LogClosed,
        CannotApply, BadNumber, TooLarge, and BadValue for a command that the codec does not bring
        back equal.

        Awaited, it raises TooManyRequests, with nothing begun. It raises CommandUnknown, an
        OutcomeUnknown, after ``timeout_s``, if the node stops, or if this server was left behind so
        far that its session is gone.
        """
        timeout_s = self._check(timeout_s)
        return self._one(self._commands.encode(self.name, command), timeout_s)

    async def _one(self, command: bytes, timeout_s: float | None) -> R:
        (result,) = await self._results(self._begun([command]), timeout_s)
        return result

    def submit_many(
        self, commands: Iterable[C], *, timeout_s: float | None = None
    ) -> Coroutine[object, object, list[R]]:
        """The results of ``commands``, in their order; each is run once.

        Up to MAX_BATCH commands that fit in one entry are run one after the other, in that order.
        Of more, a later part may be run before an earlier one whose message was lost. Raises as
        ``submit`` does.
        """
        timeout_s = self._check(timeout_s)
        encoded = [self._commands.encode(self.name, it) for it in commands]
        return self._many(encoded, timeout_s)

    async def _many(self, commands: list[bytes], timeout_s: float | None) -> list[R]:
        return await self._results(self._begun(commands), timeout_s) if commands else []

    def _begun(self, commands: list[bytes]) -> Submitted[R]:
        if self._program.failure is not None:
            raise self._program.failure
        submission = self._program.submissions.submit(commands)
        self._host.wake()
        return submission.number, submission.answer

    async def outcome(self, number: int, *, timeout_s: float | None = None) -> list[R]:
        """The results of the submission ``number``, whose caller has left with CommandUnknown.

        Those of the last thousand are kept. Raises UnknownSubmission, and as ``submit`` does.
        """
        timeout_s = self._check(timeout_s)
        answer = self._program.submissions.again(number)
        if answer is None:
            raise UnknownSubmission(self.name, number)
        return await self._results((number, asyncio.shield(answer)), timeout_s)

    async def _results(self, submitted: Submitted[R], timeout_s: float | None) -> list[R]:
        stopwatch = self._host.stopwatch
        if stopwatch is None:
            return await self._awaited(submitted, timeout_s)
        began_s = monotonic()
        results = await self._awaited(submitted, timeout_s)
        stopwatch(self.name, monotonic() - began_s)
        return results

    async def _awaited(self, submitted: Submitted[R], timeout_s: float | None) -> list[R]:
        number, answer = submitted
        try:
            if timeout_s is None:
                return await answer
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise CommandUnknown(self.name, TOO_LATE, number) from None
        except SessionLost:
            why = "its session has ended while this server was behind"
            raise CommandUnknown(self.name, why, None) from None
        except PaxosError as ended:
            raise CommandUnknown(self.name, str(ended), None) from ended
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(command_unknown(self.name, LEFT, number))
            raise

    # --- reads ------------------------------------------------------------------------------------

    async def read(self, query: Callable[[S], X], *, timeout_s: float | None = None) -> X:
        """What ``query`` finds in the state: at least all that was answered before this began.

        No entry is written. Raises NoAnswer after ``timeout_s`` or if the node stops;
        TooManyRequests, BadNumber, BadArgument, ServerStopped, LogClosed, CannotApply, and what
        ``query`` raises.
        """
        timeout_s = self._check(timeout_s)
        arguments.callable_("query", query, "a function of a state")
        answer: asyncio.Future[X] = asyncio.get_running_loop().create_future()
        self._program.reads.add(Query(query, answer))
        self._host.wake()
        try:
            if timeout_s is None:
                return await answer
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswer(self.name, TOO_LATE) from None
        except PaxosError as ended:
            if ended is not self._program.failure:
                raise
            raise NoAnswer(self.name, str(ended)) from ended

    @property
    def state(self) -> S:
        """What this server has applied; others may be ahead. Never raises."""
        return self._program.applied.state

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[AsyncIterator[Step[C, R]], None]:
        """What is applied on this server from now on: slot, command and result, in order.

            async with log.watch() as steps:
                async for step in steps:
                    print(step.slot, step.command, step.result)

        A snapshot of another server leaves steps out: their slots are missing then. Iterating
        raises WatcherTooSlow for one that is far behind, and why the log has ended here.
        """
        self._check(None)
        watcher: Watcher[C, R] = self._program.watchers.add()
        try:
            yield watcher
        finally:
            self._program.watchers.remove(watcher)

    async def check(self, *, timeout_s: float | None = None) -> int:
        """Compare the state here with that of the leader now: all slots below the result are equal.

        At least all that is applied here when it begins is compared. Every server does the same
        then: one that differs applies nothing more, and says so. To know of each, ask each.

        Raises Diverged if this one differs; NoAnswer after ``timeout_s``, and if the node stops;
        BadNumber, ServerStopped, LogClosed, CannotApply.
        """
        timeout_s = self._check(timeout_s)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._program.consistency.wait(self._program.applied.slot, answer)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswer(self.name, TOO_LATE) from None
        except PaxosError as ended:
            if ended is self._program.failure and isinstance(ended, CannotApply):
                raise
            raise NoAnswer(self.name, str(ended)) from ended

    def lead(self) -> None:
        """Let this server take over the leadership, as far as a quorum lets it; ``status`` says so.

        Raises UnknownServer if it is not a member, ServerStopped, LogClosed.
        """
        self._check(None)
        self._process.lead()
        self._host.wake()

    # --- how it is --------------------------------------------------------------------------------

    def status(self) -> LogStatus:
        """How it is now. Never raises."""
        return self._process.status()

    def _check(self, timeout_s: float | None) -> float | None:
        if self._program.failure is not None:
            raise self._program.failure
        self._host.check_usable()
        return None if timeout_s is None else arguments.timeout(timeout_s)
