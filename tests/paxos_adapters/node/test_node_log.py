"""Replicated state machines on nodes: on loopback, with files, and with faults in between."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from paxos import ServerId
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import Cluster, running, runs

Counter = ReplicatedLog[int, int, int]


class Logs:
    """The log of each node of a cluster."""

    def __init__(
        self, cluster: Cluster, machine: StateMachine[int, int, int], snapshot_bytes: int
    ) -> None:
        self.cluster = cluster
        self.machine = machine
        self.snapshot_bytes = snapshot_bytes
        self.of: dict[ServerId, Counter] = {}
        self._stacks: dict[ServerId, AsyncExitStack] = {}

    async def enter(self, me: ServerId) -> Counter:
        stack = self._stacks[me] = AsyncExitStack()
        log = self.cluster.nodes[me].log("log", self.machine, snapshot_bytes=self.snapshot_bytes)
        self.of[me] = await stack.enter_async_context(log)
        return self.of[me]

    async def leave(self, me: ServerId) -> None:
        del self.of[me]
        await self._stacks.pop(me).aclose()

    async def stop(self, me: ServerId) -> None:
        await self.leave(me)
        await self.cluster.stop(me)

    async def start(self, me: ServerId) -> Counter:
        await self.cluster.start(me)
        return await self.enter(me)

    async def close(self) -> None:
        for me in list(self.of):
            await self.leave(me)


@asynccontextmanager
async def logs(
    folder: Path,
    machine: StateMachine[int, int, int] = COUNTER,
    size: int = 3,
    snapshot_bytes: int = 1 << 30,
) -> AsyncGenerator[Logs, None]:
    async with running(folder, size) as cluster:
        found = Logs(cluster, machine, snapshot_bytes)
        for me in cluster.nodes:
            await found.enter(me)
        try:
            yield found
        finally:
            await found.close()


def test_commands_from_every_server(tmp_path: Path) -> None:
    async def run() -> None:
        async with logs(tmp_path) as cluster:
            one, two, three = cluster.of.values()
            assert await one.submit(5) == 5
            assert await two.submit(6) == 11
            assert await three.submit_many([1, 2, 3]) == [12, 14, 17]
            for log in cluster.of.values():
                assert await log.read(lambda total: total) == 17
                assert log.state == 17

    runs(run())
