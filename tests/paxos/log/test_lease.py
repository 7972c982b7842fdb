"""Leases: the tables of what is granted and held back, and a replica that grants or is granted."""

from __future__ import annotations

from itertools import product

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import Broadcast, Nack, QuorumSystem, ServerId, SetTimer, Tell, To, flexible, majority
from paxos.log import (
    Accept,
    Accepted,
    CampaignTimer,
    CatchUp,
    Change,
    Command,
    Configuration,
    Confirm,
    Confirmed,
    Delta,
    Grant,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Prepare,
    Promise,
    Propose,
    Read,
    Readable,
    ReleaseTimer,
    Replica,
    Rules,
    SnapshotInstalled,
    lease,
    replica,
)
from paxos.log.events import Event
from paxos.log.leader import Following, Leading, Preparing
from paxos.log.memory import fold
from paxos.log.messages import Entry
from paxos.messages import From
from paxos.outbound import Now
from tests.support import S1, S2, S3, S4, THREE, ballot
from tests.support.logs import held, memory, saved, step

HELD = 50
RULES = Rules(window=4, piece=2, lease=HELD)
ONE, TWO, NEXT = ballot("1.1"), ballot("2.2"), ballot("3.1")
ASKED = Confirm(ONE, 7, HELD)
RELEASE = ReleaseTimer(ONE, 7, HELD)


def fresh(
    me: ServerId, *records: Delta[str], quorum: QuorumSystem = THREE, rules: Rules = RULES
) -> Replica[str]:
    """A replica that starts from ``records``."""
    return replica.start(me, quorum, records, rules)


def leader(*granted: tuple[ServerId, int], quorum: QuorumSystem = THREE) -> Replica[str]:
    """S1, which leads under 1.1, and what others have granted it."""
    state = after(fresh(S1, quorum=quorum), Lead())
    state = after(state, *(From(it, Promise(ONE, 1, 1, (), True)) for it in (S1, S2, S3)))
    return after(state, *(From(it, Confirmed(ONE, number, grants=True)) for it, number in granted))


def granting(me: ServerId = S2) -> Replica[str]:
    """A follower that has granted a lease to S1."""
    return after(fresh(me), From(S1, ASKED))


def after(state: Replica[str], *events: Event[str]) -> Replica[str]:
    """``state`` after these, with all saved."""
    for event in events:
        state, _ = step(state, event)
    return state


def chosen(state: Replica[str], *entries: Entry[str]) -> Replica[str]:
    """S1, which leads, after it got ``entries`` chosen."""
    for entry in entries:
        slot = state.memory.first
        state = after(state, Propose(entry), From(S1, Accept(ONE, slot, entry, slot)))
        state = after(state, *(From(it, Accepted(ONE, slot)) for it in (S1, S2)))
    return state


# --- the tables -----------------------------------------------------------------------------------

GRANTS = None, Grant(), Grant(ONE, 5), Grant(ONE, 5, leads_next=True), Grant(TWO, 5)


@pytest.mark.parametrize("grant", GRANTS)
def test_the_table_of_what_is_granted(grant: Grant | None) -> None:
    for asked, longest, max_round in product((0, 1, HELD, HELD + 1), (0, HELD), (0, 1, 2)):
        is_free = grant in (None, Grant(ONE, 5))
        expected = is_free and 1 <= asked <= longest and max_round <= ONE.round
        assert lease.may_grant(grant, Confirm(ONE, 7, asked), longest, max_round) == expected


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("number", ["1.1", "2.2", "3.1", "3.3"])
def test_promises_to_others_are_held_back(grant: Grant | None, number: str) -> None:
    is_other = grant is not None and grant.ballot.server != ballot(number).server

    assert lease.holds_back(grant, ballot(number)) == is_other


def test_the_grant_that_ends_last_holds() -> None:
    for before, asked in product((None, Grant(ONE, 3), Grant(ONE, 9), Grant(NEXT, 1)), (3, 7)):
        found = lease.granting(before, Confirm(ONE, asked, HELD))
        known = (ONE, 0) if before is None else (before.ballot, before.number)
        assert (found.ballot, found.number) == max(known, (ONE, asked))


def test_only_its_own_timer_ends_a_grant() -> None:
    for grant, timer in product(
        GRANTS, (RELEASE, ReleaseTimer(ONE, 5, 1), ReleaseTimer(TWO, 5, 1))
    ):
        expected = grant is not None and (grant.ballot, grant.number) == (
            timer.ballot,
            timer.number,
        )
        assert lease.is_over(grant, timer) == expected


NUMBERS = st.integers(1, 4)
SERVERS = st.sampled_from([S1, S2, S3, S4])
QUORUMS = st.sampled_from([THREE, flexible((S1, S2, S3), phase1=3, phase2=1), majority([S1, S4])])


@given(st.lists(st.tuples(SERVERS, NUMBERS)), NUMBERS, QUORUMS)
def test_a_lease_holds_for_a_quorum_of_recent_grants(
    granted: list[tuple[ServerId, int]], since: int, quorum: QuorumSystem
) -> None:
    found: lease.Granted = ()
    for server, number in granted:
        found = lease.with_grant(found, server, number)
    recent = {server for server, number in granted if number >= since}

    assert lease.holds(found, since, quorum) == quorum.is_phase2(recent)
    assert dict(found) == {it: max(n for other, n in granted if other == it) for it, _ in granted}


# --- an acceptor that grants ----------------------------------------------------------------------


def test_a_grant_is_saved_before_it_is_sent_and_a_timer_ends_it() -> None:
    state, outbound = replica.receive(fresh(S2), From(S1, ASKED))
    assert saved(outbound) == Delta(memory().promised, 1, memory().configurations, lease=HELD)
    assert state.grant == Grant(ONE, 7)

    _, effects = step(fresh(S2), From(S1, ASKED))
    assert effects == (To(S1, Confirmed(ONE, 7, grants=True)), SetTimer(RELEASE, 0))


@pytest.mark.parametrize("rules", [Rules(4, 2), Rules(4, 2, HELD - 1)])
def test_a_replica_whose_rules_allow_less_confirms_and_grants_nothing(rules: Rules) -> None:
    before = fresh(S2, rules=rules)
    state, outbound = replica.receive(before, From(S1, ASKED))

    assert outbound == Now((To(S1, Confirmed(ONE, 7)),))
    assert state.grant is None


def test_a_replica_that_has_received_a_higher_ballot_grants_nothing() -> None:
    state = after(fresh(S2), From(S3, Heartbeat(ballot("2.3"), True, True, 1)))

    assert step(state, From(S1, ASKED))[1] == (To(S1, Confirmed(ONE, 7)),)


def test_a_replica_that_has_promised_more_refuses() -> None:
    state = after(fresh(S2), From(S3, Prepare(ballot("2.3"), 1)))

    assert step(state, From(S1, ASKED))[1] == (To(S1, Nack(ONE, ballot("2.3"))),)
    assert after(state, From(S1, ASKED)).grant is None


def test_a_leader_grants_itself_a_lease_and_holds_nothing_back() -> None:
    state, outbound = replica.receive(leader(), From(S1, ASKED))

    assert outbound == Now((To(S1, Confirmed(ONE, 7, grants=True)),))
    assert state.grant is None


def test_no_promise_is_raised_for_another_server_until_the_lease_is_over() -> None:
    state, effects = step(granting(), From(S3, Prepare(ballot("2.3"), 1)))
    assert effects == ()
    assert state.memory.promised < ONE

    state = after(state, RELEASE)
    assert state.grant is None
    _, effects = step(state, From(S3, Prepare(ballot("2.3"), 1)))
    assert effects == (To(S3, Promise(ballot("2.3"), 1, 1, (), True)),)


def test_a_held_back_prepare_ends_all_grants_to_come_and_counts_as_a_heartbeat() -> None:
    state = after(granting(), From(S3, Prepare(ballot("2.3"), 1)))

    assert step(state, From(S1, evolve(ASKED, number=8)))[1] == (To(S1, Confirmed(ONE, 8)),)
    assert [it.server for it in state.election.peers] == [S3]


def test_what_is_promised_already_is_promised_again_during_a_lease() -> None:
    state = after(fresh(S2), From(S1, Prepare(ONE, 1)), From(S1, ASKED))

    assert step(state, From(S1, Prepare(ONE, 1)))[1] == (To(S1, Promise(ONE, 1, 1, (), True)),)


def test_the_server_that_has_the_lease_may_campaign_again() -> None:
    state = after(granting(), From(S1, Prepare(NEXT, 1)))

    assert state.memory.promised == NEXT


def test_the_timer_of_an_earlier_grant_ends_nothing() -> None:
    state = after(granting(), From(S1, evolve(ASKED, number=8)))

    assert after(state, RELEASE) == state
    assert after(state, ReleaseTimer(ONE, 8, HELD)).grant is None


def test_a_replica_that_has_granted_a_lease_does_not_campaign() -> None:
    alone = From(S3, Heartbeat(ballot("0.0"), False, False, 1))
    campaign = SetTimer(CampaignTimer(1), 0)
    for state, campaigns in (fresh(S2), True), (granting(), False):
        beaten, effects = step(after(state, alone), HeartbeatTimer(0))
        assert (campaign in effects) == campaigns
        assert (type(after(beaten, CampaignTimer(1)).role) is Preparing) == campaigns


def test_asked_to_lead_it_campaigns_once_the_lease_is_over_and_grants_nothing_more() -> None:
    state, effects = step(granting(), Lead())
    assert effects == ()
    assert type(state.role) is Following

    asked = evolve(ASKED, number=8)
    assert step(state, From(S1, asked))[1] == (To(S1, Confirmed(ONE, 8)),)
    state, effects = step(state, RELEASE)
    assert effects == (Broadcast(Prepare(ballot("2.2"), 1)),)
    assert type(state.role) is Preparing


def test_a_server_that_is_removed_meanwhile_does_not_campaign() -> None:
    state = after(granting(), Lead())
    others = (Configuration(1, majority([S1, S3])),)
    state = evolve(state, memory=evolve(state.memory, configurations=others))

    assert step(state, RELEASE)[1] == ()


# --- after a restart ------------------------------------------------------------------------------


def restarted(rules: Rules = RULES) -> Replica[str]:
    """S2, started again from a disk that says that a lease was granted."""
    return fresh(S2, Delta(ONE, 1, memory().configurations, lease=HELD), rules=rules)


@pytest.mark.parametrize("rules", [RULES, Rules(4, 2)])
def test_after_a_restart_it_holds_back_as_long_whatever_the_rules_are_now(rules: Rules) -> None:
    state, effects = step(restarted(rules), HeartbeatTimer(0))
    release = ReleaseTimer(ballot("0.0"), 0, HELD)
    assert SetTimer(release, 0) in effects

    for other in Prepare(TWO, 1), Prepare(NEXT, 1):
        assert step(state, From(other.ballot.server, other))[1] == ()
    assert step(state, From(S1, ASKED))[1] == (To(S1, Confirmed(ONE, 7)),)
    state = after(state, release)
    assert state.memory.lease == rules.lease
    assert after(state, From(S3, Prepare(ballot("2.3"), 1))).memory.promised == ballot("2.3")


def test_only_the_first_heartbeat_sets_the_timer() -> None:
    state = after(restarted(), HeartbeatTimer(0))

    assert not any("ReleaseTimer" in repr(it) for it in step(state, HeartbeatTimer(1))[1])


def test_each_record_says_that_a_lease_was_granted() -> None:
    state = granting()
    records: list[Delta[str]] = []
    for event in (
        From(S1, Accept(ONE, 1, Command("red"), 1)),
        From(S1, Prepare(NEXT, 1)),
        From(S1, Accept(NEXT, 1, Command("red"), 1)),
        From(S1, Accept(NEXT, 2, Command("blue"), 2)),
        From(S1, CatchUp(2, (held("3.1", "blue"), held("3.1", "grey")))),
        SnapshotInstalled(9, memory().configurations),
    ):
        state, outbound = replica.receive(state, event)
        record = saved(outbound)
        assert record is not None
        assert (record.lease, state.memory.lease) == (HELD, HELD)
        records.append(record)
    *_, folded = fold(fold((), records[0]), records[-1])
    assert folded == evolve(records[-1], floor=1)


# --- a leader that is granted ---------------------------------------------------------------------


def test_a_read_under_a_lease_is_answered_at_once() -> None:
    state = leader((S1, 4), (S2, 4))

    assert step(state, Read(9, since=4)) == (state, (Tell(Readable(9, 1)),))


def test_a_read_may_ask_for_the_next_lease() -> None:
    state = leader((S1, 4), (S2, 4))
    _, effects = step(state, Read(9, since=4, lease=HELD))

    assert effects == (Tell(Readable(9, 1)), Broadcast(Confirm(ONE, 9, HELD)))


@pytest.mark.parametrize(
    ("granted", "since"),
    [((), 1), (((S1, 4),), 4), (((S1, 4), (S2, 3)), 4), (((S1, 4), (S2, 4)), None)],
)
def test_without_a_lease_it_waits_for_a_quorum(
    granted: tuple[tuple[ServerId, int], ...], since: int | None
) -> None:
    state, effects = step(leader(*granted), Read(9, since=since, lease=HELD))

    assert effects == (Broadcast(Confirm(ONE, 9, HELD)),)
    assert [it.number for it in state.reads] == [9]


def test_who_only_confirms_has_granted_nothing() -> None:
    state = after(leader((S1, 4)), From(S2, Confirmed(ONE, 4)))

    assert step(state, Read(9, since=4))[1] == (Broadcast(Confirm(ONE, 9)),)


def test_under_a_lease_a_read_waits_for_what_may_have_been_chosen_before() -> None:
    state = after(fresh(S1), Lead())
    found = ((1, held("0.3", "red")),)
    state = after(state, From(S1, Promise(ONE, 1, 1, (), True)))
    state = after(state, From(S2, Promise(ONE, 1, 1, found, True)))
    state = after(state, *(From(it, Confirmed(ONE, 4, grants=True)) for it in (S1, S2)))

    assert step(state, Read(9, since=4))[1] == (Broadcast(Confirm(ONE, 9)),)


def test_a_lease_ends_with_its_leadership() -> None:
    state = leader((S1, 4), (S2, 4))
    state = after(state, From(S3, Heartbeat(ballot("2.3"), True, True, 1)), Lead())
    number = state.memory.promised
    state = after(state, *(From(it, Promise(number, 1, 1, (), True)) for it in (S1, S2)))
    assert isinstance(state.role, Leading)
    assert state.role.granted == ()
    state = after(state, From(S1, Confirmed(ONE, 4, grants=True)))
    assert isinstance(state.role, Leading)
    assert state.role.granted == ()


def test_after_a_change_of_members_the_new_quorum_must_have_granted() -> None:
    """S1 and S2 were a quorum of three; of the three that follow they are not, if S1 has left."""
    after_change = majority([S2, S3, S4])
    state = leader((S1, 4), (S2, 4))
    state = chosen(state, Change(after_change), *map(Command, "abc"))
    assert state.memory.configurations == (Configuration(5, after_change),)

    assert step(state, Read(9, since=4))[1] == (Broadcast(Confirm(ONE, 9)),)
    state = after(state, From(S3, Confirmed(ONE, 4, grants=True)))
    assert step(state, Read(9, since=4))[1] == (Tell(Readable(9, 5)),)


def test_what_is_in_flight_keeps_the_lease() -> None:
    state = leader((S1, 4), (S2, 4))
    state = chosen(state, Command("red"))

    assert step(state, Read(9, since=4))[1] == (Tell(Readable(9, 2)),)
