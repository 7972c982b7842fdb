"""A log follows the members: a newcomer is taught first, idle logs are pushed, none is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from paxos import NO_BALLOT, From, QuorumSystem, ServerId, majority, weighted
from paxos.log import (
    Accept,
    Accepted,
    Change,
    Configuration,
    Delta,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Noop,
    Promise,
    Propose,
    replica,
)
from paxos.log.events import Event
from paxos.log.leader import Leading
from paxos.log.replica import Replica, Rules
from paxos_adapters.replication.following import Follows, Proposes, Waits, decide
from paxos_adapters.replication.membership import Wanted
from paxos_adapters.state_machines import COUNTER
from tests.support.replicated import IDS, Disk, World, nothing_lost

ONE, TWO, THREE, FOUR, FIVE = IDS
OLD, ADDED = majority([ONE, TWO, THREE]), weighted(dict.fromkeys([ONE, TWO, THREE, FOUR], 2))
ADD = Wanted(1, (OLD,), ADDED)
SMALL = Rules(window=4, piece=4)


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


# --- what a leader decides ------------------------------------------------------------------------


def stepped(state: Replica[bytes], *events: Event[bytes]) -> Replica[bytes]:
    for event in events:
        state, _ = replica.receive(state, event)
    return state


def leading(first: int = 1, quorum: QuorumSystem = OLD) -> Replica[bytes]:
    """Server 1, which leads and knows all slots below ``first`` to be chosen."""
    delta: Delta[bytes] = Delta(NO_BALLOT, first, (Configuration(1, quorum),))
    state = stepped(replica.start(ONE, quorum, [delta], SMALL), Lead())
    ballot = state.memory.promised
    promise = Promise[bytes](ballot, first, first, (), True)
    state = stepped(state, *(From(it, promise) for it in (ONE, TWO, THREE)))
    assert type(state.role) is Leading
    return state


def holding(state: Replica[bytes], server: ServerId, first: int) -> Replica[bytes]:
    """``state`` after ``server`` has said that it holds all slots below ``first``."""
    beat = Heartbeat(NO_BALLOT, False, False, first)
    return stepped(state, From(server, beat))


def chosen(state: Replica[bytes]) -> Replica[bytes]:
    """``state`` once servers 1 and 2 have accepted all that is in flight."""
    role = state.role
    assert type(role) is Leading
    first = state.memory.first
    for slot, it in enumerate(role.in_flight, first):
        accept = Accept[bytes](role.ballot, slot, it.entry, first)
        state = stepped(state, From(ONE, accept))
        state = stepped(state, *(From(by, Accepted(role.ballot, slot)) for by in (ONE, TWO)))
    return state


def test_only_the_leader_decides() -> None:
    assert decide(replica.start(ONE, OLD, (), SMALL), ADD) is None


def test_a_leader_that_is_late_does_nothing() -> None:
    """Its log follows a later epoch than the one that it has heard of, with the same members."""
    later = weighted(dict.fromkeys([ONE, TWO, THREE], 3))

    assert decide(leading(9, later), ADD) is None


@pytest.mark.parametrize(
    ("held", "decision"),
    [
        (None, Waits(frozenset({FOUR}))),
        (1, Waits(frozenset({FOUR}))),
        (5, Waits(frozenset({FOUR}))),
        (6, Proposes((Change(ADDED),))),
        (9, Proposes((Change(ADDED),))),
    ],
)
def test_a_newcomer_is_taught_to_within_a_window(
    held: int | None, decision: Waits | Proposes
) -> None:
    state = leading(9)
    if held is not None:
        state = holding(state, FOUR, held)

    assert decide(state, ADD) == decision


def test_without_newcomers_nobody_is_taught() -> None:
    less = weighted({ONE: 2, TWO: 2})

    assert decide(leading(9), Wanted(1, (OLD,), less)) == Proposes((Change(less),))


def test_a_log_that_was_changed_to_an_epoch_in_between_goes_on_from_there() -> None:
    third = weighted(dict.fromkeys([ONE, TWO, THREE], 3))
    wanted = Wanted(2, (OLD, ADDED), third)

    assert decide(leading(9, ADDED), wanted) == Proposes((Change(third),))
    assert decide(leading(9), wanted) == Proposes((Change(third),))


def test_a_full_window_is_waited_for() -> None:
    state = holding(leading(9), FOUR, 9)
    state = stepped(state, *[Propose[bytes](Noop())] * 4)

    assert decide(state, ADD) == Waits()


def test_a_change_is_proposed_once_and_pushed_over_the_window() -> None:
    state = stepped(holding(leading(9), FOUR, 9), Propose[bytes](Change(ADDED)))

    assert decide(state, ADD) == Proposes((Noop(),) * 3)
    state = stepped(state, *[Propose[bytes](Noop())] * 3)
    assert decide(state, ADD) == Waits()
    state = chosen(state)
    assert state.memory.first == 13
    assert state.memory.configurations == (Configuration(13, ADDED),)


@pytest.mark.parametrize(
    ("holders", "is_done"),
    [({}, False), ({TWO: 13, FOUR: 12}, False), ({TWO: 13, THREE: 13, FOUR: 13}, True)],
)
def test_a_log_is_done_once_a_quorum_of_the_new_members_holds_the_prefix(
    holders: dict[ServerId, int], is_done: bool
) -> None:
    state = stepped(holding(leading(9), FOUR, 9), Propose[bytes](Change(ADDED)))
    state = chosen(stepped(state, *[Propose[bytes](Noop())] * 3))
    for server, first in holders.items():
        state = holding(state, server, first)

    assert decide(state, ADD) == (Follows() if is_done else Waits())


def test_an_earlier_change_is_not_taken_for_this_one() -> None:
    """What is finished is the change before; this one is in flight."""
    state = holding(leading(9), FOUR, 9)
    for server in TWO, THREE:
        state = holding(state, server, 9)
    state = stepped(state, HeartbeatTimer(0), Propose[bytes](Change(ADDED)))

    assert replica.is_changed(state)
    assert decide(state, ADD) == Proposes((Noop(),) * 3)


# --- logs of several servers ----------------------------------------------------------------------


class Followed:
    """Servers that are to follow one epoch after the other, and which of them are done."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.quorum: QuorumSystem = majority(IDS[: world.size])
        self.epoch = 0
        self.done: set[int] = set()

    def want(self, *members: ServerId) -> None:
        before, self.epoch = self.quorum, self.epoch + 1
        self.quorum = weighted(dict.fromkeys(sorted(members), self.epoch + 1))
        wanted = Wanted(self.epoch, (before,), self.quorum)
        for server in self.world.servers.values():
            server.process.on_followed = lambda _, epoch: self.done.add(epoch)
            server.process.follow(self.quorum.members, wanted)

    def finish(self, beats: int = 60) -> None:
        for _ in range(beats):
            self.world.beat()
            if self.epoch in self.done:
                return
        raise AssertionError(f"epoch {self.epoch} is not done")

    def submit(self, me: ServerId) -> int:
        answer = self.world.servers[me].program.submissions.submit([b"1"]).answer
        for _ in range(30):
            self.world.beat()
            if answer.done():
                return answer.result()[0]
        raise AssertionError("no answer")


def test_a_newcomer_takes_part_and_a_member_that_left_is_not_needed() -> None:
    async def run() -> None:
        world = World(COUNTER)
        followed = Followed(world)
        assert [followed.submit(ONE) for _ in range(5)] == [1, 2, 3, 4, 5]
        world.start(FOUR, Disk())
        followed.want(ONE, TWO, FOUR)
        followed.finish()
        world.crash(THREE)
        world.crash(ONE)
        assert followed.submit(FOUR) == 6
        assert world.servers[TWO].program.applied.state == 6

    runs(run())


def test_nobody_is_proposed_that_cannot_be_taught() -> None:
    async def run() -> None:
        world = World(COUNTER)
        followed = Followed(world)
        for _ in range(100):
            followed.submit(ONE)
        world.start(FOUR, Disk())
        world.lost = lambda sender, receiver, _: FOUR in (sender, receiver)
        followed.want(ONE, TWO, FOUR)
        world.beat(20)
        configurations = world.servers[ONE].process.state.memory.configurations
        assert [it.quorum for it in configurations] == [majority(IDS[:3])]
        world.lost = nothing_lost
        followed.finish()

    runs(run())


@pytest.mark.parametrize("snapshot_bytes", [50, 1 << 30])
def test_all_are_replaced_one_by_one(snapshot_bytes: int) -> None:
    """The last newcomer finds nobody of those whom its log began with."""

    async def run() -> None:
        world = World(COUNTER, size=2, snapshot_bytes=snapshot_bytes)
        followed = Followed(world)
        members, total = [ONE, TWO], 0
        for newcomer in THREE, FOUR, FIVE:
            for _ in range(80):
                total += 1
                assert followed.submit(members[0]) == total
            world.start(newcomer, Disk())
            gone, *members = [*members, newcomer]
            followed.want(*members)
            followed.finish()
            world.crash(gone)
        assert followed.submit(FIVE) == total + 1
        assert world.servers.keys() == {FOUR, FIVE}

    runs(run())


def test_the_leader_crashes_in_the_middle() -> None:
    async def run() -> None:
        for beats in range(12):
            world = World(COUNTER)
            followed = Followed(world)
            followed.submit(ONE)
            world.start(FOUR, Disk())
            followed.want(ONE, TWO, THREE, FOUR)
            world.beat(beats)
            roles = {me: it.process.state.role for me, it in world.servers.items()}
            for leader in [me for me, role in roles.items() if type(role) is Leading]:
                world.crash(leader)
            followed.finish()
            assert followed.submit(FOUR) == 2

    runs(run())
