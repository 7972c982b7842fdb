"""How long the largest value takes while datagrams are lost: `python benchmarks/loss.py [VALUES]`.

Three nodes in one process, on loopback; each datagram is lost by itself, with the same chance, also
those that ask for lost parts and those that are sent again. One value of 64 KiB after the other is
proposed. Each share is run without asking for lost parts, and with. The draws are seeded; when a
datagram comes is not.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from attrs import define, field
from rich.console import Console
from rich.table import Table

from paxos import ServerId, majority
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.node import NetworkConfig, Node, OutcomeUnknown
from paxos_adapters.udp.endpoint import Address, Endpoint, SocketAddress
from paxos_adapters.wire import resending
from paxos_adapters.wire.bounds import MAX_REQUESTS

IDS = tuple(map(ServerId, (1, 2, 3)))
SHARES = 0.0, 0.01, 0.03, 0.05, 0.10
TIMEOUT_S = 10.0
send = Endpoint.send


@define
class Loss:
    """Loses datagrams on their way out, and counts all of them."""

    share: float
    random: Random = field(factory=lambda: Random(20131017))
    datagrams: Counter[str] = field(factory=Counter[str])

    def send(self, endpoint: Endpoint, datagram: bytes, place: SocketAddress) -> None:
        """In place of the endpoint's own."""
        self.datagrams["sent"] += 1
        if self.random.random() >= self.share:
            send(endpoint, datagram, place)


def addresses() -> dict[ServerId, Address]:
    """Ports that nobody uses now."""
    sockets = {it: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for it in IDS}
    for sock in sockets.values():
        sock.bind(("127.0.0.1", 0))
    found: dict[ServerId, Address] = {it: sock.getsockname() for it, sock in sockets.items()}
    for sock in sockets.values():
        sock.close()
    return found


async def propose(folder: Path, values: int) -> list[float | None]:
    """The seconds that each value took; None for one that took too long."""
    members, quorum, took_s = addresses(), majority(IDS), list[float | None]()
    async with AsyncExitStack() as stack:
        nodes: list[Node[bytes]] = []
        for me in IDS:
            path = folder / f"n{me}.db"
            file = stack.enter_context(
                FileStore.create(path, cluster="c", server=me, quorum=quorum)
            )
            node = Node(file, NetworkConfig(members), codec=RAW, random=Random(me))
            nodes.append(await stack.enter_async_context(node))
        while not all(it.status().descent.votes for it in nodes):
            await asyncio.sleep(0.01)
        for number in range(values):
            began_s = time.perf_counter()
            try:
                value = bytes([number]) * MAX_VALUE_BYTES
                await nodes[0].propose(f"{number}", value, timeout_s=TIMEOUT_S)
            except OutcomeUnknown:
                took_s.append(None)
            else:
                took_s.append(time.perf_counter() - began_s)
    return took_s


def measure(share: float, times: int, values: int) -> tuple[str, ...]:
    """One half of a row, with lost parts asked for so many times."""
    loss = Loss(share)

    def lossy(endpoint: Endpoint, datagram: bytes, place: SocketAddress) -> None:
        loss.send(endpoint, datagram, place)

    folder = TemporaryDirectory(prefix="paxos-loss-")
    asked = patch.object(resending, "MAX_REQUESTS", times)
    with asked, patch.object(Endpoint, "send", lossy), folder as name:
        took_s = asyncio.run(propose(Path(name), values))
    chosen = sorted(it for it in took_s if it is not None)
    middle, worst = (
        (f"{median(chosen) * 1e3:.0f}", f"{chosen[-1] * 1e3:.0f}") if chosen else ("-", "-")
    )
    return f"{len(chosen)} of {values}", middle, worst, f"{loss.datagrams['sent'] / values:,.0f}"


def main(values: int) -> None:
    """Measure all shares; print the table."""
    table = Table(title=f"{values} values of 64 KiB, one after the other; {TIMEOUT_S:.0f} s each")
    for heading in ("lost", *("chosen", "median, ms", "longest, ms", "datagrams each") * 2):
        table.add_column(heading, justify="right")
    for share in SHARES:
        halves = (measure(share, times, values) for times in (0, MAX_REQUESTS))
        table.add_row(f"{share:.0%}", *(cell for half in halves for cell in half))
    Console(width=140).print(table)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if sys.argv[1:] else 20)
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
