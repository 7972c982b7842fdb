"""The chain of sessions in a file: each opening draws one, and no copy passes for the original.

Beside it, what is known of the disks of peers.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paxos import MaxRound
from paxos_adapters.disk_status import DiskStatus, Known, NotDescended, check_descent
from paxos_adapters.file import (
    FileStore,
    SaveFailed,
    StoreCorrupted,
    database,
    inspect,
    opening,
    rows,
)
from paxos_adapters.file.mark import Mark, peek
from paxos_adapters.file.rows import Row
from tests.support.files import (
    ACCEPTED,
    ONE,
    PROMISED,
    THREE,
    TWO,
    copied,
    create,
    forge,
    mark_of,
    reopen,
)

KNOWN, OTHER = Known("ab" * 8, 9), Known("cd" * 8, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


def chain(path: Path) -> dict[str, str]:
    """The chain as it stands in the file."""
    return {row.name: row.fields for row in rows(path) if row.kind == "session"}


class TestSessions:
    """Each opening draws one, and ends the one before it."""

    def test_the_first_session_has_none_before_it(self, path: Path) -> None:
        with create(path) as file:
            assert file.disk_status() == DiskStatus(file.session, 1, "", 0)
            file.save([("x", PROMISED)])
            assert file.disk_status() == DiskStatus(file.session, 2, "", 0)
            assert file.ended(file.session) is None

    def test_each_opening_draws_a_session_and_ends_the_last_one(self, path: Path) -> None:
        with create(path) as file:
            first = file.session
            file.save([("x", PROMISED)])
        with reopen(path) as file:
            second = file.session
            assert file.disk_status() == DiskStatus(second, 3, first, 2)
            assert file.ended(first) == 2
        with reopen(path) as file:
            assert len({first, second, file.session}) == 3
            assert file.disk_status() == DiskStatus(file.session, 4, second, 3)
            assert file.disk_status(Known(first, 2)) == DiskStatus(file.session, 4, first, 2)
            assert (file.ended(first), file.ended(second)) == (2, 3)
        assert chain(path) == {
            first: "began 1 ended 2",
            second: "began 3 ended 3",
            file.session: "began 4",
        }

    def test_so_does_one_after_a_kill(self, path: Path, tmp_path: Path) -> None:
        """With the saves that are found in the database: the mark may say less."""
        with create(path) as file:
            old = mark_of(path).read_bytes()
            file.save([("x", PROMISED)])
            file.save([("x", ACCEPTED)])
            killed = copied(path, tmp_path / "killed")
            mark_of(killed).write_bytes(old)
        with reopen(killed) as again:
            assert again.ended(file.session) == 3
            assert again.saves == 4

    def test_what_a_file_descends_from(self, path: Path) -> None:
        with create(path) as file:
            file.save([("x", PROMISED)])
        with reopen(path) as later:
            for known, descends in [
                (Known(file.session, 0), True),
                (Known(file.session, 2), True),
                (Known(file.session, 3), False),
                (Known(later.session, 3), True),
                (Known(later.session, 4), False),
                (Known("ab" * 8, 0), False),
            ]:
                assert later.descends_from(known) is descends, known

    def test_a_restored_copy_is_refused_through_all_its_sessions(
        self, path: Path, tmp_path: Path
    ) -> None:
        """Both its file and its mark are of one time, so that only a peer can tell."""
        with create(path) as file:
            file.save([("x", PROMISED)])
        copy = copied(path, tmp_path / "copy")
        with reopen(path) as file:
            file.save([("x", ACCEPTED)])
            known = Known(file.session, file.saves)
        for _ in range(3):
            with reopen(copy) as restored:
                for number in range(20):
                    restored.save([("y", MaxRound(number))])
                ends = {it: restored.ended(it) for it in chain(copy)}
                entries = [Known(it, end) for it, end in ends.items() if end is not None]
                for entry in None, *entries:
                    said = restored.disk_status(entry)
                    assert check_descent(known, said) == NotDescended(known)
                assert not restored.descends_from(known)
        with reopen(path) as file:
            assert check_descent(known, file.disk_status()) == Known(file.session, file.saves)


class TestMark:
    """The mark names its session, and the chain has to hold it."""

    def test_it_names_the_session_and_is_synced_before_open_returns(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(path).close()
        steps: list[str] = []
        begin = Mark.begin

        def watched(mark: Mark, session: str, saves: int, total: int) -> None:
            with closing(sqlite3.connect(path)) as other:
                query = "SELECT name FROM records WHERE kind = 'session' AND fields = 'began 2'"
                steps.append(f"committed {other.execute(query).fetchone()[0]}")
            begin(mark, session, saves, total)
            steps.append(f"marked {peek(path).session}")

        monkeypatch.setattr(Mark, "begin", watched)
        with reopen(path) as file:
            assert steps == [f"committed {file.session}", f"marked {file.session}"]
            assert (peek(path).session, peek(path).saves) == (file.session, 2)

    def test_a_copy_that_was_opened_elsewhere_does_not_go_with_it(
        self, path: Path, tmp_path: Path
    ) -> None:
        """Though it has been saved as often, and oftener."""
        with create(path) as file:
            file.save([("x", PROMISED)])
        copy = copied(path, tmp_path / "copy")
        with reopen(path):
            pass
        with reopen(copy) as other:
            for number in range(9):
                other.save([("x", MaxRound(number))])
        shutil.copy(copy, path)
        with pytest.raises(StoreCorrupted, match=r"does not descend from session .* another copy"):
            reopen(path)

    def test_nor_one_from_earlier_in_its_session(self, path: Path, tmp_path: Path) -> None:
        with create(path) as file:
            file.save([("x", PROMISED)])
            copy = copied(path, tmp_path / "copy")
            file.save([("x", ACCEPTED)])
        marked = mark_of(path).read_bytes()
        with reopen(copy) as other:
            other.save([("x", PROMISED)])
            other.save([("x", PROMISED)])
        mark_of(copy).write_bytes(marked)
        with pytest.raises(StoreCorrupted, match=r"does not descend from session .* with 3 saves"):
            reopen(copy)

    @pytest.mark.parametrize("fields", ["began 1", "began 1 ended 9"])
    def test_a_chain_without_exactly_one_end(self, path: Path, fields: str) -> None:
        with create(path) as file:
            pass
        with reopen(path) as later:
            pass
        named = file.session if fields == "began 1" else later.session
        forge(path, Row(named, "session", fields, None, 2))
        with pytest.raises(StoreCorrupted, match="does not have one end"):
            reopen(path)

    def test_no_slot_is_overwritten_while_it_says_the_most(self, path: Path) -> None:
        """A write that is cut off anywhere leaves what was said before."""
        with create(path) as file:
            for number in range(1, 8):
                before, old = peek(path), mark_of(path).read_bytes()
                file.save([("x", MaxRound(number))])
                after, new = peek(path), mark_of(path).read_bytes()
                assert after.saves == before.saves + 1
                written = [it for it in range(len(new)) if new[it] != old[it]]
                for cut in range(written[0] + 1, written[-1] + 1):
                    mark_of(path).write_bytes(new[:cut] + old[cut:])
                    assert peek(path) == before
                mark_of(path).write_bytes(new)


class TestBound:
    """The chain keeps so many entries, and never drops the one that the mark names."""

    def test_the_oldest_go_first(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opening, "MAX_SESSIONS", 4)
        sessions: list[str] = []
        with create(path) as file:
            sessions.append(file.session)
        for _ in range(6):
            with reopen(path) as file:
                sessions.append(file.session)
                assert set(chain(path)) == set(sessions[-4:])
                assert file.ended(sessions[-2]) == file.saves - 1

    def test_the_one_of_the_mark_stays(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As long as a supervisor starts what dies after its first commit."""
        monkeypatch.setattr(opening, "MAX_SESSIONS", 3)
        with create(path) as file:
            file.save([("x", PROMISED)])

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Mark, "begin", killed)
            for _ in range(6):
                with pytest.raises(KeyboardInterrupt):
                    reopen(path)
        assert file.session in chain(path)
        assert len(chain(path)) == 3
        with reopen(path) as again:
            assert again.ended(file.session) == 2

    def test_a_chain_that_has_dropped_a_session_is_never_taken_for_a_whole_one(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(opening, "MAX_SESSIONS", 3)
        with create(path) as file:
            first = file.session
            assert file.has_whole_chain
        with reopen(path) as file:
            assert file.has_whole_chain
            assert file.ended(first) is not None
        for _ in range(3):
            with reopen(path) as file:
                assert not file.has_whole_chain
        with reopen(path) as file:
            assert file.ended(first) is None


class TestPeers:
    """What is known of peers' disks goes with every commit that is made anyway."""

    def killed(self, path: Path) -> FileStore:
        """The file as it is after a kill: nothing is closed."""
        return reopen(copied(path, path.parent / "killed"))

    def test_it_is_there_after_a_kill_with_the_next_save(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.save([("leader", PROMISED)])
            assert file.saves == 2
            with self.killed(path) as again:
                assert again.peers == {TWO: KNOWN}

    def test_and_by_itself_with_an_empty_one(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.save(())
            assert file.saves == 2
            file.save(())
            assert file.saves == 2
            with self.killed(path) as again:
                assert again.peers == {TWO: KNOWN}

    def test_a_new_session_of_a_peer_too(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.set_peer_status(THREE, OTHER)
            file.save(())
            file.set_peer_status(TWO, OTHER)
            file.save([("x", PROMISED)])
            with self.killed(path) as again:
                assert again.peers == {TWO: OTHER, THREE: OTHER}

    def test_and_a_later_count_of_the_same_session(self, path: Path) -> None:
        later = Known(KNOWN.session, KNOWN.saves + 1)
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.save(())
            file.set_peer_status(TWO, later)
            file.save([("x", PROMISED)])
            with self.killed(path) as again:
                assert again.peers == {TWO: later}

    def test_closing_is_early_enough(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
        with reopen(path) as file:
            assert file.peers == {TWO: KNOWN}
            file.set_peer_status(TWO, None)
            assert file.peers == {}
        with reopen(path) as file:
            assert file.peers == {}

    def test_what_did_not_change_is_not_saved_again(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.save(())
            file.set_peer_status(TWO, KNOWN)
            file.set_peer_status(THREE, None)
            file.save(())
            assert file.saves == 2
        assert inspect(path).saves == 2

    def test_all_of_it_is_one_row(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(TWO, KNOWN)
            file.set_peer_status(THREE, OTHER)
            file.save(())
            found = [it.fields for it in rows(path) if it.kind == "peers"]
        assert found == [f"2 {'ab' * 8} 9, 3 {'cd' * 8} 4"]

    def test_it_is_not_a_decision(self, path: Path) -> None:
        with create(path) as file:
            file.set_peer_status(ONE, KNOWN)
            file.save([(file.session, PROMISED)])
            assert file.decisions() == (file.session,)
            assert set(file.load(file.session).records) == {PROMISED}

    def test_a_save_that_failed_saves_nothing_more_when_it_is_closed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = create(path)
        file.set_peer_status(TWO, KNOWN)

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(database, "put", interrupted)
            with pytest.raises(SaveFailed):
                file.save(())
        file.close()
        with reopen(path) as again:
            assert again.peers == {}
