"""A program that runs a node writes a backup of it, and is asked nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paxos import ServerId
from paxos_adapters.backup import LogsNotRunning, back_up, inspect_backup
from paxos_adapters.backup.archive import LogHead, reading
from paxos_adapters.codecs import TEXT
from paxos_adapters.node import MemoryNetwork, MemoryNode, NoAnswer
from paxos_adapters.outputs import OutputRefused
from paxos_adapters.replication.snapshots import codecs_of
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import runs
from tests.support.backups import stands_for
from tests.support.node_clusters import in_memory

ONE = ServerId(1)


def test_all_that_a_node_knows_is_written(tmp_path: Path) -> None:
    """Values in the bytes of its codec; a name of which nothing is chosen is left out."""

    async def run() -> None:
        async with in_memory() as cluster:
            node = cluster.nodes[ONE]
            for it in cluster.nodes.values():
                await it.propose(f"name {it.me}", f"of {it.me}")
            async with node.log("counter", COUNTER) as counter:
                others = [it.log("counter", COUNTER) for me, it in cluster.nodes.items() if me > 1]
                async with others[0], others[1]:
                    assert await counter.submit_many([1, 2, 3]) == [1, 3, 6]
                    whole = await back_up(node, tmp_path / "b", timeout_s=20)
                    slot = counter.status().applied
        assert inspect_backup(tmp_path / "b") == whole
        assert (whole.logs, whole.decisions) == ((LogHead("counter", slot),), 3)
        assert whole.header.names_of == (ONE,)
        with reading(tmp_path / "b") as source:
            for _, pieces in source.logs():
                assert stands_for(codecs_of(COUNTER), pieces).state == 6
            assert [*source.decisions()] == [
                (f"name {me}", TEXT.encode(f"of {me}")) for me in (1, 2, 3)
            ]

    runs(run())


def test_what_is_in_the_way_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    async def run() -> None:
        async with in_memory(1) as cluster:
            node = cluster.nodes[ONE]
            (tmp_path / "taken").write_text("mine")
            with pytest.raises(OutputRefused):
                await back_up(node, tmp_path / "taken")
            async with node.log("counter", COUNTER) as counter:
                await counter.submit(1)
            with pytest.raises(LogsNotRunning, match="'counter'"):
                await back_up(node, tmp_path / "b")
        assert [*tmp_path.iterdir()] == [tmp_path / "taken"]
        assert (tmp_path / "taken").read_text() == "mine"

    runs(run())


def test_without_a_quorum_and_when_it_is_cancelled_nothing_is_written(tmp_path: Path) -> None:
    async def run() -> None:
        network = MemoryNetwork(2)
        async with MemoryNode(network, ONE, codec=TEXT) as node, node.log("counter", COUNTER):
            with pytest.raises(NoAnswer):
                await back_up(node, tmp_path / "b", timeout_s=0.01)
            taking = asyncio.create_task(back_up(node, tmp_path / "b", timeout_s=20))
            while not [*tmp_path.glob(".b-*")]:
                await asyncio.sleep(0.001)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking

    runs(run())
    assert [*tmp_path.iterdir()] == []
