"""Nodes in memory: the verbs of a node, and what a test does to their network."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from paxos import ServerId, UnknownServer, majority
from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import AlreadyAMember, Closed, SaveFailed
from paxos_adapters.host import ServerStopped
from paxos_adapters.memory import ServerDown
from paxos_adapters.node import (
    BadName,
    CommandUnknown,
    Crashed,
    Found,
    MemoryNetwork,
    MemoryNode,
    NoAnswer,
    NodeClosed,
    NotStarted,
    OutcomeUnknown,
    Removed,
    ServerRunning,
)
from paxos_adapters.node.memory import SHORT_TIMEOUTS
from paxos_adapters.node.memory_network import MemoryLinks
from paxos_adapters.node.node import BaseNode
from paxos_adapters.state_machines import COUNTER
from paxos_adapters.wire import TooLarge
from tests.paxos_adapters.node.test_node import IDS, runs
from tests.support.node_clusters import NewCluster, in_memory, new_cluster

ONE, TWO, THREE = IDS[:3]


@pytest.fixture(params=["files", "memory"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> NewCluster:
    """Starts clusters of each kind."""
    return new_cluster(request.param, tmp_path)


class TestBothKinds:
    """A node does the same on files and UDP, and in memory."""

    def test_they_agree(self, new: NewCluster) -> None:
        async def run() -> None:
            async with new(3) as cluster:
                one, two, three = cluster.nodes.values()
                assert await one.read("leader") is None
                watching = asyncio.ensure_future(three.watch("leader"))
                assert await one.propose("leader", "one") == "one"
                assert await two.propose("leader", "two") == "one"
                assert [await it.read("leader") for it in (one, two, three)] == [Found("one")] * 3
                assert await watching == "one"
                assert await three.read("other") is None

        runs(run())

    def test_rivals_come_to_one_value_for_each_name(self, new: NewCluster) -> None:
        async def run() -> None:
            async with new(5) as cluster:
                for number in range(10):
                    chosen = await asyncio.gather(
                        *(it.propose(f"{number}", f"{me}") for me, it in cluster.nodes.items())
                    )
                    assert len(set(chosen)) == 1

        runs(run())

    def test_what_was_chosen_survives_all_of_them(self, new: NewCluster) -> None:
        async def run() -> None:
            async with new(3) as cluster:
                assert await cluster.nodes[ONE].propose("leader", "one") == "one"
                for me in IDS[:3]:
                    await cluster.stop(me)
                for me in IDS[:3]:
                    await cluster.start(me)
                assert await cluster.nodes[THREE].propose("leader", "three") == "one"

        runs(run())

    def test_without_a_quorum_nothing_is_known(self, new: NewCluster) -> None:
        async def run() -> None:
            async with new(3) as cluster:
                one = cluster.nodes[ONE]
                await cluster.stop(TWO)
                await cluster.stop(THREE)
                with pytest.raises(OutcomeUnknown):
                    await one.propose("leader", "one", timeout_s=0.05)
                with pytest.raises(NoAnswer):
                    await one.read("other", timeout_s=0.05)
                assert one.status().unresolved == 1
                await cluster.start(TWO)
                assert await one.read("leader") == Found("one")

        runs(run())

    def test_what_is_asked_wrongly(self, new: NewCluster) -> None:
        async def run() -> None:
            async with new(1) as cluster:
                one = cluster.nodes[ONE]
                with pytest.raises(BadName):
                    await one.read("")
                with pytest.raises(TooLarge):
                    _ = one.propose("leader", "x" * 65_537)
                with pytest.raises(BadNumber):
                    await one.read("leader", timeout_s=-1)
                await one.close()
                with pytest.raises(ServerStopped):
                    await one.read("leader")
                assert isinstance((await one.stopped()).cause, NodeClosed)

        runs(run())


class Unlucky(Random):
    """It loses all that can be lost."""

    def random(self) -> float:
        return 0.0


class TestTheNetwork:
    """What a test does to it."""

    def test_a_cut_holds_until_it_is_healed(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                one, two, three = cluster.nodes.values()
                cluster.network.cut(ONE)
                assert one.status().tolerance == -1
                assert [it.is_up for it in one.status().peers.values()] == [False, False]
                with pytest.raises(OutcomeUnknown):
                    await one.propose("leader", "one", timeout_s=0.05)
                assert await two.propose("leader", "two") == "two"
                cluster.network.heal()
                assert one.status().tolerance == 1
                assert await one.read("leader") == Found("two")
                cluster.network.cut(ONE, TWO)
                assert await one.read("leader") == Found("two")  # with server 3
                assert await three.read("leader") == Found("two")

        runs(run())

    def test_nothing_is_lost_once_it_is_healed(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                cluster.network.lose(0.99)
                cluster.network.heal()
                cluster.network.random = Unlucky()
                assert await cluster.nodes[ONE].propose("leader", "one", timeout_s=1.0) == "one"

        runs(run())

    def test_a_leader_that_is_cut_off_reads_nothing_old(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                one, two, three = cluster.nodes.values()
                async with (
                    one.log("log", COUNTER) as first,
                    two.log("log", COUNTER) as second,
                    three.log("log", COUNTER),
                ):
                    first.lead()
                    assert await first.submit(1) == 1
                    cluster.network.cut(ONE)
                    assert await second.submit(1) == 2
                    with pytest.raises(NoAnswer):
                        await first.read(lambda total: total, timeout_s=0.05)
                    assert first.state == 1
                    cluster.network.heal()
                    assert await first.read(lambda total: total) == 2

        runs(run())

    def test_lost_messages_are_sent_again(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                cluster.network.lose(0.1)
                one, two, three = cluster.nodes.values()
                async with (
                    one.log("log", COUNTER) as first,
                    two.log("log", COUNTER) as second,
                    three.log("log", COUNTER),
                ):
                    for number in range(10):
                        assert await first.submit(1) == 2 * number + 1
                        assert await second.submit(1) == 2 * number + 2
                assert await one.propose("leader", "one") == "one"

        runs(run())

    def test_a_server_that_crashed_has_what_it_has_saved(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                one, two, _ = cluster.nodes.values()
                assert await one.propose("leader", "one") == "one"
                cluster.network.crash(ONE)
                assert isinstance((await one.stopped()).cause, Crashed)
                with pytest.raises(ServerDown):
                    cluster.network.crash(ONE)
                assert two.status().tolerance == 0
                with pytest.raises(ServerStopped):
                    await one.read("leader")
                again = await cluster.start(ONE)
                await cluster.stop(THREE)
                assert await again.propose("leader", "again") == "one"
                await one.close()
                assert await again.propose("other", "again") == "again"

        runs(run())

    def test_a_crash_ends_what_waits(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                one = cluster.nodes[ONE]
                cluster.network.cut(ONE)
                async with one.log("log", COUNTER) as log:
                    submitting = asyncio.ensure_future(log.submit(1))
                    proposing = asyncio.ensure_future(one.propose("leader", "one"))
                    await asyncio.sleep(0)
                    cluster.network.crash(ONE)
                    with pytest.raises(CommandUnknown):
                        await submitting
                    with pytest.raises(OutcomeUnknown):
                        await proposing

        runs(run())

    def test_a_disk_that_is_full_stops_its_node(self) -> None:
        async def run() -> None:
            async with in_memory(1) as cluster:
                one = cluster.nodes[ONE]
                async with one.log("log", COUNTER) as log:
                    cluster.network.fail_saves(ONE)
                    with pytest.raises(CommandUnknown, match="No space left"):
                        await log.submit(1)
                    assert isinstance((await one.stopped()).cause, SaveFailed)
                again = await cluster.start(ONE)
                assert await again.propose("leader", "one") == "one"

        runs(run())

    def test_one_node_of_a_server_runs_at_a_time(self) -> None:
        async def run() -> None:
            async with in_memory() as cluster:
                second = MemoryNode(cluster.network, ONE, codec=TEXT)
                with pytest.raises(ServerRunning):
                    await second.__aenter__()
                with pytest.raises(NotStarted):
                    await second.read("leader")
                one = cluster.nodes[ONE]
                assert await one.propose("leader", "one") == "one"
                await one.close()
                with pytest.raises(ServerRunning):
                    await one.__aenter__()
                async with second:
                    assert await second.read("leader") == Found("one")

        runs(run())

    def test_what_is_built_wrongly(self) -> None:
        network = MemoryNetwork(quorum=majority([ServerId(7), ServerId(8), ServerId(9)]))
        with pytest.raises(UnknownServer):
            MemoryNode(network, ONE, codec=TEXT)
        with pytest.raises(BadArgument):
            MemoryNode(network, ServerId(7), codec=TEXT, random=3)  # type: ignore[arg-type]
        for share in -0.1, 1.0, float("nan"):
            with pytest.raises(BadNumber):
                network.lose(share)
        with pytest.raises(UnknownServer):
            network.cut(ServerId(7), ONE)
        with pytest.raises(ServerDown):
            network.fail_saves(ServerId(7))

    def test_an_opening_that_another_one_has_followed_writes_nothing(self) -> None:
        network = MemoryNetwork(1, random=Random(1))
        first, second = network.open_file(ONE), network.open_file(ONE)
        first.acquire()
        first.save_all([])
        second.acquire()
        with suppress(Closed):
            first.save_all([])
        assert network.open_file(ONE).saves == 1


def linked(network: MemoryNetwork, server: ServerId) -> tuple[MemoryLinks, BaseNode[str]]:
    """A node in memory, and its links."""
    file = network.open_file(server)
    links = MemoryLinks(network, file)
    return links, BaseNode(file, links, codec=TEXT, timeouts=SHORT_TIMEOUTS)


class TestMembers:
    """The links of nodes in memory follow a change of members, as those of a mesh do."""

    def test_who_is_linked_is_heard_and_nobody_else(self) -> None:
        async def run() -> None:
            network = MemoryNetwork(random=Random(1))
            links, node = linked(network, ONE)
            async with node as one, MemoryNode(network, TWO, codec=TEXT) as two:
                addresses = {it: ("memory", it) for it in (ONE, TWO, THREE)}
                links.set_members(
                    {it: addresses[it] for it in (ONE, THREE)}, majority([ONE, THREE])
                )
                assert one.status().peers.keys() == {THREE}
                assert one.status().tolerance == -1
                proposing = asyncio.ensure_future(two.propose("a", "red"))
                while not one.status().refused:
                    await asyncio.sleep(0)
                assert one.status().refused.keys() == {"unknown_sender"}
                with pytest.raises(NoAnswer):
                    await one.read("a", timeout_s=0.001)
                assert one.status().lost["no such server"] > 0
                links.set_members(addresses, network.quorum)
                assert await proposing == "red"
                assert one.status().tolerance == 0

        runs(run())

    def test_a_server_that_joins_has_an_empty_memory(self) -> None:
        async def run() -> None:
            network, four = MemoryNetwork(), ServerId(4)
            with pytest.raises(UnknownServer):
                MemoryNode(network, four, codec=TEXT)
            network.join(four)
            for server in ONE, four:
                with pytest.raises(AlreadyAMember):
                    network.join(server)
            async with MemoryNode(network, four, codec=TEXT) as newcomer:
                assert newcomer.status().peers.keys() == {ONE, TWO, THREE}

        runs(run())

    def test_a_node_that_was_removed_stops(self) -> None:
        async def run() -> None:
            network = MemoryNetwork(random=Random(1))
            links, node = linked(network, ONE)
            async with node, MemoryNode(network, TWO, codec=TEXT) as two:
                left = {it: ("memory", it) for it in (ONE, THREE)}
                links.set_members(left, majority(left), former=[TWO], epoch=3)
                proposing = asyncio.ensure_future(two.propose("a", "red"))
                stopped = await two.stopped()
                assert isinstance(stopped.cause, Removed)
                assert (stopped.cause.server, stopped.cause.epoch) == (TWO, 3)
                with pytest.raises(OutcomeUnknown, match="server 2 is not a member"):
                    await proposing
                with pytest.raises(Removed):
                    links.set_members(left, majority(left), former=[ONE, TWO])

        runs(run())
