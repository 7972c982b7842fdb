"""Nodes whose datagrams are lost: the largest value is chosen anyway."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.node import Found
from paxos_adapters.udp.endpoint import Endpoint, SocketAddress
from tests.paxos_adapters.node.test_node import IDS, running

SEED, LOSS = 20131017, 0.1


def test_the_largest_value_is_chosen_while_a_tenth_of_all_datagrams_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has 60 parts. Unless lost ones are sent again, 2 of 1,000 messages with it arrive."""
    random, send = Random(SEED), Endpoint.send

    def lossy(endpoint: Endpoint, datagram: bytes, place: SocketAddress) -> None:
        if random.random() >= LOSS:
            send(endpoint, datagram, place)

    async def run() -> None:
        async with running(tmp_path) as cluster:
            monkeypatch.setattr(Endpoint, "send", lossy)
            one, two = cluster.nodes[IDS[0]], cluster.nodes[IDS[1]]
            for name in "a", "b", "c":
                value = name * MAX_VALUE_BYTES
                assert await one.propose(name, value, timeout_s=30) == value
                assert await two.read(name, timeout_s=30) == Found(value)

    asyncio.run(run())
