"""A snapshot of a gigabyte: taken, sent to another server and installed, in how much memory.

Three nodes in this process, with files beside the project. The state is a number of MiB, which its
codec writes and checks part by part: so what the process takes is what the library takes.

It is not part of ``make bench``: it takes minutes, and some gigabytes of the disk.

    python benchmarks/large_snapshot.py [MIB]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.catch_up import BUILD, ONE, THREE, TWO, Machine, Servers, reach, told
from paxos_adapters.codecs import INTEGER, RAW

MIB = 1 << 20
PART = Random(1).randbytes(MIB)


class Parts:
    """A codec of states that are so many MiB."""

    def encode_parts(self, state: int) -> Iterable[bytes]:
        """Each part begins with its number."""
        return (number.to_bytes(8) + PART[8:] for number in range(state))

    def decode_parts(self, parts: Iterable[bytes]) -> int:
        """Raises ValueError for other parts."""
        count = 0
        for part in parts:
            if part != count.to_bytes(8) + PART[8:]:
                raise ValueError(f"part {count} is another one")
            count += 1
        return count

    def encode(self, value: int) -> bytes:
        """All of it."""
        return b"".join(self.encode_parts(value))

    def decode(self, encoded: bytes) -> int:
        """The other way round. Raises ValueError."""
        return self.decode_parts(encoded[at : at + MIB] for at in range(0, len(encoded), MIB))


def grow(state: int, command: bytes) -> tuple[int, int]:
    """Have so many MiB more."""
    return state + int.from_bytes(command), state


async def main(count: int = 1_024) -> None:
    """Measure it."""
    BUILD.mkdir(exist_ok=True)
    machine: Machine = Machine(0, grow, commands=RAW, states=Parts(), results=INTEGER)
    with TemporaryDirectory(dir=BUILD) as folder:
        servers = Servers(Path(folder), machine, snapshot_bytes=1_000)
        one, two = await servers.start(ONE), await servers.start(TWO)
        told("two of three servers are up", time.perf_counter())
        started_s = time.perf_counter()
        await one.submit(count.to_bytes(8))
        while min(one.status().floor, two.status().floor) == 1:
            await one.submit(bytes(100))
            await asyncio.sleep(0.05)
        told(f"both have written a snapshot of {count:,} MiB", started_s)
        started_s = time.perf_counter()
        await reach(await servers.start(THREE), count)
        told("the third server starts, and has installed it", started_s)
        await servers.stop(THREE)
        started_s = time.perf_counter()
        await reach(await servers.start(THREE), count)
        told("it is closed and starts again", started_s)
        await servers.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
