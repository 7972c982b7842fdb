"""Processes of ours, run as modules of these tests: they read orders, and answer.

- An interrupt is for whoever started them, not for them.
- The end of their stdin is the order to go, so that they are gone when their starter is.
"""

from __future__ import annotations

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


async def spawn(
    module: str, *words: str, wrapper: Sequence[str] = (), complaints: IO[bytes] | None = None
) -> Process:
    """``python -m module words``, after ``wrapper``; its stderr goes to ``complaints``."""
    return await create_subprocess_exec(
        *(*wrapper, sys.executable, "-m", module, *words),
        stdin=PIPE,
        stdout=PIPE,
        stderr=complaints,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
