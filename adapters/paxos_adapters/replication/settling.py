"""How named decisions follow the members, as a pure function: a part of the log of members.

- Decisions have epochs, as the members have: see ``file/epochs.py``. Each is that of the last
  members that they were settled for. A change of members closes it.
- Its members say what they have accepted, once they can vote in it no more: ``Held``, then
  ``HeldAll``. They leave out what is known already under as high a ballot.
- That begins once the newcomers have been taught: one that is lost holds no decision up. The leader
  of the log of members says so: ``Taught``.
- Once a phase-1 quorum of them has said all, the decisions are settled: of each name the proposal
  with the highest ballot. What was chosen is among them, since each phase-2 quorum has a server in
  that phase-1 quorum. What was only accepted may be among them, as with any phase 1.
- Later reports change nothing: the order of the log says which quorum was the first.
- What is settled is kept until all members of the new epoch have adopted it. Then it is in all of
  their files.
- A server that has missed epochs adopts none of those. Of one that it closed before it adopted it,
  it has nothing to say: it never voted there, and what was settled for that epoch is known.

Source: Lamport, Malkhi, Zhou, "Reconfiguring a State Machine" (2010): stop the old one, and begin
the new one with its final state.
"""

from __future__ import annotations

from typing import TypeAlias, final

from attrs import evolve

from paxos import Proposal, QuorumSystem, ServerId
from paxos.errors import assert_never
from paxos.quorum import NO_SERVERS
from paxos.values import frozen
from paxos_adapters.persistent_map import PersistentMap

Accepted: TypeAlias = tuple[str, Proposal[bytes]]
"""The name of a decision, and the proposal that is accepted for it."""


@final
@frozen
class Part:
    """What ``server`` has said so far of a proposal that is too large for one command."""

    server: ServerId
    name: str
    proposal: Proposal[bytes]


@final
@frozen
class Settling:
    """The decisions of ``epoch``, whose members ``quorum`` names.

    ``proposals`` are those that were settled for it, until all of its members have ``adopted``
    them. Once a later epoch of the members has begun, and this one ``is_over``, they are joined by
    those that are held, until a phase-1 quorum has ``reported``.
    """

    epoch: int
    quorum: QuorumSystem
    proposals: PersistentMap[Proposal[bytes]] = PersistentMap[Proposal[bytes]]()
    parts: tuple[Part, ...] = ()
    reported: frozenset[ServerId] = NO_SERVERS
    adopted: frozenset[ServerId] = NO_SERVERS
    is_over: bool = False


def founded(founders: QuorumSystem, epoch: int) -> Settling:
    """Before any change: there is nothing to be adopted."""
    return Settling(epoch, founders, adopted=founders.members)


# --- commands -------------------------------------------------------------------------------------


@final
@frozen
class Taught:
    """The newcomers to the members of ``epoch`` have been taught: decisions can follow."""

    epoch: int


@final
@frozen
class Held:
    """``server`` has accepted these in ``epoch``, and votes there no more."""

    epoch: int
    server: ServerId
    accepted: tuple[Accepted, ...]


@final
@frozen
class HeldPart:
    """The same of one proposal, in parts: its value from ``offset`` on, up to its end if last."""

    epoch: int
    server: ServerId
    name: str
    proposal: Proposal[bytes]
    offset: int
    is_last: bool


@final
@frozen
class HeldAll:
    """``server`` has said all that it has accepted in ``epoch``."""

    epoch: int
    server: ServerId


@final
@frozen
class Adopted:
    """``server`` has what was settled for ``epoch`` in its file, and votes there from now on."""

    epoch: int
    server: ServerId


Report: TypeAlias = Held | HeldPart | HeldAll
Command: TypeAlias = Taught | Report | Adopted

# --- what follows from a state --------------------------------------------------------------------


def is_open(state: Settling, epoch: int) -> bool:
    """Whether the decisions have followed the members to ``epoch``."""
    return state.epoch == epoch


def has_begun(state: Settling, epoch: int) -> bool:
    """Whether they can be decided there: quorums of its members have adopted what was settled."""
    quorum, adopted = state.quorum, state.adopted
    return is_open(state, epoch) and quorum.is_phase1(adopted) and quorum.is_phase2(adopted)


def is_news(state: Settling, name: str, proposal: Proposal[bytes]) -> bool:
    """Whether no proposal under as high a ballot is known for ``name``."""
    known = state.proposals.get(name)
    return known is None or known.ballot < proposal.ballot


# --- the machine ----------------------------------------------------------------------------------


def apply(state: Settling, command: Command, epoch: int, quorum: QuorumSystem) -> Settling:
    """Carry out ``command``; ``quorum`` is that of the members of ``epoch``, the present one."""
    if type(command) is Taught:
        is_news = command.epoch == epoch and not is_open(state, epoch)
        return evolve(state, is_over=True) if is_news else state
    if command.epoch != state.epoch or command.server not in state.quorum.members:
        return state
    if type(command) is Adopted:
        return _adopted(state, command.server) if is_open(state, epoch) else state
    if is_open(state, epoch):
        return state
    if type(command) is Held:
        return _held(state, command.accepted)
    if type(command) is HeldPart:
        return _held_part(state, command)
    if type(command) is HeldAll:
        return _held_all(state, command.server, epoch, quorum)
    assert_never(command)


def _held(state: Settling, accepted: tuple[Accepted, ...]) -> Settling:
    proposals = state.proposals
    for name, proposal in accepted:
        known = proposals.get(name)
        if known is None or known.ballot < proposal.ballot:
            proposals = proposals.put(name, proposal)
    return evolve(state, proposals=proposals)


def _held_part(state: Settling, it: HeldPart) -> Settling:
    """Join the parts in their order; one that was said before, or too early, changes nothing.

    A part may be said late by a former process of the server, whose file was closed as it is now:
    under one ballot it says the same.
    """
    before = next((part for part in state.parts if part.server == it.server), None)
    others = tuple(part for part in state.parts if part.server != it.server)
    value = b""
    if before is not None and _is_same(before, it):
        value = before.proposal.value
    elif not is_news(state, it.name, it.proposal):
        return state
    if len(value) != it.offset:
        return state
    proposal = Proposal(it.proposal.ballot, value + it.proposal.value)
    if it.is_last:
        return _held(evolve(state, parts=others), ((it.name, proposal),))
    return evolve(state, parts=(*others, Part(it.server, it.name, proposal)))


def _is_same(before: Part, it: HeldPart) -> bool:
    return (before.name, before.proposal.ballot) == (it.name, it.proposal.ballot)


def _held_all(state: Settling, server: ServerId, epoch: int, quorum: QuorumSystem) -> Settling:
    reported = state.reported | {server}
    if not state.quorum.is_phase1(reported):
        return evolve(state, reported=reported)
    return Settling(epoch, quorum, state.proposals)


def _adopted(state: Settling, server: ServerId) -> Settling:
    adopted = state.adopted | {server}
    is_in_all = adopted == state.quorum.members
    proposals = PersistentMap[Proposal[bytes]]() if is_in_all else state.proposals
    return evolve(state, adopted=adopted, proposals=proposals)
