"""How many more servers may fail: exact where it can be, and never more than is true."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import NO_BALLOT, QuorumSystem, ServerId, explicit, majority, weighted
from paxos.quorum import Explicit
from paxos_adapters.node import tolerance as module
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.tolerance import log_tolerance, needed, tolerance, up
from paxos_adapters.udp.endpoint import Buffers
from paxos_adapters.udp.peer import Peer
from paxos_testing.strategies import quorum_systems

SEVEN = tuple(ServerId(number) for number in range(1, 8))


def by_trying_all(quorum: QuorumSystem, up: frozenset[ServerId]) -> int:
    for fewer in range(len(up) + 1):
        for down in combinations(sorted(up), fewer):
            rest = up.difference(down)
            if not (quorum.is_phase1(rest) and quorum.is_phase2(rest)):
                return fewer - 1
    raise AssertionError("no server at all is no quorum")


@settings(max_examples=200)
@given(st.data())
def test_it_is_what_trying_all_subsets_says(data: st.DataObject) -> None:
    quorum = data.draw(quorum_systems(SEVEN))
    up = data.draw(st.frozensets(st.sampled_from(sorted(quorum.members))))
    assert tolerance(quorum, up) == by_trying_all(quorum, up)


def missing_by_trying_all(quorum: QuorumSystem, up: frozenset[ServerId]) -> int:
    down = sorted(quorum.members - up)
    for more in range(len(down) + 1):
        for risen in combinations(down, more):
            if quorum.is_phase1(up.union(risen)) and quorum.is_phase2(up.union(risen)):
                return more
    raise AssertionError("all servers are a quorum")


@settings(max_examples=200)
@given(st.data())
def test_what_is_needed_is_what_trying_all_subsets_says(data: st.DataObject) -> None:
    quorum = data.draw(quorum_systems(SEVEN))
    up = data.draw(st.frozensets(st.sampled_from(sorted(quorum.members))))
    found, exact = needed(quorum, up), missing_by_trying_all(quorum, up)
    assert (found == 0) == (exact == 0) == (tolerance(quorum, up) >= 0)
    assert found == exact or (type(quorum) is Explicit and found < exact)


def test_a_server_that_is_no_member_does_not_count() -> None:
    three = majority(SEVEN[:3])
    assert tolerance(three, frozenset(SEVEN[1:])) == 0
    assert needed(three, frozenset(SEVEN[2:])) == 1
    assert needed(three, frozenset(SEVEN[:2])) == 0


def test_a_hundred_weights_take_no_time() -> None:
    """All subsets of so many would never come to an end."""
    ids = [ServerId(number) for number in range(100)]
    heavy = weighted({it: 1 + it % 7 for it in ids})
    assert tolerance(heavy, frozenset(ids)) == 31


def grid(side: int) -> QuorumSystem:
    """Phase 1 reads a row, phase 2 writes a column: (Naor and Wool, 1998, in the simplest form)."""
    rows = [[ServerId(side * row + place) for place in range(side)] for row in range(side)]
    return explicit(phase1=rows, phase2=zip(*rows, strict=True))


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_grid_fails_with_one_of_each_row(side: int) -> None:
    quorum = grid(side)
    assert tolerance(quorum, quorum.members) == side - 1


def test_a_search_that_is_cut_off_says_what_it_has_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(7)
    ids = [ServerId(number) for number in range(21)]
    majorities = {frozenset(random.sample(ids, 11)) for _ in range(300)}
    quorum = explicit(phase1=majorities, phase2=majorities)
    exact = 0
    for checks in 10, 1_000, module.MAX_CHECKS:
        monkeypatch.setattr(module, "MAX_CHECKS", checks)
        module.tolerance.cache_clear()
        shown = tolerance(quorum, quorum.members)
        assert exact <= shown <= 10
        exact = shown
    assert exact >= 2


def test_a_log_tolerates_no_more_than_each_of_its_quorum_systems() -> None:
    """Both govern slots of the window while members change. Server 5 is silent."""
    peers = {it: Peer(("h", 1), 1.0, 0.1, it != 5, True, 1.0) for it in SEVEN[1:5]}
    none: dict[str, int] = {}
    counts = 0, 0, 0, none, none, NO_BALLOT, Buffers(1, 1)
    status = Status(SEVEN[0], peers, 0, *counts, Descent((), True, True))
    three, five = majority(SEVEN[:3]), majority(SEVEN[:5])

    assert sorted(up(status)) == [1, 2, 3, 4]
    assert log_tolerance([three], status) == log_tolerance([three, five], status) == 1
    assert log_tolerance([five, majority(SEVEN)], status) == 0
    assert log_tolerance([three], evolve(status, stopped="it has stopped")) == -1
