"""The election: a hint about who should propose.

Source: the lecture, "Liveness", remedy 2, and its leader rule (a heartbeat every T, silence for 2T,
highest id).

- A server with a proposal under way says so by a heartbeat, every T.
- Whoever is heard counts as alive until two whole intervals of T have passed without a word.
- The leader is the highest id alive. The others leave it the floor.

Only a hint: two servers may lead at once, or none. That costs time and never agreement, since
nothing that decides what may be promised, accepted or chosen reads this module.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never, final

from paxos.ballot import ServerId
from paxos.messages import From, Heartbeat
from paxos.outbound import SILENCE, Broadcast, Now, WakeMe
from paxos.values import frozen

SILENT_INTERVALS = 2


@final
@frozen
class Beat:
    """The wake-up for the next heartbeat, a fixed time T after it was asked for."""


@final
@frozen
class Heard:
    """A server with a higher id, and how many beats of our own came since its last heartbeat."""

    server: ServerId
    beats: int = 0


@final
@frozen
class Election:
    """Whom this server has heard of late. ``running`` while it sends heartbeats of its own."""

    me: ServerId
    members: frozenset[ServerId]
    running: bool = False
    heard: tuple[Heard, ...] = ()


Event: TypeAlias = Beat | From[Heartbeat]
Effect: TypeAlias = Broadcast[Heartbeat] | WakeMe[Beat]


def receive(state: Election, event: Event) -> tuple[Election, Now[Effect]]:
    """Take a heartbeat from another server, or send the next one of our own."""
    if type(event) is From:
        return _hear(state, event.sender), SILENCE
    if type(event) is Beat:
        return _beat(state), Now((Broadcast(Heartbeat()), WakeMe(event, 0)))
    assert_never(event)


def start(state: Election) -> tuple[Election, Now[Effect]]:
    """Begin to send heartbeats, unless they run already."""
    if state.running:
        return state, SILENCE
    return Election(state.me, state.members, True, state.heard), Now((WakeMe(Beat(), 0),))


def stop(state: Election) -> Election:
    """Let the wake-up that came be the last, and forget who was alive: nobody counts any more."""
    return Election(state.me, state.members)


def leader(state: Election) -> ServerId:
    """Whom to leave the floor to: the highest id alive, our own included."""
    return max((heard.server for heard in state.heard), default=state.me)


def _hear(state: Election, sender: ServerId) -> Election:
    if sender <= state.me or sender not in state.members:
        return state
    others = (heard for heard in state.heard if heard.server != sender)
    return Election(state.me, state.members, state.running, (*others, Heard(sender)))


def _beat(state: Election) -> Election:
    older = (Heard(heard.server, heard.beats + 1) for heard in state.heard)
    alive = tuple(heard for heard in older if heard.beats <= SILENT_INTERVALS)
    return Election(state.me, state.members, state.running, alive)
