"""Whose memory a file is: cluster, server, quorum system, membership, incarnation."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import QuorumSystem, ServerId, explicit, flexible, majority, weighted
from paxos.quorum import ByWeight
from paxos_adapters.file import FileStore, TooLarge, WrongMembers, WrongOwner
from paxos_adapters.file.entries import identity_of
from paxos_adapters.quorum_words import quorum_of, words_of

ONE, TWO, THREE, FOUR = map(ServerId, range(1, 5))
SYSTEMS: list[tuple[QuorumSystem, str]] = [
    (majority([THREE, ONE, TWO]), "counted 1 2 3 phase1 2 phase2 2"),
    (flexible([ONE, TWO, THREE], phase1=3, phase2=1), "counted 1 2 3 phase1 3 phase2 1"),
    (majority([ONE]), "counted 1 phase1 1 phase2 1"),
    (majority([ONE, ServerId(-3)]), "counted -3 1 phase1 2 phase2 2"),
    (weighted({THREE: 1, ONE: 2, TWO: 1}), "weighted 1=2 2=1 3=1 phase1 3 phase2 3"),
    (ByWeight(((TWO, 1), (ONE, 1)), 2, 1), "weighted 1=1 2=1 phase1 2 phase2 1"),
    (
        explicit(phase1=[[THREE, ONE], [ONE, TWO]], phase2=[[ONE]]),
        "listed phase1 1,2 1,3 phase2 1",
    ),
]


@pytest.mark.parametrize(("quorum", "words"), SYSTEMS, ids=[words for _, words in SYSTEMS])
def test_a_quorum_system_in_words_and_back(quorum: QuorumSystem, words: str) -> None:
    assert words_of(quorum) == words
    assert words_of(quorum_of(words)) == words
    back = quorum_of(words)
    for size in range(5):
        for servers in combinations((ONE, TWO, THREE, ServerId(-3)), size):
            some = frozenset(servers)
            assert back.is_phase1(some) == quorum.is_phase1(some)
            assert back.is_phase2(some) == quorum.is_phase2(some)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "counted",
        "counted 1 2 3",
        "counted 1 2 3 phase1 1 phase2 2",
        "counted 1 2 2 phase1 2 phase2 2",
        "counted 2 1 phase1 2 phase2 2",
        "counted 1 2 phase1 2 phase2 2 ",
        "counted 1 2 phase1 02 phase2 2",
        "weighted 1=1 2 phase1 1 phase2 1",
        "weighted 1=1 1=1 phase1 1 phase2 1",
        "listed 1 phase1 1 phase2 1",
        "listed phase1  phase2 1",
        "listed phase1 1,2 phase2 3",
        "many 1 2 phase1 2 phase2 2",
    ],
)
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        quorum_of(words)


IDS = st.lists(st.integers(-5, 9).map(ServerId), min_size=1, max_size=6, unique=True)


@given(IDS, st.data())
def test_systems_are_the_same_if_their_words_are(ids: list[ServerId], data: st.DataObject) -> None:
    weights = {it: data.draw(st.integers(1, 4)) for it in ids}
    order = data.draw(st.permutations(ids))
    total = sum(weights.values())
    one = weighted(weights)
    other = ByWeight(tuple((it, weights[it]) for it in order), total // 2 + 1, total // 2 + 1)

    assert words_of(one) == words_of(other)
    assert quorum_of(words_of(other)) == one
    assert majority(order) == quorum_of(words_of(majority(ids)))


QUORUM = majority([ONE, TWO, THREE])
DIFFERENT: list[tuple[QuorumSystem, str]] = [
    (majority([ONE, TWO, FOUR]), ""),
    (majority([ONE, TWO, THREE, FOUR]), ""),
    (majority([ONE, TWO]), ""),
    (flexible([ONE, TWO, THREE], phase1=3, phase2=1), ""),
    (weighted({ONE: 1, TWO: 1, THREE: 1}), ""),
    (QUORUM, "ab"),
]


@pytest.mark.parametrize(("quorum", "membership"), DIFFERENT, ids=str)
def test_a_file_of_another_membership_is_refused_and_both_are_named(
    tmp_path: Path, quorum: QuorumSystem, membership: str
) -> None:
    path = tmp_path / "n1.db"
    FileStore.create(path, cluster="demo", server=ONE, quorum=QUORUM).close()
    with pytest.raises(WrongMembers, match="paxos members does") as caught:
        FileStore.open(path, cluster="demo", server=ONE, quorum=quorum, membership=membership)

    assert words_of(quorum) in caught.value.expected
    assert (membership or "the first") in caught.value.expected
    assert words_of(QUORUM) in caught.value.found
    with FileStore.open(path, cluster="demo", server=ONE, quorum=QUORUM) as file:
        assert (file.quorum, file.saves) == (QUORUM, 2)


def test_a_later_membership_of_the_same_members_is_another_one(tmp_path: Path) -> None:
    """{1,2,3}, then {1,2,4}, then {1,2,3} again: a file of the first does not fit the third."""
    path = tmp_path / "n1.db"
    FileStore.create(path, cluster="demo", server=ONE, quorum=QUORUM, membership="0123abcd").close()
    for other in "", "0123abce":
        with pytest.raises(WrongMembers):
            FileStore.open(path, cluster="demo", server=ONE, quorum=QUORUM, membership=other)


def test_another_owner_is_named_before_the_members(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    FileStore.create(path, cluster="demo", server=ONE, quorum=QUORUM).close()
    with pytest.raises(WrongOwner):
        FileStore.open(path, cluster="demo", server=TWO, quorum=majority([ONE, TWO]))


def test_the_digest_stands_for_the_cluster_and_its_membership() -> None:
    """Not for the server, nor for the disk: all of a cluster say the same."""
    digests = {
        identity_of(cluster, ONE, quorum, membership).digest
        for cluster in ("demo", "live")
        for quorum, membership in [(QUORUM, ""), *DIFFERENT]
    }
    assert len(digests) == 2 * (1 + len(DIFFERENT))
    assert {len(it) for it in digests} == {8}
    assert (
        identity_of("demo", ONE, QUORUM, "").digest == identity_of("demo", TWO, QUORUM, "").digest
    )


def test_a_quorum_system_of_more_than_64_kib_of_words_is_refused() -> None:
    """Ids of five digits, so that each member takes six bytes."""
    first = 10_000
    fits, large = (
        majority([ServerId(it) for it in range(first, first + members)])
        for members in (10_915, 10_920)
    )
    assert 65_500 < len(words_of(fits)) <= 65_536 < len(words_of(large))
    assert identity_of("c", ServerId(first), fits, "").quorum == fits
    with pytest.raises(TooLarge, match="a quorum system in words"):
        identity_of("c", ServerId(first), large, "")
