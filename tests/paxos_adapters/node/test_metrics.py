"""What OpenTelemetry reads of a node."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node, OutcomeUnknown
from paxos_adapters.node.metrics import observe
from paxos_adapters.udp.endpoint import Address
from tests.support.free_ports import free_addresses

S1, S2 = ServerId(1), ServerId(2)
Key = tuple[str, str | None]

ALONE = """
import asyncio, sys
from pathlib import Path
from tempfile import TemporaryDirectory
sys.modules["opentelemetry.sdk"] = None
from paxos import majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.node.metrics import observe

async def main(folder):
    quorum = majority([1])
    with FileStore.create(Path(folder) / "n1.db", cluster="c", server=1, quorum=quorum) as file:
        async with Node(file, NetworkConfig({1: ("127.0.0.1", 0)}), codec=TEXT) as node:
            observe(node)
            print(await node.propose("leader", "me"))

with TemporaryDirectory() as folder:
    asyncio.run(main(folder))
"""


def figures(reader: InMemoryMetricReader) -> Mapping[Key, float]:
    """What is read, by instrument, and by reason or peer."""
    found: dict[Key, float] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    assert isinstance(point, NumberDataPoint)
                    attributes = dict(point.attributes or {})
                    assert attributes.pop("paxos.cluster") == "c"
                    assert attributes.pop("paxos.server") in (S1, S2)
                    (which,) = [*attributes.values()] or [None]
                    found[metric.name, None if which is None else str(which)] = point.value
    return found


@asynccontextmanager
async def watched(
    folder: Path, me: ServerId, addresses: Mapping[ServerId, Address], provider: MeterProvider
) -> AsyncGenerator[Node[str], None]:
    """A node that is observed."""
    with FileStore.create(
        folder / f"n{me}.db", cluster="c", server=me, quorum=majority(addresses)
    ) as file:
        async with Node(file, NetworkConfig(addresses), codec=TEXT) as node:
            observe(node, provider.get_meter("test"))
            yield node


def test_a_reader_in_any_thread_sees_what_the_status_says(tmp_path: Path) -> None:
    """Server 2 does not know where server 1 is, so it refuses all that comes from there."""
    readers = InMemoryMetricReader(), InMemoryMetricReader()
    providers = [MeterProvider([it]) for it in readers]

    async def run() -> None:
        elsewhere = {S1: ("127.0.0.1", 9), S2: ("127.0.0.1", 0)}
        async with watched(tmp_path, S2, elsewhere, providers[1]) as two:
            there = {S1: ("127.0.0.1", 0), S2: ("127.0.0.1", int(two.place[1]))}
            async with watched(tmp_path, S1, there, providers[0]) as one:
                asking = asyncio.ensure_future(one.read("leader"))
                with pytest.raises(OutcomeUnknown):
                    await one.propose("other", "one", timeout_s=0.001)
                while not (two.status().refused and one.status().asked):
                    await asyncio.sleep(0.001)
                for found in figures(readers[0]), await asyncio.to_thread(figures, readers[0]):
                    assert 1 <= found["paxos.saves", None] <= one.status().saves
                    assert found["paxos.names.in_memory", None] == 0
                    assert found["paxos.names.asked", None] == 1
                    assert found["paxos.proposals.unresolved", None] == 1
                    assert found["paxos.values.in_memory", None] == 0
                    assert found["paxos.servers.up", None] == 1
                    assert found["paxos.tolerance", None] == -1
                    assert found["paxos.votes", None] == 0
                    assert found["paxos.descent.proven", None] == 0
                found = figures(readers[1])
                assert found["paxos.datagrams.refused", "wrong_address"] >= 1
                asking.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    for reader, provider in zip(readers, providers, strict=True):
        assert figures(reader) == {}, "a loop that has ended is asked no more"
        provider.shutdown()


def test_round_trips_by_peer(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])

    async def run() -> None:
        addresses = free_addresses(2)
        async with (
            watched(tmp_path, S2, addresses, MeterProvider()),
            watched(tmp_path, S1, addresses, provider) as one,
        ):
            while one.status().tolerance < 0 or not one.status().descent.is_proven:
                await asyncio.sleep(0.001)
            found = figures(reader)
            assert found["paxos.peer.round_trip", "2"] == one.status().peers[S2].round_trip_s
            assert found["paxos.servers.up", None] == 2
            assert found["paxos.tolerance", None] == 0
            assert found["paxos.votes", None] == 1
            assert found["paxos.descent.proven", None] == 1

    asyncio.run(asyncio.wait_for(run(), 60))
    provider.shutdown()


def test_the_api_alone_will_do() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("me\n", "")
