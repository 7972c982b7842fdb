"""Recordings made by hand: servers driven step by step, and lines changed under valid checksums."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from paxos import QuorumSystem, ServerId, server
from paxos_adapters.coding import dumped
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleDriver, SingleObserver, single
from paxos_lab.record import entries

Lines = list[entries.Body]


def driven(
    me: ServerId,
    quorum: QuorumSystem,
    observer: SingleObserver[str],
    disk: Iterable[server.Record[str]] = (),
    name: str = "",
) -> SingleDriver[str]:
    """A server that an observer is told of, step by step."""
    return Driver(single(), Place(me, name), quorum, disk, observer)


def lines(path: Path) -> Lines:
    """What each line of ``path`` says, without its checksum."""
    found: Lines = []
    for line in path.read_bytes().splitlines():
        body: entries.Body = json.loads(line)
        del body["sum"]
        found.append(body)
    return found


def forge(path: Path, change: Callable[[Lines], object]) -> None:
    """Change the lines of ``path`` in place, and seal each of them anew."""
    bodies, sum_, sealed = lines(path), 0, b""
    change(bodies)
    for body in bodies:
        line, sum_ = entries.sealed(dumped(body), 0 if "recording" in body else sum_)
        sealed += line
    path.write_bytes(sealed)
