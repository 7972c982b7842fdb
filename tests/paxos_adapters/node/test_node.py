"""Nodes that agree: on loopback, with files, and with faults in between."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random

import pytest

from paxos import NO_BALLOT, Acceptor, Ballot, MaxRound, Proposal, Read, ReadId, ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore, StoreCorrupted, database
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    BadName,
    DatagramTransport,
    Found,
    Insecure,
    NetworkConfig,
    NoAnswer,
    Node,
    NodeClosed,
    NotStarted,
    NotTheMembers,
    OutcomeUnknown,
    StoreAlreadyUsed,
    TooManyRequests,
    pending,
)
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.udp import mesh, peer
from paxos_adapters.udp.endpoint import Address, Endpoint, SocketAddress
from paxos_adapters.wire import Authenticated, Key, Keyring, Protection, TooLarge
from paxos_cli.health import warnings
from tests.support.failing_put import put_unless
from tests.support.free_ports import free_addresses

IDS = [ServerId(number) for number in range(1, 6)]
QUICK = Timeouts(retry_min_s=0.02, retry_max_s=0.5, heartbeat_s=0.02)


class Cluster:
    """Nodes, each with a file of its own, that can be stopped and started."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.addresses = free_addresses(size)
        self.quorum = majority(self.addresses)
        self.nodes: dict[ServerId, Node[str]] = {}
        self.files: dict[ServerId, FileStore] = {}
        for me in self.addresses:
            FileStore.create(self.path(me), cluster="c", server=me, quorum=self.quorum).close()

    def path(self, me: ServerId) -> Path:
        return self.folder / f"n{me}.db"

    async def start(
        self, me: ServerId, protection: Protection | None = None, *, strict: bool = False
    ) -> Node[str]:
        file = FileStore.open(self.path(me), cluster="c", server=me, quorum=self.quorum)
        self.files[me] = file
        node = Node(
            file,
            NetworkConfig(self.addresses, protection=protection, strict=strict),
            codec=TEXT,
            timeouts=QUICK,
            random=Random(me),
        )
        self.nodes[me] = node
        await node.__aenter__()
        return node

    async def registered(self) -> None:
        """Wait until each server has acknowledged the sessions of all others that run."""
        for node in self.nodes.values():
            while {*node.status().descent.missing} & self.nodes.keys():
                await asyncio.sleep(0.001)

    async def stop(self, me: ServerId) -> None:
        await self.nodes.pop(me).close()
        self.files.pop(me).close()


@asynccontextmanager
async def running(folder: Path, size: int = 3) -> AsyncGenerator[Cluster, None]:
    cluster = Cluster(folder, size)
    for me in cluster.addresses:
        await cluster.start(me)
    await cluster.registered()
    try:
        yield cluster
    finally:
        for me in [*cluster.nodes]:
            await cluster.stop(me)


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 60))


def test_they_agree(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, two, three = cluster.nodes.values()
            assert await one.read("leader") is None
            assert await one.propose("leader", "one") == "one"
            assert await two.propose("leader", "two") == "one"
            assert [await it.read("leader") for it in (one, two, three)] == [Found("one")] * 3
            assert await three.read("other") is None

    runs(run())


@pytest.mark.slow
def test_reading_names_that_nobody_wrote_leaves_nothing(tmp_path: Path) -> None:
    """Neither on the disks nor in the memory of any server."""

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, *_ = cluster.nodes.values()
            marks = [it.saves for it in cluster.files.values()]
            for first in range(0, 20_000, 500):
                names = [f"n{number}" for number in range(first, first + 500)]
                assert await asyncio.gather(*map(one.read, names)) == [None] * 500
            assert [it.saves for it in cluster.files.values()] == marks
            assert [it.status().in_memory for it in cluster.nodes.values()] == [0, 0, 0]

    runs(run())


class Reads:
    """Notes the id of each read that begins, and leaves out all the rest."""

    def __init__(self) -> None:
        self.ids: list[ReadId] = []

    def stepped(self, *told: object, **_: object) -> None:
        self.ids.extend(it.id for it in told if isinstance(it, Read))

    def ignore(self, *_: object, **__: object) -> None:
        pass

    set_time = started = state_set = saved = sent = failed = stopped = ignore


def test_no_id_of_a_read_is_used_again_not_even_after_a_restart(tmp_path: Path) -> None:
    """They are of the session of the open file, whatever the chance of the node is."""
    reads = Reads()
    sessions: list[int] = []

    async def run() -> None:
        addresses = free_addresses(1)
        with FileStore.create(
            tmp_path / "n1.db", cluster="c", server=IDS[0], quorum=majority(addresses)
        ):
            pass
        for _ in range(2):
            with FileStore.open(
                tmp_path / "n1.db", cluster="c", server=IDS[0], quorum=majority(addresses)
            ) as file:
                sessions.append(int(file.session, 16))
                node = Node(
                    file, NetworkConfig(addresses), codec=TEXT, random=Random(1), observer=reads
                )
                async with node:
                    assert [await node.read("a"), await node.read("a")] == [None, None]

    runs(run())
    assert len(reads.ids) == len(set(reads.ids)) == 4
    assert [it.session for it in reads.ids] == [sessions[0]] * 2 + [sessions[1]] * 2


def test_a_proposer_beside_readers_that_poll_is_done_soon(tmp_path: Path) -> None:
    """One reader at each of three servers, without a pause; three names, one after the other."""

    async def poll(node: Node[str], name: str) -> Found[str]:
        while (found := await node.read(name)) is None:
            pass
        return found

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, *_ = nodes = [*cluster.nodes.values()]
            for name in "abc":
                polls = [asyncio.create_task(poll(it, name)) for it in nodes]
                for it in nodes:
                    assert await it.read(name) is None
                assert await one.propose(name, "red", timeout_s=20) == "red"
                assert await asyncio.gather(*polls) == [Found("red")] * 3

    runs(run())


def test_a_lone_decision_takes_three_commits_where_it_is_proposed(tmp_path: Path) -> None:
    """Of the round, of the promise and of what is accepted; and none once it is known."""

    async def run() -> None:
        async with running(tmp_path, 1) as cluster:
            (node,), (file,) = cluster.nodes.values(), cluster.files.values()
            saves = file.saves
            assert await node.propose("leader", "red") == "red"
            assert file.saves == saves + 3
            assert await node.propose("leader", "blue") == "red"
            assert file.saves == saves + 3

    runs(run())


def test_a_second_node_on_an_open_file_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, 1) as cluster:
            (file,) = cluster.files.values()
            second = Node(file, NetworkConfig(cluster.addresses), codec=TEXT)
            saves = file.saves
            with pytest.raises(StoreAlreadyUsed):
                await second.__aenter__()
            assert file.saves == saves

    runs(run())


def test_of_two_nodes_that_are_entered_at_once_one_serves(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=IDS[0], quorum=majority(IDS[:1])) as file:
            nodes = [
                Node(file, NetworkConfig({IDS[0]: ("127.0.0.1", 0)}), codec=TEXT) for _ in range(2)
            ]
            done = await asyncio.gather(*(it.__aenter__() for it in nodes), return_exceptions=True)
            assert [type(it) for it in done] == [Node, StoreAlreadyUsed]
            await nodes[0].close()

    runs(run())


def test_a_node_that_was_not_entered_says_so_and_begins_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=IDS[0], quorum=majority(IDS[:1])) as file:
            node = Node(file, NetworkConfig({IDS[0]: ("127.0.0.1", 0)}), codec=TEXT)
            with pytest.raises(NotStarted):
                await node.propose("leader", "one")
            with pytest.raises(NotStarted):
                await node.read("leader")
            with pytest.raises(NotStarted):
                node.status()
            with pytest.raises(NotStarted):
                await node.members.remove(IDS[0])
            with pytest.raises(NotStarted):
                await node.members.move(IDS[0], ("127.0.0.1", 1))
            await node.close()
            async with node:
                assert await node.read("leader") is None

    runs(run())


def test_a_look_up_that_hangs_holds_up_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when it is entered, nor when it is closed."""
    looking = asyncio.Event()

    async def resolve(*_: object) -> SocketAddress:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(mesh, "resolve", resolve)

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=IDS[0], quorum=majority(IDS[:2])) as file:
            addresses = free_addresses(2)
            async with Node(file, NetworkConfig(addresses), codec=TEXT):
                await looking.wait()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(addresses[IDS[0]])

    runs(run())


def test_a_program_that_gives_up_entering_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking its own name up takes for ever. Its file can be served by another node then."""
    looking = asyncio.Event()

    async def bind(*_: object, **__: object) -> Endpoint:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=IDS[0], quorum=majority(IDS[:1])) as file:
            addresses = free_addresses(1)
            with monkeypatch.context() as patch:
                patch.setattr(Endpoint, "bind", bind)
                entering = asyncio.ensure_future(
                    Node(file, NetworkConfig(addresses), codec=TEXT).__aenter__()
                )
                await looking.wait()
                entering.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await entering
            async with Node(file, NetworkConfig(addresses), codec=TEXT) as node:
                assert await node.propose("x", "A") == "A"

    runs(run())


def test_a_host_on_the_memory_of_a_node_goes_on_from_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, 1) as cluster:
            (node,) = cluster.nodes.values()
            assert await node.propose("leader", "red") == "red"
            (file,) = cluster.files.values()
            ballot = Ballot(1, node.me)
            accepted = Acceptor(ballot, Proposal(ballot, b"red"))
            assert file.decision("leader").load().records == (accepted, MaxRound(1))

    runs(run())


def test_rivals_come_to_one_value_for_each_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, 5) as cluster:
            names = [f"name {number}" for number in range(20)]
            chosen = await asyncio.gather(
                *(
                    node.propose(name, f"{me}")
                    for name in names
                    for me, node in cluster.nodes.items()
                )
            )
            for number, name in enumerate(names):
                values = set(chosen[5 * number : 5 * number + 5])
                assert len(values) == 1
                assert await cluster.nodes[IDS[0]].read(name) in [Found(it) for it in values]

    runs(run())


def test_what_was_chosen_survives_all_of_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            assert await cluster.nodes[IDS[0]].propose("leader", "one") == "one"
            for me in IDS[:3]:
                await cluster.stop(me)
            for me in IDS[:3]:
                await cluster.start(me)
            assert await cluster.nodes[IDS[2]].propose("leader", "three") == "one"

    runs(run())


def test_one_value_a_name_whatever_is_lost_and_whoever_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of all datagrams is lost, a tenth comes twice, and nodes stop and start."""
    chance, send = Random(20131017), Endpoint.send

    def careless(self: Endpoint, datagram: bytes, place: SocketAddress) -> None:
        for _ in range(chance.choices((0, 1, 2), (20, 70, 10))[0]):
            send(self, datagram, place)

    monkeypatch.setattr(Endpoint, "send", careless)
    answers: dict[str, set[str]] = {}

    async def ask(node: Node[str], name: str, value: str) -> None:
        with suppress(OutcomeUnknown, ServerStopped):
            answers.setdefault(name, set()).add(await node.propose(name, value, timeout_s=20))

    async def run() -> None:
        async with running(tmp_path) as cluster:
            asking = [
                asyncio.ensure_future(ask(node, f"name {number}", f"{number} of {me}"))
                for number in range(25)
                for me, node in cluster.nodes.items()
            ]
            for me in IDS[:3]:
                await cluster.stop(me)
                again = await cluster.start(me)
                asking += [
                    asyncio.ensure_future(ask(again, f"name {number}", f"{number} again"))
                    for number in range(25)
                ]
            await asyncio.gather(*asking)
            for number in range(25):
                name = f"name {number}"
                (value,) = answers[name]
                read = [await node.read(name) for node in cluster.nodes.values()]
                assert read == [Found(value)] * 3, name

    runs(run())


def test_without_a_quorum_the_outcome_is_unknown_and_with_it_the_value_is_chosen(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one = cluster.nodes[IDS[0]]
            await cluster.stop(IDS[1])
            await cluster.stop(IDS[2])
            with pytest.raises(OutcomeUnknown, match="may be chosen anyway"):
                await one.propose("leader", "one", timeout_s=0.1)
            with pytest.raises(NoAnswer, match="no answer in time"):
                await one.read("leader", timeout_s=0.1)
            with pytest.raises(NoAnswer, match="no answer in time"):
                await one.watch("leader", timeout_s=0.1)
            two = await cluster.start(IDS[1])
            assert await two.watch("leader") == "one"

    runs(run())


def test_names_beyond_the_window_wait_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who gives up meanwhile holds nobody up."""
    monkeypatch.setattr(pending, "WINDOW", 2)

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one = cluster.nodes[IDS[0]]
            names = [f"name {number}" for number in range(30)]
            proposing = [asyncio.ensure_future(one.propose(name, name)) for name in names]
            reading = [asyncio.ensure_future(one.read(f"other {name}")) for name in names]
            await asyncio.sleep(0)
            for task in proposing[5:10]:
                task.cancel()
            done = await asyncio.gather(*proposing, return_exceptions=True)
            assert done[:5] + done[10:] == names[:5] + names[10:]
            assert set(await asyncio.gather(*reading)) == {None}
            assert one.status().asked == 0

    runs(run())


def test_a_cancelled_proposal_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, two, _ = cluster.nodes.values()
            task = asyncio.ensure_future(one.propose("leader", "one"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await two.watch("leader") == "one"

    runs(run())


@pytest.mark.parametrize("way", ["wait_for", "timeout", "cancel", "timeout_s"])
def test_a_proposal_whose_caller_left_says_so_is_counted_and_can_be_waited_for(
    tmp_path: Path, way: str
) -> None:
    async def leave(one: Node[str]) -> BaseException | None:
        """What the caller sees of the one that says that it may still be chosen."""
        try:
            match way:
                case "wait_for":
                    await asyncio.wait_for(one.propose("leader", "one"), 0.05)
                case "timeout":
                    async with asyncio.timeout(0.05):
                        await one.propose("leader", "one")
                case "cancel":
                    task = asyncio.ensure_future(one.propose("leader", "one"))
                    await asyncio.sleep(0)
                    task.cancel()
                    await task
                case _:
                    await one.propose("leader", "one", timeout_s=0.05)
        except OutcomeUnknown as unknown:
            return unknown
        except TimeoutError as late:
            return late.__cause__
        except asyncio.CancelledError as cancelled:
            return cancelled
        return None

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one = cluster.nodes[IDS[0]]
            await cluster.stop(IDS[1])
            await cluster.stop(IDS[2])
            told = await leave(one)
            assert told is not None
            said = " ".join([str(told), *getattr(told, "__notes__", [])])
            assert "'leader'" in said
            assert "may be chosen anyway" in said
            assert "Read the name to find out" in said
            assert (one.status().unresolved, one.status().asked) == (1, 0)
            waiting = asyncio.ensure_future(one.read("leader"))
            await cluster.start(IDS[1])
            assert await waiting == Found("one")
            assert one.status().unresolved == 0

    runs(run())


def test_watching_ends_when_something_is_chosen(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, two, _ = cluster.nodes.values()
            watching = asyncio.ensure_future(two.watch("leader"))
            assert await two.read("leader") is None
            await one.propose("leader", "one")
            assert await watching == "one"

    runs(run())


def test_a_node_that_is_closed_answers_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one = cluster.nodes[IDS[0]]
            await cluster.stop(IDS[1])
            await cluster.stop(IDS[2])
            proposing = asyncio.ensure_future(one.propose("leader", "one"))
            reading = asyncio.ensure_future(one.read("other"))
            await asyncio.sleep(0)
            await one.close()
            with pytest.raises(OutcomeUnknown, match="the node was closed"):
                await proposing
            with pytest.raises(NoAnswer, match="the node was closed"):
                await reading
            with pytest.raises(ServerStopped):
                await one.propose("leader", "one")

    runs(run())


def _save_inline(node: Node[str], patch: pytest.MonkeyPatch) -> None:
    """In a thread, the others may decide before the save has failed."""
    saver = node._turn._saver  # pyright: ignore[reportPrivateUsage]
    patch.setattr(saver, "_quick_s", 1000.0)


def test_a_save_that_fails_stops_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, two, _ = cluster.nodes.values()

            with monkeypatch.context() as patch:
                patch.setattr(database, "put", put_unless(OSError("no space"), IDS[0], "leader"))
                _save_inline(one, patch)
                with pytest.raises(OutcomeUnknown, match="no space"):
                    await one.propose("leader", "one")
            with pytest.raises(ServerStopped, match="no space"):
                await one.read("leader")
            assert await two.propose("leader", "two") in ("one", "two")

    runs(run())


def test_a_disk_that_fails_is_no_trouble_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node stops, whoever waits is told, and closing it raises nothing more."""

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, _, _ = cluster.nodes.values()
            with monkeypatch.context() as patch:
                broken = sqlite3.OperationalError("disk I/O error")
                patch.setattr(database, "put", put_unless(broken, IDS[0], "leader"))
                _save_inline(one, patch)
                with pytest.raises(OutcomeUnknown, match="disk I/O error"):
                    await one.propose("leader", "one")
            await one.close()

    runs(run())


def test_a_record_that_is_damaged_stops_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = FileStore.load

    def spoilt(file: FileStore, name: str) -> object:
        if name == "leader":
            raise StoreCorrupted(tmp_path, "a record")
        return load(file, name)

    monkeypatch.setattr(FileStore, "load", spoilt)

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one = cluster.nodes[IDS[0]]
            with pytest.raises(NoAnswer, match="is damaged: a record"):
                await one.read("leader")
            with pytest.raises(ServerStopped):
                await one.read("leader")

    runs(run())


class TestStatus:
    """A node as it sees itself."""

    def test_who_is_up_and_how_many_may_fail(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with running(tmp_path) as cluster:
                one = cluster.nodes[IDS[0]]
                while one.status().tolerance < 1:
                    await asyncio.sleep(0.01)
                status = one.status()
                assert set(status.peers) == {IDS[1], IDS[2]}
                for peer in status.peers.values():
                    assert peer.is_up
                while None in [it.round_trip_s for it in one.status().peers.values()]:
                    await asyncio.sleep(0.01)
                assert status.saves >= 1

        runs(run())

    def test_what_was_promised_and_the_room_for_datagrams(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with running(tmp_path, 1) as cluster:
                (one,) = cluster.nodes.values()
                assert one.status().promised == NO_BALLOT
                await one.propose("leader", "one")
                assert one.status().promised == Ballot(1, IDS[0])
                # Accepted, voted for and chosen: three places that hold it.
                assert one.status().in_memory_bytes == 3 * len("one")
                assert one.status().buffers.receive_bytes > 0

        runs(run())

    def test_why_it_has_stopped(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with running(tmp_path, 1) as cluster:
                (one,) = cluster.nodes.values()
                waiting = asyncio.ensure_future(one.stopped())
                await asyncio.sleep(0)
                assert not waiting.done()
                await one.close()
                assert "the node was closed" in str(await waiting)

        runs(run())

    def test_who_is_down(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peer, "SILENT_S", 0.05)
        monkeypatch.setattr(mesh, "PING_S", 0.01)

        async def run() -> None:
            async with running(tmp_path) as cluster:
                one = cluster.nodes[IDS[0]]
                while one.status().tolerance != 1:
                    await asyncio.sleep(0.01)
                await cluster.stop(IDS[1])
                while one.status().tolerance != 0:
                    await asyncio.sleep(0.01)
                await cluster.stop(IDS[2])
                while one.status().tolerance != -1:
                    await asyncio.sleep(0.01)
                assert not any(it.is_up for it in one.status().peers.values())

        runs(run())


class TestMistakes:
    """What is wrong is said at once, and nothing is begun."""

    @pytest.mark.parametrize("name", ["", "x" * 256, "\ud800"])
    def test_names(self, tmp_path: Path, name: str) -> None:
        async def run() -> None:
            async with running(tmp_path, 1) as cluster:
                with pytest.raises(BadName):
                    await cluster.nodes[IDS[0]].propose(name, "x")
                with pytest.raises(BadName):
                    await cluster.nodes[IDS[0]].read(name)
                assert cluster.nodes[IDS[0]].status().asked == 0

        runs(run())

    def test_a_value_that_is_too_large(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with running(tmp_path, 3) as cluster:
                one = cluster.nodes[IDS[0]]
                with pytest.raises(TooLarge, match="at most 65,536"):
                    await one.propose("leader", "x" * 65_537)
                assert await one.propose("leader", "x" * 65_536) == "x" * 65_536
                assert await cluster.nodes[IDS[1]].read("leader") == Found("x" * 65_536)

        runs(run())

    def test_too_much_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pending, "MAX_WAITING", 2)

        async def run() -> None:
            async with running(tmp_path, 3) as cluster:
                one = cluster.nodes[IDS[0]]
                await cluster.stop(IDS[1])
                await cluster.stop(IDS[2])
                tasks = [asyncio.ensure_future(one.read(name)) for name in "ab"]
                await asyncio.sleep(0)
                with pytest.raises(TooManyRequests):
                    await one.read("c")
                for task in tasks:
                    task.cancel()

        runs(run())

    def test_a_network_without_a_key(self, tmp_path: Path) -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=IDS[0], quorum=majority(IDS[:1])) as file:
            for host in "192.0.2.1", "example.org":
                with pytest.raises(Insecure, match="Give the node a keyring"):
                    Node(file, NetworkConfig({IDS[0]: (host, 0)}), codec=TEXT)
            Node(file, NetworkConfig({IDS[0]: ("192.0.2.1", 0)}, insecure=True), codec=TEXT)
            with pytest.raises(Insecure, match=r"0\.0\.0\.0"):
                Node(
                    file,
                    NetworkConfig({IDS[0]: ("127.0.0.1", 0)}, listen=("0.0.0.0", 0)),
                    codec=TEXT,
                )
            for host in "localhost", "::1", "127.0.0.9":
                Node(file, NetworkConfig({IDS[0]: (host, 0)}), codec=TEXT)


def test_a_node_waits_while_another_process_holds_the_write_lock(tmp_path: Path) -> None:
    """A backup tool, or a viewer. It does not stop for that, nor does its event loop wait."""

    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, two, _ = cluster.nodes.values()
            with closing(sqlite3.connect(cluster.path(IDS[0]), isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                proposing = asyncio.ensure_future(one.propose("leader", "one"))
                while (waits := one.status().waits) is None:
                    await asyncio.sleep(0.001)
                assert re.fullmatch(r"another process holds its write lock, for \d+\.\d s", waits)
                assert any("cannot save" in it for it in warnings(one.status()))
                assert await two.propose("other", "two") == "two"
                other.execute("ROLLBACK")
            assert await proposing == "one"
            while one.status().waits is not None:
                await asyncio.sleep(0.001)

    runs(run())


def test_closing_a_node_does_not_wait_for_another_process(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as cluster:
            one, *_ = cluster.nodes.values()
            with closing(sqlite3.connect(cluster.path(IDS[0]), isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                proposing = asyncio.ensure_future(one.propose("leader", "one"))
                while cluster.files[IDS[0]].waits is None:
                    await asyncio.sleep(0.001)
                await one.close()
                assert type((await one.stopped()).cause) is NodeClosed
                await asyncio.wait([proposing])
                other.execute("ROLLBACK")

    runs(run())


@pytest.mark.parametrize("addressed", [IDS[:0], IDS[:1], IDS[:2], IDS[1:], (*IDS, ServerId(9))])
def test_the_addresses_are_those_of_the_members(
    tmp_path: Path, addressed: Sequence[ServerId]
) -> None:
    """Whom a file names as members decides, not whom somebody has added to a description."""
    addresses: dict[ServerId, Address] = {it: ("127.0.0.1", 47_100 + it) for it in addressed}
    right: dict[ServerId, Address] = {it: ("127.0.0.1", 47_100 + it) for it in IDS}
    with FileStore.create(
        tmp_path / "n1.db", cluster="c", server=IDS[0], quorum=majority(IDS)
    ) as file:
        with pytest.raises(NotTheMembers, match=r"Give each member an address, and nobody else"):
            Node(file, NetworkConfig(addresses), codec=TEXT)
        with pytest.raises(NotTheMembers):
            DatagramTransport(
                file, NetworkConfig(addresses), decision="x", receive=lambda _, __: None
            )
        assert Node(file, NetworkConfig(right), codec=TEXT).quorum == majority(IDS)


def test_with_keys_only_those_who_have_one_are_heard(tmp_path: Path) -> None:
    """Two nodes sign, one of them with an older key that the other still knows; one does not."""
    old, new = (Key.generate(Random(number).randbytes) for number in (1, 2))
    rings = Keyring((old, new)), Keyring((new, old)), None

    async def run() -> None:
        cluster = Cluster(tmp_path, 3)
        for me, ring in zip(IDS, rings, strict=False):
            await cluster.start(me, None if ring is None else Authenticated(ring))
        one, _, three = cluster.nodes.values()
        assert await one.propose("leader", "one") == "one"
        with pytest.raises(OutcomeUnknown):
            await three.propose("leader", "three", timeout_s=0.2)
        assert one.status().refused["other_protection"] > 0
        for me in IDS[:3]:
            await cluster.stop(me)

    runs(run())
