"""Versions of a state machine: which one runs is said by the log, once every member has it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random

import msgspec
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import ServerId, majority
from paxos.log import Command
from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.cannot_apply import LacksVersion, NewerEntry
from paxos_adapters.codecs import INTEGER
from paxos_adapters.limits import MAX_VERSION
from paxos_adapters.log_messages import HasVersions
from paxos_adapters.replication.applying import applied, started
from paxos_adapters.replication.batches import LAST_KIND, Commands, Item, Opening, VersionChange
from paxos_adapters.replication.snapshots import OtherVersion, codecs_of, pieces, restored
from paxos_adapters.replication.versions import Versions
from paxos_adapters.state_machine import Apply, StateMachine, VersionMissing
from tests.paxos_adapters.replication.test_process import led
from tests.paxos_adapters.replication.test_program import chosen, entry
from tests.support.replicated import IDS, Counter, World

ONE, TWO, THREE = IDS[:3]
SESSION = 1 << 16
WINDOW = 64


def add(total: int, number: int) -> tuple[int, int]:
    return total + number, total + number


def add_tens(total: int, number: int) -> tuple[int, int]:
    return total + 10 * number, total + 10 * number


FIRST = StateMachine(0, add, commands=INTEGER, states=INTEGER, results=INTEGER)
SECOND = evolve(FIRST, apply=add_tens, version=2, earlier={1: add})
ONLY_SECOND = evolve(SECOND, earlier={})


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


# --- what a program has ---------------------------------------------------------------------------


def test_a_machine_has_the_versions_that_it_says() -> None:
    assert (FIRST.versions, SECOND.versions) == (range(1, 2), range(1, 3))
    assert ONLY_SECOND.versions == range(2, 3)
    assert SECOND.of_version(1) is add
    assert SECOND.of_version(2) is add_tens
    for version in 0, 3:
        with pytest.raises(VersionMissing):
            SECOND.of_version(version)


@pytest.mark.parametrize("version", [0, -1, MAX_VERSION + 1, True])
def test_a_version_is_a_number_from_1_on(version: int) -> None:
    with pytest.raises(BadNumber):
        StateMachine(0, add, version=version)


GAPS: list[dict[int, Apply[int, int, int]]] = [{2: add}, {1: add, 2: add}, {1: add, 4: add}]


@pytest.mark.parametrize("earlier", [*GAPS, dict.fromkeys(range(-1, 4), add)])
def test_earlier_versions_have_no_gap(earlier: dict[int, Apply[int, int, int]]) -> None:
    with pytest.raises(BadArgument):
        StateMachine(0, add, version=4, earlier=earlier)


def test_what_all_members_have() -> None:
    versions = Versions(range(1, 4))
    assert versions.message == HasVersions(1, 3)
    assert versions.of_all(()) is versions.of_all([ONE]) is None
    for server, last in (ONE, 3), (TWO, 2):
        versions.on_said(server, HasVersions(1, last))
    assert versions.of_all([ONE, TWO]) == 2
    assert versions.of_all([ONE, TWO, THREE]) is None
    versions.on_said(THREE, HasVersions(1, 1))
    assert versions.of_all([ONE, TWO, THREE]) == 1
    versions.on_said(THREE, HasVersions(3, 3))
    assert versions.of_all([ONE, THREE]) == 3
    assert versions.of_all([ONE, TWO, THREE]) is None


# --- what an entry says ---------------------------------------------------------------------------


def run_all(machine: Counter, *items: Item) -> int:
    """The state after one batch for each item, and the same items in one batch."""
    state = started(machine, majority(IDS[:3]))
    for item in (Opening(7), *items):
        state, _ = applied(machine, INTEGER, WINDOW, state, entry(item))
    together = started(machine, majority(IDS[:3]))
    for batch in (Opening(7),), items:
        together, _ = applied(machine, INTEGER, WINDOW, together, entry(*batch))
    assert (together.state, together.version) == (state.state, state.version)
    return state.state


def one(number: int) -> Commands:
    return Commands(SESSION, 1, [(number, b"1")])


def test_each_version_runs_where_it_is_said() -> None:
    assert run_all(SECOND, one(1), VersionChange(2), one(2), one(3)) == 21
    assert run_all(SECOND, one(1), VersionChange(1), one(2)) == 2


def test_a_version_never_falls_back() -> None:
    assert run_all(SECOND, VersionChange(2), one(1), VersionChange(1), one(2)) == 20


def test_a_version_that_the_program_lacks_is_not_passed_over() -> None:
    for machine, items in (FIRST, (VersionChange(2),)), (ONLY_SECOND, (one(1),)):
        with pytest.raises(VersionMissing):
            run_all(machine, *items)


def test_a_snapshot_says_the_version() -> None:
    codecs = codecs_of(SECOND)
    state, _ = applied(
        SECOND, INTEGER, WINDOW, started(SECOND, majority(IDS[:3])), entry(VersionChange(2))
    )
    assert restored(codecs, pieces(codecs, state)) == evolve(state, size_bytes=0)
    found = restored(codecs_of(FIRST), pieces(codecs, state))
    assert found == OtherVersion(2, state.configurations, 2)


# --- on servers -----------------------------------------------------------------------------------


def submitted(world: World, me: ServerId, number: int = 1) -> list[int]:
    """The result of a command."""
    answer = world.servers[me].program.submissions.submit([str(number).encode()]).answer
    world.deliver()
    if not answer.done():
        led(world)
        world.beat(2)
    return answer.result()


def upgrade(world: World, me: ServerId, machine: Counter = SECOND) -> None:
    """Kill it, and start it again with another program."""
    world.machines[me] = machine
    world.start(me, world.crash(me))
    led(world)


def versions(world: World) -> set[int]:
    return {it.program.applied.version for it in world.servers.values()}


def states(world: World) -> set[int]:
    return {it.program.applied.state for it in world.servers.values()}


def test_a_version_runs_once_every_member_has_it() -> None:
    async def run() -> None:
        world = World(FIRST)
        led(world)
        for me in TWO, ONE, THREE:
            world.beat(3)
            assert submitted(world, ONE)[0] <= 3
            assert versions(world) == {1}
            upgrade(world, me)
        world.beat(3)
        assert versions(world) == {2}
        status = world.servers[ONE].process.status()
        assert (status.version, status.version_of_all, status.stopped) == (2, 2, None)
        assert submitted(world, ONE) == [13]
        world.beat(2)
        assert states(world) == {13}

    runs(run())


def test_a_member_that_is_silent_is_waited_for() -> None:
    async def run() -> None:
        world = World(FIRST)
        led(world)
        disk = world.crash(THREE)
        for me in ONE, TWO:
            upgrade(world, me)
        world.beat(5)
        assert versions(world) == {1}
        world.machines[THREE] = SECOND
        world.start(THREE, disk)
        world.beat(5)
        assert versions(world) == {2}

    runs(run())


def test_a_server_with_an_older_program_stops_and_goes_on_voting() -> None:
    async def run() -> None:
        world = World(SECOND)
        leader = led(world)
        world.beat(3)
        assert versions(world) == {2}
        other, third = (it for it in IDS[:3] if it != leader)
        upgrade(world, other, FIRST)
        stopped = world.servers[other].program
        assert isinstance(stopped.failure, LacksVersion)
        assert (stopped.failure.version, stopped.failure.has) == (2, range(1, 2))
        assert "program that has version 2" in str(stopped.failure)
        world.crash(third)
        answer = world.servers[leader].program.submissions.submit([b"1"]).answer
        world.beat(4)
        assert answer.result() == [10]
        assert stopped.applied.state == 0
        upgrade(world, other, SECOND)
        world.beat(2)
        assert world.servers[other].program.applied.state == 10

    runs(run())


@pytest.mark.parametrize("machine", [SECOND, FIRST], ids=["has it", "lacks it"])
def test_a_server_that_gets_a_snapshot_runs_the_version_that_it_says(machine: Counter) -> None:
    """Or stops there, and is sent what it votes for."""

    async def run() -> None:
        world = World(SECOND, snapshot_bytes=200)
        leader = led(world)
        down = next(it for it in IDS[:3] if it != leader)
        world.beat(3)
        disk = world.crash(down)
        for _ in range(100):
            submitted(world, leader)
        world.beat(3)
        world.machines[down] = machine
        again = world.start(down, disk)
        world.beat(8)
        assert again.disk.handle is not None
        assert again.process.state.memory.first > 100
        if machine is SECOND:
            assert (again.program.applied.state, again.program.failure) == (1000, None)
            return
        assert isinstance(again.program.failure, LacksVersion)
        for last in FIRST, SECOND:  # It starts from that snapshot.
            upgrade(world, down, last)
            world.beat(3)
            failure = world.servers[down].program.failure
            assert isinstance(failure, LacksVersion) == (last is FIRST)
        assert world.servers[down].program.applied.state == 1000

    runs(run())


def test_a_server_with_an_older_library_stops() -> None:
    async def run() -> None:
        world = World(FIRST)
        program = world.servers[ONE].program
        newer = msgspec.msgpack.encode([[LAST_KIND + 1, "whatever"]])
        program.commit(1, (chosen(Command(newer)),))
        assert isinstance(program.failure, NewerEntry)
        assert program.applied.slot == 1

    runs(run())


@settings(max_examples=30)
@given(st.integers(0, 1_000_000))
def test_every_replay_uses_each_version_where_it_was_used(seed: int) -> None:
    """With kills in between, and programs that are replaced at any time."""

    async def run() -> None:
        random = Random(seed)
        world = World(FIRST, snapshot_bytes=random.choice([300, 1 << 30]))
        led(world)
        expected = 0
        for _ in range(12):
            me = random.choice(IDS[:3])
            if random.random() < 0.5:
                upgrade(world, me, random.choice([world.machines.get(me, FIRST), SECOND]))
            world.beat(random.randrange(3))
            (result,) = submitted(world, me)
            assert result - expected in (1, 10)
            assert result - expected == 1 or {*world.machines.values()} == {SECOND}
            expected = result
        world.beat(5)
        assert states(world) == {expected}
        for me in IDS[:3]:
            world.machines[me] = SECOND
            world.start(me, world.crash(me))
        led(world)
        world.beat(3)
        assert states(world) == {expected}
        assert versions(world) == {2}

    runs(run())
