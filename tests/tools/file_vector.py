"""A store file of this format, as a test vector: ``python -m tests.tools.file_vector`` writes it.

A later version of this library has to read it, or refuse it by name; a change of what is in it is a
change of the format, and asks for another number. What is drawn at random is fixed here.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from unittest.mock import patch

from paxos import Acceptor, Ballot, MaxRound, Proposal, QuorumSystem, ServerId, weighted
from paxos_adapters.disk_status import Known
from paxos_adapters.file import FileStore, opening

FOLDER = Path(__file__).parents[1] / "vectors"
NAME = "store-4.db"
ME, PEER = ServerId(1), ServerId(2)
QUORUM = weighted({ME: 2, PEER: 1, ServerId(3): 1})
MEMBERSHIP = "0123456789abcdef"
BALLOT = Ballot(3, PEER)
STATE = Acceptor(BALLOT, Proposal(Ballot(2, ME), bytes(range(256))))
KNOWN = Known("fedcba9876543210", 77)


class Take(Protocol):
    """To create a store, or to open one."""

    def __call__(
        self, path: Path, *, cluster: str, server: ServerId, quorum: QuorumSystem, membership: str
    ) -> FileStore: ...


def take(verb: Take, path: Path) -> FileStore:
    """The store of the vector."""
    return verb(path, cluster="vector", server=ME, quorum=QUORUM, membership=MEMBERSHIP)


def write(folder: Path) -> Path:
    """The same file each time, but for what SQLite writes of itself."""
    path = folder / NAME
    numbers = count(1)

    def drawn_bytes(size: int) -> bytes:
        return bytes(range(size))

    def drawn_hex(size: int) -> str:
        return f"{next(numbers):0{2 * size}x}"

    with (
        patch.object(opening, "token_bytes", drawn_bytes),
        patch.object(opening, "token_hex", drawn_hex),
    ):
        with take(FileStore.create, path) as it:
            it.save([("leader", STATE), ("leader", MaxRound(3)), ("lock", Acceptor(BALLOT))])
        with take(FileStore.open, path) as it:
            it.set_peer_status(PEER, KNOWN)
            it.save([("Führung", MaxRound(1 << 62))])
    return path


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        made = write(Path(scratch))
        for file in made, made.with_name(NAME + "-mark"):
            shutil.copyfile(file, FOLDER / file.name)
