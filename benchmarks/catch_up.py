"""A server that missed a million commands, and one that starts again with them: how long it takes.

Three nodes in this process, with files beside the project, and a counter of bytes as the state
machine. One node is down while COUNT commands of 100 bytes are chosen, in batches. Then it starts.
Then another one is closed and started again. ``make bench`` runs it.

    python benchmarks/catch_up.py [COUNT]
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from paxos import ServerId, majority
from paxos_adapters.codecs import INTEGER, RAW
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.starting import SNAPSHOT_BYTES
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.udp.addresses import Address
from tests.support.free_ports import free_addresses

COMMAND = b"v" * 100
BATCH, AT_A_TIME = 500, 8
ONE, TWO, THREE = map(ServerId, (1, 2, 3))
BUILD = Path(__file__).parents[1] / "build"

Log = ReplicatedLog[int, bytes, int]
Machine = StateMachine[int, bytes, int]


def apply(count: int, command: bytes) -> tuple[int, int]:
    """Count the commands."""
    return count + 1, len(command)


MACHINE = StateMachine(0, apply, commands=RAW, states=INTEGER, results=INTEGER)


class Servers:
    """Three servers, some of which are up."""

    def __init__(
        self, folder: Path, machine: Machine = MACHINE, snapshot_bytes: int = SNAPSHOT_BYTES
    ) -> None:
        self.folder = folder
        self._machine, self._snapshot_bytes = machine, snapshot_bytes
        self.addresses: dict[ServerId, Address] = free_addresses(3)
        self.quorum = majority(self.addresses)
        self._up: dict[ServerId, AsyncExitStack] = {}
        for me in self.addresses:
            FileStore.create(self.path(me), cluster="c", server=me, quorum=self.quorum).close()

    def path(self, me: ServerId) -> Path:
        """The file of a server."""
        return self.folder / f"n{me}.db"

    async def start(self, me: ServerId) -> Log:
        """The log of a server that was down."""
        stack = self._up[me] = AsyncExitStack()
        file = FileStore.open(self.path(me), cluster="c", server=me, quorum=self.quorum)
        stack.enter_context(file)
        node = Node(file, NetworkConfig(self.addresses), codec=RAW)
        await stack.enter_async_context(node)
        log = node.log("log", self._machine, snapshot_bytes=self._snapshot_bytes)
        return await stack.enter_async_context(log)

    async def stop(self, me: ServerId) -> None:
        """Close a server."""
        await self._up.pop(me).aclose()

    async def close(self) -> None:
        """Close all."""
        for me in list(self._up):
            await self.stop(me)


async def submit(log: Log, count: int) -> None:
    """Have ``count`` commands run, many at a time."""
    left = iter(range(count // BATCH))

    async def client() -> None:
        for _ in left:
            await log.submit_many([COMMAND] * BATCH)

    await asyncio.gather(*(client() for _ in range(AT_A_TIME)))


async def reach(log: Log, count: int) -> None:
    """Wait until so many commands are applied."""
    while log.state < count:
        await asyncio.sleep(0.01)


def told(what: str, started_s: float) -> None:
    """Print how long it took, and how large the process has been."""
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:58} {time.perf_counter() - started_s:7.2f} s, peak {peak_mib:,.0f} MiB", flush=True
    )


async def main(count: int = 1_000_000) -> None:
    """Measure it."""
    BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=BUILD) as folder:
        servers = Servers(Path(folder))
        log, _ = await servers.start(ONE), await servers.start(TWO)
        await log.submit(COMMAND)
        started_s = time.perf_counter()
        await submit(log, count)
        told(f"{count:,} commands, two of three servers up", started_s)
        started_s = time.perf_counter()
        await reach(await servers.start(THREE), count)
        told("the third server starts, and has applied them all", started_s)
        await servers.stop(TWO)
        started_s = time.perf_counter()
        await reach(await servers.start(TWO), count)
        told("another one is closed and starts again, with all applied", started_s)
        sizes = [servers.path(me).stat().st_size / (1 << 20) for me in (ONE, TWO, THREE)]
        print("files:", ", ".join(f"{it:,.0f} MiB" for it in sizes))
        await servers.close()


def parsed(words: Sequence[str]) -> int:
    """How many commands."""
    return int(words[0]) if words else 1_000_000


if __name__ == "__main__":
    asyncio.run(main(parsed(sys.argv[1:])))
