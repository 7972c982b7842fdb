"""A replicated log tortured on five nodes, and judged by what its clients were told.

- Each node is a process with a file and a key. Clients on every node add to totals, swap them and
  read them, with snapshots on.
- Beside them nodes are killed, stand still, and are cut off, as in ``cluster_torture``. Disks are
  slow, or full: then the node stops, and is started again once there is space. The network is bad
  all the time: that of ``lossy_network``, or on the loopback that of ``faults``.
- Then faults stop. Every node must apply all, and answer the same.
- The history must be linearizable, key by key: ``paxos_testing.linearizable``, which knows nothing
  of Paxos. A command without an answer may have been run, or not, at any time.
- Every command that was answered is there once, on every node; one without an answer, at most once.
- A run in which a kind of fault did not take place has failed, too.

Any fault that is found is raised, Broken. The seed repeats what is asked and done, not the moment
at which it happens.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TypeAlias

import msgspec
from attrs import evolve

from paxos_testing.history import Operation
from paxos_testing.linearizable import check
from tests.support.faults import Faults
from tests.support.node_process import Answer, Gone, Remote, Setup
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
from tests.tools.torture import memory

KEYS, ASKED = 20, 1_000
"""Few keys are asked for often, so that what each client does depends on the others. After so many
questions it is others: the keys in use have few commands without an answer."""

COUNTED = 20
"""After so many questions the nodes are asked what they have suffered."""

MORE = 10
"""At most so many times as many questions are asked as are planned."""

BAD_NETWORK = Faults(lost=0.03, twice=0.03, delay_s=(0.0, 0.01))
"""Where no lossy network can be had."""

SLOW_SAVE_S = 0.05, 0.5
SNAPSHOT_BYTES = 1_500
"""Small, so that the fewest commands that a run can have lead to snapshots."""

ROOM_BYTES = 20_000
"""What a disk has left, at most, when it is about to be full."""

KINDS = "kills", "restarts", "pauses", "slow saves", "full disks"
OF_NETWORKS = "lost", "duplicated", "delayed", "reordered"
OF_LOGS = "slots in snapshots"
BY_LEASE = "reads under a lease"
"""What is counted. More is asked until all that is wanted of it has happened."""

KILLS_A_ROUND = 250
"""How many kills a cluster has, if there are to be many: then another one, with another seed."""


class Asked(msgspec.Struct, frozen=True):
    """A question and its answer, as the log of the clients has it. None: no answer came."""

    client: int
    node: int
    key: str
    asked: str
    called_ns: int
    returned_ns: int | None
    answer: int | None


class LogCluster(Cluster):
    """Nodes that run a log, and can be made to suffer."""

    def __init__(self, folder: Path, network: Network, plan: Plan) -> None:
        super().__init__(folder, network, plan.flaw)
        self._seeds = count(plan.seed * len(NODES))
        self._lease_s = plan.lease_s

    @property
    def faults(self) -> Faults:
        """What a node suffers all the time."""
        calm = Faults() if self._network.is_lossy else BAD_NETWORK
        return msgspec.structs.replace(calm, seed=next(self._seeds))

    def setup(self, me: int) -> Setup:
        """See ``Cluster``."""
        return msgspec.structs.replace(
            super().setup(me),
            has_log=True,
            snapshot_bytes=SNAPSHOT_BYTES,
            faults=self.faults,
            is_forked=not self._network.is_lossy,
            lease_s=self._lease_s,
        )

    def blames(self, me: int, what: str) -> None:
        """The log of a node that has stopped says why, and is begun anew. Raises Broken."""
        said = self.log(me).read_text(encoding="utf-8")
        if what not in said:
            raise Broken(f"node {me} does not say {what!r}: {said[-600:]}")
        self.log(me).write_text("", encoding="utf-8")


class LogRun(Run):
    """One torture of a log. ``history``: what its clients were told.

    ``wanted`` must happen so often, or nothing was shown; ``unwanted`` must not.
    """

    wanted: Mapping[str, int] = dict.fromkeys((*KINDS, *OF_NETWORKS, OF_LOGS), 1)
    unwanted: Sequence[str] = ("not answered in the calm", "out of time")

    def __init__(self, plan: Plan, network: Network, cluster: LogCluster, log: IO[bytes]) -> None:
        super().__init__(plan, network, cluster, log)
        self.nodes = cluster
        self.history: list[Asked] = []
        self.found: dict[int, dict[str, list[int]]] = {}
        """The numbers of the commands that each node has run, in the end, for each key."""
        self._spared = set[int]()
        self._numbers = count(1)

    # --- clients --------------------------------------------------------------------------------

    async def clients(self) -> None:
        """So many clients, each with one question at a time, until all are asked."""
        left = self._questions()

        async def client(me: int) -> None:
            for number in left:
                await self._one(me, f"key {number // ASKED}.{self._chance.randrange(KEYS)}")
                self.seen["questions"] += 1
                if number % COUNTED == 0:
                    await self._count()

        await asyncio.gather(*(client(me) for me in range(self._plan.in_flight)))
        self.asked.set()

    async def _count(self) -> None:
        """Count what nodes have suffered: one that is killed cannot say it any more."""
        for node in [*self._cluster.up.values()]:
            with suppress(Gone):
                self.seen.update(await node.suffer())
                self._floor((await node.standing()).floor)

    def _floor(self, floor: int) -> None:
        self.seen[OF_LOGS] = max(self.seen[OF_LOGS], floor - 1)

    def _questions(self) -> Iterator[int]:
        """As many as are planned, and more until all kinds were seen: a slow machine does less."""
        for number in range(self._plan.names * MORE):
            if number >= self._plan.names and self._is_enough():
                return
            yield number

    def _is_enough(self) -> bool:
        # A lossy network says only in the end what it has done.
        later = OF_NETWORKS if self._network.is_lossy else ()
        missing = too_few(self) - {*later}
        return self.seen["kills"] >= self._plan.kills and not missing

    async def _one(self, me: int, key: str) -> None:
        kind = self._chance.randrange(4)
        if kind < 2:
            await self.put(me, Add(key, self._chance.choice((1, 3, 10)), next(self._numbers)))
        elif kind == 2:
            await self.put(me, Get(key))
        elif (total := await self.put(me, Get(key))) is not None:
            after = self._chance.randrange(100)
            await self.put(me, Swap(key, total, after, next(self._numbers)))

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
                if found.has_lease and isinstance(asked, Get):
                    self.seen[BY_LEASE] += 1
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

    # --- faults ---------------------------------------------------------------------------------

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """See ``Run``."""
        return {**super().kinds(), "full disks": self._fill, "slow saves": self._slow}

    def _victim(self) -> list[int]:
        """No node whose disk is slow, or about to be full: it is to suffer that."""
        return [it for it in super()._victim() if it not in self._spared]

    async def _fill(self) -> None:
        """Let the disk of a node have little room, until it is full and the node has stopped."""
        for me in self._victim():
            room_bytes = self._chance.randrange(ROOM_BYTES)
            faults = msgspec.structs.replace(self.nodes.faults, room_bytes=room_bytes)
            self._later(self._filled(me, self._cluster.up[me], faults))

    async def _filled(self, me: int, node: Remote, faults: Faults) -> None:
        self._spared.add(me)
        with suppress(Gone):  # All were killed before.
            await node.suffer(faults)
            while not (await node.standing()).stopped:
                if self.asked.is_set():  # Nothing is saved any more.
                    await node.suffer(self.nodes.faults)
                    break
                await asyncio.sleep(0.02)
        self._spared.remove(me)
        if not self.asked.is_set() and self._cluster.up.get(me) is node:
            del self._cluster.up[me]
            await node.close()
            self.nodes.blames(me, "SaveFailed")
            self.seen["full disks"] += 1
            await self._return(me, 0.0)

    async def _slow(self) -> None:
        """Let each save of a node take long for a while."""
        for me in self._victim():
            faults = msgspec.structs.replace(self.nodes.faults, save_s=SLOW_SAVE_S)
            for_s = self._chance.choice((0.5, 2.0, 4.0))
            self._later(self._slowed(me, self._cluster.up[me], faults, for_s))

    async def _slowed(self, me: int, node: Remote, faults: Faults, for_s: float) -> None:
        self._spared.add(me)
        with suppress(Gone):
            await node.suffer(faults)
            await asyncio.sleep(for_s)
            self.seen.update(await node.suffer(self.nodes.faults))
        self._spared.remove(me)

    # --- calm -----------------------------------------------------------------------------------

    async def calm(self) -> float:
        """Stop all faults, and have each node say what each key has; when that was begun."""
        self.seen.update(await self._network.order(conditions=CALM, cuts=()))
        await asyncio.gather(*self._returning)
        for node in self._cluster.up.values():
            self.seen.update(await node.suffer(Faults()))
        calm_s = time.monotonic()
        try:
            async with asyncio.timeout(self._plan.calm_s):
                for key in self._keys():
                    members = self._cluster.members
                    asking = (self.put(1_000 + it, Get(key), it, SETTLE_S) for it in members)
                    answers = await asyncio.gather(*asking)
                    if None in answers:
                        self.seen["not answered in the calm"] += 1
                await self._all_applied()
        except TimeoutError:
            self.seen["out of time"] += 1
        return calm_s

    def _keys(self) -> list[str]:
        return sorted({it.key for it in self.history})

    async def _all_applied(self) -> None:
        """Wait until each node has applied as much as the others; what each of them has run."""
        while True:
            standings = [await it.standing() for it in self._cluster.up.values()]
            if len({it.applied for it in standings}) == 1 and not any(
                it.pending for it in standings
            ):
                break
            await asyncio.sleep(0.02)
        self.seen["slots"] = standings[0].applied - 1
        self._floor(max(it.floor for it in standings))
        for me, node in self._cluster.up.items():
            said = {key: await node.ask("numbers", key) for key in self._keys()}
            numbers = {key: msgspec.json.decode(it.value or "[]") for key, it in said.items()}
            self.found[me] = numbers


# --- what is wrong ------------------------------------------------------------------------------


def faults_of(run: LogRun) -> list[str]:
    """What is wrong with what the clients were told, and with the end."""
    operations = [
        Operation(it.client, it.key, it.called_ns, it.returned_ns, _input(it), it.answer)
        for it in run.history
    ]
    violation = check(operations, apply_to_key, 0)
    wrong = [] if violation is None else [str(violation)]
    wrong += [f"{what}: {run.seen[what]}" for what in run.unwanted if run.seen[what]]
    wrong += [*_not_once(run)]
    return wrong + [f"there were too few {what}" for what in sorted(too_few(run))]


def too_few(run: LogRun) -> set[str]:
    """What is wanted, and has not happened often enough."""
    return {what for what, times in run.wanted.items() if run.seen[what] < times}


def _input(it: Asked) -> Input:
    """What was asked, without its number: of equal ones it is open which was run."""
    asked = INPUTS.decode(it.asked.encode())
    return asked if isinstance(asked, Get) else evolve(asked, number=0)


def _not_once(run: LogRun) -> Iterator[str]:
    """The commands that a node has not run as often as it should have."""
    commands = [(it, INPUTS.decode(it.asked.encode())) for it in run.history]
    answered = {
        asked.number: it.key
        for it, asked in commands
        if not isinstance(asked, Get) and it.returned_ns is not None
    }
    for node, keys in run.found.items():
        times = Counter(number for numbers in keys.values() for number in numbers)
        run.seen["commands found once"] += sum(it == 1 for it in times.values())
        for number in answered.keys() - times.keys():
            yield f"command {number} on {answered[number]!r} was answered, and node {node} lacks it"
        for number, found in times.items():
            if found > 1:
                yield f"node {node} has run command {number} {found} times"


# --- the program --------------------------------------------------------------------------------


Begin: TypeAlias = Callable[[Plan, Network, Path, IO[bytes]], LogRun]
"""Makes a run in a folder, with the log of its clients."""


def begin(plan: Plan, network: Network, folder: Path, log: IO[bytes]) -> LogRun:
    """A run whose nodes stay the same."""
    return LogRun(plan, network, LogCluster(folder, network, plan), log)


async def torture(
    plan: Plan,
    folder: Path,
    *,
    is_lossy: bool,
    begin: Begin = begin,
    nodes: Sequence[int] = NODES,
) -> Counter[str]:
    """Torture a log on ``nodes`` as ``plan`` says; what happened. Raises Broken."""
    path = folder / "clients.jsonl"
    async with network(is_lossy, plan.seed, nodes) as net:
        with path.open("wb") as log:
            run = begin(plan, net, folder, log)
            cluster = run.nodes
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


def plans(form: str, seed: int) -> Iterator[tuple[str, bool, Plan]]:
    """Where the clusters of a form run, whether the network there is lossy, and what is planned."""
    if form == "kills":
        return
    names = 600 if form == "short" else 20_000
    missing = lossy_network.why_not()
    if missing is None:
        yield "on a lossy network", True, Plan(names, seed, (0.1, 0.8), in_flight=25)
    else:
        print(f"lossy network: left out, since {missing}")
    yield "on the loopback", False, Plan(names, seed, (0.1, 0.8), in_flight=25)


def quick_kills(kills: int, seed: int) -> Plan:
    """A node is killed whenever two are not down, and started again at once."""
    return Plan(
        4 * kills,
        seed,
        faults_s=(0.0, 0.1),
        in_flight=10,
        ask_s=2.0,
        everybody=0.002,
        kills=kills,
        kill_weight=200,
        down_s=(0.0, 0.2),
    )


def tortured(
    plan: Plan,
    where: str,
    total: Counter[str],
    *,
    is_lossy: bool,
    begin: Begin = begin,
    nodes: Sequence[int] = NODES,
) -> None:
    """Torture one cluster, say what happened, and add it to ``total``. Raises Broken."""
    started_s = time.perf_counter()
    folder = None if is_lossy else memory()  # A kill loses nothing that was not synced.
    with TemporaryDirectory(prefix="paxos-torture-", dir=folder) as it:
        run = torture(plan, Path(it), is_lossy=is_lossy, begin=begin, nodes=nodes)
        seen = asyncio.run(run)
    took_s = time.perf_counter() - started_s
    print(f"log {where}: {took_s:.0f} s, {counts(seen)}; faults found: 0", flush=True)
    total.update(seen)


def main(words: Sequence[str]) -> int:
    """Torture one cluster after the other: 0, 1 if a promise was broken, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.log_torture")
    parser.add_argument("form", nargs="?", choices=["long", "short", "kills"], default="long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kills", type=int, help="how many quick kills there are in the end")
    asked = parser.parse_args(words)
    kills = asked.kills or (50 if asked.form == "short" else 10_000)
    print(f"seed {asked.seed}; again: {parser.prog} {asked.form} --seed {asked.seed}", flush=True)

    def clusters(total: Counter[str]) -> None:
        for where, is_lossy, plan in plans(asked.form, asked.seed):
            tortured(plan, where, total, is_lossy=is_lossy)
        before = total["kills"]
        for seed in count(asked.seed):
            done = total["kills"] - before
            if done >= kills:
                break
            plan = quick_kills(min(KILLS_A_ROUND, kills - done), seed)
            where = f"with quick kills, {done:,} before, seed {seed}"
            tortured(plan, where, total, is_lossy=False)

    return judged(clusters)


def judged(clusters: Callable[[Counter[str]], None]) -> int:
    """Torture clusters, which are counted together: 0, 1 or 130, as ``main``."""
    total = Counter[str]()
    begun_s = time.perf_counter()
    try:
        clusters(total)
    except Broken as broken:
        print(f"BROKEN: {broken}", flush=True)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; clusters before: {counts(total)}; faults found: 0")
        return 130
    took_s = time.perf_counter() - begun_s
    print(f"all: {took_s:.0f} s, {counts(total)}; faults found: 0", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
