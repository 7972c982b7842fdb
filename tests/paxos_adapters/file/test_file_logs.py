"""Logs in a store file: they are what ``fold`` makes of all records, whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import Ballot, Proposal
from paxos.log import Change, Command, Configuration, Delta, Memory, Noop
from paxos.log.memory import Prefix, Record, Written, added, fetched, fold
from paxos.log.messages import Entry
from paxos_adapters.file import FileStore, StoreCorrupted, inspect
from paxos_adapters.file.errors import BadPieces, NotALog, OtherSnapshot, SnapshotTooFar, TooLarge
from paxos_adapters.file.log_file import SWEPT_BYTES, LogFile
from paxos_adapters.file.log_rows import LogState
from paxos_adapters.file.rows import Row
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.limits import MAX_LEASE_MS
from tests.support.files import MEMBERS, ONE, PROMISED, create, edit, forge, reopen

CONFIGURATIONS = (Configuration(1, MEMBERS),)
ENTRIES: Sequence[Entry[bytes]] = Command(b"red"), Command(b""), Noop(), Change(MEMBERS)
PIECES = [b"p" * 2000, b"", b"last"]
REACH = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


def delta(number: int, first: int, *slots: int, floor: int = 1) -> Delta[bytes]:
    """Under ballot ``number``, an entry for each of ``slots``."""
    ballot = Ballot(number, ONE)
    written: Written[bytes] = tuple((it, Proposal(ballot, Command(b"%d" % it))) for it in slots)
    return Delta(ballot, first, CONFIGURATIONS, written, floor)


def handle_of(slot: int, pieces: Sequence[bytes]) -> SnapshotHandle:
    digest = blake2b(b"".join(pieces), digest_size=DIGEST_BYTES).digest()
    return SnapshotHandle(slot, len(pieces), sum(map(len, pieces)), digest)


def put_snapshot(log: LogFile, slot: int, pieces: Sequence[bytes] = PIECES) -> SnapshotHandle:
    """All pieces are there; nothing says yet that they are the snapshot of the log."""
    handle = handle_of(slot, pieces)
    log.begin_snapshot()
    log.put_snapshot_pieces(slot, 0, pieces[:1])
    log.put_snapshot_pieces(slot, 1, pieces[1:])
    log.check_snapshot(handle)
    return handle


def disk_of(file: FileStore, name: str) -> tuple[Record[bytes], ...]:
    """What a log has, with its chosen entries."""
    log = file.log(name)
    records = log.load().records
    prefixes = [it for it in records if type(it) is Prefix]
    if not prefixes:
        return records
    (prefix,) = prefixes
    assert prefix.proposals == ()
    whole = Prefix(prefix.floor, log.fetch(prefix.floor, 1_000, 1 << 20))
    return whole, *(it for it in records if type(it) is Delta)


# --- the law ----------------------------------------------------------------------------------


class Model:
    """A file with two logs, and what ``fold`` makes of the records that were saved."""

    def __init__(self, path: Path, data: st.DataObject) -> None:
        self.path, self.data = path, data
        self.file = create(path)
        self.disks: dict[str, tuple[Record[bytes], ...]] = {"a": (), "b": ()}
        self.memories = {name: Memory[bytes](CONFIGURATIONS) for name in self.disks}
        self.snapshots: dict[str, tuple[SnapshotHandle, list[bytes]]] = {}

    def step(self) -> None:
        acts = [self.save, self.save, self.reopen, self.snapshot, self.install, self.sweep]
        self.data.draw(st.sampled_from(acts))()
        for name, disk in self.disks.items():
            assert disk_of(self.file, name) == disk
            log = self.file.log(name)
            slot, count = self.data.draw(st.tuples(st.integers(1, 30), st.integers(1, 5)))
            assert log.fetch(slot, count, 1 << 20) == fetched(disk, slot, count)
            if name in self.snapshots:
                handle, pieces = self.snapshots[name]
                assert log.snapshot() == handle
                assert [log.snapshot_piece(handle, it) for it in range(len(pieces))] == pieces
            else:
                assert log.snapshot() is None

    def save(self) -> None:
        names = st.lists(st.sampled_from(sorted(self.disks)), max_size=3)
        batch = [(name, self.delta(name)) for name in self.data.draw(names)]
        receipt = self.file.save_all(batch)
        assert all(receipt.covers(it) for _, it in batch)

    def delta(self, name: str) -> Delta[bytes]:
        draw, memory = self.data.draw, self.memories[name]
        ballot = Ballot(memory.promised.round + draw(st.integers(0, 2)), ONE)
        slots = st.integers(memory.first, memory.first + REACH - 1)
        drawn = draw(st.dictionaries(slots, st.sampled_from(ENTRIES), max_size=REACH))
        written = tuple((slot, Proposal(ballot, it)) for slot, it in sorted(drawn.items()))
        after = added(memory, Delta(ballot, memory.first, CONFIGURATIONS, written))
        held = [it is not None for it in after.open]
        ready = held.index(False) if False in held else len(held)
        first = memory.first + draw(st.integers(0, ready))
        return self.folded(name, Delta(ballot, first, CONFIGURATIONS, written))

    def folded(self, name: str, record: Delta[bytes]) -> Delta[bytes]:
        self.disks[name] = fold(self.disks[name], record)
        self.memories[name] = added(self.memories[name], record)
        return record

    def snapshot(self) -> None:
        """Its own: it stands for what is chosen."""
        self.take("a", 0)

    def install(self) -> None:
        """That of a peer, which knows more."""
        self.take("b", self.data.draw(st.integers(1, 3)))

    def take(self, name: str, ahead: int) -> None:
        memory = self.memories[name]
        slot = memory.first + ahead
        log = self.file.log(name)
        floor = max([1, *(it.floor for it in self.disks[name] if type(it) is Prefix)])
        if slot <= floor:
            return
        pieces = self.data.draw(st.lists(st.binary(max_size=1500), max_size=3))
        handle = put_snapshot(log, slot, pieces)
        record: Delta[bytes] = Delta(memory.promised, slot, CONFIGURATIONS, (), slot)
        self.file.save_all([(name, self.folded(name, record)), (name, handle)])
        self.snapshots[name] = handle, pieces

    def sweep(self) -> None:
        for name in self.disks:
            self.file.log(name).sweep()

    def reopen(self) -> None:
        self.file.close()
        self.file = reopen(self.path)


@settings(max_examples=60)
@given(st.data())
def test_a_log_is_the_fold_of_all_records(tmp_path: Path, data: st.DataObject) -> None:
    with TemporaryDirectory(dir=tmp_path) as folder:
        model = Model(Path(folder) / "n1.db", data)
        try:
            for _ in range(data.draw(st.integers(1, 12))):
                model.step()
        finally:
            model.file.close()


# --- what is refused, with nothing saved ------------------------------------------------------


@pytest.fixture
def file(path: Path) -> Iterator[FileStore]:
    with create(path) as file:
        file.save_all([("log", delta(1, 3, 1, 2, 3))])
        file.save([("leader", PROMISED)])
        yield file


def test_a_name_is_a_decision_or_a_log(file: FileStore) -> None:
    with pytest.raises(NotALog, match="'log' is a log in this file"):
        file.save([("log", PROMISED)])
    with pytest.raises(NotALog, match="'leader' is a decision in this file"):
        file.save_all([("leader", delta(1, 1))])
    with pytest.raises(NotALog):
        file.load("log")
    with pytest.raises(NotALog):
        file.log("leader").load()
    assert (file.decisions(), file.logs()) == (("leader",), ("log",))


def test_a_name_that_is_new_is_one_of_both_within_a_batch(file: FileStore) -> None:
    with pytest.raises(NotALog):
        file.save_all([("new", PROMISED), ("new", delta(1, 1))])
    assert (file.decisions(), file.logs()) == (("leader",), ("log",))


def test_a_lease_that_was_granted_is_known_after_a_restart(path: Path) -> None:
    record = evolve(delta(1, 1), lease=2_041)
    with create(path) as file:
        file.save_all([("log", record)])
        with pytest.raises(TooLarge, match="a lease"):
            file.save_all([("log", evolve(record, lease=MAX_LEASE_MS + 1))])
    with reopen(path) as file:
        assert record in disk_of(file, "log")


def test_a_floor_without_its_snapshot(file: FileStore) -> None:
    with pytest.raises(OtherSnapshot, match="begin at slot 3"):
        file.save_all([("log", delta(1, 3, floor=3))])
    assert file.log("log").load().records[0] == Prefix(1)


def test_a_snapshot_whose_pieces_were_not_checked(file: FileStore) -> None:
    handle = put_snapshot(file.log("log"), 3)
    with pytest.raises(BadPieces):
        file.save_all([("log", handle_of(3, [b"other"]))])
    file.log("log").put_snapshot_pieces(3, 0, [b"changed"])
    with pytest.raises(BadPieces):
        file.log("log").check_snapshot(handle)
    with pytest.raises(BadPieces):
        file.save_all([("log", handle)])
    assert file.log("log").snapshot() is None


def test_a_snapshot_of_more_than_is_chosen(file: FileStore) -> None:
    with pytest.raises(SnapshotTooFar, match="below 9, and only those below 3"):
        file.save_all([("log", put_snapshot(file.log("log"), 9))])


def test_a_snapshot_that_stands_is_not_written_over(file: FileStore) -> None:
    file.save_all([("log", put_snapshot(file.log("log"), 3))])
    with pytest.raises(OtherSnapshot):
        file.log("log").put_snapshot_pieces(3, 0, [b"other"])


# --- snapshots that are not finished ----------------------------------------------------------


def test_a_checked_snapshot_stays_while_another_begins(file: FileStore) -> None:
    handle = put_snapshot(file.log("log"), 3)
    file.log("log").begin_snapshot()
    file.log("log").put_snapshot_pieces(7, 0, [b"one"])
    file.save_all([("log", handle)])
    assert file.log("log").snapshot_piece(handle, 0) == PIECES[0]


def test_a_checked_snapshot_stays_until_it_is_saved_though_the_next_one_is_checked(
    file: FileStore,
) -> None:
    """A save may wait for the disk while the next snapshot is taken."""
    log = file.log("log")
    file.save_all([("log", delta(1, 9))])
    first, second = put_snapshot(log, 3), put_snapshot(log, 7)
    file.save_all([("log", first)])
    assert log.snapshot() == first
    assert log.snapshot_piece(first, 0) == PIECES[0]
    file.save_all([("log", second)])
    put_snapshot(log, 8)
    assert log.snapshot() == second
    with pytest.raises(BadPieces):
        log.snapshot_piece(first, 0)


def test_what_was_swept_away_leaves_a_file_that_opens(file: FileStore) -> None:
    """Some row holds the count of a commit that has only removed others."""
    file.log("log").put_snapshot_pieces(3, 0, [b"one"])
    file.log("log").sweep()
    file.close()
    with reopen(file.path) as again, pytest.raises(BadPieces):
        again.log("log").snapshot_piece(handle_of(3, [b"one"]), 0)


def test_a_commit_removes_no_more_than_so_many_bytes(file: FileStore) -> None:
    """So that a vote waits as long for large entries as for small ones."""
    large: Proposal[Entry[bytes]] = Proposal(Ballot(1, ONE), Command(b"v" * 60_000))
    slots = range(1, 12)
    written: Written[bytes] = tuple((it, large) for it in slots)
    file.save_all([("log", evolve(delta(1, 12), written=written))])
    file.save_all([("log", put_snapshot(file.log("log"), 12))])
    before = file.saves
    file.log("log").sweep_entries()
    assert file.kinds("log", "entry", "entry~", 1) == []
    assert file.saves - before == -(-len(slots) // (SWEPT_BYTES // 60_000))


def test_no_more_than_twice_as_many_are_read_as_are_fetched(
    file: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a server that sends large entries reads each of them many times."""
    large: Proposal[Entry[bytes]] = Proposal(Ballot(1, ONE), Command(b"v" * 60_000))
    written: Written[bytes] = tuple((it, large) for it in range(1, 12))
    file.save_all([("log", evolve(delta(1, 12), written=written))])
    read: list[Row] = []
    read_range = FileStore.read_range

    def noted(it: FileStore, name: str, least: str, end: str, most: int) -> list[Row]:
        found = read_range(it, name, least, end, most)
        read.extend(found)
        return found

    monkeypatch.setattr(FileStore, "read_range", noted)
    for size_bytes, count in (1, 1), (60_000, 1), (119_999, 1), (120_000, 2), (1 << 20, 5):
        read.clear()
        fetched_now = file.log("log").fetch(2, 5, size_bytes)
        assert fetched_now == (large,) * count
        assert len(read) <= 2 * count


def test_what_another_thread_has_swept_away_is_not_fetched_as_something_else(
    file: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = file.log("log")
    before = file.log_state("log")
    file.save_all([("log", put_snapshot(log, 2))])
    log.sweep()

    def as_before(name: str) -> LogState | None:
        assert name == "log"
        return before

    monkeypatch.setattr(file, "log_state", as_before)
    assert log.fetch(1, 2, 1000) == ()


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "damage"),
    [
        ("kind = 'entry 000000000000004'", "not every entry from slot 3 to slot 4"),
        ("kind LIKE 'snapshot % 00000001'", "not the whole snapshot of the slots below 3"),
        ("kind = 'replica'", "does not say what it has promised"),
    ],
)
def test_a_row_of_a_log_that_is_gone_is_damage(file: FileStore, rows: str, damage: str) -> None:
    """Also where the total agrees, as after a mistake of this library."""
    file.save_all([("log", put_snapshot(file.log("log"), 3)), ("log", delta(1, 5, 3, 4))])
    file.save([("leader", PROMISED)])
    file.close()
    edit(file.path, f"DELETE FROM records WHERE name = 'log' AND {rows}")
    with pytest.raises(StoreCorrupted, match=damage):
        inspect(file.path)
    with pytest.raises(StoreCorrupted, match=damage):
        reopen(file.path)


@pytest.mark.parametrize(
    "row",
    [
        Row("x", "entry 000000000000001", "accepted 1.1", None, 3),
        Row("x", "entry 000000000000001", "accepted 1.1 noop", b"", 3),
        Row("x", "entry 000000000000001", "accepted 1.1 change counted 2 1", None, 3),
        Row("x", "entry 1", "accepted 1.1 noop", None, 3),
        Row("x", "entry", "accepted 1.1 noop", None, 3),
        Row("x", "entry 000000000000000", "accepted 1.1 noop", None, 3),
        Row("x", "entry 000000000000001", "", None, 3),
        Row("x", "snapshot 000000000000002 00000000", "of 2 bytes", b"one", 3),
        Row("x", "snapshot 000000000000002", "of 3 bytes", b"one", 3),
        Row("x", "replica", "promised 1.1", None, 3),
        Row("x", "replica", "", None, 3),
        Row("x", "replica", "promised 1.1, first 1, floor 2, snapshot , configurations ", None, 3),
    ],
    ids=str,
)
def test_a_row_that_makes_no_sense_is_damage(file: FileStore, row: Row) -> None:
    file.close()
    forge(file.path, row)
    with pytest.raises(StoreCorrupted, match="makes no sense"):
        inspect(file.path)
