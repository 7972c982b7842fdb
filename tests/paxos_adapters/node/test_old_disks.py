"""Disks of another time while the members change: none votes, and no healthy server is stopped."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import NetworkConfig, Node, OlderCopy, Removed
from paxos_adapters.state_machines import COUNTER
from paxos_adapters.udp import mesh
from tests.paxos_adapters.node.test_node import QUICK, Cluster, runs
from tests.support.free_ports import free_addresses

ONE, TWO, THREE, FOUR, FIVE = (ServerId(number) for number in range(1, 6))
FOUNDERS = ONE, TWO, THREE
LONG_S = 20.0
"""Longer than any change takes, on a machine that is busy."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "OPENING_S", 0.01)
    monkeypatch.setattr(mesh, "PING_S", 0.01)


class Changing(Cluster):
    """Nodes whose members change; all know where all founders are, and newcomers each other."""

    def __init__(self, folder: Path, newcomers: Iterable[ServerId] = (FOUR, FIVE)) -> None:
        super().__init__(folder, len(FOUNDERS))
        every = free_addresses(5)
        self.founders, self.addresses = self.addresses, {**every, **self.addresses}
        for me in newcomers:
            FileStore.create(
                self.path(me), cluster="c", server=me, quorum=self.quorum, joining=True
            ).close()

    async def start(self, me: ServerId, *_: object, **__: object) -> Node[str]:
        """Start a server; one that stops at once has no node."""
        file = FileStore.open(self.path(me), cluster="c", server=me, quorum=self.quorum)
        self.files[me] = file
        knows_all = me not in FOUNDERS or file.has_log("$members")
        network = NetworkConfig(self.addresses if knows_all else self.founders)
        node = Node(file, network, codec=TEXT, timeouts=QUICK, random=Random(me))
        self.nodes[me] = node
        await node.__aenter__()
        return node

    async def add(self, asked: ServerId, newcomer: ServerId) -> None:
        await self.start(newcomer)
        members = self.nodes[asked].members
        await members.add(newcomer, self.addresses[newcomer], timeout_s=LONG_S)

    async def vote(self, me: ServerId) -> None:
        """Wait until this server votes."""
        while not self.nodes[me].status().descent.votes:
            await asyncio.sleep(0.001)

    def back_up(self, me: ServerId) -> Path:
        """A copy of the disk of a server that is stopped."""
        backup = self.folder / f"backup {len([*self.folder.iterdir()])}"
        backup.mkdir()
        for it in self.folder.glob(f"n{me}.db*"):
            shutil.copy(it, backup)
        return backup

    async def copied(self, me: ServerId) -> Path:
        """A copy of the disk of a server that then goes on, and votes."""
        await self.stop(me)
        backup = self.back_up(me)
        await self.start(me)
        await self.vote(me)
        return backup

    def put(self, me: ServerId, backup: Path) -> None:
        """The disk is as it was at ``backup``."""
        for it in self.folder.glob(f"n{me}.db*"):
            it.unlink()
        for it in backup.iterdir():
            shutil.copy(it, self.folder)

    async def end(self, me: ServerId) -> BaseException:
        """Why this server ends by itself, now or at its start."""
        try:
            cause = (await (await self.start(me)).stopped()).cause
        except ServerStopped as stopped:
            cause = stopped.cause
        except OlderCopy as older:
            self.files.pop(me).close()
            return older
        await self.stop(me)
        assert cause is not None
        return cause


@asynccontextmanager
async def changing(folder: Path) -> AsyncGenerator[Changing, None]:
    """Three founders that run, with server 4 added."""
    cluster = Changing(folder)
    try:
        for me in FOUNDERS:
            await cluster.start(me)
        await cluster.add(ONE, FOUR)
        yield cluster
    finally:
        for me in [*cluster.nodes]:
            with suppress(ServerStopped):
                await cluster.stop(me)


@pytest.mark.slow
def test_an_old_copy_that_meets_only_a_newcomer_learns_the_members_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """The newcomer has never heard of the server: it would have refused the healthy disk later."""

    async def run() -> None:
        async with changing(tmp_path) as cluster:
            old = await cluster.copied(THREE)
            await cluster.stop(THREE)
            healthy = cluster.back_up(THREE)
            await cluster.add(ONE, FIVE)
            for it in ONE, TWO, FOUR:
                await cluster.stop(it)

            cluster.put(THREE, old)
            copy = await cluster.start(THREE)
            while FIVE not in copy.members.status().addresses:
                await asyncio.sleep(0.001)
            for _ in range(2 * 5 + 2):
                await asyncio.sleep(mesh.OPENING_S)
            assert not copy.status().descent.votes
            assert THREE not in cluster.files[FIVE].peers
            await cluster.stop(THREE)

            cluster.put(THREE, healthy)
            for it in ONE, TWO, THREE:
                await cluster.start(it)
            await cluster.vote(THREE)
            assert THREE in cluster.files[FIVE].peers

    runs(run())


@pytest.mark.slow
def test_an_old_copy_that_learns_of_later_members_is_refused_by_one_of_them(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with changing(tmp_path) as cluster:
            old = await cluster.copied(THREE)
            await cluster.add(ONE, FIVE)
            while THREE not in cluster.files[FIVE].peers:
                await asyncio.sleep(0.001)
            await cluster.stop(THREE)
            healthy = cluster.back_up(THREE)
            for it in ONE, TWO:
                await cluster.stop(it)

            cluster.put(THREE, old)
            cause = await cluster.end(THREE)
            assert isinstance(cause, OlderCopy)
            assert cause.peer in (FOUR, FIVE)

            cluster.put(THREE, healthy)
            await cluster.start(THREE)
            await cluster.vote(THREE)
            assert cluster.nodes[FOUR].status().stopped is None

    runs(run())


@pytest.mark.slow
def test_the_disk_of_a_removed_server_never_votes_again_whatever_its_age(tmp_path: Path) -> None:
    async def run() -> None:
        async with changing(tmp_path) as cluster:
            disks = [await cluster.copied(THREE)]
            await cluster.nodes[ONE].members.remove(THREE, timeout_s=LONG_S)
            await cluster.nodes[THREE].stopped()
            await cluster.stop(THREE)
            disks.append(cluster.back_up(THREE))
            for disk in disks:
                cluster.put(THREE, disk)
                cause = await cluster.end(THREE)
                assert isinstance(cause, Removed | OlderCopy)
            assert cluster.nodes[ONE].status().stopped is None

    runs(run())


@pytest.mark.slow
def test_a_server_that_leaves_and_was_down_votes_as_long_as_a_log_needs_it(tmp_path: Path) -> None:
    """The log of members has gone on without it by then, so no leader tells it anything."""

    async def run() -> None:
        cluster = Changing(tmp_path, (FOUR,))
        async with AsyncExitStack() as stack:
            for me in FOUNDERS:
                await cluster.start(me)
                stack.push_async_callback(cluster.stop, me)
            for me in ONE, TWO:
                await stack.enter_async_context(cluster.nodes[me].log("counter", COUNTER))
            await cluster.vote(THREE)
            await cluster.stop(THREE)

            await cluster.start(FOUR)  # It runs no counter, so that log stays with the founders.
            stack.push_async_callback(cluster.stop, FOUR)
            members = cluster.nodes[ONE].members
            change = members.change(add={FOUR: cluster.addresses[FOUR]}, remove=[THREE])
            changing = asyncio.create_task(change)
            while [it.name for it in members.status().waiting] != ["counter"]:
                await asyncio.sleep(0.001)

            await cluster.start(THREE)
            await cluster.vote(THREE)
            changing.cancel()

    runs(run())
