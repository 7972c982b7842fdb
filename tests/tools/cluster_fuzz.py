"""Millions of hostile datagrams beside a cluster that works: part of ``make fuzz``.

Three nodes with a key, each a process, and hostile_proxy.py in the middle, which sends what no
server should take, from other addresses and from those of live peers.

- *At rest*, when nobody asks for anything: no save, no record, no memory, no answer comes of it.
- *At work*: clients get decisions all the while, in every interval.
- In the end each hostile datagram was refused and counted, or the system had no room for it; no
  process has complained, ended, or grown.

Whatever else happens is raised, Broken.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import msgspec
from attrs import Factory, define, frozen

from paxos_adapters.file import rows
from paxos_adapters.wire import Reason
from tests.support.node_process import Flaw, Remote, Setup, Standing, create
from tests.support.spawning import spawn
from tests.tools import hostile_proxy
from tests.tools.hostile_proxy import SOCKETS, Counts, Order
from tests.tools.lossy_network import Loopback

NODES = 1, 2, 3
BACK = 3
"""Who is killed and started again before the attack."""

KEYS = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
ASK_S = 30.0
CHUNK = 5_000
"""How many hostile datagrams are ordered at a time."""
CLIENTS, PAUSE_S = 6, 0.02
WARM = 60
"""How many decisions there are before the attack, twice."""

PINGS = 4
"""How many honest datagrams at most go over a link each second, when nobody asks for anything."""

REST_KIB, NAME_BYTES = 2_048, 6_000
"""How much a node may grow at rest, and for each name that is decided; 11,000 stay in memory."""

MOST_NAMES = 11_000
MOST_LOG_BYTES = 4_096
NEVER = {
    Reason.WRONG_ADDRESS,
    Reason.NOT_DESCENDED,
    Reason.OUT_OF_BOUNDS,
    Reason.OTHER_MEMBERS,
    Reason.MALFORMED,
    Reason.IMPOSSIBLE,
    Reason.REMOVED_SENDER,
}
"""The reasons that take a right tag, a node without a key, or a change of members."""


@frozen
class Plan:
    """How many datagrams at rest, of which the first third warms up, and at work."""

    at_rest: int
    at_work: int
    seed: int
    report_s: float = 10.0
    flaw: Flaw = ""


class Broken(AssertionError):
    """A hostile datagram had an effect. Says which."""


@define
class Interval:
    """What clients got since the last report."""

    began_s: float = Factory(time.monotonic)
    took_s: list[float] = Factory(list[float])


class Between:
    """The process in the middle, as the one who started it sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def order(self, *, datagrams: int = 0, restarted: int = 0) -> Counts:
        """Have it send so many, or mark what it received from a node as of an earlier session."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(Order(datagrams, restarted)) + b"\n")
        return msgspec.json.decode(await self.line(), type=Counts)

    async def line(self) -> bytes:
        """The next thing that it says. Raises Broken if it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Broken(f"who is in the middle ended with {await self._process.wait()}")
        return line


@asynccontextmanager
async def between(setup: hostile_proxy.Setup) -> AsyncGenerator[Between, None]:
    """Somebody in the middle, who goes when this is left."""
    process = await spawn("tests.tools.hostile_proxy", msgspec.json.encode(setup).decode())
    try:
        yield Between(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Run:
    """One attack on one cluster."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.seen: Counter[str] = Counter()
        self.nodes: dict[int, Remote] = {}
        self._plan = plan
        self._folder = folder
        self._paths = create(folder, NODES)
        self._names = count(1)
        self._interval = Interval()
        self._decided = asyncio.Event()

    async def start(self, me: int, addresses: Mapping[int, tuple[str, int]]) -> None:
        """Start a node that knows its peers by these addresses."""
        setup = Setup(me, str(self._paths[me]), dict(addresses), KEYS, flaw=self._plan.flaw)
        self.nodes[me] = await Remote.start(setup, self._log(me))

    def _log(self, me: int) -> Path:
        return self._folder / f"n{me}.log"

    async def decide(self, times: int | None = None) -> None:
        """Be a client: have one name after the other decided, and read by another node."""
        for _ in count() if times is None else range(times):
            name = f"name {next(self._names)}"
            one, two = NODES[self.seen["decisions"] % 3], NODES[(self.seen["decisions"] + 1) % 3]
            began_s = time.monotonic()
            told = await self.nodes[one].ask("propose", name, name, timeout_s=ASK_S)
            self._interval.took_s.append(time.monotonic() - began_s)
            read = await self.nodes[two].ask("read", name, timeout_s=ASK_S)
            if told.unknown or read.unknown or not told.value == read.value == name:
                raise Broken(f"{name} was not decided: {told}, {read}")
            self.seen["decisions"] += 1
            self._decided.set()
            if times is None:
                await asyncio.sleep(PAUSE_S)

    async def warm(self, it: Between, addresses: Mapping[int, dict[int, tuple[str, int]]]) -> None:
        """Let there be honest traffic to record, and a session that has ended."""
        for me in NODES:
            await self.start(me, addresses[me])
        await self.decide(WARM)
        await self.nodes.pop(BACK).kill()
        await self.start(BACK, addresses[BACK])
        await it.order(restarted=BACK)
        while any(node.missing for node in (await self.standing()).values()):
            await asyncio.sleep(0.01)
        self._interval = Interval()
        await self.decide(WARM)
        self._report("before")

    async def at_rest(self, it: Between) -> None:
        """Attack while nobody asks for anything."""
        await self._attack(it, self._plan.at_rest // 3)
        before, rows, counts = await self.standing(), self._rows(), await it.order()
        began_s, size_kib = time.monotonic(), self._sizes_kib()
        counts_after = await self._attack(it, self._plan.at_rest - self._plan.at_rest // 3)
        took_s = time.monotonic() - began_s
        after, now_kib = await self.standing(), self._sizes_kib()
        for me in NODES:
            grown_kib = now_kib[me] - size_kib[me]
            honest = counts_after.honest[me] - counts.honest[me]
            self.seen[f"KiB grown at rest, node {me}"] = grown_kib
            if after[me].saves != before[me].saves:
                raise Broken(f"node {me} has saved what a hostile datagram said")
            if after[me].in_memory != before[me].in_memory:
                raise Broken(f"node {me} keeps what a hostile datagram said")
            if grown_kib > REST_KIB:
                raise Broken(f"node {me} has grown by {grown_kib:,} KiB at rest")
            repeated = sum(counts_after.earlier.values()) - sum(counts.earlier.values())
            if honest > PINGS * (len(NODES) - 1) * (took_s + 2) + repeated:
                raise Broken(f"node {me} was sent {honest:,} datagrams in {took_s:.1f} s at rest")
        if self._rows() != rows:
            raise Broken("what nodes have saved is not what it was")
        self._say(f"at rest: {self._plan.at_rest:,} hostile datagrams in {took_s:.0f} s, no effect")

    async def at_work(self, it: Between) -> None:
        """Attack while clients go on, and report."""
        size_kib, names = self._sizes_kib(), self.seen["decisions"]
        clients = [asyncio.create_task(self.decide()) for _ in range(CLIENTS)]
        self._interval, sent = Interval(), 0
        self._decided.clear()
        first = asyncio.create_task(self._decided.wait())
        try:
            while sent < self._plan.at_work:
                chunk = min(CHUNK, self._plan.at_work - sent)
                if sent + chunk == self._plan.at_work:  # Even if the attack is over in no time.
                    await asyncio.wait([first, *clients], return_when=asyncio.FIRST_COMPLETED)
                for client in clients:
                    if client.done():
                        client.result()
                await it.order(datagrams=chunk)
                sent += chunk
                if time.monotonic() - self._interval.began_s >= self._plan.report_s:
                    self._report(f"at work: {sent:,} hostile datagrams so far")
            if self._interval.took_s:
                self._report(f"at work: {sent:,} hostile datagrams")
        finally:
            for task in (first, *clients):
                task.cancel()
            await asyncio.gather(first, *clients, return_exceptions=True)
        names = min(self.seen["decisions"] - names, MOST_NAMES)
        for me in NODES:
            grown_kib = self._sizes_kib()[me] - size_kib[me]
            self.seen[f"KiB grown at work, node {me}"] = grown_kib
            if grown_kib > REST_KIB + names * NAME_BYTES // 1024:
                raise Broken(f"node {me} has grown by {grown_kib:,} KiB, with {names:,} names")

    async def settle(self, it: Between) -> Counts:
        """Wait until the nodes have taken everything, and account for it.

        A control message of an earlier session is taken, or refused: it says nothing that is news.
        """
        counts = await self._drained(it)
        after = await self.standing()
        for me in NODES:
            sent, dropped = counts.hostile[me], counts.dropped[me]
            refused = sum(after[me].refused.values())
            if not sent - dropped - counts.earlier[me] <= refused <= sent:
                raise Broken(
                    f"node {me}: {sent:,} were sent, {refused:,} refused, {dropped:,} dropped by "
                    f"the system; {after[me].refused}"
                )
            met = {Reason[it.upper()] for it in after[me].refused}
            met -= {Reason.NOT_DESCENDED}  # If a registration is repeated.
            must = set(Reason) - NEVER - ({Reason.NOT_REGISTERED} if me == BACK else set())
            if met != must:
                raise Broken(f"node {me} has met {met ^ must}, or has not")
            self.seen["sent"] += sent
            self.seen["refused"] += refused
            self.seen["taken, of an earlier session"] += max(0, sent - dropped - refused)
            self.seen["dropped by the system"] += dropped
            self.seen.update({f"refused: {why}": n for why, n in after[me].refused.items()})
        self.seen["made anew"] = counts.distinct
        if counts.answers:
            raise Broken(f"other addresses got {counts.answers:,} answers")
        return counts

    async def stop(self) -> None:
        """Let all nodes end, and see how they do."""
        for me in [*self.nodes]:
            code, said = await self.nodes.pop(me).close(), self._log(me).read_text(encoding="utf-8")
            if code or "Traceback" in said:
                raise Broken(f"node {me} ended with {code}: {said[-2_000:]}")
            if len(said) > MOST_LOG_BYTES:
                lines = said.splitlines()
                raise Broken(f"node {me} was made to say {len(lines):,} lines, like {lines[-1]}")

    async def standing(self) -> dict[int, Standing]:
        """How each node is."""
        return {me: await node.standing() for me, node in self.nodes.items()}

    async def _attack(self, it: Between, datagrams: int) -> Counts:
        for at in range(0, datagrams, CHUNK):
            await it.order(datagrams=min(CHUNK, datagrams - at))
        return await self._drained(it)

    async def _drained(self, it: Between) -> Counts:
        """Ask until nothing is refused any more between two questions."""
        before = dict[int, Standing]()
        while True:
            counts, now = await it.order(), await self.standing()
            if before and all(now[me].refused == before[me].refused for me in NODES):
                return counts
            before = now
            await asyncio.sleep(0.05)

    def _rows(self) -> list[object]:
        return [[*rows(path)] for path in self._paths.values()]

    def _sizes_kib(self) -> dict[int, int]:
        """Resident memory."""
        found = dict[int, int]()
        for me, node in self.nodes.items():
            status = Path(f"/proc/{node.pid}/status").read_text(encoding="utf-8")
            found[me] = int(status.partition("VmRSS:")[2].split()[0])
        return found

    def _report(self, when: str) -> None:
        took_ms = sorted(1_000 * it for it in self._interval.took_s)
        if not took_ms:
            raise Broken("nothing was decided in a whole interval")
        self._say(
            f"{when}; {len(took_ms):,} decisions in "
            f"{time.monotonic() - self._interval.began_s:.0f} s, median {median(took_ms):.1f} ms, "
            f"p99 {took_ms[len(took_ms) * 99 // 100]:.1f} ms, longest {took_ms[-1]:.0f} ms"
        )
        self._interval = Interval()

    def _say(self, what: str) -> None:
        print(what, flush=True)


async def attack(plan: Plan, folder: Path) -> Counter[str]:
    """Attack three nodes as ``plan`` says; what happened. Raises Broken."""
    run = Run(plan, folder)
    where = Loopback(NODES).addresses
    async with between(hostile_proxy.Setup(where, KEYS, plan.seed)) as it:
        ready = msgspec.json.decode(await it.line(), type=hostile_proxy.Ready)
        try:
            await run.warm(it, ready.addresses)
            await run.at_rest(it)
            await run.at_work(it)
            counts = await run.settle(it)
            await run.stop()
        except asyncio.CancelledError:
            print(f"interrupted; so far: {_counts(run.seen)}", flush=True)
            raise
        finally:
            for node in run.nodes.values():
                await node.kill()
    run.seen.update({f"sent: {kind}": times for kind, times in counts.kinds.items()})
    return run.seen


def why_not() -> str | None:
    """What keeps this machine from it; None if nothing does."""
    return None if SOCKETS.exists() else f"{SOCKETS} is there on Linux only"


def _counts(seen: Counter[str]) -> str:
    return ", ".join(f"{what} {times:,}" for what, times in sorted(seen.items()))


def main(words: Sequence[str]) -> int:
    """Attack for some minutes, with ten million datagrams; or ``short``. A seed may be given."""
    short = "short" in words
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}; again: python -m tests.tools.cluster_fuzz {seed}", flush=True)
    missing = why_not()
    if missing is not None:
        print(f"a live cluster: left out, since {missing}")
        return 0
    plan = Plan(50_000, 150_000, seed, 1.0) if short else Plan(1_000_000, 9_000_000, seed)
    started = time.perf_counter()
    with TemporaryDirectory(prefix="paxos-fuzz-") as folder:
        try:
            seen = asyncio.run(attack(plan, Path(folder)))
        except KeyboardInterrupt:
            return 130
        except Broken as broken:
            print(f"BROKEN: {broken}", flush=True)
            return 1
    took_s = time.perf_counter() - started
    print(f"a live cluster: {took_s:.0f} s, {_counts(seen)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
