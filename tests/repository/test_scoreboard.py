"""docs/scoreboard.md has a line for each mutant; those that are quick to drive are up to date."""

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
    kept,
    row,
    stale,
    traces,
    unexplained,
)
from tests.tools.verdicts import BROKEN, Finding, Verdict, Verdicts

MUTANTS = {it.clause: it for it in catalogue()}
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


def test_each_clause_has_one_line_in_the_order_of_the_catalogue() -> None:
    table = TEXT.split("\n## ")[0].splitlines()
    rows = [line.split(" | ")[:2] for line in table if line.startswith("| ")][2:]

    assert rows == [[f"| {Path(it.module).stem}", it.clause] for it in catalogue()]


def test_whoever_survives_is_explained_and_nobody_else() -> None:
    survivors = TEXT.split("\n## ")[1].splitlines()
    rows = [line.strip("| ").split(" | ") for line in survivors if line.startswith("| ")][2:]

    assert {clause: why for _, clause, why in rows} == EXPLAINED


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("model")
    furnish(house)
    return house


@pytest.mark.slow
@pytest.mark.parametrize("clause", QUICK)
def test_a_line_is_what_the_drivers_say_today(clause: str, model: Path) -> None:
    mutant = MUTANTS[clause]
    mode = drivers_of(mutant)
    assert mode is not None
    score = Score(mutant, drive(mutant, model, mode))

    assert f"\n{row(score)}\n" in TEXT
    assert "\n".join(traces(score)) in TEXT


def test_the_host_is_not_driven() -> None:
    (host, *_) = (it for it in MUTANTS.values() if drivers_of(it) is None)

    assert "not driven" in row(Score(host, None))


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
    same = "same runs | all | same runs | all"
    assert row(score) == f"| acceptor | a clause | other runs (a scope) | all | {same} |  |"


def test_each_mutant_fits_the_code() -> None:
    """A clause that was moved or renamed takes its mutant along."""
    assert [it.clause for it in catalogue() if not it.source()] == []


def test_the_short_form_drives_some_and_finds_lines_that_the_page_does_not_have() -> None:
    mutants = [*kept([*MUTANTS.values()], ["short"])]
    assert len(mutants) == -(-sum(drivers_of(it) is not None for it in MUTANTS.values()) // 8)

    (told,) = stale([Score(mutants[0], verdicts(DIES, SURVIVES, SURVIVES), verdicts())])
    assert told.startswith(f"not on the page: | {Path(mutants[0].module).stem} |")
    (host, *_) = (it for it in MUTANTS.values() if drivers_of(it) is None)
    assert not [*stale([Score(host, None)])]
