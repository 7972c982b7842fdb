"""``paxos log status`` and ``--watch``: what is shown of what servers say; these are made up."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from paxos import Ballot, ServerId
from paxos_adapters.node.control_client import NotRunning
from paxos_adapters.node.control_protocol import Answer, LogsReply, LogsRequest, Question
from paxos_adapters.replication.figures import LogFigures, LogStatus
from paxos_cli import asking, log_status, watching
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import at_work, describe, until
from tests.support.commands import PAXOS, Ended, call

ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
LEADER = Ballot(4, ONE)
FIGURES = LogFigures({ONE: 9, TWO: 7, THREE: 2}, 3, 64, 75.0, 5, 6, 1)
LEADS = LogStatus(LEADER, True, 9, 8, 5, 2, 0, None, figures=FIGURES)
FOLLOWS = evolve(LEADS, leads=False, chosen=8, applied=8, pending=0, figures=LogFigures())


def reply(me: ServerId, status: LogStatus, up: Sequence[ServerId], tolerance: int) -> LogsReply:
    return LogsReply(me, {"kv": status}, [*up], {"kv": [ONE, TWO, THREE]}, {"kv": tolerance})


HEALTHY = {
    "n1.db": reply(ONE, LEADS, [ONE, TWO, THREE], 1),
    "n2.db": reply(TWO, FOLLOWS, [ONE, TWO, THREE], 1),
}
CUT_OFF = {**HEALTHY, "n2.db": reply(TWO, evolve(FOLLOWS, leader=None), [TWO], -1)}
LOST = {"n2.db": reply(TWO, evolve(FOLLOWS, leader=None), [TWO], -1)}
STOPPED = {**HEALTHY, "n2.db": reply(TWO, evolve(FOLLOWS, stopped="slot 8"), [ONE, TWO], 0)}


class Servers:
    """What the servers of this machine say: another thing each time that all are asked."""

    def __init__(self, moments: Sequence[Mapping[str, LogsReply]]) -> None:
        self.moments = iter(moments)
        self.now: Mapping[str, LogsReply] = {}

    def find(self, _: object) -> Path:
        try:
            self.now = next(self.moments)
        except StopIteration:
            signal.raise_signal(signal.SIGINT)
        return Path("n1.db")

    def ask(self, data: Path, question: Question, *, patience_s: float | None) -> Answer:
        del patience_s
        assert question == LogsRequest()
        if data.name not in self.now:
            raise NotRunning(data)
        return self.now[data.name]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    describe(path, {me: f"127.0.0.1:{10_000 + me}" for me in (1, 2, 3)})
    return path


def shown(
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    moments: Sequence[Mapping[str, LogsReply]],
    *words: str,
) -> Ended:
    servers = Servers(moments)
    monkeypatch.setattr(log_status, "find", servers.find)
    monkeypatch.setattr(log_status, "ask", servers.ask)
    monkeypatch.setattr(watching, "EVERY_S", 0.001)
    return call("log", "status", "--cluster", config, *words, environment={"COLUMNS": "80"})


def test_each_server_of_a_log_is_shown(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Server 3 is on another machine: what is known of it comes from the leader."""
    ended = shown(monkeypatch, config, [HEALTHY], "--plain")

    title, _, headings, _, *rows, _ = ended.stdout.splitlines()
    assert title == "Log kv: server 1 leads, round 4; 1 more server may fail."
    cells = [[it.strip() for it in row.strip("|").split("|")] for row in (headings, *rows)]
    assert cells == [
        [*("server", "state", "chosen", "applied", "lag"), "window", "waiting", "snapshot"],
        ["1", "leads", "9", "8", "0", "3/64", "2", "5 (75 s)"],
        ["2", "follows", "8", "8", "1", "0/0", "0", "5"],
        ["3", "up", "", "", "7", "", "", ""],
    ]
    assert (ended.returncode, ended.stderr) == (ExitCode.DONE, "")


@pytest.mark.parametrize(
    ("moment", "code", "said"),
    [
        (HEALTHY, ExitCode.DONE, "1 more server may fail."),
        (CUT_OFF, ExitCode.DONE, "1 more server may fail."),
        (LOST, ExitCode.QUORUM_LOST, "no server leads; too many are down."),
        (STOPPED, ExitCode.FAILED, "! kv, server 2: slot 8"),
        ({}, ExitCode.DONE, "No log runs on the servers of this machine."),
    ],
    ids=["healthy", "one is cut off", "no quorum", "one has stopped", "none runs"],
)
def test_scripts_can_tell_how_it_is(
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    moment: Mapping[str, LogsReply],
    code: ExitCode,
    said: str,
) -> None:
    ended = shown(monkeypatch, config, [moment])
    assert (ended.returncode, said in ended.stdout) == (code, True), ended.stdout


def test_programs_get_all_fields(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    one, two = json.loads(shown(monkeypatch, config, [HEALTHY], "--json").stdout)

    assert (one["server"], two["server"]) == (1, 2)
    assert one["logs"]["kv"]["lag"] == two["logs"]["kv"]["lag"] == {"1": 0, "2": 1, "3": 7}
    assert one["logs"]["kv"]["tolerance"] == 1
    assert one["logs"]["kv"]["figures"]["held"] == {"1": 9, "2": 7, "3": 2}


def test_a_watch_prints_what_changes(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    ended = shown(monkeypatch, config, [HEALTHY, HEALTHY, LOST, {}], "--watch")

    assert ended.stdout.splitlines() == [
        "kv: server 1 leads, round 4; 1 more server may fail",
        "kv, server 1: leads, chosen 9, applied 8, has all",
        "kv, server 2: follows, chosen 8, applied 8, 1 slot behind",
        "kv, server 3: up, 7 slots behind",
        "kv: no server leads; too many are down",
        "kv, server 1: down",
        "kv, server 2: waits, chosen 8, applied 8, has all",
        "kv, server 3: down",
        *(f"gone: kv{it}" for it in ("", ", server 1", ", server 2", ", server 3")),
    ]
    looks = "Watched for 0 s: 5 looks, 12 changes, 1 time without a quorum or a server.\n"
    assert (ended.returncode, ended.stderr) == (ExitCode.STOPPED, looks)


def test_a_watch_for_programs_has_a_line_for_each_change(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    ended = shown(monkeypatch, config, [HEALTHY, HEALTHY, LOST], "--watch", "--json")

    first, second = map(json.loads, ended.stdout.splitlines())
    assert ([it["server"] for it in first], [it["server"] for it in second]) == ([1, 2], [2])


def test_a_watch_goes_on_when_no_server_answers(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    moments = iter([None, HEALTHY])

    def find(_: object) -> Path:
        if next(moments, signal.raise_signal) is signal.raise_signal:
            signal.raise_signal(signal.SIGINT)
        return asking.find(asking.Target(config, None, None))

    monkeypatch.setattr(log_status, "find", find)
    monkeypatch.setattr(watching, "EVERY_S", 0.001)
    ended = call("log", "status", "--watch", "--cluster", config)

    (line,) = ended.stdout.splitlines()
    assert line.startswith("paxos: no server of this machine answers")
    assert "3 times without a quorum or a server" in ended.stderr


@pytest.mark.slow
def test_on_a_terminal_it_is_drawn_again(tmp_path: Path) -> None:
    """A server is killed, and the picture says so; Ctrl-C ends it with a summary."""
    folder = tmp_path / "c"
    with at_work("cluster", folder, "--servers", "1") as process:
        until(process, "Stop all of them")
        here, there = pty.openpty()
        command = [*PAXOS, "status", "--watch", "--cluster", str(folder / "cluster.toml")]
        with subprocess.Popen(command, stdin=there, stdout=there, stderr=there) as watcher:
            os.close(there)
            screen = read(here)
            drawn = "".join(until_seen(screen, "No more server may fail"))
            assert "seen by server 1" in drawn
            process.send_signal(signal.SIGTERM)
            "".join(until_seen(screen, "no server of this machine answers"))
            watcher.send_signal(signal.SIGINT)
            assert "Watched for" in "".join(screen)
            assert watcher.wait(60) == ExitCode.STOPPED
        os.close(here)


def read(terminal: int) -> Iterator[str]:
    """What is written to a terminal, until its other side is closed."""
    while True:
        try:
            yield os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            return


def until_seen(screen: Iterator[str], word: str) -> Iterator[str]:
    seen = ""
    for part in screen:
        seen += part
        yield part
        if word in " ".join(seen.split()):
            return
    raise AssertionError(f"never {word!r}")
