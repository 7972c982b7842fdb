"""A short form of the torture of disks, and that it is red when old disks are heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.tools.cluster_torture import Broken
from tests.tools.disk_torture import torture

SEED = 20131017


@pytest.mark.slow
def test_whatever_operators_do_to_disks_one_value_a_name(tmp_path: Path) -> None:
    seen = asyncio.run(torture(1, SEED, tmp_path))

    assert seen["old disks refused"] == seen["newest disks heard again"] == 2, (
        f"seed {SEED}: {seen}"
    )
    assert seen["descriptions edited"] == seen["killed together"] == 1
    assert min(seen["reads"], seen["frames of another membership refused"], seen["votes"]) > 0


@pytest.mark.slow
def test_the_run_is_red_when_old_disks_are_heard(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="votes with an old disk"):
        asyncio.run(torture(1, SEED, tmp_path, "hears old disks"))
