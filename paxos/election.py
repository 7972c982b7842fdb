"""The election: a hint about who should propose.

Source: the lecture, "Liveness", remedy 2, and its leader rule (a heartbeat every T, silence for 2T,
highest id); Ng, Haridi and Carbone, "Omni-Paxos" (2023), for leaders that have a quorum.

- A server with a proposal under way claims the floor by a heartbeat, every T, as long as a quorum
  answers what it asks. Who has no quorum could only keep the floor from those who have.
- Whoever is heard counts as alive until two whole intervals of T have passed without a word.
- The leader is the highest id alive. The others leave it the floor, three wake-ups out of four: a
  leader that can speak and not hear must not block the rest for ever.
- A beat carries its number, so that a stale or repeated one is recognised.

Only a hint: two servers may lead at once, or none. That costs time and never agreement, since
nothing that decides what may be promised, accepted or chosen reads this module.
"""

from __future__ import annotations

from typing import TypeAlias, final

from paxos.ballot import ServerId
from paxos.errors import assert_never
from paxos.messages import From, Heartbeat
from paxos.outbound import NO_MESSAGES, Broadcast, Now, SetTimer
from paxos.values import frozen

SILENT_INTERVALS = 2
"""How many whole intervals of T without a word make a server silent."""

PROCEED_EVERY = 4
"""Every fourth wake-up, a server goes on although another one leads: that one may be deaf."""


@final
@frozen
class HeartbeatTimer:
    """The wake-up for heartbeat ``number``, a fixed time T after it was asked for."""

    number: int


@final
@frozen
class PeerHeartbeat:
    """A server with a higher id, and how many beats of our own came since its last heartbeat."""

    server: ServerId
    beats: int = 0


@final
@frozen
class Election:
    """Whom this server has heard of late, and the number of its own next beat."""

    me: ServerId
    members: frozenset[ServerId]
    beat: int = 0
    heard: tuple[PeerHeartbeat, ...] = ()


Event: TypeAlias = HeartbeatTimer | From[Heartbeat]
"""A heartbeat from another server, or the wake-up for its own."""

Effect: TypeAlias = Broadcast[Heartbeat] | SetTimer[HeartbeatTimer]
"""Say that a proposal is under way, or wake up for the next time."""

Step: TypeAlias = tuple[Election, Now[Effect]]
"""The state after an event, and what leaves."""


def receive(state: Election, event: Event, *, claims: bool = True) -> Step:
    """Take a heartbeat from another server, or send the next one of our own if it ``claims``."""
    if type(event) is From:
        return _hear(state, event.sender), NO_MESSAGES
    if type(event) is HeartbeatTimer:
        return _beat(state, event, claims)
    assert_never(event)


def start(state: Election) -> Step:
    """Begin to send heartbeats; a beat that is still to come from before is stale now."""
    older, wish = _next_beat(state)
    return older, Now((wish,))


def leader(state: Election) -> ServerId:
    """The highest id alive, our own included."""
    return max((heard.server for heard in state.heard), default=state.me)


def yields(state: Election, attempt: int) -> bool:
    """Whether a proposer that has slept ``attempt`` times leaves the floor to the leader."""
    return leader(state) != state.me and attempt % PROCEED_EVERY != PROCEED_EVERY - 1


def _hear(state: Election, sender: ServerId) -> Election:
    if sender <= state.me or sender not in state.members:
        return state
    others = (heard for heard in state.heard if heard.server != sender)
    return Election(state.me, state.members, state.beat, (*others, PeerHeartbeat(sender)))


def _beat(state: Election, event: HeartbeatTimer, claims: bool) -> Step:
    if event.number != state.beat:
        return state, NO_MESSAGES
    older, wish = _next_beat(state)
    return older, Now((Broadcast(Heartbeat()), wish) if claims else (wish,))


def _next_beat(state: Election) -> tuple[Election, SetTimer[HeartbeatTimer]]:
    """Everybody heard is one beat older, and the silent are forgotten."""
    older = (PeerHeartbeat(heard.server, heard.beats + 1) for heard in state.heard)
    alive = tuple(heard for heard in older if heard.beats <= SILENT_INTERVALS)
    beat = HeartbeatTimer(state.beat + 1)
    return Election(state.me, state.members, beat.number, alive), SetTimer(beat, 0)
