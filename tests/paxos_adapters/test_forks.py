"""A forked process keeps nothing of a server: no socket, no lock, no call that answers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from paxos import Ballot, Prepare, ServerId, majority
from paxos_adapters import forks
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.forks import Forked
from paxos_adapters.node import DatagramTransport, NetworkConfig, Node, ThreadedNode
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_protocol import socket_path
from paxos_adapters.udp.endpoint import Address

ME = ServerId(1)
ALONE: dict[ServerId, Address] = {ME: ("127.0.0.1", 0)}


@contextmanager
def forked(work: Callable[[], object]) -> Generator[None, None, None]:
    """While a child has done ``work``, and waits to be killed. Fails if the work does."""
    hear, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, as is the point here
        child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            work()
            os.write(tell, b"done")
            signal.pause()
        except BaseException as error:
            os.write(tell, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)
    os.close(tell)
    try:
        assert os.read(hear, 1_000).decode() == "done"
        yield
    finally:
        os.close(hear)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def sockets() -> list[str]:
    """The sockets of this process that have an address: those of event loops have none."""
    found: list[str] = []
    for it in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(it.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(it.name))) as sock:
                    found.append(str(sock.getsockname()))
    return [it for it in found if it != ""]


def nothing_is_kept(*calls: Callable[[], object]) -> None:
    assert sockets() == [], "a socket of the server is open in the child"
    for call in calls:
        with pytest.raises(Forked, match="fork first, and open then"):
            call()


def test_the_address_and_the_file_are_free_when_the_server_ends(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    file = FileStore.create(path, cluster="c", server=ME, quorum=majority(ALONE))
    node = ThreadedNode(Node(file, NetworkConfig(ALONE), codec=RAW))
    host, port, *_ = node.place
    calls: list[Callable[[], object]] = [
        lambda: node.propose("x", b"x"),
        lambda: node.read("x"),
        lambda: node.watch("x"),
        node.status,
        lambda: node.place,
        lambda: file.load("x"),
        lambda: file.save([]),
    ]

    def use() -> None:
        nothing_is_kept(*calls)
        node.close()
        file.close()

    with forked(use):
        assert node.propose("x", b"x") == b"x", "the child has closed nothing of its parent"
        node.close()
        file.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, port))
        with FileStore.open(path, cluster="c", server=ME, quorum=majority(ALONE)) as again:
            assert again.load("x").records


def test_every_call_of_a_node_and_its_control_socket_end_in_the_child(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "n1.db"
        client.setblocking(False)
        with FileStore.create(path, cluster="c", server=ME, quorum=majority(ALONE)) as file:
            async with (
                Node(file, NetworkConfig(ALONE), codec=RAW) as node,
                serve(node, socket_path(path)),
            ):
                client.connect(str(socket_path(path)))
                while len(sockets()) < 3:  # the network, the machine, and one who asks
                    await asyncio.sleep(0)
                calls: list[Callable[[], object]] = [
                    lambda: begin(node.read("x")),
                    lambda: begin(node.watch("x")),
                    lambda: begin(node.stopped()),
                    lambda: node.propose("x", b"x"),
                    lambda: node.state("x"),
                    node.status,
                    lambda: node.place,
                ]

                def use() -> None:
                    nothing_is_kept(*calls)
                    begin(node.close())

                with forked(use):
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(client, b'{"ask": "status"}\n')
                    assert await loop.sock_recv(client, 1)
                    assert await node.propose("x", b"x") == b"x"

    with socket.socket(socket.AF_UNIX) as client:
        asyncio.run(asyncio.wait_for(run(), 20))


def test_a_transport_ends_in_the_child(tmp_path: Path) -> None:
    async def run() -> None:
        heard = asyncio.Event()
        with FileStore.create(
            tmp_path / "n1.db", cluster="c", server=ME, quorum=majority(ALONE)
        ) as file:
            transport = DatagramTransport(
                file, NetworkConfig(ALONE), decision="x", receive=lambda _, __: heard.set()
            )
            async with transport:
                calls: list[Callable[[], object]] = [
                    lambda: transport.send(ME, Prepare(Ballot(1, ME))),
                    lambda: begin(transport.stopped()),
                ]
                with forked(lambda: nothing_is_kept(*calls)):
                    transport.send(ME, Prepare(Ballot(1, ME)))
                    await heard.wait()

    asyncio.run(asyncio.wait_for(run(), 20))


def begin(work: Coroutine[object, object, object]) -> None:
    """The first step of ``work``, which never comes to a second one here."""
    with suppress(StopIteration):
        work.send(None)


def test_what_was_closed_before_is_left_alone() -> None:
    """Its number may belong to another file by now."""
    sock = forks.own(socket.socket())
    file = forks.own(Path(os.devnull).open())  # noqa: SIM115
    number = sock.fileno()
    sock.close()
    file.close()
    hear, tell = os.pipe()
    numbers = {hear, tell}
    assert number in numbers

    def use() -> None:
        os.write(tell, b"here")
        assert os.read(hear, 4) == b"here"

    with forked(use):
        pass
    os.close(hear)
    os.close(tell)
