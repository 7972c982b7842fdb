"""Whatever arrives, in whatever order: no message is more than data to a replica."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import Ballot, From, InvariantError, Nack, Proposal, ServerId, UsageError
from paxos.log import (
    Accept,
    Accepted,
    CampaignTimer,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Confirm,
    Confirmed,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Noop,
    Prepare,
    Promise,
    Propose,
    Read,
    invariants,
)
from paxos.log.events import Event
from paxos.log.messages import Entry, Message
from tests.support import FIVE, THREE
from tests.support.logs import SMALL, fresh, step

SERVERS = st.integers(1, 4).map(ServerId)
SLOTS = st.integers(-1, 9)
OWN = Ballot(1, ServerId(1))
"""What the replica draws first."""

BALLOTS = st.just(OWN) | st.builds(Ballot, st.integers(0, 3), SERVERS)
ENTRIES: st.SearchStrategy[Entry[str]] = st.sampled_from(
    [Command("a"), Command("b"), Noop(), Change(THREE), Change(FIVE)]
)
PROPOSALS = st.builds(Proposal[Entry[str]], BALLOTS, ENTRIES)
ACCEPTED = st.lists(st.tuples(SLOTS, PROPOSALS), max_size=3).map(tuple)
MESSAGES: st.SearchStrategy[Message[str]] = st.one_of(
    st.builds(Prepare, BALLOTS, SLOTS),
    st.builds(Promise[str], BALLOTS, SLOTS, SLOTS, ACCEPTED, st.booleans()),
    st.builds(Accept[str], BALLOTS, SLOTS, ENTRIES, SLOTS),
    st.builds(Accepted, BALLOTS, SLOTS),
    st.builds(Nack, BALLOTS, BALLOTS),
    st.builds(Heartbeat, BALLOTS, st.booleans(), st.booleans(), SLOTS),
    st.builds(CatchUpRequest, SLOTS),
    st.builds(CatchUp[str], SLOTS, st.lists(PROPOSALS, max_size=3).map(tuple)),
    st.builds(Confirm, BALLOTS, SLOTS),
    st.builds(Confirmed, BALLOTS, SLOTS),
)
Received: TypeAlias = From[Message[str]]
EVENTS: st.SearchStrategy[Event[str]] = st.one_of(
    st.builds(Received, SERVERS, MESSAGES),
    st.builds(Propose[str], ENTRIES),
    st.builds(Read, SLOTS),
    st.just(Lead()),
    st.builds(HeartbeatTimer, st.integers(0, 3)),
    st.builds(CampaignTimer, st.integers(0, 3)),
)


@settings(max_examples=200)
@given(st.booleans(), st.lists(EVENTS, max_size=20))
def test_whatever_arrives_it_goes_on_or_says_why_not(leads: bool, events: list[Event[str]]) -> None:
    """Forged messages may prove a ballot used twice. They take nothing back, and open no more."""
    state = step(fresh(), Lead())[0] if leads else fresh()
    for event in events:
        before = state
        try:
            state, _ = step(state, event)
        except (InvariantError, UsageError):
            continue
        invariants.memory_monotonic(before.memory, state.memory)
        invariants.window_holds(state.memory, SMALL.window)
