"""A kit of tests on one implementation, in this process: which tests fail, and what they say."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


def every_test_of(kit: type[object]) -> set[str]:
    """The names of a kit's tests."""
    return {name for name in dir(kit) if name.startswith("test_")}


def failures(kit: type[object], tests: Iterable[str], folder: Path) -> dict[str, str]:
    """What those of ``tests`` say that do not pass; each has a folder and an object of its own."""
    found: dict[str, str] = {}
    for test in tests:
        it = kit()
        method: Callable[..., None] = getattr(it, test)
        arguments: list[Path] = []
        if "tmp_path" in inspect.signature(method).parameters:
            arguments = [folder / test]
            arguments[0].mkdir()
        try:
            _call(it, "setup_method")
            method(*arguments)
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
            found[test] = _told(error)
        finally:
            _call(it, "teardown_method")
    return found


def _call(it: object, method: str) -> None:
    if hasattr(it, method):
        getattr(it, method)()


def _told(error: BaseException) -> str:
    """What it says, with all that hypothesis has found."""
    inner: Iterable[BaseException] = getattr(error, "exceptions", ())  # of a group
    return "\n".join([f"{type(error).__name__}: {error}", *map(_told, inner)])


def run_pytest(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own, as the reader of a page would."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
