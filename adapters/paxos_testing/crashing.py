"""Lives: what a store does in a process of its own, which is killed and never ends by itself.

- A life is a generator that runs in a fork of this process. What it yields is told to the test at
  once, through a pipe.
- It ends by SIGKILL: when it has nothing more to say, or when the test has heard enough. Nothing is
  closed, nothing is flushed late, and no lock is given back by hand.
- It can be killed at a call: before or after any function that it calls, in Python or in C. That
  repeats. Or at a moment: wherever it is then, even deep within a library.
- A life that does not end is killed by its alarm: a store refuses, it does not wait.
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


def live(work: Callable[[], Iterable[T]], moment_s: float | None = None) -> Generator[T]:
    """What ``work`` yields, from a process of its own; killed after ``moment_s``, if given.

    Fails the test if ``work`` raises, or takes longer than PATIENCE_S.
    """
    hear, tell = os.pipe()
    child = _fork()
    if not child:
        os.close(hear)
        _live(work, tell, PATIENCE_S if moment_s is None else moment_s)
    os.close(tell)
    try:
        with os.fdopen(hear, "rb") as told:
            while True:
                try:
                    tale, failure = pickle.load(told)
                except (EOFError, pickle.UnpicklingError):  # killed, perhaps within a word
                    break
                if failure:
                    pytest.fail(f"in a process of its own the store raised\n{failure}")
                yield tale
    finally:
        os.kill(child, signal.SIGKILL)
        _, ending = os.waitpid(child, 0)
    if moment_s is None and os.WTERMSIG(ending) == signal.SIGALRM:
        pytest.fail(f"no end after {PATIENCE_S:.0f} s. A store refuses, it does not wait.")


def die_at_call(number: int) -> None:
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


def _live(work: Callable[[], Iterable[object]], tell: int, at_most_s: float) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, at_most_s)
    try:
        for tale in work():
            _write(tell, (tale, ""))
    except BaseException:
        _write(tell, (None, traceback.format_exc()))
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def _write(pipe: int, message: object) -> None:
    left = pickle.dumps(message)
    while left:
        left = left[os.write(pipe, left) :]
