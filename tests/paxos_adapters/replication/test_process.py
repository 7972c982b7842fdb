"""A log on several servers: commands come from any of them, and run once on each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from paxos import From, ServerId, To
from paxos.log.leader import Leading
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.log_messages import SnapshotOffer, SnapshotPiece, SnapshotRequest
from paxos_adapters.replication.providing import SENDING_BEATS
from paxos_adapters.replication.transfer import PIECES_AT_A_TIME
from paxos_adapters.state_machines import COUNTER
from tests.support.replicated import IDS, Server, World

ONE, TWO, THREE = IDS[:3]


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


def led(world: World) -> ServerId:
    """The server that leads, once one does."""
    for _ in range(20):
        world.beat()
        for me, server in world.servers.items():
            if type(server.process.state.role) is Leading:
                return me
    raise AssertionError("none leads")


def test_commands_of_any_server_are_run_on_all() -> None:
    async def run() -> None:
        world = World(COUNTER)
        leader = led(world)
        answers: list[asyncio.Future[list[int]]] = []
        for server in world.servers.values():
            answers.append(server.program.submissions.submit([b"1", b"10"]).answer)
            world.deliver()
        assert [it.result() for it in answers] == [[1, 11], [12, 22], [23, 33]]
        world.beat()
        assert [it.program.applied.state for it in world.servers.values()] == [33, 33, 33]
        assert leader in world.servers

    runs(run())


def test_a_restart() -> None:
    async def run() -> None:
        world = World(COUNTER)
        led(world)
        for me, server in list(world.servers.items()):
            answer = server.program.submissions.submit([b"1"]).answer
            world.deliver()
            assert answer.done()
            world.start(me, world.crash(me))
            led(world)
        world.beat()
        assert [it.program.applied.state for it in world.servers.values()] == [3, 3, 3]

    runs(run())


@pytest.mark.parametrize("snapshot_bytes", [50, 500])
def test_a_server_that_was_down_gets_a_snapshot(snapshot_bytes: int) -> None:
    async def run() -> None:
        world = World(COUNTER, snapshot_bytes=snapshot_bytes)
        leader = led(world)
        down = next(it for it in IDS[:3] if it != leader)
        disk = world.crash(down)
        for _ in range(100):
            answer = world.servers[leader].program.submissions.submit([b"1"]).answer
            world.deliver()
            assert answer.done()
            world.beat()
        assert world.servers[leader].disk.handle is not None
        assert world.servers[leader].sweeps > 0
        world.start(down, disk)
        world.beat(6)
        assert world.servers[down].program.applied.state == 100
        assert world.servers[down].disk.handle is not None

    runs(run())


def test_the_next_pieces_are_asked_for_when_those_before_are_saved() -> None:
    """Else a slow disk would fill the memory of the server."""

    async def run() -> None:
        server = World(COUNTER).servers[ONE]
        server.is_slow = True
        process, digest, count = server.process, bytes(DIGEST_BYTES), PIECES_AT_A_TIME
        offer = SnapshotOffer(50, 100, 100, digest)
        first = process.receive(From(TWO, offer))
        assert first == [To(TWO, SnapshotRequest(50, digest, 0, count))]
        for index in range(count):
            assert process.receive(From(TWO, SnapshotPiece(50, digest, index, b"v"))) == []
        assert process.receive(From(TWO, offer)) == process.work() == []
        process.on_put()
        assert process.work() == [To(TWO, SnapshotRequest(50, digest, count, count))]

    runs(run())


def test_a_snapshot_that_a_server_needs_no_more_is_given_up_for_its_own() -> None:
    async def run() -> None:
        world = World(COUNTER, size=1, snapshot_bytes=50)
        led(world)
        server, digest = world.servers[ONE], bytes(DIGEST_BYTES)
        slot = server.process.state.memory.first + 1
        assert server.process.receive(From(TWO, SnapshotOffer(slot, 100, 100, digest)))
        while server.disk.handle is None:
            server.program.submissions.submit([b"1"])
            world.beat()
        assert server.disk.handle.slot > slot
        for index in range(PIECES_AT_A_TIME):  # They come late.
            assert server.process.receive(From(TWO, SnapshotPiece(slot, digest, index, b"v"))) == []
        assert server.process.work() == []

    runs(run())


def with_a_large_snapshot() -> tuple[World, Server, SnapshotHandle]:
    """A server that leads alone, and has a snapshot of many pieces."""
    world = World(COUNTER, size=1, snapshot_bytes=50)
    led(world)
    server, handle = world.servers[ONE], SnapshotHandle(2, 100, 100, b"d" * DIGEST_BYTES)
    server.disk.handle = handle
    server.disk.pieces[handle.slot, handle.digest] = [b"v"] * handle.pieces
    return world, server, handle


def ask(server: Server, handle: SnapshotHandle, index: int) -> None:
    request = SnapshotRequest(handle.slot, handle.digest, index, PIECES_AT_A_TIME)
    told = server.process.receive(From(TWO, request))
    assert all(type(it) is To and type(it.message) is SnapshotPiece for it in told)


def be_due(world: World, server: Server) -> None:
    """Run commands for a snapshot, in fewer heartbeats than one that is sent is waited for."""
    for _ in range(SENDING_BEATS // 2):
        server.program.submissions.submit([b"1"])
        world.beat()


def test_a_snapshot_is_not_replaced_while_another_server_gets_on_with_it() -> None:
    """It would have to begin anew each time, and never be whole."""

    async def run() -> None:
        world, server, handle = with_a_large_snapshot()
        for index in range(0, handle.pieces - PIECES_AT_A_TIME, PIECES_AT_A_TIME):
            ask(server, handle, index)
            be_due(world, server)
            assert server.disk.handle == handle
        world.beat(SENDING_BEATS)
        be_due(world, server)
        assert server.disk.handle != handle

    runs(run())


def test_a_snapshot_is_replaced_though_a_server_asks_for_the_same_pieces_again() -> None:
    """Its program cannot use it, maybe. Else the log here would grow without end, too."""

    async def run() -> None:
        world, server, handle = with_a_large_snapshot()
        for _ in range(3):
            for index in 0, PIECES_AT_A_TIME, handle.pieces - 1:
                ask(server, handle, index)
            be_due(world, server)
            if server.disk.handle != handle:
                return
        raise AssertionError("it was not replaced")

    runs(run())


def test_a_snapshot_that_a_caller_waits_for_is_taken_while_one_is_sent() -> None:
    async def run() -> None:
        world, server, handle = with_a_large_snapshot()
        ask(server, handle, 0)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server.program.consistency.wait(server.program.applied.slot, answer)
        world.beat(SENDING_BEATS // 2)
        assert answer.done()

    runs(run())


def test_what_a_leader_that_is_gone_was_asked_is_asked_again() -> None:
    async def run() -> None:
        world = World(COUNTER)
        leader = led(world)
        other = next(it for it in IDS[:3] if it != leader)
        answer = world.servers[other].program.submissions.submit([b"5"]).answer
        world.crash(leader)
        world.deliver()
        led(world)
        world.beat()
        assert answer.result() == [5]

    runs(run())
