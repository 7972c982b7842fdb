"""The election: which servers are alive, and which one leads."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import Broadcast, Election, From, Heartbeat, HeartbeatTimer, ServerId, SetTimer
from paxos.election import Effect, Event, leader, receive, start, yields
from tests.support import FIVE, NON_MEMBER, S1, S2, S3, S4, S5, free

NEW = Election(S3, FIVE.members)


def heard(sender: ServerId) -> From[Heartbeat]:
    """A heartbeat of this server."""
    return From(sender, Heartbeat())


def after(state: Election, *events: Event) -> Election:
    """The election after these events."""
    for event in events:
        state, _ = receive(state, event)
    return state


def later(state: Election, beats: int) -> Election:
    """The election after so many beats, each the one that it waits for."""
    for _ in range(beats):
        state = after(state, HeartbeatTimer(state.beat))
    return state


def test_without_heartbeats_i_lead() -> None:
    """At the start, and for as long as nobody speaks."""
    assert leader(NEW) == S3
    assert leader(later(NEW, 5)) == S3


@pytest.mark.parametrize("sender", [S1, S2, S3, S4, S5, NON_MEMBER])
@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("since", range(5))
def test_who_leads(sender: ServerId, before: int, since: int) -> None:
    """S4 was heard ``before`` beats ago, then the sender, and ``since`` beats have come since.

    The first of three beats ends an interval that had already begun; two whole ones follow.
    """
    state = later(after(NEW, heard(S4)), before)
    state = later(after(state, heard(sender)), since)
    beats_ago = {S3: 0, S4: before + since}
    if sender in (S4, S5):
        beats_ago[sender] = since
    assert leader(state) == max(who for who, beats in beats_ago.items() if beats < 3)


@pytest.mark.parametrize("sender", [S1, S2, S3, NON_MEMBER, ServerId(0)])
def test_lower_servers_and_non_members_are_not_even_noted(sender: ServerId) -> None:
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
        state = later(state, int(beats > 0))
    alive = [who for who, age in ages.items() if age <= 2]
    assert leader(state) == max([S1, *alive])


def test_who_falls_silent_and_speaks_again_leads_again() -> None:
    """A heartbeat is enough, however long the silence was."""
    state = later(after(NEW, heard(S5)), 10)
    assert leader(state) == S3
    assert leader(after(state, heard(S5))) == S5


def test_what_is_kept_is_bounded() -> None:
    """One note for each higher server, however often it speaks."""
    speakers = [S1, S2, S3, S4, S5, NON_MEMBER]
    state = after(NEW, *map(heard, speakers * 10))
    assert sorted(each.server for each in state.heard) == [S4, S5]


def test_hearing_says_nothing() -> None:
    """Nobody answers a heartbeat here."""
    _, outbound = receive(NEW, heard(S5))
    assert free(outbound) == ()


# To yield


@pytest.mark.parametrize("me", [S1, S2, S3, S4, S5])
@pytest.mark.parametrize("speaker", [S1, S2, S3, S4, S5, NON_MEMBER])
@pytest.mark.parametrize("attempt", range(12))
def test_who_yields(me: ServerId, speaker: ServerId, attempt: int) -> None:
    """Who has heard a higher server, three wake-ups out of four."""
    state = after(Election(me, FIVE.members), heard(speaker))
    goes_on = speaker <= me or speaker == NON_MEMBER or attempt in (3, 7, 11)
    assert yields(state, attempt) is not goes_on


@pytest.mark.parametrize("attempt", range(12))
@pytest.mark.parametrize("beats", range(5))
def test_nobody_yields_to_the_silent(attempt: int, beats: int) -> None:
    """Once S5 no longer counts as alive, every wake-up goes on."""
    state = later(after(NEW, heard(S5)), beats)
    assert yields(state, attempt) is (beats < 3 and attempt not in (3, 7, 11))


# Heartbeats of its own


def test_a_beat_speaks_and_asks_for_the_next() -> None:
    """The interval is fixed, so the attempt stays 0."""
    state, _ = start(NEW)
    for number in range(1, 5):
        state, outbound = receive(state, HeartbeatTimer(number))
        assert free(outbound) == (Broadcast(Heartbeat()), SetTimer(HeartbeatTimer(number + 1), 0))
        assert state == Election(S3, FIVE.members, number + 1)


@pytest.mark.parametrize("expected", range(1, 5))
@pytest.mark.parametrize("number", range(7))
def test_only_the_beat_that_is_expected_counts(expected: int, number: int) -> None:
    """A lower one is stale or repeated, and nobody asked for a higher one."""
    state = after(later(start(NEW)[0], expected - 1), heard(S5))
    now, outbound = receive(state, HeartbeatTimer(number))
    if number == expected:
        assert free(outbound) == (Broadcast(Heartbeat()), SetTimer(HeartbeatTimer(expected + 1), 0))
        assert now.heard != state.heard
    else:
        assert free(outbound) == ()
        assert now is state


def test_a_repeated_beat_starts_no_second_chain() -> None:
    """However often each is handed back, one interval is one heartbeat, and ages S5 once."""
    state, _ = start(NEW)
    state = after(state, heard(S5))
    due = [HeartbeatTimer(1)]
    for beats in range(1, 5):
        said: list[Effect] = []
        for beat in due * 3:
            state, outbound = receive(state, beat)
            said += free(outbound)
        assert said == [Broadcast(Heartbeat()), SetTimer(HeartbeatTimer(beats + 1), 0)]
        assert leader(state) == (S5 if beats < 3 else S3)
        due = [HeartbeatTimer(beats), HeartbeatTimer(beats + 1)]


def test_start_asks_for_the_first_beat() -> None:
    """The server has just said that it is at work, by its Prepare."""
    state, outbound = start(NEW)
    assert free(outbound) == (SetTimer(HeartbeatTimer(1), 0),)
    assert state == Election(S3, FIVE.members, 1)
    assert NEW.beat == 0


@pytest.mark.parametrize("beats", range(4))
def test_a_start_makes_the_chain_before_it_stale(beats: int) -> None:
    """Two chains of beats would speak twice as often, and age everybody twice as fast."""
    old = after(later(start(NEW)[0], beats), heard(S5))
    state, outbound = start(old)
    assert free(outbound) == (SetTimer(HeartbeatTimer(old.beat + 1), 0),)
    same, outbound = receive(state, HeartbeatTimer(old.beat))
    assert same is state
    assert free(outbound) == ()
    _, outbound = receive(state, HeartbeatTimer(old.beat + 1))
    assert free(outbound) == (Broadcast(Heartbeat()), SetTimer(HeartbeatTimer(old.beat + 2), 0))


@pytest.mark.parametrize("doings", list(product(["start", "beat", "hear"], repeat=4)))
def test_no_beat_is_asked_for_twice(doings: tuple[str, ...]) -> None:
    """Each wake-up has the next number, whatever was done in between."""
    state, outbound = start(NEW)
    asked = list(free(outbound))
    for doing in doings:
        if doing == "start":
            state, outbound = start(state)
        else:
            state, outbound = receive(
                state, heard(S5) if doing == "hear" else HeartbeatTimer(state.beat)
            )
        asked += [effect for effect in free(outbound) if isinstance(effect, SetTimer)]
    assert asked == [SetTimer(HeartbeatTimer(number), 0) for number in range(1, len(asked) + 1)]
    assert len(asked) == 1 + doings.count("start") + doings.count("beat")
    assert state.beat == len(asked)


def test_start_remembers_who_was_heard() -> None:
    """A server that begins to propose yields at once to a higher one with a ballot in progress."""
    state, _ = start(after(NEW, heard(S5)))
    assert leader(state) == S5


def test_hearing_does_not_start_anything() -> None:
    """Only a server with a proposal in progress speaks."""
    assert after(NEW, heard(S5)).beat == NEW.beat


def test_who_starts_again_and_again_does_not_take_the_silent_for_alive() -> None:
    """Each start is worth a beat, since it makes the one that was to come stale."""
    state = after(NEW, heard(S5))
    leaders: list[ServerId] = []
    for _ in range(4):
        state, _ = start(state)
        leaders.append(leader(state))
    assert leaders == [S5, S5, S3, S3]
