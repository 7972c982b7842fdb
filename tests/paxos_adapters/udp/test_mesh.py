"""The mesh of a node: whom it hears, what it counts, and of what it complains."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from paxos import Accept, Ballot, ServerId, majority
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.file import FileStore
from paxos_adapters.file.entries import identity_of
from paxos_adapters.log_messages import AnyMessage
from paxos_adapters.udp import mesh as module
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.udp.errors import StoreAlreadyUsed
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.udp.registration import Registration
from paxos_adapters.wire import (
    Authenticated,
    Checksummed,
    Control,
    Key,
    Keyring,
    Missing,
    Ping,
    Pong,
    Protection,
    Reason,
    Register,
    Wire,
    WireMessage,
)
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.frame import LAYOUT, TAG_BYTES, Header
from tests.support import UNBROKEN
from tests.support.free_ports import free_addresses

ME, PEER = ServerId(1), ServerId(2)
MEMBERS = majority([ME, PEER])
DIGEST = identity_of("c", ME, MEMBERS, "").digest
MESSAGE = Accept(Ballot(1, PEER), b"red")


class Peer:
    """The other member: a bare socket, and wires of several sessions."""

    def __init__(self, protection: Protection | None = None) -> None:
        self.protection = protection
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.address: Address = self.socket.getsockname()

    def say(self, wire: Wire, place: Address, *lines: WireMessage) -> None:
        for datagram in wire.seal(ME, lines or [("a", MESSAGE)]):
            self.socket.sendto(datagram, place)

    def session(
        self, name: str, saves: int, previous: str = "", ended: int = 0, hears: str | None = None
    ) -> Wire:
        return Wire(
            cluster="c",
            me=PEER,
            members={ME, PEER},
            digest=DIGEST,
            protection=Checksummed() if self.protection is None else self.protection,
            disk_status=lambda _: DiskStatus(name * 8, saves, previous * 8, ended),
            registered=lambda _: hears,
        )

    async def hear(self, wire: Wire) -> tuple[DiskStatus, tuple[Control | Missing, ...]]:
        """What comes next of control messages."""
        opened = wire.open(await asyncio.get_running_loop().sock_recv(self.socket, 1_500))
        return opened.disk_status, opened.controls

    async def asked(self, wire: Wire) -> Missing:
        """What it is asked to send again next."""
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(self.socket, 1_500)
            for it in wire.open(datagram).controls:
                if isinstance(it, Missing):
                    return it

    async def next_part(self) -> bytes:
        """The next datagram that is a part of something larger."""
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(self.socket, 1_500)
            if Header(*LAYOUT.unpack_from(datagram)).parts > 1:
                return datagram

    async def join(self, wire: Wire, place: Address, session: str) -> None:
        """Acknowledge the session of the mesh, and have ``session`` registered there."""
        while True:
            disk_status, controls = await self.hear(wire)
            for it in controls:
                if isinstance(it, Ping):
                    known = Known(disk_status.session, disk_status.saves)
                    pong = Pong(it.number, disk_status.session, known, votes=True)
                    self.say(wire, place, pong, Register(it.number))
                elif isinstance(it, Pong) and it.known is not None and it.known.session == session:
                    return


async def until(mesh: Mesh, *, refused: int = 0, heard: int = 0) -> None:
    while mesh.refused.total() < refused or len(HEARD) < heard:
        await asyncio.sleep(0.001)


HEARD: list[tuple[ServerId, str, AnyMessage]] = []


def runs(run: Coroutine[object, object, None]) -> None:
    HEARD.clear()
    asyncio.run(asyncio.wait_for(run, 15))


async def opened(file: FileStore, peer: Peer) -> tuple[Mesh, Address]:
    addresses: dict[ServerId, Address] = {ME: ("127.0.0.1", 0), PEER: peer.address}
    mesh = Mesh(file, NetworkConfig(addresses, protection=peer.protection))
    mesh.acquire_file()
    await mesh.open(
        lambda sender, name, message: HEARD.append((sender, name, message)),
        lambda: commit(mesh, file),
        UNBROKEN,
    )
    host, port, *_ = mesh.endpoint.local_address
    assert isinstance(host, str)
    assert isinstance(port, int)
    return mesh, (host, port)


def commit(mesh: Mesh, file: FileStore) -> None:
    """What a node does after a turn."""
    if sessions := mesh.sessions.uncommitted():
        file.save(())
        mesh.sessions.on_committed(sessions)
    mesh.flush()


def test_what_is_old_is_refused_and_counted_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who repeats datagrams of an earlier session does not make the node complain."""

    async def run() -> None:
        peer = Peer()
        old, new = peer.session("01", 5), peer.session("02", 7, "01", 6)
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, place = await opened(file, peer)
            await peer.join(old, place, "01" * 8)
            await peer.join(new, place, "02" * 8)
            for number in range(3):
                peer.say(new, place)
                await until(mesh, heard=number + 1)
                peer.say(old, place)
                peer.say(old, place, Register(1))
                await until(mesh, refused=2 * number + 2)
            assert mesh.refused == {Reason.NOT_REGISTERED: 3, Reason.NOT_DESCENDED: 3}
            assert file.peers == {PEER: Known("02" * 8, 7)}
            mesh.close()
            await mesh.wait_closed()

    with caplog.at_level(logging.WARNING):
        runs(run())
    assert caplog.messages == []


def test_a_peer_that_speaks_and_does_not_answer_is_not_up(tmp_path: Path) -> None:
    """It may be that it does not hear us, or waits: then it is no help to a quorum of ours."""

    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        session = peer.session("01", 5)
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            file.set_peer_status(PEER, Known("01" * 8, 5))
            mesh, place = await opened(file, peer)
            peer.say(session, place, Ping(1, None))
            while not mesh.peers()[PEER].is_sending:
                await asyncio.sleep(0.001)
            assert mesh.peers()[PEER].is_one_way
            for votes in False, True:
                _, (ping, *_) = await peer.hear(session)
                while not isinstance(ping, Ping):
                    _, (ping, *_) = await peer.hear(session)
                peer.say(session, place, Pong(ping.number, file.session, None, votes=votes))
                while not mesh.peers()[PEER].answers:
                    await asyncio.sleep(0.001)
                while mesh.peers()[PEER].is_up != votes:
                    await asyncio.sleep(0.001)
            assert mesh.peers()[PEER].round_trip_s is not None
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_a_message_of_the_protocol_shows_that_its_sender_votes(tmp_path: Path) -> None:
    """Its last answer may be from before: a second old, and the status would say that it waits."""

    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        session = peer.session("01", 5)
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            file.set_peer_status(PEER, Known("01" * 8, 5))
            mesh, place = await opened(file, peer)
            assert not mesh.peers()[PEER].votes
            peer.say(session, place)
            while not mesh.peers()[PEER].votes:
                await asyncio.sleep(0.001)
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_before_the_session_is_registered_no_message_is_taken(tmp_path: Path) -> None:
    """Not even from a peer whose session was registered here before."""

    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        session = peer.session("01", 5)
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            file.set_peer_status(PEER, Known("01" * 8, 5))
            mesh, place = await opened(file, peer)
            peer.say(session, place, ("a", MESSAGE), ("b", MESSAGE))
            while mesh.endpoint.counts != {"not registered yet": 2}:
                await asyncio.sleep(0.001)
            assert HEARD == []
            acknowledged = Ping(1, Known(file.session, file.saves))
            peer.say(session, place, acknowledged, ("a", MESSAGE))
            await until(mesh, heard=1)
            assert HEARD == [(PEER, "a", MESSAGE)]
            mesh.close()
            await mesh.wait_closed()

    runs(run())


@pytest.mark.parametrize(
    ("acknowledged", "is_open"), [({PEER}, False), (set[ServerId](), True), ({PEER}, True)]
)
def test_before_the_session_is_registered_no_message_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acknowledged: set[ServerId], is_open: bool
) -> None:
    """Nor to a peer that has not acknowledged it."""
    it = Registration(ME, MEMBERS, acknowledged=frozenset(acknowledged), is_open=is_open)
    monkeypatch.setattr(Mesh, "registration", it)

    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, _ = await opened(file, peer)
            mesh.enqueue(PEER, "a", MESSAGE)
            is_sent = bool(acknowledged) and is_open
            assert mesh.endpoint.counts == ({} if is_sent else {"not acknowledged": 1})
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_without_keys_a_datagram_from_another_address_is_not_heard(tmp_path: Path) -> None:
    async def run() -> None:
        peer, other = Peer(), Peer()
        path = tmp_path / "n1.db"
        file = FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS)
        with file, peer.socket, other.socket:
            mesh, place = await opened(file, peer)
            wire = peer.session("01", 5)
            await peer.join(wire, place, "01" * 8)
            (datagram,) = wire.seal(ME, [("a", MESSAGE)])
            other.socket.sendto(datagram, place)
            await until(mesh, refused=1)
            assert mesh.refused == {Reason.WRONG_ADDRESS: 1}
            peer.socket.sendto(datagram, place)
            await until(mesh, heard=1)
            assert HEARD == [(PEER, "a", MESSAGE)]
            mesh.close()
            await mesh.wait_closed()

    runs(run())


KEYS = Authenticated(Keyring((Key(bytes(range(32))),)))
LARGE = Accept(Ballot(1, PEER), bytes(range(256)) * 256)


async def joined(file: FileStore, peer: Peer) -> tuple[Mesh, Address, Wire]:
    """A mesh and its peer, that hear each other."""
    mesh, place = await opened(file, peer)
    wire = peer.session("01", 5, hears=file.session)
    await peer.join(wire, place, "01" * 8)
    while not mesh.registration.is_open:
        await asyncio.sleep(0.001)
    return mesh, place, wire


def test_parts_that_were_lost_are_asked_for(tmp_path: Path) -> None:
    """Those of the request to send them again, too; in the end nobody asks any more."""

    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, place, wire = await joined(file, peer)
            parts = wire.seal(ME, [("a", LARGE)])
            for part, datagram in enumerate(parts):
                if part % 10:
                    peer.socket.sendto(datagram, place)
            first = await peer.asked(wire)
            assert first == Missing(first.first, sum(1 << it for it in range(0, 60, 10)))
            assert await peer.asked(wire) == first
            for datagram in wire.resend(ME, first):
                peer.socket.sendto(datagram, place)
            await until(mesh, heard=1)
            assert HEARD == [(PEER, "a", LARGE)]
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_parts_that_a_peer_asks_for_are_sent_again_as_they_were(tmp_path: Path) -> None:
    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, place, wire = await joined(file, peer)
            mesh.enqueue(PEER, "a", LARGE)
            mesh.flush()
            sent = [await peer.next_part() for _ in range(MAX_PARTS)]
            peer.say(wire, place, Missing(first_of(sent[0]), 0b101))
            assert [await peer.next_part() for _ in range(2)] == [sent[0], sent[2]]
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def first_of(datagram: bytes) -> int:
    return Header(*LAYOUT.unpack_from(datagram)).first


@asynccontextmanager
async def between(
    tmp_path: Path, protection: Protection | None
) -> AsyncGenerator[tuple[Mesh, Address, Peer, Wire, Peer], None]:
    """A mesh and its peer, that hear each other, and the peer at another address."""
    peer, other = Peer(protection), Peer(protection)
    path = tmp_path / "n1.db"
    file = FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS)
    with file, peer.socket, other.socket:
        mesh, place, wire = await joined(file, peer)
        yield mesh, place, peer, wire, other
        mesh.close()
        await mesh.wait_closed()


async def goes_to(mesh: Mesh, peer: Peer, wire: Wire) -> None:
    """Returns as soon as a message of the mesh comes to ``peer``."""
    mesh.enqueue(PEER, "b", MESSAGE)
    mesh.flush()
    while not wire.open(await asyncio.get_running_loop().sock_recv(peer.socket, 1_500)).messages:
        pass


def test_with_keys_a_peer_is_heard_from_any_address_and_answered_there(tmp_path: Path) -> None:
    """It may be behind a port mapping, or have moved."""

    async def run() -> None:
        async with between(tmp_path, KEYS) as (mesh, place, peer, wire, other):
            await goes_to(mesh, peer, wire)
            for number, there in enumerate((other, peer, other), 1):
                there.say(wire, place)
                await until(mesh, heard=number)
                await goes_to(mesh, there, wire)
            assert mesh.refused == {}

    runs(run())


def test_a_late_datagram_from_another_address_moves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with between(tmp_path, KEYS) as (mesh, place, peer, wire, other):
            late, newest = (wire.seal(ME, [("a", MESSAGE)])[0] for _ in range(2))
            peer.socket.sendto(newest, place)
            await until(mesh, heard=1)
            other.socket.sendto(late, place)
            await until(mesh, heard=2)
            await goes_to(mesh, peer, wire)

    runs(run())


def test_a_datagram_that_is_refused_moves_nothing(tmp_path: Path) -> None:
    """A repeated one, one with a wrong tag, one of a session that is not registered."""

    async def run() -> None:
        async with between(tmp_path, KEYS) as (mesh, place, peer, wire, other):
            newest = wire.seal(ME, [("a", MESSAGE)])[0]
            peer.socket.sendto(newest, place)
            await until(mesh, heard=1)
            wrong = wire.seal(ME, [("a", MESSAGE)])[0]
            foreign = peer.session("03", 9).seal(ME, [("a", MESSAGE)])[0]
            for datagram in newest, wrong[:-1] + bytes([wrong[-1] ^ 1]), foreign:
                other.socket.sendto(datagram, place)
            await until(mesh, refused=3)
            await goes_to(mesh, peer, wire)
            assert mesh.refused == dict.fromkeys(
                (Reason.REPLAYED, Reason.BAD_MAC, Reason.NOT_REGISTERED), 1
            )

    runs(run())


def test_a_control_message_of_a_session_that_is_not_registered_moves_nothing(
    tmp_path: Path,
) -> None:
    """Anybody can repeat it, as often as they like."""

    async def run() -> None:
        async with between(tmp_path, KEYS) as (mesh, place, peer, wire, other):
            other.say(peer.session("03", 9), place, Ping(1, None))
            other.socket.sendto(b"x", place)
            await until(mesh, refused=1)
            await goes_to(mesh, peer, wire)

    runs(run())


def test_until_a_session_has_answered_its_datagrams_move_nothing(tmp_path: Path) -> None:
    """A server that was started again cannot tell what is repeated from before."""

    async def run() -> None:
        peer, other, path = Peer(KEYS), Peer(KEYS), tmp_path / "n1.db"
        file = FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS)
        with file, peer.socket, other.socket:
            file.set_peer_status(PEER, Known("01" * 8, 5))
            mesh, place = await opened(file, peer)
            wire = peer.session("01", 5, hears=file.session)
            other.say(wire, place, Ping(1, None))
            while not mesh.peers()[PEER].is_sending:
                await asyncio.sleep(0.001)
            last, number = mesh.registration.pings, 0
            while number <= last:
                _, controls = await peer.hear(wire)
                number = max([number, *(it.number for it in controls if isinstance(it, Ping))])
            with pytest.raises(BlockingIOError):
                other.socket.recv(1_500)
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_a_datagram_that_claims_to_come_from_oneself_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with between(tmp_path, KEYS) as (mesh, place, peer, wire, _):
            (whole,) = wire.seal(ME, [("a", MESSAGE)])
            header = Header(*LAYOUT.unpack_from(whole))._replace(sender=ME)
            body = whole[LAYOUT.size : -TAG_BYTES]
            peer.socket.sendto(KEYS.close(LAYOUT.pack(*header), body), place)
            await until(mesh, refused=1)
            assert mesh.refused == {Reason.UNKNOWN_SENDER: 1}
            assert HEARD == []

    runs(run())


@pytest.mark.parametrize("protection", [None, KEYS], ids=["checksummed", "authenticated"])
def test_a_peer_that_does_not_answer_is_looked_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protection: Protection | None
) -> None:
    """Its name may lead elsewhere now."""
    monkeypatch.setattr(module, "LOOK_UP_S", 0.001)
    monkeypatch.setattr(module, "SILENT_AFTER_S", 0.01)
    places: list[Address] = []

    async def resolve(address: Address, *_: int) -> Address:
        return places[0] if places else address

    monkeypatch.setattr(module, "resolve", resolve)

    async def run() -> None:
        async with between(tmp_path, protection) as (mesh, place, peer, _, other):
            places.append(other.address)
            later = peer.session("02", 9, "01", 5)
            await other.join(later, place, "02" * 8)
            other.say(later, place)
            await until(mesh, heard=1)

    runs(run())


def test_a_peer_that_answers_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_UP_S", 0.001)
    monkeypatch.setattr(module, "SILENT_AFTER_S", 1000.0)
    tries = list[Address]()

    async def resolve(address: Address, *_: int) -> Address:
        tries.append(address)
        return address

    monkeypatch.setattr(module, "resolve", resolve)

    async def run() -> None:
        async with between(tmp_path, KEYS) as (_, _, _, _, _):
            before = len(tries)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert len(tries) == before

    runs(run())


def test_a_look_up_that_hangs_keeps_no_other_peer_from_being_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_UP_S", 0.001)
    third, tries = ServerId(3), Counter[int]()

    async def resolve(address: Address, *_: int) -> Address:
        tries[address[1]] += 1
        if address[1] == 2 and tries[2] == 2:
            await asyncio.Event().wait()
        raise OSError("not known")

    monkeypatch.setattr(module, "resolve", resolve)

    async def run() -> None:
        path, three = tmp_path / "n1.db", majority([ME, PEER, third])
        addresses: dict[ServerId, Address] = {
            it: ("127.0.0.1", 0 if it == ME else it) for it in (ME, PEER, third)
        }
        with FileStore.create(path, cluster="c", server=ME, quorum=three) as file:
            mesh = Mesh(file, NetworkConfig(addresses))
            mesh.acquire_file()
            await mesh.open(ignored, mesh.flush, UNBROKEN)
            while tries[third] < 9:
                await asyncio.sleep(0.001)
            assert tries[PEER] == 2
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_an_open_file_serves_once(tmp_path: Path) -> None:
    async def run() -> None:
        peer, path = Peer(), tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, _ = await opened(file, peer)
            mesh.close()
            await mesh.wait_closed()
            with pytest.raises(StoreAlreadyUsed, match="open it again"):
                await opened(file, peer)
        with FileStore.open(path, cluster="c", server=ME, quorum=MEMBERS) as file:
            mesh, _ = await opened(file, peer)
            mesh.close()
            await mesh.wait_closed()

    runs(run())


def test_a_name_that_is_none_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises a UnicodeError for some, and a plain ValueError for others."""
    monkeypatch.setattr(module, "LOOK_UP_S", 0.001)
    peer, getaddrinfo = Peer(), socket.getaddrinfo
    errors = [ValueError("no"), UnicodeError("no"), OSError("no"), ValueError("no")]

    def strange(host: str, *args: int, **more: int) -> object:
        if host == "localhost" and errors:
            raise errors.pop()
        return getaddrinfo("127.0.0.1", *args, **more)

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            monkeypatch.setattr(socket, "getaddrinfo", strange)
            peer.address = "localhost", peer.address[1]
            mesh, _ = await opened(file, peer)
            while mesh.peers()[PEER].is_found:
                await asyncio.sleep(0)
            while not mesh.peers()[PEER].is_found:
                await asyncio.sleep(0.001)
            mesh.close()
            await mesh.wait_closed()

    runs(run())
    assert errors == []


def test_peers_that_are_not_found_are_told_once_and_looked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile they are neither heard nor suspected."""
    monkeypatch.setattr(module, "LOOK_UP_S", 0.001)
    peer = Peer()
    tries: list[Address] = []
    places: list[Address] = []

    async def resolve(address: Address, *_: int) -> tuple[str | int | bytes, ...]:
        tries.append(address)
        if not places:
            raise OSError("not known")
        return places[0]

    monkeypatch.setattr(module, "resolve", resolve)

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=MEMBERS) as file, peer.socket:
            mesh, place = await opened(file, peer)
            while mesh.peers()[PEER].is_found:
                await asyncio.sleep(0)
            peer.say(peer.session("01", 5), place)
            while (
                not {"received too early", "no address"} <= {*mesh.endpoint.counts}
                or len(tries) < 3
            ):
                await asyncio.sleep(0.001)
            assert mesh.refused == {}
            places.append(peer.address)
            while not mesh.peers()[PEER].is_found:
                await asyncio.sleep(0.001)
            await peer.join(peer.session("02", 6), place, "02" * 8)
            mesh.close()
            await mesh.wait_closed()

    with caplog.at_level(logging.WARNING):
        runs(run())
    (complaint,) = caplog.messages
    assert "is not to be found" in complaint


def ignored(sender: ServerId, name: str, message: AnyMessage) -> None:
    del sender, name, message


def test_a_peer_that_was_down_learns_that_its_session_descends(tmp_path: Path) -> None:
    """Both were opened again meanwhile; each names the entry that the other knows."""

    async def run() -> None:
        files = [
            FileStore.create(tmp_path / f"n{it}.db", cluster="c", server=it, quorum=MEMBERS)
            for it in (ME, PEER)
        ]
        for file, other in (files[0], files[1]), (files[1], files[0]):
            file.set_peer_status(other.identity.server, Known(other.session, other.saves))
        for _ in range(3):
            for file in files:
                file.close()
            files = [
                FileStore.open(file.path, cluster="c", server=it, quorum=MEMBERS)
                for it, file in zip((ME, PEER), files, strict=True)
            ]
        addresses = free_addresses(2)
        nodes = [Mesh(file, NetworkConfig(addresses)) for file in files]
        for mesh, file in zip(nodes, files, strict=True):
            mesh.acquire_file()
            await mesh.open(ignored, partial(commit, mesh, file), UNBROKEN)
        one, two = nodes
        while not (one.peers()[PEER].is_up and two.peers()[ME].is_up):
            await asyncio.sleep(0.001)
        for mesh, file in zip(nodes, files, strict=True):
            mesh.close()
            await mesh.wait_closed()
            assert mesh.refused == {}
            file.close()

    runs(run())
