"""The floor: what the protocol itself costs here, without a line of a node.

A proposer, which is an acceptor too, and two more. In each of two phases: a datagram to the others,
a durable commit meanwhile, and the first answer, which makes a quorum; acceptors commit before they
answer. Sockets block. A commit is a row in SQLite with the settings of the file store, which keeps
no second copy of it here, no digest and no mark. One at a time only.
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from itertools import count
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from threading import Thread

from paxos_adapters.file.writing import CHECKPOINT_PAGES, PAGE_BYTES

VALUE = b"v" * 64
PUT = "INSERT INTO t VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
WARM_UP = 2_000
"""Enough to fill the log of SQLite once: while it grows, each sync also syncs its new size."""

PHASES = int(os.environ.get("PHASES", "2"))
"""A decision has two; a command of a log whose leader has its promises has one."""

PATIENCE_S = 0.1
"""After which a datagram counts as lost, since the other process does not listen yet."""


class Member:
    """One acceptor: a socket and a database."""

    def __init__(self, folder: Path, ports: list[int], me: int) -> None:
        """Listen."""
        self.socket = socket(AF_INET, SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", ports[me - 1]))
        self.others = [("127.0.0.1", port) for it, port in enumerate(ports, 1) if it != me]
        self.database = sqlite3.connect(
            folder / f"n{me}.db", isolation_level=None, check_same_thread=False
        )
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        ):
            self.database.execute(f"PRAGMA {pragma}")
        columns = "number INTEGER PRIMARY KEY, body BLOB"
        self.database.execute(f"CREATE TABLE t ({columns}) STRICT, WITHOUT ROWID")

    def commit(self, datagram: bytes) -> None:
        """Make it durable: one row for both phases of a decision."""
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute(PUT, (int.from_bytes(datagram[:8]) // 2, datagram))
        self.database.execute("COMMIT")

    def serve(self) -> None:
        """Commit what comes, and send it back."""
        while True:
            datagram, place = self.socket.recvfrom(len(VALUE) + 8)
            self.commit(datagram)
            self.socket.sendto(datagram, place)

    def wait(self) -> None:
        """Wait until the others listen."""
        self.socket.settimeout(PATIENCE_S)
        for place in self.others:
            while True:
                try:
                    self.socket.sendto(bytes(8), place)
                    if self.socket.recvfrom(8)[1] == place:
                        break
                except TimeoutError:
                    continue
        self.socket.settimeout(None)

    def propose(self, number: int) -> None:
        """Two phases, each with a quorum of two."""
        for phase in range(PHASES):
            datagram = (2 * number + phase).to_bytes(8) + VALUE
            for place in self.others:
                self.socket.sendto(datagram, place)
            self.commit(datagram)
            while self.socket.recv(len(datagram)) != datagram:
                pass


def measure(member: Member, seconds: float) -> list[float]:
    """How long each took."""
    taken: list[float] = []
    until = float("inf")
    for number in count(1):
        started = time.perf_counter()
        if number == WARM_UP:
            until = started + seconds
        member.propose(number)
        now = time.perf_counter()
        if now > until:
            return taken
        if number >= WARM_UP:
            taken.append(now - started)
    return taken


def main(folder: str, ports: str, me: str, seconds: str = "", width: str = "1") -> None:
    """Serve, or measure."""
    member = Member(Path(folder), json.loads(ports), int(me))
    if seconds:
        assert width == "1", "the floor is measured one at a time"
        member.wait()
        print(json.dumps(measure(member, float(seconds))))
    else:
        Thread(target=member.serve, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
