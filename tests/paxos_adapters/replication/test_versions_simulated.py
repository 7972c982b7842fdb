"""Versions simulated with changes of members, snapshots and faults: nothing differs."""

from __future__ import annotations

from typing import TypeVar

import pytest
from attrs import frozen

from paxos_adapters.state_machine import Apply, StateMachine
from tests.tools import versions_simulated
from tests.tools.versions_simulated import KINDS, PROGRAMS, Broken, portion

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")


def test_programs_of_different_versions_never_differ() -> None:
    seen = portion(range(20))
    assert min(seen[it] for it in KINDS) > 0, seen


@frozen
class Lenient(StateMachine[S, C, R]):
    """Runs what it has where a version is missing."""

    def of_version(self, version: int) -> Apply[S, C, R]:
        return super().of_version(version) if version in self.versions else self.apply


def test_a_program_that_goes_on_without_a_version_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lenient = [
        Lenient(it.start, it.apply, version=it.version, earlier=it.earlier) for it in PROGRAMS[:-1]
    ]
    monkeypatch.setattr(versions_simulated, "PROGRAMS", [*lenient, PROGRAMS[-1]])
    with pytest.raises(Broken, match=r"differs from the program run alone .* --seed \d+ --runs 1"):
        portion(range(20))
