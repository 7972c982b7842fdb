"""The memory of one server in this process: what was saved is there when the server starts again.

- The rows are those of a file, and so are the bounds on what may be saved.
- A save is done when it returns. None waits, and none fails unless a test says so.
- One opening of a disk is in use. What an earlier one writes later is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import RLock

from attrs import Factory, define, field

from paxos import QuorumSystem, Saved
from paxos_adapters.file import epochs
from paxos_adapters.file.entries import AnyEntry, AnyRecord, Record, check_name
from paxos_adapters.file.epochs import AT_ONCE, Accepted
from paxos_adapters.file.errors import Closed, SaveFailed
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.log_file import LogFile
from paxos_adapters.file.log_rows import LogState, replica_of
from paxos_adapters.file.log_table import LogTable
from paxos_adapters.file.rows import (
    ACCEPTOR,
    REPLICA,
    ROUND,
    Epoch,
    Key,
    Row,
    acceptor_of,
    round_of,
)
from paxos_adapters.file.snapshots import SnapshotHandle


def _founding(disk: Disk) -> Epoch:
    return epochs.founding(disk.identity)


@define(eq=False)
class Disk:
    """The rows of one server, by name and kind. ``session``: the opening that may write.

    ``failure``: why nothing can be saved.
    """

    identity: Identity
    rows: dict[str, dict[str, Row]] = field(factory=dict[str, dict[str, Row]])
    saves: int = 0
    session: str = ""
    failure: OSError | None = None
    epoch: Epoch = field(init=False, default=Factory(_founding, takes_self=True))
    lock: RLock = field(factory=RLock)


class MemoryFile:
    """One opening of ``disk``. Safe to use from several threads."""

    def __init__(self, disk: Disk, session: str) -> None:
        self.path = Path(f"the memory of server {disk.identity.server}")
        self.identity = disk.identity
        self.quorum = disk.identity.quorum
        self.session = session
        self.waits = None
        self._disk = disk
        self._lock = disk.lock

    @property
    def saves(self) -> int:
        """How often it was saved."""
        return self._disk.saves

    def acquire(self) -> None:
        """From now on this opening reads and writes, and no earlier one writes."""
        with self._lock:
            self._disk.session = self.session
            rows = self._disk.rows.items()
            logs = {name: replica_of(it[REPLICA]) for name, it in rows if REPLICA in it}
            self._logs = LogTable(logs, self._has_decision)

    # --- decisions --------------------------------------------------------------------------------

    def load(self, decision: str) -> Saved[Record]:
        """See ``FileStore.load``. Raises BadName, TooLarge, NotALog."""
        with self._lock:
            self._logs.check_decisions([decision])
            found = dict(self._disk.rows.get(decision, {}))
        acceptors = [acceptor_of(found[ACCEPTOR])] if ACCEPTOR in found else []
        rounds = [round_of(found[ROUND])] if ROUND in found else []
        return Saved((*acceptors, *rounds))

    # --- epochs of decisions ----------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """See ``FileStore.epoch``."""
        return self._disk.epoch

    def accepted(self, after: str = "", most: int = AT_ONCE) -> tuple[Accepted, ...]:
        """See ``FileStore.accepted``."""
        with self._lock:
            rows = [it for it in self._acceptors() if it.name > after][:most]
        return tuple([(it.name, acceptor_of(it).accepted) for it in rows])

    def close_epoch(self, number: int) -> None:
        """See ``FileStore.close_epoch``. Raises as ``save_all``."""
        with self._lock:
            self._commit([])
            self._disk.epoch = epochs.closed(self.epoch, number)

    def adopt(self, number: int, quorum: QuorumSystem, settled: epochs.Settled) -> None:
        """See ``FileStore.adopt``: it is one commit here."""
        with self._lock:
            if not epochs.is_next(self.path, self.epoch, number):
                return
            self._logs.check_decisions(settled)
            rows, saves = self._acceptors(), self.saves + 1
            missing = epochs.chunks(settled, [it.name for it in rows])
            first = [row for chunk in missing for row in epochs.first_rows(chunk, saves)]
            self._commit([*epochs.adopted(rows, settled, saves), *first])
            self._disk.epoch = Epoch(number, quorum)

    def _acceptors(self) -> list[Row]:
        return [it[ACCEPTOR] for _, it in sorted(self._disk.rows.items()) if ACCEPTOR in it]

    # --- backups ----------------------------------------------------------------------------------

    def decisions_after(self, name: str, most: int) -> tuple[str, ...]:
        """See ``FileStore.decisions_after``."""
        with self._lock:
            names = sorted(it for it in self._disk.rows if it > name and self._has_decision(it))
            return tuple(names[:most])

    # --- logs -------------------------------------------------------------------------------------

    def log(self, name: str) -> LogFile:
        """See ``FileStore.log``. Raises BadName, TooLarge."""
        check_name("the name of a log", name)
        return LogFile(self, name)

    def log_state(self, name: str) -> LogState | None:
        """See ``log_file.Rows``. Raises NotALog for the name of a decision."""
        with self._lock:
            return self._logs.state(name)

    def has_log(self, name: str) -> bool:
        """See ``FileStore.has_log``."""
        return name in self._logs

    def logs(self) -> tuple[str, ...]:
        """See ``FileStore.logs``."""
        return self._logs.names()

    def decisions(self) -> tuple[str, ...]:
        """See ``FileStore.decisions``."""
        return tuple(sorted(filter(self._has_decision, self._disk.rows)))

    def _has_decision(self, name: str) -> bool:
        found = self._disk.rows.get(name, {})
        return ACCEPTOR in found or ROUND in found

    def checked(self, name: str) -> tuple[SnapshotHandle, ...]:
        """See ``log_file.Rows``."""
        return self._logs.checked(name)

    def set_checked(self, name: str, handles: tuple[SnapshotHandle, ...]) -> None:
        """See ``log_file.Rows``."""
        self._logs.set_checked(name, handles)

    def read_range(self, name: str, least: str, end: str, most: int) -> list[Row]:
        """See ``log_file.Rows``."""
        with self._lock:
            found = self._disk.rows.get(name, {})
            return [found[kind] for kind, _ in self.kinds(name, least, end, most)]

    def kinds(self, name: str, least: str, end: str, most: int) -> list[tuple[str, int]]:
        """See ``log_file.Rows``."""
        with self._lock:
            rows = self._disk.rows.get(name, {})
            found = sorted(rows)
            found = found[bisect_left(found, least) : bisect_left(found, end)][:most]
            return [(kind, len(rows[kind].value or b"")) for kind in found]

    def write(self, rows: Callable[[int], Sequence[Row]], gone: Sequence[Key] = ()) -> None:
        """See ``log_file.Rows``. Raises as ``save_all``."""
        with self._lock:
            self._commit(rows(self.saves + 1), gone)

    # --- saving -----------------------------------------------------------------------------------

    def save_all(self, batch: Iterable[AnyEntry], *, wait: bool = True) -> Saved[AnyRecord]:
        """See ``FileStore.save_all``.

        Raises TooLarge, BadName, NotBytes; SaveFailed; Closed if the server was started again.
        """
        del wait  # Nothing is ever in the way.
        entries = tuple(batch)
        with self._lock:
            rows, states = self._logs.rows_of(self.path, self.epoch, entries, self.saves + 1)
            self._commit(rows)
            self._logs.committed(states)
        return Saved(tuple([record for _, record in entries]))

    def stop_waiting(self) -> None:
        """See ``FileStore.stop_waiting``."""

    def _commit(self, rows: Sequence[Row], gone: Sequence[Key] = ()) -> None:
        disk = self._disk
        if disk.session != self.session:
            raise Closed(self.path)
        if disk.failure is not None:
            raise SaveFailed(self.path, disk.failure) from disk.failure
        for row in rows:
            disk.rows.setdefault(row.name, {})[row.kind] = row
        for name, kind in gone:
            disk.rows[name].pop(kind, None)
        disk.saves += 1
