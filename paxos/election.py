"""The election: a hint about which server should propose.

Source: the lecture, "Liveness", remedy 2, and its leader rule (a heartbeat every T, silence for 2T,
highest id). Ng, Haridi and Carbone, "Omni-Paxos" (2023), for leaders that have a quorum.

- A server with a ballot in progress claims leadership by a heartbeat, every T, as long as a quorum
  answers it. A server without a quorum would only hold back servers that have one.
- A server counts as alive until two whole intervals of T have passed without its heartbeat.
- The leader is the highest id alive. The others yield to it, three retries out of four: a leader
  that sends and cannot receive must not block the rest indefinitely.
- A heartbeat timer carries its number, so that a stale or repeated one is recognised.

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
"""How many whole intervals of T without a heartbeat make a server silent."""

PROCEED_EVERY = 4
"""On every fourth retry a server proceeds under another leader, which may receive nothing."""


@final
@frozen
class HeartbeatTimer:
    """Time for heartbeat ``number``, a fixed interval T after the one before."""

    number: int


@final
@frozen
class PeerHeartbeat:
    """A server with a higher id, and how many of our own intervals its last heartbeat is old."""

    server: ServerId
    beats: int = 0


@final
@frozen
class Election:
    """The servers with recent heartbeats, and the number of this server's next heartbeat timer."""

    me: ServerId
    members: frozenset[ServerId]
    beat: int = 0
    heard: tuple[PeerHeartbeat, ...] = ()


Event: TypeAlias = HeartbeatTimer | From[Heartbeat]
"""A heartbeat from another server, or the timer for the server's own."""

Effect: TypeAlias = Broadcast[Heartbeat] | SetTimer[HeartbeatTimer]
"""Announce that a ballot is in progress, and set the timer for the next time."""

Step: TypeAlias = tuple[Election, Now[Effect]]
"""The state after an event, and what leaves."""


def receive(state: Election, event: Event, *, in_contact: bool = True) -> Step:
    """Take a heartbeat of another server, or send the next one if this one is ``in_contact``.

    In contact means that a quorum answers it.
    """
    if type(event) is From:
        return _on_heartbeat(state, event.sender), NO_MESSAGES
    if type(event) is HeartbeatTimer:
        return _on_heartbeat_timer(state, event, in_contact)
    assert_never(event)


def start(state: Election) -> Step:
    """Begin to send heartbeats; a heartbeat timer that was set before is stale now."""
    older, wish = _next_beat(state)
    return older, Now((wish,))


def leader(state: Election) -> ServerId:
    """The highest id alive, our own included."""
    return max((heard.server for heard in state.heard), default=state.me)


def yields(state: Election, attempt: int) -> bool:
    """Whether a proposer yields to the leader on its retry number ``attempt``, from 0."""
    return leader(state) != state.me and attempt % PROCEED_EVERY != PROCEED_EVERY - 1


def _on_heartbeat(state: Election, sender: ServerId) -> Election:
    if sender <= state.me or sender not in state.members:
        return state
    others = (heard for heard in state.heard if heard.server != sender)
    return Election(state.me, state.members, state.beat, (*others, PeerHeartbeat(sender)))


def _on_heartbeat_timer(state: Election, event: HeartbeatTimer, in_contact: bool) -> Step:
    if event.number != state.beat:
        return state, NO_MESSAGES
    older, wish = _next_beat(state)
    return older, Now((Broadcast(Heartbeat()), wish) if in_contact else (wish,))


def _next_beat(state: Election) -> tuple[Election, SetTimer[HeartbeatTimer]]:
    """Each known heartbeat is one interval older, and silent servers are dropped."""
    older = (PeerHeartbeat(heard.server, heard.beats + 1) for heard in state.heard)
    alive = tuple(heard for heard in older if heard.beats <= SILENT_INTERVALS)
    beat = HeartbeatTimer(state.beat + 1)
    return Election(state.me, state.members, beat.number, alive), SetTimer(beat, 0)
