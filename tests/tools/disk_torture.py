"""Five nodes whose operators put back old disks, copy them and edit descriptions.

- A server is rolled back to a clean copy of its disk, and started once or many times: each time
  it must be refused by a peer that has heard more, and stop. Then its newest disk is put back, and
  it must be heard again.
- A copy that was opened and saved to elsewhere, more often than the server itself, takes over.
- A part of the servers is started under another membership, together with new servers that have
  files of it: no file of the old one is opened, and the new ones choose nothing.
- All servers are killed together. A reader at each server never pauses; proposals go on beside it.
- In the end each name must be decided at each node, and ``checker`` judges clients and files.

Any fault that is found is raised, Broken. The seed repeats what is done, not when it happens.
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

from paxos import MaxRound, ServerId, majority
from paxos_adapters.file import FileStore
from tests.support.node_process import CLUSTER, Flaw, Gone, Remote, Setup
from tests.tools import checker
from tests.tools.cluster_torture import NODES, SETTLE_S, Broken, Cluster, Plan, Run, counts
from tests.tools.lossy_network import Loopback

NEW = 6, 7
"""Servers that only the edited description has."""

RESTARTS = 1, 2, 5
"""How often a server is started with an old disk."""

NAMES = 5
"""How many names are decided between one fault and the next."""


class Disks:
    """What operators do to the disks of a cluster that clients use."""

    def __init__(self, folder: Path, seed: int, flaw: Flaw) -> None:
        network = Loopback([*NODES, *NEW])
        self.addresses = network.addresses
        network.addresses = {it: self.addresses[it] for it in NODES}
        self.log = (folder / "clients.jsonl").open("wb")
        self.cluster = Cluster(folder, network, flaw)
        self.run = Run(Plan(0, seed), network, self.cluster, self.log)
        self.seen = self.run.seen
        self._folder = folder
        self._chance = random.Random(seed)
        self.names = 0

    # --- clients --------------------------------------------------------------------------------

    async def decide(self, node: int | None = None) -> None:
        """Have some new names decided, by ``node`` or any; each within SETTLE_S."""
        for number in range(self.names, self.names + NAMES):
            me = self._chance.choice(sorted(self.cluster.up)) if node is None else node
            value = f"{number} by {me}"
            if await self.run.ask("propose", number, value, node=me, timeout_s=SETTLE_S) is None:
                raise Broken(f"node {me} has not decided name {number} in {SETTLE_S} s")
            self.seen["decided beside readers"] += 1
        self.names += NAMES

    async def read(self, me: int) -> None:
        """Read at ``me`` without a pause, whenever it is up."""
        while True:
            if me in self.cluster.up:
                await self.run.ask("read", self.names, node=me, timeout_s=1.0)
                self.seen["reads"] += 1
            await asyncio.sleep(0)

    # --- faults ---------------------------------------------------------------------------------

    async def roll_back(self, restarts: int) -> None:
        """Start a server with the disk that it had before it voted for more."""
        me = self._chance.choice(NODES)
        old = await self._copy(me, "old")
        await self._start(me)
        await self.decide(me)
        await self._refused(me, old, restarts)
        self.seen["rolled back"] += 1

    async def take_over(self) -> None:
        """The same with a copy that was opened and saved to more often than the server's disk."""
        me = self._chance.choice(NODES)
        old = await self._copy(me, "old")
        for number in range(3):
            quorum = majority(map(ServerId, NODES))
            with FileStore.open(
                old / f"n{me}.db", cluster=CLUSTER, server=ServerId(me), quorum=quorum
            ) as copy:
                for more in range(100):
                    copy.save([("elsewhere", MaxRound(100 * number + more))])
        await self._start(me)
        await self.decide(me)
        await self._refused(me, old, 1)
        self.seen["taken over by a copy"] += 1

    async def change_members(self) -> None:
        """Two servers and two new ones get a description with seven members."""
        edited = self._chance.sample(NODES, 2)
        for me in edited:
            await self._stop(me)
            with suppress(Gone):
                await Remote.start(self._edited(me), self.cluster.log(me))
                raise Broken(f"node {me} runs with members that its file does not have")
            self._blames(me, "WrongMembers")
        new = {it: await self._begin_new(it) for it in NEW}
        for me, node in new.items():
            answer = await node.ask("propose", "name 0", f"by {me}", timeout_s=1.0)
            if not answer.unknown:
                raise Broken(f"node {me} of another membership has chosen {answer.value}")
            await node.kill()
        for me in edited:
            await self._start(me)
        for node in self.cluster.up.values():
            refused = (await node.standing()).refused
            strange = refused.get("other_members", 0) + refused.get("unknown_sender", 0)
            self.seen["frames of another membership refused"] += strange
        self.seen["descriptions edited"] += 1

    async def kill_all(self) -> None:
        """Kill all servers at once, and start them again, in another order."""
        for me in [*self.cluster.up]:
            await self.cluster.kill(me)
        for me in self._chance.sample(NODES, len(NODES)):
            await self._start(me)
        self.seen["killed together"] += 1

    # --- disks ----------------------------------------------------------------------------------

    async def _copy(self, me: int, what: str) -> Path:
        """A copy of the disk of a server, which is stopped for it."""
        await self._stop(me)
        folder = self._folder / what
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for it in self._folder.glob(f"n{me}.db*"):
            shutil.copy(it, folder)
        return folder

    def _put_back(self, me: int, folder: Path) -> None:
        for it in self._folder.glob(f"n{me}.db*"):
            it.unlink()
        for it in folder.glob(f"n{me}.db*"):
            shutil.copy(it, self._folder)

    async def _refused(self, me: int, old: Path, restarts: int) -> None:
        """With the disk ``old`` the server stops, however often it is started."""
        newest = await self._copy(me, "newest")
        self._put_back(me, old)
        for _ in range(restarts):
            try:
                await self._start(me)
            except Broken:
                self.seen["old disks refused by themselves"] += 1
            else:
                answer = await self.cluster.up[me].ask("propose", "old", "old", timeout_s=SETTLE_S)
                if "does not descend" not in answer.unknown:
                    raise Broken(f"node {me} votes with an old disk: {answer}")
                await self.cluster.kill(me)
            self._blames(me, "OlderCopy")
            self.seen["old disks refused"] += 1
        self._put_back(me, newest)
        await self._start(me)
        await self.decide(me)
        self.seen["newest disks heard again"] += 1

    def _blames(self, me: int, error: str) -> None:
        """The log of a server says so, and is begun anew."""
        log = self.cluster.log(me)
        if error not in log.read_text(encoding="utf-8"):
            raise Broken(
                f"node {me} does not blame {error}: {log.read_text(encoding='utf-8')[-600:]}"
            )
        log.write_text("", encoding="utf-8")

    async def _start(self, me: int) -> None:
        await self.cluster.start(me)
        self.seen["restarts"] += 1

    async def _stop(self, me: int) -> None:
        if code := await self.cluster.up.pop(me).close():
            raise Broken(f"node {me} ended with {code}")

    def _edited(self, me: int) -> Setup:
        path = str(self._folder / f"n{me}.db")
        return Setup(me, path, self.addresses, self.cluster.keys)

    async def _begin_new(self, me: int) -> Remote:
        path, quorum = self._folder / f"n{me}.db", majority(map(ServerId, self.addresses))
        if not path.exists():
            FileStore.create(path, cluster=CLUSTER, server=ServerId(me), quorum=quorum).close()
        return await Remote.start(self._edited(me), self.cluster.log(me))


async def torture(rounds: int, seed: int, folder: Path, flaw: Flaw = "") -> Counter[str]:
    """So many rounds of each fault; what happened. Raises Broken."""
    disks = Disks(folder, seed, flaw)
    cluster, readers = disks.cluster, list[asyncio.Task[None]]()
    try:
        await asyncio.gather(*map(cluster.start, NODES))
        readers = [asyncio.create_task(disks.read(me)) for me in NODES]
        await disks.decide()
        for number in range(rounds):
            await disks.roll_back(RESTARTS[number % len(RESTARTS)])
            await disks.take_over()
            await disks.change_members()
            await disks.kill_all()
            await disks.decide()
            print(f"... {counts(disks.seen)}", flush=True)
        for it in readers:
            if it.done():
                it.result()
            it.cancel()
        await disks.decide()
        calm_s = time.monotonic()
        for name in range(disks.names):
            for node in NODES:
                await disks.run.ask("read", name, node=node, timeout_s=SETTLE_S)
        wrong = await cluster.stop()
    finally:
        for it in readers:
            it.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for me in [*cluster.up]:
            await cluster.kill(me)
        disks.log.close()
    votes = [*checker.read_votes(cluster.paths)]
    log = checker.read_log(folder / "clients.jsonl")
    if faults := checker.check(log, votes, NODES, calm_s) + wrong:
        raise Broken(f"seed {seed}: {len(faults)} faults\n" + "\n".join(faults[:10]))
    disks.seen["votes"] = len(votes)
    return disks.seen


def main(words: Sequence[str]) -> int:
    """Torture disks for some minutes; or ``short``. A seed may be given too."""
    short = "short" in words
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}; again: python -m tests.tools.disk_torture {seed}", flush=True)
    started = time.perf_counter()
    with TemporaryDirectory(prefix="paxos-torture-") as folder:
        try:
            seen = asyncio.run(torture(1 if short else 12, seed, Path(folder)))
        except KeyboardInterrupt:
            return 130
        except Broken as broken:
            print(f"BROKEN: {broken}", flush=True)
            return 1
    took_s = time.perf_counter() - started
    print(f"disks: {took_s:.0f} s, {counts(seen)}; faults found: 0", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
