"""The servers compare their states through the log; one that differs stops, and stays stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
from attrs import evolve

from paxos import ServerId
from paxos_adapters.cannot_apply import CannotApply, Diverged
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.replication.batches import Check
from paxos_adapters.replication.consistency import ASK_BEATS, HELD_BEATS, KEPT, Consistency
from paxos_adapters.replication.snapshots import Codecs, check_of, check_of_state, codecs_of, pieces
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.replication.test_process import led
from tests.paxos_adapters.replication.test_versions import FIRST, SECOND
from tests.support.replicated import IDS, Counter, World

ONE, TWO, THREE = IDS[:3]
RIGHT, WRONG = b"r" * 16, b"w" * 16


def add_wrongly(total: int, number: int) -> tuple[int, int]:
    """One more for the seventh."""
    return total + number + (total == 6), total + number


FAULTY = evolve(COUNTER, apply=add_wrongly)


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


# --- what is compared -----------------------------------------------------------------------------


def check(slot: int, digest: bytes = RIGHT, layout: int = 1, program: int = 1) -> Check:
    return Check(slot, layout, program, digest)


def test_equal_digests_are_no_difference_whichever_comes_first() -> None:
    it = Consistency()
    assert it.keep(check(5)) is it.compare(check(5)) is None
    assert it.checked == 5
    assert it.compare(check(9)) is it.keep(check(9)) is None
    assert it.checked == 9


def test_a_difference_is_found_whichever_comes_first() -> None:
    it = Consistency()
    assert it.keep(check(5, WRONG)) is None
    assert it.compare(check(5)) == check(5, WRONG)
    assert it.compare(check(9)) is None
    assert it.keep(check(9, WRONG)) == check(9)
    assert it.checked == 0


@pytest.mark.parametrize("other", [check(5, WRONG, layout=2), check(5, WRONG, program=2)])
def test_what_others_write_otherwise_is_not_compared(other: Check) -> None:
    it = Consistency()
    assert it.keep(other) is it.compare(check(5)) is None
    assert it.checked == 0
    it = Consistency()
    assert it.compare(other) is it.keep(check(5)) is None


def test_a_caller_waits_for_a_check_of_all_that_is_applied() -> None:
    async def run() -> None:
        it = Consistency()
        loop = asyncio.get_running_loop()
        early, late = loop.create_future(), loop.create_future()
        it.wait(5, early)
        it.wait(7, late)
        for slot in 4, 6:
            it.keep(check(slot))
            it.compare(check(slot))
        assert (early.result(), late.done()) == (6, False)
        it.end(CannotApply("log", 7, "it cannot"))
        with pytest.raises(CannotApply):
            late.result()

    runs(run())


def test_a_snapshot_is_made_due_now_and_then_as_long_as_a_caller_waits() -> None:
    async def run() -> None:
        it = Consistency()
        assert not any(it.is_asked() for _ in range(2 * ASK_BEATS))
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        it.wait(5, answer)
        asked = [it.is_asked() for _ in range(2 * ASK_BEATS)]
        assert [beat for beat, is_asked in enumerate(asked) if is_asked] == [0, ASK_BEATS]
        answer.cancel()
        assert not any(it.is_asked() for _ in range(2 * ASK_BEATS))

    runs(run())


def test_the_last_few_are_kept() -> None:
    it = Consistency()
    for slot in range(1, KEPT + 2):
        it.keep(check(slot, WRONG))
        it.compare(check(100 + slot))
    assert it.compare(check(1)) is None
    assert it.compare(check(2)) is not None
    assert it.keep(check(101, WRONG)) is None
    assert it.keep(check(102, WRONG)) is not None


def test_a_snapshot_says_who_wrote_it() -> None:
    world = World(SECOND)
    applied = world.servers[ONE].program.applied
    for machine in FIRST, SECOND:
        codecs: Codecs[int, int, int] = codecs_of(machine)
        found = check_of_state(codecs, applied)
        assert found.program == machine.version
        first, *_ = pieces(codecs, applied)
        assert check_of(found.slot, found.digest, first) == found
    for other in b"", b"junk", b"\0" * 7 + b"\1\xc0":
        assert check_of(1, RIGHT, other) is None


# --- on servers -----------------------------------------------------------------------------------


def submit(world: World, me: ServerId, count: int = 1) -> None:
    for _ in range(count):
        answer = world.servers[me].program.submissions.submit([b"1"]).answer
        world.deliver()
        world.beat()
        assert answer.done()


def failures(world: World) -> list[ServerId]:
    return [me for me, it in world.servers.items() if it.program.failure is not None]


def checked(world: World) -> set[int | None]:
    return {it.process.status().checked for it in world.servers.values()}


def test_servers_that_agree_say_up_to_where() -> None:
    async def run() -> None:
        world = World(COUNTER, snapshot_bytes=60)
        leader = led(world)
        submit(world, leader, 12)
        world.beat(2)
        assert failures(world) == []
        (slot,) = checked(world)
        assert slot is not None
        assert {it.disk.handle.slot for it in world.servers.values() if it.disk.handle} == {slot}

    runs(run())


def diverged(machine: Counter = FAULTY) -> tuple[World, ServerId, ServerId]:
    """A log, its leader, and a server that was found to differ."""
    world = World(COUNTER, snapshot_bytes=60)
    leader = led(world)
    other = next(it for it in IDS[:3] if it != leader)
    world.machines[other] = machine
    world.start(other, world.crash(other))
    world.beat(2)
    submit(world, leader, 12)
    world.beat(2)
    return world, leader, other


def test_a_server_that_differs_stops_and_goes_on_voting() -> None:
    async def run() -> None:
        world, leader, other = diverged()
        assert failures(world) == [other]
        failure = world.servers[other].program.failure
        assert isinstance(failure, Diverged)
        assert failure.own != failure.chosen
        assert failure.chosen.hex() in str(failure)
        assert world.servers[other].process.status().stopped == str(failure)
        world.crash(next(it for it in IDS[:3] if it not in (leader, other)))
        submit(world, leader)
        assert world.servers[leader].program.applied.state == 13

    runs(run())


def test_it_stops_again_until_the_cause_is_corrected() -> None:
    """Its last snapshot is one that was compared: so it can apply its entries anew."""

    async def run() -> None:
        world, _, other = diverged()
        world.beat(3 * HELD_BEATS)
        before = world.servers[other].disk.handle
        for _ in range(2):
            again = world.start(other, world.crash(other))
            assert isinstance(again.program.failure, Diverged)
            world.beat(2 * HELD_BEATS)
            assert world.servers[other].disk.handle == before
        del world.machines[other]
        world.start(other, world.crash(other))
        world.beat(4)
        assert failures(world) == []
        assert world.servers[other].program.applied.state == 12

    runs(run())


def test_a_snapshot_that_was_wrong_before_it_was_compared_stops_the_server_each_time() -> None:
    async def run() -> None:
        world, _, other = diverged()
        server = world.servers[other]
        failure = server.program.failure
        assert isinstance(failure, Diverged)
        for handle in (slot for slot in server.disk.pieces if slot[1] == failure.own):
            pieces_ = server.disk.pieces[handle]
            size_bytes = sum(map(len, pieces_))
            server.disk.handle = SnapshotHandle(*handle[:1], len(pieces_), size_bytes, handle[1])
        del world.machines[other]
        again = world.start(other, world.crash(other))
        assert isinstance(again.program.failure, Diverged)

    runs(run())


def test_a_snapshot_counts_after_some_heartbeats_without_a_check() -> None:
    """A member that is silent cannot compare, so the leader proposes none."""

    async def run() -> None:
        world = World(COUNTER, snapshot_bytes=60)
        world.crash(THREE)
        leader = led(world)
        submit(world, leader, 8)
        world.beat(HELD_BEATS + 2)
        assert checked(world) == {None}
        assert {it.disk.handle is not None for it in world.servers.values()} == {True}

    runs(run())


def test_programs_of_two_versions_are_not_compared() -> None:
    """The codec of the later one may write other bytes for the same state."""

    async def run() -> None:
        world, _, _ = diverged(evolve(SECOND, earlier={1: add_wrongly}))
        assert failures(world) == []

    runs(run())
