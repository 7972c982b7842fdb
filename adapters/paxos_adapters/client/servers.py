"""The servers of this machine, over their sockets: one is asked, and on trouble the next.

- A connection takes one question after the other. Those that are free are kept for the next ones.
- Trouble is whatever another server may do better: no server there, none that answers in time, one
  that has stopped. The caller decides whether it asks again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import MsgspecError
from msgspec.json import Decoder, encode

from paxos import PaxosError
from paxos_adapters import forks
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    Question,
    reachable,
    socket_path,
)

MAX_FREE = 8
"""Connections that are kept while nobody asks."""

CONNECT_S = 1.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.02, 0.5
"""The pause after each server was asked in vain; then twice as long, and so on."""

_answer: Decoder[Answer] = Decoder(Answer)


class Trouble(Exception):
    """A server does not answer; another one may."""


class NotThere(Trouble):
    """No server is there to be asked."""


def telling(before: Trouble | None, now: Trouble) -> Trouble:
    """Which trouble tells more: what a server has said, before or now, or that one is not there."""
    return now if before is None or not isinstance(now, NotThere) else before


class Connection:
    """A connection to one server. ``is_watching``: steps come, and nothing else is asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_watching = False

    @property
    def is_open(self) -> bool:
        """Whether the server has not hung up, as far as is known."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def ask(self, question: Question, patience_s: float) -> Answer:
        """The answer. Raises Trouble."""
        try:
            self._writer.write(encode(question) + b"\n")
            async with asyncio.timeout(patience_s):
                await self._writer.drain()
                return await self.hear()
        except TimeoutError:
            raise Trouble("the server hangs") from None
        except OSError as error:
            raise Trouble(f"the server has ended ({error.strerror})") from error

    async def hear(self) -> Answer:
        """The next line. Raises Trouble, and OSError."""
        try:
            line = await self._reader.readline()
            if line.endswith(b"\n"):
                return _answer.decode(line)
        except (ValueError, MsgspecError) as error:
            raise Trouble(f"what the server says cannot be read ({error})") from error
        raise Trouble("the server has ended before it answered")

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class Servers:
    """Those whose data files are ``data``, in this order."""

    def __init__(self, data: Sequence[str | os.PathLike[str]]) -> None:
        self._data = [Path(it) for it in data]
        self._at = 0
        self._failures = 0
        self._free: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection, None]:
        """A connection to the present server, for one caller. Raises Trouble."""
        at = self._at
        try:
            found = self._take_free() or await _connected(self._data[at])
            try:
                yield found
            except BaseException:  # Its answer may still come: nothing else may be asked there.
                found.close()
                raise
            self._failures = 0
            self._keep(found, at)
        except Trouble:
            self._pass_over(at)
            raise

    def _take_free(self) -> Connection | None:
        while self._free:
            found = self._free.pop()
            if found.is_open:
                return found
            found.close()
        return None

    def _keep(self, found: Connection, at: int) -> None:
        if found.is_watching:
            return
        if at == self._at and len(self._free) < MAX_FREE:
            self._free.append(found)
        else:
            found.close()

    def _pass_over(self, at: int) -> None:
        self._failures += 1
        if at == self._at:
            self._at = (at + 1) % len(self._data)
            self.close()

    async def pause(self) -> None:
        """Wait before one more question, if each server has failed in turn."""
        rounds = self._failures // len(self._data)
        if rounds:
            await asyncio.sleep(min(FIRST_PAUSE_S * 2 ** min(rounds - 1, 10), MAX_PAUSE_S))

    def close(self) -> None:
        """Hang up where nobody asks."""
        while self._free:
            self._free.pop().close()


async def _connected(data: Path) -> Connection:
    """A new connection. Raises Trouble."""
    sock = forks.own(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        sock.setblocking(False)
        with reachable(socket_path(data)) as address:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(sock, address)
        streams = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE_BYTES)
    except BaseException as error:
        sock.close()
        raise _trouble(data, error) from error
    return Connection(*streams)


def _trouble(data: Path, error: BaseException) -> BaseException:
    """What it means that the server on ``data`` cannot be connected to."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | ConnectionRefusedError):
        return NotThere(f"no server runs on {data}")
    if isinstance(error, TimeoutError | BlockingIOError):
        return Trouble(f"the server on {data} takes no questions now")
    if isinstance(error, OSError | PaxosError):
        return Trouble(f"the server on {data} cannot be reached ({error})")
    return error
