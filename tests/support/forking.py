"""Processes that are forked from one that has imported all: they start in a hundredth of a second.

- The server that forks them is a process of ours without threads, and it is gone when we are.
- What such a process reads and writes is a socket pair. Its end is the order to go, as it is for
  processes that are spawned.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from signal import SIGKILL

Main = Callable[[Sequence[str]], int]

_CONTEXT = get_context("forkserver")


class Forked:
    """A process that runs a ``main``: as much of ``asyncio.subprocess.Process`` as is needed."""

    def __init__(
        self, main: Main, words: Sequence[str], complaints: Path, theirs: socket.socket
    ) -> None:
        """Use ``fork``."""
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self._process = _CONTEXT.Process(
            target=_run, args=(main, words, str(complaints), theirs), daemon=True
        )
        self._process.start()
        self._over = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._end)

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that killed it."""
        return self._process.exitcode if self._over.is_set() else None

    def send_signal(self, signal: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self._over.is_set():
            with suppress(ProcessLookupError):  # It has ended, and that was not heard yet.
                os.kill(self.pid, signal)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended."""
        await self._over.wait()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._over.set()


async def fork(main: Main, words: Sequence[str], complaints: Path) -> Forked:
    """Run ``main(words)`` in a process of its own; its stderr goes to ``complaints``."""
    # Such a process runs the imports of the program again: they should be there.
    _CONTEXT.set_forkserver_preload([it for it in sys.modules if it.startswith("tests.")])
    ours, theirs = socket.socketpair()
    with theirs:
        process = Forked(main, words, complaints, theirs)
    process.stdout, process.stdin = await asyncio.open_connection(sock=ours)
    return process


def _run(main: Main, words: Sequence[str], complaints: str, theirs: socket.socket) -> None:
    os.setsid()  # An interrupt is for the starter.
    log = os.open(complaints, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number, descriptor in enumerate((theirs.fileno(), theirs.fileno(), log)):
        os.dup2(descriptor, number)
    theirs.close()
    os.close(log)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is that of a process
    sys.exit(main(words))
