"""Ours: a replicated state machine on nodes with keys and files; the program is at the leader.

WORK in the environment says what is measured: ``submit`` (the default), ``read``, ``batches`` of
BATCH commands each, or ``follow``: submit, at a server that does not lead. DATAGRAM_BYTES says how
large datagrams are, LEASE_S for how long a lease lasts with which the leader reads alone.
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from paxos import ServerId, majority
from paxos_adapters.codecs import INTEGER, RAW
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.timeouts import Lease, Timeouts
from paxos_adapters.wire import Authenticated, Key, Keyring

COMMAND = b"v" * 100
KEYRING = Keyring((Key(bytes(range(32))),))
WARM_UP = 2_000
"""Enough to fill the log of SQLite once: while it grows, each sync also syncs its new size."""

TIMEOUT_S = 30.0
DATAGRAM_BYTES = int(os.environ.get("DATAGRAM_BYTES", "1200"))
LEASE_S = float(os.environ.get("LEASE_S", "0"))
DRIFT = 0.01
BATCH = 500

Log = ReplicatedLog[int, bytes, int]


def apply(count: int, command: bytes) -> tuple[int, int]:
    """Count the bytes."""
    return count + len(command), count


MACHINE = StateMachine(0, apply, commands=RAW, states=INTEGER, results=INTEGER)


def look(count: int) -> int:
    """The whole state."""
    return count


async def leader(log: Log, wanted: bool) -> None:
    """Wait until this server leads, or another one does."""
    while True:
        status = log.status()
        if status.leader is not None and status.leads == wanted:
            return
        if wanted and not status.leads:
            log.lead()
        await asyncio.sleep(0.2)


async def measure(log: Log, seconds: float, width: int) -> list[float]:
    """How long each command took, of ``width`` at a time; in a batch they end together."""
    work = os.environ.get("WORK", "submit")
    await leader(log, wanted=work != "follow")
    for _ in range(WARM_UP):
        await log.submit(COMMAND, timeout_s=TIMEOUT_S)
    taken: list[float] = []
    until = time.perf_counter() + seconds

    async def client() -> None:
        while (started := time.perf_counter()) < until:
            if work == "read":
                await log.read(look)
            elif work == "batches":
                await log.submit_many([COMMAND] * BATCH)
            else:
                await log.submit(COMMAND)
            if (now := time.perf_counter()) < until:
                taken.extend([now - started] * (BATCH if work == "batches" else 1))

    clients = width // BATCH if work == "batches" else width
    await asyncio.gather(*(client() for _ in range(clients)))
    return taken


async def main(folder: str, ports: str, me: str, seconds: str = "", width: str = "1") -> None:
    """Serve, or measure."""
    server = ServerId(int(me))
    numbered = enumerate(json.loads(ports), 1)
    addresses = {ServerId(it): ("127.0.0.1", int(port)) for it, port in numbered}
    path = Path(folder) / f"n{me}.db"
    with FileStore.create(path, cluster="bench", server=server, quorum=majority(addresses)) as file:
        keys = Authenticated(KEYRING)
        network = NetworkConfig(addresses, protection=keys, datagram_bytes=DATAGRAM_BYTES)
        timeouts = Timeouts(lease=Lease(LEASE_S, DRIFT) if LEASE_S else None)
        node = Node(file, network, codec=RAW, timeouts=timeouts)
        async with node, node.log("log", MACHINE) as log:
            if seconds:
                print(json.dumps(await measure(log, float(seconds), int(width))))
            else:
                if server == 1 and os.environ.get("WORK") == "follow":
                    await leader(log, wanted=True)
                await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
