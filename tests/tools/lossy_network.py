"""A lossy network in user space: namespaces, a TUN device in each, and a router in between.

- Each node has a network namespace of its own, and in it one address, 10.77.0.N. Whatever leaves it
  is read here, and may be lost, delayed, duplicated, overtaken or cut off before it arrives.
- The router is a process of its own. Its namespaces have no names: they are gone when it is, and
  the nodes in them; however they end.
- One JSON line on stdin is an order: other conditions, other cuts, or nothing at all. Each is
  answered with the counts so far. The end of stdin is the order to go.
- Every draw is seeded. When a packet comes is not, so that a seed repeats the conditions and not
  the run.

Needs root on Linux, and /dev/net/tun; ``why_not`` says what is missing.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import selectors
import shutil
import struct
import subprocess
import sys
import time
from asyncio import wait_for
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Protocol, TypeAlias

import msgspec

from paxos_adapters.udp.endpoint import Address
from tests.support.free_ports import free_ports
from tests.support.spawning import ROOT, spawn

TUN = Path("/dev/net/tun")
PORT = 7_000  # In a namespace of one's own no port is taken.
MAX_PACKET_BYTES = 65_535
MAX_READS = 64
"""How many packets of one node are taken before it is the next one's turn."""

CLONE_NEWNET = 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x4004_54CA, 0x0001, 0x1000
ANSWER_S = 30.0

Link: TypeAlias = tuple[int, int]
"""From one node to another one: each way can be cut by itself."""


class Conditions(msgspec.Struct, frozen=True):
    """Shares of all packets, and times in seconds; ``held_s`` comes on top for those held back."""

    lost: float = 0.0
    twice: float = 0.0
    held: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    held_s: tuple[float, float] = (0.0, 0.0)


CALM = Conditions()
LIGHT = Conditions(0.05, 0.05, 0.03, (0.001, 0.015), (0.02, 0.2))
REORDERING = Conditions(0.02, 0.10, 0.20, (0.001, 0.030), (0.05, 0.5))
HEAVY = Conditions(0.25, 0.15, 0.10, (0.001, 0.050), (0.05, 1.0))


class Order(msgspec.Struct, frozen=True):
    """What is to change; None stays as it is. ``cuts`` are all links that are cut from now on."""

    conditions: Conditions | None = None
    cuts: list[Link] | None = None


class Ready(msgspec.Struct, frozen=True):
    """Where the namespace of each node is to be entered."""

    namespaces: dict[int, str]


def why_not() -> str | None:
    """Why this machine cannot have such a network; None if it can."""
    if sys.platform != "linux":
        return "network namespaces are there on Linux only"
    if os.geteuid() != 0:
        return "network namespaces and TUN devices take root"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} cannot be opened"
    missing = [it for it in ("ip", "nsenter") if shutil.which(it) is None]
    return f"not installed: {' and '.join(missing)}" if missing else _refused()


def _refused() -> str | None:
    """What a router says that is to go as soon as it is there."""
    tried = subprocess.run(
        [sys.executable, "-m", "tests.tools.lossy_network", "0", "1"],
        input="",
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    return f"a router says: {tried.stderr.splitlines()[-1]}" if tried.returncode else None


def address(node: int) -> str:
    """Of a node, in its namespace."""
    return f"10.77.0.{node}"


# --- the router ---------------------------------------------------------------------------------


class Router:
    """Carries packets between TUN devices; ``counts`` says what became of them."""

    def __init__(self, tuns: Mapping[int, int], random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._tuns = tuns
        self._random = random
        self._conditions = CALM
        self._cuts = frozenset[Link]()
        self._numbers = count(1)
        self._due: list[tuple[float, int, Link, bytes]] = []
        self._newest: Counter[Link] = Counter()

    def obey(self, order: Order) -> None:
        """Change the conditions, or the cuts. What is in flight arrives anyway, unless cut."""
        self._conditions = self._conditions if order.conditions is None else order.conditions
        self._cuts = self._cuts if order.cuts is None else frozenset(order.cuts)

    def take(self, sender: int, now_s: float) -> None:
        """Read what has come from ``sender``, and decide when it arrives, how often, if at all."""
        for _ in range(MAX_READS):
            try:
                packet = os.read(self._tuns[sender], MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            receiver = packet[19] if packet[0] >> 4 == 4 else 0
            if receiver in self._tuns and receiver != sender:
                self._decide((sender, receiver), packet, now_s)

    def _decide(self, link: Link, packet: bytes, now_s: float) -> None:
        chance, conditions = self._random.random, self._conditions
        self.counts["sent"] += 1
        if chance() < conditions.lost:
            self.counts["lost"] += 1
            return
        copies = 1
        if chance() < conditions.twice:
            self.counts["duplicated"] += 1
            copies = 2
        for _ in range(copies):
            due_s = now_s + self._random.uniform(*conditions.delay_s)
            if chance() < conditions.held:
                self.counts["delayed"] += 1
                due_s += self._random.uniform(*conditions.held_s)
            heappush(self._due, (due_s, next(self._numbers), link, packet))

    def deliver(self, now_s: float) -> None:
        """Hand over what is due."""
        while self._due and self._due[0][0] <= now_s:
            _, number, link, packet = heappop(self._due)
            if link in self._cuts:
                self.counts["cut off"] += 1
                continue
            try:
                os.write(self._tuns[link[1]], packet)
            except OSError:
                self.counts["lost"] += 1
                continue
            self.counts["carried"] += 1
            self.counts["reordered"] += number < self._newest[link]
            self._newest[link] = max(number, self._newest[link])

    def wait_s(self, now_s: float) -> float | None:
        """Until something is due."""
        return max(0.0, self._due[0][0] - now_s) if self._due else None


def namespace(node: int) -> tuple[int, int]:
    """Enter a new namespace with a TUN device for ``node``; the device, and where to enter it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace could be made")
    tun = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"paxos", IFF_TUN | IFF_NO_PI))
    for words in (
        f"addr add {address(node)}/24 dev paxos",
        "link set paxos up txqueuelen 5000",
        "link set lo up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return tun, os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def main(words: Sequence[str]) -> int:
    """A router with the seed ``words[0]`` for the nodes of the other words, until stdin ends."""
    made = {int(word): namespace(int(word)) for word in words[1:]}
    router = Router({it: tun for it, (tun, _) in made.items()}, Random(int(words[0])))
    _say(Ready({it: f"/proc/{os.getpid()}/fd/{where}" for it, (_, where) in made.items()}))
    with selectors.DefaultSelector() as poll:
        for node, (tun, _) in made.items():
            poll.register(tun, selectors.EVENT_READ, node)
        poll.register(0, selectors.EVENT_READ, None)
        while _turn(router, poll):
            pass
    return 0


def _turn(router: Router, poll: selectors.BaseSelector) -> bool:
    """Take, obey, deliver; whether to go on."""
    for key, _ in poll.select(router.wait_s(time.monotonic())):
        if key.data is not None:
            router.take(key.data, time.monotonic())
            continue
        said = os.read(0, 1 << 16)
        if not said:
            return False
        for line in said.splitlines():  # Orders are short, and come one at a time.
            router.obey(msgspec.json.decode(line, type=Order))
            _say(dict(router.counts))
    router.deliver(time.monotonic())
    return True


def _say(what: Ready | dict[str, int]) -> None:
    os.write(1, msgspec.json.encode(what) + b"\n")


# --- networks that a cluster can run on ---------------------------------------------------------


class Network(Protocol):
    """Where nodes can be run."""

    is_lossy: bool

    @property
    def addresses(self) -> dict[int, Address]:
        """Of all nodes."""
        ...

    def wrapper(self, node: int) -> list[str]:
        """What has to stand before a command so that it runs where ``node`` is."""
        ...

    async def order(
        self, *, conditions: Conditions | None = None, cuts: Iterable[Link] | None = None
    ) -> dict[str, int]:
        """Change what is given; what became of packets so far."""
        ...


class Loopback:
    """A network that always works, for machines without root."""

    is_lossy = False

    def __init__(self, nodes: Iterable[int]) -> None:
        """Take ports that nobody uses."""
        ports = zip(nodes, free_ports(), strict=False)
        self.addresses = {node: ("127.0.0.1", port) for node, port in ports}

    def wrapper(self, node: int) -> list[str]:  # noqa: ARG002 - they are all at the same place
        """Nothing."""
        return []

    async def order(
        self,
        *,
        conditions: Conditions | None = None,  # noqa: ARG002 - there is none
        cuts: Iterable[Link] | None = None,  # noqa: ARG002 - nor is there anything to cut
    ) -> dict[str, int]:
        """Nothing happens."""
        return {}


class Skies:
    """A lossy network. A context manager; leaving it ends the router."""

    is_lossy = True

    def __init__(self, nodes: Iterable[int], seed: int) -> None:
        self._nodes = tuple(nodes)
        self._seed = seed

    async def __aenter__(self) -> Skies:
        """Start the router."""
        words = str(self._seed), *map(str, self._nodes)
        self._router = await spawn("tests.tools.lossy_network", *words)
        self._namespaces = msgspec.json.decode(await self._line(), type=Ready).namespaces
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the router, by closing its stdin or, if that does not do, by its id."""
        assert self._router.stdin is not None
        self._router.stdin.close()
        try:
            await wait_for(self._router.wait(), ANSWER_S)
        except TimeoutError:
            self._router.kill()
            await self._router.wait()

    @property
    def addresses(self) -> dict[int, Address]:
        """Of all nodes."""
        return {node: (address(node), PORT) for node in self._nodes}

    def wrapper(self, node: int) -> list[str]:
        """What has to stand before a command so that it runs where ``node`` is."""
        return ["nsenter", f"--net={self._namespaces[node]}"]

    async def order(
        self, *, conditions: Conditions | None = None, cuts: Iterable[Link] | None = None
    ) -> dict[str, int]:
        """Change what is given; the counts so far."""
        assert self._router.stdin is not None
        order = Order(conditions, None if cuts is None else list(cuts))
        self._router.stdin.write(msgspec.json.encode(order) + b"\n")
        return msgspec.json.decode(await self._line(), type=dict[str, int])

    async def _line(self) -> bytes:
        assert self._router.stdout is not None
        return await wait_for(self._router.stdout.readline(), ANSWER_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
