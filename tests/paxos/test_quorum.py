"""Quorums, compared with every set of servers: whoever looks meets whoever chose."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import chain, combinations, product
from typing import TypeAlias

import pytest

from paxos import (
    DisjointQuorums,
    QuorumError,
    QuorumSystem,
    ServerId,
    explicit,
    flexible,
    majority,
    weighted,
)
from paxos.quorum import MAX_TOTAL_WEIGHT, BySize, ByWeight
from tests.support import NON_MEMBER, S1, S2, S3, S4, THREE

Servers: TypeAlias = frozenset[ServerId]
Family: TypeAlias = frozenset[Servers]


def ids(*numbers: int) -> Servers:
    """The servers with these numbers."""
    return frozenset(map(ServerId, numbers))


def subsets(servers: Servers) -> Family:
    """Every set of these servers, the empty one included."""
    sizes = range(len(servers) + 1)
    return frozenset(map(frozenset, chain(*(combinations(servers, size) for size in sizes))))


def every_pair_meets(firsts: Family, seconds: Family) -> bool:
    """What makes a quorum system safe, spelled out."""
    return all(first & second for first in firsts for second in seconds)


def check(
    make: Callable[[], QuorumSystem], members: Servers, firsts: Family, seconds: Family
) -> bool:
    """Compare a system with all its quorums, or its refusal with two that are disjoint.

    Returns whether it was accepted.
    """
    if every_pair_meets(firsts, seconds):
        system = make()
        for servers in subsets(members):
            assert system.is_phase1(servers) == (servers in firsts)
            assert system.is_phase2(servers) == (servers in seconds)
        return True
    with pytest.raises(DisjointQuorums) as refusal:
        make()
    assert refusal.value.phase1 in firsts
    assert refusal.value.phase2 in seconds
    assert not refusal.value.phase1 & refusal.value.phase2
    return False


FOUR = S1, S2, S3, S4
EXAMPLES: dict[str, Callable[[], QuorumSystem]] = {
    "majority": partial(majority, FOUR),
    "flexible": partial(flexible, FOUR, phase1=3, phase2=2),
    "weighted": partial(weighted, {S1: 3, S2: 2, S3: 1, S4: 0}, phase1=5, phase2=2),
    "listed": partial(explicit, phase1=[[S1, S2], [S3, S4]], phase2=[[S1, S3], [S2, S4]]),
}


@pytest.fixture(params=EXAMPLES)
def system(request: pytest.FixtureRequest) -> QuorumSystem:
    """One of each kind, for four servers."""
    return EXAMPLES[request.param]()


@pytest.mark.parametrize(
    ("members", "size"),
    [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5), (9, 5)],
)
def test_a_majority_is_more_than_half(members: int, size: int) -> None:
    """Odd and even numbers of members; nothing smaller will do, in either phase."""
    everyone = ids(*range(1, members + 1))
    system = majority(everyone)
    for servers in subsets(everyone):
        assert system.is_phase1(servers) == (len(servers) >= size)
        assert system.is_phase2(servers) == (len(servers) >= size)


@pytest.mark.parametrize(("members", "accepted"), [(1, 1), (2, 3), (3, 6), (4, 10), (5, 15)])
def test_flexible_takes_exactly_the_sizes_that_always_meet(members: int, accepted: int) -> None:
    """Every pair of sizes. Of n * n pairs, the n(n+1)/2 whose sum exceeds n are safe."""
    everyone = ids(*range(1, members + 1))

    def at_least(size: int) -> Family:
        return frozenset(servers for servers in subsets(everyone) if len(servers) >= size)

    taken = 0
    for phase1, phase2 in product(range(1, members + 1), repeat=2):
        taken += check(
            partial(flexible, everyone, phase1=phase1, phase2=phase2),
            everyone,
            at_least(phase1),
            at_least(phase2),
        )
    assert taken == accepted


@pytest.mark.parametrize("weights", list(product(range(4), repeat=3)))
def test_weighted_takes_exactly_the_thresholds_that_always_meet(
    weights: tuple[int, int, int],
) -> None:
    """Three servers of weight 0 to 3, and every pair of thresholds up to the whole weight."""
    weight_of = dict(zip((S1, S2, S3), weights, strict=True))
    everyone, total = frozenset(weight_of), sum(weights)

    def heavy(threshold: int) -> Family:
        return frozenset(
            servers
            for servers in subsets(everyone)
            if sum(weight_of[server] for server in servers) >= threshold
        )

    for phase1, phase2 in product(range(1, total + 1), repeat=2):
        accepted = check(
            partial(weighted, weight_of, phase1=phase1, phase2=phase2),
            everyone,
            heavy(phase1),
            heavy(phase2),
        )
        assert accepted or phase1 + phase2 <= total


@pytest.mark.parametrize("weights", list(product(range(4), repeat=3)))
def test_weights_need_more_than_half_unless_told_otherwise(weights: tuple[int, int, int]) -> None:
    """Half is not enough, since the other half weighs as much."""
    weight_of = dict(zip((S1, S2, S3), weights, strict=True))
    total = sum(weights)
    if total == 0:
        with pytest.raises(QuorumError, match="no weight at all"):
            weighted(weight_of)
        return
    system = weighted(weight_of)
    for servers in subsets(frozenset(weight_of)):
        enough = 2 * sum(weight_of[server] for server in servers) > total
        assert system.is_phase1(servers) == enough
        assert system.is_phase2(servers) == enough


def families(members: Servers) -> list[Family]:
    """Every non-empty family of non-empty sets of these servers."""
    sets = subsets(members) - {frozenset()}
    sizes = range(1, len(sets) + 1)
    return [frozenset(family) for size in sizes for family in combinations(sets, size)]


@pytest.mark.parametrize(("servers", "count"), [(1, 1), (2, 7), (3, 127)])
def test_listed_takes_exactly_the_systems_that_always_meet(servers: int, count: int) -> None:
    """Every pair of families: with 2**n - 1 sets to choose from, there are 2**(2**n - 1) - 1."""
    everyone = ids(*range(1, servers + 1))
    all_families = families(everyone)
    assert len(all_families) == count
    held = {
        family: frozenset(s for s in subsets(everyone) if any(quorum <= s for quorum in family))
        for family in all_families
    }
    for one, two in product(all_families, repeat=2):
        check(partial(explicit, phase1=one, phase2=two), everyone, held[one], held[two])


def test_non_members_never_count(system: QuorumSystem) -> None:
    """With a non-member, a set of members is what it is without."""
    non_members = frozenset({NON_MEMBER, ServerId(-1)})
    assert not system.is_phase1(non_members)
    assert not system.is_phase2(non_members)
    for servers in subsets(system.members):
        assert system.is_phase1(servers | non_members) == system.is_phase1(servers)
        assert system.is_phase2(servers | non_members) == system.is_phase2(servers)


def test_more_servers_never_spoil_a_quorum(system: QuorumSystem) -> None:
    """Any quorum, and any member added to it."""
    for servers, more in product(subsets(system.members), system.members):
        assert system.is_phase1(servers | {more}) or not system.is_phase1(servers)
        assert system.is_phase2(servers | {more}) or not system.is_phase2(servers)


def test_every_member_is_known(system: QuorumSystem) -> None:
    """A member of weight 0, too: it listens."""
    assert system.members == ids(1, 2, 3, 4)


def test_votes_may_come_in_a_plain_set(system: QuorumSystem) -> None:
    """All members are a quorum of either phase, nobody is of none."""
    everyone, nobody = set(system.members), set[ServerId]()
    assert system.is_phase1(everyone)
    assert system.is_phase2(everyone)
    assert not system.is_phase1(nobody)
    assert not system.is_phase2(nobody)


def test_quorums_of_one_phase_need_not_meet() -> None:
    """Two of four accept, three of four look: no look misses either pair."""
    system = flexible(FOUR, phase1=3, phase2=2)
    assert system.is_phase2({S1, S2})
    assert system.is_phase2({S3, S4})


def test_the_phases_keep_their_own_sizes() -> None:
    """Three of four look, two choose, in each way to write that down."""
    trios, pairs = combinations(FOUR, 3), combinations(FOUR, 2)
    one_each = dict.fromkeys(FOUR, 1)
    for system in (
        flexible(FOUR, phase1=3, phase2=2),
        weighted(one_each, phase1=3, phase2=2),
        explicit(phase1=trios, phase2=pairs),
    ):
        assert not system.is_phase1({S1, S2})
        assert system.is_phase2({S1, S2})
        assert system.is_phase1({S1, S2, S3})


def test_one_threshold_may_be_left_to_the_default() -> None:
    """More than half of the weight 4 is 3."""
    weights = {S1: 2, S2: 1, S3: 1}
    assert weighted(weights, phase1=4) == weighted(weights, phase1=4, phase2=3)
    assert weighted(weights, phase2=4) == weighted(weights, phase1=3, phase2=4)


@pytest.mark.parametrize("number", [-(2**70), -1, 0, 1, 2**70])
def test_any_integer_is_a_server(number: int) -> None:
    """Ids need not be small, positive or in a row."""
    me = ServerId(number)
    for system in (
        majority([me]),
        flexible([me], phase1=1, phase2=1),
        weighted({me: 1}),
        explicit(phase1=[[me]], phase2=[[me]]),
    ):
        assert system.members == {me}
        assert system.is_phase1({me})
        assert system.is_phase2({me})


def test_equal_systems_are_one_key() -> None:
    """Whatever the order in which the members were named."""
    names = {
        majority([S1, S2, S3]): "majority",
        flexible([S1, S2, S3], phase1=3, phase2=1): "flexible",
        weighted({S1: 1, S2: 2}): "weighted",
        explicit(phase1=[[S1, S2]], phase2=[[S2], [S1]]): "listed",
    }
    assert names[majority(iter([S3, S2, S1]))] == "majority"
    assert names[flexible([S2, S3, S1], phase1=3, phase2=1)] == "flexible"
    assert names[weighted({S2: 2, S1: 1})] == "weighted"
    assert names[explicit(phase1=[[S2, S1]], phase2=[[S1], [S2]])] == "listed"
    assert flexible([S1, S2, S3], phase1=2, phase2=2) == THREE


def test_the_refusal_names_two_that_miss() -> None:
    """Two of four and two of four: the halves of the members."""
    with pytest.raises(DisjointQuorums) as refusal:
        flexible(FOUR, phase1=2, phase2=2)
    assert refusal.value.phase1 == {S1, S2}
    assert refusal.value.phase2 == {S3, S4}
    text = str(refusal.value)
    assert "phase-1 quorum {1, 2} and the phase-2 quorum {3, 4} share no server" in text
    assert "Enlarge the quorums" in text


@pytest.mark.parametrize(
    ("phase1", "phase2", "message"),
    [
        (0, 3, "a phase-1 quorum of 0 out of 3 "),
        (3, 0, "a phase-2 quorum of 0 out of 3 "),
        (-1, 3, "a phase-1 quorum of -1 out of 3 "),
        (3, -1, "a phase-2 quorum of -1 out of 3 "),
        (4, 1, "a phase-1 quorum of 4 out of 3 "),
        (1, 4, "a phase-2 quorum of 4 out of 3 "),
    ],
)
def test_a_size_that_nobody_can_reach_or_miss_is_refused(
    phase1: int, phase2: int, message: str
) -> None:
    """None at all, or more than there are."""
    systems: list[Callable[[], QuorumSystem]] = [
        partial(flexible, [S1, S2, S3], phase1=phase1, phase2=phase2),
        partial(weighted, {S1: 2, S2: 1}, phase1=phase1, phase2=phase2),
    ]
    for make in systems:
        with pytest.raises(QuorumError, match=message) as refusal:
            make()
        assert "it takes at least 1 and at most 3" in str(refusal.value)
        assert not isinstance(refusal.value, DisjointQuorums)


@pytest.mark.parametrize("make", [partial(majority, []), partial(weighted, {})])
def test_a_system_needs_members(make: Callable[[], QuorumSystem]) -> None:
    """Nobody has no majority."""
    with pytest.raises(QuorumError, match=r"no (members|weight) at all"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        partial(majority, [S2, S1, S2]),
        partial(flexible, [S2, S1, S2], phase1=2, phase2=2),
    ],
)
def test_a_member_named_twice_is_refused(make: Callable[[], BySize]) -> None:
    """Dropping it silently would make quorums smaller than they were meant to be."""
    with pytest.raises(QuorumError, match=r"named twice: \[1, 2, 2\]. Name each one once"):
        make()


def test_a_server_weighed_twice_is_refused() -> None:
    """It would count twice."""
    with pytest.raises(QuorumError, match=r"weighed twice.*Weigh each one once"):
        ByWeight(((S1, 1), (S1, 2)), phase1=3, phase2=3)


def test_a_negative_weight_is_refused() -> None:
    """With it, one more server would spoil a quorum."""
    with pytest.raises(QuorumError, match="out of range: use whole numbers from 0"):
        weighted({S1: 3, S2: -1})


@pytest.mark.parametrize("number", ["true", "1.5", "NaN", '"2"', "null"])
def test_a_number_that_is_not_whole_is_refused(number: str) -> None:
    """From a program without types, or from a file."""
    given = json.loads(number)
    for make in (
        lambda: weighted({S1: 1, S2: given}),
        lambda: ByWeight(((S1, 1), (S2, given)), phase1=1, phase2=1),
        lambda: ByWeight(((S1, 1),), phase1=given, phase2=1),
        lambda: BySize(frozenset({S1}), 1, given),
    ):
        with pytest.raises(QuorumError, match="use a whole number"):
            make()


def test_the_sum_of_weights_is_bounded() -> None:
    """The bound itself is allowed, by one server or by many."""
    assert weighted({S1: MAX_TOTAL_WEIGHT}).is_phase1({S1})
    assert weighted({S1: MAX_TOTAL_WEIGHT - 1, S2: 1}).is_phase2({S1})
    for weights in {S1: MAX_TOTAL_WEIGHT + 1}, {S1: MAX_TOTAL_WEIGHT, S2: 1}:
        with pytest.raises(QuorumError, match=f"a sum of at most {MAX_TOTAL_WEIGHT}"):
            weighted(weights)


@pytest.mark.parametrize(
    ("phase1", "phase2"), [([], [[S1]]), ([[S1]], []), ([], [])], ids=["first", "second", "both"]
)
def test_a_phase_needs_a_quorum(phase1: list[list[ServerId]], phase2: list[list[ServerId]]) -> None:
    """Without one it never ends."""
    with pytest.raises(QuorumError, match="can never end: list at least one"):
        explicit(phase1=phase1, phase2=phase2)


@pytest.mark.parametrize(
    ("phase1", "phase2"),
    [
        ([[S1], []], [[S1]]),
        ([[S1]], [[], [S1]]),
    ],
)
def test_nobody_is_no_quorum(phase1: list[list[ServerId]], phase2: list[list[ServerId]]) -> None:
    """The empty quorum meets no other."""
    with pytest.raises(QuorumError, match="an empty quorum would choose without any server"):
        explicit(phase1=phase1, phase2=phase2)
