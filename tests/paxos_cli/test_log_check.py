"""``paxos log check``: what it prints, and how it ends; the servers are made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from paxos import Ballot, ServerId
from paxos_adapters.node.control_client import NotRunning
from paxos_adapters.node.control_protocol import (
    Answer,
    CheckedReply,
    CheckRequest,
    ErrorReply,
    LogsReply,
    LogsRequest,
    Question,
)
from paxos_adapters.replication.figures import LogStatus
from paxos_cli import app, asking, log_check
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode

ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
RUNS = LogStatus(Ballot(3, ONE), True, 9, 9, 1, 0, 0, None)
SAME, DIFFERS = CheckedReply(1_234), ErrorReply("Diverged", "it has another state")
LATE = ErrorReply("NoAnswer", "too late")


def runs(me: ServerId) -> LogsReply:
    """What a server says that runs one log."""
    return LogsReply(me, {"kv": RUNS}, [me], {"kv": [ONE, TWO, THREE]}, {"kv": 1})


def answer_with(
    found: Mapping[str, CheckedReply | ErrorReply],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Servers with these data files say so; server 3 is down. What to type."""
    of = {folder / "n1.db": ONE, folder / "n2.db": TWO, folder / "n3.db": THREE}

    def ask(data: Path, question: Question, *, patience_s: float | None) -> Answer:
        assert patience_s
        if data.name not in found:
            raise NotRunning(data)
        if isinstance(question, LogsRequest):
            return runs(of[data])
        if isinstance(question, CheckRequest):
            return found[data.name]
        return ErrorReply("Other", "it was not asked for this")

    (folder / "cluster.toml").write_text(
        'name = "demo"\n'
        + "".join(
            f'[[servers]]\nid = {me}\naddress = "127.0.0.1:{me}"\ndata = "n{me}.db"\n'
            for me in of.values()
        )
    )
    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(log_check, "ask", ask)
    return ["log", "check", "--cluster", str(folder / "cluster.toml")]


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"n1.db": SAME, "n2.db": SAME}, ExitCode.DONE),
        ({"n1.db": SAME, "n2.db": DIFFERS}, ExitCode.FAILED),
        ({"n1.db": LATE, "n2.db": DIFFERS}, ExitCode.FAILED),
        ({"n1.db": SAME, "n2.db": LATE}, ExitCode.UNKNOWN_OUTCOME),
        ({}, ExitCode.NO_SERVER),
    ],
    ids=["equal", "one differs", "one differs, one is late", "late", "none"],
)
def test_how_it_ends(
    found: Mapping[str, CheckedReply | ErrorReply],
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = answer_with(found, tmp_path, monkeypatch)
    assert app.run(typed) == code
    assert capsys.readouterr().out.splitlines() == [
        f"kv, server {data[1]}: the same as the leader, in all slots below 1,234"
        if isinstance(said, CheckedReply)
        else f"kv, server {data[1]}: {said.text}"
        for data, said in found.items()
    ]


def test_what_programs_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = answer_with({"n1.db": SAME, "n2.db": DIFFERS}, tmp_path, monkeypatch)
    assert app.run([*typed, "kv", "--json"]) == ExitCode.FAILED
    one, two = json.loads(capsys.readouterr().out)
    assert one == {"log": "kv", "server": 1, "checked": 1_234, "problem": None}
    assert two == {"log": "kv", "server": 2, "checked": None, "problem": DIFFERS.text}


def test_a_log_that_does_not_run_is_a_wrong_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = answer_with({"n1.db": SAME}, tmp_path, monkeypatch)
    assert app.run([*typed, "other"]) == ExitCode.BAD_ARGUMENTS
    assert "no log 'other' runs" in capsys.readouterr().err


def test_all_servers_are_asked_within_the_time_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = answer_with({"n1.db": LATE, "n2.db": LATE, "n3.db": LATE}, tmp_path, monkeypatch)
    now_s, waited_s = 100.0, list[float]()

    def ask(data: Path, question: Question, *, patience_s: float | None) -> Answer:
        nonlocal now_s
        if not isinstance(question, CheckRequest):
            return runs(ServerId(int(data.stem[1:])))
        assert patience_s is not None
        assert question.timeout_s is not None
        now_s += question.timeout_s
        waited_s.append(question.timeout_s)
        return LATE

    monkeypatch.setattr(log_check, "ask", ask)
    monkeypatch.setattr(log_check, "monotonic", lambda: now_s)
    assert app.run([*typed, "--timeout-s", "20"]) == ExitCode.UNKNOWN_OUTCOME
    assert waited_s == [20, PROBE_S, PROBE_S]
