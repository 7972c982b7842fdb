"""The file store: two verbs, one owner, receipts that hold, and errors that say what to do."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from paxos import (
    Acceptor,
    Ballot,
    Done,
    From,
    MaxRound,
    Message,
    Proposal,
    Propose,
    Saved,
    ServerId,
    UnknownServer,
    majority,
    server,
)
from paxos.server import ServerTimer
from paxos_adapters.disk_status import Known
from paxos_adapters.file import (
    BadDiskStatus,
    BadName,
    Closed,
    DiskBusy,
    FileStore,
    Forked,
    MembershipClosed,
    NewerFormat,
    NotAStore,
    NotBytes,
    OlderFormat,
    SaveFailed,
    StoreCorrupted,
    StoreError,
    StoreExists,
    StoreLocked,
    StoreNotFound,
    StoreUnavailable,
    TooLarge,
    WrongMembers,
    WrongOwner,
    inspect,
    opening,
    rows,
    writing,
)
from paxos_adapters.file import database as database_module
from paxos_adapters.file.database import Database
from paxos_adapters.host import Host
from paxos_adapters.memory import Clock, MemoryTimer, MemoryTransport, Network
from paxos_adapters.ports import Ports
from paxos_adapters.single import SingleHost, single
from tests.support.files import (
    ACCEPTED,
    LATER,
    MEMBERS,
    ONE,
    PROMISED,
    ROOT,
    TWO,
    create,
    edit,
    loaded,
    reopen,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


@pytest.fixture
def file(path: Path) -> Iterator[FileStore]:
    with create(path) as store:
        yield store


class TestSaving:
    """What was vouched for is there."""

    def test_a_new_store_holds_nothing(self, file: FileStore) -> None:
        assert file.load("leader") == Saved(())
        assert file.decisions() == ()
        assert (file.saves, file.quorum, file.peers) == (1, MEMBERS, {})

    @pytest.mark.parametrize(
        "records",
        [
            (PROMISED,),
            (ACCEPTED,),
            (MaxRound(7),),
            (ACCEPTED, MaxRound(7)),
            (Acceptor[bytes](),),
            (Acceptor(Ballot(1, ServerId(-3)), Proposal(Ballot(1, ServerId(-3)), b"")),),
            (Acceptor(Ballot((1 << 63) - 1, ONE), Proposal(Ballot(1, ONE), bytes(range(256)))),),
        ],
        ids=str,
    )
    def test_what_is_saved_is_loaded(
        self, path: Path, records: tuple[server.Record[bytes], ...]
    ) -> None:
        with create(path) as file:
            saved = file.decision("leader").save(records)
            assert all(map(saved.covers, records))
            assert set(file.load("leader").records) == set(records)
        assert loaded(path) == set(records)

    def test_a_later_record_replaces_the_earlier_one(self, path: Path) -> None:
        with create(path) as file:
            file.save([("leader", PROMISED), ("leader", MaxRound(1))])
            saved = file.save([("leader", ACCEPTED), ("leader", LATER)])
            assert saved.covers(ACCEPTED)
            assert saved.covers(LATER)
        assert loaded(path) == {LATER, MaxRound(1)}

    def test_decisions_are_kept_apart(self, path: Path) -> None:
        with create(path) as file:
            file.save([("a", PROMISED), ("b", ACCEPTED), (" ", LATER), ("a b", MaxRound(2))])
            assert file.decisions() == (" ", "a", "a b", "b")
        assert [loaded(path, name) for name in ("a", "b", " ", "a b", "c")] == [
            {PROMISED},
            {ACCEPTED},
            {LATER},
            {MaxRound(2)},
            set(),
        ]

    def test_each_commit_is_counted_and_an_empty_batch_is_none(self, path: Path) -> None:
        with create(path) as file:
            file.save([("a", PROMISED), ("b", PROMISED)])
            file.save([])
            file.save([("a", ACCEPTED)])
            assert file.saves == 3
        with reopen(path) as file:
            assert file.saves == 4

    def test_a_host_runs_on_it(self, path: Path) -> None:
        network, clock = Network[Message[bytes]](), Clock[ServerTimer]()
        with FileStore.create(path, cluster="demo", server=ONE, quorum=majority([ONE])) as file:
            transport, timer = MemoryTransport(ONE, network), MemoryTimer(ONE, clock)
            host: SingleHost[bytes] = Host(
                single(), ONE, file.quorum, Ports(transport, timer, file.decision("leader"))
            )
            reports = list(host.receive(Propose(b"red")))
            while network.queue:
                sender, _, message = network.queue.popleft()
                reports += host.receive(From(sender, message))
            first = Ballot(1, ONE)
            assert reports == [Done(first, b"red", own=True)]
            assert set(file.load("leader").records) == {
                Acceptor(first, Proposal(first, b"red")),
                MaxRound(1),
            }

    def test_several_threads_may_save(self, path: Path) -> None:
        with create(path) as file:

            def work(name: str) -> None:
                for number in range(1, 30):
                    file.save([(name, MaxRound(number))])

            threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert file.saves == 88
        assert [loaded(path, name) for name in "abc"] == [{MaxRound(29)}] * 3


class TestVerbs:
    """To create and to open are two verbs."""

    def test_a_missing_file_is_no_new_server(self, path: Path) -> None:
        with pytest.raises(StoreNotFound, match=r"no such file.*never taken for a new server"):
            reopen(path)
        assert list(path.parent.iterdir()) == []

    def test_nor_is_an_empty_one(self, path: Path) -> None:
        create(path).close()
        path.write_bytes(b"")
        with pytest.raises(StoreNotFound, match="it is empty"):
            reopen(path)

    def test_what_is_there_is_not_created_again(self, path: Path) -> None:
        with create(path) as file:
            file.save([("leader", ACCEPTED)])
        with pytest.raises(StoreExists, match="there is a file"):
            create(path)
        assert loaded(path) == {ACCEPTED}

    def test_nor_what_was_there(self, path: Path) -> None:
        with create(path) as file:
            file.save([("leader", ACCEPTED)])
        path.unlink()
        with pytest.raises(StoreExists, match=r"it is gone, and .* saved 2 times"):
            create(path)

    def test_a_creation_that_was_cut_off_is_done_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def cut_off(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(opening, "sync", cut_off)
            with pytest.raises(KeyboardInterrupt):
                create(path)
        with pytest.raises(StoreNotFound):
            reopen(path)
        with create(path) as file:
            file.save([("leader", ACCEPTED)])
        assert loaded(path) == {ACCEPTED}
        assert sorted(it.name for it in path.parent.iterdir()) == ["n1.db", "n1.db-mark"]

    @pytest.mark.parametrize("step", ["pwrite", "fsync", "link", "unlink"])
    def test_so_is_one_that_was_cut_off_within_the_mark(
        self, path: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def cut_off(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, step, cut_off)
            with pytest.raises(KeyboardInterrupt):
                create(path)
        with pytest.raises(StoreNotFound):
            reopen(path)
        create(path).close()
        assert sorted(it.name for it in path.parent.iterdir()) == ["n1.db", "n1.db-mark"]

    def test_each_creation_is_another_incarnation(self, tmp_path: Path) -> None:
        with create(tmp_path / "a") as one, create(tmp_path / "b") as other:
            assert one.identity.incarnation != other.identity.incarnation
            assert len(one.identity.incarnation) == 32

    @pytest.mark.parametrize(
        ("cluster", "me", "expected"),
        [("demo", 2, "server 2 of cluster 'demo'"), ("live", 1, "server 1 of cluster 'live'")],
    )
    def test_only_its_owner_opens_it(
        self, path: Path, cluster: str, me: int, expected: str
    ) -> None:
        create(path).close()
        with pytest.raises(WrongOwner, match=f"belongs to server 1 of cluster 'demo'.*{expected}"):
            FileStore.open(path, cluster=cluster, server=ServerId(me), quorum=MEMBERS)
        reopen(path).close()

    def test_a_newer_format_is_refused_by_name(self, path: Path) -> None:
        create(path).close()
        edit(path, "PRAGMA user_version = 5")
        with pytest.raises(NewerFormat, match="format 5, and this version reads formats up to 4"):
            reopen(path)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(
            StoreUnavailable, match=r"No such file.*See to it that the folder is there"
        ):
            create(tmp_path / "missing" / "n1.db")

    def test_a_folder_in_place_of_a_file(self, path: Path) -> None:
        path.mkdir()
        path.with_name("n1.db-mark").mkdir()
        with pytest.raises(StoreUnavailable):
            reopen(path)


class TestLock:
    """One server has one memory and one process."""

    def test_it_is_opened_once(self, path: Path) -> None:
        with create(path), pytest.raises(StoreLocked, match="open already"):
            reopen(path)
        reopen(path).close()

    def test_another_process_is_refused_until_the_first_one_ends(self, path: Path) -> None:
        create(path).close()
        program = (
            "import sys; from tests.support.files import reopen, Path; "
            f"file = reopen(Path({str(path)!r})); "
            "print('open', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"open\n"
            with pytest.raises(StoreLocked):
                reopen(path)
            assert inspect(path).identity.server == ONE
            other.kill()
        reopen(path).close()

    def test_a_file_that_was_refused_is_not_held(self, path: Path) -> None:
        create(path).close()
        for _ in range(3):
            with pytest.raises(WrongOwner):
                FileStore.open(path, cluster="live", server=ONE, quorum=MEMBERS)


def database(file: FileStore) -> Database:
    return file._database  # pyright: ignore[reportPrivateUsage]


class Failing:
    """The connection of a store on which one statement fails."""

    def __init__(self, file: FileStore, statement: str) -> None:
        self.connection = database(file)._writer  # pyright: ignore[reportPrivateUsage]
        self.statement = statement

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> object:
        if sql.startswith(self.statement):
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)


class TestFailure:
    """The first save that fails is the last one."""

    @pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
    def test_it_is_final(self, path: Path, statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
        file = create(path)
        file.save([("leader", PROMISED)])
        monkeypatch.setattr(database(file), "_writer", Failing(file, statement))
        for _ in range(2):
            with pytest.raises(SaveFailed, match=r"OperationalError: disk I/O error.*final"):
                file.save([("leader", ACCEPTED)])
        with pytest.raises(SaveFailed):
            file.load("leader")
        with pytest.raises(SaveFailed):
            file.decisions()
        assert file.saves == 2
        file.close()
        assert loaded(path) == {PROMISED}

    def test_closing_the_file_does_not_try_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = create(path)
        with monkeypatch.context() as patch:
            patch.setattr(database(file), "_writer", Failing(file, "BEGIN"))
            file.set_peer_status(ServerId(2), Known("ab" * 8, 1))
            with pytest.raises(SaveFailed):
                file.save(())
        file.close()
        with reopen(path) as again:
            assert not again.peers

    def test_so_is_an_interruption(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = create(path)

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(database_module, "put", interrupted)
            with pytest.raises(SaveFailed, match="KeyboardInterrupt"):
                file.save([("leader", PROMISED)])
        with pytest.raises(SaveFailed):
            file.save([("leader", PROMISED)])
        file.close()
        assert loaded(path) == set()

    def test_a_closed_file_says_so(self, path: Path) -> None:
        file = create(path)
        file.close()
        file.close()
        for use in file.decisions, lambda: file.load("a"), lambda: file.save([("a", MaxRound(1))]):
            with pytest.raises(Closed, match="has been closed"):
                use()

    @pytest.mark.parametrize(
        ("entry", "what"),
        [
            (("x" * 256, MaxRound(1)), "name of a decision.* is 256, and at most 255"),
            (("x", MaxRound(1 << 63)), "a round is 9,223,372,036,854,775,808"),
            (("x", Acceptor[bytes](Ballot(1 << 63, ONE))), "a round"),
            (
                ("x", Acceptor(Ballot(1, ONE), Proposal(Ballot(1, ONE), b"x" * (1 << 20) + b"y"))),
                "a value, in bytes",
            ),
        ],
    )
    def test_what_is_out_of_bounds_is_refused_and_nothing_is_lost(
        self, path: Path, entry: tuple[str, server.Record[bytes]], what: str
    ) -> None:
        with create(path) as file:
            with pytest.raises(TooLarge, match=what):
                file.save([("x", PROMISED), entry])
            assert file.load("x") == Saved(())
            file.save([("x", ACCEPTED)])
        assert loaded(path, "x") == {ACCEPTED}

    @pytest.mark.parametrize("value", [None, "red", bytearray(b"red"), 7])
    def test_so_is_a_value_that_is_not_bytes(self, file: FileStore, value: object) -> None:
        held = Proposal(Ballot(1, ONE), cast("bytes", value))
        with pytest.raises(NotBytes, match="takes bytes"):
            file.save([("x", PROMISED), ("y", Acceptor(Ballot(1, ONE), held))])
        assert file.decisions() == ()
        file.save([("x", ACCEPTED)])


class TestInspect:
    """Read-only, and safe beside a server at work."""

    def test_beside_an_open_store(self, file: FileStore, path: Path) -> None:
        file.save([("leader", ACCEPTED)])
        contents = inspect(path)
        assert contents.identity == file.identity
        assert contents.saves == 2
        file.save([("leader", LATER)])
        assert inspect(path).saves == 3

    def test_it_changes_nothing(self, path: Path) -> None:
        with create(path) as file:
            file.save([("leader", ACCEPTED)])
        before = path.read_bytes(), path.with_name("n1.db-mark").read_bytes()
        assert [it.value for it in rows(path) if it.kind == "acceptor"] == [b"red"]
        assert (path.read_bytes(), path.with_name("n1.db-mark").read_bytes()) == before

    def test_nothing_there(self, path: Path) -> None:
        with pytest.raises(StoreNotFound):
            inspect(path)


class TestMistakes:
    """Whatever is wrong with what is asked is said by type, and harms nothing."""

    @pytest.mark.parametrize(
        "known",
        [
            Known("a b", 0),
            Known("", 0),
            Known("AB" * 8, 0),
            Known("ab" * 9, 0),
            Known("ab" * 8, -1),
            Known("ab" * 8, 1 << 63),
        ],
    )
    def test_what_no_disk_can_be_is_not_remembered(self, path: Path, known: Known) -> None:
        with create(path) as file:
            with pytest.raises(BadDiskStatus, match="cannot be known of a disk"):
                file.set_peer_status(TWO, known)
            file.save([("x", PROMISED)])
        with reopen(path) as file:
            assert file.peers == {}

    def test_names_that_cannot_be_written(self, path: Path) -> None:
        with pytest.raises(BadName, match="the name of a cluster"):
            FileStore.create(path, cluster="\ud800", server=ONE, quorum=MEMBERS)
        with pytest.raises(BadName, match="the id of a membership"):
            FileStore.create(
                path, cluster="demo", server=ONE, quorum=MEMBERS, membership="the second"
            )
        with create(path) as file:
            for use in (
                lambda: file.load("\ud800"),
                lambda: file.save([("\ud800", PROMISED)]),
                lambda: file.decision("\ud800"),
            ):
                with pytest.raises(BadName, match=r"'.ud800' cannot be saved"):
                    use()

    def test_no_name_is_empty(self, path: Path) -> None:
        with create(path) as file:
            for use in (
                lambda: file.load(""),
                lambda: file.save([("", MaxRound(1_000))]),
                lambda: file.decision(""),
                lambda: file.log(""),
            ):
                with pytest.raises(BadName, match="'' cannot be saved: it is empty"):
                    use()
            assert file.decisions() == ()

    @pytest.mark.parametrize("me", [1 << 63, -(1 << 63)])
    def test_ids_that_are_too_large(self, path: Path, me: int) -> None:
        with pytest.raises(TooLarge, match="the id of a server"):
            FileStore.create(
                path, cluster="demo", server=ServerId(me), quorum=majority([ServerId(me)])
            )
        assert list(path.parent.iterdir()) == []
        with create(path) as file, pytest.raises(TooLarge, match="the id of a server"):
            file.save([("x", Acceptor[bytes](Ballot(1, ServerId(me))))])

    @pytest.mark.parametrize("place", ["", ".", "\0", "x" * 300, "n1.db/n1.db"])
    def test_places_that_are_none(self, path: Path, place: str) -> None:
        create(path).close()
        for use in create, reopen, inspect:
            with pytest.raises(StoreError):
                use(path.parent / place if place else Path(place))

    def test_something_that_is_no_store(self, path: Path) -> None:
        path.write_text("root:x:0:0", encoding="utf-8")
        for use in reopen, inspect:
            with pytest.raises(NotAStore, match="is not a paxos store"):
                use(path)

    def test_only_a_member_has_a_memory(self, path: Path) -> None:
        with pytest.raises(UnknownServer, match="server 4"):
            FileStore.create(path, cluster="demo", server=ServerId(4), quorum=MEMBERS)
        assert list(path.parent.iterdir()) == []

    def test_a_link_leads_to_the_store(self, path: Path, tmp_path: Path) -> None:
        create(path).close()
        link = tmp_path / "link.db"
        link.symlink_to(path)
        with reopen(link) as file:
            file.save([("x", PROMISED)])
            with pytest.raises(StoreLocked):
                reopen(path)
        assert inspect(link).saves == 3

    def test_closing_while_it_saves_deadlocks_nobody(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a signal handler may do."""
        file = create(path)

        def closing(_: int) -> list[object]:
            file.close()
            return []

        monkeypatch.setattr(file._peers, "take_news", closing)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(SaveFailed):
            file.save([("x", ACCEPTED)])
        with pytest.raises(Closed):
            file.load("x")
        assert loaded(path, "x") == set()


class TestOthers:
    """Other processes, and other programs."""

    def test_of_many_who_create_one_does(self, path: Path) -> None:
        for number in range(12):
            place = path.with_name(f"{number}.db")
            with ThreadPoolExecutor(4) as pool:
                tries = [pool.submit(create, place) for _ in range(4)]
            made = [it.result() for it in tries if it.exception() is None]
            assert len(made) == 1
            assert {type(it.exception()) for it in tries} <= {type(None), StoreExists, StoreLocked}
            made[0].save([("x", PROMISED)])
            made[0].close()
            assert loaded(place, "x") == {PROMISED}

    def test_a_process_that_was_forked_has_no_part_in_it(self, path: Path) -> None:
        program = f"""
import os, sys
from paxos_adapters.file import Forked
from paxos_adapters.disk_status import Known
from tests.support.files import *
file = create(Path({str(path)!r}))
hear, tell = os.pipe()
child = os.fork()
if not child:
    for use in (lambda: file.save([("x", PROMISED)]), lambda: file.load("x"),
                lambda: file.set_peer_status(TWO, Known("ab" * 8, 0))):
        try:
            use()
        except Forked:
            os.write(tell, b"f")
    file.close()
    os.read(0, 1)
    os._exit(0)
assert os.read(hear, 3).ljust(3, b"?") and file.save([("x", PROMISED)])
print("saved", flush=True)
os.kill(os.getpid(), 9)
"""
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        ) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"saved\n"
            parent.wait()
            assert loaded(path, "x") == {PROMISED}
            parent.communicate(b"x")

    def test_a_file_that_is_locked_is_not_called_damaged(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(path).close()
        monkeypatch.setattr(writing, "PATIENCE_S", 0.01)
        monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.01))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises((StoreLocked, StoreUnavailable)):
                reopen(path)
        reopen(path).close()

    def test_somebody_who_reads_for_long(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with create(path) as file:
            file.save([("x", PROMISED)])
            monkeypatch.setattr(writing, "PATIENCE_S", 0.01)
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN")
                other.execute("SELECT * FROM records").fetchall()
                file.save([("x", ACCEPTED)])
                assert inspect(path).saves == 3
                file.close()
                with pytest.raises(StoreUnavailable, match="has been reading it"):
                    reopen(path)
        assert loaded(path, "x") == {ACCEPTED}

    def test_inspecting_a_closed_store_leaves_nothing_behind(self, path: Path) -> None:
        create(path).close()
        path.parent.chmod(0o555)
        inspect(path)
        path.parent.chmod(0o755)
        assert sorted(it.name for it in path.parent.iterdir()) == ["n1.db", "n1.db-mark"]

    def test_an_older_file_under_a_newer_log(self, path: Path, tmp_path: Path) -> None:
        """SQLite would put the pages of both together, and the count of saves would be right."""
        with create(path) as file:
            file.save([(f"x{number:03}", PROMISED) for number in range(999)])
        older = path.read_bytes()
        with reopen(path) as file:
            file.save([("x400", ACCEPTED)])
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        with reopen(path) as file:
            file.save([("x998", ACCEPTED)])
            for name in "n1.db", "n1.db-wal", "n1.db-mark":
                shutil.copy(path.with_name(name), crashed)
        assert loaded(crashed / "n1.db", "x400") == {ACCEPTED}
        for name in "n1.db-wal", "n1.db-mark":
            (crashed / name).unlink(missing_ok=True)
        with reopen(path) as file:
            file.save([("x998", LATER)])
            for name in "n1.db-wal", "n1.db-mark":
                shutil.copy(path.with_name(name), crashed)
        (crashed / "n1.db").write_bytes(older)
        with pytest.raises(StoreCorrupted, match="its parts are not of one time"):
            reopen(crashed / "n1.db")


PLACE = Path("n1.db")


@pytest.mark.parametrize(
    "error",
    [
        StoreExists(PLACE, "x"),
        BadName("x", "y"),
        BadDiskStatus("x"),
        DiskBusy(PLACE, "x"),
        Forked(PLACE),
        MembershipClosed(PLACE, "x"),
        NotAStore(PLACE),
        NotBytes(None),
        OlderFormat(PLACE, 1, 2),
        WrongMembers(PLACE, "x", "y"),
        StoreNotFound(PLACE, "x"),
        WrongOwner(PLACE, "x", "y"),
        NewerFormat(PLACE, 2, 1),
        StoreLocked(PLACE),
        StoreCorrupted(PLACE, "x"),
        StoreUnavailable(PLACE, OSError("x")),
        SaveFailed(PLACE, OSError("x")),
        Closed(PLACE),
        TooLarge("x", 2, 1),
    ],
    ids=lambda it: type(it).__name__,
)
def test_errors_say_what_to_do_and_travel(error: StoreError) -> None:
    assert str(error).endswith(".")
    assert len(str(error).split(". ")) > 1
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
