"""What one server has applied of a log, and what its program waits for.

- What is committed is applied at once, slot after slot, in whatever order it is reported.
- A result is handed out as the codec brings it back, unless nobody can change it: the table of the
  sessions keeps the other one.
- A command that cannot be decoded or run ends this for good, on this server: see ``CannotApply``.
  So does a version of the state machine that this program lacks.
- So does a digest that another server has, and this one has not: see ``consistency.py``.
- Watchers get what is applied from the moment on at which they came. One that is too far behind
  gets an error, and holds up nothing.
"""

from __future__ import annotations

import logging
from types import NoneType
from typing import Generic, TypeVar

from attrs import evolve

from paxos import PaxosError, Proposal
from paxos.log.messages import Entry
from paxos.log.sessions import Opened, Outcome, Result, Sessions
from paxos_adapters.cannot_apply import CannotApply, Diverged, LacksVersion, NewerEntry
from paxos_adapters.replication.applying import DUE_BYTES, Applied, Ran, applied
from paxos_adapters.replication.batches import Check, NewerItem
from paxos_adapters.replication.clients import Clients
from paxos_adapters.replication.consistency import Consistency
from paxos_adapters.replication.leases import Leases
from paxos_adapters.replication.reads import Reads
from paxos_adapters.replication.snapshots import Codecs, OtherVersion
from paxos_adapters.replication.submissions import Submissions
from paxos_adapters.replication.watching import Step, Watchers
from paxos_adapters.state_machine import StateMachine, VersionMissing

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

_logger = logging.getLogger(__name__)

_IMMUTABLE = bool, int, float, str, bytes, NoneType


class Program(Generic[S, C, R]):
    """A state machine on one server. ``failure``: why it applies nothing more."""

    def __init__(
        self,
        name: str,
        machine: StateMachine[S, C, R],
        codecs: Codecs[S, C, R],
        window: int,
        start: Applied[S, R] | OtherVersion,
        nonce: int,
        snapshot_bytes: int,
    ) -> None:
        """Go on from ``start``. A snapshot is due after ``snapshot_bytes`` of entries."""
        self._name = name
        self._machine = machine
        self._codecs = codecs
        self._window = window
        self.applied = _known(start, machine.start)
        self._snapshot_bytes = snapshot_bytes
        self._due_snapshot: Applied[S, R] | None = None
        self._committed: dict[int, tuple[Proposal[Entry[bytes]], ...]] = {}
        self.submissions = Submissions[R](nonce)
        self.clients = Clients[R]()
        self.reads = Reads[S]()
        self.leases = Leases(None)
        self.watchers = Watchers[C, R]()
        self.consistency = Consistency()
        self.failure: PaxosError | None = None
        self.commands = 0
        """How many were applied."""
        if isinstance(start, OtherVersion):
            self._fail(VersionMissing(start.version))

    def commit(self, slot: int, proposals: tuple[Proposal[Entry[bytes]], ...]) -> None:
        """``proposals`` are chosen for ``slot`` and the slots behind it."""
        if self.failure is None:
            self._committed[slot] = proposals
            self._advance()

    def _advance(self) -> None:
        while (found := self._due()) is not None:
            for proposal in found:
                if self.failure is None:
                    self._apply(proposal)
        self.look()

    def look(self) -> None:
        """Serve the readers that have waited for what is applied."""
        self.reads.on_applied(self.applied.slot, self.applied.state)

    def _due(self) -> tuple[Proposal[Entry[bytes]], ...] | None:
        """What is committed for the next slot and those behind it; None if it is not known yet."""
        next_ = self.applied.slot
        for slot, proposals in self._committed.items():
            if slot <= next_ < slot + len(proposals):
                del self._committed[slot]
                return proposals[next_ - slot :]
        self._committed = {it: found for it, found in self._committed.items() if it > next_}
        return None

    def _apply(self, proposal: Proposal[Entry[bytes]]) -> None:
        before = self.applied
        try:
            self.applied, happened = applied(
                self._machine, self._codecs.commands, self._window, before, proposal
            )
        except Exception as error:  # It is the program's own code: it may raise anything.
            self._fail(error)
            return
        if self.applied.size_bytes >= DUE_BYTES:
            self.consistency.asked_at = self.applied.slot
        if self.applied.size_bytes >= self._snapshot_bytes:
            self.applied = self._due_snapshot = evolve(self.applied, size_bytes=0)
        for it in happened:
            if type(it) is Opened:
                self.submissions.on_opened(it)
                self.clients.on_opened(it)
            elif type(it) is Ran:
                self._on_ran(it)
            elif type(it) is Check and (own := self.consistency.compare(it)) is not None:
                self._diverge(own, it)

    def _fail(self, error: Exception) -> None:
        """``error`` was raised by the slot that comes next."""
        name, slot = self._name, self.applied.slot
        if isinstance(error, VersionMissing):
            self.end(LacksVersion(name, slot, error.version, self._machine.versions))
        elif isinstance(error, NewerItem):
            self.end(NewerEntry(name, slot))
        else:
            why = f"a command there raises {type(error).__name__}: {error}"
            self.end(CannotApply(name, slot, why))
        _logger.critical("%s", self.failure, exc_info=error)

    def keep(self, own: Check | None) -> None:
        """A snapshot of this server has that digest, if it can be compared."""
        if own is not None and (asked := self.consistency.keep(own)) is not None:
            self._diverge(own, asked)

    def _diverge(self, own: Check, chosen: Check) -> None:
        slot = self.applied.slot - 1
        self.end(Diverged(self._name, slot, chosen.slot, own.digest, chosen.digest))
        _logger.critical("%s", self.failure)

    def _on_ran(self, ran: Ran[C, R]) -> None:
        numbers = [number for number, _ in ran.commands]
        self.commands += len(numbers)
        if ran.session == self.submissions.session:
            self.submissions.on_outcomes(ran.session, numbers, map(self._copied, ran.outcomes))
        self.clients.on_outcomes(ran.session, numbers, ran.outcomes)
        if self.watchers:
            for (_, command), outcome in zip(ran.commands, ran.outcomes, strict=True):
                if type(outcome) is Result:
                    self.watchers.tell(Step(ran.slot, command, outcome.result))

    def _copied(self, outcome: Outcome[R]) -> Outcome[R]:
        """The same, with a result of which the caller may do what it likes."""
        if type(outcome) is not Result or isinstance(outcome.result, _IMMUTABLE):
            return outcome
        results = self._codecs.results
        return Result(results.decode(results.encode(outcome.result)))

    @property
    def versions(self) -> range:
        """The versions of the state machine that this program has."""
        return self._machine.versions

    @property
    def sources(self) -> tuple[Submissions[R], Clients[R]]:
        """What commands come from: this program, and clients."""
        return self.submissions, self.clients

    @property
    def waiting(self) -> tuple[int | None, ...] | None:
        """What waits longest for an answer, of each kind, by number; None if nothing waits."""
        oldest = *(it.oldest for it in self.sources), self.reads.number
        return None if oldest == (None, None, None) else oldest

    @property
    def due_now(self) -> Applied[S, R] | None:
        """What is applied, if a snapshot is due of just that."""
        due = self._due_snapshot
        return due if due is not None and due.slot == self.applied.slot else None

    def take_due(self) -> Applied[S, R] | None:
        """What a snapshot is due of; None if none is."""
        due, self._due_snapshot = self._due_snapshot, None
        return due

    def install(self, snapshot: Applied[S, R] | OtherVersion) -> None:
        """Go on from ``snapshot``, which is ahead of what is applied."""
        self.applied = _known(snapshot, self.applied.state)
        if isinstance(snapshot, OtherVersion):
            self._fail(VersionMissing(snapshot.version))
            return
        self.submissions.on_installed(snapshot.sessions)
        self.clients.on_installed(snapshot.sessions)
        self._advance()

    def end(self, error: PaxosError) -> None:
        """There is nothing more to come: all that wait get ``error``."""
        if self.failure is None:
            self.failure = error
            self.submissions.end(error)
            self.clients.end(error)
            self.reads.end(error)
            self.watchers.end(error)
            self.consistency.end(error)


def _known(snapshot: Applied[S, R] | OtherVersion, state: S) -> Applied[S, R]:
    """What a snapshot stands for; with ``state`` instead, if this program cannot read its own."""
    if not isinstance(snapshot, OtherVersion):
        return snapshot
    it = snapshot
    return Applied(state, Sessions(), it.slot, it.configurations, version=it.version)
