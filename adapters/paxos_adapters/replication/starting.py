"""How a log starts on a server: from its snapshot and its entries, run again in order.

- What the file knows to be chosen is applied before the log takes part.
- What was found to differ from the other servers is found again, before anybody can read it.
- It runs in a thread: the node serves its other names in the meantime.
- A command that cannot be applied ends the program of the log, here as while it runs. The replica
  goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from paxos import Proposal, QuorumSystem
from paxos.log.memory import FIRST_SLOT, Delta, Record
from paxos.log.messages import Entry
from paxos.log.replica import DEFAULT_RULES
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.log_file import LogFile
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.log import LogObserver
from paxos_adapters.ports import Place
from paxos_adapters.replication.applying import Applied, started
from paxos_adapters.replication.log import Host, ReplicatedLog
from paxos_adapters.replication.process import LogProcess
from paxos_adapters.replication.program import Program
from paxos_adapters.replication.served import Served
from paxos_adapters.replication.snapshot_worker import SnapshotWorker
from paxos_adapters.replication.snapshots import (
    Codecs,
    OtherVersion,
    check_of,
    check_of_state,
    restored,
)
from paxos_adapters.state_machine import StateMachine

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

READ_AT_A_TIME, READ_BYTES = 256, 8 << 20
"""Entries that are read from the file at a time."""

SNAPSHOT_BYTES = 16 << 20
"""The bytes of entries after which a snapshot is due, if a program does not say otherwise."""


class LogsFile(Protocol):
    """The memory of a server, as far as its logs need it."""

    @property
    def identity(self) -> Identity:
        """Whose memory it is."""
        ...

    @property
    def quorum(self) -> QuorumSystem:
        """The members and their quorums."""
        ...

    @property
    def session(self) -> str:
        """The name of this opening: 16 hexadecimal digits, which no other one has."""
        ...

    def log(self, name: str) -> LogFile:
        """The part of it that is about one log."""
        ...


@frozen
class Recovered(Generic[S, C, R]):
    """What a log starts from: the records of its replica, and its program."""

    records: Sequence[Record[bytes]]
    program: Program[S, C, R]


def recovered(
    file: LogsFile,
    name: str,
    machine: StateMachine[S, C, R],
    codecs: Codecs[S, C, R],
    snapshot_bytes: int,
) -> Recovered[S, C, R]:
    """All that the file has of the log, applied.

    Raises StoreError, NotALog, and BadSnapshot for one that the codecs do not know.
    """
    own = file.log(name)
    own.sweep()
    records = own.load().records
    handle = own.snapshot()
    if handle is None:
        start: Applied[S, R] | OtherVersion = started(machine, file.quorum)
    else:
        pieces = (own.snapshot_piece(handle, it) for it in range(handle.pieces))
        start = restored(codecs, pieces)
    window, nonce = DEFAULT_RULES.window, int(file.session, 16)
    program = Program(name, machine, codecs, window, start, nonce, snapshot_bytes)
    if handle is not None:
        program.keep(check_of(handle.slot, handle.digest, own.snapshot_piece(handle, 0)))
    end = max((it.first for it in records if type(it) is Delta), default=FIRST_SLOT)
    while program.failure is None and (slot := program.applied.slot) < end:
        replay(program, codecs, own.fetch(slot, READ_AT_A_TIME, READ_BYTES))
    return Recovered(records, program)


def replay(
    program: Program[S, C, R],
    codecs: Codecs[S, C, R],
    proposals: Iterable[Proposal[Entry[bytes]]],
) -> None:
    """Apply ``proposals``, what is chosen next, with each check of them.

    So the digest of each snapshot that is due is needed at once, and not only that of the last.
    """
    for proposal in proposals:
        program.commit(program.applied.slot, (proposal,))
        if (due := program.due_now) is not None:
            with suppress(Exception):  # A codec that fails is reported by the snapshot.
                program.keep(check_of_state(codecs, due))


class LogRun(Generic[S, C, R]):
    """One log on one node, from its start to its end: what happens to its snapshots."""

    def __init__(
        self,
        host: Host,
        file: LogsFile,
        name: str,
        machine: StateMachine[S, C, R],
        codecs: Codecs[S, C, R],
        found: Recovered[S, C, R],
        observer: LogObserver[bytes] | None,
    ) -> None:
        """Raises ThreadNotStarted."""
        own = file.log(name)
        self._host = host
        self._snapshots = SnapshotWorker(own, codecs, self, host.deliver)
        self.process = LogProcess(
            Place(file.identity.server, name),
            file.quorum,
            found.records,
            found.program,
            own,
            self._snapshots,
            observer=observer,
        )
        self.log = ReplicatedLog(host, self.process, codecs)
        self.served = Served(host, self.log, self.process, machine, codecs)

    def close(self) -> None:
        """Begin no snapshot any more."""
        self._snapshots.close()

    def on_taken(self, handle: SnapshotHandle) -> None:
        """See ``Outcomes``."""
        self.process.on_taken(handle)
        self._host.wake()

    def on_restored(self, handle: SnapshotHandle, applied: Applied[S, R] | OtherVersion) -> None:
        """See ``Outcomes``."""
        self.process.install(handle, applied)
        self._host.wake()

    def on_put(self) -> None:
        """See ``Outcomes``."""
        self.process.on_put()
        self._host.wake()

    def on_snapshot_failed(self, error: Exception) -> None:
        """See ``Outcomes``."""
        self.process.give_up_install()
        self._host.on_snapshot_failed(self.process.place.name, error)
