"""An epoch of decisions is closed, and the next one begins with what was settled: on a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import Acceptor, Ballot, MaxRound, Proposal, ServerId, UnknownServer, majority
from paxos.log import Configuration, Delta
from paxos_adapters.file import (
    AlreadyAMember,
    EpochClosed,
    EpochNotClosed,
    EpochOver,
    FileStore,
    NotALog,
    SaveFailed,
    TooLarge,
    inspect,
    rows,
)
from paxos_adapters.file import database as database_module
from paxos_adapters.file import store as module
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import Epoch, Key, Row, epoch_of, epoch_row
from paxos_adapters.file.writing import Writer, put
from paxos_adapters.node.memory_file import Disk, MemoryFile

ONE, TWO, THREE, FOUR = map(ServerId, range(1, 5))
FOUNDERS, LATER = majority([ONE, TWO, THREE]), majority([ONE, TWO, FOUR])
LOW, MIDDLE, HIGH = Ballot(1, ONE), Ballot(2, TWO), Ballot(3, THREE)
RED, BLUE = Proposal(LOW, b"red"), Proposal(MIDDLE, b"blue")
Rows: TypeAlias = Sequence[Row]
Keys: TypeAlias = Iterable[Key]
NO_DECISION: Mapping[str, Proposal[bytes]] = {}


def step(promised: Ballot) -> Delta[bytes]:
    """What a log saves."""
    return Delta(promised, 1, (Configuration(1, FOUNDERS),))


def create(path: Path, server: ServerId = ONE, *, joining: bool = False) -> FileStore:
    return FileStore.create(path, cluster="c", server=server, quorum=FOUNDERS, joining=joining)


def reopen(path: Path, server: ServerId = ONE) -> FileStore:
    return FileStore.open(path, cluster="c", server=server, quorum=FOUNDERS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n.db"


def acceptor(file: FileStore | MemoryFile, name: str) -> Acceptor[bytes] | None:
    found = [it for it in file.load(name).records if isinstance(it, Acceptor)]
    return found[0] if found else None


# --- whose file it is -----------------------------------------------------------------------------


def test_a_file_begins_with_the_epoch_of_the_founders(path: Path) -> None:
    with create(path) as file:
        assert file.epoch == Epoch(0, FOUNDERS)
        assert inspect(path).epoch == Epoch(0, FOUNDERS)


def test_a_server_that_joins_has_the_founders_members_and_no_vote(path: Path) -> None:
    with create(path, FOUR, joining=True) as file:
        assert file.identity.digest == identity_of("c", ONE, FOUNDERS, "").digest
        assert (file.quorum, file.epoch) == (FOUNDERS, Epoch(0, FOUNDERS, closed=0))
        with pytest.raises(EpochClosed):
            file.save([("a", Acceptor[bytes](LOW))])
    with reopen(path, FOUR) as file:
        assert file.epoch.is_closed


def test_a_server_says_whether_it_joins(path: Path) -> None:
    with pytest.raises(UnknownServer):
        create(path, FOUR)
    with pytest.raises(AlreadyAMember, match="takes an id that no server has had"):
        create(path, THREE, joining=True)
    assert not path.exists()


# --- closing --------------------------------------------------------------------------------------


def test_a_closed_epoch_takes_nothing_about_a_decision_for_good(path: Path) -> None:
    with create(path) as file:
        file.save([("a", Acceptor(LOW, RED))])
        file.close_epoch(0)
        for record in Acceptor[bytes](HIGH), MaxRound(9):
            with pytest.raises(EpochClosed, match="epoch 0 of the decisions"):
                file.save([("a", record)])
        saves = file.saves
        file.close_epoch(0)
        assert file.saves == saves
    with reopen(path) as file:
        assert file.epoch == Epoch(0, FOUNDERS, closed=0)
        with pytest.raises(EpochClosed):
            file.save([("b", Acceptor[bytes](HIGH))])
        assert acceptor(file, "a") == Acceptor(LOW, RED)


def test_logs_go_on_in_a_closed_epoch(path: Path) -> None:
    with create(path) as file:
        file.close_epoch(0)
        file.save_all([("log", step(LOW))])
        with pytest.raises(EpochClosed):
            file.save_all([("log", step(HIGH)), ("a", MaxRound(1))])
    with reopen(path) as file:
        log = file.log_state("log")
        assert log is not None
        assert log.promised == LOW


def test_what_is_accepted_is_read_in_parts(path: Path) -> None:
    with create(path) as file:
        names = [f"{it:02}" for it in range(7)]
        file.save([(name, Acceptor(HIGH, RED)) for name in names[:-1]])
        file.save([(names[-1], Acceptor[bytes](HIGH)), ("x", MaxRound(3))])
        read, sizes, last = list[tuple[str, Proposal[bytes] | None]](), list[int](), ""
        while part := file.accepted(last, 3):
            sizes.append(len(part))
            read += part
            last = part[-1][0]
        assert sizes == [3, 3, 1]
        assert read == [*((name, RED) for name in names[:-1]), (names[-1], None)]


# --- adopting -------------------------------------------------------------------------------------


def test_an_epoch_begins_with_what_was_settled_and_nothing_else(path: Path) -> None:
    """What only this server had accepted was not chosen, and would pass for the highest."""
    with create(path) as file:
        file.save([("mine", Acceptor(HIGH, Proposal(HIGH, b"green"))), ("a", Acceptor(HIGH, RED))])
        file.save([("a", MaxRound(7))])
        file.close_epoch(0)
        file.adopt(1, LATER, {"a": BLUE, "b": RED})
        file.save([("c", MaxRound(1))])
    with reopen(path) as file:
        assert file.epoch == Epoch(1, LATER)
        assert file.quorum == FOUNDERS
        assert set(file.load("a").records) == {Acceptor(HIGH, BLUE), MaxRound(7)}
        assert acceptor(file, "b") == Acceptor(LOW, RED)
        assert acceptor(file, "mine") == Acceptor[bytes](HIGH)


def test_a_promise_is_at_least_the_ballot_of_what_is_settled(path: Path) -> None:
    with create(path) as file:
        file.save([("a", Acceptor[bytes](LOW))])
        file.close_epoch(0)
        file.adopt(1, LATER, {"a": BLUE})
        assert acceptor(file, "a") == Acceptor(MIDDLE, BLUE)


def test_an_epoch_is_adopted_once(path: Path) -> None:
    """The log of members may say it again, after votes in that epoch."""
    with create(path) as file:
        file.close_epoch(0)
        file.adopt(1, LATER, {"a": RED})
        file.save([("a", Acceptor(HIGH, Proposal(HIGH, b"green")))])
        saves = file.saves
        file.adopt(1, LATER, {"a": RED})
        assert file.saves == saves
        assert acceptor(file, "a") == Acceptor(HIGH, Proposal(HIGH, b"green"))
        file.close_epoch(0)
        assert not file.epoch.is_closed


def test_what_is_not_closed_is_not_followed(path: Path) -> None:
    with create(path) as file:
        with pytest.raises(EpochNotClosed, match="it is in epoch 0"):
            file.adopt(1, LATER, {"a": RED})
        file.close_epoch(0)
        with pytest.raises(EpochNotClosed):
            file.adopt(0, LATER, {"a": RED})
        assert acceptor(file, "a") is None


def test_an_epoch_that_was_closed_before_it_was_adopted_is_not_adopted(path: Path) -> None:
    """Others have gone on from it: what is settled for it may be out of date."""
    with create(path) as file:
        file.close_epoch(0)
        file.close_epoch(2)
    with reopen(path) as file:
        assert file.epoch == Epoch(0, FOUNDERS, closed=2)
        for number in 1, 2:
            with pytest.raises(EpochOver, match="up to 2"):
                file.adopt(number, LATER, {"a": RED})
        file.adopt(3, LATER, {"a": RED})
        assert file.epoch == Epoch(3, LATER)


def test_nothing_is_adopted_for_the_name_of_a_log_or_what_is_too_large(path: Path) -> None:
    with create(path) as file:
        file.save_all([("log", step(LOW))])
        file.close_epoch(0)
        with pytest.raises(NotALog):
            file.adopt(1, LATER, {"a": RED, "log": RED})
        assert file.decisions() == ()
        with pytest.raises(TooLarge):
            file.adopt(1, LATER, {"a": Proposal(LOW, bytes(1 << 21))})
        assert file.epoch.is_closed


MANY = {f"{it:03}": Proposal(Ballot(1 + it, TWO), b"%d" % it) for it in range(250)}


def full(path: Path) -> FileStore:
    """A closed file that knows some of MANY, and some that are not settled."""
    file = create(path)
    held = [(name, Acceptor(HIGH, RED)) for name in [*sorted(MANY)[:120], "not", "settled"]]
    file.save(held)
    file.close_epoch(0)
    return file


def test_it_takes_bounded_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(writer: Writer, identity: Identity, rows: Rows, total: int, gone: Keys = ()) -> int:
        sizes.append(len(rows))
        return put(writer, identity, rows, total, gone)

    with full(path) as file:
        monkeypatch.setattr(database_module, "put", counted)
        file.adopt(1, LATER, MANY)
    assert max(sizes) == 100
    assert sizes[-1] == 1


@pytest.mark.parametrize("commits", range(5))
def test_a_kill_between_commits_leaves_it_closed_and_it_adopts_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    left = commits

    def limited(writer: Writer, identity: Identity, rows: Rows, total: int, gone: Keys = ()) -> int:
        nonlocal left
        if not left:
            raise OSError("killed")
        left -= 1
        return put(writer, identity, rows, total, gone)

    file = full(path)
    monkeypatch.setattr(database_module, "put", limited)
    with pytest.raises(SaveFailed, match="killed"):
        file.adopt(1, LATER, MANY)
    monkeypatch.undo()
    file.close()
    with reopen(path) as file:
        assert file.epoch == Epoch(0, FOUNDERS, closed=0)
        with pytest.raises(EpochClosed):
            file.save([("000", Acceptor[bytes](HIGH))])
        file.adopt(1, LATER, MANY)
    with reopen(path) as file:
        assert file.epoch == Epoch(1, LATER)
        for name, settled in MANY.items():
            found = acceptor(file, name)
            assert found is not None
            assert found.accepted == settled
            assert found.promised >= settled.ballot
        assert acceptor(file, "not") == acceptor(file, "settled") == Acceptor[bytes](HIGH)


# --- in memory ------------------------------------------------------------------------------------


def state(promised: Ballot, accepted: Proposal[bytes] | None) -> Acceptor[bytes]:
    return Acceptor(promised if accepted is None else max(promised, accepted.ballot), accepted)


def proposal(ballot: Ballot, value: bytes) -> Proposal[bytes]:
    return Proposal(ballot, value)


BALLOTS = st.builds(Ballot, st.integers(1, 4), st.sampled_from([ONE, TWO]))
PROPOSALS = st.builds(proposal, BALLOTS, st.sampled_from([b"red", b"blue"]))
STATES = st.builds(state, BALLOTS, st.none() | PROPOSALS)
NAMES = st.sampled_from(["a", "b", "c", "d"])
Decisions = Mapping[str, Acceptor[bytes]]


@settings(max_examples=20)
@given(st.dictionaries(NAMES, STATES), st.dictionaries(NAMES, PROPOSALS), st.integers(1, 3))
def test_a_file_and_a_memory_adopt_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    held: Decisions,
    settled: Mapping[str, Proposal[bytes]],
    most: int,
) -> None:
    disk = Disk(identity_of("c", ONE, FOUNDERS, ""))
    memory = MemoryFile(disk, "01" * 8)
    memory.acquire()
    path = tmp_path_factory.mktemp("epochs") / "n.db"
    with pytest.MonkeyPatch.context() as patched, create(path) as file:
        patched.setattr(module, "AT_ONCE", most)
        for it in file, memory:
            it.save_all(held.items())
            it.close_epoch(0)
            with pytest.raises(EpochClosed):
                it.save_all([("a", MaxRound(1))])
            it.adopt(1, LATER, settled)
        assert file.accepted("", 9) == memory.accepted("", 9)
        assert file.accepted("a", 2) == memory.accepted("a", 2)
        assert file.epoch == memory.epoch == Epoch(1, LATER)
        accepted = {name: it for name, it in file.accepted("", 9) if it is not None}
        assert accepted == settled
        for name in held.keys() | settled.keys():
            found = acceptor(file, name)
            assert found == acceptor(memory, name)
            assert found is not None
            before = held.get(name)
            assert before is None or found.promised >= before.promised


# --- the row --------------------------------------------------------------------------------------


def test_its_words(path: Path) -> None:
    with create(path) as file:
        file.close_epoch(0)
        file.close_epoch(1)
        words = "epoch 0 closed 1, counted 1 2 3 phase1 2 phase2 2"
        assert {it.kind: it.fields for it in rows(path)}["epoch"] == words
        file.adopt(2, LATER, NO_DECISION)
        words = "epoch 2, counted 1 2 4 phase1 2 phase2 2"
        assert {it.kind: it.fields for it in rows(path)}["epoch"] == words


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "epoch 1",
        "epoch 1, counted 1 phase1 1 phase2 1 ",
        "epoch -1, counted 1 phase1 1 phase2 1",
        "epoch 01, counted 1 phase1 1 phase2 1",
        "epoch 2 closed 1, counted 1 phase1 1 phase2 1",
        "epoch 2 closed, counted 1 phase1 1 phase2 1",
        "epoch 1, counted 1 2 phase1 1 phase2 1",
    ],
)
def test_words_that_make_no_sense_are_damage(fields: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        epoch_of(Row("", "epoch", fields, None, 1))


@given(st.integers(0, 9), st.none() | st.integers(0, 9))
def test_a_row_is_read_as_it_was_written(number: int, closed: int | None) -> None:
    it = Epoch(number, LATER, None if closed is None else number + closed)
    assert epoch_of(epoch_row(it, 1)) == it
