"""``paxos cluster``, ``node``, ``propose``, ``read``, ``watch``, ``status`` and ``keygen``.

The servers are real processes on this machine; who asks them does so in this one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from errno import EISDIR, ENOSPC
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from attrs import evolve

from paxos import NO_BALLOT, ServerId, majority
from paxos_adapters.file import FileStore, SaveFailed, StoreLocked
from paxos_adapters.file.entries import AnyEntry
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import Node
from paxos_adapters.node.control_client import NoReply
from paxos_adapters.node.control_protocol import NotChosenReply, StatusRequest, socket_path
from paxos_adapters.node.deployment import read
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.tolerance import needed
from paxos_adapters.udp.endpoint import Buffers
from paxos_adapters.udp.errors import Removed
from paxos_adapters.udp.peer import Peer
from paxos_adapters.wire import Keyring
from paxos_cli import app, asking, commands, health, logs
from paxos_cli import node as node_module
from paxos_cli.config import node_command
from paxos_cli.exit_codes import ExitCode
from tests.support.commands import is_main_thread
from tests.support.free_ports import free_addresses as free_places

PAXOS = (sys.executable, "-m", "paxos_cli")
LONG_S = 180.0
"""After this long something will never happen."""

Ended = tuple[int, str, str]
Capture = pytest.CaptureFixture[str]


@contextmanager
def at_work(*arguments: str | Path) -> Generator[subprocess.Popen[str], None, None]:
    """The command, ended afterwards if it has not by then."""
    assert is_main_thread()
    with subprocess.Popen(
        [*PAXOS, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LONG_S)


def until(process: subprocess.Popen[str], word: str) -> str:
    """What it prints up to a line with ``word`` in it."""
    assert process.stdout is not None
    printed = ""
    while word not in printed:
        line = process.stdout.readline()
        assert line, f"it has ended, after: {printed}"
        printed += line
    return printed


def eventually(seen: Callable[[], object], wanted: object = True) -> None:
    """Wait until ``wanted`` is seen."""
    deadline_s = time.monotonic() + LONG_S
    while (last := seen()) != wanted:
        assert time.monotonic() < deadline_s, f"never {wanted!r}, and {last!r} in the end"
        time.sleep(0.02)


class Cluster:
    """A cluster in a folder: what is asked of it, and what that prints."""

    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.folder = folder
        self.config = folder / "cluster.toml"
        self._capsys = capsys

    def ask(self, command: str, *arguments: str) -> Ended:
        """Run a command that speaks of this cluster, and waits for long if it does not say."""
        asked = [command, "--cluster", str(self.config)]
        if command in ("propose", "read") and "--timeout-s" not in arguments:
            asked += ["--timeout-s", str(LONG_S)]
        return self.run(*asked, *arguments)

    def run(self, *arguments: str) -> Ended:
        """The exit code, and what was printed to either output."""
        self._capsys.readouterr()
        code = app.run(arguments)
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def sees(self, *arguments: str) -> dict[str, object]:
        """The status."""
        code, told, _ = self.ask("status", "--json", *arguments)
        assert code in (ExitCode.DONE, ExitCode.QUORUM_LOST)
        found: dict[str, object] = json.loads(told)
        return found

    def up(self, asked: str) -> object:
        """The servers that are up, as that one sees it."""
        return self.sees("--id", asked)["up"]

    def data(self, me: int) -> Path:
        """The memory of a server."""
        return self.folder / f"n{me}.db"

    def is_free(self, me: int) -> bool:
        """Whether nobody serves that memory any more."""
        try:
            name = re.findall('^name = "(.*)"', self.config.read_text(), re.M)[0]
            quorum = read(self.config).quorum
            FileStore.open(self.data(me), cluster=name, server=ServerId(me), quorum=quorum).close()
        except StoreLocked:
            return False
        return True


def describe(path: Path, addresses: dict[int, str], more: str = "") -> None:
    """Write a ``cluster.toml`` with a data file for each."""
    servers = (
        f'[[servers]]\nid = {me}\naddress = "{at}"\ndata = "n{me}.db"\n'
        for me, at in addresses.items()
    )
    path.write_text(f'name = "demo"\n{more}\n' + "".join(servers), encoding="utf-8")


@pytest.fixture(autouse=True)
def logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process does with its logs is not for the process of the tests."""

    def leave(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(logs, "configure", leave)


@pytest.fixture
def cluster(tmp_path: Path, capsys: Capture) -> Cluster:
    return Cluster(tmp_path / "c", capsys)


def free_addresses(count: int) -> list[str]:
    """Where nobody listens now."""
    return [f"{host}:{port}" for host, port in free_places(count).values()]


@asynccontextmanager
async def proposing(node: Node[bytes], path: Path) -> AsyncGenerator[None, None]:
    """In place of a control socket: somebody who proposes."""
    asking = asyncio.ensure_future(node.propose(path.name, b"x"))
    yield
    await asyncio.gather(asking, return_exceptions=True)


def pids(printed: str) -> dict[int, int]:
    """Which process runs which server."""
    found = re.findall(r"^  server (\d+)  127\.0\.0\.1:\d+  pid (\d+)  n\1\.db$", printed, re.M)
    return {int(server): int(pid) for server, pid in found}


def told_of_silence(cluster: Cluster) -> list[str]:
    """The servers that are silent, as a proposal says that finds too few."""
    code, out, told = cluster.ask("propose", "shape", "square", "--timeout-s", "0.1")
    assert (code, out) == (ExitCode.UNKNOWN_OUTCOME, "")
    assert "The proposed value may be chosen anyway" in told
    if not re.search("^Server [45] sees 2 of 5 servers up, itself included.$", told, re.M):
        return []
    assert "Too many are down: 1 more is needed." in told
    return re.findall(r"server (\d) at 127\.0\.0\.1:\d+: silent for \d", told)


def decide_with_all(cluster: Cluster) -> None:
    """The first proposal wins, on whichever server the others are made."""
    assert cluster.ask("propose", "leader", "me") == (0, "me\n", "")
    assert cluster.ask("propose", "leader", "you", "--id", "5") == (
        ExitCode.ANOTHER_VALUE,
        "me\n",
        "paxos: leader: another value was chosen already.\n",
    )
    assert cluster.ask("read", "leader", "--id", "3") == (0, "me\n", "")
    nothing = ExitCode.NOTHING_CHOSEN, "", "paxos: nobody: nothing is chosen yet.\n"
    assert cluster.ask("read", "nobody") == nothing


def decide_without_two(
    cluster: Cluster, running: subprocess.Popen[str], processes: dict[int, int]
) -> None:
    """Servers 1 and 2 are killed, and a value is chosen."""
    for left in "45":  # A server votes once a quorum has registered its session.
        eventually(partial(cluster.up, left), [1, 2, 3, 4, 5])
    for me in 1, 2:
        os.kill(processes[me], signal.SIGKILL)
        told = until(running, "paxos node")
        assert f"Server {me} was ended by SIGKILL. Start it again" in told
        assert told.endswith(f"  paxos node --id {me} --cluster {cluster.config}\n")
    assert cluster.ask("propose", "colour", "red") == (0, "red\n", "")


def fail_without_three(cluster: Cluster, running: subprocess.Popen[str], third: int) -> None:
    """Server 3 is killed, too: nothing is chosen, and the commands say why."""
    os.kill(third, signal.SIGKILL)
    until(running, "Server 3 was ended by SIGKILL")
    for left in "45":
        eventually(partial(cluster.up, left), [4, 5])
    # Where much else runs, a server that is up can be silent for a moment.
    eventually(partial(told_of_silence, cluster), [*"123"])
    for words in ["read", "shape"], ["watch", "shape"], ["kv", "get", "a"]:
        code, out, told = cluster.run(
            *words, "--cluster", str(cluster.config), "--timeout-s", "0.1"
        )
        assert (code, out) == (ExitCode.QUORUM_LOST, ""), words
        assert "1 more is needed" in told
    assert cluster.ask("status")[0] == ExitCode.QUORUM_LOST


def explain_from_files(cluster: Cluster) -> None:
    """Why a value is chosen, and why none is, from the files of servers 2, 4 and 5."""
    data = [str(cluster.folder / f"n{me}.db") for me in (2, 4, 5)]
    asked = [it for file in data for it in ("--node", file)]
    code, out, _ = cluster.run("explain", *asked, "shape", "--plain")
    assert (code, out.splitlines()[0][:24]) == (0, "'square' is chosen under")
    code, out, _ = cluster.run("explain", *asked[:2], "nobody", "--plain")
    assert (code, out.splitlines()[0]) == (
        ExitCode.NOTHING_CHOSEN,
        "Nothing is seen to be chosen, with S1, S3, S4 and S5 out of sight.",
    )


def stop(cluster: Cluster, running: subprocess.Popen[str], again: subprocess.Popen[str]) -> None:
    """Ctrl-C ends the cluster, SIGTERM the server that was started by itself."""
    running.send_signal(signal.SIGINT)
    told, errors = running.communicate(timeout=LONG_S)
    assert (running.returncode, errors) == (0, "")
    assert f"Stopped: servers 4, 5. paxos cluster {cluster.folder} goes on" in told
    assert all(cluster.is_free(me) for me in (4, 5))
    assert not any(socket_path(cluster.data(me)).exists() for me in (4, 5))
    again.send_signal(signal.SIGTERM)
    ended = *again.communicate(timeout=LONG_S), again.returncode
    assert ended == ("server 2  has ended\n", "", 0)


def go_on_without_a_file(cluster: Cluster) -> None:
    """A server whose file is lost is not started anew; the others are."""
    for name in "n5.db", "n5.db-mark":
        (cluster.folder / name).unlink()
    with at_work("cluster", cluster.folder) as running:
        assert [*pids(until(running, "Ctrl-C"))] == [1, 2, 3, 4]
        assert "Server 5 was not started" in until(running, "Server 5")
        assert cluster.ask("read", "leader") == (0, "me\n", "")
        assert not cluster.data(5).exists()
        running.terminate()
        _, errors = running.communicate(timeout=LONG_S)
        assert "n5.db cannot be opened: there is no such file" in errors
        assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_a_cluster_through_kills_and_restarts(cluster: Cluster) -> None:
    """Up in one command; two killed, three killed, one started again; stopped, and gone on with."""
    with ExitStack() as stack:
        running = stack.enter_context(at_work("cluster", cluster.folder))
        processes = pids(printed := until(running, "Ctrl-C"))
        assert [*processes] == [1, 2, 3, 4, 5]
        assert "5 servers, of which 2 may fail" in printed
        assert f"export PAXOS_CLUSTER={cluster.config}" in printed
        decide_with_all(cluster)
        decide_without_two(cluster, running, processes)
        fail_without_three(cluster, running, processes[3])

        again = stack.enter_context(at_work("node", "--id", "2", "--cluster", cluster.config))
        assert until(again, "n2.db").startswith("server 2  127.0.0.1:")
        assert cluster.ask("propose", "shape", "square")[0] == 0
        assert cluster.ask("read", "colour") == (0, "red\n", "")
        explain_from_files(cluster)
        stop(cluster, running, again)
    go_on_without_a_file(cluster)


class TestCluster:
    """All servers of a cluster on this machine."""

    @pytest.mark.slow
    def test_they_end_with_the_process_that_started_them(self, cluster: Cluster) -> None:
        with at_work("cluster", cluster.folder, "--servers", "3") as running:
            for pid in pids(until(running, "Ctrl-C")).values():
                assert os.getsid(pid) == pid, "Ctrl-C would reach it, too"
            assert not cluster.is_free(1)
            running.kill()
            eventually(lambda: all(cluster.is_free(me) for me in (1, 2, 3)))
            assert not [*cluster.folder.glob("*.sock")]

    @pytest.mark.slow
    def test_told_to_end_before_they_are_there(self, cluster: Cluster) -> None:
        with at_work("cluster", cluster.folder, "--servers", "3") as running:
            until(running, "Cluster local-")
            running.send_signal(signal.SIGINT)
            out, errors = running.communicate(timeout=LONG_S)
            assert (running.returncode, errors) == (0, "")
            assert "Stopped: servers 1, 2, 3." in out
            assert all(cluster.is_free(me) for me in (1, 2, 3))

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("ends", "words"),
        [(signal.SIGKILL, "was ended by SIGKILL."), (signal.SIGTERM, "was told to end.")],
    )
    def test_it_ends_when_all_have_ended(
        self, cluster: Cluster, ends: signal.Signals, words: str
    ) -> None:
        with at_work("cluster", cluster.folder, "--servers", "1") as running:
            (pid,) = pids(until(running, "Ctrl-C")).values()
            assert cluster.run("cluster", str(cluster.folder)) == (
                1,
                "",
                "paxos: this cluster runs already. paxos status shows how it is.\n",
            )
            os.kill(pid, ends)
            out, _ = running.communicate(timeout=LONG_S)
            assert f"Server 1 {words} Start it again" in out
            assert f"No server runs any more. paxos cluster {cluster.folder} starts server 1" in out
            assert running.returncode == 1

    @pytest.mark.slow
    def test_one_that_runs_already_is_left_alone(self, cluster: Cluster) -> None:
        with at_work("cluster", cluster.folder, "--servers", "3") as first:
            processes = pids(until(first, "Ctrl-C"))
            os.kill(processes[2], signal.SIGKILL)
            until(first, "Server 2 was ended by SIGKILL")
            with at_work("cluster", cluster.folder) as second:
                printed = until(second, "Ctrl-C")
                assert "  server 1  runs already\n  server 3  runs already\n" in printed
                assert [*pids(printed)] == [2]
                second.send_signal(signal.SIGINT)
                out, errors = second.communicate(timeout=LONG_S)
                assert (second.returncode, errors) == (0, "")
                assert "Stopped: server 2." in out

    @pytest.mark.slow
    def test_no_advice_that_does_not_help(self, cluster: Cluster) -> None:
        """What was lost is still lost when it is started again."""
        with at_work("cluster", cluster.folder, "--servers", "1") as running:
            assert "Cluster local-" in (printed := until(running, "Ctrl-C"))
            assert "\n1 server, which may not fail.\n" in printed
        cluster.data(1).unlink()
        with at_work("cluster", cluster.folder) as running:
            out, errors = running.communicate(timeout=LONG_S)
        assert running.returncode == 1
        assert "Server 1 was not started, for the reason above." in out
        assert out.endswith("No server was started. Fix the errors above first.\n")
        assert "n1.db" in errors

    @pytest.mark.parametrize("until_eof", [False, True])
    def test_a_server_that_was_removed_says_so_last(
        self,
        cluster: Cluster,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        until_eof: bool,
    ) -> None:
        """To the process that waits for it in a line, to people in a sentence."""

        def stopped(*_: object) -> ExitCode:
            raise ServerStopped(ServerId(1), Removed(ServerId(1), 2))

        cluster.folder.mkdir()
        describe(cluster.config, {1: "127.0.0.1:1"})
        monkeypatch.setattr(node_module, "_serve", stopped)
        monkeypatch.setattr(node_module, "_require_pollable_stdin", list)
        more = ["--until-eof"] if until_eof else []
        code, out, errors = cluster.ask("node", "--id", "1", *more)
        assert (code, out) == (0, "server 1  was removed\n")
        assert errors.startswith("paxos: server 1 is not a member") != until_eof
        code, out, errors = cluster.ask("node", "--id", "1", "--log", "json", *more)
        assert (code, out, errors) == (0, "server 1  was removed\n", "")
        (record,) = caplog.records
        assert (record.levelname, vars(record)["event"]) == ("WARNING", "removed")

    @pytest.mark.parametrize(
        ("removed", "said"),
        [
            ("12", "All servers here were removed.\n"),
            ("2", "No server was started. Fix the errors above first.\n"),
        ],
    )
    def test_servers_that_were_removed_are_not_to_be_started_again(
        self,
        cluster: Cluster,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        removed: str,
        said: str,
    ) -> None:
        """In the place of servers here are programs that say what such servers say."""
        cluster.folder.mkdir()
        describe(cluster.config, {1: "127.0.0.1:1", 2: "127.0.0.1:2"})
        program = tmp_path / "program"
        program.write_text(
            f'#!/bin/sh\ncase $5 in [{removed}]) echo "server $5  was removed";; *) exit 1;; esac\n'
        )
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        code, out, errors = cluster.run("cluster", str(cluster.folder))
        is_over = removed == "12"
        assert (code, errors) == (ExitCode.DONE if is_over else ExitCode.FAILED, "")
        assert "Server 2 was removed from the cluster. Its data file is not needed" in out
        assert ("Server 1 was not started, for the reason above." in out) != is_over
        assert "tart it again" not in out
        assert "may fail" not in out
        assert out.endswith(said)

    @pytest.mark.slow
    def test_a_removed_server_is_not_counted_any_more(self, cluster: Cluster) -> None:
        """Neither when it is removed, nor when the cluster is started again."""
        with at_work("cluster", cluster.folder, "--servers", "3") as running:
            assert "\n3 servers, of which 1 may fail.\n" in until(running, "Ctrl-C")
            where = "--cluster", str(cluster.config), "--id", "1", "--timeout-s", "120"
            code, out, _ = cluster.run("members", "remove", "1", *where)
            assert (code, out) == (0, "epoch 1: servers 2, 3; removed: 1\n"), "it asked server 1"
            assert "Server 1 was removed from the cluster." in until(running, "Server 1")
            code, _, errors = cluster.run("members", "remove", "1", *where)
            assert code == ExitCode.NO_SERVER
            assert "If it was removed, ask on the machine of another server" in errors
        with at_work("cluster", cluster.folder) as running:
            printed = until(running, "Ctrl-C")
            assert "\n2 servers, of which none may fail.\n" in printed
            assert "Server 1 was removed from the cluster." in until(running, "Server 1")

    @pytest.mark.parametrize("text", [b"", b"\xff", b"# no key"])
    def test_a_keyring_is_checked_first(self, cluster: Cluster, text: bytes) -> None:
        cluster.folder.mkdir()
        keyring = cluster.folder / "keyring"
        keyring.write_bytes(text)
        code, out, errors = cluster.run("cluster", str(cluster.folder))
        assert (code, out) == (1, "")
        assert errors.startswith(f"paxos: {keyring}: ")
        assert [*cluster.folder.iterdir()] == [keyring]
        describe(cluster.config, {1: "127.0.0.1:1"}, 'keyring = "keyring"')
        code, out, errors = cluster.run("cluster", str(cluster.folder))
        assert (code, out) == (2, "")
        assert errors.startswith(f"paxos: {keyring}: ")

    @pytest.mark.slow
    def test_a_keyring_that_others_can_read(self, cluster: Cluster) -> None:
        with at_work("cluster", cluster.folder, "--servers", "1") as running:
            until(running, "Ctrl-C")
        keyring = cluster.folder / "keyring"
        keyring.chmod(0o640)
        with at_work("cluster", cluster.folder) as running:
            until(running, "Ctrl-C")
            running.terminate()
            _, errors = running.communicate(timeout=LONG_S)
        (line,) = errors.splitlines()
        assert line.startswith(f"paxos: {keyring} is to be read by its owner only")

    def test_a_link_that_leads_nowhere_is_not_replaced(self, cluster: Cluster) -> None:
        cluster.folder.mkdir()
        cluster.config.symlink_to("elsewhere.toml")
        code, _, errors = cluster.run("cluster", str(cluster.folder))
        assert code == 2
        assert "it is a link that leads nowhere" in errors
        assert [*cluster.folder.iterdir()] == [cluster.config]
        assert cluster.config.is_symlink()

    def test_what_it_makes(self, cluster: Cluster) -> None:
        with at_work("cluster", cluster.folder, "--servers", "1") as running:
            until(running, "Ctrl-C")
        keyring = cluster.folder / "keyring"
        assert stat.S_IMODE(keyring.stat().st_mode) == 0o600
        assert len(Keyring.parse(keyring.read_text()).keys) == 1
        assert {it.name for it in cluster.folder.iterdir()} == {
            "cluster.toml",
            "keyring",
            "n1.db",
            "n1.db-mark",
        }

    @pytest.mark.slow
    def test_what_was_left_half_made_is_gone_on_with(self, cluster: Cluster) -> None:
        """No server has run before the description has its name, so what is missing is new."""
        with at_work("cluster", cluster.folder, "--servers", "2") as running:
            until(running, "Ctrl-C")
        cluster.config.rename(cluster.folder / "cluster.toml-new")
        for name in "n2.db", "n2.db-mark":
            (cluster.folder / name).unlink()
        with at_work("cluster", cluster.folder) as running:
            assert [*pids(until(running, "Ctrl-C"))] == [1, 2]
        assert cluster.config.exists()

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--servers", "3"], "describes 1 server, and not 3"),
            (["--servers", "0"], "not in the range"),
            (["--servers", "16"], "not in the range"),
            (["--colour"], "No such option"),
        ],
    )
    def test_bad_arguments(self, cluster: Cluster, arguments: list[str], told: str) -> None:
        cluster.folder.mkdir()
        describe(cluster.config, {1: "127.0.0.1:1"})
        code, out, errors = cluster.run("cluster", str(cluster.folder), *arguments)
        assert (code, out) == (2, "")
        assert told in errors

    def test_a_memory_without_a_description(self, cluster: Cluster) -> None:
        cluster.folder.mkdir()
        cluster.data(2).touch()
        code, _, errors = cluster.run("cluster", str(cluster.folder))
        assert code == 2
        assert "n2.db is there, and" in errors
        assert [*cluster.folder.iterdir()] == [cluster.data(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """A cluster of one, at work while this file is tested."""
    folder = tmp_path_factory.mktemp("alone")
    with at_work("cluster", folder, "--servers", "1") as running:
        until(running, "Ctrl-C")
        yield folder


class TestAsking:
    """What goes in as a value comes out as it was."""

    @pytest.fixture
    def cluster(self, alone: Path, capsys: Capture) -> Cluster:
        return Cluster(alone, capsys)

    @pytest.mark.parametrize(
        ("arguments", "stdin", "printed", "is_text"),
        [
            (["red"], b"", "red", True),
            (["r\u00e9d"], b"", "r\u00e9d", True),
            ([""], b"", "", True),
            (["two\nlines"], b"", b"two\nlines".hex(), False),
            (["-"], b"line\n", b"line\n".hex(), False),
            (["\x1b[2J"], b"", b"\x1b[2J".hex(), False),
            (["-"], b"\xff\x00\n", "ff000a", False),
            (["-"], b"red", "red", True),
            (["--", "--hex"], b"", "--hex", True),
        ],
    )
    def test_values(
        self,
        cluster: Cluster,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
        arguments: list[str],
        stdin: bytes,
        printed: str,
        is_text: bool,
    ) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(stdin), encoding="utf-8"))
        name = request.node.name
        what = "that are no text" if b"\xff" in stdin else "of text that is not printable"
        note = "" if is_text else f"bytes {what}, in hexadecimal; --raw gives them as they are"
        for words in ["propose", name, *arguments], ["read", name], ["watch", name]:
            code, out, errors = cluster.ask(*words)
            assert (code, out) == (0, f"{printed}\n")
            assert note in errors
            assert bool(errors) == bool(note)

    @pytest.mark.parametrize(
        ("value", "stdin"), [("ff 00", b""), ("FF00", b""), ("-", b"ff\n00\n")]
    )
    def test_hexadecimal_means_what_is_given_and_what_is_printed(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, value: str, stdin: bytes
    ) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(stdin), encoding="utf-8"))
        name = f"hex {value}"
        for words in ["propose", name, value], ["read", name], ["watch", name]:
            assert cluster.ask(*words, "--hex") == (0, "ff00\n", "")

    def test_for_programs(self, cluster: Cluster) -> None:
        cluster.ask("propose", "for programs", "ff", "--hex")
        cluster.ask("propose", "for people", "yes")
        cluster.ask("propose", "for both", "two\nlines\x1b")
        for name, value, hexadecimal in (
            ("for programs", None, "ff"),
            ("for people", "yes", b"yes".hex()),
            ("for both", "two\nlines\x1b", b"two\nlines\x1b".hex()),
            ("for nobody", None, None),
        ):
            code, out, errors = cluster.ask("read", name, "--json", "--hex")
            nothing = ExitCode.NOTHING_CHOSEN if hexadecimal is None else ExitCode.DONE
            assert (code, errors) == (nothing, "")
            assert out.isascii(), "nothing in it does anything to a terminal"
            assert json.loads(out) == {
                "name": name,
                "is_chosen": hexadecimal is not None,
                "value": value,
                "value_hex": hexadecimal,
            }
        told = cluster.sees()
        assert (told["me"], told["up"], told["needed"], told["tolerance"]) == (1, [1], 0, 0)
        assert told["warnings"] == []
        page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
        assert {it for it in told if f"`{it}`" not in page} == set(), "what it says is explained"

    @pytest.mark.parametrize("value", [b"line\n", b"\xff\0", b"", "\u00e9".encode()])
    def test_as_it_is(
        self,
        alone: Path,
        capfdbinary: pytest.CaptureFixture[bytes],
        monkeypatch: pytest.MonkeyPatch,
        value: bytes,
    ) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(value), encoding="utf-8"))
        where = "--cluster", str(alone / "cluster.toml")
        name = f"raw {value.hex()}"
        for words, printed in (
            (["propose", name, "-", "--raw"], value),
            (["read", name, "--raw"], value),
            (["watch", name, "--raw"], value),
            (["read", name, "--hex"], f"{value.hex()}\n".encode()),
        ):
            assert app.run([*words, *where]) == 0
            assert capfdbinary.readouterr() == (printed, b"")

    def test_whose_value_was_chosen(self, cluster: Cluster) -> None:
        for value, own in ("mine", True), ("yours", False), ("mine", True):
            code, out, errors = cluster.ask("propose", "whose", value, "--json")
            assert (code, errors) == (ExitCode.DONE if own else ExitCode.ANOTHER_VALUE, "")
            told = json.loads(out)
            assert (told["is_chosen"], told["value"], told["own"]) == (True, "mine", own)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["read", "x", "--raw", "--json"], "leave out --raw or --json"),
            (["propose", "x", "ff", "--raw", "--hex"], "leave out --raw or --hex"),
            (
                ["read", "x", "--id", "2", "--data", "n1.db"],
                "n1.db runs server 1, and not server 2",
            ),
            (["propose", "x", "abc", "--hex"], "'abc' is not hexadecimal: each byte is two of"),
            (["propose", "x"], "Missing argument 'VALUE'"),
            (["propose", "", "x"], "'' is not a name: it takes 1 to 255 bytes"),
            (["propose", "x" * 256, "x"], "is not a name: it takes 1 to 255 bytes"),
            (["propose", "x", "\udcff"], "it is not UTF-8"),
            (["read", "\udcff"], "it is not UTF-8"),
            (["propose", "x", "xyz", "--hex"], "'xyz' is not hexadecimal"),
            (["propose", "x", "x" * 65_537], "at most 65,536 can be sent"),
            (["propose", "x", "x" * 300_000], "at most 262,144 are taken"),
            (["read", "x", "--timeout-s", "0"], "not in the range"),
            (["read", "x", "--timeout-s", "nan"], "it is not a number"),
            (["read", "x", "--timeout-s", "1e9"], "not in the range"),
            (["read", "x", "--id", "7"], "has no server 7, only 1."),
            (["status", "--id", "x"], "not a valid integer"),
        ],
    )
    def test_bad_arguments(
        self,
        cluster: Cluster,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        told: str,
    ) -> None:
        monkeypatch.chdir(cluster.folder)
        code, out, errors = cluster.ask(*arguments)
        assert (code, out) == (2, "")
        assert told in errors
        assert len(errors.splitlines()) == 1

    def test_no_more_of_the_input_is_read_than_a_value_may_have(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Endless(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                assert size is not None
                assert 0 < size <= (1 << 16) + 1
                return b"x" * size

        monkeypatch.setattr("sys.stdin", TextIOWrapper(Endless(), encoding="utf-8"))
        code, out, errors = cluster.ask("propose", "endless", "-")
        assert (code, out) == (2, "")
        assert "has more than 65,536 bytes" in errors

    def test_an_input_that_cannot_be_read(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Folder(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise IsADirectoryError(EISDIR, f"no {size} bytes can be read")

        for stdin, told in (
            (None, "is closed"),
            (TextIOWrapper(Folder(), encoding="utf-8"), "cannot be read: no "),
        ):
            monkeypatch.setattr("sys.stdin", stdin)
            code, out, errors = cluster.ask("propose", "folder", "-")
            assert (code, out) == (2, "")
            assert f"the standard input {told}" in errors

    def test_who_is_asked(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster.ask("propose", "who", "x")
        assert cluster.run("read", "who", "--data", str(cluster.data(1))) == (0, "x\n", "")
        monkeypatch.setenv("PAXOS_CLUSTER", str(cluster.config))
        assert cluster.run("read", "who") == (0, "x\n", "")
        monkeypatch.delenv("PAXOS_CLUSTER")
        monkeypatch.chdir(cluster.folder)
        assert cluster.run("read", "who") == (0, "x\n", "")

    def test_no_time_is_no_answer_yet(self, cluster: Cluster) -> None:
        code, out, errors = cluster.ask("watch", "nothing here", "--timeout-s", "0.5")
        assert (code, out) == (ExitCode.NOTHING_CHOSEN, "")
        assert errors.startswith("paxos: nothing has been chosen for 'nothing here' yet.\n")
        assert "'nothing here': nothing was chosen in time" in errors

    def test_an_error_is_json_too(self, cluster: Cluster) -> None:
        for words, code in (
            (["watch", "nothing", "--timeout-s", "0.5"], ExitCode.NOTHING_CHOSEN),
            (["read", "x", "--timeout-s", "0"], ExitCode.BAD_ARGUMENTS),
            (["read", "x", "--id", "7"], ExitCode.BAD_ARGUMENTS),
        ):
            ended, out, errors = cluster.ask(*words, "--json")
            assert (ended, out) == (code, "")
            told = json.loads(errors)["error"]
            assert (told["code"], told["kind"], told["more"]) == (code, code.kind, [])
            assert told["message"]


class TestNobodyAnswers:
    """What is asked when no server is there, or a deaf one."""

    def test_none_runs(self, tmp_path: Path, capsys: Capture) -> None:
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:1", 2: "127.0.0.1:2"})
        for command in ["read", "x"], ["propose", "x", "y"], ["status"]:
            code, out, errors = cluster.ask(*command)
            assert (code, out) == (ExitCode.NO_SERVER, "")
            assert "no server of this machine answers: no server runs on" in errors
            assert "n2.db" in errors
            assert len(errors.splitlines()) == 1
            assert json.loads(cluster.ask(*command, "--json")[2])["error"]["kind"] == "no server"

    def test_one_hangs(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "PROBE_S", 0.01)
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:1"})
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(socket_path(cluster.data(1))))
            deaf.listen()
            code, out, errors = cluster.ask("read", "x")
        assert (code, out) == (ExitCode.NO_SERVER, "")
        assert "n1.db hangs. Start one with" in errors

    def test_one_ends_meanwhile(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ended(data: Path, question: object, *, patience_s: float | None) -> NotChosenReply:
            if isinstance(question, StatusRequest):
                return NotChosenReply()
            raise NoReply(data, f"has ended before it answered, within {patience_s} s")

        monkeypatch.setattr(asking, "ask", ended)
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:1"})
        code, out, errors = cluster.ask("propose", "x", "y", "--timeout-s", "3")
        assert (code, out) == (ExitCode.UNKNOWN_OUTCOME, "")
        assert "has ended before it answered, within 5.0 s" in errors
        assert "The value may be chosen anyway" in errors
        assert "chosen" not in cluster.ask("read", "x")[2]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stopped_while_proposing_the_outcome_is_unknown(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def interrupted(
            data: Path, question: object, *, patience_s: float | None
        ) -> NotChosenReply:
            if not isinstance(question, StatusRequest):
                signal.raise_signal(number)
                time.sleep(LONG_S)
                raise NoReply(data, f"has not answered within {patience_s} s")
            return NotChosenReply()

        monkeypatch.setattr(asking, "ask", interrupted)
        before = signal.getsignal(number)
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:1"})
        code, out, errors = cluster.ask("propose", "a name", "y")
        assert (code, out) == (130, "")
        assert errors == (
            "paxos: stopped, and the outcome is unknown: the value may be chosen anyway. "
            f"paxos read --cluster {cluster.config} 'a name' shows what is; "
            "to propose it again does no harm.\n"
        )
        assert signal.getsignal(number) is before

    def test_stopped_while_reading_nothing_is_unknown(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(asking, "ask", interrupted)
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:1"})
        code, _, errors = cluster.ask("read", "x")
        assert (code, errors.strip()) == (130, "paxos: stopped")

    def test_no_description(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        code, out, errors = Cluster(tmp_path, capsys).run("status")
        assert (code, out) == (2, "")
        assert errors == (
            "paxos: cluster.toml: there is no such file. paxos cluster writes one, for servers on "
            "this machine.\n"
        )


LOCAL = "127.0.0.1:9"


def refused(cluster: Cluster, arguments: list[str], code: int, told: str) -> None:
    """A new server does not start; one line says why, and bad arguments make no file."""
    found, out, errors = cluster.ask("node", "--id", "1", "--create", *arguments)
    assert (found, out) == (code, "")
    assert told in errors
    assert len(errors.splitlines()) == 1
    assert code == 1 or not cluster.data(1).exists()


class TestNode:
    """One server in the foreground."""

    @pytest.mark.slow
    def test_create_is_said_once(self, tmp_path: Path, capsys: Capture) -> None:
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: free_addresses(1)[0]})
        node = "node", "--id", "1", "--cluster", cluster.config
        code, out, errors = cluster.ask("node", "--id", "1")
        assert (code, out) == (1, "")
        assert "That is never taken for a new server" in errors
        assert errors.endswith("If server 1 has never run, let it begin: --create.\n")
        assert not cluster.data(1).exists()
        with at_work(*node, "--create") as running:
            until(running, "n1.db")
            code, _, errors = cluster.ask("node", "--id", "1")
            assert code == 1
            assert "is open already" in errors
        code, _, errors = cluster.ask("node", "--id", "1", "--create")
        assert code == 1
        assert errors.endswith(" Leave out --create to open it.\n")
        with at_work(*node) as running:
            until(running, "n1.db")
            assert cluster.ask("propose", "x", "y") == (0, "y\n", "")
            running.kill()
        assert socket_path(cluster.data(1)).is_socket()
        with at_work(*node, "--log", "json", "--verbose") as running:
            until(running, "n1.db")
            assert cluster.ask("read", "x") == (0, "y\n", "")
            running.terminate()
            _, errors = running.communicate(timeout=LONG_S)
        told = [json.loads(line) for line in errors.splitlines()]
        assert [(it["event"], it["server"]) for it in told] == [("started", 1), ("told to end", 1)]

    def test_a_memory_that_is_lost_is_not_taken_for_a_new_one(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: free_addresses(1)[0]})
        with at_work("node", "--id", "1", "--cluster", cluster.config, "--create") as running:
            until(running, "n1.db")
        cluster.data(1).unlink()
        for arguments in [], ["--create"]:
            code, out, errors = cluster.ask("node", "--id", "1", *arguments)
            assert (code, out) == (1, "")
            assert "n1.db-mark" in errors
            assert "--create" not in errors
        assert (
            "n1.db is gone, and server 1 has run before, as n1.db-mark"
            in cluster.ask("node", "--id", "1")[2]
        )
        cluster.data(1).with_name("n1.db-mark").unlink()
        cluster.data(1).touch()
        errors = cluster.ask("node", "--id", "1")[2]
        assert errors.endswith("has never run, remove that file, and let it begin: --create.\n")

    @pytest.mark.parametrize("stdin", ["closed", "/dev/null", "file"])
    def test_an_input_that_cannot_be_waited_for(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, stdin: str
    ) -> None:
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:9"})
        with open(
            "/dev/null" if stdin == "/dev/null" else cluster.config, encoding="utf-8"
        ) as file:
            monkeypatch.setattr("sys.stdin", None if stdin == "closed" else file)
            code, out, errors = cluster.ask("node", "--id", "1", "--create", "--until-eof")
        assert (code, out) == (2, "")
        assert errors.startswith("paxos: --until-eof: the standard input is closed, or cannot be")
        assert not cluster.data(1).exists()

    @pytest.mark.parametrize(
        ("address", "arguments", "code", "told"),
        [
            ("192.0.2.1:9", [], 1, "; without one it takes --insecure."),
            ("192.0.2.1:9", [], 1, "without a key anybody that can reach 192.0.2.1:9"),
            ("192.0.2.1:9", ["--insecure"], 1, "192.0.2.1:9, the address of server 1 in "),
            ("192.0.2.1:9", ["--insecure"], 1, "(Cannot assign requested address). Name an"),
            (LOCAL, ["--listen", "192.0.2.1:9", "--insecure"], 1, "9, what --listen says, cannot"),
            (LOCAL, ["--data", "no/n1.db"], 1, "no/n1.db cannot be"),
            (LOCAL, ["--listen", "here"], 2, "--listen: 'here' is not an address"),
            (LOCAL, ["--listen", "192.0.2.1:9"], 1, "without a key anybody"),
            (LOCAL, ["--listen", "0.0.0.0:9"], 1, "that can reach 0.0.0.0:9"),
            (LOCAL, ["--log", "xml"], 2, "'xml' is not one of"),
        ],
    )
    def test_what_cannot_be(
        self,
        cluster: Cluster,
        monkeypatch: pytest.MonkeyPatch,
        address: str,
        arguments: list[str],
        code: int,
        told: str,
    ) -> None:
        cluster.folder.mkdir()
        monkeypatch.chdir(cluster.folder)
        describe(cluster.config, {1: address})
        refused(cluster, arguments, code, told)

    @pytest.mark.parametrize(
        ("more", "told"),
        [('keyring = "none"', "keyring: "), ("colour = 1", "unknown field `colour`")],
    )
    def test_a_description_that_cannot_be(self, cluster: Cluster, more: str, told: str) -> None:
        cluster.folder.mkdir()
        describe(cluster.config, {1: LOCAL}, more)
        refused(cluster, [], 2, told)

    def test_no_member(self, tmp_path: Path, capsys: Capture) -> None:
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:9"})
        for arguments in ["--id", "7"], ["--id", "7", "--data", str(cluster.data(7)), "--create"]:
            code, _, errors = cluster.ask("node", *arguments)
            assert code == 2
            assert "has no server 7, only 1." in errors
        assert cluster.ask("node")[0] == 2
        assert [*tmp_path.iterdir()] == [cluster.config]

    def test_founders_and_joined_servers_are_not_mixed_up(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        """A server that joins was taken for a founder when its file was made."""
        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: "127.0.0.1:9", 2: "127.0.0.1:8"})
        two, quorum = ServerId(2), read(cluster.config).quorum
        FileStore.create(cluster.data(2), cluster="demo", server=two, quorum=quorum).close()
        cluster.config.write_text(f"{cluster.config.read_text()}joined = true\n")
        code, out, errors = cluster.ask("node", "--id", "2")
        assert (code, out, len(errors.splitlines())) == (1, "", 1)
        assert f"In {cluster.config} a server that was added later has joined = true" in errors

    def test_one_that_hears_no_other_says_what_to_check(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Ending(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "has heard no other one" in record.getMessage():
                    signal.raise_signal(signal.SIGTERM)

        cluster.folder.mkdir()
        own, *others = free_addresses(3)
        describe(cluster.config, dict(enumerate([*others, own], 1)))
        cluster.config.write_text(f"{cluster.config.read_text()}joined = true\n")
        monkeypatch.setattr(node_module, "ALONE_S", 0.0)
        ending = Ending()
        logging.getLogger(node_module.__name__).addHandler(ending)
        try:
            code, _, _ = cluster.ask("node", "--id", "3", "--create")
        finally:
            logging.getLogger(node_module.__name__).removeHandler(ending)
        assert code == 0
        first, second = [it for it in caplog.records if vars(it).get("event") == "alone"]
        assert first.getMessage().startswith("Server 3 is not a member yet")
        assert f"started: {others[0]}, {others[1]}. Does one run?" in second.getMessage()

    def test_a_disk_that_fails_ends_it(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has said that it is there, and then no save works out any more."""
        save, saved = FileStore.save_all, list[object]()

        def failing(file: FileStore, batch: Sequence[AnyEntry], **_: object) -> object:
            saved.append(batch)
            if len(saved) > 1:
                raise SaveFailed(file.path, OSError("no disk"))
            return save(file, batch)

        cluster = Cluster(tmp_path, capsys)
        describe(cluster.config, {1: free_addresses(1)[0]})
        monkeypatch.setattr(node_module, "serve", proposing)
        monkeypatch.setattr(FileStore, "save_all", failing)
        code, out, errors = cluster.ask("node", "--id", "1", "--create")
        assert code == 1
        assert "n1.db" in out
        assert errors.startswith("paxos: server 1 has stopped for good: ")
        assert "no disk" in errors
        assert f"Then start it again: paxos node --id 1 --cluster {cluster.config}\n" in errors
        assert "host" not in errors.replace(str(tmp_path), "")
        saved.clear()
        cluster.data(1).rename(tmp_path / "another.db")
        (tmp_path / "n1.db-mark").unlink()
        assert cluster.ask("node", "--id", "1", "--create", "--log", "json")[::2] == (1, "")


class TestStatus:
    """What is wrong with a cluster can be seen."""

    @pytest.mark.slow
    def test_a_misspelled_address(self, tmp_path: Path, capsys: Capture) -> None:
        """Server 1 has a wrong address of server 3, and so a cluster of 3 that lacks one."""
        cluster = Cluster(tmp_path, capsys)
        addresses: dict[int, str] = dict(enumerate(free_addresses(3), 1))
        describe(tmp_path / "right.toml", addresses)
        describe(tmp_path / "wrong.toml", addresses | {3: "127.0.0.1:9"})
        with ExitStack() as stack:
            for me, name in (1, "wrong"), (2, "right"), (3, "right"):
                where = tmp_path / f"{name}.toml"
                command = "node", "--id", str(me), "--cluster", where, "--create"
                until(stack.enter_context(at_work(*command)), f"n{me}.db")
            cluster.config = tmp_path / "wrong.toml"

            def is_seen() -> bool:
                told = cluster.sees()
                return told["up"] == [1, 2] and "wrong_address" in str(told["refused"])

            eventually(is_seen)
            code, out, errors = cluster.ask("status", "--plain")
            assert (code, errors) == (0, "")
            assert "seen by server 1: 2 of 3 servers are up.\nNo more server may fail.\n" in out
            assert re.search(r"\| 3 +\| 127\.0\.0\.1:9 +\| never +\| +\| silent +\|", out)
            assert "! Server 3 was never heard at 127.0.0.1:9 since server 1 was started." in out
            assert re.search("! Since server 1 was started, .* came from other addresses", out)
            assert re.search(r"^Refused [\d,]+, wrong_address: it does not come from", out, re.M)
            assert re.search(rf"\| 1 +\| {re.escape(addresses[1])} +\| it is asked \|", out)
            assert max(map(len, out.splitlines()[2:9])) <= 80

    def status(self, *peers: Peer, tolerance: int = 0, **counts: int) -> Status:
        numbered = {ServerId(number): peer for number, peer in enumerate(peers, 2)}
        lost = dict[str, int]()
        known = ServerId(1), numbered, tolerance, 1, 1, 1, counts, lost, NO_BALLOT, Buffers(1, 1)
        return Status(*known, Descent((), True, True))

    @pytest.mark.parametrize(
        ("ups", "size", "tolerance", "words"),
        [
            (1, 1, 0, "No more server may fail"),
            (3, 3, 1, "1 more server may fail"),
            (2, 3, 0, "No more server may fail"),
            (1, 3, -1, "Too many are down: 1 more is needed"),
            (5, 5, 2, "2 more servers may fail"),
            (3, 5, 0, "No more server may fail"),
            (1, 5, -1, "Too many are down: 2 more are needed"),
            (2, 4, -1, "Too many are down: 1 more is needed"),
        ],
    )
    def test_tolerance_in_words(self, ups: int, size: int, tolerance: int, words: str) -> None:
        up, down = Peer(("h", 1), 0.1, 0.1, True, answered_s=0.1), Peer(("h", 1), None, None)
        status = self.status(*[up] * (ups - 1), *[down] * (size - ups), tolerance=tolerance)
        servers = [*map(ServerId, range(1, size + 1))]
        status = evolve(status, needed=needed(majority(servers), frozenset(servers[:ups])))
        assert health.tolerance(status) == words

    @pytest.mark.parametrize(
        ("peer", "state", "heard", "warning"),
        [
            (Peer(("h", 1), 0.1, 0.1, True, answered_s=0.5), "up", "0.1 s ago", None),
            (Peer(("h", 1), 0.1, 0.1, False, answered_s=0.5), "waits", "0.1 s ago", None),
            (
                Peer(("h", 1), 0.1, 0.1, True, answered_s=9.0),
                "no answer",
                "0.1 s ago",
                "speaks and",
            ),
            (Peer(("h", 1), 0.1, None), "no answer", "0.1 s ago", "does not answer"),
            (Peer(("h", 1), 90.0, 0.1), "silent", "90 s ago", None),
            (Peer(("h", 1), 600.0, 0.1), "silent", "10 min ago", None),
            (Peer(("h", 1), None, None), "silent", "never", "never heard at h:1 since"),
            (Peer(("::1", 1), None, None), "silent", "never", "never heard at [::1]:1"),
            (
                Peer(("h", 1), None, None, is_found=False),
                "not found",
                "never",
                "nobody knows where",
            ),
            (
                Peer(("::1", 1), None, None, is_found=False),
                "not found",
                "never",
                "Start server 1 with --listen [::]:PORT",
            ),
        ],
    )
    def test_a_peer_in_words(self, peer: Peer, state: str, heard: str, warning: str | None) -> None:
        found = [*health.warnings(self.status(peer))]
        assert (health.state(peer), health.heard(peer)) == (state, heard)
        assert len(found) == (warning is not None)
        assert warning is None or warning in found[0]

    def test_a_peer_that_was_never_heard_is_not_deaf(self) -> None:
        assert not Peer(("h", 1), None, 0.1, answered_s=0.1).is_one_way

    @pytest.mark.parametrize(
        ("descent", "words"),
        [
            (Descent((), True, True), "proven"),
            (Descent((ServerId(3),), True, True), "proven"),
            (Descent((ServerId(3),), False, True), "server 3 has not acknowledged"),
            (
                Descent((ServerId(2), ServerId(3)), False, False),
                "servers 2, 3 have not acknowledged; this server does not vote yet",
            ),
        ],
    )
    def test_descent_in_words(self, descent: Descent, words: str) -> None:
        assert health.descent(evolve(self.status(), descent=descent)) == words

    @pytest.mark.parametrize("reason", ["unknown_key", "bad_mac", "other_protection"])
    def test_other_keys(self, reason: str) -> None:
        """It was so at some time, and need not be so now."""
        (warning,) = health.warnings(self.status(**{reason: 3}))
        assert warning == (
            "Since server 1 was started, 3 datagrams came under other keys, or none: the keyrings "
            "of the servers differed. If that grows, they do now."
        )
        (warning,) = health.warnings(self.status(wrong_address=1))
        assert warning.startswith("Since server 1 was started, 1 datagram came from other")
        assert not [*health.warnings(self.status(**{reason: 0}))]


class TestKeygen:
    """A new key."""

    def test_it_is_printed(self, capsys: Capture) -> None:
        keys = set[bytes]()
        for _ in range(2):
            assert app.run(["keygen"]) == 0
            keys |= {it.secret for it in Keyring.parse(capsys.readouterr().out).keys}
        assert len(keys) == 2

    def test_it_becomes_a_keyring(self, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "keyring"
        assert app.run(["keygen", "--out", str(path)]) == 0
        text = path.read_text()
        (key,) = Keyring.parse(text).keys
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert key.text not in capsys.readouterr().out
        assert app.run(["keygen", "--out", str(path)]) == 2
        assert "is there already, and is left as it is" in capsys.readouterr().err
        assert path.read_text() == text

    def test_where_none_can_be_made(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, content: bytes) -> None:
            raise OSError(ENOSPC, "No space left on device", f"{path}", len(content))

        assert app.run(["keygen", "--out", str(tmp_path / "no" / "keyring")]) == 2
        assert "there is no such folder, or it is closed to us" in capsys.readouterr().err
        monkeypatch.setattr("paxos_cli.keygen.create", full)
        assert app.run(["keygen", "--out", str(tmp_path / "keyring")]) == 1
        told = f"paxos: {tmp_path / 'keyring'} cannot be used: No space left on device.\n"
        assert capsys.readouterr().err == told


@pytest.mark.slow
class TestExtra:
    """Without the extra, these commands say so, and the others work."""

    @pytest.mark.parametrize("name", ["cluster", "read"])
    def test_it_is_named_in_one_line(self, name: str) -> None:
        done = self.without("msgspec", name, "x", "--id", "1")
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert f"{name} needs msgspec, which comes with the extra 'udp'" in done.stderr

    def test_the_others_work(self) -> None:
        done = self.without("msgspec", "demo", "--servers", "1")
        assert (done.returncode, done.stderr) == (0, "")
        done = self.without("msgspec", "--help")
        assert re.findall(r"^  (\w+) +\(needs the extra 'udp'\)", done.stdout, re.M) == [
            *("cluster", "node", "keygen", "members", "backup", "restore"),
            *commands.SECTIONS["Ask it"],
        ]

    def without(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = (
            f"import sys; sys.modules[{module!r}] = None; sys.argv = ['paxos', *{arguments!r}]; "
            "from paxos_cli import main; main()"
        )
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )


class TestLogs:
    """A record as JSON."""

    def test_its_facts_stand_beside_its_sentence(self) -> None:
        facts = {"event": "stopped", "server": ServerId(1), "reason": ValueError("x"), "name": "y"}
        record = logging.makeLogRecord(
            {"msg": "it %s", "args": ("is",), "levelno": 40, "levelname": "ERROR", "name": "a.b"}
            | {key: it for key, it in facts.items() if key != "name"}
        )
        line = logs.AsJson().format(record)
        told = json.loads(line)
        assert datetime.fromisoformat(told.pop("time")).tzinfo is UTC
        assert "\n" not in line
        assert told == {
            "level": "error",
            "logger": "a.b",
            "message": "it is",
            "event": "stopped",
            "server": 1,
            "reason": "x",
        }

    @pytest.mark.parametrize("as_json", [False, True])
    def test_why_it_stopped_is_said_once(self, as_json: bool) -> None:
        """Without JSON the command says it in its last line."""
        handler = logs.handler(ServerId(1), as_json=as_json)
        stopped, unsendable = (
            logging.makeLogRecord({"msg": "it is", "event": it}) for it in ("stopped", "unsendable")
        )
        assert bool(handler.filter(stopped)) == as_json
        assert handler.filter(unsendable)
        stopped.reason = Removed.__name__
        assert not handler.filter(stopped), "that is no failure"

    def test_a_traceback_is_in_the_line(self) -> None:
        try:
            raise ValueError("x")
        except ValueError:
            record = logging.makeLogRecord({"msg": "it is", "exc_info": sys.exc_info()})
        line = logs.AsJson().format(record)
        assert json.loads(line)["error"].endswith("ValueError: x")
        assert "\n" not in line

    def test_no_fact_replaces_the_sentence(self) -> None:
        record = logging.makeLogRecord({"msg": "it is", "level": 7, "levelname": "ERROR"})
        assert json.loads(logs.AsJson().format(record))["level"] == "error"


def test_the_command_for_a_server_is_short_where_it_can_be() -> None:
    assert node_command(Path("cluster.toml"), ServerId(2)) == "paxos node --id 2"
    told = node_command(Path("a b/cluster.toml"), ServerId(2))
    assert told == "paxos node --id 2 --cluster 'a b/cluster.toml'"
