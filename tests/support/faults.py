"""Faults of the disk and of the network, within one node process; each that happens is counted.

- A slow disk: each commit takes longer, on the event loop or in the thread.
- A full disk: SQLite's log cannot grow beyond some bytes more, and the write in which it would is
  cut off in the middle. The system says EFBIG where a full disk says ENOSPC.
- A bad network: datagrams are lost, sent twice, and late by chance, so that they are reordered.
- A node that is deaf receives nothing: its links to it are cut.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import msgspec

from paxos_adapters.file import database
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import Key, Row
from paxos_adapters.file.writing import Writer, put
from paxos_adapters.udp.endpoint import Endpoint, SocketAddress
from paxos_adapters.wire import Reason, RejectedDatagram, wire
from paxos_adapters.wire.frame import Header, read_header

send = Endpoint.send


class Faults(msgspec.Struct, frozen=True):
    """Shares of all datagrams, and ranges of delays. ``room_bytes``: for SQLite's log, from now on.

    The seed repeats what is drawn, not what it is drawn for.
    """

    seed: int = 0
    lost: float = 0.0
    twice: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    save_s: tuple[float, float] = (0.0, 0.0)
    room_bytes: int | None = None
    is_deaf: bool = False


class FaultyNode:
    """The faults of this process, in which a node has its file at ``path``."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._counts: Counter[str] = Counter()
        self._latest: dict[SocketAddress, float] = {}
        self._random = Random(faults.seed)
        self._faults = Faults()
        self.suffer(faults)

        def faulty_send(endpoint: Endpoint, datagram: bytes, address: SocketAddress) -> None:
            self._send(endpoint, datagram, address)

        for whose, what, faulty in (
            (database, "put", self._put),
            (Endpoint, "send", faulty_send),
            (wire, "read_header", self._read_header),
        ):
            setattr(whose, what, faulty)

    def suffer(self, faults: Faults) -> None:
        """Other faults from now on."""
        self._faults = faults
        _, most_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)
        room_bytes = most_bytes
        if faults.room_bytes is not None:
            size_bytes = self._log.stat().st_size if self._log.exists() else 0
            room_bytes = size_bytes + faults.room_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, most_bytes))

    def take_counts(self) -> dict[str, int]:
        """What has happened since the last call."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _read_header(self, datagram: bytes) -> Header:
        if self._faults.is_deaf:
            raise RejectedDatagram(Reason.MALFORMED)
        return read_header(datagram)

    def _put(
        self,
        writer: Writer,
        identity: Identity,
        rows: Sequence[Row],
        total: int,
        gone: Iterable[Key] = (),
    ) -> int:
        if self._faults.save_s[1]:
            time.sleep(self._random.uniform(*self._faults.save_s))
            self._counts["slow saves"] += 1
        return put(writer, identity, rows, total, gone)

    def _send(self, endpoint: Endpoint, datagram: bytes, address: SocketAddress) -> None:
        faults, chance = self._faults, self._random.random
        if chance() < faults.lost:
            self._counts["lost"] += 1
            return
        is_twice = chance() < faults.twice
        self._counts["duplicated"] += is_twice
        loop = asyncio.get_running_loop()
        for _ in range(2 if is_twice else 1):
            due_s = loop.time() + self._random.uniform(*faults.delay_s)
            latest_s = self._latest.get(address, 0.0)
            self._counts["delayed"] += faults.delay_s[1] > 0
            self._counts["reordered"] += due_s < latest_s
            self._latest[address] = max(due_s, latest_s)
            loop.call_at(due_s, send, endpoint, datagram, address)
