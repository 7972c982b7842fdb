"""Linearizable reads: what they wait for."""

from __future__ import annotations

import pytest

from paxos import flexible
from paxos.log.reads import PendingRead, confirmed, is_ready
from paxos.quorum import NO_SERVERS
from tests.support import S1, S2, S3, THREE

WAITING = PendingRead(1, 5), PendingRead(2, 5), PendingRead(3, 7)


def test_a_confirmation_serves_all_reads_that_began_before_it() -> None:
    found = confirmed(WAITING, S2, 2)

    assert [it.confirmed for it in found] == [{S2}, {S2}, frozenset()]
    assert [it.number for it in found] == [1, 2, 3]
    assert confirmed(found, S3, 3)[0].confirmed == {S2, S3}


@pytest.mark.parametrize("first", [4, 5, 6])
def test_it_waits_for_a_quorum_and_for_what_was_in_flight(first: int) -> None:
    for servers in (NO_SERVERS, {S1}, {S1, S2}, {S1, S2, S3}):
        asked = PendingRead(1, 5, frozenset(servers))
        assert is_ready(asked, first, THREE) == (first >= 5 and len(servers) >= 2)


def test_it_is_the_quorum_of_phase_2() -> None:
    quorum = flexible((S1, S2, S3), phase1=3, phase2=1)

    assert is_ready(PendingRead(1, 1, frozenset({S2})), 1, quorum)
