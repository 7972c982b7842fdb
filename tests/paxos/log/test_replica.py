"""A replica: one transition at a time, for each rule of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from paxos import (
    Broadcast,
    From,
    InvariantError,
    Nack,
    Now,
    SetTimer,
    Tell,
    To,
    UnknownServer,
    majority,
)
from paxos.log import (
    Accept,
    Accepted,
    CampaignTimer,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Committed,
    Configuration,
    Confirm,
    Confirmed,
    Delta,
    Elected,
    Fetch,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Message,
    Noop,
    NotLeading,
    Prefix,
    Prepare,
    Promise,
    Propose,
    Read,
    Readable,
    SnapshotInstalled,
    WindowFull,
    replica,
)
from paxos.log.events import Effect
from paxos.log.leader import Following, Leading, Preparing
from paxos.log.replica import Replica
from tests.support import NON_MEMBER, S1, S2, S3, S4, S5, THREE, ballot
from tests.support.logs import SMALL, fresh, held, memory, saved, step

ONE, TWO, OLD = ballot("1.1"), ballot("2.2"), ballot("0.3")
RED, BLUE = held("1.1", "red"), held("1.1", "blue")
FOUR = majority([S1, S2, S3, S4])
NEXT = ballot("3.1")


def follower(*records: Delta[str]) -> Replica[str]:
    """S1, which follows."""
    return fresh(S1, *records)


def leader(*records: Delta[str]) -> Replica[str]:
    """S1, which leads under the ballot that it has drawn."""
    state, _ = step(fresh(S1, *records), Lead())
    number = state.memory.promised
    for me in S1, S2:
        state, _ = step(state, From(me, Promise(number, 1, 1, (), True)))
    assert isinstance(state.role, Leading)
    return state


def delta(*slots: tuple[int, str], promised: str = "1.1", first: int = 1) -> Delta[str]:
    """A record: values by slot, all of them accepted under 1.1."""
    written = tuple((slot, held("1.1", value)) for slot, value in slots)
    return Delta(ballot(promised), first, memory().configurations, written)


def chosen(state: Replica[str], *values: str) -> Replica[str]:
    """S1, which leads, after it got ``values`` chosen."""
    for value in values:
        slot = state.memory.first
        state, _ = step(state, Propose(Command(value)))
        number = state.memory.promised
        state, _ = step(state, From(S1, Accept(number, slot, Command(value), slot)))
        for me in S1, S2:
            state, _ = step(state, From(me, Accepted(number, slot)))
    return state


# --- starting -------------------------------------------------------------------------------------


def test_a_new_replica_follows_and_holds_nothing() -> None:
    state = fresh()

    assert (state.memory, state.role, state.max_round) == (memory(), Following(), 0)


def test_a_replica_starts_from_the_sum_of_its_records() -> None:
    state = fresh(S1, delta((1, "red"), (2, "blue")), delta(promised="2.2", first=2))

    assert state.memory == memory(BLUE, promised="2.2", first=2)
    assert (state.max_round, state.recorded) == (2, 2)


def test_what_a_disk_has_of_the_prefix_is_not_in_memory() -> None:
    records = Prefix(1, (RED,)), delta((2, "blue"), first=2)

    assert replica.start(S1, THREE, records, SMALL) == fresh(S1, records[1])


def test_members_are_those_of_all_configurations_in_use() -> None:
    both = Configuration(1, THREE), Configuration(5, FOUR)
    state = fresh(S1, Delta(ONE, 1, both))

    assert replica.members(state) == FOUR.members
    assert replica.members(fresh()) == THREE.members


# --- the acceptor ---------------------------------------------------------------------------------


def test_a_promise_waits_for_the_record_of_all_that_it_says() -> None:
    before = follower(delta((1, "red")))
    state, outbound = replica.receive(before, From(S2, Prepare(TWO, 1)))

    assert saved(outbound) == Delta(TWO, 1, memory().configurations)
    assert step(before, From(S2, Prepare(TWO, 1)))[1] == (
        To(S2, Promise(TWO, 1, 1, ((1, RED),), True)),
    )
    assert state.memory == memory(RED, promised="2.2")


def test_a_refusal_waits_for_nothing() -> None:
    before = follower(delta(promised="2.2"))

    for request in Prepare(ONE, 1), Accept(ONE, 1, Command("red"), 1), Confirm(ONE, 1):
        state, outbound = replica.receive(before, From(S3, request))
        assert outbound == Now((To(S3, Nack(ONE, TWO)),))
        assert state.memory == before.memory


def test_a_vote_waits_for_the_entry_alone() -> None:
    before = follower(delta((1, "red")))
    state, outbound = replica.receive(before, From(S1, Accept(ONE, 2, Command("blue"), 1)))

    assert saved(outbound) == delta((2, "blue"))
    assert step(before, From(S1, Accept(ONE, 2, Command("blue"), 1)))[1] == (
        To(S1, Accepted(ONE, 2)),
    )
    assert state.memory == memory(RED, BLUE, promised="1.1")


def test_a_repeated_request_is_answered_under_a_record_of_its_own() -> None:
    request = From(S1, Accept(ONE, 1, Command("red"), 1))
    state, outbound = replica.receive(follower(delta((1, "red"))), request)

    assert saved(outbound) == delta((1, "red"))
    assert state.memory == memory(RED, promised="1.1")


def test_a_request_for_a_chosen_slot_is_answered_from_the_store() -> None:
    state = follower(delta((1, "red"), first=2))

    assert step(state, From(S2, Accept(TWO, 1, Command("x"), 1)))[1] == (Tell(Fetch(S2, 1)),)
    assert step(state, From(S2, CatchUpRequest(1)))[1] == (Tell(Fetch(S2, 1)),)


def test_it_teaches_itself_nothing_and_others_nothing_that_it_does_not_know() -> None:
    state = follower(delta((1, "red"), first=2))

    assert step(state, From(S1, Accept(TWO, 1, Command("x"), 1)))[1] == ()
    assert step(state, From(S2, CatchUpRequest(2)))[1] == ()


def test_a_slot_beyond_the_window_is_not_taken_but_what_is_said_with_it() -> None:
    before = follower(delta((1, "red")))
    at_the_end, _ = step(before, From(S1, Accept(ONE, 4, Command("x"), 1)))
    state, effects = step(before, From(S1, Accept(ONE, 5, Command("x"), 2)))

    assert len(at_the_end.memory.open) == 4
    assert state.memory == memory(promised="1.1", first=2)
    assert effects == (To(S1, CatchUpRequest(2)), Tell(Committed(1, (RED,))))


def test_a_request_says_what_is_chosen_below() -> None:
    before = follower(delta((1, "red"), (2, "blue")))
    state, effects = step(before, From(S1, Accept(ONE, 3, Command("x"), 3)))

    assert state.memory.first == 3
    assert effects == (To(S1, Accepted(ONE, 3)), Tell(Committed(1, (RED, BLUE))))


def test_a_ballot_that_was_used_twice_is_found() -> None:
    before = follower(delta((1, "red")))
    with pytest.raises(InvariantError):
        replica.receive(before, From(S1, Accept(ONE, 1, Command("blue"), 1)))


def test_of_a_server_that_is_not_a_member_only_what_is_chosen_is_taken() -> None:
    before = follower(delta((1, "red"), first=2))
    for message in (*HIGHER, Heartbeat(TWO, True, True, 2)):
        if not isinstance(message, CatchUp):
            after, outbound = replica.receive(before, From(NON_MEMBER, message))
            assert (evolve(after, progress=()), outbound) == (before, Now(()))

    assert step(before, From(NON_MEMBER, CatchUpRequest(1)))[1] == (Tell(Fetch(NON_MEMBER, 1)),)
    ahead = From(NON_MEMBER, Heartbeat(TWO, True, True, 3))
    assert replica.receive(before, ahead) == (before, Now((To(NON_MEMBER, CatchUpRequest(2)),)))
    after, _ = step(before, From(NON_MEMBER, CatchUp(2, (BLUE,))))
    assert after.memory.first == 3


def test_a_member_that_was_down_while_all_others_were_replaced_catches_up() -> None:
    second, third = majority([S1, S2, S4]), majority([S1, S4, S5])
    noops = [Noop()] * SMALL.window
    log: list[Change | Noop] = [Change(second), *noops, Change(third), *noops]
    state, effects = step(follower(), From(S4, Heartbeat(TWO, True, True, 1 + len(log))))
    while (asked := To(S4, CatchUpRequest(state.memory.first))) in effects:
        begin = asked.message.first - 1
        entries = log[begin : begin + SMALL.piece]
        piece = tuple(held("1.2", it) for it in entries)
        state, effects = step(state, From(S4, CatchUp(asked.message.first, piece)))

    assert state.memory.first == 1 + len(log)
    assert replica.members(state) == third.members


# --- phase 1 --------------------------------------------------------------------------------------


def test_it_promises_its_own_ballot_before_it_asks_for_promises() -> None:
    before = follower(delta((1, "red"), promised="2.2", first=2))
    state, outbound = replica.receive(before, Lead())

    assert saved(outbound) == Delta(NEXT, 2, memory().configurations)
    assert step(before, Lead())[1] == (Broadcast(Prepare(NEXT, 2)),)
    assert state.role == Preparing(NEXT, 2)
    assert (state.memory.promised, state.max_round) == (NEXT, 3)


def test_a_ballot_is_above_all_that_it_has_received() -> None:
    state, _ = step(follower(), From(S2, Nack(ONE, ballot("7.3"))))
    state, _ = step(state, From(S3, Confirmed(ballot("5.2"), 1)))

    assert step(state, Lead())[0].memory.promised == ballot("8.1")


def test_pieces_are_asked_for_one_after_the_other() -> None:
    state, _ = step(follower(), Lead())
    piece = Promise(ONE, 1, 1, ((1, held("0.2", "a")), (2, held("0.2", "b"))), False)
    state, effects = step(state, From(S2, piece))

    assert effects == (To(S2, Prepare(ONE, 3)),)
    state, _ = step(state, From(S1, Promise(ONE, 1, 1, (), True)))
    assert isinstance(state.role, Preparing)
    state, _ = step(state, From(S2, Promise(ONE, 3, 1, ((3, held("0.3", "c")),), True)))
    assert isinstance(state.role, Leading)
    assert [it.entry for it in state.role.in_flight] == [Command(it) for it in "abc"]


def test_elected_it_says_so_and_proposes_what_it_found() -> None:
    state, _ = step(follower(), Lead())
    state, _ = step(state, From(S1, Promise(ONE, 1, 1, (), True)))
    found = Promise(ONE, 1, 1, ((2, held("0.2", "b")),), True)
    empty: Accept[str] = Accept(ONE, 1, Noop(), 1)
    state, effects = step(state, From(S2, found))

    assert effects == (
        Tell(Elected(ONE)),
        Broadcast(empty),
        Broadcast(Accept(ONE, 2, Command("b"), 1)),
    )


def test_it_leads_only_when_it_knows_what_its_quorum_knows() -> None:
    state, _ = step(follower(), Lead())
    state, _ = step(state, From(S1, Promise(ONE, 1, 1, (), True)))
    state, effects = step(state, From(S2, Promise(ONE, 1, 3, (), True)))

    assert effects == (To(S2, CatchUpRequest(1)),)
    state, effects = step(state, From(S2, CatchUp(1, (held("0.2", "a"),))))
    committed = Tell(Committed(1, (held("0.2", "a"),)))
    assert effects == (To(S2, CatchUpRequest(2)), committed, To(S2, CatchUpRequest(2)))
    state, effects = step(state, From(S2, CatchUp(2, (held("0.2", "b"),))))
    committed = Tell(Committed(2, (held("0.2", "b"),)))
    assert effects == (To(S2, CatchUpRequest(3)), committed, Tell(Elected(ONE)))
    assert isinstance(state.role, Leading)


def test_a_promise_of_another_ballot_does_not_count() -> None:
    state, _ = step(follower(), Lead())

    for number in OLD, TWO:
        other, effects = step(state, From(S2, Promise(number, 1, 1, (), True)))
        assert effects == ()
        assert other.role == (state.role if number == OLD else Following())
    assert step(leader(), From(S3, Promise(ONE, 1, 1, (), True)))[1] == ()


def test_only_a_member_leads() -> None:
    state = fresh(S4)
    with pytest.raises(UnknownServer, match="4"):
        replica.receive(state, Lead())


# --- phase 2 --------------------------------------------------------------------------------------


def test_a_proposal_leaves_at_once_for_the_next_slot() -> None:
    state, outbound = replica.receive(leader(), Propose(Command("red")))
    _, more = replica.receive(state, Propose(Command("blue")))

    assert outbound == Now((Broadcast(Accept(ONE, 1, Command("red"), 1)),))
    assert more == Now((Broadcast(Accept(ONE, 2, Command("blue"), 1)),))


def test_a_slot_is_chosen_by_a_quorum_and_reported_once() -> None:
    state, _ = step(leader(), Propose(Command("red")))
    state, effects = step(state, From(S1, Accept(ONE, 1, Command("red"), 1)))
    assert effects == (To(S1, Accepted(ONE, 1)),)
    state, effects = step(state, From(S1, Accepted(ONE, 1)))
    assert effects == ()
    state, outbound = replica.receive(state, From(S2, Accepted(ONE, 1)))
    assert outbound == Now((Tell(Committed(1, (RED,))),))
    assert (state.memory.first, state.memory.open) == (2, ())
    assert step(state, From(S3, Accepted(ONE, 1)))[1] == ()


def test_votes_of_others_do_not_choose_what_it_does_not_hold_itself() -> None:
    state, _ = step(leader(), Propose(Command("red")))
    for me in S2, S3:
        state, _ = step(state, From(me, Accepted(ONE, 1)))
    assert state.memory.first == 1
    state, effects = step(state, From(S1, Accept(ONE, 1, Command("red"), 1)))

    assert effects == (To(S1, Accepted(ONE, 1)), Tell(Committed(1, (RED,))))
    assert state.memory.first == 2


def test_a_vote_of_another_ballot_does_not_count() -> None:
    state, _ = step(leader(), Propose(Command("red")))
    state, _ = step(state, From(S1, Accept(ONE, 1, Command("red"), 1)))
    state, _ = step(state, From(S1, Accepted(ONE, 1)))
    state, effects = step(state, From(S2, Accepted(OLD, 1)))

    assert (effects, state.memory.first) == ((), 1)
    assert step(follower(), From(S2, Accepted(OLD, 1)))[1] == ()


def test_only_a_leader_announces_what_is_chosen() -> None:
    state = leader()
    ballot_ = state.memory.promised

    assert replica.announcement(state) == Heartbeat(ballot_, True, True, 1)
    assert replica.announcement(follower()) is None


def test_the_window_bounds_what_is_in_flight() -> None:
    state = leader()
    assert replica.room(state) == SMALL.window
    for _ in range(SMALL.window):
        state, _ = step(state, Propose(Command("x")))
    assert replica.room(state) == replica.room(follower()) == 0
    with pytest.raises(WindowFull) as full:
        replica.receive(state, Propose(Command("x")))
    assert full.value.slot == 5


def test_a_change_governs_a_window_later_and_only_with_new_promises() -> None:
    state, _ = step(leader(), Propose(Change(FOUR)))
    state, _ = step(state, From(S1, Accept(ONE, 1, Change(FOUR), 1)))
    for me in S1, S2:
        state, _ = step(state, From(me, Accepted(ONE, 1)))

    assert state.memory.configurations == (Configuration(1, THREE), Configuration(5, FOUR))
    assert replica.room(state) == 3
    for _ in range(3):
        state, _ = step(state, Propose(Command("x")))
    with pytest.raises(WindowFull):
        replica.receive(state, Propose(Command("x")))


HIGHER: list[Message[str]] = [
    Prepare(TWO, 1),
    Promise(TWO, 1, 1, (), True),
    Accept(TWO, 1, Command("x"), 1),
    Accepted(TWO, 1),
    Nack(ONE, TWO),
    Heartbeat(TWO, False, False, 1),
    Confirm(TWO, 1),
    Confirmed(TWO, 1),
    CatchUp(1, (held("2.2", "x"),)),
]


@pytest.mark.parametrize("message", HIGHER, ids=lambda it: type(it).__name__)
def test_a_higher_ballot_in_whatever_message_ends_the_leadership(message: Message[str]) -> None:
    state, _ = step(leader(), Read(1))
    after, effects = step(state, From(S2, message))

    assert after.role == Following()
    assert after.reads == ()
    assert effects[-1] == Tell(Readable(1, None))
    preparing, _ = step(follower(), Lead())
    assert step(preparing, From(S2, message))[0].role == Following()


def test_its_own_ballot_does_not_end_it() -> None:
    state = leader()
    for heard in Heartbeat(ONE, False, True, 1), Nack(ONE, ONE), Confirmed(ONE, 1):
        assert isinstance(step(state, From(S2, heard))[0].role, Leading)


# --- learning -------------------------------------------------------------------------------------


def test_what_is_learned_is_saved_before_it_is_reported() -> None:
    state, outbound = replica.receive(follower(), From(S2, CatchUp(1, (RED,))))

    assert saved(outbound) == Delta(state.memory.promised, 2, memory().configurations, ((1, RED),))


def test_a_piece_that_was_shortened_is_followed_by_a_request_for_the_next() -> None:
    """A transport has room for one large proposal, not for a whole piece of them."""
    _, effects = step(follower(), From(S2, CatchUp(1, (RED,))))

    assert effects == (To(S2, CatchUpRequest(2)), Tell(Committed(1, (RED,))))


def test_a_piece_without_news_is_followed_by_no_request() -> None:
    _, effects = step(follower(), From(S2, CatchUp(1, (RED, BLUE))))

    assert effects == (To(S2, CatchUpRequest(3)), Tell(Committed(1, (RED, BLUE))))
    known = follower(delta((1, "red"), (2, "blue"), first=3))
    assert step(known, From(S2, CatchUp(1, (RED, BLUE))))[1] == ()


def test_learning_drops_what_is_in_flight_below_and_looks_at_the_next_slots() -> None:
    """Votes for slot 2 were complete before slot 1 was known: no other step looks again."""
    state = leader()
    for value in "ab":
        state, _ = step(state, Propose(Command(value)))
    state, _ = step(state, From(S1, Accept(ONE, 2, Command("b"), 1)))
    for me in S1, S2:
        state, _ = step(state, From(me, Accepted(ONE, 2)))
    assert state.memory.first == 1
    state, effects = step(state, From(S3, CatchUp(1, (held("1.1", "a"),))))

    assert state.memory.first == 3
    committed = Tell(Committed(1, (held("1.1", "a"), held("1.1", "b"))))
    assert effects == (To(S3, CatchUpRequest(2)), committed)
    assert isinstance(state.role, Leading)
    assert state.role.in_flight == ()


def test_a_snapshot_moves_first_and_says_so_to_the_store() -> None:
    before = follower(delta((1, "red"), (2, "blue")))
    installed = SnapshotInstalled(2, (Configuration(2, FOUR),))
    state, outbound = replica.receive(before, installed)

    assert saved(outbound) == Delta(ONE, 2, installed.configurations, (), 2)
    assert (state.memory.first, state.memory.open) == (2, (BLUE,))
    assert step(before, installed)[1] == ()
    assert replica.receive(state, SnapshotInstalled(2, ())) == (state, Now(()))


def test_a_snapshot_lets_a_replica_lead_that_waited_for_what_it_stands_for() -> None:
    state, _ = step(follower(), Lead())
    state, _ = step(state, From(S1, Promise(ONE, 1, 1, (), True)))
    state, _ = step(state, From(S2, Promise(ONE, 1, 9, (), True)))
    state, effects = step(state, SnapshotInstalled(9, memory().configurations))

    assert effects == (Tell(Elected(ONE)),)
    assert isinstance(state.role, Leading)


def test_what_a_leader_finds_chosen_behind_a_snapshot_keeps_its_slot() -> None:
    state = leader()
    for slot, value in enumerate(("red", "blue"), start=1):
        state, _ = step(state, Propose(Command(value)))
        state, _ = step(state, From(S1, Accept(ONE, slot, Command(value), 1)))
    for voter in S1, S2:
        state, effects = step(state, From(voter, Accepted(ONE, 2)))
        assert effects == ()
    state, effects = step(state, SnapshotInstalled(2, memory().configurations))

    assert effects == (Tell(Committed(2, (BLUE,))),)
    assert state.memory.first == 3


# --- reads ----------------------------------------------------------------------------------------


def test_a_read_waits_for_a_quorum_that_confirms_after_it_began() -> None:
    state, _ = step(leader(), Read(1))
    state, effects = step(state, Read(2))
    assert effects == (Broadcast(Confirm(ONE, 2)),)
    state, effects = step(state, From(S1, Confirmed(ONE, 2)))
    assert effects == ()
    state, effects = step(state, From(S2, Confirmed(ONE, 1)))
    assert effects == (Tell(Readable(1, 1)),)
    state, effects = step(state, From(S3, Confirmed(ONE, 2)))
    assert effects == (Tell(Readable(2, 1)),)
    assert state.reads == ()


def test_a_read_waits_for_what_may_have_been_chosen_before() -> None:
    state, _ = step(follower(), Lead())
    state, _ = step(state, From(S1, Promise(ONE, 1, 1, (), True)))
    state, _ = step(state, From(S2, Promise(ONE, 1, 1, ((1, held("0.2", "a")),), True)))
    state, _ = step(state, Read(1))
    for me in S1, S2:
        state, effects = step(state, From(me, Confirmed(ONE, 1)))
        assert effects == ()
    state, _ = step(state, From(S1, Accept(ONE, 1, Command("a"), 1)))
    state, _ = step(state, From(S1, Accepted(ONE, 1)))
    state, effects = step(state, From(S3, Accepted(ONE, 1)))

    assert effects == (Tell(Committed(1, (held("1.1", "a"),))), Tell(Readable(1, 2)))


def test_a_confirmation_of_another_ballot_does_not_count() -> None:
    state, _ = step(leader(), Read(1))

    assert step(state, From(S2, Confirmed(OLD, 1)))[0].reads == state.reads
    assert step(follower(), From(S2, Confirmed(OLD, 1)))[1] == ()


def test_an_acceptor_confirms_at_once() -> None:
    state = follower(delta(promised="1.1"))

    assert replica.receive(state, From(S1, Confirm(ONE, 4)))[1] == Now((To(S1, Confirmed(ONE, 4)),))


# --- misuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [Propose(Command("x")), Read(1)], ids=["propose", "read"])
def test_a_replica_that_does_not_lead_names_the_leader(request_: Propose[str] | Read) -> None:
    with pytest.raises(NotLeading, match="no replica is known") as alone:
        replica.receive(follower(), request_)
    state, _ = step(follower(), From(S2, Heartbeat(TWO, True, True, 1)))
    with pytest.raises(NotLeading, match="server 2 may lead") as other:
        replica.receive(state, request_)

    assert (alone.value.leader, other.value.leader) == (None, S2)


# --- heartbeats and elections ---------------------------------------------------------------------


def beaten(state: Replica[str], times: int = 1) -> tuple[Replica[str], tuple[Effect[str], ...]]:
    """After ``times`` intervals, and what left in the last."""
    effects: tuple[Effect[str], ...] = ()
    for _ in range(times):
        state, effects = step(state, HeartbeatTimer(state.election.beat))
    return state, effects


def told(
    state: Replica[str], *peers: int, ballot_: str = "0.0", leads: bool = False
) -> Replica[str]:
    """After heartbeats of ``peers``."""
    for peer in peers:
        sender = next(it for it in THREE.members if it == peer)
        state, _ = step(state, From(sender, Heartbeat(ballot(ballot_), leads, leads, 1)))
    return state


def test_each_interval_has_a_heartbeat_and_sets_the_next() -> None:
    state, effects = beaten(follower())

    assert effects == (
        Broadcast(Heartbeat(ballot("0.0"), False, False, 1)),
        SetTimer(HeartbeatTimer(1), 0),
    )
    assert step(state, HeartbeatTimer(0)) == (state, ())


def test_a_leader_says_that_it_leads_and_how_far_it_knows() -> None:
    _, effects = beaten(told(chosen(leader(), "red"), S2))

    assert effects[0] == Broadcast(Heartbeat(ONE, True, True, 2))


def test_what_a_leader_says_is_believed_of_what_is_held_under_its_ballot() -> None:
    before = follower(delta((1, "red"), (2, "blue")))
    state, effects = step(before, From(S2, Heartbeat(ONE, True, True, 2)))
    assert (state.memory.first, effects) == (2, (Tell(Committed(1, (RED,))),))

    for message in Heartbeat(ONE, False, True, 2), Heartbeat(TWO, True, True, 2):
        state, _ = step(before, From(S2, message))
        assert state.memory.first == 1


def test_what_is_behind_is_asked_for_at_the_leader() -> None:
    state, effects = step(follower(), From(S2, Heartbeat(TWO, True, True, 3)))
    assert effects == (To(S2, CatchUpRequest(1)),)
    assert step(state, From(S3, Heartbeat(TWO, False, True, 3)))[1] == ()


def test_without_a_leader_it_is_asked_for_at_any_replica() -> None:
    assert step(follower(), From(S3, Heartbeat(TWO, False, True, 3)))[1] == (
        To(S3, CatchUpRequest(1)),
    )


def test_its_own_heartbeat_tells_it_nothing() -> None:
    state = follower()

    assert step(state, From(S1, Heartbeat(ballot("0.0"), False, False, 9))) == (state, ())


def test_the_next_heartbeat_records_what_is_chosen() -> None:
    """The store answers only for what it knows to be chosen; once is enough."""
    state = told(chosen(leader(), "red"), S2)
    after, outbound = replica.receive(state, HeartbeatTimer(state.election.beat))

    assert saved(outbound) == Delta(ONE, 2, memory().configurations)
    again, outbound = replica.receive(told(after, S2), HeartbeatTimer(after.election.beat))
    assert isinstance(outbound, Now)
    assert again.recorded == 2


def test_a_heartbeat_waits_for_the_save_of_what_it_says() -> None:
    """Though a record has it, that record may not be saved yet."""
    accept = Accept(ONE, 2, Command("blue"), 2)
    state, outbound = replica.receive(follower(delta((1, "red"))), From(S2, accept))
    assert saved(outbound) == delta((2, "blue"), first=2)

    state, outbound = replica.receive(state, HeartbeatTimer(0))

    assert saved(outbound) == Delta(ONE, 2, memory().configurations)


def test_what_a_server_holds_is_what_its_heartbeats_say_unless_it_leads() -> None:
    state = told(follower(), S2)
    for sender, message in (
        (S2, Heartbeat(ONE, False, True, 5)),
        (S2, Heartbeat(ONE, False, True, 4)),
        (S3, Heartbeat(TWO, True, True, 9)),
        (S4, Heartbeat(ONE, False, False, 1)),
    ):
        state, _ = step(state, From(sender, message))

    assert replica.progress(state) == {S2: 5, S4: 1}


def test_it_counts_itself_once_what_its_heartbeat_said_is_saved() -> None:
    state, _ = beaten(told(chosen(leader(), "red"), S2))
    assert replica.progress(state)[S1] == 1
    state, _ = beaten(told(state, S2))
    assert replica.progress(state)[S1] == 2


def test_a_change_is_finished_when_a_quorum_of_the_new_members_holds_all_before_it() -> None:
    change = Configuration(2, majority((S2, S3)))
    state = fresh(S1, Delta(ONE, 2, (change,)))
    assert not replica.is_changed(state)
    for sender, finished in (S2, False), (S3, True):
        state, _ = step(state, From(sender, Heartbeat(ONE, False, True, 2)))
        assert replica.is_changed(state) == finished


def test_a_quorum_without_a_leader_campaigns_after_a_random_part() -> None:
    state, effects = beaten(told(follower(), S2))
    assert effects[-1] == SetTimer(CampaignTimer(1), 0)

    after, effects = step(state, CampaignTimer(1))
    assert effects == (Broadcast(Prepare(ONE, 1)),)
    assert isinstance(after.role, Preparing)
    assert step(after, CampaignTimer(1)) == (after, ())


def test_a_campaign_is_dropped_if_there_is_a_need_no_more() -> None:
    state, _ = beaten(told(follower(), S2))
    led = told(state, S2, ballot_="2.2", leads=True)
    prepared, _ = step(state, From(S3, Prepare(ballot("1.3"), 1)))

    assert step(led, CampaignTimer(1)) == (led, ())
    assert step(prepared, CampaignTimer(1)) == (prepared, ())
    assert step(state, CampaignTimer(0)) == (state, ())


@pytest.mark.parametrize("case", ["alone", "led", "not a member"])
def test_it_does_not_campaign(case: str) -> None:
    states = {
        "alone": follower(),
        "led": told(follower(), S2, ballot_="2.2", leads=True),
        "not a member": told(fresh(S4), S2, S3),
    }
    _, effects = beaten(states[case])

    assert not any(
        isinstance(it, SetTimer) and isinstance(it.timer, CampaignTimer) for it in effects
    )


def test_a_leader_without_a_quorum_stops_and_ends_its_reads() -> None:
    state, _ = step(told(leader(), S2), Read(1))
    state, _ = beaten(state, 2)
    assert isinstance(state.role, Leading)
    state, effects = beaten(state)

    assert state.role == Following()
    assert effects[-1] == Tell(Readable(1, None))


def test_a_leader_stops_once_quorums_govern_that_have_not_promised() -> None:
    state = told(chosen(leader(), "red"), S2, S3)
    assert isinstance(beaten(state)[0].role, Leading)
    changed = evolve(state.memory, configurations=(Configuration(2, majority([S2, S3])),))

    assert beaten(evolve(state, memory=changed))[0].role == Following()


def test_a_candidate_asks_again_those_that_have_not_promised() -> None:
    state, _ = step(told(follower(), S2), Lead())
    assert beaten(state)[1][2:] == tuple(To(it, Prepare(ONE, 1)) for it in (S1, S2, S3))

    state, _ = step(told(follower(), S2), Lead())
    state, _ = step(state, From(S2, Promise(ONE, 1, 3, (), True)))
    _, effects = beaten(state)

    assert effects[2:] == (
        To(S1, Prepare(ONE, 1)),
        To(S3, Prepare(ONE, 1)),
        To(S2, CatchUpRequest(1)),
    )


def test_a_prepare_that_is_sent_again_waits_for_the_save_of_its_ballot() -> None:
    """The first save of it may be slower than a heartbeat."""
    state, _ = step(follower(), Lead())
    _, outbound = replica.receive(state, HeartbeatTimer(0))

    assert saved(outbound) == Delta(ONE, 1, memory().configurations)


def test_a_leader_asks_again_those_that_have_not_voted_and_not_confirmed() -> None:
    state, _ = step(told(leader(), S2), Propose(Command("x")))
    state, _ = step(state, From(S2, Accepted(ONE, 1)))
    state, _ = step(state, Read(5))
    state, effects = beaten(state)
    assert effects[2:] == (Broadcast(Confirm(ONE, 5)),)
    _, effects = beaten(told(state, S2))

    asked = Accept(ONE, 1, Command("x"), 1)
    assert effects[2:] == (To(S1, asked), To(S3, asked), Broadcast(Confirm(ONE, 5)))


def test_a_newcomer_asks_one_member_after_the_other() -> None:
    state = fresh(S4)
    asked = list[object]()
    for _ in range(4):
        state, effects = beaten(state)
        asked.append(effects[-1])

    assert asked == [To(it, CatchUpRequest(1)) for it in (S2, S3, S1, S2)]
