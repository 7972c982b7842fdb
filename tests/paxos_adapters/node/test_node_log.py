"""Replicated state machines on nodes, on files and UDP and in memory, with faults in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from attrs import evolve

from paxos import PaxosError, ServerId
from paxos.log.memory import FIRST_SLOT
from paxos_adapters.codecs import INTEGER, RAW
from paxos_adapters.file import NotALog, database
from paxos_adapters.file.log_rows import entry_kind
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    BadValue,
    CannotApply,
    CommandUnknown,
    Found,
    LogClosed,
    LogRunning,
    MissingCodec,
    NameOfLog,
    NoAnswer,
    OutcomeUnknown,
    ReplicatedLog,
    Step,
    TooManyRequests,
    UnknownSubmission,
)
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines import COUNTER
from paxos_adapters.wire import TooLarge
from tests.paxos_adapters.node.test_node import IDS, runs
from tests.support.failing_put import put_unless
from tests.support.node_clusters import NewCluster, NodeCluster, new_cluster

ONE, TWO, THREE = IDS[:3]

Counter = ReplicatedLog[int, int, int]
CounterMachine = StateMachine[int, int, int]


class Logs:
    """The log of each node of a cluster. ``machines``: those that are not COUNTER."""

    def __init__(self, cluster: NodeCluster, snapshot_bytes: int) -> None:
        self.cluster = cluster
        self.snapshot_bytes = snapshot_bytes
        self.machines: dict[ServerId, CounterMachine] = {}
        self.of: dict[ServerId, Counter] = {}
        self._stacks: dict[ServerId, AsyncExitStack] = {}

    async def enter(self, me: ServerId) -> Counter:
        stack = self._stacks[me] = AsyncExitStack()
        machine = self.machines.get(me, COUNTER)
        log = self.cluster.nodes[me].log("log", machine, snapshot_bytes=self.snapshot_bytes)
        self.of[me] = await stack.enter_async_context(log)
        return self.of[me]

    async def leave(self, me: ServerId) -> None:
        del self.of[me]
        await self._stacks.pop(me).aclose()

    async def stop(self, me: ServerId) -> None:
        await self.cluster.stop(me)
        await self.leave(me)

    async def start(self, me: ServerId) -> Counter:
        await self.cluster.start(me)
        return await self.enter(me)

    async def close(self) -> None:
        for me in list(self.of):
            await self.leave(me)

    async def leader(self) -> ServerId:
        """The server that leads, as soon as one does."""
        await until(lambda: any(it.status().leads for it in self.of.values()))
        return next(me for me, it in self.of.items() if it.status().leads)

    async def follower(self) -> ServerId:
        """One that runs and does not lead."""
        leader = await self.leader()
        return next(me for me in self.of if me != leader)


@pytest.fixture(params=["files", "memory"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> NewCluster:
    """Starts clusters of each kind."""
    return new_cluster(request.param, tmp_path)


@asynccontextmanager
async def logs(
    new: NewCluster, size: int = 3, snapshot_bytes: int = 1 << 30, **machines: CounterMachine
) -> AsyncGenerator[Logs, None]:
    """All servers in the log; ``machines``: the state machines of servers ``one`` to ``three``."""
    async with new(size) as cluster:
        found = Logs(cluster, snapshot_bytes)
        names = {"one": ONE, "two": TWO, "three": THREE}
        found.machines = {names[name]: machine for name, machine in machines.items()}
        for me in cluster.nodes:
            await found.enter(me)
        try:
            yield found
        finally:
            await found.close()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.001)


def total(state: int) -> int:
    return state


# --- commands and reads ---------------------------------------------------------------------------


def test_commands_from_every_server(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            one, two, three = cluster.of.values()
            assert await one.submit(5) == 5
            assert await two.submit(6) == 11
            assert await three.submit_many([1, 2, 3]) == [12, 14, 17]
            assert await one.submit_many([]) == []
            for log in cluster.of.values():
                assert await log.read(total) == 17
                assert log.state == 17

    runs(run())


def test_a_query_that_raises_raises_for_its_caller_alone(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            for log in cluster.of.values():
                with pytest.raises(ZeroDivisionError):
                    await log.read(lambda state: 1 // state)
                assert await log.read(total) == 0

    runs(run())


def test_the_leader_stops_and_the_others_go_on(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            follower = cluster.of[await cluster.follower()]
            assert await follower.submit(1) == 1
            leader = await cluster.leader()
            submitted = asyncio.ensure_future(follower.submit_many([1] * 50))
            await cluster.stop(leader)
            assert await submitted == [*range(2, 52)]
            assert await cluster.leader() != leader
            again = await cluster.start(leader)
            assert await again.submit(1) == 52

    runs(run())


def test_each_server_restarts_and_has_it_all(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            for number, me in enumerate(IDS[:3], 1):
                assert await cluster.of[ONE].submit(10) == 10 * number
                await cluster.stop(me)
                again = await cluster.start(me)
                assert await again.read(total) == again.state == 10 * number
            for me in IDS[:3]:
                await cluster.stop(me)
            for me in IDS[:3]:
                await cluster.start(me)
            assert await cluster.of[TWO].submit(1) == 31

    runs(run())


def test_one_server_alone_is_a_cluster(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, 1) as cluster:
            assert await cluster.of[ONE].submit_many([1, 2]) == [1, 3]
            await cluster.stop(ONE)
            again = await cluster.start(ONE)
            assert await again.read(total) == 3

    runs(run())


# --- what becomes of a command that is not awaited ------------------------------------------------


def test_a_command_without_a_quorum_has_an_unknown_outcome_until_there_is_one(
    new: NewCluster,
) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            await cluster.stop(TWO)
            await cluster.stop(THREE)
            one = cluster.of[ONE]
            with pytest.raises(NoAnswer):
                await one.read(total, timeout_s=0.05)
            with pytest.raises(CommandUnknown, match=r"outcome\(1\)") as late:
                await one.submit(7, timeout_s=0.05)
            assert late.value.number == 1
            with pytest.raises(CommandUnknown):
                await one.outcome(1, timeout_s=0.01)
            assert (one.status().pending, one.status().unresolved) == (1, 1)
            waiting = [asyncio.create_task(one.outcome(1)) for _ in range(2)]
            await asyncio.sleep(0)
            waiting[0].cancel()  # The other one goes on.
            await cluster.start(TWO)
            assert await waiting[1] == await one.outcome(1) == [7]
            assert await one.read(total) == 7
            assert (one.status().pending, one.status().unresolved) == (0, 0)
            with pytest.raises(UnknownSubmission):
                await one.outcome(2)

    runs(run())


def test_a_cancelled_command_goes_on_and_says_how_to_wait_for_it(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            await cluster.stop(TWO)
            await cluster.stop(THREE)
            one = cluster.of[ONE]
            with pytest.raises(TimeoutError) as late:
                await asyncio.wait_for(one.submit_many([3, 4]), 0.01)
            assert isinstance(late.value.__cause__, asyncio.CancelledError)
            assert "outcome(1)" in late.value.__cause__.__notes__[0]
            await cluster.start(THREE)
            assert await one.outcome(1) == [3, 7]

    runs(run())


def test_too_many_commands_are_refused_and_none_of_them_runs(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            one = cluster.of[ONE]
            with pytest.raises(TooManyRequests):
                await one.submit_many([1] * 10_001)
            assert await one.submit(1) == 1

    runs(run())


def added_length(state: int, command: bytes) -> tuple[int, int]:
    return state + len(command), state + len(command)


class Bytes(bytes):
    """Bytes that are equal to nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = bytes.__hash__


def test_a_command_that_cannot_be_sent_is_refused_at_once(new: NewCluster) -> None:
    """By the call itself, before anything is awaited."""
    lengths = StateMachine(0, added_length, RAW, INTEGER, INTEGER)

    async def run() -> None:
        async with new(1) as cluster, cluster.nodes[ONE].log("lengths", lengths) as log:
            with pytest.raises(TooLarge):
                _ = log.submit(bytes(60_000))
            with pytest.raises(TooLarge):
                _ = log.submit_many([b"", bytes(60_000)])
            with pytest.raises(BadValue):
                _ = log.submit(Bytes(b"changed when it comes back"))
            assert await log.submit(bytes(59_900)) == 59_900

    runs(run())


def test_closing_the_node_ends_all_waits(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            await cluster.stop(TWO)
            await cluster.stop(THREE)
            one = cluster.of[ONE]
            submitted = asyncio.ensure_future(one.submit(1))
            read = asyncio.ensure_future(one.read(total))
            watched = asyncio.ensure_future(steps_of(one, 1))
            await until(lambda: one.status().pending == 1)
            await cluster.cluster.stop(ONE)
            with pytest.raises(CommandUnknown):
                await submitted
            with pytest.raises(NoAnswer):
                await read
            with pytest.raises(ServerStopped):
                await watched
            with pytest.raises(ServerStopped):
                _ = one.submit(1)

    runs(run())


def test_a_save_that_fails_stops_the_node_and_ends_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file; in memory, see the tests of its network.

    With a third server the command could be chosen without the one whose save fails.
    """

    async def run() -> None:
        async with logs(new_cluster("files", tmp_path)) as cluster:
            one, two, _ = cluster.of.values()
            assert await one.submit(1) == 1
            await cluster.stop(THREE)
            monkeypatch.setattr(database, "put", put_unless(OSError("no space"), ONE, "log"))
            with pytest.raises(CommandUnknown, match="no space"):
                await one.submit(1)
            with pytest.raises(ServerStopped, match="no space"):
                _ = one.submit(1)
            monkeypatch.undo()
            await cluster.start(THREE)
            assert await two.submit(1) in (2, 3)

    runs(run())


# --- names ----------------------------------------------------------------------------------------


def test_a_name_is_a_decision_or_a_log(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            await cluster.of[ONE].submit(5)
            node = cluster.cluster.nodes[ONE]
            for ask in node.read("log"), node.watch("log"):
                with pytest.raises(NameOfLog):
                    await ask
            with pytest.raises(NameOfLog):
                _ = node.propose("log", "x")
            with pytest.raises(NameOfLog):
                node.state("log")
            await node.propose("decision", "x")
            with pytest.raises(NotALog):
                async with node.log("decision", COUNTER):
                    pass
            assert await cluster.of[ONE].submit(1) == 6
            assert await node.propose("decision", "y") == "x"

    runs(run())


def test_a_decision_that_is_in_progress_keeps_its_name(new: NewCluster) -> None:
    """Nothing of it is in the file yet. One save for both would stop the node."""

    async def run() -> None:
        async with new(3) as cluster:
            one = cluster.nodes[ONE]
            await cluster.stop(TWO)
            await cluster.stop(THREE)
            with pytest.raises(OutcomeUnknown):
                await one.propose("name", "x", timeout_s=0.01)
            with pytest.raises(NotALog):
                async with one.log("name", COUNTER):
                    pass
            await cluster.start(TWO)
            assert await one.read("name") == Found("x")

    runs(run())


def test_a_log_runs_once_on_a_node(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, 1) as cluster:
            with pytest.raises(LogRunning):
                async with cluster.cluster.nodes[ONE].log("log", COUNTER):
                    pass
            assert await cluster.of[ONE].submit(5) == 5

    runs(run())


def test_a_machine_needs_all_its_codecs(new: NewCluster) -> None:
    lacking: dict[str, CounterMachine] = {
        "commands": evolve(COUNTER, commands=None),
        "states": evolve(COUNTER, states=None),
        "results": evolve(COUNTER, results=None),
    }

    async def run() -> None:
        async with new(1) as cluster:
            for missing, machine in lacking.items():
                with pytest.raises(MissingCodec, match=missing):
                    async with cluster.nodes[ONE].log("log", machine):
                        pass

    runs(run())


def test_a_log_that_was_left_says_so_and_is_entered_again(new: NewCluster) -> None:
    """The others go on; what waited ends."""

    async def run() -> None:
        async with logs(new) as cluster:
            one = cluster.of[ONE]
            assert await one.submit(5) == 5
            watching = asyncio.ensure_future(steps_of(one, 1))
            await asyncio.sleep(0)
            await cluster.leave(ONE)
            with pytest.raises(LogClosed):
                await watching
            with pytest.raises(LogClosed):
                _ = one.submit(1)
            with pytest.raises(LogClosed):
                await one.read(total)
            with pytest.raises(LogClosed):
                one.lead()
            assert one.state == 5
            assert await cluster.of[TWO].submit(1) == 6
            again = await cluster.enter(ONE)
            assert await again.read(total) == 6

    runs(run())


def test_a_decision_under_the_name_of_a_log_that_was_left_is_refused(new: NewCluster) -> None:
    """It is in the file. Neither the program nor another server stops the node by asking for it."""

    async def run() -> None:
        async with logs(new) as cluster:
            await cluster.of[ONE].submit(5)
            for me in IDS[:3]:
                assert await cluster.of[me].read(total) == 5
            await cluster.leave(ONE)
            node = cluster.cluster.nodes[ONE]
            with pytest.raises(NameOfLog):
                await node.propose("log", "x", timeout_s=1)
            with pytest.raises(NameOfLog):
                await node.read("log", timeout_s=1)
            assert await node.propose("other", "x") == "x"

    runs(run())


# --- state machines and codecs that fail ----------------------------------------------------------


def no_thirteen(state: int, amount: int) -> tuple[int, int]:
    if amount == 13:
        raise ValueError("unlucky")
    return state + amount, state + amount


FAILING = evolve(COUNTER, apply=no_thirteen)


def test_a_machine_that_raises_stops_its_program_and_not_its_server(new: NewCluster) -> None:
    """The server goes on voting: with one of the others it is a quorum."""

    async def run() -> None:
        async with logs(new, one=FAILING) as cluster:
            one, two = cluster.of[ONE], cluster.of[TWO]
            assert await two.submit(1) == 1
            with pytest.raises(CommandUnknown, match="unlucky"):
                await one.submit(13)
            with pytest.raises(CannotApply, match="stops at slot"):
                _ = one.submit(1)
            with pytest.raises(CannotApply):
                await one.read(total)
            stopped = one.status().stopped
            assert stopped is not None
            assert "unlucky" in stopped
            assert one.state == 1
            await cluster.stop(THREE)
            assert await two.submit(1) == 15

    runs(run())


def test_a_machine_that_was_corrected_goes_on(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, one=FAILING) as cluster:
            await cluster.of[TWO].submit(13)
            await until(lambda: cluster.of[ONE].status().stopped is not None)
            await cluster.stop(ONE)
            again = await cluster.start(ONE)
            await until(lambda: again.status().stopped is not None)
            await cluster.stop(ONE)
            del cluster.machines[ONE]
            assert await (await cluster.start(ONE)).submit(1) == 14

    runs(run())


class NoState:
    """A codec of states that fails to encode them."""

    def encode(self, value: int) -> bytes:
        raise ValueError(f"no bytes for {value}")

    def decode(self, encoded: bytes) -> int:
        raise ValueError(f"no state in {encoded!r}")


def test_a_codec_that_fails_at_a_snapshot_harms_nothing(
    new: NewCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        machine = evolve(COUNTER, states=NoState())
        async with logs(new, 1, snapshot_bytes=50, one=machine) as cluster:
            one = cluster.of[ONE]
            while "no snapshot of the log 'log'" not in caplog.text:
                await one.submit(1)
            submitted = one.state
            assert one.status().floor == FIRST_SLOT
            await cluster.stop(ONE)
            again = await cluster.start(ONE)
            assert await again.read(total) == submitted

    runs(run())


# --- snapshots ------------------------------------------------------------------------------------


def test_a_server_that_was_down_gets_a_snapshot(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, snapshot_bytes=1_000) as cluster:
            assert await cluster.of[THREE].submit(1) == 1
            await cluster.stop(THREE)
            one, two = cluster.of[ONE], cluster.of[TWO]
            down_since = one.status().chosen
            while min(one.status().floor, two.status().floor) <= down_since:
                await one.submit(1)
            submitted = one.state
            three = await cluster.start(THREE)
            assert await three.read(total) == submitted
            assert three.status().floor > down_since
            assert await three.submit(1) == submitted + 1
            for me in IDS[:3]:
                await cluster.stop(me)
            for me in IDS[:3]:
                await cluster.start(me)
            assert await cluster.of[THREE].submit(1) == submitted + 2

    runs(run())


def test_a_log_that_runs_keeps_no_entries_below_its_snapshot(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, 1, snapshot_bytes=500) as cluster:
            one = cluster.of[ONE]
            while one.status().floor == FIRST_SLOT:
                await one.submit(1)
            file = cluster.cluster.nodes[ONE].file.log("log").file
            end = entry_kind(one.status().floor)
            await until(lambda: not file.kinds("log", entry_kind(FIRST_SLOT), end, 1))

    runs(run())


# --- watch, lead, status --------------------------------------------------------------------------


async def steps_of(log: Counter, count: int) -> list[Step[int, int]]:
    found: list[Step[int, int]] = []
    async with log.watch() as steps:
        async for step in steps:
            found.append(step)
            if len(found) == count:
                break
    return found


def test_watchers_on_all_servers_see_the_same_steps(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            watching = [asyncio.ensure_future(steps_of(it, 3)) for it in cluster.of.values()]
            await asyncio.sleep(0)
            await cluster.of[TWO].submit_many([5, 6, 7])
            seen = await asyncio.gather(*watching)
            assert seen[0] == seen[1] == seen[2]
            assert [(it.command, it.result) for it in seen[0]] == [(5, 5), (6, 11), (7, 18)]

    runs(run())


def test_a_server_that_is_asked_to_leads(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new) as cluster:
            follower = await cluster.follower()
            log = cluster.of[follower]
            log.lead()
            await until(lambda: log.status().leads)
            assert await log.submit(1) == 1
            leader = log.status().leader
            assert leader is not None
            assert leader.server == follower

    runs(run())


def test_what_a_status_says(new: NewCluster) -> None:
    async def run() -> None:
        async with logs(new, 1) as cluster:
            one = cluster.of[ONE]
            await one.submit(1)
            status = one.status()
            assert status.leads
            assert status.applied == status.chosen > FIRST_SLOT
            assert (status.floor, status.pending, status.stopped) == (FIRST_SLOT, 0, None)
            await cluster.stop(ONE)
            assert one.status().stopped is not None

    runs(run())


def test_errors_are_paxos_errors() -> None:
    for error in LogClosed, LogRunning, NameOfLog, CannotApply, MissingCodec, UnknownSubmission:
        assert issubclass(error, PaxosError)
