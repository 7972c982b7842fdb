"""The leader of a log: what it proposes after phase 1, and when a slot is chosen in phase 2."""

from __future__ import annotations

from itertools import combinations

import pytest

from paxos import InvariantError, Proposal, ServerId, majority
from paxos.log import Accept, Command, Configuration, Noop, Promise
from paxos.log.leader import (
    InFlight,
    Leading,
    Preparing,
    accepts,
    begun,
    chosen_count,
    count_promise,
    count_vote,
    dropped,
    has_promises,
    next_slot,
    proposed,
    room,
    unanswered,
)
from paxos.log.memory import Memory
from paxos.log.messages import Entry
from tests.support import S1, S2, S3, S4, S5, THREE, ballot
from tests.support.logs import held, memory

MINE = ballot("5.1")
RED, BLUE = held("1.1", "red"), held("2.2", "blue")
OTHERS = majority([S3, S4, S5])
ALL = frozenset({S1, S2, S3})


def promise(*accepted: tuple[int, Proposal[Entry[str]]], first: int = 1) -> Promise[str]:
    return Promise(MINE, 1, first, accepted, True)


def prepared(*promises: tuple[ServerId, Promise[str]]) -> Preparing[str]:
    role: Preparing[str] = Preparing(MINE, 1)
    for sender, it in promises:
        role = count_promise(role, sender, it)
    return role


def leading(*entries: InFlight[str], settled: int = 1) -> Leading[str]:
    return Leading(MINE, ALL, settled, entries)


def in_flight(value: str, *voters: ServerId, beat: int = 0) -> InFlight[str]:
    return InFlight(Command(value), beat, frozenset(voters))


# --- phase 1 --------------------------------------------------------------------------------------


def test_the_highest_proposal_of_each_slot_is_kept_in_any_order() -> None:
    one, two = promise((1, RED), (2, BLUE)), promise((1, BLUE), (2, RED))

    for first, second in ((one, two), (two, one)):
        role = prepared((S1, first), (S2, second))
        assert dict(role.found) == {1: BLUE, 2: BLUE}
        assert role.promised == {S1, S2}


def test_a_ballot_that_carried_two_entries_is_found() -> None:
    with pytest.raises(InvariantError, match=r"2\.2"):
        prepared((S1, promise((1, BLUE))), (S2, promise((1, held("2.2", "red")))))

    assert prepared((S1, promise((1, BLUE))), (S2, promise((1, BLUE)))).found == ((1, BLUE),)


def test_only_the_last_piece_is_a_promise() -> None:
    piece: Promise[str] = Promise(MINE, 1, 1, ((1, RED), (3, BLUE)), False)
    role = prepared((S2, piece))

    assert role.promised == frozenset()
    assert dict(role.found) == {1: RED, 3: BLUE}
    assert next_slot(piece) == 4


def test_after_an_empty_piece_the_same_slot_is_asked_for() -> None:
    """No acceptor sends one, and no message may stop a replica."""
    assert next_slot(Promise[str](MINE, 5, 1, (), False)) == 5


def test_it_knows_which_replica_knows_the_most() -> None:
    role = prepared((S1, promise(first=2)), (S2, promise(first=5)), (S3, promise(first=5)))

    assert (role.base, role.known_by) == (5, S2)


def test_it_leads_with_a_quorum_that_knows_no_more_than_itself() -> None:
    for count in range(4):
        for servers in combinations((S1, S2, S3), count):
            role = prepared(*((it, promise(first=3)) for it in servers))
            at = {first: has_promises(role, memory(first=first), window=4) for first in (2, 3, 4)}
            assert at == {2: False, 3: count >= 2, 4: count >= 2}


def test_every_configuration_of_the_window_must_promise() -> None:
    state: Memory[str] = Memory((Configuration(1, THREE), Configuration(4, OTHERS)), first=1)
    both = prepared(*((it, promise()) for it in (S1, S3, S4)), (S2, promise()))
    only_old = prepared((S1, promise()), (S2, promise()))

    assert has_promises(both, state, window=4)
    assert not has_promises(only_old, state, window=4)
    assert has_promises(only_old, state, window=3)


def test_only_the_configuration_that_governs_is_asked() -> None:
    state: Memory[str] = Memory((Configuration(1, THREE), Configuration(4, OTHERS)), first=4)

    assert has_promises(prepared((S4, promise()), (S5, promise())), state, window=4)
    assert not has_promises(prepared((S1, promise()), (S2, promise())), state, window=4)


def test_it_proposes_what_was_found_and_fills_holes() -> None:
    role = prepared((S1, promise((2, RED), (4, BLUE), (1, RED))), (S2, promise((2, BLUE))))
    lead = begun(role, memory(first=2), beat=7)

    assert lead.settled == 5
    assert [it.entry for it in lead.in_flight] == [Command("blue"), Noop(), Command("blue")]
    assert {it.beat for it in lead.in_flight} == {7}
    assert [(it.slot, it.ballot, it.first) for it in accepts(lead, memory(first=2))] == [
        *((2, MINE, 2), (3, MINE, 2), (4, MINE, 2))
    ]


def test_where_nothing_was_found_nothing_is_proposed() -> None:
    lead = begun(prepared((S1, promise()), (S2, promise())), memory(first=3), beat=0)

    assert (lead.settled, lead.in_flight) == (3, ())
    assert lead.promised == {S1, S2}


# --- phase 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(5))
def test_there_is_room_for_a_window(count: int) -> None:
    lead = leading(*(in_flight("red") for _ in range(count)))

    assert room(lead, memory(first=3), window=4) == 4 - count


def test_there_is_no_room_beyond_quorums_that_have_not_promised() -> None:
    state: Memory[str] = Memory((Configuration(1, THREE), Configuration(3, OTHERS)))
    covered = Leading[str](MINE, frozenset({S1, S2, S3, S4}), 1)

    assert room(leading(), state, window=4) == 2
    assert room(leading(in_flight("red")), state, window=4) == 1
    assert room(leading(*[in_flight("red")] * 3), state, window=4) == 0
    assert room(covered, state, window=4) == 4


def test_there_is_no_room_once_quorums_govern_that_have_not_promised() -> None:
    state: Memory[str] = Memory((Configuration(3, OTHERS),), first=3)
    covered = Leading[str](MINE, frozenset({S3, S4}), 1)

    assert room(leading(), state, window=4) == 0
    assert room(covered, state, window=4) == 4


def test_a_proposal_takes_the_next_slot() -> None:
    lead = proposed(leading(in_flight("red")), Command("blue"), beat=3)

    assert lead == leading(in_flight("red"), in_flight("blue", beat=3))
    assert [*accepts(lead, memory(first=4))][1] == Accept(MINE, 5, Command("blue"), 4)


@pytest.mark.parametrize("slot", range(2, 7))
def test_a_vote_counts_for_its_slot_once(slot: int) -> None:
    lead = leading(in_flight("red", S1), in_flight("blue"))
    voted = count_vote(lead, memory(first=3), S1, slot)

    if slot == 4:
        assert voted == leading(in_flight("red", S1), in_flight("blue", S1))
    else:
        assert voted is lead


def test_slots_are_chosen_without_a_gap() -> None:
    own = tuple(held("5.1", it) for it in ("a", "b", "c"))
    for voted in ((), (0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        votes = [(S1, S2) if place in voted else (S1,) for place in range(3)]
        lead = leading(*(in_flight("x", *them) for them in votes))
        count = next((it for it in range(3) if it not in voted), 3)
        assert chosen_count(lead, memory(*own)) == count


@pytest.mark.parametrize("own", [(), (None,), (held("1.1", "a"),)])
def test_a_slot_is_chosen_only_if_it_is_held_under_the_own_ballot(
    own: tuple[Proposal[Entry[str]] | None, ...],
) -> None:
    lead = leading(in_flight("a", S1, S2, S3))

    assert chosen_count(lead, memory(*own)) == 0
    assert chosen_count(lead, memory(held("5.1", "a"))) == 1


def test_the_quorum_that_governs_the_slot_decides() -> None:
    own = held("5.1", "a"), held("5.1", "b")
    state = Memory((Configuration(1, THREE), Configuration(2, OTHERS)), MINE, 1, own)
    old, new = (S1, S2), (S4, S5)

    assert chosen_count(leading(in_flight("a", *old), in_flight("b", *old)), state) == 1
    assert chosen_count(leading(in_flight("a", *old), in_flight("b", *new)), state) == 2
    assert chosen_count(leading(in_flight("a", *new), in_flight("b", *new)), state) == 0


def test_what_is_chosen_is_in_flight_no_more() -> None:
    lead = leading(in_flight("a"), in_flight("b"))

    assert dropped(lead, 0) is lead
    assert dropped(lead, 1) == leading(in_flight("b"))


def test_what_is_older_than_a_beat_is_asked_again() -> None:
    lead = leading(*(in_flight(str(it), S2, beat=it) for it in (1, 2, 3)))
    found = [*unanswered(lead, memory(first=7), beat=4)]

    assert found == [
        (Accept(MINE, 7, Command("1"), 7), frozenset({S2})),
        (Accept(MINE, 8, Command("2"), 7), frozenset({S2})),
    ]
