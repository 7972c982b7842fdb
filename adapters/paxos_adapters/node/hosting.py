"""What the logs and the members of a node ask of it: see ``replication.log.Host``, ``MembersHost``.

Any number of logs run on a node, each from the moment on at which a program enters it. That of the
members is one of them: what is applied of it decides which links there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from paxos import ServerId
from paxos.log.messages import CatchUpRequest
from paxos_adapters.file import NotALog, SaveFailed
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.log import LogObserver
from paxos_adapters.node.epochs import MembersLog
from paxos_adapters.node.logs import LogClosed, LogRunning
from paxos_adapters.node.members import Members
from paxos_adapters.node.participant import Participant
from paxos_adapters.node.ports import Links, NodeFile
from paxos_adapters.node.stopping import Stopping
from paxos_adapters.node.turn import Turn
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.membership import Membership, addresses, steps
from paxos_adapters.replication.membership_machine import machine as machine_of_members
from paxos_adapters.replication.snapshots import codecs_of
from paxos_adapters.replication.starting import SNAPSHOT_BYTES, LogRun, recovered
from paxos_adapters.requests.errors import NotStarted
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.timeouts import Lease, Timeouts
from paxos_adapters.udp.addresses import Address

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
_logger = logging.getLogger(__name__)


class Hosting:
    """One node, as its logs and its ``members`` know it."""

    def __init__(
        self, file: NodeFile, links: Links, stopping: Stopping, turn: Turn, timeouts: Timeouts
    ) -> None:
        self.me = file.identity.server
        self.file = file
        self.guard = stopping.guard
        self.wake, self.deliver, self.is_log = turn.wake, turn.deliver, turn.is_log
        self._links, self._stopping, self._turn = links, stopping, turn
        self._timeouts = timeouts
        self.participant = Participant(self, turn.logs, links.configured)
        self.members = Members(
            self, turn.logs, self.participant, links.configured, links.check_address
        )
        turn.on_members, turn.look = self.participant.use, self.participant.look

    def check_usable(self) -> None:
        """Raise NotStarted, ServerStopped or Forked, if so."""
        self._stopping.check_process()
        if not self._turn.has_begun:
            raise NotStarted
        self._stopping.check()

    # --- logs -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def run_log(
        self,
        name: str,
        machine: StateMachine[S, C, R],
        snapshot_bytes: int = SNAPSHOT_BYTES,
        observer: LogObserver[bytes] | None = None,
    ) -> AsyncGenerator[ReplicatedLog[S, C, R], None]:
        """See ``Node.log``."""
        codecs = codecs_of(machine)
        if name in self._turn.logs:
            raise LogRunning(name)
        quorum = await self.participant.founding_quorum(name)
        found = await asyncio.to_thread(
            recovered, self.file, name, machine, codecs, snapshot_bytes, quorum
        )
        self.check_usable()
        if name in self._turn.decisions:
            raise NotALog(name, is_log=False)
        run = LogRun(self, self.file, name, machine, codecs, found, observer)
        try:
            self._turn.logs.add(run.process, run.served)
            self.participant.on_entered(run.process)
            self.wake()
            yield run.log
        finally:
            run.close()
            self._turn.logs.remove(run.process, LogClosed(name))
            self.participant.on_left(name)

    @property
    def lease(self) -> Lease | None:
        """See ``replication.log.Host``."""
        return self._timeouts.lease

    @property
    def stopwatch(self) -> Callable[[str, float], None] | None:
        """See ``replication.log.Host``."""
        return self._turn.logs.on_submitted

    def on_snapshot_failed(self, name: str, error: Exception) -> None:
        """See ``replication.log.Host``."""
        if isinstance(error, SaveFailed):
            self._stopping.stop(error)
        elif self._stopping.cause is None:
            facts = {"event": "snapshot", "server": self.me, "log": name}
            text = "no snapshot of the log %r: %s. It keeps its entries, and goes on"
            _logger.error(text, name, error, exc_info=error, extra=facts)

    # --- members ----------------------------------------------------------------------------------

    def log_of_members(self) -> AbstractAsyncContextManager[MembersLog]:
        """See ``participant.MembersHost``."""
        return self.run_log(MEMBERS_LOG, machine_of_members(self.file.quorum))

    @property
    def advertised(self) -> Address:
        """See ``participant.MembersHost``."""
        host, port = self._links.configured[self.me]
        # Port 0 stands for any that was free.
        return host, port or int(self._links.endpoint.local_address[1])

    def link(self, state: Membership) -> None:
        """See ``participant.MembersHost``."""
        former = state.former - {it.server for it in state.leaving}
        known = {it: at for it, at in addresses(state).items() if at is not None}
        told = self._links.configured | known  # What is configured may be all that is up.
        # Newcomers do not count before the change is finished: one that is down stops nobody.
        quorum = state.before[0] if state.before else state.quorum
        self._links.set_members(
            {it: at for it, at in told.items() if it not in former},
            quorum,
            former=former,
            epoch=state.epoch,
            steps=steps(state),
        )

    @property
    def teachers(self) -> frozenset[ServerId]:
        """See ``participant.MembersHost``."""
        return self._links.registration.teachers

    def ask_for_members(self, peers: frozenset[ServerId], first: int) -> None:
        """See ``participant.MembersHost``."""
        for peer in sorted(peers):
            self._links.enqueue(peer, MEMBERS_LOG, CatchUpRequest(first))
        self.wake()

    # --- epochs of decisions ----------------------------------------------------------------------

    async def suspend_decisions(self) -> None:
        """See ``epochs.EpochsHost``."""
        self._turn.decisions.suspend()
        while self._turn.decisions.is_saving:
            await self.pause()

    def resume_decisions(self) -> None:
        """See ``epochs.EpochsHost``."""
        self._turn.decisions.resume()
        self.wake()

    async def pause(self) -> None:
        """See ``epochs.EpochsHost``."""
        await asyncio.sleep(self._timeouts.heartbeat_s)
