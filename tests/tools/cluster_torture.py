"""Five nodes tortured, and judged by what their clients were told: part of ``make torture``.

- Each node is a process with a file and a key. Clients ask all of them for the same names at the
  same time: rival proposals, reads and watches.
- Meanwhile nodes are killed with SIGKILL and started again, alone or all at once, or stand still
  for a while and go on as if nothing had happened. On a lossy network (lossy_network.py), packets
  are lost, delayed, duplicated and reordered, and links are cut, also in one direction only.
- Then faults stop, and each name must be decided at each node. ``checker`` judges the clients' log
  and the files.

Any fault that is found is raised, Broken. The seed repeats what is asked and done, not the moment
at which it happens.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import asyncio
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

import msgspec
from attrs import frozen

from tests.support.node_process import Flaw, Gone, Remote, Setup, create
from tests.support.spawning import ROOT
from tests.tools import checker, lossy_network
from tests.tools.checker import Entry
from tests.tools.lossy_network import CALM, Link, Loopback, Network, Skies

KEPT = ROOT / "build" / "torture.jsonl"
NODES = 1, 2, 3, 4, 5
SETTLE_S = 20.0
REPORT_S = 5.0
CLIENTS, QUESTIONS = 3, 3
"""How many ask for each name, and how often each of them."""

SAID_CHARS = 6_000
"""How much is shown of what a node says that did not start: where each thread of it was."""

IDLE = 100
"""How many names stay in the memory of a node: all others are loaded again and again."""

LARGE, LARGE_BYTES = 20, 4_000
"""Every so manieth name has values of so many bytes, which take several datagrams."""


@frozen
class Plan:
    """How long, and how hard. ``faults_s``: the range in which the next fault comes.

    ``in_flight``: how many names are asked for at a time, ``ask_s``: how long a client waits.
    ``everybody``: the share of kills that take all nodes at once. ``kills``: how many there are at
    least, ``kill_weight``: how many of them to one fault of another kind, ``down_s``: how long a
    node that was killed is down. ``calm_s``: how long it may take until all is decided once faults
    have stopped. ``lease_s``: for how long the leader of a log reads alone, 0: it does not.
    """

    names: int
    seed: int
    faults_s: tuple[float, float] = (0.1, 1.2)
    in_flight: int = 40
    ask_s: float = 4.0
    everybody: float = 0.05
    kills: int = 2
    kill_weight: int = 2
    down_s: tuple[float, float] = (0.0, 1.5)
    calm_s: float = 120.0
    lease_s: float = 0.0
    flaw: Flaw = ""


class Broken(AssertionError):
    """A promise was broken. Says which, and where the clients' log is."""


class Cluster:
    """The nodes, some of which are up."""

    def __init__(self, folder: Path, network: Network, flaw: Flaw) -> None:
        self.paths = dict(create(folder, NODES))
        self.members = [*NODES]
        self.up: dict[int, Remote] = {}
        self._folder = folder
        self._network = network
        self._flaw: Flaw = flaw
        self.keys = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

    def setup(self, me: int) -> Setup:
        """What a node is started with."""
        path, addresses = str(self.paths[me]), self._network.addresses
        return Setup(me, path, addresses, self.keys, idle=IDLE, flaw=self._flaw)

    async def start(self, me: int) -> None:
        """Start a node that is down. Raises Broken if it does not."""
        wrapper = self._network.wrapper(me)
        try:
            self.up[me] = await Remote.start(self.setup(me), self.log(me), wrapper)
        except Gone:
            said = self.log(me).read_text(encoding="utf-8")[-SAID_CHARS:]
            raise Broken(f"node {me} did not start: {said}") from None

    async def kill(self, me: int) -> None:
        """Kill a node, unless it is down already."""
        if (node := self.up.pop(me, None)) is not None:
            await node.kill()

    async def stop(self) -> list[str]:
        """Let all end; what is wrong with how they did."""
        wrong = list[str]()
        for me, node in [*self.up.items()]:
            with suppress(Gone):
                asked = (await node.standing()).asked
                wrong += [f"node {me} still works at {asked:,} names"] if asked else []
            code = await node.close()
            del self.up[me]
            wrong += [f"node {me} ended with {code}"] if code else []
        for me in self.paths:
            said = self.log(me).read_text(encoding="utf-8")
            found = re.search("(Traceback|CRITICAL).*", said, re.DOTALL)
            wrong += [f"node {me} complains: {found[0][:600]}"] if found else []
        return wrong

    def log(self, me: int) -> Path:
        """Where a node complains."""
        return self._folder / f"n{me}.log"


class Run:
    """One torture: clients, faults, and the calm after it.

    ``wanted``: how often something is to happen.
    """

    wanted: Mapping[str, int] = {}

    def __init__(self, plan: Plan, network: Network, cluster: Cluster, log: IO[bytes]) -> None:
        self.seen: Counter[str] = Counter()
        self.asked = asyncio.Event()
        """Set once clients have asked for everything."""
        self._plan = plan
        self._network = network
        self._cluster = cluster
        self._log = log
        self._chance = random.Random(plan.seed)
        self._returning = set[asyncio.Task[None]]()

    # --- clients --------------------------------------------------------------------------------

    async def clients(self) -> None:
        """Ask for all names, so many at a time."""
        room = asyncio.Semaphore(self._plan.in_flight)

        async def one(number: int) -> None:
            async with room:
                await asyncio.gather(*(self._client(number, it) for it in range(CLIENTS)))
                await self.ask("read", self._chance.randrange(number + 1))
                self.seen["names"] += 1

        await asyncio.gather(*map(one, range(self._plan.names)))
        self.asked.set()

    async def _client(self, number: int, client: int) -> None:
        """Ask a few times, now here and now there; somebody proposes at once."""
        verbs: list[Literal["propose", "read", "watch"]] = ["propose", "read", "read", "watch"]
        for question in range(QUESTIONS):
            verb = self._chance.choice(verbs) if client or question else "propose"
            value = f"{number} by {client}, {question}"
            await self.ask(verb, number, value + "." * (number % LARGE == 0) * LARGE_BYTES)

    async def ask(
        self,
        verb: Literal["propose", "read", "watch"],
        number: int,
        value: str = "",
        *,
        node: int | None = None,
        timeout_s: float | None = None,
    ) -> str | None:
        """Ask a node, whichever is up, and write down what it says; the value, if it says one."""
        while not self._cluster.up:
            await asyncio.sleep(0.01)
        node = self._chance.choice(sorted(self._cluster.up)) if node is None else node
        said = value if verb == "propose" else ""
        timeout_s = self._plan.ask_s if timeout_s is None else timeout_s
        entry = Entry(node, verb, f"name {number}", said, time.monotonic())
        try:
            answer = await self._cluster.up[node].ask(verb, entry.name, said, timeout_s=timeout_s)
            if answer.unknown:
                self.seen["unknown: too late"] += 1
            else:
                done_s = time.monotonic()
                entry = msgspec.structs.replace(entry, done_s=done_s, told=answer.value)
                self.seen["answers" if answer.value is not None else "answers: nothing yet"] += 1
        except (Gone, KeyError):
            self.seen["unknown: killed"] += 1
        finally:
            self._log.write(msgspec.json.encode(entry) + b"\n")
        return entry.told

    # --- faults ---------------------------------------------------------------------------------

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """The faults that there are, by what they are counted as."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "kills": self._kill,
            "pauses": self._pause,
        }
        if self._network.is_lossy:
            kinds |= {"partitions": self._cut, "repairs": self._heal, "conditions": self._change}
        return kinds

    async def _one_fault(self) -> None:
        """One by chance. What is wanted still comes as often as kills, so that a run has all."""
        kinds, often = self.kinds(), self._plan.kill_weight
        wanted = {it for it in kinds if self.seen[it] < self.wanted.get(it, 1)} | {"kills"}
        weights = [often if it in wanted else 1 for it in kinds]
        (kind,) = self._chance.choices([*kinds.values()], weights)
        await kind()

    async def faults(self) -> None:
        """Kill, cut, change the conditions, and repair, until it is over."""
        if self._network.is_lossy:
            await self._network.order(conditions=lossy_network.LIGHT)
        while not self.asked.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(*self._plan.faults_s)):
                    await self.asked.wait()
                    break
            self._raise_failures()
            await self._one_fault()
        while self.seen["kills"] < self._plan.kills:  # Where clients have been quicker than faults.
            await asyncio.gather(*self._returning)
            await self._kill()

    def _victim(self) -> list[int]:
        """One node that is up, unless as many are in trouble as may be for any to decide."""
        room = len(NODES) // 2 - self._troubled
        return self._chance.sample(sorted(self._cluster.up), 1) if room > 0 else []

    @property
    def _troubled(self) -> int:
        """How many nodes are down, stand still, or suffer otherwise."""
        return sum(not it.done() for it in self._returning)

    async def _kill(self) -> None:
        """Kill a node, or now and then all, and have them come back a little later."""
        everybody = self._chance.random() < self._plan.everybody
        for me in sorted(self._cluster.up) if everybody else self._victim():
            await self._cluster.kill(me)
            self.seen["kills"] += 1
            self._later(self._return(me, self._chance.uniform(*self._plan.down_s)))

    async def _return(self, me: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._cluster.start(me)
        self.seen["restarts"] += 1

    async def _pause(self) -> None:
        """Have a node stand still, also for longer than its peers take to miss it."""
        for me in self._victim():
            node = self._cluster.up[me]
            node.pause()
            self.seen["pauses"] += 1
            self._later(self._resume(node, self._chance.choice((0.2, 1.0, 4.0))))

    async def _resume(self, node: Remote, after_s: float) -> None:
        await asyncio.sleep(after_s)
        node.resume()

    def _later(self, what: Coroutine[object, object, None]) -> None:
        self._returning.add(asyncio.create_task(what))

    def _raise_failures(self) -> None:
        """Raise at once what has ended the course of a fault: a node that did not start."""
        over = {it for it in self._returning if it.done()}
        self._returning -= over
        for it in over:
            it.result()

    async def _cut(self) -> None:
        self.seen["partitions"] += 1
        await self._network.order(cuts=cuts(self._chance, self._cluster.members))

    async def _heal(self) -> None:
        self.seen["repairs"] += 1
        await self._network.order(cuts=())

    async def _change(self) -> None:
        self.seen["conditions"] += 1
        kinds = lossy_network.LIGHT, lossy_network.REORDERING, lossy_network.HEAVY
        await self._network.order(conditions=self._chance.choice(kinds))

    # --- calm -----------------------------------------------------------------------------------

    async def calm(self) -> float:
        """Stop all faults, and have each node decide each name; when that was begun."""
        self.seen.update(await self._network.order(conditions=CALM, cuts=()))
        await asyncio.gather(*self._returning)
        calm_s = time.monotonic()
        room = asyncio.Semaphore(2 * self._plan.in_flight)

        async def decide(number: int) -> None:
            async with room:
                first, *others = NODES[number % 5 :] + NODES[: number % 5]
                value = f"{number} in the calm"
                await self.ask("propose", number, value, node=first, timeout_s=SETTLE_S)
                for node in others:
                    await self.ask("read", number, node=node, timeout_s=SETTLE_S)
                self.seen["decided"] += 1

        try:
            async with asyncio.timeout(self._plan.calm_s):
                await asyncio.gather(*map(decide, range(self._plan.names)))
        except TimeoutError:
            self.seen["out of time"] += 1
        return calm_s

    async def over(self) -> None:
        """Start nothing any more."""
        for task in self._returning:
            task.cancel()
        await asyncio.gather(*self._returning, return_exceptions=True)


def cuts(chance: random.Random, nodes: Sequence[int] = NODES) -> list[Link]:
    """Two sides that do not hear each other, or only one way; or one link, or one way of it."""
    side = set(chance.sample(nodes, chance.choice((1, 2))))
    ways = [(one, two) for one, two in permutations(nodes, 2) if (one in side) != (two in side)]
    kind = chance.randrange(4)
    if kind == 0:
        return ways
    if kind == 1:
        return [(one, two) for one, two in ways if one in side]
    if kind == 2:
        return [(one, two) for one, two in ways if two in side]
    one, two = chance.choice(ways)
    return [(one, two), (two, one)][: chance.choice((1, 2))]


@asynccontextmanager
async def network(
    is_lossy: bool, seed: int, nodes: Sequence[int] = NODES
) -> AsyncGenerator[Network, None]:
    """Namespaces with a lossy network between them, or the loopback."""
    if not is_lossy:
        yield Loopback(nodes)
        return
    async with Skies(nodes, seed) as skies:
        yield skies


async def torture(plan: Plan, folder: Path, *, is_lossy: bool) -> Counter[str]:
    """Torture five nodes as ``plan`` says; what happened. Raises Broken."""
    path = folder / "clients.jsonl"
    async with network(is_lossy, plan.seed) as net:
        cluster = Cluster(folder, net, plan.flaw)
        with path.open("wb") as log:
            run = Run(plan, net, cluster, log)
            try:
                calm_s = await live(run, cluster)
                wrong = await cluster.stop()
            except asyncio.CancelledError:
                print(f"interrupted; so far: {counts(run.seen)}", flush=True)
                raise
            finally:
                await run.over()
                for me in [*cluster.up]:
                    await cluster.kill(me)
    votes = [*checker.read_votes(cluster.paths)]
    faults = checker.check(checker.read_log(path), votes, NODES, calm_s) + wrong
    if faults:
        KEPT.parent.mkdir(exist_ok=True)
        shutil.copy(path, KEPT)
        shown = "\n".join([*faults[:10], *wrong[:2]])
        raise Broken(
            f"seed {plan.seed}: {len(faults)} faults; the log is {KEPT}\n{shown}\n"
            f"{counts(run.seen)}"
        )
    run.seen["votes"] = len(votes)
    run.seen["majorities at one ballot"] = checker.chosen_by_majority(votes, NODES)
    return run.seen


async def live(run: Run, cluster: Cluster) -> float:
    """Start the nodes, ask and disturb them, and let them come to rest; when that was begun."""
    await asyncio.gather(*map(cluster.start, NODES))
    reporting = asyncio.create_task(_report(run.seen))
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(run.faults())
            both.create_task(run.clients())
        return await run.calm()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        reporting.cancel()


async def _report(seen: Counter[str]) -> None:
    """Say now and then how far it is."""
    while True:
        await asyncio.sleep(REPORT_S)
        print(f"... {counts(seen)}", flush=True)


def counts(seen: Counter[str]) -> str:
    return ", ".join(f"{what} {times:,}" for what, times in sorted(seen.items()))


def main(words: Sequence[str]) -> int:
    """Torture a cluster on a lossy network and on the loopback, for minutes; or ``short``.

    A seed may be given too.
    """
    short = "short" in words
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else random.SystemRandom().randrange(1 << 32)
    plan = Plan(300 if short else 3_000, seed)
    print(f"seed {seed}; again: python -m tests.tools.cluster_torture {seed}", flush=True)
    missing = lossy_network.why_not()
    if missing is not None:
        print(f"lossy network: left out, since {missing}")
    for is_lossy in [True, False] if missing is None else [False]:
        where = "on a lossy network" if is_lossy else "on the loopback"
        started = time.perf_counter()
        with TemporaryDirectory(prefix="paxos-torture-") as folder:
            try:
                seen = asyncio.run(torture(plan, Path(folder), is_lossy=is_lossy))
            except KeyboardInterrupt:
                return 130
            except Broken as broken:
                print(f"BROKEN, {where}: {broken}", flush=True)
                return 1
        took_s = time.perf_counter() - started
        print(f"cluster {where}: {took_s:.0f} s, {counts(seen)}; faults found: 0", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
