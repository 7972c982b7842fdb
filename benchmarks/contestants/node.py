"""Ours: a node with its keys and its file, and the program that proposes, in one of the three."""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from itertools import count
from pathlib import Path

from paxos import ServerId, majority
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.wire import Authenticated, Key, Keyring

VALUE = b"v" * 64
KEYRING = Keyring((Key(bytes(range(32))),))
WARM_UP = 2_000
"""Enough to fill the log of SQLite once: while it grows, each sync also syncs its new size."""

TIMEOUT_S = 30.0


async def measure(node: Node[bytes], seconds: float, width: int) -> list[float]:
    """How long each took, of ``width`` at a time: decisions, or READS of decided names."""
    reads = "READS" in os.environ
    for number in range(WARM_UP):
        await node.propose(f"warm {number}", VALUE, timeout_s=TIMEOUT_S)
    taken: list[float] = []
    numbers = count()
    until = time.perf_counter() + seconds

    async def client() -> None:
        while (started := time.perf_counter()) < until:
            if reads:
                await node.read(f"warm {next(numbers) % WARM_UP}", timeout_s=TIMEOUT_S)
            else:
                await node.propose(f"name {next(numbers)}", VALUE, timeout_s=TIMEOUT_S)
            if (now := time.perf_counter()) < until:
                taken.append(now - started)

    await asyncio.gather(*(client() for _ in range(width)))
    return taken


async def main(folder: str, ports: str, me: str, seconds: str = "", width: str = "1") -> None:
    """Serve, or measure."""
    server = ServerId(int(me))
    numbered = enumerate(json.loads(ports), 1)
    addresses = {ServerId(it): ("127.0.0.1", int(port)) for it, port in numbered}
    path = Path(folder) / f"n{me}.db"
    with FileStore.create(path, cluster="bench", server=server, quorum=majority(addresses)) as file:
        async with Node(
            file, NetworkConfig(addresses, protection=Authenticated(KEYRING)), codec=RAW
        ) as node:
            if seconds:
                print(json.dumps(await measure(node, float(seconds), int(width))))
            else:
                await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    if "UVLOOP" in os.environ:
        import uvloop

        uvloop.run(main(*sys.argv[1:]))
    else:
        asyncio.run(main(*sys.argv[1:]))
