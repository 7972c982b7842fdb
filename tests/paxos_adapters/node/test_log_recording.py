"""A log that runs on nodes is recorded, replayed and drawn like any other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from paxos import ServerId
from paxos.log.replica import DEFAULT_RULES
from paxos_adapters.codecs import TEXT, TRUNCATED
from paxos_adapters.node.memory import MemoryNode
from paxos_adapters.node.memory_network import MemoryNetwork
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.state_machines import COUNTER
from paxos_lab.explain import explain_log, of_log
from paxos_lab.record import log_timeline, replay_log
from paxos_lab.record.logs import LogRecorder


def recorded(folder: Path) -> list[Path]:
    """Forty commands from three servers, with snapshots."""
    paths = [folder / f"n{number}.jsonl" for number in (1, 2, 3)]

    async def run() -> None:
        network = MemoryNetwork(servers=3)
        async with AsyncExitStack() as stack:
            logs: list[ReplicatedLog[int, int, int]] = []
            for number, path in enumerate(paths, 1):
                recorder = stack.enter_context(
                    LogRecorder(path, codec=TRUNCATED, runtime="a node", rules=DEFAULT_RULES)
                )
                node = MemoryNode(network, ServerId(number), codec=TEXT)
                await stack.enter_async_context(node)
                log = node.log("counter", COUNTER, observer=recorder, snapshot_bytes=300)
                logs.append(await stack.enter_async_context(log))
            for number in range(40):
                await logs[number % 3].submit(number)

    asyncio.run(asyncio.wait_for(run(), 60))
    return paths


def test_it_is_replayed_explained_and_drawn(tmp_path: Path) -> None:
    replay = replay_log(*recorded(tmp_path))

    assert replay.names == ("counter",)
    assert "All slots below" in explain_log(of_log(replay)).text
    told = log_timeline(replay)
    assert told.name == "counter"
    assert {it.text for it in told.arrows} >= {"Heartbeat"}
