"""A node whose disk was rolled back, or is a copy, does not vote; one whose disk is whole does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from paxos import Heartbeat, ServerId, majority
from paxos_adapters.file import FileStore
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import DatagramTransport, Found, NetworkConfig, OlderCopy, OutcomeUnknown
from paxos_adapters.node.status import Descent
from paxos_adapters.udp import mesh
from paxos_adapters.wire import Reason
from tests.paxos_adapters.node.test_node import Cluster, runs
from tests.support.free_ports import free_addresses

IDS = ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "OPENING_S", 0.01)
    monkeypatch.setattr(mesh, "PING_S", 0.01)


@asynccontextmanager
async def stopped(folder: Path, size: int = 3) -> AsyncGenerator[Cluster, None]:
    """A cluster of which no server runs yet."""
    cluster = Cluster(folder, size)
    try:
        yield cluster
    finally:
        for me in [*cluster.nodes]:
            await cluster.stop(me)


def files(cluster: Cluster, me: ServerId) -> list[Path]:
    """The data file of a server that is stopped, and its mark."""
    path = cluster.path(me)
    return [path, path.with_name(path.name + "-mark")]


def back_up(cluster: Cluster, me: ServerId) -> Path:
    folder = cluster.folder / f"backup {len([*cluster.folder.iterdir()])}"
    folder.mkdir()
    for it in files(cluster, me):
        shutil.copy(it, folder)
    return folder


def restore(cluster: Cluster, me: ServerId, backup: Path) -> None:
    """The disk is as it was at ``backup``, and nothing else of that server is left."""
    for it in cluster.folder.glob(f"n{me}.db*"):
        it.unlink()
    for it in backup.iterdir():
        shutil.copy(it, cluster.folder)


async def start(cluster: Cluster, *servers: ServerId) -> None:
    for it in servers:
        await cluster.start(it)
    await cluster.registered()


async def stop(cluster: Cluster, *servers: ServerId) -> None:
    for it in servers:
        await cluster.stop(it)


async def refused(cluster: Cluster, me: ServerId, *by: ServerId) -> None:
    """The server stops, and says which one knows a later session of it; itself, from before."""
    try:
        cause: object = (await (await cluster.start(me)).stopped()).cause
        await cluster.stop(me)
    except ServerStopped as stopped:
        cause = stopped.cause
        await cluster.stop(me)
    except OlderCopy as older:
        cause = older
        cluster.files.pop(me).close()
    assert isinstance(cause, OlderCopy)
    assert cause.peer in by
    assert "does not descend" in str(cause)


@pytest.mark.parametrize("restarts", [1, 2, 5])
def test_a_restored_disk_is_refused_however_often_it_is_started(
    tmp_path: Path, restarts: int
) -> None:
    """Once it was enough to start it twice: each start counted as a save more.

    Server 3 was down meanwhile and knows of nothing later, and server 1 is down in the end.
    """

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, *IDS)
            await stop(cluster, TWO, THREE)
            backup = back_up(cluster, TWO)
            await start(cluster, TWO)
            assert await cluster.nodes[ONE].propose("x", "A") == "A"
            await stop(cluster, TWO)
            restore(cluster, TWO, backup)
            await refused(cluster, TWO, ONE)
            await start(cluster, THREE)
            await stop(cluster, ONE)
            for _ in range(restarts):
                await refused(cluster, TWO, TWO)
            await start(cluster, ONE)
            assert await cluster.nodes[THREE].read("x") == Found("A")

    runs(run())


def test_a_disk_that_lost_many_saves_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, *IDS)
            await stop(cluster, TWO)
            backup = back_up(cluster, TWO)
            await start(cluster, TWO)
            for number in range(40):
                await cluster.nodes[ONE].propose(f"x{number}", "A")
            await stop(cluster, TWO)
            restore(cluster, TWO, backup)
            await refused(cluster, TWO, ONE, THREE)

    runs(run())


def test_a_copy_that_ran_a_few_times_and_takes_over_the_address_is_refused(tmp_path: Path) -> None:
    """It ran alone, with more sessions and more saves than the server itself."""

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, *IDS)
            await stop(cluster, TWO)
            backup = back_up(cluster, TWO)
            with FileStore.open(
                backup / "n2.db", cluster="c", server=TWO, quorum=cluster.nodes[ONE].quorum
            ) as copy:
                for _ in range(100):
                    copy.set_peer_status(ONE, None)
                    copy.save(())
            for _ in range(3):
                FileStore.open(
                    backup / "n2.db", cluster="c", server=TWO, quorum=cluster.nodes[ONE].quorum
                ).close()
            await start(cluster, TWO)
            await cluster.nodes[TWO].propose("x", "A")
            await stop(cluster, TWO)
            restore(cluster, TWO, backup)
            await refused(cluster, TWO, ONE, THREE)

    runs(run())


def test_a_restored_disk_is_refused_by_a_peer_that_was_started_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once server 2 voted before it had registered the new session of server 1, which knows more.

    Servers 2 and 3 chose another value then, with server 1 up all the time.
    """

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, *IDS)
            await stop(cluster, TWO, THREE)
            backup = back_up(cluster, TWO)
            await start(cluster, TWO)
            assert await cluster.nodes[ONE].propose("x", "A") == "A"
            await stop(cluster, ONE, TWO)
            restore(cluster, TWO, backup)
            monkeypatch.setattr(mesh, "PING_S", 60.0)  # Then 1 does not ask 2 to register it.
            for it in ONE, THREE:
                await cluster.start(it)
            for node in cluster.nodes.values():
                while not node.status().descent.votes:
                    await asyncio.sleep(0.001)
            await refused(cluster, TWO, ONE)

    runs(run())


def test_what_is_known_of_a_peer_survives_a_restart_of_all(tmp_path: Path) -> None:
    """The peer that knows more comes back after the old disk has started."""

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, *IDS)
            await stop(cluster, TWO)
            backup = back_up(cluster, TWO)
            await start(cluster, TWO)
            await stop(cluster, *IDS)
            restore(cluster, TWO, backup)
            two = await cluster.start(TWO)
            await cluster.start(ONE)
            assert isinstance((await two.stopped()).cause, OlderCopy)

    runs(run())


def test_a_disk_that_is_whole_is_heard_after_restarts_of_any(tmp_path: Path) -> None:
    """In any order, with peers that were down meanwhile; none is ever refused."""

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            for number, down in enumerate((ONE, TWO, THREE, THREE, TWO, ONE)):
                up = [it for it in IDS if it != down]
                await start(cluster, *up)
                assert await cluster.nodes[up[0]].propose(f"x{number}", "A") == "A"
                await stop(cluster, up[0])
                await start(cluster, up[0])
                assert await cluster.nodes[up[1]].propose(f"y{number}", "B") == "B"
                await start(cluster, down)
                for node in cluster.nodes.values():
                    assert Reason.NOT_DESCENDED.name.lower() not in node.status().refused
                await stop(cluster, *IDS)

    runs(run())


def test_a_session_is_durable_at_a_peer_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as no commit succeeds there, the server does not vote."""

    async def run() -> None:
        async with stopped(tmp_path) as cluster:
            await start(cluster, ONE)
            one = cluster.files[ONE]
            acknowledged: list[bool] = []
            save = FileStore.save_all

            def saved(file: FileStore, *args: object, **more: object) -> object:
                if file is one:
                    acknowledged.append(not cluster.nodes[TWO].status().descent.missing)
                    known = file.peers[TWO]
                    assert known.session == cluster.files[TWO].session
                return save(file, *args, **more)  # type: ignore[arg-type]

            monkeypatch.setattr(FileStore, "save_all", saved)
            two = await cluster.start(TWO)
            while ONE in two.status().descent.missing:
                await asyncio.sleep(0.001)
            assert acknowledged[0] is False

    runs(run())


def test_a_transport_hands_a_server_its_own_messages_once_its_session_is_registered(
    tmp_path: Path,
) -> None:
    """A server that is a quorum by itself would choose a value before its peers can object."""

    async def run() -> None:
        addresses = free_addresses(2)
        heard: list[ServerId] = []

        async def enter(stack: AsyncExitStack, me: ServerId) -> DatagramTransport:
            file = FileStore.create(
                tmp_path / f"n{me}.db", cluster="c", server=me, quorum=majority(addresses)
            )
            transport = DatagramTransport(
                stack.enter_context(file),
                NetworkConfig(addresses),
                decision="x",
                receive=lambda sender, _: heard.append(sender),
            )
            return await stack.enter_async_context(transport)

        async with AsyncExitStack() as stack:
            one = await enter(stack, ONE)
            one.send(ONE, Heartbeat())
            for _ in range(5):
                await asyncio.sleep(0)
            assert heard == []
            await enter(stack, TWO)
            while not heard:
                one.send(ONE, Heartbeat())
                await asyncio.sleep(0.001)
            assert {*heard} == {ONE}

    runs(run())


class TestDescent:
    """A server votes once enough peers have acknowledged its session; the status says which."""

    def test_alone_it_does_not_vote_and_says_who_is_missing(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with stopped(tmp_path) as cluster:
                one = await cluster.start(ONE)
                with pytest.raises(OutcomeUnknown):
                    await one.propose("x", "A", timeout_s=0.05)
                assert one.status().descent == Descent((TWO, THREE), False, False)
                assert one.state("x").acceptor.promised.round == 0
                assert one.status().saves == cluster.files[ONE].saves == 2

        runs(run())

    def test_with_a_quorum_it_votes_though_it_is_not_proven(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with stopped(tmp_path) as cluster:
                await start(cluster, ONE, TWO)
                one = cluster.nodes[ONE]
                assert await one.propose("x", "A") == "A"
                assert one.status().descent == Descent((THREE,), False, True)
                await start(cluster, THREE)
                assert one.status().descent == Descent((), True, True)

        runs(run())

    def test_a_strict_server_waits_for_the_proof_and_so_do_its_questions(
        self, tmp_path: Path
    ) -> None:
        async def run() -> None:
            async with stopped(tmp_path) as cluster:
                one = await cluster.start(ONE, strict=True)
                await cluster.start(TWO)
                asked = asyncio.ensure_future(one.propose("x", "A"))
                while not cluster.nodes[TWO].status().descent.votes:
                    await asyncio.sleep(0.001)
                assert one.status().descent == Descent((TWO, THREE), False, False)
                assert not asked.done()
                await cluster.start(THREE)
                assert await asked == "A"
                assert one.status().descent == Descent((), True, True)

        runs(run())

    def test_a_full_restart_of_strict_servers_does_not_wait_forever(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with stopped(tmp_path) as cluster:
                for _ in range(2):
                    for it in IDS:
                        await cluster.start(it, strict=True)
                    await cluster.registered()
                    assert await cluster.nodes[ONE].propose("x", "A") == "A"
                    await stop(cluster, *IDS)

        runs(run())

    def test_a_peer_that_was_readmitted_everywhere_is_registered_anew(self, tmp_path: Path) -> None:
        """The operator says that the old disk may be heard: peers know nothing of it then."""

        async def run() -> None:
            async with stopped(tmp_path) as cluster:
                await start(cluster, *IDS)
                await stop(cluster, TWO)
                backup = back_up(cluster, TWO)
                await start(cluster, TWO)
                await stop(cluster, TWO)
                restore(cluster, TWO, backup)
                for it in ONE, THREE:
                    await stop(cluster, it)
                    with FileStore.open(
                        cluster.path(it), cluster="c", server=it, quorum=cluster.quorum
                    ) as file:
                        file.set_peer_status(TWO, None)
                await start(cluster, *IDS)
                assert await cluster.nodes[TWO].propose("x", "A") == "A"

        runs(run())
