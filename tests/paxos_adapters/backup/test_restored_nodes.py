"""Servers of a restored cluster: they go on from the backup, and nothing of the old one is heard.

The old servers and the restored ones have the same keys, ids and addresses.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paxos import ServerId, majority
from paxos_adapters.backup import restore
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import Found, NetworkConfig, Node, OlderCopy, OutcomeUnknown, Removed
from paxos_adapters.replication.batches import Commands
from paxos_adapters.replication.served import ClientSessionClosed
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import Changed, Put
from paxos_adapters.udp import mesh
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import Reason
from tests.paxos_adapters.node.test_node import QUICK, runs
from tests.support.backups import CODECS, ran, written
from tests.support.free_ports import free_addresses
from tests.support.wires import AUTHENTICATED

ONE, TWO, THREE, FOUR = map(ServerId, (1, 2, 3, 4))
Addresses = Mapping[ServerId, Address]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "OPENING_S", 0.01)
    monkeypatch.setattr(mesh, "PING_S", 0.01)


class Servers:
    """The files of one cluster, and the nodes of those that run."""

    def __init__(self, folder: Path, addresses: Addresses, cluster: str, membership: str) -> None:
        self.folder = folder
        self.addresses = addresses
        self.cluster = cluster
        self.membership = membership
        self.quorum = majority(addresses)

    def path(self, me: ServerId) -> Path:
        return self.folder / f"n{me}.db"

    @asynccontextmanager
    async def running(self, *servers: ServerId) -> AsyncGenerator[list[Node[bytes]], None]:
        nodes: list[tuple[FileStore, Node[bytes]]] = []
        try:
            for me in servers:
                file = FileStore.open(
                    self.path(me),
                    cluster=self.cluster,
                    server=me,
                    quorum=self.quorum,
                    membership=self.membership,
                )
                joined = self.addresses.keys() - self.quorum.members
                network = NetworkConfig(self.addresses, joined=joined, protection=AUTHENTICATED)
                node = Node(file, network, codec=RAW, timeouts=QUICK)
                nodes.append((file, node))
                await node.__aenter__()
            yield [node for _, node in nodes]
        finally:
            for file, node in nodes:
                await node.close()
                file.close()


def old_servers(folder: Path, addresses: Addresses) -> Servers:
    folder.mkdir()
    old = Servers(folder, addresses, "c", "")
    for me in addresses:
        FileStore.create(old.path(me), cluster="c", server=me, quorum=old.quorum).close()
    return old


def restored(folder: Path, addresses: Addresses, backup: Path) -> Servers:
    folder.mkdir()
    quorum = majority(addresses)
    paths = {me: folder / f"n{me}.db" for me in addresses}
    made = restore(backup, paths, cluster="new", quorum=quorum)
    return Servers(folder, addresses, "new", made.membership)


async def refuse_each_other(reason: Reason, *nodes: Node[bytes]) -> None:
    """As many datagrams as a whole exchange would have taken; none was answered."""
    for it in nodes:
        while it.status().refused.get(reason.name.lower(), 0) < 10:
            await asyncio.sleep(0.001)


def test_old_servers_and_a_restored_one_refuse_each_other(tmp_path: Path) -> None:
    """With server 1 of the old cluster, server 2 would choose; with that of the new one it waits.

    The other way round, a server of the new cluster chooses nothing with one of the old.
    """
    written(tmp_path / "b", decisions=[("leader", b"me")])
    addresses = free_addresses(3)
    old = old_servers(tmp_path / "old", addresses)
    new = restored(tmp_path / "new", addresses, tmp_path / "b")

    async def run() -> None:
        async with old.running(ONE, TWO) as (_, two):
            assert await two.propose("x", b"old") == b"old"
        async with new.running(ONE) as (one,), old.running(TWO) as (two,):
            await refuse_each_other(Reason.OTHER_CLUSTER, one, two)
            for it in one, two:
                with pytest.raises(OutcomeUnknown):
                    await it.propose("y", b"mixed", timeout_s=0.2)
                assert it.status().tolerance == -1
        async with new.running(ONE, TWO) as nodes:
            for it in nodes:
                assert await it.read("leader") == Found(b"me")
                assert await it.read("x") is None, "it was chosen after the backup"
                assert await it.propose("leader", b"you") == b"me"

    runs(run())


def test_two_clusters_from_one_backup_refuse_each_other(tmp_path: Path) -> None:
    written(tmp_path / "b")
    addresses = free_addresses(3)
    first, second = (restored(tmp_path / it, addresses, tmp_path / "b") for it in ("1", "2"))

    async def run() -> None:
        async with first.running(ONE) as (one,), second.running(TWO) as (two,):
            await refuse_each_other(Reason.OTHER_MEMBERS, one, two)

    runs(run())


def test_an_old_copy_of_a_restored_file_does_not_vote(tmp_path: Path) -> None:
    """The chain of sessions of a restored file begins with it, and goes on from there."""
    written(tmp_path / "b")
    addresses = free_addresses(3)
    new = restored(tmp_path / "new", addresses, tmp_path / "b")
    fresh = tmp_path / "fresh"
    shutil.copytree(new.folder, fresh)

    async def run() -> None:
        async with new.running(ONE, TWO, THREE) as (one, _, three):
            assert await one.propose("x", b"A") == b"A"
            while {*three.status().descent.missing}:
                await asyncio.sleep(0.001)
        for it in fresh.glob("n3.db*"):
            shutil.copy(it, new.folder)
        async with new.running(ONE, TWO) as (one, _):
            with pytest.raises((ServerStopped, OlderCopy)) as caught:
                async with new.running(THREE) as (three,):
                    raise await three.stopped()
            assert "does not descend" in str(caught.value)
            assert await one.read("x") == Found(b"A")

    runs(run())


def test_a_restored_cluster_changes_its_members_and_no_disk_of_a_removed_server_votes(
    tmp_path: Path,
) -> None:
    """Neither the restored one, of whatever age, nor that of the old cluster."""
    written(tmp_path / "b", decisions=[("leader", b"me")])
    addresses = free_addresses(4)
    at_four = addresses.pop(FOUR)
    old = old_servers(tmp_path / "old", addresses)
    new = restored(tmp_path / "new", addresses, tmp_path / "b")
    fresh = tmp_path / "fresh"
    shutil.copytree(new.folder, fresh)
    new.addresses = {**addresses, FOUR: at_four}
    FileStore.create(
        new.path(FOUR),
        cluster=new.cluster,
        server=FOUR,
        quorum=new.quorum,
        membership=new.membership,
        joining=True,
    ).close()

    async def run() -> None:
        async with new.running(ONE, TWO, THREE, FOUR) as (one, *_):
            status = await one.members.replace(THREE, FOUR, at_four, timeout_s=20)
            assert status.addresses.keys() == {ONE, TWO, FOUR}
            assert await one.propose("x", b"A") == b"A"
        async with new.running(ONE, TWO, FOUR) as (one, _, four):
            for older in [], [*fresh.glob("n3.db*")]:
                for it in older:
                    shutil.copy(it, new.folder)
                with pytest.raises(ServerStopped) as caught:
                    async with new.running(THREE) as (three,):
                        raise await three.stopped()
                assert isinstance(caught.value.cause, Removed | OlderCopy)
            async with old.running(THREE) as (three,):
                await refuse_each_other(Reason.OTHER_CLUSTER, one)
                assert three.status().tolerance == -1
            assert await four.read("x") == Found(b"A")
            assert await four.read("leader") == Found(b"me")

    runs(run())


def test_clients_of_the_backup_run_nothing_twice_and_later_ones_nothing(tmp_path: Path) -> None:
    """A session of the backup goes on; one that the old cluster opened later is not known."""
    before, session = ran([Put("a", b"1")])
    written(tmp_path / "b", ("kv", before))
    new = restored(tmp_path / "new", free_addresses(1), tmp_path / "b")

    def put(value: bytes) -> bytes:
        return CODECS.commands.encode(Put("a", value))

    async def run() -> None:
        async with new.running(ONE) as (one,), one.log("kv", KEY_VALUE) as kv:
            served = one.served["kv"]
            (again,) = await served.run(Commands(session, 1, [(1, put(b"2"))]), 20)
            assert CODECS.results.decode(again) == Changed(1), "the result of the first time"
            (next_,) = await served.run(Commands(session, 2, [(2, put(b"3"))]), 20)
            assert CODECS.results.decode(next_) == Changed(2)
            for slot in range(before.slot, before.slot + 20):
                with pytest.raises(ClientSessionClosed):
                    await served.run(Commands(slot << 16, 1, [(1, put(b"4"))]), 20)
            assert kv.state.revision == 2

    runs(run())
