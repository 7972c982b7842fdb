"""Recordings that say something else than what happened, with checksums that fit all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from paxos_adapters.coding import dumped
from paxos_lab.record import entries

Lines = list[entries.Body]


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
