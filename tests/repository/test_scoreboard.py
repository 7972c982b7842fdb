"""docs/scoreboard.md has a line for each mutant of the core, and those quick to drive are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.mutants import Mutant, catalogue
from tests.tools.scoreboard import (
    EXPLAINED,
    PAGE,
    Score,
    drive,
    drivers_of,
    furnish,
    is_driven,
    kept,
    row,
    stale,
    traces,
    unexplained,
)
from tests.tools.verdicts import BROKEN, Finding, Verdict, Verdicts

MUTANTS = {it.clause: it for it in catalogue() if is_driven(it)}
TEXT = PAGE.read_text(encoding="utf-8")
QUICK = (
    "a promise is not remembered",
    "reply before save: an acceptance",
    "a round used before it is saved",
    "a vote leaves before it is saved",
)
FOUND = Finding(kind=BROKEN, what="agreement", rung="a scope", after=1, events=1, trace=["begins"])
SURVIVES = Verdict(found=None, seen={"a scope": [1, 2, 3]})
DIES = Verdict(found=FOUND, seen={})


def verdicts(
    explorer: Verdict = SURVIVES, specification: Verdict = SURVIVES, simulator: Verdict = SURVIVES
) -> Verdicts:
    return Verdicts(explorer=explorer, specification=specification, simulator=simulator)


def rows(part: str) -> dict[str, list[list[str]]]:
    """The lines of the tables of a part of the page, by module."""
    found: dict[str, list[list[str]]] = {}
    for table in part.split("\n### ")[1:]:
        module, _, _, _, *lines = table.strip().splitlines()
        found[module] = [line.strip("| ").split(" | ") for line in lines]
    return found


def test_each_clause_has_one_line_in_the_order_of_the_catalogue() -> None:
    there = [
        (module, clause)
        for module, lines in rows(TEXT.split("\n## ")[1]).items()
        for clause, *_ in lines
    ]
    modules = list(dict.fromkeys(it.module for it in MUTANTS.values()))
    wanted = sorted(MUTANTS.values(), key=lambda it: modules.index(it.module))
    assert there == [(it.module, it.clause) for it in wanted]


def test_each_survivor_and_nothing_else_is_explained() -> None:
    survivors = rows(TEXT.split("\n## ")[2])
    assert dict(line for lines in survivors.values() for line in lines) == EXPLAINED


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("model")
    furnish(house)
    return house


@pytest.mark.slow
@pytest.mark.parametrize("clause", QUICK)
def test_a_line_is_what_the_drivers_say_today(clause: str, model: Path) -> None:
    mutant = MUTANTS[clause]
    score = Score(mutant, drive(mutant, model, drivers_of(mutant)))

    assert f"\n{row(score)}\n" in TEXT
    assert "\n".join(traces(score)) in TEXT


@pytest.mark.parametrize(
    ("said", "explained", "problem"),
    [
        (verdicts(), False, "SURVIVED"),
        (verdicts(), True, None),
        (verdicts(simulator=DIES), True, "killed, and explained"),
        (verdicts(explorer=DIES), False, None),
        (verdicts(specification=DIES), False, None),
    ],
)
def test_what_does_not_add_up_is_named(
    said: Verdicts, explained: bool, problem: str | None
) -> None:
    clause = next(iter(EXPLAINED)) if explained else "a clause"
    mutant = Mutant(clause, "paxos/acceptor.py", (), ())

    expected = [] if problem is None else [f"{clause}: {problem}"]
    assert list(unexplained([Score(mutant, said)])) == expected


def test_other_runs_are_no_kill() -> None:
    mutant = Mutant("a clause", "paxos/acceptor.py", (), ())
    longer = Verdict(found=None, seen={"a scope": [1, 2, 4]})
    sound = verdicts()
    score = Score(mutant, verdicts(explorer=longer), sound)

    assert not score.killed
    assert row(score) == "| a clause | other runs (a scope) | same runs | same runs |  |"


def test_each_mutant_fits_the_code() -> None:
    """A clause that was moved or renamed takes its mutant along."""
    assert [it.clause for it in catalogue() if not it.source()] == []


def test_the_short_form_drives_some_and_finds_lines_that_the_page_does_not_have() -> None:
    mutants = kept([*catalogue()], ["short"])
    assert len(mutants) == -(-len(MUTANTS) // 8)

    (told,) = stale([Score(mutants[0], verdicts(DIES, SURVIVES, SURVIVES), verdicts())])
    assert told.startswith(f"not on the page: | {mutants[0].clause} |")
