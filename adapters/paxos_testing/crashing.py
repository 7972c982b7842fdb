"""A process of its own for what a store does, which is killed and never exits by itself.

- The process is a fork that runs a generator. Each item that it yields goes to the test at once,
  through a pipe.
- It ends by SIGKILL: after the last item, or when the test stops reading. Nothing is closed,
  nothing is flushed late, and no lock is released.
- It can be killed at a call: before or after any function that it calls, in Python or in C. That
  repeats. Or after a time: wherever it is then, even deep within a library.
- A process that does not end is killed by its alarm: a store refuses, it does not wait.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

PATIENCE_S = 60.0


def run_until_killed(
    work: Callable[[], Iterable[T]], moment_s: float | None = None
) -> Generator[T]:
    """What ``work`` yields, from a process of its own; killed after ``moment_s``, if given.

    Fails the test if ``work`` raises, or takes longer than PATIENCE_S.
    """
    reading, writing = os.pipe()
    child = _fork()
    if not child:
        os.close(reading)
        _work(work, writing, PATIENCE_S if moment_s is None else moment_s)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            while True:
                try:
                    item, failure = pickle.load(pipe)
                except (EOFError, pickle.UnpicklingError):  # killed, perhaps within an item
                    break
                if failure:
                    pytest.fail(f"in a process of its own the store raised\n{failure}")
                yield item
    finally:
        os.kill(child, signal.SIGKILL)
        _, ending = os.waitpid(child, 0)
    if moment_s is None and os.WTERMSIG(ending) == signal.SIGALRM:
        pytest.fail(f"no end after {PATIENCE_S:.0f} s. A store refuses, it does not wait.")


def kill_after_calls(number: int) -> None:
    """Kill this process after ``number`` calls and returns of functions from here on."""
    left = number

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def calls_in(work: Callable[[], object]) -> int:
    """How many calls and returns of functions there are in ``work``."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of locks that other threads may hold. They hold none that a store needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _work(work: Callable[[], Iterable[object]], pipe: int, at_most_s: float) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, at_most_s)
    try:
        for item in work():
            _write(pipe, (item, ""))
    except BaseException:
        _write(pipe, (None, traceback.format_exc()))
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def _write(pipe: int, message: object) -> None:
    left = pickle.dumps(message)
    while left:
        left = left[os.write(pipe, left) :]
