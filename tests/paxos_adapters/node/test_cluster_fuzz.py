"""A short form of the attack on a live cluster, and that it is red when a node falls for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.support.node_process import Flaw
from tests.tools import cluster_fuzz
from tests.tools.cluster_fuzz import Broken, Plan, attack

SEED = 20131017
MISSING = cluster_fuzz.why_not()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=f"no attack: {MISSING}"),
]


def attacked(plan: Plan, folder: Path) -> Counter[str]:
    return asyncio.run(asyncio.wait_for(attack(plan, folder), 120))


def test_nothing_hostile_has_an_effect_and_clients_go_on(tmp_path: Path) -> None:
    seen = attacked(Plan(15_000, 25_000, SEED), tmp_path)

    assert seen["sent"] == 40_000, f"seed {SEED}: {seen}"
    taken = seen["taken, of an earlier session"]
    assert seen["refused"] >= 40_000 - seen["dropped by the system"] - taken
    assert taken < 1_000
    assert seen["decisions"] > 2 * cluster_fuzz.WARM


@pytest.mark.parametrize(
    ("flaw", "fault"),
    [
        ("checks no tag", "has saved what a hostile datagram said"),
        ("remembers all it hears", r"has grown by .* at rest"),
    ],
)
def test_the_run_is_red_when_a_node_falls_for_it(flaw: Flaw, fault: str, tmp_path: Path) -> None:
    with pytest.raises(Broken, match=fault):
        attacked(Plan(15_000, 5_000, SEED, flaw=flaw), tmp_path)
