"""Whatever goes wrong how often, a kind of it has one line in a while, and no traceback."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from paxos_adapters import limited_log
from paxos_adapters.limited_log import MAX_KINDS, LimitedLog
from tests.support import PACKAGES

ADAPTERS = Path(limited_log.__file__).parents[1]
Caplog = pytest.LogCaptureFixture


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> LimitedLog:
    return LimitedLog(logging.getLogger("test"), every_s=60, clock=clock)


def test_the_first_of_a_kind_is_logged_and_the_others_are_counted(
    log: LimitedLog, clock: Clock, caplog: Caplog
) -> None:
    for _ in range(10_000):
        clock.now_s += 0.005
        log.warning("lost", "%s is lost", 7)
    assert caplog.messages == ["7 is lost"]
    clock.now_s = 60.005
    log.warning("lost", "%s is lost", 8)
    log.warning("lost", "%s is lost", 9)
    assert caplog.messages[1:] == ["8 is lost (9,999 more since the last line)"]


def test_what_is_rare_is_logged_as_it_is(log: LimitedLog, clock: Clock, caplog: Caplog) -> None:
    for number in range(3):
        clock.now_s = 60.0 * number
        log.warning("lost", "number %s", number, extra={"event": "lost"})
    assert caplog.messages == ["number 0", "number 1", "number 2"]
    assert {vars(it)["event"] for it in caplog.records} == {"lost"}
    assert {it.funcName for it in caplog.records} == {"test_what_is_rare_is_logged_as_it_is"}


def test_kinds_are_told_apart(log: LimitedLog, caplog: Caplog) -> None:
    for kind in "ab" * 9:
        log.warning(kind, kind)
    assert caplog.messages == ["a", "b"]


def test_kinds_are_bounded(log: LimitedLog, clock: Clock, caplog: Caplog) -> None:
    """Who chooses them cannot make lines of them, nor fill the memory."""
    for number in range(10 * MAX_KINDS):
        log.warning(number, "%s", number)
    assert len(caplog.messages) == MAX_KINDS + 1
    clock.now_s = 60
    log.warning("more", "more")
    assert caplog.messages[-1] == f"more ({9 * MAX_KINDS - 1:,} more since the last line)"


# --- where it is used ---------------------------------------------------------------------------

BOUNDED = {
    "paxos_adapters/limited_log.py": "the one place",
    "paxos_adapters/group_commit.py": "a callback of a program has raised, with its traceback",
    "paxos_cli/node.py": "once, when it starts and when it is told to end",
    "paxos_adapters/file/reading.py": "while a file is opened: a line for each so many rows",
    "paxos_adapters/file/store.py": "once, when it is closed",
    "paxos_adapters/node/hosting.py": "once for each snapshot that is due, and that fails",
    "paxos_adapters/node/stopping.py": "once, when it stops for good",
    "paxos_adapters/replication/program.py": "once, when it stops for good",
    "paxos_adapters/udp/transport.py": "once, when it stops for good",
    "paxos_lab/record/recorder.py": "once, when a recording ends",
}
"""Who logs past it, and what bounds that."""


def calls(path: Path) -> Iterator[ast.Call]:
    for it in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(it, ast.Call) and isinstance(it.func, ast.Attribute):
            whose = ast.unparse(it.func.value)
            if whose in ("_logger", "self._logger", "logging") and it.func.attr not in (
                *("getLogger", "basicConfig", "makeLogRecord", "StreamHandler", "Formatter"),
            ):
                yield it


def test_nothing_that_a_message_causes_logs_without_a_bound() -> None:
    found = {
        path.relative_to(ADAPTERS).as_posix()
        for package in PACKAGES
        for path in (ADAPTERS / package).rglob("*.py")
        if package != "paxos_testing" and any(calls(path))
    }
    assert found == {*BOUNDED}
