"""A change of members that is killed: ``tests/tools/members_kills.py``, at some of the lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STRIDE = "17"


@pytest.mark.slow
def test_a_change_of_members_goes_on_after_a_kill_at_any_line() -> None:
    """In a process of its own, since it forks. ``make torture`` kills at every line."""
    command = [sys.executable, "-m", "tests.tools.members_kills", "--stride", STRIDE]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "close",
        "settle",
        "adopt, in the place of a closed file",
        "adopt, as a new member",
        "adopt an epoch",
    ]
    assert all(int(line.split()[-6]) >= 5 for line in lines), lines
