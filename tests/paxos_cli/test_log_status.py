"""``paxos log status``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from paxos import Ballot, ServerId
from paxos_adapters.node.control_protocol import LogsReply
from paxos_adapters.replication.figures import LogStatus
from paxos_cli import app, asking, log_status
from paxos_cli.exit_codes import ExitCode

ME = ServerId(2)
RUNS = LogStatus(Ballot(3, ME), True, 1_100, 1_100, 1_000, 0, 0, None, 2, 2, 1_000)
STOPS = LogStatus(Ballot(3, ME), False, 1_100, 1_050, 900, 0, 0, "it has diverged")


def answers_with(status: LogStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only server of a cluster has this log."""

    def ask(*_: object, **__: object) -> LogsReply:
        return LogsReply(ME, {"kv": status}, [ME], {"kv": [ME]}, {"kv": 0})

    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(log_status, "ask", ask)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["a table", "JSON"])
@pytest.mark.parametrize(
    ("status", "code"), [(RUNS, ExitCode.DONE), (STOPS, ExitCode.FAILED)], ids=["runs", "stopped"]
)
def test_a_log_that_has_stopped_is_a_failure(
    status: LogStatus,
    code: ExitCode,
    form: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers_with(status, monkeypatch)

    assert app.run(["log", "status", "--data", str(tmp_path / "n1.db"), *form]) == code
    told = capsys.readouterr().out
    assert ("it has diverged" in told) == (status is STOPS)
    if form:
        (server,) = json.loads(told)
        found = server["logs"]["kv"]
        assert (found["version"], found["checked"]) == (status.version, status.checked)


@pytest.mark.parametrize(("lease_s", "said"), [(None, "round 3; "), (1.84, "a lease for 1.8 s; ")])
def test_the_lease_of_the_leader_is_shown(
    lease_s: float | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers_with(evolve(RUNS, lease_s=lease_s), monkeypatch)

    assert app.run(["log", "status", "--data", str(tmp_path / "n1.db"), "--plain"]) == 0
    assert said in capsys.readouterr().out
