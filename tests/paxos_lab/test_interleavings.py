"""All runs of small clusters: Paxos keeps every rule, each flaw breaks one, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from attrs import evolve

from paxos import Done, ServerId, flexible, weighted
from paxos_adapters.arguments import BadNumber
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.interleavings import (
    Crash,
    Interleavings,
    Move,
    State,
)
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import Exploration, Progress, explore
from paxos_lab.machines.faulty import BROKEN
from paxos_lab.machines.protocols import LECTURE, PAXOS, Protocol
from paxos_lab.rules import (
    AGREEMENT,
    CHOOSABLE,
    KEPT,
    LINEARIZABLE,
    REPORTED,
    RULES,
    SAVED,
    UNDISTURBED,
)
from tests.support.slow import slow_but_for

NAMED = {it.name: it for it in (PAXOS, *LECTURE, *BROKEN)}
CRASHING = "reply-before-save", "round-reused"
"""Flaws that only a crash brings out."""
MEMBERS = [ServerId(number) for number in (1, 2, 3)]


def found(scope: Scope, rules: Iterable[str] = RULES) -> Exploration[State, Move]:
    return explore_cluster(scope, rules=rules)[1]


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(Scope(acceptors=3, proposers=2, ballots=2), marks=pytest.mark.slow),
        Scope(acceptors=3, proposers=3, ballots=1),
        pytest.param(
            Scope(acceptors=3, proposers=1, ballots=2, inquirers=1), marks=pytest.mark.slow
        ),
        Scope(acceptors=3, proposers=1, ballots=1, readers=1, reads=2, crashes=1),
        Scope(proposers=1, ballots=1, readers=1, quorum=flexible(MEMBERS, phase1=3, phase2=1)),
        Scope(proposers=1, ballots=1, readers=1, quorum=flexible(MEMBERS, phase1=1, phase2=3)),
        Scope(acceptors=4, proposers=2, ballots=1),
        Scope(acceptors=5, proposers=2, ballots=1),
        Scope(acceptors=3, proposers=2, ballots=1, crashes=1),
        Scope(acceptors=2, proposers=1, ballots=3, crashes=2),
        Scope(quorum=flexible(MEMBERS, phase1=3, phase2=1), ballots=1),
        Scope(quorum=flexible(MEMBERS, phase1=2, phase2=3), ballots=1),
        Scope(quorum=weighted(dict(zip(MEMBERS, (2, 1, 1), strict=True))), ballots=1),
    ],
)
def test_paxos_keeps_every_rule_in_every_run(scope: Scope) -> None:
    system, seen = explore_cluster(scope)

    assert seen.violation is None
    assert seen.exhausted
    assert seen.never == frozenset()
    assert system.scope.drop_ignored_messages


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (Scope(ballots=1), (315, 713, 16)),
        pytest.param(Scope(), (40_063, 123_301, 29), marks=pytest.mark.slow),
        (Scope(proposers=1, readers=1, ballots=1), (630, 1_772, 17)),
        pytest.param(
            Scope(proposers=1, readers=1, ballots=1, reads=2, crashes=1),
            (3_148, 11_139, 20),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Scope(proposers=2, readers=1, ballots=1),
            (44_969, 196_092, 24),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Scope(acceptors=5, proposers=1, readers=1, ballots=1),
            (5_858, 27_203, 23),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_counts_are_those_of_the_page(scope: Scope, counts: tuple[int, int, int]) -> None:
    """docs/exploring.md says them: another count is another system."""
    seen = found(scope)

    assert (seen.states, seen.transitions, seen.depth) == counts
    page = (Path(__file__).parents[2] / "docs" / "exploring.md").read_text(encoding="utf-8")
    states, transitions, depth = (f"{it:,}" for it in counts)
    assert f"| {states} | {transitions} | {depth} |" in page


def test_a_value_of_its_own_is_not_adopted() -> None:
    """A lone proposer goes as far as it can, and finds nothing of others."""
    system = Interleavings(Scope(proposers=1, ballots=1))
    seen = explore(
        system,
        sometimes={
            "adopted": system.is_adopting,
            "asks for its own": lambda state: system.active_ballots(state) > 0,
        },
    )

    assert seen.never == {"adopted"}


@pytest.mark.slow
def test_three_acceptors_two_proposers_two_ballots_and_a_crash() -> None:
    system, seen = explore_cluster(Scope(acceptors=3, proposers=2, ballots=2, crashes=1))

    assert (seen.violation, seen.exhausted, seen.never) == (None, True, frozenset())
    assert system.processes.unsound_ignores() == []


@pytest.mark.parametrize(
    ("name", "scope", "rule"),
    [
        ("accept-everything", Scope(), AGREEMENT),
        ("look-first", Scope(), AGREEMENT),
        ("first-value-only", Scope(proposers=3), CHOOSABLE),
        ("promise-forgotten", Scope(), AGREEMENT),
        ("own-value-kept", Scope(), AGREEMENT),
        pytest.param("lowest-taken", Scope(), AGREEMENT, marks=pytest.mark.slow),
        pytest.param("reply-before-save", Scope(crashes=1), AGREEMENT, marks=pytest.mark.slow),
        ("round-reused", Scope(crashes=1), UNDISTURBED),
        ("promise-not-raised", Scope(), KEPT),
        ("reply-before-save", Scope(), SAVED),
        ("round-reused", Scope(), SAVED),
        ("read-not-completed", Scope(proposers=1, readers=1), REPORTED),
        ("read-not-completed", Scope(proposers=1, inquirers=1), REPORTED),
        ("nothing-from-one", Scope(proposers=1, readers=1), LINEARIZABLE),
        ("read-id-reused", Scope(proposers=1, readers=1, reads=2), LINEARIZABLE),
    ],
)
def test_every_flaw_is_found(name: str, scope: Scope, rule: str) -> None:
    seen = found(evolve(scope, protocol=NAMED[name]), [rule])

    assert seen.violation is not None
    assert seen.violation.rule == rule


def test_acceptors_that_keep_the_first_value_do_agree() -> None:
    assert found(Scope(protocol=NAMED["first-value-only"])).violation is None


# --- nothing is lost ----------------------------------------------------------------------------


def outcomes(scope: Scope) -> tuple[set[frozenset[str]], set[object], set[object]]:
    """What can be chosen, what is ever said, and what a client can report, in all runs."""
    system = Interleavings(scope)
    chosen: set[frozenset[str]] = set()
    reports: set[object] = set()

    def look(state: State) -> bool:
        chosen.add(system.chosen(state))
        for move, _ in system.moves(state):
            report = move.step.report
            reports.add(report.value if isinstance(report, Done) else report)
        return True

    assert explore(system, always={"": look}).exhausted
    return chosen, set(system.processes.sent_messages), reports - {None}


SMALL = [
    Scope(acceptors=3, proposers=1, ballots=2),
    Scope(acceptors=2, proposers=2, ballots=1),
    Scope(acceptors=2, proposers=1, ballots=2, crashes=1),
    pytest.param(Scope(acceptors=2, proposers=1, readers=1, ballots=1), marks=pytest.mark.slow),
    Scope(acceptors=2, proposers=1, inquirers=1, ballots=1),
    Scope(acceptors=2, proposers=2, ballots=1, protocol=NAMED["accept-everything"]),
    Scope(acceptors=2, proposers=2, ballots=1, protocol=NAMED["first-value-only"]),
    pytest.param(
        Scope(acceptors=2, proposers=2, ballots=1, protocol=NAMED["promise-forgotten"]),
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("scope", SMALL, ids=lambda it: f"{it.protocol.name}-{it.proposers}")
def test_the_reductions_lose_nothing(scope: Scope) -> None:
    """Walked with and without them: the same choices, the same words, the same reports."""
    assert outcomes(scope) == outcomes(evolve(scope, reduced=False))


@pytest.mark.slow
@pytest.mark.parametrize("scope", SMALL, ids=lambda it: f"{it.protocol.name}-{it.proposers}")
def test_the_reductions_spare_most_of_the_walk(scope: Scope) -> None:
    plain = explore(Interleavings(evolve(scope, reduced=False)))

    assert 3 * explore(Interleavings(scope)).states < plain.states


@pytest.mark.parametrize("rule", [AGREEMENT, KEPT, SAVED, REPORTED])
@pytest.mark.parametrize(
    "protocol",
    slow_but_for(lambda it: it.name not in CRASHING, BROKEN),
    ids=lambda it: it.name,
)
def test_a_rule_is_broken_with_the_reductions_if_and_only_if_it_is_without(
    protocol: Protocol, rule: str
) -> None:
    crashes = int(protocol.name in CRASHING)
    scope = Scope(acceptors=2, proposers=1, ballots=2, crashes=crashes, protocol=protocol)
    plain = Interleavings(evolve(scope, reduced=False))
    without = explore(plain, always={rule: lambda state: not plain.breaks(rule)(state)})

    assert (found(scope, [rule]).violation is None) == (without.violation is None)


@pytest.mark.slow
def test_forgetting_too_much_is_noticed_and_made_up_for() -> None:
    scope = Scope(protocol=NAMED["stale-promise-counted"])

    system, seen = explore_cluster(scope, rules=[AGREEMENT])

    assert not system.scope.drop_ignored_messages
    assert seen.violation is not None


def test_acceptors_change_places_only_if_they_count_alike() -> None:
    def walk(scope: Scope) -> int:
        return found(scope).states

    alike, heavy = (1, 1, 1), (2, 1, 1)
    weighed = [
        Scope(ballots=1, quorum=weighted(dict(zip(MEMBERS, weights, strict=True))))
        for weights in (alike, heavy)
    ]
    assert walk(Scope(ballots=1)) < walk(weighed[0])
    assert walk(weighed[0]) != walk(weighed[1])


# --- the system --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_crash_comes_at_rest_and_between_the_save_and_the_sending() -> None:
    system = Interleavings(Scope(acceptors=2, proposers=1, crashes=1, reduced=False))
    (start,) = system.start()
    fates: set[Crash] = set()

    def look(state: State) -> bool:
        fates.update(move.crash for move, _ in system.moves(state))
        return True

    explore(system, always={"": look})

    assert fates == set(Crash)
    assert start[0] == 1


def test_a_watcher_sees_the_walk_and_can_end_it() -> None:
    glimpses: list[Progress] = []

    def look(glimpse: Progress) -> bool:
        glimpses.append(glimpse)
        return len(glimpses) < 3

    _, seen = explore_cluster(Scope(), on_progress=look)

    assert len(glimpses) == 3
    assert not seen.exhausted
    assert glimpses[0].states < glimpses[-1].states <= seen.states


@pytest.mark.parametrize(
    ("scope", "what"),
    [
        (lambda: Scope(proposers=4), "4 proposers"),
        (lambda: Scope(proposers=0), "0 proposers"),
        (lambda: Scope(readers=2), "2 readers"),
        (lambda: Scope(inquirers=2), "2 inquirers"),
        (lambda: Scope(reads=0), "one read"),
        (lambda: Scope(ballots=0), "one ballot"),
        (lambda: Scope(4, quorum=flexible(MEMBERS, phase1=2, phase2=2)), "4 acceptors"),
    ],
)
def test_a_scope_that_cannot_be(scope: Callable[[], Scope], what: str) -> None:
    with pytest.raises(ScopeError, match=what):
        scope()


@pytest.mark.parametrize(
    ("scope", "what"),
    [
        (lambda: Scope(proposers=-1), "proposers"),
        (lambda: Scope(readers=-1), "readers"),
        (lambda: Scope(reads=-1), "reads"),
        (lambda: Scope(inquirers=-1), "inquirers"),
        (lambda: Scope(crashes=-1), "crashes"),
    ],
)
def test_a_scope_counts_from_zero(scope: Callable[[], Scope], what: str) -> None:
    with pytest.raises(BadNumber, match=f"{what} is -1"):
        scope()
