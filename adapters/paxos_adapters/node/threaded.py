"""A node for programs without an event loop: the same verbs, called from any thread.

    with ThreadedNode(Node(file, network, codec=TEXT)) as node:
        value = node.propose("leader", "me", timeout_s=1)
        with node.log("counter", COUNTER) as counter:
            total = counter.submit(5, timeout_s=1)

- The node runs on an event loop in a thread of its own. A call hands its request over, and waits.
- A value is encoded in the thread that proposes it, one at a time, and decoded in that of the node.
- What the node raises, the call raises. To interrupt a call ends the wait and nothing else.
- A request before ``close`` is answered, or raises that the node was closed; none hangs.
- A process that is forked has no such thread. There every call is refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Generic, Self, TypeVar

from paxos import PaxosError
from paxos_adapters import arguments, forks
from paxos_adapters.host import ServerStopped
from paxos_adapters.log import LogObserver
from paxos_adapters.node.memory import MemoryNode
from paxos_adapters.node.node import BaseNode, Node
from paxos_adapters.node.status import Status
from paxos_adapters.node.threaded_log import ThreadedLog
from paxos_adapters.replication.starting import SNAPSHOT_BYTES
from paxos_adapters.requests.errors import LEFT, NodeClosed, outcome_unknown
from paxos_adapters.requests.values import Found
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.threads import started
from paxos_adapters.udp.endpoint import SocketAddress

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
V = TypeVar("V")


class ThreadedNode(Generic[V]):
    """One server, on a thread of its own. Safe to use from several threads.

    A context manager: leaving it closes the node. The file stays open, since it is the program's.
    """

    def __init__(
        self,
        node: BaseNode[V],
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """Run ``node``, which was not entered before, and wait until it listens.

        ``loop_factory`` makes the event loop, for example that of uvloop. Raises what entering the
        node raises: AddressError, ThreadNotStarted, StoreAlreadyUsed, and Failed if nothing can be
        saved.
        """
        arguments.one_of("node", node, Node, MemoryNode)
        self._node = node
        self.me = node.me
        self.file = node.file
        self._process = os.getpid()
        self._lock = RLock()
        self._is_closed = False
        self._closing = asyncio.Event()
        self._told = set[asyncio.Task[object]]()
        self._runner = asyncio.Runner(loop_factory=loop_factory or asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        listening = Future[None]()
        # A program that ends without closing ends as in a crash, which is what a node is made for.
        try:
            self._thread = started(f"paxos node {self.me}", lambda: self._run(listening))
        except BaseException:
            self._loop.close()
            raise
        try:
            listening.result()
        except BaseException:
            self.close()
            raise

    def propose(self, name: str, value: V, *, timeout_s: float | None = None) -> V:
        """See ``Node.propose``. An exception that interrupts the wait has a note, as there."""
        try:
            return self.ask(lambda: self._node.propose(name, value, timeout_s=timeout_s))
        except PaxosError:
            raise
        except BaseException as interrupt:
            interrupt.add_note(outcome_unknown(name, LEFT))
            raise

    def read(self, name: str, *, timeout_s: float | None = None) -> Found[V] | None:
        """See ``Node.read``."""
        return self.ask(lambda: self._node.read(name, timeout_s=timeout_s))

    def watch(self, name: str, *, timeout_s: float | None = None) -> V:
        """See ``Node.watch``."""
        return self.ask(lambda: self._node.watch(name, timeout_s=timeout_s))

    @contextmanager
    def log(
        self,
        name: str,
        machine: StateMachine[S, C, R],
        *,
        snapshot_bytes: int = SNAPSHOT_BYTES,
        observer: LogObserver[bytes] | None = None,
    ) -> Generator[ThreadedLog[S, C, R], None, None]:
        """See ``Node.log``. After ``close`` there is nothing to leave."""
        running = self._node.log(name, machine, snapshot_bytes=snapshot_bytes, observer=observer)
        log = ThreadedLog(self, self.ask(running.__aenter__))
        try:
            yield log
        finally:
            with suppress(ServerStopped):
                self.ask(lambda: running.__aexit__(None, None, None))

    def status(self) -> Status:
        """How it is now. Raises ServerStopped if it was closed."""

        async def status() -> Status:
            return self._node.status()

        return self.ask(status)

    @property
    def place(self) -> SocketAddress:
        """Where it listens, as the system says it. Raises Forked."""
        forks.check(self._process, self.file.path)
        return self._node.place

    def close(self) -> None:
        """Finish the save in progress, and let go. A call that still waits gets no answer.

        May be called again, and by any thread. Interrupted, it goes on in the background.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            self._is_closed = True
            with suppress(RuntimeError):  # The loop has ended already.
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: Callable[[], Coroutine[object, object, T]]) -> T:
        """See ``threaded_log.Asking``. Raises ServerStopped, Forked, and what it raises."""
        forks.check(self._process, self.file.path)
        with self._lock:  # What is asked before it is closed, the loop begins before it ends.
            if self._is_closed:
                raise ServerStopped(self.me, NodeClosed())
            asked = question()
            try:
                answer = asyncio.run_coroutine_threadsafe(asked, self._loop)
            except RuntimeError:  # The loop has ended by itself.
                asked.close()
                raise ServerStopped(self.me, NodeClosed()) from None
        try:
            return answer.result()
        except CancelledError:
            raise ServerStopped(self.me, NodeClosed()) from None
        finally:
            answer.cancel()

    def tell(self, call: Callable[[], Coroutine[object, object, object]]) -> None:
        """See ``threaded_log.Asking``."""

        def begin() -> None:
            self._told.add(told := self._loop.create_task(call()))
            told.add_done_callback(self._told.discard)

        with suppress(RuntimeError):  # The loop has ended.
            self._loop.call_soon_threadsafe(begin)

    def _run(self, listening: Future[None]) -> None:
        with self._runner:
            self._runner.run(self._serve(listening))

    async def _serve(self, listening: Future[None]) -> None:
        try:
            await self._node.__aenter__()
        except BaseException as error:
            listening.set_exception(error)
            return
        listening.set_result(None)
        await self._closing.wait()
        await self._node.close()
