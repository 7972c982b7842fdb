"""Leases on nodes that are processes: the leader is stopped for longer than its lease.

- It is cut off, and stopped by SIGSTOP. The others elect a leader and write. Then it goes on, still
  cut off: all it can go by is its clock.
- A process that looks at its clock now and then, and not with each read, answers an old value.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.faults import Faults
from tests.support.free_ports import free_addresses
from tests.support.node_process import Answer, Flaw, Remote, Setup, create
from tests.support.tortured_machine import COMMANDS, Add

pytestmark = pytest.mark.slow

KEYS = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NODES = 1, 2, 3
LEASE_S = 1.0
LIMIT_S = 120.0
CUT_OFF = Faults(lost=1.0, is_deaf=True)


@asynccontextmanager
async def servers(folder: Path, flaw: Flaw) -> AsyncGenerator[list[Remote], None]:
    """Three nodes with leases, and a flaw."""
    paths, addresses = create(folder, NODES), free_addresses(len(NODES))
    started: list[Remote] = []
    try:
        for me in NODES:
            setup = Setup(
                me,
                str(paths[me]),
                {int(it): at for it, at in addresses.items()},
                KEYS,
                has_log=True,
                faults=Faults(),
                lease_s=LEASE_S,
                flaw=flaw,
            )
            started.append(await Remote.start(setup, folder / f"n{me}.log"))
        yield started
    finally:
        for node in started:
            node.resume()
            await node.kill()


async def add(node: Remote, amount: int) -> str | None:
    command = COMMANDS.encode(Add("k", amount)).decode()
    return (await node.ask("submit", value=command, timeout_s=60)).value


async def get(node: Remote, timeout_s: float = 60) -> Answer:
    return await node.ask("get", "k", timeout_s=timeout_s)


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    while not await what():
        await asyncio.sleep(0.05)


async def leads_under_a_lease(node: Remote) -> bool:
    await get(node)
    return (await node.ask("lease")).value == "held"


async def read_by_a_leader_that_was_stopped(folder: Path, flaw: Flaw = "") -> Answer:
    """What it answers once others have written. When it is heard again, it knows."""
    async with servers(folder, flaw) as (stopped, other, _):
        assert await add(stopped, 1) == "1"
        await stopped.ask("lead")
        await until(lambda: leads_under_a_lease(stopped))
        await stopped.suffer(CUT_OFF)
        stopped.pause()
        assert await add(other, 1) == "2"  # The others have waited until its lease was over.
        stopped.resume()
        found = await get(stopped, timeout_s=1)
        await stopped.suffer(Faults())
        if not flaw:
            assert (await get(stopped)).value == "2"
    return found


def run(folder: Path, flaw: Flaw = "") -> Answer:
    reading = read_by_a_leader_that_was_stopped(folder, flaw)
    return asyncio.run(asyncio.wait_for(reading, LIMIT_S))


def test_a_leader_that_was_stopped_for_longer_than_its_lease_reads_nothing_old(
    tmp_path: Path,
) -> None:
    found = run(tmp_path)

    assert found.value is None, found
    assert found.unknown


def test_one_that_looks_at_its_clock_now_and_then_reads_what_is_old(tmp_path: Path) -> None:
    """So the test before can fail."""
    assert run(tmp_path, "reads the clock now and then").value == "1"
