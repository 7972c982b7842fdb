"""Law 11: an exception that nobody expects stops the node, loudly, wherever it comes up."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from paxos import Ballot, Chosen, InvariantError, Prepare, ServerId, majority
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.guard import Guard
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    DatagramTransport,
    NetworkConfig,
    Node,
    OutcomeUnknown,
    ThreadedNode,
    control,
)
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_protocol import socket_path
from paxos_adapters.node.registers import Registers
from paxos_adapters.threads import ThreadNotStarted, aside
from paxos_adapters.udp import mesh
from paxos_adapters.udp.endpoint import Address, Endpoint
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.registration import Registration
from paxos_adapters.udp.sessions import Sessions
from paxos_adapters.wire import Wire

ME, OTHER = ServerId(1), ServerId(2)
ALONE: dict[ServerId, Address] = {ME: ("127.0.0.1", 0)}
REGISTERED = Registration(ME, majority([ME, OTHER]), is_open=True)
"""Server 2 has acknowledged this session, and has gone since."""

WITHOUT_A_MAJORITY: dict[ServerId, Address] = {**ALONE, OTHER: ("127.0.0.1", 9)}


class Unexpected(Exception):
    """What nobody has thought of."""


def break_(*_: object, **__: object) -> None:
    raise Unexpected("here")


@asynccontextmanager
async def running(
    folder: Path, addresses: dict[ServerId, Address] = ALONE, *, inline_save_s: float = 1000.0
) -> AsyncGenerator[Node[bytes], None]:
    path = folder / "n1.db"
    with FileStore.create(path, cluster="c", server=ME, quorum=majority(addresses)) as file:
        async with (
            Node(file, NetworkConfig(addresses), codec=RAW, inline_save_s=inline_save_s) as node,
            serve(node, socket_path(path)),
        ):
            yield node


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 20))


def send(node: Node[bytes]) -> None:
    """One datagram that is no frame."""
    host, port, *_ = node.place
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (host, port))


_sending: list[asyncio.Task[object]] = []


async def proposing(node: Node[bytes]) -> None:
    with pytest.raises((OutcomeUnknown, ServerStopped), match="stopped for good"):
        await node.propose("x", b"x")


def propose(node: Node[bytes]) -> None:
    _sending.append(asyncio.get_running_loop().create_task(proposing(node)))


def ask(line: bytes) -> Callable[[Node[bytes]], None]:
    async def asking(path: Path) -> None:
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(line)
        await writer.drain()
        writer.close()

    def asked(node: Node[bytes]) -> None:
        path = socket_path(node.file.path)
        _sending.append(asyncio.get_running_loop().create_task(asking(path)))

    return asked


def read_what_is_known(node: Node[bytes]) -> None:
    async def read() -> None:
        with suppress(ServerStopped):  # The turn before may end first.
            await node.read("known")

    _sending.append(asyncio.get_running_loop().create_task(read()))


ENTRIES: dict[str, tuple[type[object] | object, str, Callable[[Node[bytes]], None]]] = {
    "a datagram": (Wire, "claimed_sender", send),
    "all that has arrived": (Mesh, "flush", send),
    "a turn that a program begins": (Registers, "receive", propose),
    "the end of a turn": (Registers, "take_waiting", propose),
    "the end of a turn that has answered": (Registers, "take_waiting", read_what_is_known),
    "a save that has ended": (Registers, "on_saved", propose),
    "an alarm": (Registers, "is_working", propose),
    "a chore": (Sessions, "ping", lambda _: None),
    "a question of the machine": (control._Control, "_status", ask(b'{"ask": "status"}\n')),  # pyright: ignore[reportPrivateUsage]
}


@pytest.mark.parametrize("inline_save_s", [0.0, 1000.0], ids=["saving aside", "saving at once"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_what_nobody_expects_stops_the_node_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    entry: str,
    inline_save_s: float,
) -> None:
    place, name, begin = ENTRIES[entry]
    monkeypatch.setattr(mesh, "PING_S", 0.01)
    unguarded: list[object] = []
    _sending.clear()
    addresses = WITHOUT_A_MAJORITY if entry == "an alarm" else ALONE
    if entry == "an alarm":
        monkeypatch.setattr(Mesh, "registration", REGISTERED)

    async def run() -> None:
        async with running(tmp_path, addresses, inline_save_s=inline_save_s) as node:
            asyncio.get_running_loop().set_exception_handler(lambda _, it: unguarded.append(it))
            assert node.status().stopped is None
            if addresses is ALONE:
                await node.propose("known", b"x")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(place, name, break_)
                begin(node)
                stopped = await node.stopped()
            assert type(stopped.cause) is Unexpected
            status = node.status()
            assert (status.stopped, status.tolerance) == (str(stopped), -1)
            with pytest.raises(ServerStopped):
                await node.read("x")
            await asyncio.gather(*_sending)
            assert unguarded == [], "what the event loop would have swallowed"

    with caplog.at_level(logging.WARNING):
        runs(run())
    loud = [it for it in caplog.records if it.levelno == logging.CRITICAL]
    assert [it.getMessage().count("Unexpected: here") for it in loud] == [1]
    assert loud[0].exc_info is not None, "what nobody expects is a fault of the program"


def test_proof_of_a_broken_protocol_stops_the_node_and_nothing_more_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two values are chosen under one name; what came after that is left."""
    monkeypatch.setattr(Mesh, "registration", REGISTERED)
    said = [
        ("x", Chosen(Ballot(7, OTHER), b"red")),
        ("x", Chosen(Ballot(8, OTHER), b"blue")),
        ("y", Chosen(Ballot(7, OTHER), b"green")),
    ]

    async def run() -> None:
        async with running(tmp_path, WITHOUT_A_MAJORITY) as node:
            turn = node._turn  # pyright: ignore[reportPrivateUsage]
            for name, message in said:
                turn.hear(OTHER, name, message)
            turn.take()
            assert isinstance((await node.stopped()).cause, InvariantError)
            assert (node.status().tolerance, node.status().in_memory) == (-1, 1)

    runs(run())
    assert [it.levelname for it in caplog.records] == ["CRITICAL"]
    assert caplog.records[0].exc_info is None, "the message says it; no fault of the program"


@pytest.mark.parametrize("depth", [1, 100_000])
def test_a_question_that_is_none_stops_nothing(tmp_path: Path, depth: int) -> None:
    async def run() -> None:
        async with running(tmp_path) as node:
            path = str(socket_path(node.file.path))
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"[" * depth + b"\n")
            assert json.loads(await reader.readline())["kind"] == "BadQuestion"
            writer.close()
            assert node.status().stopped is None

    runs(run())


def test_an_interrupt_in_a_turn_stops_the_node_and_goes_on(tmp_path: Path) -> None:
    """What it has not finished must not be taken up by the next turn."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    async def run() -> None:
        async with running(tmp_path) as node:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(node._decisions, "turn", interrupt)  # pyright: ignore[reportPrivateUsage]
                with pytest.raises(KeyboardInterrupt):
                    await node.propose("x", b"x")
            assert type((await node.stopped()).cause) is KeyboardInterrupt

    runs(run())


def test_a_thread_that_cannot_be_started_is_told_when_the_node_is_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first slow save. Nothing was changed, so it can be tried again."""

    def start(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=majority(ALONE)) as file:
            with monkeypatch.context() as patch:
                patch.setattr(Thread, "start", start)
                saves = file.saves
                with pytest.raises(ThreadNotStarted):
                    await Node(file, NetworkConfig(ALONE), codec=RAW).__aenter__()
                with pytest.raises(ThreadNotStarted):
                    ThreadedNode(Node(file, NetworkConfig(ALONE), codec=RAW))
                assert file.saves == saves
                with pytest.raises(ThreadNotStarted):
                    aside("x", list)
            async with Node(file, NetworkConfig(ALONE), codec=RAW, inline_save_s=0.0) as node:
                with monkeypatch.context() as patch:
                    patch.setattr(Thread, "start", start)
                    assert await node.propose("x", b"x") == b"x"

    runs(run())


def test_a_name_that_no_thread_can_look_up_is_not_found_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(mesh, "LOOK_UP_S", 0.001)

    async def run() -> None:
        addresses: dict[ServerId, Address] = {**ALONE, OTHER: ("localhost", 9)}
        async with running(tmp_path, addresses) as node:
            with monkeypatch.context() as patch:
                patch.setattr(Thread, "start", start)
                while node.status().peers[OTHER].is_found:
                    await asyncio.sleep(0.001)
            assert node.status().stopped is None

    runs(run())


def test_what_a_transport_hands_messages_to_stops_it_when_it_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=majority(ALONE)) as file:
            transport = DatagramTransport(file, NetworkConfig(ALONE), decision="x", receive=break_)
            async with transport:
                transport.send(ME, Prepare(Ballot(1, ME)))
                stopped = await transport.stopped()
                assert type(stopped.cause) is Unexpected
                with pytest.raises(ServerStopped):
                    transport.send(ME, Prepare(Ballot(1, ME)))

    runs(run())
    assert [it.levelname for it in caplog.records] == ["CRITICAL"]


def test_a_loops_own_transport_that_ends_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[BaseException] = []

    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        endpoint = await Endpoint.bind(
            ALONE[ME], on_datagram=break_, on_idle=break_, guard=Guard(failures.append)
        )
        endpoint.on_datagram(b"x", ALONE[ME])
        endpoint.on_connection_lost(OSError("gone"))
        endpoint.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())
    assert [type(it) for it in failures] == [Unexpected, OSError]
