"""Registration: which peers have acknowledged the session of this server, and whether it may vote.

1. Ask first. A peer is asked to register this session only after it has answered, and after as many
   as are needed have. So an old copy of a file stops before it leaves a trace at a peer.
   An answer that tells of later members does not count before this server has learned of them.
2. A peer makes the session durable before it acknowledges, and then refuses every disk that lacks
   it.
3. Before enough peers have acknowledged, this server takes no message of the protocol, sends none,
   and begins nothing. A disk that was rolled back repeats ballots, so this holds for Prepare too.

A peer that is up can object. Until all have answered, PATIENCE pings are sent before this server
votes. It does not vote as long as a peer answers that it knows a session that the file may lack.

When the members change, their new quorum system counts: a server that was open is so again only
once enough of the new members have acknowledged its session. Others that are linked, such as a
server that is to join, are asked as well, and count for nothing.

Enough are those that hold a phase-1 and a phase-2 quorum together with this server. That does not
prove that no older copy of this file has voted since: with three servers the copy may have had
the other peer. More than half of the others prove it, since two such sets share a peer; ``strict``
waits for them. Three strict servers cannot restart while one of them is down.

Members change while servers run. Those that a server knows may all have been replaced while it was
down. A newcomer knows what its configuration says, and an old copy the members of its time. So each
answer says how many steps of the changes of members its sender knows: each change begins and ends.
A server asks the peers that know more for the log of members. To ask takes no registration, and
leaves nothing at the peer. What the server learns says whose acknowledgement counts.

No proof is possible if the peers were replaced by ones that know nothing, or for two old copies at
once: see docs/safety.md.

Source: ``tests/tools/models/registration.py`` and ``learning.py`` explore it.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from paxos import QuorumSystem, ServerId

PATIENCE = 5
"""How many pings a peer may leave without an answer before the others are enough."""


@frozen
class Told:
    """A peer has said with the answer to this ping that it knows so many steps."""

    steps: int
    ping: int


@frozen
class Registration:
    """Of the present session of server ``me``: which peers have answered and acknowledged.

    ``pings`` is how often all were pinged. ``objected`` says with which ping a peer has objected
    last. ``is_open``: enough have acknowledged. It stays so until the members change, since what a
    peer forgets later it learns anew. ``me`` may be a server that is to join, and no member yet.
    ``steps`` of the changes of members are known here, and ``told`` says how many each peer knows.
    """

    me: ServerId
    quorum: QuorumSystem
    is_strict: bool = False
    answered: frozenset[ServerId] = frozenset()
    acknowledged: frozenset[ServerId] = frozenset()
    objected: Mapping[ServerId, int] = field(factory=dict[ServerId, int])
    pings: int = 0
    is_open: bool = False
    steps: int = 0
    told: Mapping[ServerId, Told] = field(factory=dict[ServerId, Told])

    @property
    def teachers(self) -> frozenset[ServerId]:
        """Which peers know more of the members: this server may ask them, and does not vote."""
        return frozenset(it for it, told in self.told.items() if told.steps > self.steps)

    @property
    def to_ask(self) -> frozenset[ServerId]:
        """Which peers are to be asked to register this session."""
        count = self.answered - self.teachers
        return count - self.acknowledged if self.is_enough(count) else frozenset()

    @property
    def missing(self) -> frozenset[ServerId]:
        """Which peers have not acknowledged."""
        return self.others - self.acknowledged

    @property
    def is_objected(self) -> bool:
        """Whether a peer objects, or did so until it fell silent a short while ago."""
        return any(self._is_recent(ping) for ping in self.objected.values())

    @property
    def is_behind(self) -> bool:
        """Whether a peer knows more of the members, or did until it fell silent."""
        return any(self._is_recent(self.told[it].ping) for it in self.teachers)

    @property
    def is_proven(self) -> bool:
        """Whether no older copy of this file can be acknowledged any more."""
        return self._prove(self.acknowledged)

    @property
    def others(self) -> frozenset[ServerId]:
        """The members without this server."""
        return self.quorum.members - {self.me}

    def is_enough(self, peers: frozenset[ServerId]) -> bool:
        """Whether ``peers`` suffice, to be asked or to vote."""
        with_me = peers | {self.me}
        is_proof = not self.is_strict or self._prove(peers)
        return is_proof and self.quorum.is_phase1(with_me) and self.quorum.is_phase2(with_me)

    def _is_recent(self, ping: int) -> bool:
        return self.pings - ping <= PATIENCE

    def _prove(self, peers: frozenset[ServerId]) -> bool:
        """Whether ``peers`` are more than half of the others, or there are none."""
        return 2 * len(peers & self.others) > len(self.others) or not self.others


def begin(me: ServerId, quorum: QuorumSystem, *, is_strict: bool) -> Registration:
    """No peer has been asked. A server without others waits for none."""
    return _opened_if_enough(Registration(me, quorum, is_strict))


def on_members(
    registration: Registration, quorum: QuorumSystem, peers: frozenset[ServerId], steps: int = 0
) -> Registration:
    """The members have changed: ``quorum`` counts now, and ``peers`` are those that are linked.

    So many ``steps`` of their changes have led to that.
    """
    it = registration
    changed = evolve(
        it,
        quorum=quorum,
        answered=it.answered & peers,
        acknowledged=it.acknowledged & peers,
        objected={peer: ping for peer, ping in it.objected.items() if peer in peers},
        is_open=it.is_open and quorum == it.quorum,
        steps=steps,
        told={peer: told for peer, told in it.told.items() if peer in peers},
    )
    return _opened_if_enough(changed)


def on_ping(registration: Registration) -> Registration:
    """All peers are pinged once more."""
    return _opened_if_enough(evolve(registration, pings=registration.pings + 1))


def on_told(registration: Registration, peer: ServerId, steps: int) -> Registration:
    """``peer`` says with an answer how many steps of the changes of members it knows."""
    told = {**registration.told, peer: Told(steps, registration.pings)}
    return evolve(registration, told=told)


def on_answer(registration: Registration, peer: ServerId) -> Registration:
    """``peer`` has answered, and knows no session that this file lacks; not yet this one."""
    return _answered(registration, peer, registration.acknowledged - {peer})


def on_acknowledgement(registration: Registration, peer: ServerId) -> Registration:
    """``peer`` has made this session durable."""
    return _answered(registration, peer, registration.acknowledged | {peer})


def on_objection(registration: Registration, peer: ServerId) -> Registration:
    """``peer`` has answered that it knows a session that this file lacks, or has forgotten."""
    return evolve(registration, objected={**registration.objected, peer: registration.pings})


def _answered(it: Registration, peer: ServerId, acknowledged: frozenset[ServerId]) -> Registration:
    answered = it.answered | {peer}
    objected = {other: ping for other, ping in it.objected.items() if other != peer}
    return _opened_if_enough(
        evolve(it, answered=answered, acknowledged=acknowledged, objected=objected)
    )


def _opened_if_enough(it: Registration) -> Registration:
    has_all = it.others <= it.answered
    is_enough = it.is_enough(it.acknowledged) and (has_all or it.pings > PATIENCE)
    is_free = not (it.is_objected or it.is_behind)
    return evolve(it, is_open=it.is_open or (is_enough and is_free))
