"""A change of members on stopped files: close, settle, adopt; and what each of them refuses."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from paxos import Acceptor, Ballot, Proposal, QuorumSystem, ServerId, flexible, majority
from paxos.log import Configuration, Delta
from paxos_adapters.file import (
    FileStore,
    MembershipClosed,
    StoreCorrupted,
    StoreExists,
    StoreLocked,
    StoreUnavailable,
    WrongMembers,
    inspect,
    opening,
    rows,
)
from paxos_adapters.members import (
    ArtefactExists,
    Contradiction,
    HoldsLogs,
    MayBeSettledTwice,
    NotAMember,
    NotClosed,
    NotReplaced,
    OtherFile,
    SettledOtherwise,
    TooFewFiles,
    Unfinished,
    adopt,
    close_files,
    inspect_artefact,
    reopen_files,
    settle,
    settling,
)
from paxos_adapters.outputs import OutputRefused
from tests.support.member_files import (
    BLUE,
    NEW,
    OLD,
    RED,
    S1,
    S2,
    S3,
    S4,
    S5,
    accepted,
    make,
    make_two,
    opened,
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_two(tmp_path)


# --- close ---------------------------------------------------------------------------------------


def test_a_closed_file_is_opened_by_no_node(files: list[Path]) -> None:
    close_files(files)

    with pytest.raises(MembershipClosed, match="not settled yet"):
        opened(files[0], S1, OLD, "")


def test_a_closed_file_names_the_membership_that_replaced_it(files: list[Path]) -> None:
    close_files(files)
    membership = settle(files, NEW, files[0].with_name("new")).header.membership

    with pytest.raises(MembershipClosed, match=membership):
        opened(files[1], S2, OLD, "")


def test_a_closed_file_can_be_read(files: list[Path]) -> None:
    close_files(files)

    assert inspect(files[0]).closed == "not settled yet"
    assert [it.value for it in rows(files[0]) if it.kind == "acceptor"] == [b"red"]


def test_no_file_is_closed_if_one_of_them_is_in_use(files: list[Path]) -> None:
    with opened(files[1], S2, OLD, ""), pytest.raises(StoreLocked):
        close_files(files)

    opened(files[0], S1, OLD, "").close()


def test_a_file_with_a_log_is_not_closed(files: list[Path]) -> None:
    """What is carried over are decisions: its entries would be lost."""
    with opened(files[1], S2, OLD, "") as file:
        file.save_all([("log", Delta[bytes](Ballot(1, S1), 1, (Configuration(1, OLD),)))])

    with pytest.raises(HoldsLogs, match="a log would be lost"):
        close_files(files)

    for path, server in zip(files, (S1, S2), strict=True):
        opened(path, server, OLD, "").close()


def test_a_file_may_be_closed_again(files: list[Path]) -> None:
    close_files(files)
    saves = inspect(files[0]).saves

    close_files(files)

    assert inspect(files[0]).saves == saves


def test_closing_can_be_undone_before_it_is_settled(files: list[Path]) -> None:
    close_files(files)
    reopen_files(files)

    with opened(files[0], S1, OLD, "") as file:
        assert accepted(file, "a") == RED


def test_closing_can_be_undone_for_a_file_whose_creation_was_killed_before_its_first_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the only row with a count went, and the file passed for damaged."""
    path = tmp_path / "n1.db"
    with monkeypatch.context() as patch:
        patch.setattr(opening, "_finish_open", _fail)
        with pytest.raises(StoreUnavailable, match="killed"):
            FileStore.create(path, cluster="c", server=S1, quorum=OLD)
    close_files([path])
    reopen_files([path])

    for _ in range(2):
        FileStore.open(path, cluster="c", server=S1, quorum=OLD).close()


def test_closing_cannot_be_undone_once_it_is_settled(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if the settle was killed before its artefact: another copy of it may exist."""
    close_files(files)
    monkeypatch.setattr(settling, "write", _fail)
    with pytest.raises(Unfinished, match="killed"):
        settle(files, NEW, files[0].with_name("new"))

    with pytest.raises(SettledOtherwise):
        reopen_files(files)

    assert [inspect(path).closed is not None for path in files] == [True, True]


def _fail(*_: object) -> None:
    raise OSError("killed")


# --- settle --------------------------------------------------------------------------------------


def test_the_accepted_proposal_with_the_highest_ballot_is_settled(tmp_path: Path) -> None:
    files = [make(tmp_path, S1, a=RED), make(tmp_path, S2, a=BLUE)]
    close_files(files)
    settle(files, NEW, tmp_path / "new")
    adopt(tmp_path / "new", tmp_path / "n4.db", S4)
    membership = inspect_artefact(tmp_path / "new").header.membership

    with opened(tmp_path / "n4.db", S4, NEW, membership) as file:
        assert accepted(file, "a") == BLUE


def test_a_new_file_accepts_what_is_settled_and_goes_on_above_every_round(
    files: list[Path], tmp_path: Path
) -> None:
    close_files(files)
    artefact = settle(files, NEW, tmp_path / "new")
    for path, server in (files[0], S1), (files[1], S2), (tmp_path / "n4.db", S4):
        adopt(tmp_path / "new", path, server)

        with opened(path, server, NEW, artefact.header.membership) as file:
            assert file.decisions() == ("a", "b")
            assert (accepted(file, "a"), accepted(file, "b")) == (RED, BLUE)
            for name in "a", "b":
                (memory,) = file.load(name).records
                assert isinstance(memory, Acceptor)
                assert memory.promised == Ballot(8, ServerId(0))


def test_a_new_file_of_which_nothing_is_settled_is_empty(tmp_path: Path) -> None:
    files = [make(tmp_path, S1), make(tmp_path, S2)]
    close_files(files)
    artefact = settle(files, NEW, tmp_path / "new")
    adopt(tmp_path / "new", tmp_path / "n4.db", S4)

    with opened(tmp_path / "n4.db", S4, NEW, artefact.header.membership) as file:
        assert file.decisions() == ()


def test_what_was_settled_from_files_of_the_second_format_is_adopted(tmp_path: Path) -> None:
    """That is how a cluster goes on; its servers had reserved the rounds up to 1,000."""
    artefact = Path(__file__).parents[2] / "vectors" / "change-1"
    header = inspect_artefact(artefact).header
    assert header.quorum == OLD
    adopt(artefact, tmp_path / "n1.db", S1)

    with opened(tmp_path / "n1.db", S1, OLD, header.membership) as file:
        settled = Proposal(Ballot(3, S2), b"server 2")
        assert file.load("leader").records == (Acceptor(Ballot(1001, ServerId(0)), settled),)


def test_a_file_that_is_not_closed_is_not_settled(files: list[Path], tmp_path: Path) -> None:
    close_files(files[:1])

    with pytest.raises(NotClosed):
        settle(files, NEW, tmp_path / "new")


def test_less_than_a_phase_1_quorum_is_not_settled(tmp_path: Path) -> None:
    quorum = flexible([S1, S2, S3], phase1=3, phase2=1)
    files = [make(tmp_path, it, quorum) for it in (S1, S2)]
    close_files(files)

    with pytest.raises(TooFewFiles, match="S1, S2"):
        settle(files, NEW, tmp_path / "new")


def test_files_that_leave_out_a_phase_1_quorum_are_settled_only_if_nothing_else_is(
    tmp_path: Path,
) -> None:
    quorum = flexible([S1, S2, S3], phase1=1, phase2=3)
    files = [make(tmp_path, S1, quorum, a=RED)]
    close_files(files)

    with pytest.raises(MayBeSettledTwice, match="S2, S3"):
        settle(files, NEW, tmp_path / "new")

    assert settle(files, NEW, tmp_path / "new", only=True).records == 1


def test_files_of_two_memberships_are_not_settled_together(tmp_path: Path) -> None:
    files = [make(tmp_path, S1), make(tmp_path, S2, NEW)]
    close_files(files)

    with pytest.raises(OtherFile):
        settle(files, NEW, tmp_path / "new")


def test_two_files_of_one_server_are_not_two(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    files = [make(one, S1), make(other, S1)]
    close_files(files)

    with pytest.raises(OtherFile, match="once more"):
        settle(files, NEW, tmp_path / "new")


def test_two_values_under_one_ballot_are_not_settled(tmp_path: Path) -> None:
    other = Proposal(RED.ballot, b"blue")
    files = [make(tmp_path, S1, a=RED), make(tmp_path, S2, a=other)]
    close_files(files)

    with pytest.raises(Contradiction, match="'a' under ballot 1"):
        settle(files, NEW, tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_the_same_settle_makes_the_same_artefact_again(files: list[Path], tmp_path: Path) -> None:
    close_files(files)
    settle(files, NEW, tmp_path / "new")
    settle(files, NEW, tmp_path / "new")
    settle(files[::-1], NEW, tmp_path / "again")

    assert (tmp_path / "new").read_bytes() == (tmp_path / "again").read_bytes()


def test_a_settle_that_was_killed_goes_on_under_its_id(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_files(files)
    with monkeypatch.context() as patch:
        patch.setattr(settling, "write", _fail)
        with pytest.raises(Unfinished, match="killed"):
            settle(files, NEW, tmp_path / "new")
    noted = inspect(files[0]).closed or ""

    artefact = settle(files, NEW, tmp_path / "new")

    assert artefact.header.membership in noted


@pytest.mark.parametrize(
    ("servers", "quorum"), [((S1, S3), NEW), ((S2, S3), NEW), ((S1, S2), majority([S1, S2, S5]))]
)
def test_another_settle_of_the_same_membership_is_refused(
    files: list[Path], tmp_path: Path, servers: tuple[ServerId, ...], quorum: QuorumSystem
) -> None:
    """From other files or for other members. The artefacts would be two memberships."""
    make(tmp_path, S3, a=RED)
    all_ = [tmp_path / f"n{it}.db" for it in (S1, S2, S3)]
    close_files(all_)
    settle(files, NEW, tmp_path / "new")

    with pytest.raises(SettledOtherwise):
        settle([all_[it - 1] for it in servers], quorum, tmp_path / "other")

    assert not (tmp_path / "other").exists()


def test_an_artefact_replaces_nothing(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    other = tmp_path / "other"
    other.mkdir()
    others = [make(other, S1, a=BLUE), make(other, S2)]
    close_files([*files, *others])
    settle(others, NEW, tmp_path / "theirs")
    theirs = (tmp_path / "theirs").read_bytes()

    with pytest.raises(OutputRefused):
        settle(files, NEW, tmp_path / "mine")
    with pytest.raises(ArtefactExists):
        settle(files, NEW, tmp_path / "theirs")

    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "theirs").read_bytes() == theirs


@pytest.mark.slow
def test_names_are_settled_as_a_stream(tmp_path: Path) -> None:
    """Four times as many names take no more memory."""
    peaks: list[int] = []
    for count in 1_100, 4_400:
        folder = tmp_path / str(count)
        folder.mkdir()
        names = {f"name {number}": RED for number in range(count)}
        files = [make(folder, S1, OLD, **names), make(folder, S2, OLD, **names)]
        close_files(files)
        tracemalloc.start()
        settle(files, NEW, folder / "new")
        adopt(folder / "new", folder / "n4.db", S4)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert inspect(folder / "n4.db").records == count

    assert peaks[1] < 1.5 * peaks[0], peaks


# --- adopt ---------------------------------------------------------------------------------------


def test_the_closed_file_is_moved_aside_with_its_mark_and_stays_closed(
    files: list[Path], tmp_path: Path
) -> None:
    close_files(files)
    membership = settle(files, NEW, tmp_path / "new").header.membership

    moved = adopt(tmp_path / "new", files[0], S1).moved

    assert moved is not None
    assert moved == tmp_path / f"n1.db-before-{membership}"
    with pytest.raises(MembershipClosed, match=membership):
        opened(moved, S1, OLD, "")
    with pytest.raises(WrongMembers):
        opened(files[0], S1, OLD, "")


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_move_that_was_cut_off_is_taken_up_again(
    files: list[Path], tmp_path: Path, steps: int
) -> None:
    """After the first link, the second, and after each old name that went."""
    close_files(files)
    membership = settle(files, NEW, tmp_path / "new").header.membership
    aside = tmp_path / f"n1.db-before-{membership}"
    pairs = [(files[0], aside), (Path(f"{files[0]}-mark"), Path(f"{aside}-mark"))]
    for step, (old, new) in enumerate([*pairs, *pairs][:steps]):
        if step < len(pairs):
            os.link(old, new)
        else:
            old.unlink()

    moved = adopt(tmp_path / "new", files[0], S1).moved

    assert moved == aside
    assert inspect(aside).closed is not None
    opened(files[0], S1, NEW, membership).close()


def test_what_a_creation_has_left_is_not_written_to_by_the_next(
    files: list[Path], tmp_path: Path
) -> None:
    """A second name of a mark: the next new mark would be made in it, in the one moved aside."""
    close_files(files)
    settle(files, NEW, tmp_path / "new")
    os.link(f"{files[0]}-mark", f"{files[0]}-mark-new")
    os.link(files[0], f"{files[0]}-new")

    moved = adopt(tmp_path / "new", files[0], S1).moved

    assert moved is not None
    assert inspect(moved).closed is not None
    assert not {"n1.db-new", "n1.db-mark-new"} & {it.name for it in tmp_path.iterdir()}


def test_a_file_that_was_not_read_is_closed_for_good_when_it_is_replaced(
    files: list[Path], tmp_path: Path
) -> None:
    n3 = make(tmp_path, S3, a=Proposal(Ballot(9, S3), b"never chosen"))
    close_files(files)
    artefact = settle(files, OLD, tmp_path / "new")
    with pytest.raises(NotClosed):
        adopt(tmp_path / "new", n3, S3)
    close_files([n3])

    moved = adopt(tmp_path / "new", n3, S3).moved

    assert moved is not None
    with pytest.raises(SettledOtherwise):
        reopen_files([moved])
    with opened(n3, S3, OLD, artefact.header.membership) as file:
        assert accepted(file, "a") == RED


def test_adopting_again_changes_nothing(files: list[Path], tmp_path: Path) -> None:
    close_files(files)
    membership = settle(files, NEW, tmp_path / "new").header.membership
    adopt(tmp_path / "new", files[0], S1)
    green = Proposal(Ballot(9, S4), b"green")
    with opened(files[0], S1, NEW, membership) as file:
        file.save([("d", Acceptor(green.ballot, green))])

    assert adopt(tmp_path / "new", files[0], S1).was_there

    with opened(files[0], S1, NEW, membership) as file:
        assert accepted(file, "d") == green


def test_a_new_file_that_is_gone_is_not_made_again(files: list[Path], tmp_path: Path) -> None:
    """As long as its mark is there. If that is gone too, only peers can tell: see registration."""
    close_files(files)
    membership = settle(files, NEW, tmp_path / "new").header.membership
    adopt(tmp_path / "new", files[0], S1)
    opened(files[0], S1, NEW, membership).close()
    files[0].unlink()

    with pytest.raises(StoreExists):
        adopt(tmp_path / "new", files[0], S1)


def test_only_a_new_member_adopts(files: list[Path], tmp_path: Path) -> None:
    close_files(files)
    settle(files, NEW, tmp_path / "new")

    with pytest.raises(NotAMember):
        adopt(tmp_path / "new", tmp_path / "n3.db", S3)


def test_the_file_of_another_server_is_not_replaced(files: list[Path], tmp_path: Path) -> None:
    close_files(files)
    settle(files, NEW, tmp_path / "new")

    with pytest.raises(NotReplaced):
        adopt(tmp_path / "new", files[1], S1)

    assert inspect(files[1]).identity.server == S2


def test_a_file_that_was_settled_otherwise_is_not_replaced(tmp_path: Path) -> None:
    """Its own change of members goes on from it."""
    quorum = flexible([S1, S2], phase1=1, phase2=2)
    files = [make(tmp_path, it, quorum) for it in (S1, S2)]
    close_files(files)
    for file, name in zip(files, ("one", "other"), strict=True):
        settle([file], NEW, tmp_path / name, only=True)

    with pytest.raises(SettledOtherwise):
        adopt(tmp_path / "one", files[1], S2)


def test_a_closed_file_with_a_strange_reason_is_damaged(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("paxos_adapters.members.holding.UNSETTLED", "for fun")
        close_files(files)

    with pytest.raises(StoreCorrupted, match="for fun"):
        reopen_files(files)


def test_a_copy_of_an_old_file_is_refused_by_name(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    for end in "", "-mark":
        shutil.copy(f"{files[0]}{end}", f"{copy}{end}")
    close_files(files)
    membership = settle(files, NEW, tmp_path / "new").header.membership
    adopt(tmp_path / "new", files[0], S1)

    with pytest.raises(WrongMembers, match=membership):
        opened(copy, S1, NEW, membership)
