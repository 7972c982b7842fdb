"""``paxos backup`` and ``paxos restore``: a file of what servers know, and a cluster made of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from stat import S_IMODE

import pytest

from paxos import ServerId
from paxos_adapters.backup import inspect_backup
from paxos_adapters.file import inspect
from paxos_adapters.node.deployment import read
from paxos_cli.exit_codes import ExitCode
from paxos_cli.paths import as_utf8
from tests.paxos_cli.test_cli_kv import WAIT, Running, outcome, running
from tests.paxos_cli.test_cli_node import at_work, eventually, until
from tests.support.backups import ran, written
from tests.support.commands import Ended, call

__all__ = ["running"]


def restored(backup: Path, folder: Path, *words: object) -> Ended:
    return call("restore", backup, folder, "--name", "new", *words)


# --- restore -------------------------------------------------------------------------------------


def test_a_new_folder_has_all_of_the_new_cluster(tmp_path: Path) -> None:
    before, _ = ran([])
    written(tmp_path / "b", ("kv", before), decisions=[("leader", b"me")])
    folder = tmp_path / "new folder"

    ended = restored(tmp_path / "b", folder, "--servers", "1,2,4")

    found = read(folder / "cluster.toml")
    assert outcome(ended) == (
        0,
        f"{folder} has the cluster 'new', membership {found.membership}: logs kv; decisions 1.\n"
        f"Start it: paxos cluster '{folder}'\n",
        "",
    )
    assert (found.name, sorted(found.addresses), len(found.membership)) == ("new", [1, 2, 4], 32)
    assert sorted(it.name for it in folder.iterdir()) == [
        *("cluster.toml", "keyring", "n1.db", "n1.db-mark", "n2.db", "n2.db-mark"),
        *("n4.db", "n4.db-mark"),
    ]
    assert {S_IMODE(it.stat().st_mode) for it in folder.iterdir()} == {0o600}
    assert found.protection() is not None
    for me, data in found.data.items():
        it = inspect(data).identity
        assert (it.cluster, it.server, it.membership) == ("new", me, found.membership)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["b", "new folder"]


def test_servers_of_other_machines_are_described(tmp_path: Path) -> None:
    written(tmp_path / "b")
    servers = "1=a.example.org:47100,2=b.example.org:47101"

    ended = restored(tmp_path / "b", tmp_path / "c", "--servers", servers)

    assert "Move each data file with its mark" in ended.stdout
    assert read(tmp_path / "c" / "cluster.toml").addresses == {
        ServerId(1): ("a.example.org", 47100),
        ServerId(2): ("b.example.org", 47101),
    }


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    written(tmp_path / "b")
    (tmp_path / "c").mkdir()
    assert restored(tmp_path / "b", tmp_path / "c", "--servers", "1").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--servers", "1,x"], 2, "'1,x' is neither a list of ids"),
        (["--servers", "1,2=a.example.org:1"], 2, "is neither a list of ids"),
        (["--servers", "1,1"], 2, "is neither a list of ids"),
        (["--servers", "0"], 2, "an id"),
        (["--servers", ",".join(map(str, range(1, 18)))], 2, "the number of servers"),
        (["--servers", "1=0.0.0.0:1"], 2, "--servers: "),
        (["--servers", "1=nothing"], 2, "--servers: "),
        (["--servers", "1", "--name", "c"], 2, "Choose another name"),
        (["--servers", "1", "--name", ""], 1, "the name of a cluster"),
    ],
)
def test_what_is_wrong_becomes_one_line_and_nothing_is_made(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    written(tmp_path / "b")

    ended = restored(tmp_path / "b", tmp_path / "c", *words)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert [*tmp_path.iterdir()] == [tmp_path / "b"]


def test_a_damaged_backup_makes_nothing(tmp_path: Path) -> None:
    written(tmp_path / "b", decisions=[("leader", b"me")])
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[:-10])

    ended = restored(tmp_path / "b", tmp_path / "c", "--servers", "1,2,3")

    assert (ended.returncode, "it was cut off" in ended.stderr) == (ExitCode.FAILED, True)
    assert [*tmp_path.iterdir()] == [tmp_path / "b"]


def test_nothing_is_restored_over_what_is_there(tmp_path: Path) -> None:
    written(tmp_path / "b")
    assert restored(tmp_path / "b", tmp_path / "c", "--servers", "1").returncode == 0
    before = {it: it.read_bytes() for it in (tmp_path / "c").iterdir()}

    for folder in tmp_path / "c", tmp_path / "b":
        ended = restored(tmp_path / "b", folder, "--servers", "1")
        assert ended.returncode == ExitCode.BAD_ARGUMENTS
        assert "is not empty" in ended.stderr or "is not a directory" in ended.stderr
    assert {it: it.read_bytes() for it in (tmp_path / "c").iterdir()} == before


# --- backup --------------------------------------------------------------------------------------


def backup(running: Running, out: Path, *words: object) -> Ended:
    return call("backup", out, "--cluster", running.config, *words)


@pytest.mark.slow
def test_a_cluster_is_backed_up_and_goes_on_under_another_name(
    running: Running, tmp_path: Path
) -> None:
    assert running.kv("put", "colour", "blue", *WAIT).returncode == 0
    for name, value in ("leader", "me"), ("shape", "round"):
        assert call("propose", name, value, "--cluster", running.config).returncode == 0

    ended = backup(running, tmp_path / "b")

    found = inspect_backup(tmp_path / "b")
    (log,) = found.logs
    assert outcome(ended) == (
        0,
        f"{tmp_path / 'b'} is a backup of cluster {found.header.cluster!r}, as server 1 knows it.\n"
        f"Log kv: what is applied of all slots below {log.slot:,}.\n"
        "Decisions: 2, all that were chosen before it began (names of servers 1, 2, 3).\n",
        "",
    )
    assert S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert running.kv("put", "colour", "red", *WAIT).returncode == 0
    assert restored(tmp_path / "b", tmp_path / "new", "--servers", "1,2,3").returncode == 0
    with at_work("cluster", tmp_path / "new") as process:
        until(process, "Stop all of them")
        config = "--cluster", tmp_path / "new" / "cluster.toml"
        assert outcome(call("kv", "get", "colour", *WAIT, *config)) == (0, "blue\n", "")
        assert outcome(call("kv", "put", "colour", "x", *WAIT, *config)) == (0, "revision 2\n", "")
        assert outcome(call("propose", "leader", "you", *config))[:2] == (3, "me\n")


@pytest.mark.slow
def test_a_backup_of_one_server_says_which_names_it_has(running: Running, tmp_path: Path) -> None:
    ended = backup(running, tmp_path / "b", "--id", 2, "--json")

    told = json.loads(ended.stdout)
    assert (told["server"], told["names_of"], told["has_all_names"]) == (2, [2], False)
    assert (told["logs"], told["decisions"]) == ({}, 0)
    ended = backup(running, tmp_path / "d", "--data", running.data[1])
    assert "of the names that server 2 had;" in ended.stdout


@pytest.mark.slow
def test_what_cannot_be_written_is_refused_before_anything_begins(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "b").write_text("mine")
    for out in tmp_path / "b", running.config, running.data[0], f"{running.data[0]}-wal":
        ended = backup(running, Path(as_utf8(str(out))))
        assert ended.returncode == ExitCode.BAD_ARGUMENTS, out
    assert (tmp_path / "b").read_text() == "mine"


@pytest.mark.slow
def test_without_a_quorum_there_is_no_backup(running: Running, tmp_path: Path) -> None:
    assert running.kv("put", "colour", "blue", *WAIT).returncode == 0
    running.kill(2, 3)

    def ended() -> int:
        return backup(running, tmp_path / "b", "--timeout-s", 0.3).returncode

    eventually(ended, ExitCode.QUORUM_LOST)
    assert [it.name for it in tmp_path.iterdir()] == ["c"]
    alone = backup(running, tmp_path / "alone", "--alone")
    assert (alone.returncode, "for no quorum was asked" in alone.stdout) == (0, True)
    found = inspect_backup(tmp_path / "alone")
    assert (found.header.alone, found.decisions, [it.name for it in found.logs]) == (
        True,
        0,
        ["kv"],
    )
    assert restored(tmp_path / "alone", tmp_path / "new", "--servers", "1,2,3").returncode == 0
    running.kill(1)
    assert ended() == ExitCode.NO_SERVER


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_backup_that_is_stopped_leaves_nothing(
    running: Running, tmp_path: Path, by: signal.Signals
) -> None:
    """It waits for a quorum that never comes, with its first line written."""
    assert running.kv("put", "colour", "blue", *WAIT).returncode == 0
    running.kill(2, 3)
    with at_work("backup", tmp_path / "b", "--cluster", running.config) as process:
        eventually(lambda: any(it.name.startswith(".b-") for it in tmp_path.iterdir()))
        process.send_signal(by)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (
        ExitCode.STOPPED,
        "paxos: stopped: no backup was written.\n",
    )
    assert [it.name for it in tmp_path.iterdir()] == ["c"]
