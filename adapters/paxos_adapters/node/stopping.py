"""A node stops once, for good, and says why. What comes then is refused.

- A save that fails, proof that some server broke the protocol, and every other exception that is
  not expected stop it: whatever the event loop calls is guarded.
- A process that was forked off uses nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from paxos import PaxosError, ServerId
from paxos_adapters import forks
from paxos_adapters.guard import Guard
from paxos_adapters.host import ServerStopped
from paxos_adapters.requests.errors import NodeClosed

_logger = logging.getLogger(__name__)


class Stopping:
    """``cause``: why the node has stopped; None as long as it works. ``end`` is set then."""

    def __init__(
        self, server: ServerId, path: Path, let_go: Callable[[ServerStopped], None]
    ) -> None:
        """``let_go`` ends all that is in progress. ``path`` is that of its file."""
        self.guard = Guard(self.stop)
        self.cause: ServerStopped | None = None
        self.end = asyncio.Event()
        self._server, self._path, self._let_go = server, path, let_go
        self._process = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether this is another process than the one of the node."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise Forked, if so."""
        forks.check(self._process, self._path)

    def check(self) -> None:
        """Raise Forked or ServerStopped, if so."""
        self.check_process()
        if self.cause is not None:
            raise self.cause

    def stop(self, cause: BaseException) -> None:
        """Stop the node, unless it has stopped."""
        if self.cause is None:
            self.cause = ServerStopped(self._server, cause)
            self.end.set()
            if not isinstance(cause, NodeClosed):
                facts = {"event": "stopped", "server": self._server, "reason": type(cause).__name__}
                trace = None if isinstance(cause, PaxosError) else cause
                _logger.critical("%s", self.cause, extra=facts, exc_info=trace)
            self._let_go(self.cause)

    async def wait(self) -> ServerStopped:
        """Wait until it has stopped; why. Raises Forked."""
        self.check_process()
        await self.end.wait()
        assert self.cause is not None
        return self.cause
