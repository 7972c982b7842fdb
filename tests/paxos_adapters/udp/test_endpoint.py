"""The UDP endpoint: what arrives, in what portions, and what does not stop it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from paxos_adapters.guard import Guard
from paxos_adapters.udp import endpoint
from paxos_adapters.udp.endpoint import AddressError, Endpoint, SocketAddress, resolve
from tests.support import UNBROKEN

LOOPBACK = "127.0.0.1", 0
MakeLoop = Callable[[], asyncio.AbstractEventLoop]


class Arrived:
    """What an endpoint got, and in which portions."""

    def __init__(self) -> None:
        self.portions: list[list[bytes]] = [[]]
        self.places: list[SocketAddress] = []
        self.changed = asyncio.Event()

    @property
    def all(self) -> list[bytes]:
        return [it for portion in self.portions for it in portion]

    def on_datagram(self, datagram: bytes, place: SocketAddress) -> None:
        self.portions[-1].append(datagram)
        self.places.append(place)

    def on_idle(self) -> None:
        self.portions.append([])
        self.changed.set()

    async def until(self, count: int) -> None:
        while len(self.all) < count:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 60)


async def bind(address: endpoint.Address, arrived: Arrived, guard: Guard = UNBROKEN) -> Endpoint:
    return await Endpoint.bind(
        address, on_datagram=arrived.on_datagram, on_idle=arrived.on_idle, guard=guard
    )


@asynccontextmanager
async def listening(
    address: endpoint.Address = LOOPBACK,
) -> AsyncGenerator[tuple[Endpoint, Arrived], None]:
    arrived = Arrived()
    endpoint = await bind(address, arrived)
    try:
        yield endpoint, arrived
    finally:
        endpoint.close()


def runs(
    loop: Callable[[], asyncio.AbstractEventLoop], run: Coroutine[object, object, None]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run)


LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, asyncio.SelectorEventLoop])


@LOOPS
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_what_is_sent_arrives(loop: MakeLoop, host: str) -> None:
    async def run() -> None:
        try:
            async with listening((host, 0)) as (one, arrived), listening((host, 0)) as (other, _):
                for number in range(20):
                    other.send(b"%d" % number, one.local_address)
                await arrived.until(20)
                assert sorted(arrived.all) == sorted(b"%d" % number for number in range(20))
                assert set(arrived.places) == {other.local_address}
        except AddressError:
            pytest.skip(f"this machine has no {host}")

    runs(loop, run())


def test_what_has_arrived_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_DRAIN", 8)

    async def run() -> None:
        async with listening() as (one, arrived), listening() as (other, _):
            for number in range(20):
                other.send(b"%d" % number, one.local_address)
            await arrived.until(20)
            assert [len(it) for it in arrived.portions if it] == [8, 8, 4]

    runs(asyncio.SelectorEventLoop, run())


def test_a_loop_that_cannot_watch_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def run() -> None:
        async with listening() as (other, answered):
            monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
            async with listening() as (one, arrived):
                for _ in range(3):
                    other.send(b"hello", one.local_address)
                await arrived.until(3)
                one.send(b"back", other.local_address)
                await answered.until(1)
        assert [len(it) for it in arrived.portions if it] == [1, 1, 1]

    runs(asyncio.SelectorEventLoop, run())


def test_a_peer_that_is_not_there_is_counted_and_stops_nothing() -> None:
    async def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(LOOPBACK)
            nowhere = gone.getsockname()
        async with listening() as (one, arrived), listening() as (other, _):
            for _number in range(3):
                one.send(b"x", nowhere)
            one.send(b"x" * 70_000, other.local_address)
            assert sum(one.counts.values()) >= 1
            other.send(b"still here", one.local_address)
            await arrived.until(1)

    runs(asyncio.SelectorEventLoop, run())


def test_its_buffers_are_told() -> None:
    async def run() -> None:
        async with listening() as (one, _):
            assert one.buffers.receive_bytes > 0
            assert one.buffers.send_bytes > 0

    runs(asyncio.SelectorEventLoop, run())


@pytest.mark.parametrize("address", [("no.such.host.invalid", 0), ("203.0.113.1", 0)])
def test_an_address_of_somebody_else(address: endpoint.Address) -> None:
    async def run() -> None:
        with pytest.raises(AddressError, match="cannot be used here"):
            await bind(address, Arrived())

    runs(asyncio.SelectorEventLoop, run())


def test_an_address_that_is_taken() -> None:
    async def run() -> None:
        async with listening() as (one, arrived):
            host, port = str(one.local_address[0]), one.local_address[1]
            assert isinstance(port, int)
            with pytest.raises(AddressError, match=f":{port} cannot be used here"):
                await bind((host, port), arrived)

    runs(asyncio.SelectorEventLoop, run())


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "a\0b", "\ud800", "\udcff.example"])
def test_a_name_that_is_none_is_not_found(host: str) -> None:
    """Whatever Python makes of it: who resolves names anew waits for one kind of error."""

    async def run() -> None:
        with pytest.raises(OSError):
            await resolve((host, 7))

    runs(asyncio.SelectorEventLoop, run())


def test_names_are_resolved() -> None:
    async def run() -> None:
        assert (await resolve(("127.0.0.1", 7)))[:2] == ("127.0.0.1", 7)
        assert (await resolve(("localhost", 7), socket.AF_INET))[:2] == ("127.0.0.1", 7)

    runs(asyncio.SelectorEventLoop, run())


@pytest.mark.parametrize("host", ["a..b", "a" * 300, "\0", "ä" * 64])
def test_a_host_name_that_is_none_is_not_found(host: str) -> None:
    """Which ends no chore that looks it up again and again."""

    async def run() -> None:
        with pytest.raises(OSError, match=r"not a host name|not known"):
            await resolve((host, 7))

    runs(asyncio.SelectorEventLoop, run())
