"""Microseconds to seal and to open a datagram of the wire: ``make bench``.

One Accept with a value of 64 bytes, as a node does it: messages to bytes, and bytes to messages,
with disk status, sequence and window. Each figure is the best of many short runs, since a busy
machine only ever adds to it; the three ways take turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from paxos import Accept, Ballot, ServerId
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.wire import (
    Authenticated,
    Checksummed,
    Encrypted,
    Key,
    Keyring,
    Protection,
    Wire,
)

ONE, TWO = ServerId(1), ServerId(2)
DISK_STATUS = DiskStatus("ab" * 8, 20, "cd" * 8, 10)
MESSAGES = [("leader", Accept(Ballot(3, ONE), b"v" * 64))]
KEYRING = Keyring((Key(bytes(range(32))),))
WAYS: Sequence[Protection] = Checksummed(), Authenticated(KEYRING), Encrypted(KEYRING)
A_RUN = 2_000


def wire(me: ServerId, way: Protection) -> Wire:
    """One end."""
    return Wire(
        cluster="bench",
        me=me,
        members={ONE, TWO},
        digest=bytes(8),
        protection=way,
        disk_status=lambda _: DISK_STATUS,
        registered=lambda _: DISK_STATUS.session,
    )


def microseconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes for one of a run."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / A_RUN * 1e6


def measure(one: Wire, two: Wire) -> tuple[float, float]:
    """One run: to seal one, and to open one."""
    sealed: list[bytes] = []
    seal = microseconds(
        lambda: sealed.extend(one.seal(TWO, MESSAGES)[0] for _ in range(A_RUN)),
    )
    return seal, microseconds(lambda: [two.open(datagram) for datagram in sealed])


def main(runs: int) -> None:
    """Measure all three; print the table."""
    ends = [(wire(ONE, way), wire(TWO, way)) for way in WAYS]
    taken = [[measure(*pair) for pair in ends] for _ in range(runs)]
    table = Table(title=f"one Accept of 64 bytes, the best of {runs} runs of {A_RUN:,}")
    for heading in ("protection", "bytes", "to seal, us", "to open, us"):
        table.add_column(heading, justify="right")
    for way, (one, _), times in zip(WAYS, ends, zip(*taken, strict=True), strict=True):
        best = (f"{min(column):.1f}" for column in zip(*times, strict=True))
        size = len(one.seal(TWO, MESSAGES)[0])
        table.add_row(type(way).__name__.lower(), str(size), *best)
    Console().print(table)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
