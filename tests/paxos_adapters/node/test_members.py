"""The members of running nodes, in memory: added, removed and replaced, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random

import pytest

from paxos import ServerId, UnknownServer
from paxos_adapters.arguments import BadNumber
from paxos_adapters.codecs import TEXT
from paxos_adapters.host import ServerStopped
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.node import (
    AddressTaken,
    BadMemberCount,
    BadName,
    ChangeUnfinished,
    CommandUnknown,
    IdUsed,
    Members,
    MembershipChanging,
    MembersStatus,
    MemoryNetwork,
    MemoryNode,
    NoAnswer,
    NotAllStarted,
    OutcomeUnknown,
    Removed,
    ReplicatedLog,
)
from paxos_adapters.replication.membership import DECISIONS
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import runs
from tests.support.slow import slow_but_for

ONE, TWO, THREE, FOUR, FIVE, SIX = (ServerId(number) for number in range(1, 7))
LONG_S = 20.0
"""Longer than any change takes, on a machine that is busy."""


BRIEF_S = 0.5
"""Long enough for an answer, if there is one."""


async def begun(members: Members, change: Coroutine[object, object, MembersStatus]) -> None:
    """Begin ``change``, and leave."""
    task = asyncio.ensure_future(change)
    while not members.status().is_changing:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def at(server: int) -> tuple[str, int]:
    return "memory", server


Counter = ReplicatedLog[int, int, int]


class Servers:
    """Nodes in memory, each with a counter."""

    def __init__(self, size: int) -> None:
        self.network = MemoryNetwork(size, random=Random(size))
        self.nodes: dict[ServerId, MemoryNode[str]] = {}
        self.counters: dict[ServerId, Counter] = {}
        self._entering: dict[ServerId, asyncio.Task[None]] = {}
        self._stack = AsyncExitStack()

    async def start(self, *servers: ServerId) -> None:
        for me in servers:
            self.nodes[me] = node = MemoryNode(self.network, me, codec=TEXT)
            await node.__aenter__()
            self._entering[me] = asyncio.ensure_future(self._enter(me, node))

    async def _enter(self, me: ServerId, node: MemoryNode[str]) -> None:
        with suppress(ServerStopped):
            async with node.log("counter", COUNTER) as counter:
                self.counters[me] = counter
                await node.stopped()

    async def join(self, *servers: ServerId) -> None:
        for me in servers:
            self.network.join(me)
            await self.start(me)

    async def crash(self, me: ServerId) -> None:
        self.network.crash(me)
        await self.nodes.pop(me).close()
        self.counters.pop(me, None)

    async def close(self) -> None:
        for node in self.nodes.values():
            await node.close()
        for task in self._entering.values():
            task.cancel()
        await asyncio.gather(*self._entering.values(), return_exceptions=True)

    async def submit(self, me: ServerId) -> int:
        while me not in self.counters:
            await asyncio.sleep(0)
        return await self.counters[me].submit(1, timeout_s=LONG_S)

    def leader(self) -> ServerId:
        ballot = next(it.status().leader for it in self.counters.values())
        assert ballot is not None
        return ballot.server


@asynccontextmanager
async def servers(size: int = 3) -> AsyncGenerator[Servers, None]:
    found = Servers(size)
    try:
        await found.start(*sorted(found.network.quorum.members))
        yield found
    finally:
        await found.close()


def test_a_server_is_added_and_then_counts() -> None:
    async def run() -> None:
        async with servers() as it:
            assert await it.submit(ONE) == 1
            await it.join(FOUR, FIVE)
            members = it.nodes[ONE].members
            await members.add(FOUR, at(4), timeout_s=LONG_S)
            status = await members.add(FIVE, at(5), timeout_s=LONG_S)
            assert status.addresses == {ServerId(me): at(me) for me in range(1, 6)}
            assert (status.epoch, status.is_changing, status.former) == (2, False, frozenset())
            await it.crash(ONE)
            await it.crash(TWO)
            assert await it.submit(FOUR) == 2
            assert await it.submit(FIVE) == 3
            assert it.nodes[FOUR].members.status().addresses == status.addresses

    runs(run())


def test_nothing_of_it_runs_before_somebody_uses_it() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            status = it.nodes[ONE].members.status()
            assert status.addresses == {ServerId(me): at(me) for me in (1, 2, 3)}
            assert not any(node.file.has_log(MEMBERS_LOG) for node in it.nodes.values())
            assert not any(node.members.is_in_use for node in it.nodes.values())
            assert MEMBERS_LOG not in it.nodes[ONE].served

    runs(run())


def test_a_server_that_is_removed_stops_and_says_why() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            status = await it.nodes[ONE].members.remove(THREE, timeout_s=LONG_S)
            assert status.former == {THREE}
            assert status.addresses.keys() == {ONE, TWO}
            stopped = await it.nodes[THREE].stopped()
            assert isinstance(stopped.cause, Removed)
            assert (stopped.cause.server, stopped.cause.epoch) == (THREE, 1)
            assert await it.submit(ONE) == 2
            with suppress(ServerStopped):
                await it.start(THREE)
            assert isinstance((await it.nodes[THREE].stopped()).cause, Removed)

    runs(run())


def test_a_server_removes_itself() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            status = await it.nodes[THREE].members.remove(THREE, timeout_s=LONG_S)
            assert status.addresses.keys() == {ONE, TWO}
            assert isinstance((await it.nodes[THREE].stopped()).cause, Removed)

    runs(run())


def test_one_that_was_down_when_it_was_removed_learns_it() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.crash(THREE)
            await it.nodes[ONE].members.remove(THREE, timeout_s=LONG_S)
            with suppress(ServerStopped):
                await it.start(THREE)
            assert isinstance((await it.nodes[THREE].stopped()).cause, Removed)

    runs(run())


def test_the_leader_is_replaced() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            old = it.leader()
            other = ONE if old != ONE else TWO
            await it.join(FOUR)
            status = await it.nodes[other].members.replace(old, FOUR, at(4), timeout_s=LONG_S)
            assert status.former == {old}
            assert await it.submit(FOUR) == 2
            assert await it.submit(other) == 3

    runs(run())


@pytest.mark.slow
def test_all_are_replaced_one_by_one_under_load() -> None:
    """No command is lost, none is run twice, and no caller sees more than an unknown outcome."""

    async def run() -> None:
        async with servers() as it:
            answered, unknown = list[int](), 0
            is_over = asyncio.Event()

            async def load(number: int) -> None:
                nonlocal unknown
                while not is_over.is_set():
                    up = [me for me, node in it.nodes.items() if node.status().stopped is None]
                    me = sorted(up)[number % len(up)]
                    try:
                        answered.append(await it.counters[me].submit(1, timeout_s=LONG_S))
                    except OutcomeUnknown:
                        unknown += 1
                    except (ServerStopped, KeyError):
                        await asyncio.sleep(0.001)

            loads = [asyncio.ensure_future(load(number)) for number in range(3)]
            for old, new in (ONE, FOUR), (TWO, FIVE), (THREE, SIX):
                await it.submit(old)
                answered.append(0)
                await it.join(new)
                asked = it.nodes[THREE if old != THREE else FOUR]
                await asked.members.replace(old, new, at(new), timeout_s=LONG_S)
                await it.nodes[old].stopped()
            is_over.set()
            await asyncio.gather(*loads)
            total = await it.counters[FIVE].read(lambda state: state, timeout_s=LONG_S)
            mine = [number for number in answered if number]
            assert len(mine) == len(set(mine))
            assert len(answered) <= total <= len(answered) + unknown
            assert it.nodes[SIX].members.status().addresses.keys() == {FOUR, FIVE, SIX}

    runs(run())


def test_a_newcomer_is_taught_when_all_founders_have_gone() -> None:
    """It asks those of its configuration: by its file it knows the founders only."""

    async def run() -> None:
        async with servers() as it:
            for old, new in (ONE, FOUR), (TWO, FIVE):
                await it.submit(THREE)
                await it.join(new)
                await it.nodes[THREE].members.replace(old, new, at(new), timeout_s=LONG_S)
            await it.crash(THREE)
            await it.join(SIX)
            await it.nodes[FOUR].members.replace(THREE, SIX, at(SIX), timeout_s=LONG_S)
            assert await it.submit(SIX) == 3

    runs(run())


@pytest.mark.parametrize("after_s", slow_but_for((0.05).__eq__, [0.0, 0.02, 0.05, 0.1, 0.2]))
def test_a_leader_crashes_in_the_middle_of_a_change(after_s: float) -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            leader = it.leader()
            other = ONE if leader != ONE else TWO
            await it.join(FOUR)
            change = asyncio.ensure_future(
                it.nodes[other].members.add(FOUR, at(4), timeout_s=LONG_S)
            )
            while not it.nodes[other].members.status().is_changing:
                await asyncio.sleep(0.001)
            await asyncio.sleep(after_s)
            await it.crash(leader)
            status = await change
            assert status.addresses.keys() == {ONE, TWO, THREE, FOUR}
            assert await it.submit(FOUR) == 2
            await it.start(leader)
            assert await it.submit(leader) == 3

    runs(run())


def test_the_one_that_asked_for_a_change_crashes() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.join(FOUR)
            change = asyncio.ensure_future(it.nodes[ONE].members.add(FOUR, at(4)))
            while not it.nodes[TWO].members.status().is_changing:
                await asyncio.sleep(0.001)
            await it.crash(ONE)
            with pytest.raises((ServerStopped, OutcomeUnknown)):
                await change
            status = await it.nodes[TWO].members.add(FOUR, at(4), timeout_s=LONG_S)
            assert status.epoch == 1
            assert await it.submit(FOUR) == 2

    runs(run())


def test_a_newcomer_that_is_lost_is_removed_again() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            it.network.join(FOUR)
            members = it.nodes[ONE].members
            await begun(members, members.replace(THREE, FOUR, at(4)))
            with pytest.raises(ChangeUnfinished) as unfinished:
                await members.replace(THREE, FOUR, at(4), timeout_s=BRIEF_S)
            assert unfinished.value.epoch == 1
            assert set(unfinished.value.logs) == {MEMBERS_LOG, "counter", DECISIONS}
            with pytest.raises(MembershipChanging):
                await members.add(FIVE, at(5), timeout_s=LONG_S)
            status = await members.remove(FOUR, timeout_s=LONG_S)
            assert status.addresses.keys() == {ONE, TWO}
            assert status.former == {THREE, FOUR}
            assert await it.submit(TWO) == 2
            await it.join(FIVE)
            await members.add(FIVE, at(5), timeout_s=LONG_S)
            assert await it.submit(FIVE) == 3

    runs(run())


def test_a_newcomer_may_be_late_and_the_change_is_asked_for_again() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            it.network.join(FOUR)
            members = it.nodes[ONE].members
            await begun(members, members.add(FOUR, at(4)))
            with pytest.raises(ChangeUnfinished):
                await members.add(FOUR, at(4), timeout_s=BRIEF_S)
            waiting = {log.name: log.held for log in members.status().waiting}
            assert waiting == {MEMBERS_LOG: {FOUR: 1}, "counter": {FOUR: 1}, DECISIONS: {}}
            await it.start(FOUR)
            status = await it.nodes[TWO].members.add(FOUR, at(4), timeout_s=LONG_S)
            assert (status.epoch, status.is_changing) == (1, False)

    runs(run())


def test_what_was_changed_before_is_so_while_another_change_goes_on() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.join(FOUR)
            members = it.nodes[ONE].members
            await members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            it.network.join(FIVE)
            await begun(members, members.add(FIVE, at(5)))
            for again in members.add(FOUR, at(4)), members.remove(THREE):
                status = await asyncio.wait_for(again, LONG_S)
                assert (status.epoch, status.is_changing) == (2, True)
            with pytest.raises(ChangeUnfinished):
                await members.add(FIVE, at(5), timeout_s=BRIEF_S)
            with pytest.raises(MembershipChanging):
                await members.remove(TWO, timeout_s=LONG_S)

    runs(run())


def test_a_change_waits_though_one_of_its_newcomers_is_removed() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            it.network.join(FOUR)
            it.network.join(FIVE)
            members = it.nodes[ONE].members
            both = asyncio.ensure_future(members.change(add={FOUR: at(4), FIVE: at(5)}))
            while not members.status().is_changing:
                await asyncio.sleep(0.001)
            removed = asyncio.ensure_future(members.remove(FIVE))
            while members.status().epoch < 2:
                await asyncio.sleep(0.001)
            await members.changed()
            assert not both.done()
            await it.start(FOUR)
            for status in await asyncio.gather(both, removed):
                assert (status.epoch, status.is_changing) == (2, False)

    runs(run())


async def adding_without_a_quorum(it: Servers) -> Members:
    """Server 4 is about to be added, and only server 1 is up."""
    await it.submit(ONE)
    it.network.join(FOUR)
    members = it.nodes[ONE].members
    await begun(members, members.add(FOUR, at(4)))
    await it.crash(TWO)
    await it.crash(THREE)
    return members


def test_a_change_that_has_begun_is_unfinished_without_a_quorum() -> None:
    async def run() -> None:
        async with servers() as it:
            members = await adding_without_a_quorum(it)
            with pytest.raises(ChangeUnfinished):
                await members.add(FOUR, at(4), timeout_s=BRIEF_S)
            with pytest.raises(NoAnswer):
                await members.add(FIVE, at(5), timeout_s=BRIEF_S)

    runs(run())


def test_a_change_that_has_begun_is_not_unfinished_on_a_server_that_ends() -> None:
    """It would say that the server is to be asked again."""

    async def run() -> None:
        async with servers() as it:
            members = await adding_without_a_quorum(it)
            again = asyncio.ensure_future(members.add(FOUR, at(4)))
            await members.changed()
            await it.crash(ONE)
            with pytest.raises(ServerStopped):
                await asyncio.wait_for(again, LONG_S)

    runs(run())


def test_two_administrators_at_once() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.join(FOUR, FIVE)
            results = await asyncio.gather(
                it.nodes[ONE].members.add(FOUR, at(4), timeout_s=LONG_S),
                it.nodes[TWO].members.add(FIVE, at(5), timeout_s=LONG_S),
                return_exceptions=True,
            )
            refused = [it for it in results if isinstance(it, BaseException)]
            assert [type(it) for it in refused] in ([], [MembershipChanging])
            status = it.nodes[ONE].members.status()
            assert len(status.addresses) == 5 - len(refused)

    runs(run())


def test_the_first_change_waits_for_all_that_stay() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.crash(THREE)
            await it.join(FOUR)
            members = it.nodes[ONE].members
            await members.move(ONE, at(1), timeout_s=LONG_S)
            with pytest.raises(NotAllStarted) as missing:
                await members.add(FOUR, at(4), timeout_s=BRIEF_S)
            assert missing.value.servers == members.status().absent == {THREE}
            status = await members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            assert status.addresses.keys() == {ONE, TWO, FOUR}
            assert await it.submit(FOUR) == 2

    runs(run())


def test_what_the_first_change_waits_for_is_said_though_the_last_read_has_no_answer() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.crash(THREE)
            members = it.nodes[ONE].members
            await members.move(ONE, at(1), timeout_s=LONG_S)
            log = it.nodes[ONE].served[MEMBERS_LOG]
            change = asyncio.ensure_future(members.add(FOUR, at(4), timeout_s=BRIEF_S))
            while log.status().figures.reads < 1:
                await asyncio.sleep(0.001)
            await it.crash(TWO)
            with pytest.raises(NotAllStarted) as missing:
                await change
            assert THREE in missing.value.servers

    runs(run())


def test_without_a_quorum_nothing_is_begun() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.crash(TWO)
            await it.crash(THREE)
            with pytest.raises(NotAllStarted):
                await it.nodes[ONE].members.add(FOUR, at(4), timeout_s=BRIEF_S)
            assert it.nodes[ONE].members.status().epoch == 0

    runs(run())


def test_what_is_asked_wrongly() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.join(FOUR)
            members = it.nodes[ONE].members
            await members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            with pytest.raises(IdUsed):
                await members.add(THREE, at(3), timeout_s=LONG_S)
            with pytest.raises(IdUsed):
                await members.add(TWO, at(9), timeout_s=LONG_S)
            with pytest.raises(AddressTaken):
                await members.add(FIVE, at(2), timeout_s=LONG_S)
            with pytest.raises(UnknownServer):
                await members.remove(FIVE, timeout_s=LONG_S)
            with pytest.raises(UnknownServer):
                await members.move(FIVE, at(9), timeout_s=LONG_S)
            with pytest.raises(BadMemberCount):
                await members.remove(ONE, TWO, FOUR, timeout_s=LONG_S)
            with pytest.raises(BadNumber):
                await members.add(ServerId(0), at(9))
            with pytest.raises(BadNumber):
                await members.remove(ONE, timeout_s=-1)
            assert members.status().epoch == 1

    runs(run())


def test_a_move_is_known_to_all_and_no_change() -> None:
    async def run() -> None:
        async with servers() as it:
            status = await it.nodes[ONE].members.move(TWO, at(9), timeout_s=LONG_S)
            assert (status.epoch, status.addresses[TWO]) == (0, at(9))
            await it.join(FOUR)
            await it.nodes[ONE].members.add(FOUR, at(4), timeout_s=LONG_S)
            assert it.nodes[FOUR].members.status().addresses[TWO] == at(9)

    runs(run())


def test_a_log_that_begins_later_is_founded_by_the_members_of_its_time() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.join(FOUR)
            await it.nodes[ONE].members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            async with (
                it.nodes[TWO].log("new", COUNTER) as two,
                it.nodes[FOUR].log("new", COUNTER) as four,
            ):
                assert await two.submit(1, timeout_s=LONG_S) == 1
                assert await four.submit(1, timeout_s=LONG_S) == 2
            assert it.nodes[ONE].members.status().epoch == 1

    runs(run())


def test_all_servers_start_again_and_know_who_they_are() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            await it.join(FOUR)
            await it.nodes[ONE].members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            for me in ONE, TWO, FOUR:
                await it.crash(me)
            await it.start(TWO, FOUR)
            assert await it.submit(TWO) == 2
            assert it.nodes[TWO].members.status().addresses.keys() == {ONE, TWO, FOUR}
            await it.start(ONE)
            assert await it.submit(ONE) == 3

    runs(run())


def test_a_newcomer_is_told_which_logs_it_lacks() -> None:
    """So that a program can enter them: no leader sends it anything before it has been taught."""

    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            it.network.join(FOUR)
            missing = set[str]()
            async with MemoryNode(it.network, FOUR, codec=TEXT) as four:
                four.on_missing_log(missing.add)
                members = it.nodes[ONE].members
                await begun(members, members.add(FOUR, at(4)))
                while "counter" not in missing:
                    await asyncio.sleep(0.001)
                missing.clear()
                four.on_missing_log(missing.add)
                assert missing == {"counter"}

    runs(run())


def test_a_server_is_told_of_a_log_that_others_run() -> None:
    async def run() -> None:
        async with servers() as it:
            missing = set[str]()
            it.nodes[TWO].on_missing_log(missing.add)
            async with it.nodes[ONE].log("other", COUNTER):
                while "other" not in missing:
                    await asyncio.sleep(0.001)

    runs(run())


def test_a_program_cannot_have_a_built_in_log() -> None:
    async def run() -> None:
        async with servers() as it:
            with pytest.raises(BadName):
                async with it.nodes[ONE].log(MEMBERS_LOG, COUNTER):
                    pass
            with pytest.raises(BadName):
                await it.nodes[ONE].read("$other")

    runs(run())


def test_messages_are_lost_while_the_members_change() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.submit(ONE)
            it.network.lose(0.2)
            await it.join(FOUR)
            await it.nodes[ONE].members.replace(TWO, FOUR, at(4), timeout_s=LONG_S)
            it.network.heal()
            assert await it.submit(FOUR) == 2
            with suppress(CommandUnknown):
                await it.submit(THREE)

    runs(run())
