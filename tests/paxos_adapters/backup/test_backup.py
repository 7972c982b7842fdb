"""A backup becomes the files of a new cluster, whole, or nothing is made of it."""

from __future__ import annotations

import errno
from collections.abc import Generator, Sequence
from pathlib import Path
from random import Random
from stat import S_IMODE

import pytest
from attrs import evolve

from paxos import NO_BALLOT, Acceptor, Proposal, ServerId, majority
from paxos.log import Configuration
from paxos.log.memory import Delta, Prefix
from paxos_adapters.backup import BadBackup, SameCluster, inspect_backup, restore
from paxos_adapters.backup.archive import Decision, Header, LogHead, Writing
from paxos_adapters.backup.restoring import RESERVED_SLOTS, RESTORED, founding_slot
from paxos_adapters.file import FileStore, StoreExists, WrongMembers, WrongOwner, inspect
from paxos_adapters.limits import MAX_SLOT
from paxos_adapters.outputs import OutputRefused
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.snapshots import BadSnapshot, OtherVersion, refounded, restored
from paxos_adapters.state_machines.key_value import KeyValues, Put, Result
from tests.support.backups import CODECS, ran, stands_for, written

NEW = majority(map(ServerId, (1, 2, 4)))
DECISIONS = [("colour", b"red"), ("leader", b"me\xff")]


def paths(folder: Path) -> dict[ServerId, Path]:
    return {me: folder / f"n{me}.db" for me in NEW.members}


def opened(folder: Path, me: int, cluster: str, membership: str) -> FileStore:
    return FileStore.open(
        folder / f"n{me}.db",
        cluster=cluster,
        server=ServerId(me),
        quorum=NEW,
        membership=membership,
    )


def stored(file: FileStore, name: str) -> list[bytes]:
    """The pieces of the snapshot that a server would start a log from."""
    log = file.log(name)
    handle = log.snapshot()
    assert handle is not None
    return [log.snapshot_piece(handle, it) for it in range(handle.pieces)]


def read(file: FileStore, name: str) -> Applied[KeyValues, Result]:
    """What these stand for."""
    return stands_for(CODECS, stored(file, name))


def test_all_of_a_backup_is_in_every_file_of_the_new_cluster(tmp_path: Path) -> None:
    """More than one piece, and more rows than are written at a time."""
    before, session = ran(Put(f"key{it}", b"x" * 20_000) for it in range(60))
    other, _ = ran([Put("a", b"1")])
    whole = written(tmp_path / "b", ("kv", before), ("more", other), decisions=DECISIONS)
    assert inspect_backup(tmp_path / "b") == whole
    assert S_IMODE((tmp_path / "b").stat().st_mode) == 0o600

    new = restore(tmp_path / "b", paths(tmp_path), cluster="new", quorum=NEW)

    slot = RESERVED_SLOTS
    for me in NEW.members:
        with opened(tmp_path, me, "new", new.membership) as file:
            found = read(file, "kv")
            assert (found.state, found.sessions) == (before.state, before.sessions)
            assert [it.id for it in found.sessions.open] == [session]
            assert (found.slot, found.configurations) == (slot, (Configuration(slot, NEW),))
            assert read(file, "more").state == other.state
            delta = Delta[bytes](NO_BALLOT, slot, found.configurations)
            assert file.log("kv").load().records == (Prefix(slot), delta)
            assert file.decisions() == ("colour", "leader")
            for name, value in DECISIONS:
                (record,) = file.load(name).records
                assert record == Acceptor(RESTORED, Proposal(RESTORED, value))
        assert inspect(tmp_path / f"n{me}.db").sessions == 2, "its creation, and this opening"


def test_the_version_of_the_state_machine_comes_along(tmp_path: Path) -> None:
    """A program that lacks it does not run the log, here as in the old cluster."""
    before, _ = ran([Put("a", b"1")])
    written(tmp_path / "b", ("kv", evolve(before, version=2)))

    new = restore(tmp_path / "b", paths(tmp_path), cluster="new", quorum=NEW)

    with opened(tmp_path, 1, "new", new.membership) as file:
        found = restored(CODECS, stored(file, "kv"))
        assert isinstance(found, OtherVersion)
        assert found.version == 2


def test_a_log_goes_on_where_the_old_one_does_not_come_to() -> None:
    assert founding_slot(1) == RESERVED_SLOTS
    assert founding_slot(RESERVED_SLOTS - 1) == RESERVED_SLOTS
    assert founding_slot(RESERVED_SLOTS) == 2 * RESERVED_SLOTS, "it was restored before"


def test_a_log_that_has_come_to_the_last_slots_is_refused(tmp_path: Path) -> None:
    before, _ = ran([])
    written(tmp_path / "b", ("kv", evolve(before, slot=MAX_SLOT)))
    refused(tmp_path, (tmp_path / "b").read_bytes())


def test_a_backup_of_one_server_alone_says_so(tmp_path: Path) -> None:
    header = Header("c", "counted 1 phase1 1 phase2 1", "", ServerId(1), (), alone=True)
    (tmp_path / "b").write_bytes(b"".join(Writing(header, [], []).lines()))
    assert inspect_backup(tmp_path / "b").header == header


def test_all_names_are_there_if_those_of_a_phase_1_quorum_are(tmp_path: Path) -> None:
    for names_of, has_all in ((1,), False), ((1, 3), True), ((), False), ((1, 2, 3), True):
        path = tmp_path / f"b{len(names_of)}-{has_all}"
        assert written(path, names_of=names_of).header.has_all_names is has_all


# --- refused -------------------------------------------------------------------------------------


def test_no_file_of_the_new_cluster_opens_under_the_old_identity(tmp_path: Path) -> None:
    written(tmp_path / "b", decisions=DECISIONS)
    new = restore(tmp_path / "b", paths(tmp_path), cluster="new", quorum=NEW)

    with pytest.raises(WrongOwner):
        opened(tmp_path, 1, "c", new.membership)
    for membership in "", "ab":
        with pytest.raises(WrongMembers):
            opened(tmp_path, 1, "new", membership)


def test_a_backup_that_is_restored_twice_makes_two_clusters(tmp_path: Path) -> None:
    written(tmp_path / "b")
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
        restore(tmp_path / "b", paths(folder), cluster="new", quorum=NEW)

    digests = {inspect(folder / "n1.db").identity.digest for folder in folders}
    assert len(digests) == 2


def test_the_name_of_the_old_cluster_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "b")
    with pytest.raises(SameCluster, match="another name"):
        restore(tmp_path / "b", paths(tmp_path), cluster="c", quorum=NEW)
    assert [*tmp_path.iterdir()] == [tmp_path / "b"]


def test_a_file_that_is_there_is_left_and_all_others_are_taken_back(tmp_path: Path) -> None:
    """That of the last server; those before it are gone again."""
    written(tmp_path / "b")
    other = FileStore.create(tmp_path / "n4.db", cluster="c", server=ServerId(4), quorum=NEW)
    other.close()
    before = {it: it.read_bytes() for it in tmp_path.iterdir()}

    with pytest.raises(StoreExists):
        restore(tmp_path / "b", paths(tmp_path), cluster="new", quorum=NEW)

    assert {it: it.read_bytes() for it in tmp_path.iterdir()} == before


# --- damage --------------------------------------------------------------------------------------


def refused(folder: Path, content: bytes) -> None:
    """A backup with that content is refused by its type, and nothing is made."""
    (folder / "b").write_bytes(content)
    with pytest.raises(BadBackup) as caught:
        restore(folder / "b", paths(folder), cluster="new", quorum=NEW)
    assert "Nothing was made" in str(caught.value)
    assert [*folder.iterdir()] == [folder / "b"]


def test_a_backup_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    before, _ = ran([Put("a", b"1")])
    written(tmp_path / "b", ("kv", before), decisions=DECISIONS)
    content = (tmp_path / "b").read_bytes()

    lines = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    for size in [0, 1, *(end - 1 for end in lines), *lines[:-1]]:
        refused(tmp_path, content[:size])


def test_any_byte_that_is_another_one_is_noticed(tmp_path: Path) -> None:
    before, _ = ran([Put("a", b"1")])
    written(tmp_path / "b", ("kv", before), decisions=DECISIONS)
    content = (tmp_path / "b").read_bytes()

    random = Random(1)
    for at in [*range(150), *(random.randrange(len(content)) for _ in range(150))]:
        byte = content[at] ^ 1 << random.randrange(7)
        refused(tmp_path, content[:at] + bytes([byte]) + content[at + 1 :])


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((0, 3, 1, 2, 4, 5), id="a decision before the logs"),
        pytest.param((0, 1, 2, 4, 3, 5), id="names out of order"),
        pytest.param((0, 1, 2, 3, 3, 4, 5), id="a name twice"),
        pytest.param((0, 1, 2, 4, 5), id="a decision is missing"),
        pytest.param((0, 1, 2, 3, 4, 5, 5), id="something behind the end"),
        pytest.param((1, 2, 3, 4, 5), id="no header"),
    ],
)
def test_lines_that_do_not_go_together_are_refused(tmp_path: Path, order: Sequence[int]) -> None:
    before, _ = ran([Put("a", b"1")])
    written(tmp_path / "b", ("kv", before), decisions=DECISIONS)
    lines = (tmp_path / "b").read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    refused(tmp_path, b"".join([lines[it] for it in order]))


def test_another_format_and_another_file_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "b")
    content = (tmp_path / "b").read_bytes()
    refused(tmp_path, content.replace(b'"paxos backup":1', b'"paxos backup":2'))
    refused(tmp_path, b"SQLite format 3\0")


def test_a_snapshot_without_a_head_is_refused(tmp_path: Path) -> None:
    """Its digest is right: a program wrote it."""
    header = Header("c", "counted 1 phase1 1 phase2 1", "", ServerId(1), ())
    for stream in [b""], [b"\0"], [b"\0" * 7 + b"\1" + b"\xc0"], [b"\0" * 7 + b"\5" + b"\xc0"]:
        with pytest.raises(BadSnapshot):
            list(refounded(stream, 9, NEW))
        writing = Writing(header, [(LogHead("kv", 9), [it for it in stream if it])], [])
        refused(tmp_path, b"".join(writing.lines()))


def test_a_missing_backup_is_refused_by_its_type(tmp_path: Path) -> None:
    with pytest.raises(BadBackup, match="cannot be read"):
        inspect_backup(tmp_path / "b")


# --- written -------------------------------------------------------------------------------------


def test_nothing_stands_there_until_all_of_it_is_written(tmp_path: Path) -> None:
    before, _ = ran([Put("a", b"1")])

    def decisions(fails: BaseException) -> Generator[Decision, None, None]:
        yield DECISIONS[0]
        assert [it.name[:3] for it in tmp_path.iterdir()] == [".b-"]
        raise fails

    for fails in KeyboardInterrupt(), OSError(errno.ENOSPC, "full"):
        with pytest.raises(type(fails)):
            written(tmp_path / "b", ("kv", before), decisions=decisions(fails))
        assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_there_is_never_replaced_by_a_backup(tmp_path: Path) -> None:
    """Neither an older backup, nor an empty file."""
    for content in None, b"":
        if content is None:
            written(tmp_path / "b")
        else:
            (tmp_path / "b").write_bytes(content)
        held = (tmp_path / "b").read_bytes()
        with pytest.raises(OutputRefused):
            written(tmp_path / "b", decisions=DECISIONS)
        assert (tmp_path / "b").read_bytes() == held
