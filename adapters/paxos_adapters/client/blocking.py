"""``Client``: the same verbs without an event loop, from any thread.

- The client runs on an event loop in a thread of its own. What several threads submit at a time
  goes together.
- To interrupt a call ends the wait and nothing else.
- A process that is forked has no such thread: make the client after the fork.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, Self, TypeVar

from paxos import PaxosError
from paxos_adapters.client.asynchronous import TIMEOUT_S, AsyncClient
from paxos_adapters.client.errors import ClientClosed
from paxos_adapters.loop_thread import LoopThread
from paxos_adapters.replication.process import LogStatus
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import LEFT, command_unknown
from paxos_adapters.state_machine import Query, StateMachine

C = TypeVar("C")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")


class Client(Generic[S, C, R]):
    """A client of one log. Safe to use from several threads.

    A context manager: leaving it closes the client.
    """

    def __init__(
        self,
        servers: Sequence[str | os.PathLike[str]],
        name: str,
        machine: StateMachine[S, C, R],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """See ``AsyncClient``. Raises ThreadNotStarted, too."""
        self._client = AsyncClient(servers, name, machine, timeout_s=timeout_s)
        self.name = name
        owner = f"the client of {name!r}"
        self._thread = LoopThread(f"paxos client {name}", self._client, owner, ClientClosed)

    def submit(self, command: C, *, timeout_s: float | None = None) -> R:
        """See ``AsyncClient.submit``. An exception that interrupts the wait has a note."""
        with self._noted():
            return self._thread.ask(lambda: self._client.submit(command, timeout_s=timeout_s))

    def submit_many(self, commands: Iterable[C], *, timeout_s: float | None = None) -> list[R]:
        """See ``AsyncClient.submit_many``. An exception that interrupts the wait has a note."""
        with self._noted():
            return self._thread.ask(lambda: self._client.submit_many(commands, timeout_s=timeout_s))

    def outcome(self, number: int, *, timeout_s: float | None = None) -> list[R]:
        """See ``AsyncClient.outcome``. An exception that interrupts the wait has a note."""
        with self._noted():
            return self._thread.ask(lambda: self._client.outcome(number, timeout_s=timeout_s))

    @contextmanager
    def _noted(self) -> Generator[None, None, None]:
        try:
            yield
        except PaxosError:
            raise
        except BaseException as interrupt:
            interrupt.add_note(command_unknown(self.name, LEFT, None))
            raise

    def read(self, query: Query[S, Q, X], question: Q, *, timeout_s: float | None = None) -> X:
        """See ``AsyncClient.read``."""
        return self._thread.ask(lambda: self._client.read(query, question, timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> LogStatus:
        """See ``AsyncClient.status``."""
        return self._thread.ask(lambda: self._client.status(timeout_s=timeout_s))

    @contextmanager
    def watch(
        self, *, timeout_s: float | None = None
    ) -> Generator[Iterator[Step[C, R]], None, None]:
        """See ``AsyncClient.watch``."""
        watching = self._client.watch(timeout_s=timeout_s)
        steps = self._thread.ask(watching.__aenter__)

        async def next_step() -> Step[C, R]:
            return await anext(steps)

        def each() -> Generator[Step[C, R], None, None]:
            while True:
                yield self._thread.ask(next_step)

        async def leave() -> None:
            await watching.__aexit__(None, None, None)

        try:
            yield each()
        finally:
            with suppress(ClientClosed):
                self._thread.ask(leave)

    def close(self) -> None:
        """Hang up. A call that still waits raises CommandUnknown, NotReached or ClientClosed.

        May be called again, and by any thread. In a forked process there is nothing to close.
        """
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
