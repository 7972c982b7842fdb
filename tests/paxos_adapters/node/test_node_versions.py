"""A state machine is upgraded server after server, on files and UDP and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from paxos_adapters.cannot_apply import LacksVersion
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import IDS, runs
from tests.paxos_adapters.node.test_node_log import logs, total, until
from tests.support.node_clusters import NewCluster, new_cluster

ONE, TWO, THREE = IDS[:3]


def add_tens(state: int, amount: int) -> tuple[int, int]:
    return state + 10 * amount, state + 10 * amount


SECOND = evolve(COUNTER, apply=add_tens, version=2, earlier={1: COUNTER.apply})


@pytest.fixture(params=["files", "memory"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> NewCluster:
    """Starts clusters of each kind."""
    return new_cluster(request.param, tmp_path)


def test_a_counter_is_upgraded_while_it_is_used(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            for number, me in enumerate((ONE, TWO, THREE), 1):
                assert await cluster.of[me].submit(1) == number
                await cluster.stop(me)
                cluster.machines[me] = SECOND
                await cluster.start(me)
            await until(lambda: all(it.status().version == 2 for it in cluster.of.values()))
            assert await cluster.of[ONE].submit(1) == 13
            await cluster.stop(TWO)
            again = await cluster.start(TWO)
            assert await again.read(total) == 13
            status = again.status()
            assert (status.version, status.stopped) == (2, None)
            await until(lambda: again.status().version_of_all == 2)

    runs(run())


def test_a_server_without_the_version_stops_and_goes_on_with_it(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, one=SECOND, two=SECOND, three=SECOND) as cluster:
            await until(lambda: cluster.of[TWO].status().version == 2)
            assert await cluster.of[TWO].submit(1) == 10
            await cluster.stop(ONE)
            cluster.machines[ONE] = COUNTER
            old = await cluster.start(ONE)
            await until(lambda: old.status().stopped is not None)
            with pytest.raises(LacksVersion, match="program that has version 2"):
                await old.read(total)
            await cluster.stop(THREE)
            assert await cluster.of[TWO].submit(1) == 20  # It votes.
            await cluster.stop(ONE)
            cluster.machines[ONE] = SECOND
            assert await (await cluster.start(ONE)).read(total) == 20

    runs(run())
