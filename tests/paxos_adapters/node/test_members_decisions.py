"""Named decisions of running nodes, in memory, while the members change."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from paxos import ServerId
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import NoAnswer, OutcomeUnknown, epochs
from paxos_adapters.node.epochs import (
    Adopt,
    Close,
    EpochsHost,
    MembersLog,
    Reporting,
    Step,
    Tell,
)
from tests.paxos_adapters.node.test_members import (
    FIVE,
    FOUR,
    LONG_S,
    ONE,
    SIX,
    THREE,
    TWO,
    Servers,
    at,
    servers,
)
from tests.paxos_adapters.node.test_node import runs


async def decided(it: Servers, me: ServerId, name: str, value: str) -> str:
    return await it.nodes[me].propose(name, value, timeout_s=LONG_S)


async def read(it: Servers, me: ServerId, name: str) -> str | None:
    found = await it.nodes[me].read(name, timeout_s=LONG_S)
    return None if found is None else found.value


def test_what_was_decided_before_a_change_is_decided_after_it() -> None:
    async def run() -> None:
        async with servers() as it:
            assert await decided(it, ONE, "old", "one") == "one"
            await it.join(FOUR)
            status = await it.nodes[TWO].members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            assert status.addresses.keys() == {ONE, TWO, FOUR}
            await it.crash(ONE)
            assert await read(it, FOUR, "old") == "one"
            assert await decided(it, FOUR, "old", "four") == "one"
            assert await decided(it, FOUR, "new", "four") == "four"
            assert await read(it, TWO, "new") == "four"
            assert await read(it, TWO, "nothing") is None

    runs(run())


def test_all_are_replaced_while_programs_decide() -> None:
    """One value for each name on every server, and no error but an unknown outcome."""

    async def run() -> None:
        async with servers() as it:
            chosen: dict[str, set[str]] = {}
            is_over = asyncio.Event()

            async def load(number: int) -> None:
                count = 0
                while not is_over.is_set():
                    count += 1
                    await asyncio.sleep(0.001)  # What is known to be chosen is answered at once.
                    up = [me for me, node in it.nodes.items() if node.status().stopped is None]
                    me = sorted(up)[number % len(up)]
                    name = f"{count // 2 % 50}"
                    with suppress(OutcomeUnknown, ServerStopped):
                        value = await decided(it, me, name, f"{number} {count}")
                        chosen.setdefault(name, set()).add(value)

            loads = [asyncio.ensure_future(load(number)) for number in range(3)]
            for old, new in (ONE, FOUR), (TWO, FIVE), (THREE, SIX):
                await it.submit(old)
                await it.join(new)
                asked = it.nodes[THREE if old != THREE else FOUR]
                await asked.members.replace(old, new, at(new), timeout_s=LONG_S)
                await it.nodes[old].stopped()
            is_over.set()
            await asyncio.gather(*loads)
            assert len(chosen) > 3
            for name, values in chosen.items():
                assert len(values) == 1
                assert {await read(it, me, name) for me in (FOUR, FIVE, SIX)} == values

    runs(run())


def test_a_proposal_that_waits_goes_on_in_the_next_epoch() -> None:
    """A newcomer may be asked before it is a member: it answers once it is one."""

    async def run() -> None:
        async with servers() as it:
            await decided(it, ONE, "old", "one")
            await it.join(FOUR)
            early = asyncio.ensure_future(decided(it, FOUR, "new", "four"))
            late = asyncio.ensure_future(read(it, FOUR, "old"))
            await asyncio.sleep(0)
            await it.nodes[TWO].members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            assert await asyncio.wait_for(early, LONG_S) == "four"
            assert await asyncio.wait_for(late, LONG_S) == "one"
            assert it.nodes[FOUR].status().unresolved == 0

    runs(run())


def test_a_newcomer_that_is_no_member_yet_has_no_answer() -> None:
    async def run() -> None:
        async with servers() as it:
            await it.join(FOUR)
            with pytest.raises(OutcomeUnknown):
                await it.nodes[FOUR].propose("name", "four", timeout_s=0.05)
            with pytest.raises(NoAnswer):
                await it.nodes[FOUR].read("name", timeout_s=0.05)
            assert await decided(it, ONE, "name", "one") == "one"

    runs(run())


async def added_while_down(it: Servers, me: ServerId) -> None:
    """Server 4 is added while ``me``, which has said which logs it has, is down."""
    await it.nodes[ONE].members.move(ONE, at(1), timeout_s=LONG_S)
    while it.nodes[ONE].members.status().absent:
        await asyncio.sleep(0.001)
    await it.crash(me)
    await it.join(FOUR)
    await it.nodes[ONE].members.add(FOUR, at(4), timeout_s=LONG_S)


def test_one_that_was_down_adopts_when_it_is_back() -> None:
    async def run() -> None:
        async with servers() as it:
            await decided(it, ONE, "old", "one")
            await added_while_down(it, TWO)
            await it.nodes[ONE].members.remove(FOUR, timeout_s=LONG_S)
            await it.start(TWO)
            assert await read(it, TWO, "old") == "one"
            assert it.nodes[TWO].file.epoch.number == 2
            await it.crash(ONE)
            assert await decided(it, TWO, "new", "two") == "two"
            assert await read(it, THREE, "old") == "one"

    runs(run())


def test_a_newcomer_that_is_lost_and_removed_holds_no_decision_up() -> None:
    async def run() -> None:
        async with servers() as it:
            await decided(it, ONE, "old", "one")
            it.network.join(FOUR)
            members = it.nodes[ONE].members
            task = asyncio.ensure_future(members.replace(THREE, FOUR, at(4)))
            while not members.status().is_changing:
                await asyncio.sleep(0.001)
            assert await decided(it, TWO, "between", "two") == "two"
            await members.remove(FOUR, timeout_s=LONG_S)
            await asyncio.wait_for(task, LONG_S)
            assert await read(it, TWO, "old") == "one"
            assert await read(it, ONE, "between") == "two"
            assert await decided(it, ONE, "new", "one") == "one"

    runs(run())


def test_what_is_settled_is_kept_until_all_have_adopted_it() -> None:
    async def run() -> None:
        async with servers() as it:
            await decided(it, ONE, "old", "one")
            await added_while_down(it, TWO)
            assert it.nodes[ONE].members.status().adopting == {TWO}
            await it.start(TWO)
            while it.nodes[ONE].members.status().adopting:
                await asyncio.sleep(0.001)
            assert await read(it, TWO, "old") == "one"

    runs(run())


def test_many_names_and_large_values_come_along() -> None:
    async def run() -> None:
        async with servers() as it:
            large = {f"large {size}": "\0" * size for size in (9_000, 30_000, 60_000)}
            small = {f"small {number}": f"{number}" for number in range(250)}
            for name, value in {**large, **small}.items():
                await decided(it, ONE, name, value)
            await it.join(FOUR)
            await it.nodes[TWO].members.replace(ONE, FOUR, at(4), timeout_s=LONG_S)
            await it.crash(TWO)
            held = it.nodes[FOUR].file
            assert len(held.decisions()) == 253
            await it.start(TWO)
            for name, value in large.items():
                assert await read(it, FOUR, name) == value

    runs(run())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [Close, Reporting, Adopt, Tell])
def test_a_server_crashes_at_any_step(
    kind: type[Step], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the same step again, or the next one."""
    take = epochs.take

    async def run() -> None:
        async with servers() as it:
            await decided(it, TWO, "old", "two")
            crashed = asyncio.Event()

            async def crash() -> None:
                crashed.set()
                it.network.crash(ONE)
                await asyncio.Event().wait()

            async def crashing(host: EpochsHost, log: MembersLog, step: Step) -> None:
                is_due = host.me == ONE and type(step) is kind and not crashed.is_set()
                if is_due and when == "before":
                    await crash()
                await take(host, log, step)
                if is_due:
                    await crash()

            monkeypatch.setattr(epochs, "take", crashing)
            await it.join(FOUR)
            change = asyncio.ensure_future(
                it.nodes[TWO].members.replace(THREE, FOUR, at(4), timeout_s=LONG_S)
            )
            await asyncio.wait_for(crashed.wait(), LONG_S)
            await it.nodes.pop(ONE).close()
            it.counters.pop(ONE, None)
            await it.start(ONE)
            await change
            assert await read(it, ONE, "old") == "two"
            assert await decided(it, ONE, "new", "one") == "one"
            await it.crash(TWO)
            assert await read(it, FOUR, "old") == "two"
            assert await read(it, FOUR, "new") == "one"

    runs(run())
