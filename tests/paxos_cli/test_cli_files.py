"""``paxos demo --data``, ``paxos inspect`` and ``paxos readmit``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import pytest

from paxos import Acceptor, Ballot, Proposal, QuorumSystem, ServerId, majority
from paxos.log import Configuration, Delta, Noop
from paxos.log.memory import Written
from paxos_adapters.disk_status import Known
from paxos_adapters.file import FileStore, inspect, rows
from paxos_adapters.file.rows import acceptor_of
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_cli import app
from tests.support.slow import slow_but_for

ONE, TWO = ServerId(1), ServerId(2)


def of(servers: int) -> QuorumSystem:
    """More than half of them."""
    return majority(map(ServerId, range(1, servers + 1)))


def votes(data: Path) -> list[str]:
    """What each server had accepted when it stopped; here each ballot has a value of its own."""
    found: list[str] = []
    for number in range(1, 6):
        found_rows = rows(data / f"s{number}.db")
        row = next((it for it in found_rows if it.key == ("colour", "acceptor")), None)
        held = None if row is None else acceptor_of(row).accepted
        found += [] if held is None else [held.value.decode()]
    return found


def verdict(data: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the servers agree on when they are started again."""
    capsys.readouterr()
    assert app.run(data) == 0
    return capsys.readouterr().out.splitlines()[-1].split()[-1].rstrip(".")


class TestDemo:
    """Stopped half way and started again, the servers come to the same decision."""

    def test_stopped_it_says_how_to_go_on(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = tmp_path / "run"
        assert app.run(["demo", "--data", str(data), "--stop-after", "14", "--seed", "7"]) == 0
        printed = capsys.readouterr().out
        assert "All servers stopped after 14 messages, as asked." in printed
        assert printed.endswith(f"paxos demo --data {data}\n")
        assert "What the files" not in printed

        assert app.run(["demo", "--data", str(data), "--plain"]) == 0
        printed = capsys.readouterr().out
        assert f"What the files in {data} hold" in printed
        assert "5 of 5 know: agreed on red." in printed

    @pytest.mark.parametrize(
        "stop_after", slow_but_for(range(0, 50, 12).__contains__, range(0, 50, 3))
    )
    def test_what_was_chosen_stays_chosen(
        self, tmp_path: Path, stop_after: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = ["demo", "--data", str(tmp_path), "--proposers", "3"]
        app.run([*data, "--stop-after", str(stop_after), "--seed", str(stop_after)])
        chosen = {value for value, often in Counter(votes(tmp_path)).items() if often > 2}
        decided = [verdict(data, capsys) for _ in range(2)]

        assert decided[0] == decided[1]
        assert chosen <= {decided[0]}

    def test_as_many_servers_as_there_are_files(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = ["demo", "--data", str(tmp_path)]
        assert app.run([*data, "--servers", "3"]) == 0
        assert app.run([*data, "--servers", "5"]) == 2
        assert "has the memory of 3 servers" in capsys.readouterr().err
        assert app.run(data) == 0
        assert "3 of 3 know" in capsys.readouterr().out

    def test_a_memory_that_is_gone_is_no_new_server(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = ["demo", "--data", str(tmp_path)]
        app.run(data)
        (tmp_path / "s2.db").unlink()
        capsys.readouterr()
        assert app.run(data) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "s2.db cannot be opened: there is no such file" in printed.err
        assert len(printed.err.splitlines()) == 1

    def test_a_folder_that_was_left_half_made(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        FileStore.create(tmp_path / "s1.db", cluster="demo of 3", server=ONE, quorum=of(3)).close()
        assert app.run(["demo", "--data", str(tmp_path)]) == 0
        assert "3 of 3 know" in capsys.readouterr().out

    def test_a_value_that_is_no_text(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, ballot = tmp_path / "s1.db", Ballot(1, ONE)
        with FileStore.create(path, cluster="demo of 1", server=ONE, quorum=of(1)) as file:
            file.save([("colour", Acceptor(ballot, Proposal(ballot, b"\xff")))])
        assert app.run(["demo", "--data", str(tmp_path)]) == 1
        assert "holds a value that is not text" in capsys.readouterr().err

    def test_two_at_once_are_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        app.run(["demo", "--data", str(tmp_path), "--servers", "1"])
        path = tmp_path / "s1.db"
        with FileStore.open(path, cluster="demo of 1", server=ONE, quorum=of(1)):
            assert app.run(["demo", "--data", str(tmp_path)]) == 1
        assert "is open already" in capsys.readouterr().err


def test_inspect_shows_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, ballot = tmp_path / "n1.db", Ballot(3, ONE)
    noops: Written[bytes] = tuple((slot, Proposal(ballot, Noop())) for slot in (1, 2, 3))
    record: Delta[bytes] = Delta(ballot, 3, (Configuration(1, of(3)),), noops)
    with FileStore.create(path, cluster="demo", server=ONE, quorum=of(3)) as file:
        file.save_all([("counter", record)])
        log = file.log("counter")
        log.put_snapshot_pieces(2, 0, [b"piece"])
        handle = SnapshotHandle(2, 1, 5, blake2b(b"piece", digest_size=16).digest())
        log.check_snapshot(handle)
        file.save_all([("counter", handle)])

    assert app.run(["inspect", str(path), "--plain"]) == 0
    printed = capsys.readouterr().out
    (line,) = (it for it in printed.splitlines() if "counter" in it)
    cells = [it.strip() for it in line.split("|")][1:-1]
    assert cells == ["counter", "3.1", "3", "2", "3", "1 pieces, 5 bytes"]

    assert app.run(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["logs"]["counter"]
    snapshot = {"slot": 2, "pieces": 1, "bytes": 5, "digest": handle.digest.hex()}
    expected = {"promised": "3.1", "first": 3, "floor": 2, "entries": 3, "snapshot": snapshot}
    assert told == expected


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "n1.db"
    with FileStore.create(path, cluster="demo", server=ONE, quorum=of(3)) as file:
        ballot = Ballot(3, TWO)
        for name, value in ("text", b"red"), ("bytes", b"\xff\x00"), ("long", b"\n" + b"x" * 99):
            file.save([(name, Acceptor(ballot, Proposal(ballot, value)))])
        file.save([("promised", Acceptor[bytes](ballot))])
        file.set_peer_status(TWO, Known("ab" * 8, 9))
    return path


class TestInspect:
    """What is in a store."""

    def test_for_people(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")  # In less, the table becomes a list.
        assert app.run(["inspect", str(path), "--plain"]) == 0
        printed = capsys.readouterr().out
        assert printed.isascii()
        assert f"{path}: server 1 of cluster 'demo', incarnation " in printed
        assert "Saved 6 times in 1 session, the last one " in printed
        assert "Every record is whole." in printed
        assert "Members: counted 1 2 3 phase1 2 phase2 2, membership the first." in printed
        table = {
            cells[1]: cells[2:-1]
            for cells in ([it.strip() for it in line.split("|")] for line in printed.splitlines())
            if len(cells) > 2
        }
        assert table["text"] == ["3.2", "3.2", "red", ""]
        assert table["bytes"] == ["3.2", "3.2", "ff00", ""]
        assert table["long"][2].startswith("0a7878")
        assert "(100 bytes)" in printed
        assert table["promised"] == ["3.2", "", "", ""]
        assert table["S2"] == ["ab" * 8, "9"]

    def test_for_programs(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["inspect", str(path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["cluster"] == "demo"
        assert told["saves"] == 6
        assert (told["sessions"], told["membership"], told["closed"]) == (1, "", None)
        assert told["quorum"] == "counted 1 2 3 phase1 2 phase2 2"
        assert told["epoch"] == {"number": 0, "quorum": told["quorum"], "closed": None}
        assert told["decisions"]["text"] == {
            "promised": "3.2",
            "accepted": "3.2",
            "value_hex": "726564",
            "max_round": None,
        }
        assert told["peers"] == {"2": {"session": "ab" * 8, "saves": 9}}

    def test_the_epoch_of_the_decisions(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, quorum = tmp_path / "n.db", majority(map(ServerId, (1, 2, 3)))
        with FileStore.create(path, cluster="demo", server=ServerId(1), quorum=quorum) as file:
            file.close_epoch(0)
            assert app.run(["inspect", str(path)]) == 0
            words = "epoch 0, counted 1 2 3 phase1 2 phase2 2, closed up to epoch 0."
            assert words in " ".join(capsys.readouterr().out.split())
            file.adopt(1, majority(map(ServerId, (1, 2, 4))), {})
        assert app.run(["inspect", str(path)]) == 0
        words = "Decisions: epoch 1, counted 1 2 4 phase1 2 phase2 2."
        assert words in " ".join(capsys.readouterr().out.split())

    @pytest.mark.parametrize(
        ("name", "message"), [("n1.db", "is damaged"), ("no.db", "is not a store: it is not there")]
    )
    def test_damage_is_one_line(
        self, path: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path.write_bytes(path.read_bytes()[:2000])
        assert app.run(["inspect", str(path.with_name(name))]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert message in printed.err
        assert len(printed.err.splitlines()) == 1


def test_no_name_or_value_is_taken_for_anything_else(tmp_path: Path) -> None:
    """Neither for markup, nor for what a terminal does, nor for what it cannot show."""
    path = tmp_path / "n1.db"
    ballot = Ballot(1, ONE)
    with FileStore.create(path, cluster="[/x]", server=ONE, quorum=of(3)) as file:
        file.save([("\x1b[2J[/x]", Acceptor(ballot, Proposal(ballot, "[/y] é".encode())))])
    done = subprocess.run(
        [sys.executable, "-m", "paxos_cli", "inspect", str(path)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\x1b[2J[/x]" in done.stdout
    assert r"[/y] \xe9" in done.stdout


class TestReadmit:
    """A peer with another disk is heard again when an operator says so."""

    def test_it_is_forgotten(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["readmit", str(path), "2"]) == 0
        printed = capsys.readouterr().out
        assert f"has forgotten session {'ab' * 8} of server 2" in printed
        assert "two values can be chosen" in printed
        assert inspect(path).peers == {}

    def test_what_a_server_was_told_of_its_own_disk_is_forgotten_too(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with FileStore.open(path, cluster="demo", server=ONE, quorum=of(3)) as file:
            file.set_peer_status(ONE, Known("cd" * 8, 7))
        assert app.run(["readmit", str(path), "1"]) == 0
        printed = capsys.readouterr().out
        assert f"has forgotten session {'cd' * 8} that it was told of" in printed
        assert "will ask its peers anew" in printed
        assert ONE not in inspect(path).peers

    def test_nobody_to_forget(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["readmit", str(path), "3"]) == 1
        assert "knows nothing of the disk of server 3." in capsys.readouterr().err
        assert app.run(["readmit", str(path.with_name("no.db")), "3"]) == 1
        assert app.run(["readmit", str(path), "x"]) == 2

    def test_not_while_the_server_runs(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with FileStore.open(path, cluster="demo", server=ONE, quorum=of(3)):
            assert app.run(["readmit", str(path), "2"]) == 1
        assert "is open already" in capsys.readouterr().err
