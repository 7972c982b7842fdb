"""What a name costs for ever: bytes on the disk of a server, and time to open its file.

Each server that voted keeps a record of each name, with the value. Run: ``python
benchmarks/names.py [NAMES]``. Sizes are those of the file after it was closed, so without a log.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from paxos import Acceptor, Ballot, Proposal, ServerId, majority
from paxos_adapters.file import FileStore

NAMES = 20_000
VALUES_BYTES = 0, 64, 1_024, 16_384
BATCH = 500
ME = ServerId(1)


def fill(path: Path, names: int, value: bytes) -> None:
    """A file with a vote for each name; a name has 12 bytes."""
    ballot = Ballot(1, ME)
    with FileStore.create(path, cluster="names", server=ME, quorum=majority([ME])) as file:
        for first in range(0, names, BATCH):
            batch = range(first, min(first + BATCH, names))
            file.save(
                [(f"name-{it:07}", Acceptor(ballot, Proposal(ballot, value))) for it in batch]
            )


def main(words: Sequence[str]) -> int:
    """Print the table."""
    names = int(words[0]) if words else NAMES
    print("| value, bytes | on disk for a name, bytes | beside the value | to open, µs a name |")
    print("| ---: | ---: | ---: | ---: |")
    for size in VALUES_BYTES:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "n1.db"
            fill(path, names, b"x" * size)
            started_s = time.perf_counter()
            FileStore.open(path, cluster="names", server=ME, quorum=majority([ME])).close()
            took_us = (time.perf_counter() - started_s) / names * 1e6
            each = sum(it.stat().st_size for it in Path(folder).iterdir()) / names
            print(f"| {size:,} | {each:,.0f} | {each - size:,.0f} | {took_us:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
