"""Links come, go and move while all others go on: real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import permutations
from pathlib import Path
from types import MappingProxyType

import pytest

from paxos import Accept, Ballot, ServerId, majority
from paxos.log import Configuration, Delta
from paxos.log.messages import CatchUpRequest, Heartbeat
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.log_messages import AnyMessage
from paxos_adapters.node import NoOtherServer, Removed
from paxos_adapters.udp import mesh as module
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.endpoint import SocketAddress
from paxos_adapters.udp.endpoint import resolve as found
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.wire import Authenticated, Key, Keyring, Protection, Reason
from tests.support.free_ports import free_addresses

ONE, TWO, THREE, FOUR, FIVE = map(ServerId, range(1, 6))
FOUNDERS, LATER = majority([ONE, TWO, THREE]), majority([ONE, TWO, FOUR])
MESSAGE = Accept(Ballot(1, ONE), b"red")
OF_LOG = CatchUpRequest(1)
TEACHES = Heartbeat(Ballot(1, ONE), True, True, 1)
KEYS = Authenticated(Keyring((Key(bytes(range(32))),)))
PROTECTIONS = pytest.mark.parametrize("protection", [None, KEYS], ids=["checksummed", "keys"])


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 15))


class Server:
    """A mesh on a file; ``received`` has the senders of messages, ``failed`` why it ended."""

    def __init__(self, file: FileStore, network: NetworkConfig) -> None:
        self.me = file.identity.server
        self.file = file
        self.mesh = Mesh(file, network)
        self.received: list[ServerId] = []
        self.names: set[str] = set()
        self.failed: list[BaseException] = []

    async def open(self) -> None:
        self.mesh.acquire_file()
        await self.mesh.open(self._on_message, self._on_idle, Guard(self._fail))

    def _fail(self, error: BaseException) -> None:
        self.failed.append(error)
        self.mesh.close()

    def _on_message(self, sender: ServerId, name: str, message: AnyMessage) -> None:
        assert message in (MESSAGE, OF_LOG, TEACHES)
        self.received.append(sender)
        self.names.add(name)

    def _on_idle(self) -> None:
        if sessions := self.mesh.sessions.uncommitted():
            self.file.save(())
            self.mesh.sessions.on_committed(sessions)
        self.mesh.flush()

    async def until_acknowledged_by(self, *peers: ServerId) -> None:
        while not self.mesh.registration.acknowledged >= set(peers):
            await asyncio.sleep(0.001)

    def send(self, receiver: ServerId, name: str = "a") -> None:
        known: dict[str, AnyMessage] = {"a": MESSAGE, MEMBERS_LOG: TEACHES}
        self.mesh.enqueue(receiver, name, known.get(name, OF_LOG))
        self.mesh.flush()

    async def close(self) -> None:
        self.mesh.close()
        await self.mesh.wait_closed()
        self.file.close()


@asynccontextmanager
async def cluster(
    folder: Path,
    addresses: Mapping[ServerId, Address],
    protection: Protection | None = None,
    *,
    servers: Iterable[ServerId] = (ONE, TWO, THREE),
    listen: Mapping[ServerId, Address] = MappingProxyType({}),
    insecure: bool = True,
) -> AsyncGenerator[dict[ServerId, Server], None]:
    """The founders, with sessions that all have acknowledged."""
    network = {it: addresses[it] for it in FOUNDERS.members}
    running: dict[ServerId, Server] = {}
    async with AsyncExitStack() as stack:
        for it in servers:
            file = FileStore.create(folder / f"n{it}.db", cluster="c", server=it, quorum=FOUNDERS)
            config = NetworkConfig(
                network, listen=listen.get(it), protection=protection, insecure=insecure
            )
            running[it] = Server(file, config)
            stack.push_async_callback(running[it].close)
            await running[it].open()
        for it in running:
            await running[it].until_acknowledged_by(*running.keys() - {it})
        yield running


async def joins(
    stack: AsyncExitStack,
    folder: Path,
    addresses: Mapping[ServerId, Address],
    protection: Protection | None = None,
    server: ServerId = FOUR,
) -> Server:
    """A server that nobody has heard of yet."""
    path = folder / f"n{server}.db"
    file = FileStore.create(path, cluster="c", server=server, quorum=FOUNDERS, joining=True)
    newcomer = Server(file, NetworkConfig(addresses, protection=protection))
    stack.push_async_callback(newcomer.close)
    await newcomer.open()
    return newcomer


async def until_received(receiver: Server, sender: Server, name: str = "a") -> None:
    """Each message may be lost."""
    while sender.me not in receiver.received:
        sender.send(receiver.me, name)
        await asyncio.sleep(0.001)


@PROTECTIONS
def test_a_newcomer_joins_three_that_run(tmp_path: Path, protection: Protection | None) -> None:
    async def run() -> None:
        addresses = free_addresses(4)
        async with cluster(tmp_path, addresses, protection) as running, AsyncExitStack() as stack:
            newcomer = await joins(stack, tmp_path, addresses, protection)
            while not running[ONE].mesh.refused[Reason.UNKNOWN_SENDER]:
                await asyncio.sleep(0.001)
            assert not newcomer.mesh.registration.answered
            for it in running.values():
                it.mesh.set_members(addresses, FOUNDERS)
            for it in running.values():
                await it.until_acknowledged_by(FOUR)
                await until_received(newcomer, it, "log")
                await until_received(it, newcomer, "log")
            assert newcomer.mesh.registration.is_open
            assert [it.failed for it in (*running.values(), newcomer)] == [[]] * 4
            assert {FOUR} == running[ONE].file.peers.keys() - FOUNDERS.members

    runs(run())


def test_a_newcomer_that_finds_one_of_three_learns_the_members_and_leaves_nothing_there(
    tmp_path: Path,
) -> None:
    """The two others may have been replaced: it cannot know. Its disk may be an old copy."""

    async def run() -> None:
        addresses = free_addresses(4)
        async with (
            cluster(tmp_path, addresses) as running,
            AsyncExitStack() as stack,
        ):
            one = running[ONE]
            for it in TWO, THREE:
                await running[it].close()
            one.mesh.set_members(addresses, FOUNDERS, steps=1)
            newcomer = await joins(stack, tmp_path, addresses)
            while not newcomer.mesh.registration.teachers:
                await asyncio.sleep(0.001)
            while MEMBERS_LOG not in newcomer.names:
                one.send(FOUR, "log")
                one.send(FOUR)
                one.send(FOUR, MEMBERS_LOG)
                await asyncio.sleep(0.001)
            assert newcomer.names == {MEMBERS_LOG}
            before = one.mesh.refused[Reason.NOT_REGISTERED]
            for is_known in False, True:
                if is_known:
                    memory: Delta[bytes] = Delta(
                        Ballot(1, ONE), 1, (Configuration(1, FOUNDERS),), ()
                    )
                    one.file.save_all([(MEMBERS_LOG, memory)])
                for _ in range(20):
                    newcomer.send(ONE)
                    newcomer.send(ONE, "log")
                    newcomer.mesh.enqueue(ONE, MEMBERS_LOG, OF_LOG)
                    newcomer.mesh.flush()
                    await asyncio.sleep(0.001)
                assert one.names == ({MEMBERS_LOG} if is_known else set())
            assert one.mesh.refused[Reason.NOT_REGISTERED] == before
            assert FOUR not in one.file.peers
            assert not newcomer.mesh.registration.acknowledged
            assert not newcomer.mesh.registration.is_open

    runs(run())


def test_a_newcomer_knows_a_member_at_least(tmp_path: Path) -> None:
    addresses = free_addresses(4)
    path = tmp_path / "n4.db"
    with FileStore.create(path, cluster="c", server=FOUR, quorum=FOUNDERS, joining=True) as file:
        Mesh(file, NetworkConfig({it: addresses[it] for it in (TWO, FOUR)}))
        for servers in [FOUR], [ONE, TWO, THREE]:
            with pytest.raises(NoOtherServer, match="it learns the others there"):
                Mesh(file, NetworkConfig({it: addresses[it] for it in servers}))


def test_without_keys_nothing_is_sent_beyond_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A member at such an address is one that is not found."""
    asked: list[Address] = []

    async def resolve(address: Address, *_: int) -> SocketAddress:
        asked.append(address)
        return address

    monkeypatch.setattr(module, "resolve", resolve)

    async def run() -> None:
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, servers=[ONE], insecure=False) as running:
            one = running[ONE].mesh
            one.set_members({**addresses, TWO: ("192.0.2.1", 1)}, FOUNDERS)
            while one.peers()[TWO].is_found:
                await asyncio.sleep(0)
            assert ("192.0.2.1", 1) not in asked

    runs(run())
    assert "without a key nothing is sent" in caplog.text


@PROTECTIONS
def test_a_peer_moves_and_is_reached_while_the_others_go_on(
    tmp_path: Path, protection: Protection | None
) -> None:
    """Without keys it is refused at its new address until the others are told of that."""

    async def run() -> None:
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, protection) as running, AsyncExitStack() as stack:
            await running[THREE].close()
            moved = {**addresses, THREE: free_addresses(1)[ONE]}
            path = tmp_path / "n3.db"
            file = FileStore.open(path, cluster="c", server=THREE, quorum=FOUNDERS)
            three = Server(file, NetworkConfig(moved, protection=protection))
            stack.push_async_callback(three.close)
            await three.open()
            others = [running[it] for it in (ONE, TWO)]
            if protection is None:
                while not all(it.mesh.refused[Reason.WRONG_ADDRESS] for it in others):
                    await asyncio.sleep(0.001)
            for it in others:
                it.mesh.set_members(moved, FOUNDERS)
                assert it.mesh.peers()[THREE].address == moved[THREE]
            for it in others:
                await three.until_acknowledged_by(it.me)
                await until_received(it, three)
                await until_received(three, it)
            assert [it.failed for it in others] == [[], []]

    runs(run())


def test_a_cluster_goes_from_ipv4_to_ipv6_server_by_server(tmp_path: Path) -> None:
    """Each listens at both; then its address changes, and nobody restarts.

    It takes keys: a server that has moved sends to the others from an address of their family.
    """

    async def run() -> None:
        addresses = free_addresses(3)
        listen = {it: ("::", port) for it, (_, port) in addresses.items()}
        async with cluster(tmp_path, addresses, KEYS, listen=listen) as running:
            for number in range(1, 4):
                moved = {it: ("::1", addresses[it][1]) for it in (ONE, TWO, THREE)[:number]}
                for it in running.values():
                    it.mesh.set_members({**addresses, **moved}, FOUNDERS)
                    it.received.clear()
                for one, other in permutations(running.values(), 2):
                    await until_received(one, other)
            assert [it.failed for it in running.values()] == [[]] * 3

    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    runs(run())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_an_address_that_changed_is_looked_up_at_once_and_the_look_up_before_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {it: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for it in ("old", "new")}
    for it in places.values():
        it.bind(("127.0.0.1", 0))
        it.setblocking(False)
    asked: list[str] = []

    async def run() -> None:
        slow = asyncio.Event()

        async def resolve(address: Address, family: int, takes_ipv4: bool) -> SocketAddress:
            host, _ = address
            asked.append(host)
            if host == "old":
                with suppress(asyncio.CancelledError):
                    await slow.wait()
            return (
                places[host].getsockname()
                if host in places
                else await found(address, family, takes_ipv4)
            )

        monkeypatch.setattr(module, "resolve", resolve)
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, servers=[ONE]) as running:
            one = running[ONE].mesh
            one.set_members({**addresses, TWO: ("old", 1)}, FOUNDERS)
            while "old" not in asked:
                await asyncio.sleep(0)
            one.set_members({**addresses, TWO: ("new", 1)}, FOUNDERS)
            slow.set()
            for _ in range(2):
                await asyncio.get_running_loop().sock_recv(places["new"], 1_500)
            with pytest.raises(BlockingIOError):
                places["old"].recv(1_500)
            assert asked.count("new") == 1

    with places["old"], places["new"]:
        runs(run())


def test_a_server_that_was_removed_stops_and_says_so(tmp_path: Path) -> None:
    """It was down when it was removed: a peer that knows tells it."""

    async def run() -> None:
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, KEYS) as running:
            left = {it: addresses[it] for it in (ONE, TWO)}
            running[ONE].mesh.set_members(left, majority([ONE, TWO]), former=[THREE], epoch=7)
            while not running[THREE].failed:
                running[THREE].send(ONE)
                await asyncio.sleep(0.001)
            (why,) = running[THREE].failed
            assert isinstance(why, Removed)
            assert (why.server, why.epoch) == (THREE, 7)
            assert "Its id is never used again" in str(why)
            assert running[ONE].mesh.refused[Reason.REMOVED_SENDER] > 0
            assert THREE not in running[ONE].mesh.peers()
            running[ONE].send(THREE)
            assert running[ONE].mesh.endpoint.counts["no such server"] == 1
            await until_received(running[TWO], running[ONE])
            assert running[ONE].failed == running[TWO].failed == []

    runs(run())


def test_a_server_that_was_removed_is_told_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with each of its datagrams, and not if its tag is wrong."""

    async def run() -> None:
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, KEYS) as running:
            one, three = running[ONE].mesh, running[THREE]
            sent: list[bytes] = []

            def send(datagram: bytes, _: SocketAddress) -> None:
                sent.append(datagram)

            monkeypatch.setattr(one.endpoint, "send", send)
            one.set_members({ONE: addresses[ONE]}, majority([ONE]), former=[TWO, THREE], epoch=7)
            sent.clear()
            seen = one.refused[Reason.REMOVED_SENDER]
            while one.refused[Reason.REMOVED_SENDER] < seen + 5:
                three.send(ONE)
                running[TWO].send(ONE)
                await asyncio.sleep(0.001)
            assert len(sent) == 2
            monkeypatch.setattr(module, "ANSWER_S", 0.0)
            while len(sent) < 5:
                three.send(ONE)
                await asyncio.sleep(0.001)

    runs(run())


def test_a_server_that_knows_that_it_was_removed_says_so(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    with FileStore.create(tmp_path / "n1.db", cluster="c", server=ONE, quorum=FOUNDERS) as file:
        mesh = Mesh(file, NetworkConfig(addresses))
        with pytest.raises(Removed, match="server 1 is not a member"):
            mesh.set_members(addresses, FOUNDERS, former=[ONE])


def test_members_are_set_before_a_mesh_is_open(tmp_path: Path) -> None:
    """A server that was started again learns from its file who they are."""

    async def run() -> None:
        addresses = free_addresses(4)
        async with cluster(tmp_path, addresses, KEYS) as running, AsyncExitStack() as stack:
            members = {it: addresses[it] for it in (ONE, TWO, FOUR)}
            for it in running.values():
                if it.me != THREE:
                    it.mesh.set_members(members, FOUNDERS)
            path = tmp_path / "n4.db"
            file = FileStore.create(path, cluster="c", server=FOUR, quorum=FOUNDERS, joining=True)
            known = {it: addresses[it] for it in (THREE, FOUR)}
            newcomer = Server(file, NetworkConfig(known, protection=KEYS))
            stack.push_async_callback(newcomer.close)
            newcomer.mesh.set_members(members, majority(members))
            await newcomer.open()
            await newcomer.until_acknowledged_by(ONE, TWO)
            assert newcomer.mesh.peers().keys() == {ONE, TWO}

    runs(run())


def test_a_server_that_runs_registers_with_enough_of_the_new_members(tmp_path: Path) -> None:
    """Those that have acknowledged its session may all be gone by the next change."""

    async def run() -> None:
        addresses = free_addresses(5)
        async with cluster(tmp_path, addresses, KEYS) as running, AsyncExitStack() as stack:
            one = running[ONE]
            after = {it: addresses[it] for it in (ONE, FOUR, FIVE)}
            was_open = one.mesh.registration.is_open
            one.mesh.set_members(after, majority(after), former=[TWO, THREE], epoch=2)
            assert (was_open, one.mesh.registration.is_open) == (True, False)
            known = {it: addresses[it] for it in (ONE, FOUR)}
            newcomer = await joins(stack, tmp_path, known, KEYS)
            while not one.mesh.registration.is_open:
                assert not one.mesh.registration.acknowledged - {FOUR}
                await asyncio.sleep(0.001)
            await until_received(newcomer, one, "log")

    runs(run())


def test_what_is_unchanged_is_left_alone(tmp_path: Path) -> None:
    async def run() -> None:
        addresses = free_addresses(3)
        async with cluster(tmp_path, addresses, KEYS) as running:
            one = running[ONE].mesh
            before, registration = one.peers(), one.registration
            tasks = asyncio.all_tasks()
            one.set_members(addresses, FOUNDERS)
            assert asyncio.all_tasks() == tasks
            assert one.registration == registration
            assert {it: peer.votes for it, peer in one.peers().items()} == {
                it: peer.votes for it, peer in before.items()
            }

    runs(run())


# --- epochs of decisions --------------------------------------------------------------------------


def test_decisions_are_heard_in_the_epoch_in_which_they_were_sent(tmp_path: Path) -> None:
    """What was said to the members before would count for those of now. Logs go on."""

    async def run() -> None:
        async with cluster(tmp_path, free_addresses(3)) as running:
            one, two = running[ONE], running[TWO]
            for step in "close", "adopt":
                if step == "close":
                    one.file.close_epoch(0)
                else:
                    one.file.adopt(1, LATER, {})
                before = one.mesh.endpoint.counts["another epoch"]
                while one.mesh.endpoint.counts["another epoch"] < before + 3:
                    two.send(ONE)
                    await asyncio.sleep(0.001)
                assert TWO not in one.received
            await until_received(one, two, "log")
            one.received.clear()
            two.file.close_epoch(0)
            two.file.adopt(1, LATER, {})
            await until_received(one, two)
            await until_received(two, one)

    runs(run())


def test_what_was_enqueued_in_an_earlier_epoch_is_not_sent_as_of_a_later_one(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with cluster(tmp_path, free_addresses(3)) as running:
            one, two = running[ONE], running[TWO]
            one.mesh.enqueue(TWO, "a", MESSAGE)
            one.mesh.enqueue(TWO, "log", OF_LOG)
            for it in one, two:
                it.file.close_epoch(0)
                it.file.adopt(1, LATER, {})
            one.mesh.flush()
            assert one.mesh.endpoint.counts["another epoch"] == 1
            await until_received(two, one, "log")
            assert two.names == {"log"}

    runs(run())


def test_a_file_says_which_members_count_for_registration(tmp_path: Path) -> None:
    with FileStore.create(tmp_path / "n1.db", cluster="c", server=ONE, quorum=FOUNDERS) as file:
        file.close_epoch(0)
        file.adopt(1, LATER, {})
        assert Mesh(file, NetworkConfig(free_addresses(3))).registration.quorum == LATER
