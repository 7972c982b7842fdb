"""How the members change: the transition function of the log of members.

- One change is in progress at a time. One exception: a server that it brings in can be removed
  before it is finished. Then the logs go on to the epoch without it. So a newcomer that is lost
  holds up nothing.
- The id of a removed server is never used again.
- The quorum systems of all epochs differ, even if their members are the same: each member weighs
  more in each epoch. So a log tells by its own configuration which epoch it follows.
- Logs that are older than this one are listed by the founders. The first change waits for all
  founders that stay, and for a phase-1 quorum: then no log is missed that may have chosen anything.
- A log that is registered later is founded under the quorum of that epoch.

Source: the lecture, "Multi-Paxos", "Configuration changes".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from paxos import QuorumSystem, ServerId
from paxos.quorum import weighted
from paxos_adapters.limits import MAX_DEPLOYED
from paxos_adapters.replication import membership, settling
from paxos_adapters.replication.membership import (
    FOUNDING_EPOCH,
    Address,
    AddressUsed,
    BadCount,
    Begun,
    Change,
    Changing,
    Command,
    Done,
    IdUsed,
    KnownLog,
    Member,
    Membership,
    Move,
    Noted,
    NotMember,
    NotStarted,
    OtherEpoch,
    Refusal,
    Register,
    Registered,
    Result,
    Started,
    absent,
    founded,
    ids,
    known,
    newcomers,
    unfinished,
)
from paxos_adapters.replication.report_codec import ReportCodec
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec

_WEIGHTS = 3_000
"""Weights begin anew after so many epochs: no server is ever late by as many."""

_MODULES: Final = membership.__name__, settling.__name__


def machine(founders: QuorumSystem) -> StateMachine[Membership, Command, Result]:
    """The state machine of a cluster that was founded under ``founders``."""
    return StateMachine(
        founded(founders),
        apply,
        commands=ReportCodec(ValueCodec[Command](Command, *_MODULES)),
        states=ValueCodec[Membership](Membership, *_MODULES),
        results=ValueCodec[Result](Result, *_MODULES),
    )


def apply(state: Membership, command: Command) -> tuple[Membership, Result]:
    """Carry out ``command``."""
    if type(command) is Started:
        return _started(state, command)
    if type(command) is Register:
        return _registered(state, command.name)
    if type(command) is Change:
        refusal = _refusal(state, command)
        return _begun(state, command) if refusal is None else (state, refusal)
    if type(command) is Move:
        return _moved(state, command)
    if type(command) is Done:
        return _done(state, command)
    return _settling(state, command)


def _started(state: Membership, command: Started) -> tuple[Membership, Result]:
    server = command.server
    if state.epoch > FOUNDING_EPOCH or server not in ids(state) or server in state.started:
        return state, Noted()
    new = (it for it in command.logs if known(state, it) is None)
    logs = (*state.logs, *(KnownLog(it, state.founders) for it in new))
    is_free = _owner(state, server, command.address) is None
    members = (
        _at(it, server, command.address) if is_free and it.address is None else it
        for it in state.members
    )
    return evolve(
        state,
        members=tuple(members),
        logs=logs,
        started=state.started | {server},
    ), Noted()


def _registered(state: Membership, name: str) -> tuple[Membership, Result]:
    log = known(state, name)
    if log is None:
        log = KnownLog(name, state.quorum, state.epoch)
        state = evolve(state, logs=(*state.logs, log))
    return state, Registered(log.founded)


def _refusal(state: Membership, change: Change) -> Refusal | None:
    """Why ``change`` cannot begin."""
    if state.before and (change.add or not change.remove <= newcomers(state)):
        return Changing(state.epoch, unfinished(state))
    if change.epoch != state.epoch:
        return OtherEpoch(state.epoch)
    if missing := absent(state, change.remove):
        return NotStarted(missing)
    for server in sorted(change.remove - ids(state)):
        return NotMember(server)
    used = set(ids(state))
    for it in change.add:
        if it.server in used | state.former:
            return IdUsed(it.server, it.server in used)
        if (owner := _owner(state, it.server, it.address)) is not None:
            return AddressUsed(owner)
        used.add(it.server)
    count = len(used - change.remove)
    return None if 1 <= count <= MAX_DEPLOYED else BadCount(count)


def _begun(state: Membership, change: Change) -> tuple[Membership, Result]:
    if not change.add and not change.remove:
        return state, Begun(state.epoch)
    epoch = state.epoch + 1
    staying = (it for it in state.members if it.server not in change.remove)
    members = tuple(sorted((*staying, *change.add), key=lambda it: it.server))
    gone = tuple(it for it in state.members if it.server in change.remove)
    return evolve(
        state,
        epoch=epoch,
        quorum=_quorum(state.founders, epoch, members),
        members=members,
        before=(*state.before, state.quorum),
        leaving=(*state.leaving, *gone),
        former=state.former | change.remove,
    ), Begun(epoch)


def _quorum(founders: QuorumSystem, epoch: int, members: Iterable[Member]) -> QuorumSystem:
    """More than half of the members, in words that no other epoch has."""
    weight = 1 + epoch % _WEIGHTS
    quorum = weighted({it.server: weight for it in members})
    if quorum != founders:
        return quorum
    return weighted({it.server: weight + _WEIGHTS for it in members})


def _moved(state: Membership, command: Move) -> tuple[Membership, Result]:
    if command.server not in ids(state):
        return state, NotMember(command.server)
    owner = _owner(state, command.server, command.address)
    if owner is not None:
        return state, AddressUsed(owner)
    members = tuple(_at(it, command.server, command.address) for it in state.members)
    return evolve(state, members=members), Noted()


def _at(member: Member, server: ServerId, address: Address) -> Member:
    """``member``, with another address if it is ``server``."""
    return Member(server, address) if member.server == server else member


def _owner(state: Membership, server: ServerId, address: Address | None) -> ServerId | None:
    """Which other server has ``address``."""
    others = (it for it in (*state.members, *state.leaving) if it.server != server)
    return next((it.server for it in others if address is not None and it.address == address), None)


def _done(state: Membership, command: Done) -> tuple[Membership, Result]:
    if command.epoch != state.epoch:
        return state, Noted()
    logs = tuple(
        evolve(it, done=state.epoch) if it.name == command.name else it for it in state.logs
    )
    return _finished(evolve(state, logs=logs)), Noted()


def _settling(state: Membership, command: settling.Command) -> tuple[Membership, Result]:
    decisions = settling.apply(state.decisions, command, state.epoch, state.quorum)
    return _finished(evolve(state, decisions=decisions)), Noted()


def _finished(state: Membership) -> Membership:
    """``state``, without a change if nothing is left of that."""
    return state if unfinished(state) else evolve(state, before=(), leaving=())
