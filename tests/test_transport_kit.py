"""The kit for transports: honest transports pass it, and it catches each lie, by the test for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paxos import Message, ServerId
from paxos_adapters.memory import Endpoint, Network
from paxos_adapters.testing import Deliver, TransportKit

VALUES = "red", "", "\0'é\n", "x" * 5000


class TestMemory(TransportKit[str]):
    """The network in memory, and a loop that is as plain as can be."""

    values = VALUES

    def setup_method(self) -> None:
        self.network = Network[Message[str]]()
        self.deliver: dict[ServerId, Deliver[str]] = {}

    @contextmanager
    def running(self, me: ServerId, deliver: Deliver[str]) -> Iterator[Endpoint[Message[str]]]:
        self.deliver[me] = deliver
        yield Endpoint(me, self.network)
        del self.deliver[me]

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:  # noqa: ARG002
        while not holds() and self.network.queue:
            sender, receiver, message = self.network.queue.popleft()
            if receiver in self.deliver:
                self.deliver[receiver](sender, message)
