"""The models of sessions, registration, learning and members, in scopes that take seconds.

What ``python -m tests.tools.models`` walks beyond these is in ``docs/exploring.md``. The counts are
exact: another count is another model.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tools import models
from tests.tools.models import learning, members, registration, sessions
from tests.tools.models.scopes import (
    DRAWN,
    LEARNING,
    LEARNING_BROKEN,
    MEMBERS,
    MEMBERS_BROKEN,
    REGISTRATION,
    REGISTRATION_BROKEN,
    SESSIONS,
    SESSIONS_BROKEN,
    SMALL,
    Case,
    caught,
    histories,
)
from tests.tools.models.walk import TooManyStatesError, walk

STATES = {
    "2 openings, a save, a backup": 32_293,
    "3 openings, a peer killed": 4_388,
    "3 servers, both peers": 6_624,
    "3 servers, its own ballot": 691,
    "3 servers, the two others replaced one by one": 7_091,
    "2 servers to 5, one by one": 18_208,
    "5 servers to 3": 19_463,
    "5 servers, one replaced": 40_117,
    "{1,2,3} to {1,2,4}, files 1, 2": 20_960,
    "majority to sizes (3, 1), files 1, 2, 3": 5_228,
    "{1} to {1,2,4}, two ballots, file 1": 12_726,
}


def small(*cases: Case) -> list[object]:
    return [pytest.param(it, id=it.title) for it in cases if it.size == SMALL]


@pytest.mark.slow
@pytest.mark.parametrize("case", small(*SESSIONS, *REGISTRATION, *LEARNING, *MEMBERS))
def test_the_rules_hold_in_every_state(case: Case) -> None:
    found = case.run()

    assert (found.wrong, found.run) == ("", ())
    assert found.states == STATES[case.title]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    small(*SESSIONS_BROKEN, *REGISTRATION_BROKEN, *LEARNING_BROKEN, *MEMBERS_BROKEN),
)
def test_a_broken_variant_is_caught(case: Case) -> None:
    found = case.run()

    assert found.wrong == case.expected
    assert len(found.run) == found.depth


@pytest.mark.parametrize("broken", DRAWN, ids=lambda it: it.value)
def test_a_broken_variant_of_sessions_is_caught_in_a_random_history(
    broken: sessions.Broken,
) -> None:
    assert caught(broken).wrong == DRAWN[broken][0]


def test_no_disk_is_wrongly_heard_or_refused_in_random_histories_with_copies() -> None:
    found = histories(150, copies=True)

    assert found.wrong == ""
    for event in "heard", "late, dropped", "stale, dropped", "stopped, rightly", "answered":
        assert found.events[event] > 0, event
    assert found.events["damaged, and found"] > 0


def test_a_disk_without_copies_is_never_refused_in_random_histories() -> None:
    found = histories(150, copies=False)

    assert found.wrong == ""
    assert found.events["late, dropped"] > 0
    for event in "stale, dropped", "stopped, rightly", "damaged, and found":
        assert found.events[event] == 0, event


def test_every_broken_variant_has_a_scope_in_which_it_is_caught() -> None:
    """Also the ones that are not small, which only ``python -m tests.tools.models`` walks."""
    cases = [*SESSIONS_BROKEN, *REGISTRATION_BROKEN, *LEARNING_BROKEN, *MEMBERS_BROKEN]
    variants = [it.value for it in (*registration.Broken, *learning.Broken, *members.Broken)]
    variants += [it.value for it in sessions.Broken if it not in DRAWN]

    missing = [it for it in variants if not any(case.title.startswith(it) for case in cases)]

    assert missing == []


def test_the_models_import_nothing_of_the_product() -> None:
    imported = set[str]()
    for path in Path(models.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}

    assert not {it for it in imported if it.startswith(("paxos", "attrs", "hypothesis"))}
    assert {it for it in imported if it.startswith("tests")} <= {
        "tests.tools.models",
        *(
            f"tests.tools.models.{it}"
            for it in ("disks", "scopes", "walk", "learning", "members", "registration")
        ),
    }


def test_a_walk_that_cannot_see_everything_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.tools.models.walk.MOST_STATES", 10)

    with pytest.raises(TooManyStatesError):
        walk(0, lambda it: [("", it + 1)], lambda _: "")
