"""When a server may vote: which peers have answered, and which have acknowledged its session."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from paxos import QuorumSystem, ServerId, flexible, majority, weighted
from paxos_adapters.udp.registration import (
    PATIENCE,
    Registration,
    begin,
    on_acknowledgement,
    on_answer,
    on_members,
    on_objection,
    on_ping,
    on_told,
)


def servers(size: int) -> list[ServerId]:
    return [ServerId(it) for it in range(1, size + 1)]


ME, TWO, THREE, FOUR, FIVE = servers(5)

THREE_SERVERS, FIVE_SERVERS = majority(servers(3)), majority(servers(5))


def patient(registration: Registration) -> Registration:
    """As many pings as silent peers are waited for."""
    for _ in range(PATIENCE + 1):
        registration = on_ping(registration)
    return registration


def subsets(servers: tuple[ServerId, ...]) -> list[tuple[ServerId, ...]]:
    sizes = range(len(servers) + 1)
    return [*chain.from_iterable(combinations(servers, size) for size in sizes)]


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize(
    "quorum",
    [
        THREE_SERVERS,
        majority(servers(4)),
        FIVE_SERVERS,
        flexible(servers(3), phase1=3, phase2=1),
        flexible(servers(3), phase1=1, phase2=3),
        flexible(servers(4), phase1=3, phase2=2),
        flexible(servers(4), phase1=2, phase2=3),
        weighted({ME: 3, TWO: 1, THREE: 1}, phase1=3, phase2=3),
        weighted({ME: 1, TWO: 1, THREE: 2}, phase1=3, phase2=2),
    ],
    ids=repr,
)
def test_it_votes_once_a_quorum_of_both_phases_has_acknowledged(
    quorum: QuorumSystem, is_strict: bool
) -> None:
    others = tuple(sorted(quorum.members - {ME}))
    for peers in subsets(others):
        it = patient(begin(ME, quorum, is_strict=is_strict))
        for peer in peers:
            it = on_acknowledgement(it, peer)
        with_me = {ME, *peers}
        is_proof = len(peers) > len(others) / 2
        is_quorum = quorum.is_phase1(with_me) and quorum.is_phase2(with_me)
        assert it.is_open == (is_quorum and (is_proof or not is_strict))
        assert it.is_proven == is_proof
        assert it.missing == set(others) - set(peers)


def test_two_sets_of_peers_that_prove_it_share_a_peer() -> None:
    for size in range(2, 8):
        others = tuple(ServerId(it) for it in range(2, size + 1))
        proofs = [{*it} for it in subsets(others) if 2 * len(it) > len(others)]
        assert proofs
        assert all(one & other for one in proofs for other in proofs)


def test_a_server_alone_waits_for_nobody() -> None:
    it = begin(ME, majority(servers(1)), is_strict=True)
    assert it.is_open
    assert it.is_proven


def test_to_answer_is_not_to_acknowledge() -> None:
    it = patient(on_answer(on_answer(begin(ME, THREE_SERVERS, is_strict=False), TWO), THREE))
    assert it.to_ask == {TWO, THREE}
    assert not it.is_open


def test_no_peer_is_asked_to_register_before_enough_have_answered() -> None:
    it = begin(ME, FIVE_SERVERS, is_strict=False)
    assert it.to_ask == frozenset()
    assert on_answer(it, TWO).to_ask == frozenset()
    assert on_answer(on_answer(it, TWO), THREE).to_ask == {TWO, THREE}


def test_a_strict_server_asks_once_as_many_have_answered_as_prove_it() -> None:
    it = on_answer(on_answer(begin(ME, FIVE_SERVERS, is_strict=True), TWO), THREE)
    assert it.to_ask == frozenset()
    assert on_answer(it, FOUR).to_ask == {TWO, THREE, FOUR}


def test_a_peer_that_is_up_is_waited_for() -> None:
    """It may know more than those that were quicker."""
    it = on_acknowledgement(begin(ME, THREE_SERVERS, is_strict=False), TWO)
    for _ in range(PATIENCE):
        it = on_ping(it)
        assert not it.is_open
    assert on_ping(it).is_open
    assert on_answer(it, THREE).is_open


def test_it_does_not_vote_as_long_as_a_peer_objects() -> None:
    it = on_objection(
        on_acknowledgement(patient(begin(ME, FIVE_SERVERS, is_strict=False)), TWO), FOUR
    )
    assert not on_acknowledgement(it, THREE).is_open
    for _ in range(2 * PATIENCE):
        it = on_ping(on_objection(on_acknowledgement(it, THREE), FOUR))
        assert not it.is_open
    assert on_answer(it, FOUR).is_open
    assert on_acknowledgement(it, FOUR).is_open
    assert patient(it).is_open, "it is silent"


def test_a_peer_that_has_forgotten_is_asked_again() -> None:
    """A peer that was replaced, for example. The server goes on voting."""
    it = begin(ME, THREE_SERVERS, is_strict=False)
    for peer in TWO, THREE:
        it = on_acknowledgement(it, peer)
    assert it.to_ask == frozenset()
    it = on_answer(it, TWO)
    assert it.to_ask == it.missing == {TWO}
    assert it.is_open


def test_when_the_members_change_enough_of_the_new_ones_have_to_acknowledge() -> None:
    """Otherwise an older copy of the file could register with those that never have."""
    it = patient(begin(ME, THREE_SERVERS, is_strict=False))
    for peer in TWO, THREE:
        it = on_acknowledgement(it, peer)
    after = majority([ME, FOUR, FIVE])

    it = on_members(it, after, frozenset({FOUR, FIVE}))
    assert not it.is_open
    assert not it.acknowledged
    assert it.missing == {FOUR, FIVE}
    assert not on_answer(it, FOUR).is_open
    assert on_acknowledgement(it, FOUR).is_open


def test_those_that_are_linked_and_no_members_do_not_count() -> None:
    """A server that is to join is asked to register as well, and its answer proves nothing yet."""
    joined = majority([ME, TWO, FOUR])
    for is_strict in False, True:
        it = patient(begin(ME, THREE_SERVERS, is_strict=is_strict))
        it = on_members(it, THREE_SERVERS, frozenset({TWO, THREE, FOUR, FIVE}))
        for peer in FOUR, FIVE:
            it = on_acknowledgement(it, peer)
        assert not it.is_open
        assert not it.is_proven
        assert it.missing == {TWO, THREE}
        assert on_acknowledgement(it, TWO).is_open is not is_strict
        assert on_members(it, joined, frozenset({TWO, FOUR})).is_open is not is_strict


def test_a_server_that_is_to_join_does_not_count_itself() -> None:
    it = patient(begin(FOUR, THREE_SERVERS, is_strict=False))
    it = on_acknowledgement(it, TWO)
    assert not it.is_open
    assert on_acknowledgement(it, THREE).is_open


def test_the_same_members_once_more_change_nothing() -> None:
    it = on_acknowledgement(patient(begin(ME, THREE_SERVERS, is_strict=False)), TWO)
    assert it.is_open
    assert on_members(it, THREE_SERVERS, frozenset({TWO, THREE})) == it
    alone = on_members(it, THREE_SERVERS, frozenset({THREE}))
    assert alone.is_open, "what a peer forgets later it learns anew"


def test_an_objection_ends_with_the_link_to_its_peer() -> None:
    it = patient(begin(ME, THREE_SERVERS, is_strict=False))
    it = on_acknowledgement(on_objection(it, THREE), TWO)
    assert not it.is_open
    assert on_members(it, majority([ME, TWO]), frozenset({TWO})).is_open


def told(it: Registration, steps: int, *peers: ServerId) -> Registration:
    """These peers answer, and tell how many steps of the changes of members they know."""
    for peer in peers:
        it = on_answer(on_told(it, peer, steps), peer)
    return it


def test_a_server_learns_the_members_from_any_of_them_before_it_registers() -> None:
    """Those that it knows may all be gone. It votes once those that there are count."""
    it = patient(told(begin(FOUR, THREE_SERVERS, is_strict=False), 2, THREE))
    assert it.to_ask == frozenset()
    assert it.teachers == {THREE}
    assert not it.is_open

    it = on_members(it, majority([THREE, FOUR, FIVE]), frozenset({THREE, FIVE}), 2)
    assert it.teachers == frozenset()
    assert it.to_ask == {THREE}, "two of three, with itself"
    assert on_acknowledgement(it, THREE).is_open


def test_a_peer_that_knows_more_of_the_members_does_not_count_and_is_not_asked() -> None:
    """Those that know no more may be enough without it, and the disk an old copy."""
    it = told(begin(ME, FIVE_SERVERS, is_strict=False), 2, TWO)
    assert told(it, 0, THREE).to_ask == frozenset()
    it = told(it, 0, THREE, FOUR)
    assert it.to_ask == {THREE, FOUR}
    assert on_members(it, FIVE_SERVERS, FIVE_SERVERS.members, 2).to_ask == {TWO, THREE, FOUR}


def test_a_server_does_not_vote_as_long_as_a_peer_knows_more_of_the_members() -> None:
    it = begin(ME, FIVE_SERVERS, is_strict=False)
    for peer in THREE, FOUR:
        it = on_acknowledgement(it, peer)
    for _ in range(2 * PATIENCE):
        it = on_ping(told(it, 1, FIVE))
        assert not it.is_open
    assert on_members(it, FIVE_SERVERS, FIVE_SERVERS.members, 1).is_open
    assert patient(it).is_open, "it is silent"


def test_a_server_whose_members_never_change_learns_nothing_before_it_votes() -> None:
    it = patient(told(begin(FOUR, FIVE_SERVERS, is_strict=False), 0, THREE))

    assert it.to_ask == frozenset()
    assert it.teachers == frozenset()


def share_a_peer(earlier: frozenset[ServerId], now: frozenset[ServerId]) -> bool:
    """Whether an older disk finds enough peers only where the session of today is known."""

    def enough(members: frozenset[ServerId], up: frozenset[ServerId]) -> list[set[ServerId]]:
        return [{*it} for it in subsets(tuple(up - {ME})) if 2 * len(it) > len(members - {ME})]

    old = enough(earlier, earlier & now)  # Those that were removed have stopped.
    return all(one & other for one in enough(now, now) for other in old)


def test_older_members_and_new_ones_prove_it_by_a_peer_that_both_have() -> None:
    """Whatever was replaced, unless the cluster has grown by more than one server."""
    every = servers(8)
    for size in range(2, 6):
        earlier = frozenset(every[:size])
        for others in subsets(tuple(every[1:])):
            now = frozenset({ME, *others})
            if len(now) <= size + 1:
                assert share_a_peer(earlier, now), (earlier, now)
    assert not share_a_peer(frozenset(servers(4)), frozenset(servers(6)))
    assert not share_a_peer(frozenset(servers(3)), frozenset(servers(7)))
