"""A thread takes and restores snapshots: one thing at a time, and the later one of two."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue

import pytest

from paxos import ServerId, majority
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.log_messages import SnapshotOffer
from paxos_adapters.replication.applying import Applied, started
from paxos_adapters.replication.snapshot_worker import SnapshotWorker
from paxos_adapters.replication.snapshots import OtherVersion, codecs_of
from paxos_adapters.state_machines import COUNTER

PATIENCE_S = 30.0


class File:
    """Takes all pieces, and keeps none."""

    def begin_snapshot(self) -> None:
        pass

    def put_snapshot_pieces(self, slot: int, index: int, pieces: Sequence[bytes]) -> None:
        pass

    def check_snapshot(self, handle: SnapshotHandle) -> None:
        pass

    def snapshot_piece(self, handle: SnapshotHandle, index: int) -> bytes:
        raise AssertionError(f"none is restored here: {handle}, {index}")

    def sweep_entries(self) -> None:
        pass


class Outcomes:
    """``taken`` are the slots of the snapshots that were taken."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.puts = 0

    def on_taken(self, handle: SnapshotHandle) -> None:
        self.taken.append(handle.slot)

    def on_restored(
        self, handle: SnapshotHandle, applied: Applied[int, int] | OtherVersion
    ) -> None:
        raise AssertionError(f"none is restored here: {handle}, {applied}")

    def on_put(self) -> None:
        self.puts += 1

    def on_snapshot_failed(self, error: Exception) -> None:
        raise error


class Working:
    """A worker, and what it has delivered to the event loop."""

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        self._calls = SimpleQueue[Callable[[], None]]()
        codecs = codecs_of(COUNTER)
        self.worker = SnapshotWorker(File(), codecs, self.outcomes, self._calls.put)

    def deliver(self) -> None:
        """The next thing that the thread has to say."""
        self._calls.get(timeout=PATIENCE_S)()


@pytest.fixture
def working() -> Generator[Working, None, None]:
    it = Working()
    yield it
    it.worker.close()


def applied(slot: int) -> Applied[int, int]:
    it = started(COUNTER, majority([ServerId(1)]))
    return Applied(it.state, it.sessions, slot, it.configurations)


def offer(slot: int) -> SnapshotOffer:
    return SnapshotOffer(slot, 20, 20, bytes(DIGEST_BYTES))


def test_a_snapshot_is_taken_once_the_one_that_comes_in_is_of_no_use(working: Working) -> None:
    """Its sender is gone, and this server has learned its slots from another one."""
    working.worker.begin(offer(50))
    working.worker.put([b"v"], is_last=False)
    working.deliver()
    working.worker.take(applied(50))
    working.deliver()
    assert (working.outcomes.taken, working.outcomes.puts) == ([50], 1)
    assert not working.worker.is_busy


def test_none_is_taken_while_a_later_one_comes_in(working: Working) -> None:
    working.worker.begin(offer(50))
    working.worker.take(applied(49))
    working.worker.put([b"v"], is_last=False)
    working.deliver()
    assert (working.outcomes.taken, working.outcomes.puts) == ([], 1)
    assert working.worker.is_busy
