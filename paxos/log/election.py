"""The election of a log: a hint about which server should lead.

Source: the lecture, "Leader election"; Ng, Haridi and Carbone, "Omni-Paxos" (2023), for leaders
that a quorum reaches.

- Every T a replica sends to all which leader it follows, and whether it is in contact: it leads and
  a quorum answers, or its leader says so.
- A replica is alive for others until two whole intervals have passed without its heartbeat. A
  Prepare counts as one, since its sender is about to lead.
- A replica that is out of contact, and reached by a quorum of which none is in contact, campaigns
  after a random part of T.
- A leader that a quorum does not reach stops leading.

Only a hint: two replicas may lead at once, or none. Safety never reads this module.
"""

from __future__ import annotations

from typing import final

from attrs import evolve

from paxos.ballot import NO_BALLOT, Ballot, ServerId
from paxos.values import frozen

SILENT_INTERVALS = 2
"""How many whole intervals of T without a heartbeat make a replica silent."""


@final
@frozen
class HeartbeatTimer:
    """Time for heartbeat ``number``, a fixed interval T after the one before."""

    number: int


@final
@frozen
class CampaignTimer:
    """A random part of T after heartbeat ``number``: time to campaign, if there is still a need."""

    number: int


@final
@frozen
class Peer:
    """Another replica, as its last heartbeat describes it; ``age`` in whole intervals."""

    server: ServerId
    follows: Ballot
    in_contact: bool
    age: int = 0


@final
@frozen
class Election:
    """The replicas alive, the leader's ballot that is followed, and the number of the next beat.

    ``in_contact``: what the last heartbeat of this replica said.
    """

    me: ServerId
    beat: int = 0
    follows: Ballot = NO_BALLOT
    in_contact: bool = False
    peers: tuple[Peer, ...] = ()


def heard(state: Election, sender: ServerId, ballot: Ballot, *, in_contact: bool) -> Election:
    """``state`` after a sign of life; of two leaders, the higher ballot is followed.

    What a replica sends to itself says nothing of others.
    """
    if sender == state.me:
        return state
    peer = Peer(sender, ballot, in_contact)
    others = (it for it in state.peers if it.server != sender)
    return evolve(
        state,
        follows=max(state.follows, ballot),
        peers=tuple(sorted((*others, peer), key=lambda it: it.server)),
    )


def aged(state: Election) -> Election:
    """One interval later: each peer is older, and the silent are dropped."""
    older = (evolve(it, age=it.age + 1) for it in state.peers)
    alive = tuple(it for it in older if it.age <= SILENT_INTERVALS)
    return evolve(state, beat=state.beat + 1, peers=alive)


def alive(state: Election) -> frozenset[ServerId]:
    """The peers that are alive, and the replica itself."""
    return frozenset((state.me, *(it.server for it in state.peers)))


def leader_in_contact(state: Election) -> bool:
    """Whether the leader that is followed is alive, and says that a quorum answers it."""
    ballot = state.follows
    return any(
        it.server == ballot.server and it.follows == ballot and it.in_contact for it in state.peers
    )


def is_leaderless(state: Election) -> bool:
    """Whether none alive, this replica included, is in contact."""
    return not state.in_contact and not any(it.in_contact for it in state.peers)
