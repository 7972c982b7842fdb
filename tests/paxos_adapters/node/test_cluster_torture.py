"""Short forms of the cluster torture, and that it is red when Paxos is broken."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support import node_process
from tests.support.node_process import START_S, Flaw, in_time
from tests.support.spawning import ROOT
from tests.tools import cluster_torture, lossy_network
from tests.tools.cluster_torture import NODES, Broken, Cluster, Plan, Run, torture
from tests.tools.lossy_network import Loopback

pytestmark = pytest.mark.slow

SEED = 20131017
QUICK = 0.05, 0.4


def lives(plan: Plan, folder: Path, *, is_lossy: bool = False) -> dict[str, int]:
    return asyncio.run(torture(plan, folder, is_lossy=is_lossy))


def test_one_value_a_name_whoever_is_killed(tmp_path: Path) -> None:
    plan = Plan(60, SEED, QUICK, in_flight=10)
    seen = lives(plan, tmp_path)

    assert seen["kills"] == seen["restarts"] >= plan.kills, f"seed {SEED}: {seen}"
    assert seen["decided"] == 60
    assert seen["votes"] >= 3 * 60


def test_one_value_a_name_on_a_lossy_network(tmp_path: Path) -> None:
    missing = lossy_network.why_not()
    if missing is not None:
        pytest.skip(f"no lossy network: {missing}")
    seen = lives(Plan(40, SEED, QUICK, in_flight=10), tmp_path, is_lossy=True)

    assert seen["decided"] == 40, f"seed {SEED}: {seen}"
    assert min(seen[it] for it in ("lost", "delayed", "duplicated", "reordered", "kills")) > 0


@pytest.mark.parametrize(
    ("flaw", "fault"),
    [
        # A node that finds the protocol broken stops, and then it may be that nothing is decided.
        ("accepts everything", r"values (were told|are chosen)|never decided"),
        ("forgets", r"values were told|read nothing|could choose|never decided"),
        ("answers nobody", "never decided"),
    ],
)
def test_the_run_is_red_when_paxos_is_broken(
    flaw: Flaw, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_torture, "KEPT", tmp_path / "kept" / "log.jsonl")
    names = 10 if flaw == "answers nobody" else 50
    plan = Plan(names, SEED, QUICK, in_flight=5, ask_s=0.2, everybody=1, calm_s=3, flaw=flaw)
    with pytest.raises(Broken, match=fault):
        lives(plan, tmp_path)
    assert (tmp_path / "kept" / "log.jsonl").exists()


@pytest.fixture
def interruptible() -> Generator[None, None, None]:
    """A program that is started now feels interrupts, even where a shell lets these tests not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_it_with_a_summary() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.cluster_torture", str(SEED)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        lines = [said.readline()]
        assert lines[0].startswith(f"seed {SEED}")
        while not lines[-1].startswith("... "):
            lines.append(said.readline())
            assert lines[-1], "it has ended by itself"
        process.send_signal(signal.SIGINT)
        rest = said.read()

    assert process.wait(60) == 130
    assert "interrupted; so far: " in rest


def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, Loopback(NODES), "")
    cluster.paths[1].write_bytes(b"damaged")
    with pytest.raises(Broken, match=r"(?s)node 1 did not start: .*n1.db"):
        asyncio.run(cluster.start(1))
    assert not cluster.up


class OneReturn(Run):
    """Its only fault is a node that is to come back, and cannot."""

    async def _one_fault(self) -> None:
        if not self._returning:
            self._later(self._return(1, 0.0))


def test_a_node_that_does_not_come_back_ends_the_run_at_once(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, Loopback(NODES), "")
    cluster.paths[1].write_bytes(b"damaged")
    with (tmp_path / "clients.jsonl").open("wb") as log:
        run = OneReturn(Plan(1, SEED, QUICK), Loopback(NODES), cluster, log)
        with pytest.raises(Broken, match="node 1 did not start"):
            asyncio.run(run.faults())


def test_the_time_in_which_a_run_is_stopped_is_not_that_of_a_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both processes were stopped, and the one that waits goes on first."""

    async def stopped() -> str:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[str] = loop.create_future()
        now_s = loop.time

        def go_on() -> None:
            monkeypatch.setattr(loop, "time", lambda: now_s() + 2 * START_S)
            loop.call_later(0.01, ready.set_result, "ready")

        loop.call_soon(go_on)
        return await in_time(ready)

    assert asyncio.run(stopped()) == "ready"


def test_what_does_not_start_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_process, "START_S", 0.02)
    monkeypatch.setattr(node_process, "LOOK_S", 0.01)

    async def silent() -> None:
        await in_time(asyncio.get_running_loop().create_future())

    with pytest.raises(TimeoutError):
        asyncio.run(silent())
