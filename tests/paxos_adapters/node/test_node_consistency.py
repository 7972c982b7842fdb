"""A server whose state differs is found out by the others, on files and UDP and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from paxos_adapters.cannot_apply import Diverged
from paxos_adapters.node import NoAnswer
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import IDS, runs
from tests.paxos_adapters.node.test_node_log import Logs, logs, total, until
from tests.support.node_clusters import NewCluster, new_cluster

ONE, TWO, THREE = IDS[:3]
SNAPSHOT_BYTES = 100
LONG_S = 20.0


def add_wrongly(state: int, amount: int) -> tuple[int, int]:
    """One more for the seventh."""
    return state + amount + (state == 6), state + amount


FAULTY = evolve(COUNTER, apply=add_wrongly)


@pytest.fixture(params=["files", "memory"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> NewCluster:
    """Starts clusters of each kind."""
    return new_cluster(request.param, tmp_path)


async def all_known(cluster: Logs) -> None:
    """Each server has said what it has, so that the leader proposes checks."""
    await until(lambda: all(it.status().version_of_all for it in cluster.of.values()))


def test_a_server_that_differs_stops_and_serves_nothing_more(
    new: NewCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with logs(new, snapshot_bytes=SNAPSHOT_BYTES, one=FAULTY) as cluster:
            one, two = cluster.of[ONE], cluster.of[TWO]
            two.lead()
            await until(lambda: two.status().leads)
            await all_known(cluster)
            while one.status().stopped is None:
                await two.submit(1)
            with pytest.raises(Diverged, match="replace the server"):
                await one.read(total)
            await cluster.stop(ONE)
            again = await cluster.start(ONE)
            with pytest.raises(Diverged):
                await again.read(total)
            assert two.status().stopped is None
            assert two.status().checked is not None
            await cluster.stop(THREE)
            expected = two.state + 1
            assert await two.submit(1) == expected  # It votes.
            await cluster.stop(ONE)
            del cluster.machines[ONE]
            assert await (await cluster.start(ONE)).read(total) == expected

    runs(run())
    assert "a check there says" in caplog.text


def test_it_is_checked_at_once_when_a_program_asks(new: NewCluster) -> None:
    """Though no snapshot would be due for a long time; by leaders and others."""

    async def run() -> None:
        async with logs(new) as cluster:
            for log in cluster.of.values():
                await log.submit(1)
                before = log.status().applied
                assert await log.check(timeout_s=LONG_S) >= before
                assert log.status().checked
            assert all(it.status().stopped is None for it in cluster.of.values())

    runs(run())


def test_a_check_finds_the_server_that_differs(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, one=FAULTY) as cluster:
            one, two = cluster.of[ONE], cluster.of[TWO]
            two.lead()
            await until(lambda: two.status().leads)
            await all_known(cluster)
            for _ in range(8):
                await two.submit(1)
            with pytest.raises(Diverged):
                await one.check(timeout_s=LONG_S)
            with pytest.raises(Diverged):
                await one.check(timeout_s=LONG_S)
            assert await two.check(timeout_s=LONG_S)

    runs(run())


def test_a_check_that_cannot_be_made_in_time_says_so(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            await all_known(cluster)
            for it in TWO, THREE:
                await cluster.stop(it)
            with pytest.raises(NoAnswer):
                await cluster.of[ONE].check(timeout_s=0.05)

    runs(run())


def test_servers_that_agree_have_checked_it(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, snapshot_bytes=SNAPSHOT_BYTES) as cluster:
            await all_known(cluster)
            while not all(it.status().checked for it in cluster.of.values()):
                await cluster.of[ONE].submit(1)
            assert all(it.status().stopped is None for it in cluster.of.values())

    runs(run())
