"""A replicated log tortured while all its servers are replaced: as ``log_torture``, and worse.

- One server after the other is replaced by a new one, with another id, address and file, until none
  is left of those that began. Half of the old ones are killed for good before they are replaced,
  and the last one is: only those that came later can teach the last newcomer.
- The leader reads by a lease. Again and again one that has a lease is cut off, and stands still for
  longer than that. It goes on, still cut off: all it can go by is its clock.
- A server that was removed falls silent, and says why. One that was lost is started once more.
- The history must be linearizable, and each command that was answered is there once, as there.

Any fault that is found is raised, Broken.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

import msgspec

from tests.support import node_process
from tests.support.node_process import Flaw, Gone, Remote, Replacement, Setup
from tests.tools import lossy_network
from tests.tools.cluster_torture import NODES, Broken, Plan
from tests.tools.log_torture import BY_LEASE, LogCluster, LogRun, judged, tortured
from tests.tools.lossy_network import Network

QUESTIONS, CLUSTERS = 300, 20
NEWCOMERS = 6, 7, 8, 9, 10
ALL = *NODES, *NEWCOMERS
LEASE_S = 0.5
OUTLIVED_S = 3 * LEASE_S
"""For how long the leader stands still. The others wait for its lease, elect one, and write."""

CUT_OFF_S, OUTLIVES = 0.3, 3
"""For how long it is then cut off, and how often that happens at least."""

CHANGE_S, CHANGED_S = 2.0, 120.0
"""How long a server is asked for a change, and how long one may take."""

SILENT_S, LOOK_S = 20.0, 0.02
"""How long it may take until a server that was removed has stopped, and how often it is looked."""

LOOKS_A_CAMPAIGN = 50
IS_REMOVED = "is not a member of the cluster any more"
MOST_TROUBLED = len(NODES) // 2

REPLACED, LOST = "servers replaced", "lost servers replaced"
OUTLIVED = "leaders that stood still for longer than their lease"
GOES_ON = "servers that go on when removed"


class MembersCluster(LogCluster):
    """Nodes that come and go."""

    def __init__(self, folder: Path, network: Network, plan: Plan) -> None:
        super().__init__(folder, network, plan)
        self._configured: dict[int, Sequence[int]] = dict.fromkeys(NODES, NODES)

    def setup(self, me: int) -> Setup:
        """What ``me`` began with: it learns of others from them."""
        found = super().setup(me)
        addresses = {it: found.addresses[it] for it in self._configured[me]}
        return msgspec.structs.replace(found, addresses=addresses, founders=NODES)

    def join(self, old: int, new: int) -> Replacement:
        """Make the file of ``new``, which is to be a member in the place of ``old``.

        Beside the founders, which may have gone, it is told of one member.
        """
        self.paths[new] = node_process.join(self._folder, new, NODES)
        self._configured[new] = sorted({*NODES, max(self.members), new})
        return Replacement(old, new, self._network.addresses[new])


class MembersRun(LogRun):
    """One torture of a log whose servers are replaced."""

    wanted: Mapping[str, int] = {
        **LogRun.wanted,
        REPLACED: len(NODES),
        LOST: 1,
        OUTLIVED: OUTLIVES,
        BY_LEASE: 1,
    }
    unwanted: Sequence[str] = (*LogRun.unwanted, GOES_ON)

    def __init__(
        self, plan: Plan, network: Network, cluster: MembersCluster, log: IO[bytes]
    ) -> None:
        super().__init__(plan, network, cluster, log)
        self._joining = cluster
        self._leaving: int | None = None

    async def faults(self) -> None:
        """See ``Run``. Meanwhile all servers are replaced."""
        self._later(self._replace_all())
        await super().faults()

    @property
    def _troubled(self) -> int:
        is_replacing = self.seen[REPLACED] < len(NODES)
        is_lost = self._leaving is not None and self._leaving not in self._cluster.up
        return super()._troubled - is_replacing + is_lost

    # --- servers are replaced -------------------------------------------------------------------

    async def _replace_all(self) -> None:
        for new in NEWCOMERS:
            await asyncio.sleep(self._chance.uniform(*self._plan.faults_s))
            old = self._chance.choice([it for it in self._cluster.members if it in NODES])
            is_last = new == NEWCOMERS[-1]  # No founder is left to teach it.
            await self._leave(old, is_lost=is_last or self._chance.choice((True, False)))
            asking = self._ask_to_replace(self._joining.join(old, new))
            try:
                async with asyncio.timeout(CHANGED_S):
                    await asyncio.gather(self._cluster.start(new), asking)
            except TimeoutError:
                raise Broken(f"node {old} was not replaced by {new} in {CHANGED_S:.0f} s") from None
            self._cluster.members = sorted({*self._cluster.members, new} - {old})
            self.seen[REPLACED] += 1
            await self._fall_silent(old)

    async def _leave(self, me: int, *, is_lost: bool) -> None:
        """From now on ``me`` does not come back when it is killed; lost ones are, at once."""
        while me in self._spared or me not in self._cluster.up or self._troubled >= MOST_TROUBLED:
            await asyncio.sleep(0.01)
        self._leaving = me
        self._spared.add(me)
        if is_lost:
            await self._cluster.kill(me)
            self.seen[LOST] += 1

    async def _ask_to_replace(self, replacement: Replacement) -> None:
        """Ask one server after the other, until one says that it is done."""
        words = msgspec.json.encode(replacement).decode()
        while True:
            while not self._cluster.up:
                await asyncio.sleep(0.01)
            node = self._cluster.up[self._chance.choice(sorted(self._cluster.up))]
            with suppress(Gone):
                answer = await node.ask("replace", value=words, timeout_s=CHANGE_S)
                if answer.value is not None:
                    return
            self.seen["changes that were asked for again"] += 1
            await asyncio.sleep(0.05)

    async def _fall_silent(self, me: int) -> None:
        """A server that was removed says so, and stops; one that was lost is started for that."""
        for _ in range(round(SILENT_S / LOOK_S)):
            if me not in self._cluster.up:
                with suppress(Broken):  # It knows by its file.
                    await self._cluster.start(me)
            if IS_REMOVED in self._cluster.log(me).read_text(encoding="utf-8"):
                break
            await asyncio.sleep(LOOK_S)
        else:
            self.seen[GOES_ON] += 1
        self._leaving = None
        await self._cluster.kill(me)
        self._cluster.log(me).write_text("", encoding="utf-8")

    async def _return(self, me: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if me == self._leaving or (me in NODES and me not in self._cluster.members):
            return
        await super()._return(me, 0.0)

    # --- leases ---------------------------------------------------------------------------------

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """See ``Run``."""
        return {**super().kinds(), OUTLIVED: self._outlive}

    async def _outlive(self) -> None:
        """Have a node lead by a lease; cut it off, and let it stand still for longer than that."""
        for me in self._victim():
            self._later(self._outlived(me, self._cluster.up[me]))

    async def _outlived(self, me: int, node: Remote) -> None:
        self._spared.add(me)
        with suppress(Gone):
            for look in count():
                if self.asked.is_set() or (await node.ask("lease")).value == "held":
                    break
                if look % LOOKS_A_CAMPAIGN == 0:
                    await node.ask("lead")
                await asyncio.sleep(LOOK_S)
            faults = msgspec.structs.replace(self.nodes.faults, lost=1.0, is_deaf=True)
            await node.suffer(faults)
            self.seen[OUTLIVED] += (await node.ask("lease")).value == "held"
            node.pause()
            await asyncio.sleep(OUTLIVED_S)
            node.resume()
            await asyncio.sleep(CUT_OFF_S)
            await node.suffer(self.nodes.faults)
        self._spared.remove(me)


# --- the program --------------------------------------------------------------------------------


def begin(plan: Plan, network: Network, folder: Path, log: IO[bytes]) -> LogRun:
    """A run whose nodes are replaced."""
    return MembersRun(plan, network, MembersCluster(folder, network, plan), log)


def planned(questions: int, seed: int, flaw: Flaw = "") -> Plan:
    """So many questions, or more, until all that is wanted has happened."""
    return Plan(questions, seed, (0.05, 0.5), in_flight=10, lease_s=LEASE_S, flaw=flaw)


def main(words: Sequence[str]) -> int:
    """Torture one cluster after the other: 0, 1 if a promise was broken, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.members_torture")
    parser.add_argument("form", nargs="?", choices=["long", "short"], default="long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked = parser.parse_args(words)
    print(f"seed {asked.seed}; again: {parser.prog} {asked.form} --seed {asked.seed}", flush=True)
    has_network = asked.form == "long" and lossy_network.why_not() is None

    def clusters(total: Counter[str]) -> None:
        for seed in range(asked.seed, asked.seed + (1 if asked.form == "short" else CLUSTERS)):
            is_lossy = has_network and bool(seed % 2)
            where = f"on {'a lossy network' if is_lossy else 'the loopback'}, seed {seed}"
            plan = planned(QUESTIONS, seed)
            tortured(plan, where, total, is_lossy=is_lossy, begin=begin, nodes=ALL)

    return judged(clusters)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
