"""Leases on nodes in memory: who reads alone, and that only servers that grant one count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.node import MemoryNetwork, MemoryNode, ReplicatedLog
from paxos_adapters.state_machines import COUNTER
from paxos_adapters.timeouts import Lease, Timeouts
from tests.support import S1, S2, S3

LONG, SHORT = Lease(duration_s=20, drift=0.1), Lease(duration_s=10, drift=0.1)


async def reads_alone(leases: Mapping[ServerId, Lease | None]) -> bool:
    """Whether S1, which leads, has a lease after some reads."""
    network = MemoryNetwork(len(leases), random=Random(1))
    async with AsyncExitStack() as stack:
        logs: dict[ServerId, ReplicatedLog[int, int, int]] = {}
        for me, lease in leases.items():
            node = MemoryNode(network, me, codec=TEXT, timeouts=Timeouts(lease=lease))
            await stack.enter_async_context(node)
            logs[me] = await stack.enter_async_context(node.log("counter", COUNTER))
        log = logs[S1]
        log.lead()
        while not log.status().leads:
            await log.submit(1)
        total = await log.submit(1)
        for reader in *logs.values(), log:
            assert await reader.read(lambda it: it) == total
        assert await log.submit(1) == total + 1
        assert await log.read(lambda it: it) == total + 1
        others = [it.status().lease_s for it in logs.values() if it is not log]
        assert others == [None, None]
        return log.status().lease_s is not None


@pytest.mark.parametrize(
    ("leases", "expected"),
    [
        ({S1: LONG, S2: LONG, S3: LONG}, True),
        ({S1: LONG, S2: LONG, S3: None}, True),
        ({S1: SHORT, S2: LONG, S3: LONG}, True),
        ({S1: LONG, S2: None, S3: None}, False),
        ({S1: LONG, S2: SHORT, S3: SHORT}, False),
        ({S1: None, S2: LONG, S3: LONG}, False),
    ],
    ids=["all", "a quorum", "longer", "alone", "shorter", "not the leader"],
)
def test_a_leader_reads_alone_if_a_quorum_grants_its_lease(
    leases: Mapping[ServerId, Lease | None], expected: bool
) -> None:
    assert asyncio.run(asyncio.wait_for(reads_alone(leases), 60)) == expected
