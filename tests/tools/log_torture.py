"""A replicated log tortured on five nodes, and judged by what its clients were told.

- Each node is a process with a file and a key. Clients on every node add to totals, swap them and
  read them, with snapshots on.
- In the meantime nodes are killed, stand still, and are cut off, as in ``cluster_torture``.
- Then faults stop. Every node must apply all, and answer the same.
- The history must be linearizable, key by key: ``paxos_testing.linearizable``, which knows nothing
  of Paxos. A command without an answer may have been run, or not, at any time.

Any fault that is found is raised, Broken. The seed repeats what is asked and done, not the moment
at which it happens.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import msgspec

from paxos_testing.history import Operation
from paxos_testing.linearizable import check
from tests.support.node_process import Answer, Gone, Remote
from tests.support.tortured_machine import COMMANDS, INPUTS, Add, Get, Input, Swap, apply_to_key
from tests.tools import lossy_network
from tests.tools.cluster_torture import (
    KEPT,
    NODES,
    SETTLE_S,
    Broken,
    Cluster,
    Plan,
    Run,
    counts,
    live,
    network,
)
from tests.tools.lossy_network import CALM, Network

KEYS = 20
"""Few keys are asked for often: so that what each client does depends on the others."""


class Asked(msgspec.Struct, frozen=True):
    """A question and its answer, as the log of the clients has it. None: no answer came."""

    client: int
    node: int
    key: str
    asked: str
    called_ns: int
    returned_ns: int | None
    answer: int | None


class LogRun(Run):
    """One torture of a log. ``history``: what its clients were told."""

    def __init__(self, plan: Plan, network: Network, cluster: Cluster, log: IO[bytes]) -> None:
        super().__init__(plan, network, cluster, log)
        self.history: list[Asked] = []

    async def clients(self) -> None:
        """So many clients, each with one question at a time, until all are asked."""
        left = iter(range(self._plan.names))

        async def client(me: int) -> None:
            for _ in left:
                await self._one(me)
                self.seen["questions"] += 1

        await asyncio.gather(*(client(me) for me in range(self._plan.in_flight)))
        self.asked.set()

    async def _one(self, me: int) -> None:
        key = f"key {self._chance.randrange(KEYS)}"
        kind = self._chance.randrange(4)
        if kind < 2:
            await self.put(me, Add(key, self._chance.choice((1, 3, 10))))
        elif kind == 2:
            await self.put(me, Get(key))
        elif (total := await self.put(me, Get(key))) is not None:
            await self.put(me, Swap(key, total, self._chance.randrange(100)))

    async def put(
        self, client: int, asked: Input, node: int | None = None, timeout_s: float | None = None
    ) -> int | None:
        """Ask a node, whichever is up, and write down what it says; the answer, if there is one."""
        while not self._cluster.up:
            await asyncio.sleep(0.01)
        node = self._chance.choice(sorted(self._cluster.up)) if node is None else node
        timeout_s = self._plan.ask_s if timeout_s is None else timeout_s
        called_ns, answer, returned_ns = time.monotonic_ns(), None, None
        try:
            found = await self._answer(self._cluster.up[node], asked, timeout_s)
            if found.value is None:
                self.seen["unknown: too late"] += 1
            else:
                answer, returned_ns = int(found.value), time.monotonic_ns()
                self.seen[f"answers to {type(asked).__name__}"] += 1
        except (Gone, KeyError):
            self.seen["unknown: killed"] += 1
        entry = Asked(
            client, node, asked.key, INPUTS.encode(asked).decode(), called_ns, returned_ns, answer
        )
        self.history.append(entry)
        self._log.write(msgspec.json.encode(entry) + b"\n")
        return answer

    @staticmethod
    async def _answer(node: Remote, asked: Input, timeout_s: float) -> Answer:
        if isinstance(asked, Get):
            return await node.ask("get", asked.key, timeout_s=timeout_s)
        words = COMMANDS.encode(asked).decode()
        return await node.ask("submit", asked.key, words, timeout_s=timeout_s)

    async def calm(self) -> float:
        """Stop all faults, and have each node say what each key has; when that was begun."""
        self.seen.update(await self._network.order(conditions=CALM, cuts=()))
        await asyncio.gather(*self._returning)
        calm_s = time.monotonic()
        try:
            async with asyncio.timeout(self._plan.calm_s):
                for number in range(KEYS):
                    for node in NODES:
                        key = f"key {number}"
                        if await self.put(1_000, Get(key), node, SETTLE_S) is None:
                            self.seen["not answered in the calm"] += 1
                await self._all_applied()
        except TimeoutError:
            self.seen["out of time"] += 1
        return calm_s

    async def _all_applied(self) -> None:
        """Wait until each node has applied as much as the others, and none has more to do."""
        while True:
            standings = [await it.standing() for it in self._cluster.up.values()]
            if len({it.applied for it in standings}) == 1 and not any(
                it.pending for it in standings
            ):
                self.seen["slots"] = standings[0].applied - 1
                self.seen["slots in snapshots"] = max(it.floor for it in standings) - 1
                return
            await asyncio.sleep(0.02)


def faults_of(run: LogRun) -> list[str]:
    """What is wrong with what the clients were told, and with the end."""
    operations = [
        Operation(it.client, it.key, it.called_ns, it.returned_ns, _input(it), it.answer)
        for it in run.history
    ]
    violation = check(operations, apply_to_key, 0)
    wrong = [] if violation is None else [str(violation)]
    late = "not answered in the calm", "out of time"
    return wrong + [f"{what}: {run.seen[what]}" for what in late if run.seen[what]]


def _input(it: Asked) -> Input:
    return INPUTS.decode(it.asked.encode())


async def torture(plan: Plan, folder: Path, *, is_lossy: bool) -> Counter[str]:
    """Torture a log on five nodes as ``plan`` says; what happened. Raises Broken."""
    path = folder / "clients.jsonl"
    async with network(is_lossy, plan.seed) as net:
        cluster = Cluster(folder, net, plan.flaw, has_log=True)
        with path.open("wb") as log:
            run = LogRun(plan, net, cluster, log)
            try:
                await live(run, cluster)
                wrong = await cluster.stop()
            except asyncio.CancelledError:
                print(f"interrupted; so far: {counts(run.seen)}", flush=True)
                raise
            finally:
                await run.over()
                for me in [*cluster.up]:
                    await cluster.kill(me)
    wrong += faults_of(run)
    if wrong:
        KEPT.parent.mkdir(exist_ok=True)
        shutil.copy(path, KEPT)
        shown = "\n".join(wrong[:5])
        raise Broken(f"seed {plan.seed}; the log is {KEPT}\n{shown}\n{counts(run.seen)}")
    return run.seen


def main(words: Sequence[str]) -> int:
    """Torture a log on a lossy network and on the loopback, for minutes; or ``short``.

    A seed may be given too.
    """
    short = "short" in words
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else random.SystemRandom().randrange(1 << 32)
    plan = Plan(2_000 if short else 100_000, seed, in_flight=25)
    print(f"seed {seed}; again: python -m tests.tools.log_torture {seed}", flush=True)
    missing = lossy_network.why_not()
    if missing is not None:
        print(f"lossy network: left out, since {missing}")
    for is_lossy in [True, False] if missing is None else [False]:
        where = "on a lossy network" if is_lossy else "on the loopback"
        started = time.perf_counter()
        with TemporaryDirectory(prefix="paxos-torture-") as folder, suppress(KeyboardInterrupt):
            try:
                seen = asyncio.run(torture(plan, Path(folder), is_lossy=is_lossy))
            except Broken as broken:
                print(f"BROKEN, {where}: {broken}", flush=True)
                return 1
            took_s = time.perf_counter() - started
            print(f"log {where}: {took_s:.0f} s, {counts(seen)}; faults found: 0", flush=True)
            continue
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
