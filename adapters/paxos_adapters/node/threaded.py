"""A node for programs without an event loop: the same verbs, called from any thread.

    with ThreadedNode(Node(file, network, codec=TEXT)) as node:
        value = node.propose("leader", "me", timeout_s=1)
        with node.log("counter", COUNTER) as counter:
            total = counter.submit(5, timeout_s=1)
        node.members.add(ServerId(4), ("10.0.0.4", 47100), timeout_s=60)

- The node runs on an event loop in a thread of its own. A call hands its request over, and waits.
- A value is encoded in the thread that proposes it, one at a time, and decoded in that of the node.
- What the node raises, the call raises. To interrupt a call ends the wait and nothing else.
- A request before ``close`` is answered, or raises that the node was closed; none hangs.
- A process that is forked has no such thread. There every call is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Generic, Self, TypeVar

from paxos import PaxosError
from paxos_adapters import arguments
from paxos_adapters.host import ServerStopped
from paxos_adapters.log import LogObserver
from paxos_adapters.loop_thread import LoopThread
from paxos_adapters.node.memory import MemoryNode
from paxos_adapters.node.node import BaseNode, Node
from paxos_adapters.node.status import Status
from paxos_adapters.node.threaded_log import ThreadedLog
from paxos_adapters.node.threaded_members import ThreadedMembers
from paxos_adapters.replication.starting import SNAPSHOT_BYTES
from paxos_adapters.requests.errors import LEFT, NodeClosed, outcome_unknown
from paxos_adapters.requests.values import Found
from paxos_adapters.state_machine import StateMachine
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
        self.members = ThreadedMembers(self, node.members)
        self.file = node.file
        self._thread = LoopThread(
            f"paxos node {self.me}",
            node,
            self.file.path,
            lambda: ServerStopped(self.me, NodeClosed()),
            loop_factory,
        )

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
        self._thread.check()
        return self._node.place

    def close(self) -> None:
        """Finish the save in progress, and let go. A call that still waits gets no answer.

        May be called again, and by any thread. Interrupted, it goes on in the background.
        """
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: Callable[[], Coroutine[object, object, T]]) -> T:
        """See ``threaded_log.Asking``. Raises ServerStopped, Forked, and what it raises."""
        return self._thread.ask(question)

    def tell(self, call: Callable[[], Coroutine[object, object, object]]) -> None:
        """See ``threaded_log.Asking``."""
        self._thread.tell(call)
