"""The torture of logs: it passes, and it finds what is wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.support.node_process import Flaw
from tests.tools.cluster_torture import Broken, Plan
from tests.tools.log_torture import torture

pytestmark = pytest.mark.slow

LIMIT_S = 120


def tortured(folder: Path, flaw: Flaw = "") -> Counter[str]:
    plan = Plan(300, seed=7, in_flight=25, flaw=flaw, calm_s=20.0)
    run = torture(plan, folder, is_lossy=False)
    return asyncio.run(asyncio.wait_for(run, LIMIT_S))


def test_a_log_is_linearizable_under_kills(tmp_path: Path) -> None:
    seen = tortured(tmp_path)
    assert min(seen["kills"], seen["restarts"], seen["answers to Add"], seen["slots"]) > 0


@pytest.mark.parametrize("flaw", ["reads old states", "runs commands again", "loses commands"])
def test_what_is_wrong_is_found(tmp_path: Path, flaw: Flaw) -> None:
    with pytest.raises(Broken, match="is not linearizable"):
        tortured(tmp_path, flaw)
