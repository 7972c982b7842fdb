"""A transport of one's own: messages over TCP streams, on asyncio. See docs/transports.md.

- Each server dials each other, and itself, for what it sends. The first four bytes say who it is.
- Then come frames: four bytes of length, and a body as the library's own datagrams have it.
- ``send`` only queues. The queue for each peer is bounded, and loses the oldest.
- A task for each peer sends what is queued, and dials again where a connection was lost. What was
  on its way then is lost; what is queued is for the next connection.
- Bytes that are no messages end the connection that they came on, and nothing else.

All that reach the port can speak for any server: keep non-members away, or give the streams TLS.
"""

from __future__ import annotations

import asyncio
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TypeAlias

from attrs import frozen

from paxos import Message, ServerId, UnknownServer
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_VALUE_BYTES
from paxos_adapters.wire import RejectedDatagram
from paxos_adapters.wire.body import decode_messages, encode_batch, encode_message

Addresses: TypeAlias = Mapping[ServerId, tuple[str, int]]
Deliver: TypeAlias = Callable[[ServerId, Message[bytes]], None]

MAX_FRAME_BYTES = MAX_VALUE_BYTES + MAX_NAME_BYTES + 64
MAX_QUEUED = 1_000
RETRY_S = 0.05


@frozen
class Outbox:
    """Frames for one peer, and whether there are any."""

    frames: deque[bytes]
    filled: asyncio.Event


class TcpTransport:
    """Fits ``paxos_adapters.ports.Transport``, for values that are bytes.

    Belongs to the event loop that it is started on.
    """

    def __init__(self, me: ServerId, addresses: Addresses, deliver: Deliver) -> None:
        """For the server ``me``, with ``addresses`` of all; ``deliver`` gets what comes."""
        self._me, self._addresses, self._deliver = me, addresses, deliver
        self._outboxes = {
            it: Outbox(deque[bytes](maxlen=MAX_QUEUED), asyncio.Event()) for it in addresses
        }
        self._tasks = set[asyncio.Task[None]]()
        self._server: asyncio.Server

    async def start(self) -> None:
        """Listen, and begin to send. Raises OSError."""
        self._server = await asyncio.start_server(
            lambda reader, writer: self._spawn(self._hear(reader, writer)),
            *self._addresses[self._me],
        )
        for peer in self._addresses:
            self._spawn(self._keep_sending(peer))

    def send(self, receiver: ServerId, message: Message[bytes]) -> None:
        """Queue ``message``. Raises UnknownServer, and WireError for what is out of bounds."""
        if receiver not in self._outboxes:
            raise UnknownServer(receiver, self._outboxes.keys())
        body = encode_batch([encode_message("leader", message)])
        outbox = self._outboxes[receiver]
        outbox.frames.append(len(body).to_bytes(4) + body)
        outbox.filled.set()

    async def close(self) -> None:
        """Hear nothing more, and send nothing more."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_sending(self, peer: ServerId) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._addresses[peer])
                try:
                    await self._send_all(self._outboxes[peer], reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(RETRY_S)

    async def _send_all(self, outbox: Outbox, reader: StreamReader, writer: StreamWriter) -> None:
        """Send until the connection is lost. Nothing is heard on it but its end."""
        writer.write(self._me.to_bytes(4))
        while True:
            await outbox.filled.wait()
            while outbox.frames:
                if reader.at_eof():
                    return
                writer.write(outbox.frames.popleft())
                await writer.drain()
            outbox.filled.clear()

    async def _hear(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            sender = ServerId(int.from_bytes(await reader.readexactly(4)))
            while sender in self._addresses and self._server.is_serving():
                size = int.from_bytes(await reader.readexactly(4))
                if size > MAX_FRAME_BYTES:
                    break
                for _, message in decode_messages(await reader.readexactly(size)):
                    self._deliver(sender, message)
        except (OSError, IncompleteReadError, RejectedDatagram):
            pass  # The peer dials again.
        finally:
            writer.transport.abort()
