"""Files of old members, for the tests of a change of members."""

from __future__ import annotations

from pathlib import Path

from paxos import Acceptor, Ballot, MaxRound, Proposal, QuorumSystem, ServerId, majority
from paxos_adapters.file import FileStore

S1, S2, S3, S4, S5 = (ServerId(number) for number in range(1, 6))
OLD, NEW = majority([S1, S2, S3]), majority([S1, S2, S4])
RED, BLUE = Proposal(Ballot(1, S1), b"red"), Proposal(Ballot(2, S2), b"blue")


def make(
    folder: Path, server: ServerId, quorum: QuorumSystem = OLD, **names: Proposal[bytes]
) -> Path:
    """A file of a stopped server that has accepted these proposals."""
    path = folder / f"n{server}.db"
    with FileStore.create(path, cluster="demo", server=server, quorum=quorum) as file:
        file.save((name, Acceptor(it.ballot, it)) for name, it in names.items())
    return path


def make_two(folder: Path) -> list[Path]:
    """Red may be chosen for "a", by 1 and 3; blue for "b", by 2 alone; 2 has seen round 7."""
    n1 = make(folder, S1, a=RED)
    n2 = make(folder, S2, b=BLUE)
    with FileStore.open(n2, cluster="demo", server=S2, quorum=OLD) as file:
        file.save([("c", MaxRound(7))])
    return [n1, n2]


def opened(path: Path, server: ServerId, quorum: QuorumSystem, membership: str) -> FileStore:
    return FileStore.open(path, cluster="demo", server=server, quorum=quorum, membership=membership)


def accepted(file: FileStore, name: str) -> Proposal[bytes] | None:
    states = [it for it in file.load(name).records if isinstance(it, Acceptor)]
    return states[0].accepted if states else None
