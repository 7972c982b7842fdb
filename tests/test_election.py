"""The election: who has been heard of late, and to whom that leaves the floor."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import Beat, Broadcast, Election, From, Heartbeat, ServerId, WakeMe
from paxos.election import Event, leader, receive, start, stop
from tests.support import FIVE, S1, S2, S3, S4, S5, STRANGER, free

NEW = Election(S3, FIVE.members)


def heard(sender: ServerId) -> From[Heartbeat]:
    """A heartbeat of this server."""
    return From(sender, Heartbeat())


def after(state: Election, *events: Event) -> Election:
    """The election after these events."""
    for event in events:
        state, _ = receive(state, event)
    return state


def test_nobody_heard_leaves_the_floor_to_me() -> None:
    """At the start, and for as long as nobody speaks."""
    assert leader(NEW) == S3
    assert leader(after(NEW, *[Beat()] * 5)) == S3


@pytest.mark.parametrize("sender", [S1, S2, S3, S4, S5, STRANGER])
@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("since", range(5))
def test_who_leads(sender: ServerId, before: int, since: int) -> None:
    """S4 was heard ``before`` beats ago, then the sender, and ``since`` beats have come since.

    The first of three beats ends an interval that had already begun; two whole ones follow.
    """
    state = after(NEW, heard(S4), *[Beat()] * before, heard(sender), *[Beat()] * since)
    beats_ago = {S3: 0, S4: before + since}
    if sender in (S4, S5):
        beats_ago[sender] = since
    assert leader(state) == max(who for who, beats in beats_ago.items() if beats < 3)


@pytest.mark.parametrize("sender", [S1, S2, S3, STRANGER, ServerId(0)])
def test_lower_servers_and_strangers_are_not_even_noted(sender: ServerId) -> None:
    """Nor is my own heartbeat, which comes back to me."""
    state = after(NEW, heard(S4))
    same, outbound = receive(state, heard(sender))
    assert same is state
    assert free(outbound) == ()


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
@pytest.mark.parametrize("third", range(4))
def test_several_higher_servers_age_apart(first: int, second: int, third: int) -> None:
    """The highest of those who are alive; S2, S4 and S5 were heard so many beats ago."""
    state = Election(S1, FIVE.members)
    ages = {S2: first, S4: second, S5: third}
    for beats in range(3, -1, -1):
        state = after(state, *(heard(who) for who, age in ages.items() if age == beats))
        state = after(state, *[Beat()] * (beats > 0))
    alive = [who for who, age in ages.items() if age <= 2]
    assert leader(state) == max([S1, *alive])


def test_who_falls_silent_and_speaks_again_leads_again() -> None:
    """A heartbeat is enough, however long the silence was."""
    state = after(NEW, heard(S5), *[Beat()] * 10)
    assert leader(state) == S3
    assert leader(after(state, heard(S5))) == S5


def test_what_is_kept_is_bounded() -> None:
    """One note for each higher server, however often it speaks."""
    speakers = [S1, S2, S3, S4, S5, STRANGER]
    state = after(NEW, *map(heard, speakers * 10))
    assert sorted(each.server for each in state.heard) == [S4, S5]


def test_hearing_says_nothing() -> None:
    """Nobody answers a heartbeat here."""
    _, outbound = receive(NEW, heard(S5))
    assert free(outbound) == ()


def test_a_beat_speaks_and_asks_for_the_next() -> None:
    """The interval is fixed, so the attempt stays 0."""
    state, _ = start(NEW)
    for _ in range(3):
        state, outbound = receive(state, Beat())
        assert free(outbound) == (Broadcast(Heartbeat()), WakeMe(Beat(), 0))
        assert state.running


def test_start_asks_for_the_first_beat() -> None:
    """The server has just said that it is at work, by its Prepare."""
    state, outbound = start(NEW)
    assert free(outbound) == (WakeMe(Beat(), 0),)
    assert state.running
    assert not NEW.running


def test_a_second_start_asks_for_nothing() -> None:
    """Two chains of beats would speak twice as often, and age everybody twice as fast."""
    running, _ = start(NEW)
    for state in running, after(running, Beat()), after(running, heard(S5)):
        assert state.running
        same, outbound = start(state)
        assert same is state
        assert free(outbound) == ()


def test_start_remembers_who_was_heard() -> None:
    """A server that begins to propose leaves the floor at once to a higher one at work."""
    state, _ = start(after(NEW, heard(S5)))
    assert leader(state) == S5


def test_hearing_does_not_start_anything() -> None:
    """Only a server with a proposal under way speaks."""
    assert not after(NEW, heard(S5)).running


@pytest.mark.parametrize(("running", "hears"), list(product([False, True], repeat=2)))
def test_stop_forgets(running: bool, hears: bool) -> None:
    """Afterwards all is as in the beginning, and a start asks for a beat again."""
    state = start(NEW)[0] if running else NEW
    state = after(state, heard(S5)) if hears else state
    assert stop(state) == NEW
    assert free(start(stop(state))[1]) == (WakeMe(Beat(), 0),)
