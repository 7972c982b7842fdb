"""``paxos members``: what it prints, and how each step ends."""

from __future__ import annotations

import json
from pathlib import Path
from stat import S_IMODE

import pytest

from paxos import Acceptor, Ballot, Proposal, ServerId, flexible, majority
from paxos_adapters.file import FileStore, inspect
from paxos_adapters.members import inspect_artefact
from paxos_cli import app

S1, S2, S4 = ServerId(1), ServerId(2), ServerId(4)
OLD = majority([S1, S2, ServerId(3)])
RED = Proposal(Ballot(1, S1), b"red")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of servers 1 and 2 of three; 1 has accepted red."""
    for me in S1, S2:
        with FileStore.create(
            tmp_path / f"n{me}.db", cluster="demo", server=me, quorum=OLD
        ) as file:
            file.save([("leader", Acceptor(RED.ballot, RED))] if me == S1 else [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> int:
    return app.run(["members", *command.split()])


def test_three_steps_change_the_members(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("close n1.db n2.db") == 0
    assert "n2.db is closed: server 2 of cluster 'demo'" in capsys.readouterr().out

    assert run("settle n1.db n2.db --servers 1,2,4 --out change") == 0
    assert S_IMODE((folder / "change").stat().st_mode) == 0o600
    membership = inspect_artefact(folder / "change").header.membership
    printed = capsys.readouterr().out
    assert "change has what is settled for 1 name," in printed
    assert f'In every cluster.toml: membership = "{membership}"' in printed

    for me in S1, S2, S4:
        assert run(f"adopt change n{me}.db --id {me}") == 0
        assert f"n{me}.db is adopted: server {me}" in capsys.readouterr().out
        quorum = majority([S1, S2, S4])
        with FileStore.open(
            folder / f"n{me}.db", cluster="demo", server=me, quorum=quorum, membership=membership
        ) as file:
            (memory,) = file.decision("leader").load().records
            assert isinstance(memory, Acceptor)
            assert memory.accepted == RED
    assert run("adopt change n1.db --id 1") == 0
    assert "was adopted before" in capsys.readouterr().out
    assert len([*folder.glob("n1.db-before-*")]) == 2


def test_what_is_closed_is_shown_and_can_be_opened_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("close n1.db")
    capsys.readouterr()
    app.run(["inspect", "n1.db", "--json"])
    assert json.loads(capsys.readouterr().out)["closed"] == "not settled yet"

    assert run("reopen n1.db") == 0

    assert "n1.db is open again: server 1" in capsys.readouterr().out
    assert inspect(folder / "n1.db").closed is None


def test_sizes_of_quorums_are_taken(folder: Path) -> None:
    run("close n1.db n2.db")

    assert run("settle n1.db n2.db --servers 1,2,4 --quorum 3/1 --out change") == 0

    quorum = inspect_artefact(folder / "change").header.quorum
    assert quorum == flexible([S1, S2, S4], phase1=3, phase2=1)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("close n1.db n9.db", 1, "there is no such file"),
        ("settle n1.db n2.db --servers 1,2,4 --out change", 1, "is not closed"),
        ("settle n1.db --servers 1,x --out change", 2, "'1,x' is not a list of ids"),
        ("settle n1.db --servers 1,2,4 --quorum 3 --out change", 2, "'3' is not two sizes"),
        (
            "settle n1.db --servers 1,2,4 --quorum 1/1 --out change",
            2,
            "paxos members settle --help",
        ),
        ("adopt change n4.db --id 4", 1, "change cannot be adopted: it cannot be read"),
        ("close", 2, "Missing argument"),
    ],
)
def test_what_is_wrong_becomes_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, code: int, said: str
) -> None:
    assert run(command) == code

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert inspect(folder / "n1.db").closed is None
    assert not (folder / "change").exists()
