"""PySyncObj 0.3.17: Raft in Python on TCP, its log in memory. No setting of it syncs a file.

As fast as it goes: questions are asked by the thread that ticks, of the leader, with callbacks. One
at a time goes without batches, which is the setting for that.
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import json
import sys
import time
from threading import Event

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

VALUE = b"v" * 64
WARM_UP = 200
PATIENCE_S = 30.0


class Register(SyncObj):
    """The last value of each name."""

    def __init__(self, me: str, others: list[str], conf: SyncObjConf) -> None:
        """Join."""
        super().__init__(me, others, conf)
        self.values: dict[str, bytes] = {}

    def leads(self) -> bool:
        """Whether questions need not be handed on."""
        status = self.getStatus()
        return status["leader"] == status["self"]

    @replicated
    def put(self, name: str, value: bytes) -> None:
        """On every member."""
        self.values[name] = value


class Load:
    """Keeps ``width`` questions under way for some seconds; ``taken``: how long each took."""

    def __init__(self, register: Register, seconds: float, width: int) -> None:
        """Begin."""
        self.taken: list[float] = []
        self.over = Event()
        self._register = register
        self._begun = 0
        self._answered = 0
        self._seconds = seconds
        self._until = float("inf")
        for _ in range(width):
            self._ask()

    def _ask(self) -> None:
        self._begun += 1
        started = time.perf_counter()

        def answered(_: object, why: int) -> None:
            now = time.perf_counter()
            assert why == FAIL_REASON.SUCCESS, f"PySyncObj refused: {why}"
            self._answered += 1
            if self._answered == WARM_UP:
                self._until = now + self._seconds
            elif now > self._until:
                self.over.set()
                return
            elif self._answered > WARM_UP:
                self.taken.append(now - started)
            self._ask()

        self._register.put(f"name {self._begun}", VALUE, callback=answered)


def main(folder: str, ports: str, me: str, seconds: str = "", width: str = "1") -> None:
    """Serve, or measure; whoever measures is soon for election, and leads."""
    del folder
    addresses = [f"127.0.0.1:{port}" for port in json.loads(ports)]
    mine = addresses.pop(int(me) - 1)
    first, last = (0.4, 0.6) if seconds else (20.0, 30.0)
    conf = SyncObjConf(
        raftMinTimeout=first,
        raftMaxTimeout=last,
        connectionTimeout=40.0,
        connectionRetryTime=0.1,
        appendEntriesUseBatch=width != "1",
    )
    register = Register(mine, addresses, conf)
    if not seconds:
        sys.stdin.read()
        return
    until = time.monotonic() + PATIENCE_S
    while not (register.isReady() and register.leads()):
        assert time.monotonic() < until, "PySyncObj has no leader"
        time.sleep(0.05)
    load = Load(register, float(seconds), int(width))
    assert load.over.wait(PATIENCE_S + float(seconds)), "PySyncObj does not answer"
    print(json.dumps(load.taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
