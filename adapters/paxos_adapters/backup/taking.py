"""A backup by a program that runs a node: the same file as ``paxos backup`` writes.

- It is written in a thread. The node goes on, and is asked in its own event loop.
- A backup that is cancelled leaves nothing under its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from threading import Event
from typing import TypeVar

from paxos_adapters import arguments
from paxos_adapters.backup.archive import Backup, Decision, Header, LogHead, Writing
from paxos_adapters.backup.errors import LogsNotRunning
from paxos_adapters.node.control_backup import NAMES_AT_A_TIME, contents
from paxos_adapters.node.node import BaseNode
from paxos_adapters.outputs import create_in_parts, sync

T = TypeVar("T")
V = TypeVar("V")


async def back_up(node: BaseNode[V], path: Path, *, timeout_s: float | None = None) -> Backup:
    """Write what ``node`` knows to a new file: its logs, and its decisions, each by a quorum read.

    Each answer of the cluster may take ``timeout_s``. The names of decisions are those in the file
    of this node: see ``Header.has_all_names``.

    Raises LogsNotRunning, NoAnswer, BadNumber, ServerStopped, OutputRefused for a path that is
    taken, OSError, and what the codecs of the logs raise; then nothing was written.
    """
    source = _Source(node, arguments.timeout(timeout_s))
    writing = Writing(source.header, source.logs(), source.decisions())
    try:
        await asyncio.to_thread(source.write, path, writing)
    except asyncio.CancelledError:
        source.cancelled.set()
        raise
    assert writing.whole is not None
    return writing.whole


class _Source:
    """What goes into the backup. All but ``header`` is used in a thread."""

    def __init__(self, node: BaseNode[V], timeout_s: float | None) -> None:
        """Raises LogsNotRunning, StoreError."""
        self.cancelled = Event()
        self._loop = asyncio.get_running_loop()
        self._served, self._file = dict(node.served), node.file
        self._read = node.read_encoded
        self._timeout_s = timeout_s
        found = contents(node, "")
        if found.idle:
            raise LogsNotRunning(node.me, found.idle)
        self._names = found.logs
        own = (node.me,) if found.is_open else ()
        self.header = Header(found.cluster, found.quorum, found.membership, node.me, own)

    def write(self, path: Path, writing: Writing) -> None:
        """Write all of it, unless it is cancelled before."""
        create_in_parts(path, self._until_cancelled(writing.lines()))
        sync(path.absolute().parent)

    def _until_cancelled(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            if self.cancelled.is_set():
                raise asyncio.CancelledError
            yield line

    def _asked(self, question: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()

    def logs(self) -> Iterator[tuple[LogHead, Iterator[bytes]]]:
        """Each log, with the pieces of its snapshot."""
        for name in self._names:
            snapshot = self._asked(self._served[name].snapshot(self._timeout_s))
            yield LogHead(name, snapshot.slot), snapshot.pieces

    def decisions(self) -> Iterator[Decision]:
        """What is chosen for each name, in the order of names."""
        last = ""
        while names := self._file.decisions_after(last, NAMES_AT_A_TIME):
            for last in names:
                value = self._asked(self._read(last, timeout_s=self._timeout_s))
                if value is not None:
                    yield last, value
