"""The torture of logs: it passes, and it finds what is wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.support.node_process import Flaw
from tests.tools import log_torture, members_torture
from tests.tools.cluster_torture import NODES, Broken, Plan
from tests.tools.log_torture import BY_LEASE, KINDS, OF_LOGS, OF_NETWORKS, torture
from tests.tools.members_torture import ALL, LOST, OUTLIVED, OUTLIVES, QUESTIONS, REPLACED

pytestmark = pytest.mark.slow

LIMIT_S = 120


def tortured(folder: Path, flaw: Flaw = "", questions: int = 300) -> Counter[str]:
    plan = Plan(questions, 7, (0.05, 0.5), in_flight=25, flaw=flaw, calm_s=20.0)
    run = torture(plan, folder, is_lossy=False)
    return asyncio.run(asyncio.wait_for(run, LIMIT_S))


def test_a_log_is_linearizable_under_faults_of_all_kinds(tmp_path: Path) -> None:
    seen = tortured(tmp_path)
    kinds = *KINDS, *OF_NETWORKS, OF_LOGS, "answers to Add", "commands found once"
    assert min(seen[it] for it in kinds) > 0, seen


def test_a_run_without_faults_of_some_kind_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_torture, "SLOW_SAVE_S", (0.0, 0.0))
    monkeypatch.setattr(log_torture, "MORE", 1)
    with pytest.raises(Broken, match="there were too few slow saves"):
        tortured(tmp_path)


def test_more_is_asked_until_all_kinds_were_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine does too little for a snapshot while what was planned is asked."""
    monkeypatch.setattr(log_torture, "SNAPSHOT_BYTES", 20_000)
    monkeypatch.setattr(log_torture, "MORE", 1_000)
    seen = tortured(tmp_path, questions=10)
    assert min(seen[it] for it in (*KINDS, *OF_NETWORKS, OF_LOGS)) > 0, seen


@pytest.mark.parametrize("flaw", ["reads old states", "runs commands again", "loses commands"])
def test_what_is_wrong_is_found(tmp_path: Path, flaw: Flaw) -> None:
    with pytest.raises(Broken, match=r"is not linearizable|lacks it|has run command \d+ 2 times"):
        tortured(tmp_path, flaw)


def replaced(folder: Path, flaw: Flaw = "", seed: int = 7) -> Counter[str]:
    plan = members_torture.planned(QUESTIONS, seed, flaw)
    run = torture(plan, folder, is_lossy=False, begin=members_torture.begin, nodes=ALL)
    return asyncio.run(asyncio.wait_for(run, LIMIT_S))


def test_a_log_is_linearizable_while_all_servers_are_replaced(tmp_path: Path) -> None:
    """No founder is left. Leaders that outlived their leases have read nothing old."""
    seen = replaced(tmp_path)
    assert seen[REPLACED] == len(NODES), seen
    assert seen[OUTLIVED] >= OUTLIVES, seen
    assert min(seen[it] for it in (*KINDS, OF_LOGS, LOST, BY_LEASE, "commands found once")) > 0


def fault(folder: Path, flaw: Flaw, seed: int) -> str:
    """What is found; nothing, if there is nothing to see in this run."""
    folder.mkdir()
    try:
        replaced(folder, flaw, seed)
    except Broken as broken:
        return str(broken)
    return ""


@pytest.mark.parametrize("flaw", ["reads once removed", "reads the clock now and then"])
def test_what_is_wrong_with_leases_and_removed_servers_is_found(
    tmp_path: Path, flaw: Flaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a client meets an old value depends on when it asks: most runs show one."""
    monkeypatch.setattr(members_torture, "SILENT_S", 1.0)
    faults = (fault(tmp_path / str(seed), flaw, seed) for seed in range(5))
    assert "is not linearizable" in next(filter(None, faults), "")
