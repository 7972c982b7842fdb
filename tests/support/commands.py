"""The ``paxos`` command, called within this process, or run as its users run it.

- ``call`` is for what a command says and writes: it saves the start of an interpreter.
- ``execute`` is for what only a process has: streams, locales, signals, switches of Python.
- Both belong to the main thread: while ``call`` changes the environment and the directory of this
  process, a process that another thread starts would take over half of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import current_thread, main_thread
from typing import TypeAlias
from unittest.mock import patch

from paxos_cli import app

Ended: TypeAlias = subprocess.CompletedProcess[str]

PAXOS = (sys.executable, "-m", "paxos_cli")
SETTINGS = ("COLUMNS", "FORCE_COLOR", "LANG", "LC_ALL", "NO_COLOR", "PYTHONUTF8", "TTY_COMPATIBLE")
"""What says how to print, and is not taken over from where the tests run."""
NOTHING: Mapping[str, str] = {}


def call(
    *words: object, folder: Path | None = None, environment: Mapping[str, str] = NOTHING
) -> Ended:
    """Call the command in ``folder``, with its output in a pipe that takes UTF-8."""
    assert is_main_thread()
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    with (
        chdir(folder or Path.cwd()),
        patch.dict(os.environ, surroundings(environment), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = app.run([str(word) for word in words])
    return Ended([*map(str, words)], code, _text(out), _text(err))


def execute(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] = NOTHING
) -> Ended:
    """Run ``command`` to its end."""
    assert is_main_thread()
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env=surroundings(environment),
        check=False,
    )


def is_main_thread() -> bool:
    """Whether this thread may call commands, and start processes beside them."""
    return current_thread() is main_thread()


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pipe in UTF-8, whatever the tests themselves run in."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return kept | {"PYTHONIOENCODING": "utf-8"} | dict(environment)


def _text(stream: TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue().decode("utf-8")
