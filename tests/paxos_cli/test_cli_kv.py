"""``paxos kv`` and ``paxos log``: the servers are real processes, and some of them are killed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from paxos_adapters.client import Client
from paxos_adapters.requests.errors import CommandUnknown
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import GET, Changed, Item, Put
from paxos_cli.exit_codes import ExitCode
from paxos_cli.node import KEY_VALUES
from tests.paxos_cli.test_cli_node import at_work, pids, until
from tests.support.commands import Ended, call

WAIT = "--timeout-s", 120


class Running:
    """A cluster of three, and the processes of its servers."""

    def __init__(self, folder: Path, printed: str) -> None:
        self.config = folder / "cluster.toml"
        self.data = [folder / f"n{me}.db" for me in (1, 2, 3)]
        self.processes = pids(printed)

    def kv(self, verb: str, *words: object) -> Ended:
        return call("kv", verb, *words, "--cluster", self.config)

    def kill(self, *servers: int) -> None:
        for me in servers:
            os.kill(self.processes[me], signal.SIGKILL)

    @contextmanager
    def started(self, me: int) -> Generator[None, None, None]:
        with at_work("node", "--id", str(me), "--cluster", self.config) as process:
            until(process, f"server {me}")
            yield


@pytest.fixture
def running(tmp_path: Path) -> Generator[Running, None, None]:
    folder = tmp_path / "c"
    with at_work("cluster", folder, "--servers", "3") as process:
        yield Running(folder, until(process, "Stop all of them"))


def outcome(ended: Ended) -> tuple[int, str, str]:
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.slow
def test_keys_are_written_and_read(running: Running) -> None:
    """All verbs, from the first to the last, on one cluster."""
    assert outcome(running.kv("put", "colour", "blue", *WAIT)) == (0, "revision 1\n", "")
    assert outcome(running.kv("get", "colour", *WAIT)) == (0, "blue\n", "")
    assert outcome(running.kv("get", "colour", "--id", 3, *WAIT)) == (0, "blue\n", "")
    missing = "paxos: shape: there is no such key.\n"
    assert outcome(running.kv("get", "shape", *WAIT)) == (ExitCode.NOTHING_CHOSEN, "", missing)
    assert outcome(running.kv("put", "raw", "ff00", "--hex", *WAIT)) == (0, "revision 2\n", "")
    assert outcome(running.kv("get", "raw", "--hex", *WAIT)) == (0, "ff00\n", "")
    there = "paxos: colour is there already: blue. Nothing was changed.\n"
    another = ExitCode.ANOTHER_VALUE
    assert outcome(running.kv("put", "colour", "x", "--if-absent", *WAIT)) == (another, "", there)
    assert outcome(running.kv("cas", "colour", "blue", "green", *WAIT)) == (0, "revision 3\n", "")
    other = "paxos: colour has another value: green. Nothing was changed.\n"
    assert outcome(running.kv("cas", "colour", "blue", "red", *WAIT)) == (another, "", other)
    table = running.kv("scan", "--plain", *WAIT).stdout
    assert re.findall(r"^\| (\w+) +\| +(\d+) \| (\w+) +\|$", table, re.M) == [
        ("colour", "3", "green"),
        ("raw", "2", "ff00"),
    ]
    assert "| 677265656e |" in running.kv("scan", "co", "--plain", "--hex", *WAIT).stdout
    assert json.loads(running.kv("scan", "co", "--json", *WAIT).stdout) == [
        {"key": "colour", "value": "green", "value_hex": "677265656e", "revision": 3}
    ]
    assert outcome(running.kv("delete", "colour", *WAIT)) == (0, "revision 4\n", "")
    absent = "paxos: colour: there is no such key. Nothing was changed.\n"
    for words in ["delete", "colour"], ["cas", "colour", "red", "blue"]:
        assert outcome(running.kv(*words, *WAIT)) == (ExitCode.NOTHING_CHOSEN, "", absent)
    assert json.loads(running.kv("get", "colour", "--json", *WAIT).stdout) == {
        "key": "colour",
        "value": None,
        "revision": None,
    }
    with Client(running.data, KEY_VALUES, KEY_VALUE, timeout_s=120) as client:
        client.submit_many(Put(f"page/{me:03}", b"x" * 200) for me in range(150))
    keys = [it["key"] for it in json.loads(running.kv("scan", "page/", "--json", *WAIT).stdout)]
    assert keys == [f"page/{me:03}" for me in range(150)]


@pytest.mark.slow
def test_servers_are_killed_and_start_again(running: Running) -> None:
    """One may be down; with two down the outcome is unknown, and the commands say why."""
    with Client(running.data, KEY_VALUES, KEY_VALUE, timeout_s=120) as client:
        assert client.submit(Put("a", b"1")) == Changed(1)
        running.kill(1)
        assert client.submit(Put("a", b"2")) == Changed(2)
        assert outcome(running.kv("put", "a", "3", *WAIT)) == (0, "revision 3\n", "")
        running.kill(2)
        ended = running.kv("put", "a", "4", "--timeout-s", 0.3)
        assert ended.returncode in (ExitCode.NO_SERVER, ExitCode.QUORUM_LOST)
        assert "Nothing was begun." in ended.stderr, "its session was not open yet"
        with pytest.raises(CommandUnknown):
            client.submit(Put("a", b"4"), timeout_s=0.3)
        ended = running.kv("get", "a", "--timeout-s", 0.3)
        assert ended.returncode in (ExitCode.UNKNOWN_OUTCOME, ExitCode.QUORUM_LOST)
        assert "Ask again" in ended.stderr
        with running.started(1):
            assert client.submit_many([Put("b", b"1")] * 3) in (
                [Changed(4), Changed(5), Changed(6)],
                [Changed(5), Changed(6), Changed(7)],
            )
            assert client.read(GET, "a") in (Item(b"3", 3), Item(b"4", 4))
            status = call("log", "status", "--json", "--cluster", running.config)
            assert [it["server"] for it in json.loads(status.stdout)] == [1, 3]
            assert all(it["logs"]["kv"]["stopped"] is None for it in json.loads(status.stdout))


@pytest.mark.slow
def test_commands_in_progress_while_their_server_is_killed_run_once(running: Running) -> None:
    """Puts of one key by one client: as many revisions as puts, whatever was sent again."""
    with Client(running.data, KEY_VALUES, KEY_VALUE, timeout_s=120) as client:
        results: list[object] = []
        putting = Thread(
            target=lambda: results.extend(client.submit(Put("a", b"x")) for _ in range(300))
        )
        putting.start()
        while len(results) < 100:
            putting.join(0.001)
        running.kill(1)
        with running.started(1):
            putting.join()
        assert results == [Changed(number) for number in range(1, 301)]


@pytest.mark.slow
def test_changes_are_watched(running: Running) -> None:
    with at_work(
        *("kv", "watch", "c", "--count", "2", "--json", "--cluster", running.config)
    ) as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline() == "paxos: watching.\n"
        for words in ("put", "colour", "blue"), ("put", "shape", "round"), ("delete", "colour"):
            assert running.kv(*words, *WAIT).returncode == 0
        out, _ = watching.communicate()
        assert watching.returncode == 0
    put, delete = map(json.loads, out.splitlines())
    assert put | {"slot": 0} == {
        "slot": 0,
        "did": "put",
        "key": "colour",
        "value": "blue",
        "value_hex": "626c7565",
        "revision": 1,
    }
    assert delete | {"slot": 0} == {"slot": 0, "did": "delete", "key": "colour", "revision": 3}


def test_changes_are_watched_in_hexadecimal(running: Running) -> None:
    with at_work(
        *("kv", "watch", "--count", "1", "--hex", "--cluster", running.config)
    ) as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline() == "paxos: watching.\n"
        assert running.kv("put", "colour", "ff00", "--hex", *WAIT).returncode == 0
        out, _ = watching.communicate()
    assert re.fullmatch(r"slot \d+  put colour ff00\n", out)


@pytest.mark.slow
def test_the_status_of_the_log_as_a_table(running: Running) -> None:
    running.kv("put", "a", "1", *WAIT)
    words = "log", "status", "--plain", "--cluster", running.config
    told = call(*words, environment={"COLUMNS": "120"}).stdout
    (leader,) = re.findall(r"^Log kv: server ([123]) leads, round \d+; .* may fail\.$", told, re.M)
    rows = re.findall(r"^\| +([123]) +\| (leads|follows) +\|", told, re.M)
    assert rows == [(me, "leads" if me == leader else "follows") for me in "123"]


@pytest.mark.slow
def test_a_cluster_that_nobody_asks_for_keys_has_no_log(tmp_path: Path) -> None:
    """So its members can be changed."""
    folder = tmp_path / "c"
    with at_work("cluster", folder, "--servers", "3") as process:
        until(process, "Stop all of them")
        told = call("log", "status", "--json", "--cluster", folder / "cluster.toml").stdout
        assert [it["logs"] for it in json.loads(told)] == [{}, {}, {}]
    files = [folder / f"n{me}.db" for me in (1, 2, 3)]
    assert call("members", "close", *files).returncode == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["put", "a"], "Missing argument 'VALUE'"),
        (["put", "a", "xyz", "--hex"], "is not hexadecimal"),
        (["get", "a", "--raw", "--json"], "leave out --raw or --json"),
        (["watch", "--count", "0"], "--count"),
        (["get", "a", "--timeout-s", "nan"], "not a number"),
    ],
)
def test_bad_arguments(tmp_path: Path, words: list[str], named: str) -> None:
    ended = call("kv", *words, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert named in ended.stderr


def test_without_a_server(tmp_path: Path) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text(
        'name = "c"\n[[servers]]\nid = 1\naddress = "127.0.0.1:9"\ndata = "n1.db"\n',
        encoding="utf-8",
    )
    for words in ["kv", "get", "a"], ["kv", "watch"], ["log", "status"]:
        ended = call(*words, "--cluster", config)
        assert (ended.returncode, ended.stdout) == (ExitCode.NO_SERVER, "")
        assert "no server of this machine answers: no server runs on" in ended.stderr
