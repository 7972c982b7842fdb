"""A store of any size is checked as a stream: in bounded memory, with progress in the log."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import pytest

from paxos import Acceptor, Ballot, MaxRound, Proposal
from paxos_adapters.file import (
    inspect,
    reading,
    rows,
)
from tests.support.files import ACCEPTED, ONE, PROMISED, create, reopen

NAMES, VALUE_BYTES = 3_000, 1_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db"


@pytest.fixture
def large(path: Path) -> Path:
    ballot = Ballot(1, ONE)
    state = Acceptor(ballot, Proposal(ballot, bytes(VALUE_BYTES)))
    with create(path) as file:
        file.save((f"name {number}", state) for number in range(NAMES))
    return path


def test_opening_and_inspecting_take_bounded_memory(large: Path) -> None:
    reopen(large).close()
    tracemalloc.start()
    try:
        reopen(large).close()
        inspect(large)
        assert sum(1 for _ in rows(large)) == NAMES + 3
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < NAMES * VALUE_BYTES / 10


def test_the_log_says_how_far_it_is(
    large: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reading, "PROGRESS_ROWS", 1_000)
    with caplog.at_level(logging.INFO):
        reopen(large).close()
    assert caplog.messages == [f"n1.db: {it},000 rows are checked" for it in (1, 2, 3)]


def test_rows_come_in_the_order_of_names_and_kinds(path: Path) -> None:
    with create(path) as file:
        file.save([("b", MaxRound(1)), ("b", PROMISED), ("a", PROMISED)])
        assert [it.key for it in rows(path) if it.name != file.session] == [
            ("a", "acceptor"),
            ("b", "acceptor"),
            ("b", "round"),
        ]
        assert inspect(path).records == 3


def test_rows_are_of_one_moment_beside_a_server_that_saves(path: Path) -> None:
    with create(path) as file:
        file.save([("a", PROMISED), ("z", PROMISED)])
        found = rows(path)
        first = next(found)
        file.save([("z", ACCEPTED)])
        assert {it.name: it.fields for it in [first, *found] if it.kind == "acceptor"} == {
            "a": "promised 2.2",
            "z": "promised 2.2",
        }
