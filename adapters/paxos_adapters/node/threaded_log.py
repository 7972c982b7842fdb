"""A replicated log for programs without an event loop: the same verbs, called from any thread.

    with ThreadedNode(...) as node, node.log("counter", COUNTER) as counter:
        total = counter.submit(5, timeout_s=1)
        for step in counter.watch():
            print(step.slot, step.command, step.result)

- A call hands its request to the event loop of the node, and waits. What the log raises, it raises.
- A command is encoded in the thread that submits it. A query is run in the thread of the node: it
  must not take long, nor ask the node for anything.
- To interrupt a call ends the wait and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from paxos import PaxosError
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import LEFT, command_unknown

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
X = TypeVar("X")


class Asking(Protocol):
    """The thread that a node runs on: see ``ThreadedNode``."""

    def ask(self, question: Callable[[], Coroutine[object, object, T]]) -> T:
        """What comes of ``question`` on the event loop. Raises ServerStopped once it is closed."""
        ...

    def tell(self, call: Callable[[], Coroutine[object, object, object]]) -> None:
        """Have ``call`` done on the event loop, unless that has ended; wait for nothing."""
        ...


class ThreadedLog(Generic[S, C, R]):
    """One log on one node. Safe to use from several threads. ``ThreadedNode.log`` makes it."""

    def __init__(self, node: Asking, log: ReplicatedLog[S, C, R]) -> None:
        self.name = log.name
        self._node = node
        self._log = log

    def submit(self, command: C, *, timeout_s: float | None = None) -> R:
        """See ``ReplicatedLog.submit``. An exception that interrupts the wait has a note."""
        return self._command(lambda: self._log.submit(command, timeout_s=timeout_s))

    def submit_many(self, commands: Iterable[C], *, timeout_s: float | None = None) -> list[R]:
        """See ``ReplicatedLog.submit_many``. An exception that interrupts the wait has a note."""
        return self._command(lambda: self._log.submit_many(commands, timeout_s=timeout_s))

    def _command(self, question: Callable[[], Coroutine[object, object, T]]) -> T:
        try:
            return self._node.ask(question)
        except PaxosError:
            raise
        except BaseException as interrupt:
            interrupt.add_note(command_unknown(self.name, LEFT, None))
            raise

    def outcome(self, number: int, *, timeout_s: float | None = None) -> list[R]:
        """See ``ReplicatedLog.outcome``."""
        return self._node.ask(lambda: self._log.outcome(number, timeout_s=timeout_s))

    def read(self, query: Callable[[S], X], *, timeout_s: float | None = None) -> X:
        """See ``ReplicatedLog.read``."""
        return self._node.ask(lambda: self._log.read(query, timeout_s=timeout_s))

    def check(self, *, timeout_s: float | None = None) -> int:
        """See ``ReplicatedLog.check``."""
        return self._node.ask(lambda: self._log.check(timeout_s=timeout_s))

    @property
    def state(self) -> S:
        """See ``ReplicatedLog.state``. Never raises."""
        return self._log.state

    def watch(self) -> Iterator[Step[C, R]]:
        """What is applied on this server from now on, in order: see ``ReplicatedLog.watch``.

        Raises ServerStopped, LogClosed and CannotApply; iterating, WatcherTooSlow, too.
        """
        watching = self._log.watch()
        steps = self._node.ask(watching.__aenter__)

        async def following() -> Step[C, R]:
            return await anext(steps)

        def each() -> Iterator[Step[C, R]]:
            try:
                while True:
                    yield self._node.ask(following)
            finally:  # In whichever thread it is collected: so it must not wait.
                self._node.tell(lambda: watching.__aexit__(None, None, None))

        return each()

    def lead(self) -> None:
        """See ``ReplicatedLog.lead``."""

        async def lead() -> None:
            self._log.lead()

        self._node.ask(lead)

    def status(self) -> LogStatus:
        """How it is now. Raises ServerStopped if the node was closed."""

        async def status() -> LogStatus:
            return self._log.status()

        return self._node.ask(status)
