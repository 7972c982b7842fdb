"""Which servers are members: the state machine of the log that says it, as a pure function.

- An epoch is one set of members. A change begins the next epoch; it is finished when each log that
  is known has said Done for it. Until then no other change begins.
- One exception: a server that a change brings in can be removed before that change is finished.
  Then the logs go on to the epoch without it. So a newcomer that is lost holds up nothing.
- The id of a removed server is never used again.
- The quorum systems of all epochs differ, even if their members are the same: each member weighs
  more in each epoch. So a log tells by its own configuration which epoch it follows.
- Logs that are older than this one are listed by the founders. The first change waits for all
  founders that stay, and for a phase-1 quorum: then no log is missed that may have chosen anything.
- A log that is registered later is founded under the quorum of that epoch.
- An address belongs to no epoch: a server that moves stays the same one.
- Named decisions follow as the logs do: see ``settling.py``. A change waits for them, too.

Source: the lecture, "Multi-Paxos", "Configuration changes"; Lamport, Malkhi and Zhou, "Vertical
Paxos and primary-backup replication" (2009), for a master that says which servers are members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, final

from attrs import evolve

from paxos import QuorumSystem, ServerId
from paxos.quorum import NO_SERVERS, weighted
from paxos.values import frozen
from paxos_adapters.limits import MAX_DEPLOYED, MEMBERS_LOG
from paxos_adapters.replication import settling
from paxos_adapters.replication.report_codec import ReportCodec
from paxos_adapters.replication.settling import Settling
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.value_codec import ValueCodec

FOUNDING_EPOCH = 0

DECISIONS: Final = "$decisions"
"""What a change waits for, beside logs: the named decisions. No log has this name."""

Address: TypeAlias = tuple[str, int]
"""A host and a port."""

_WEIGHTS = 3_000
"""Weights begin anew after so many epochs: no server is ever late by as many."""

# --- states ---------------------------------------------------------------------------------------


@final
@frozen
class Member:
    """A server and its address; None: a founder that has not said it, at its configured one."""

    server: ServerId
    address: Address | None = None


@final
@frozen
class KnownLog:
    """A log was founded under ``founded``, and follows the epoch ``done``."""

    name: str
    founded: QuorumSystem
    done: int = FOUNDING_EPOCH


@final
@frozen
class Membership:
    """The members, by id. ``quorum`` is that of ``epoch``.

    ``before`` are the quorum systems that a log may still have while a change is in progress.
    ``leaving`` are the servers that such a log may still need. Without a change both are empty.
    ``started`` have listed their logs. ``decisions`` are the named ones, on their way.
    """

    founders: QuorumSystem
    quorum: QuorumSystem
    members: tuple[Member, ...]
    logs: tuple[KnownLog, ...]
    decisions: Settling
    epoch: int = FOUNDING_EPOCH
    before: tuple[QuorumSystem, ...] = ()
    leaving: tuple[Member, ...] = ()
    former: frozenset[ServerId] = NO_SERVERS
    started: frozenset[ServerId] = NO_SERVERS


def founded(founders: QuorumSystem) -> Membership:
    """Before the first command."""
    members = tuple(Member(it) for it in sorted(founders.members))
    logs = (KnownLog(MEMBERS_LOG, founders),)
    decisions = settling.founded(founders, FOUNDING_EPOCH)
    return Membership(founders, founders, members, logs, decisions)


# --- commands and results -------------------------------------------------------------------------


@final
@frozen
class Started:
    """A founder has these ``logs``, and from now on runs others only as they are registered."""

    server: ServerId
    address: Address
    logs: tuple[str, ...]


@final
@frozen
class Register:
    """A new log begins, unless it is known."""

    name: str


@final
@frozen
class Change:
    """Begin the next epoch with other members, if ``epoch`` is the present one."""

    epoch: int
    add: tuple[Member, ...] = ()
    remove: frozenset[ServerId] = NO_SERVERS


@final
@frozen
class Move:
    """``server`` is to be found at another address."""

    server: ServerId
    address: Address


@final
@frozen
class Done:
    """The log ``name`` needs no server that is not of ``epoch`` any more."""

    epoch: int
    name: str


Command: TypeAlias = Started | Register | Change | Move | Done | settling.Command


@final
@frozen
class Noted:
    """It is known now, or was before."""


@final
@frozen
class Registered:
    """``founded`` governs the first slots of the log."""

    founded: QuorumSystem


@final
@frozen
class Begun:
    """The change to ``epoch`` has begun."""

    epoch: int


@final
@frozen
class Changing:
    """Refused: the change to ``epoch`` is in progress, and waits for these ``logs``.

    One of them may be DECISIONS.
    """

    epoch: int
    logs: tuple[str, ...]


@final
@frozen
class OtherEpoch:
    """Refused: it is ``epoch`` now."""

    epoch: int


@final
@frozen
class NotStarted:
    """Refused: these founders have not listed their logs."""

    servers: frozenset[ServerId]


@final
@frozen
class IdUsed:
    """Refused: ``server`` is a member, or was one."""

    server: ServerId
    is_member: bool


@final
@frozen
class NotMember:
    """Refused: ``server`` is not a member."""

    server: ServerId


@final
@frozen
class AddressUsed:
    """Refused: the address is that of ``server``."""

    server: ServerId


@final
@frozen
class BadCount:
    """Refused: there would be ``members`` members, none or too many."""

    members: int


Refusal: TypeAlias = (
    Changing | OtherEpoch | NotStarted | IdUsed | NotMember | AddressUsed | BadCount
)
Result: TypeAlias = Noted | Registered | Begun | Refusal


# --- what follows from a state --------------------------------------------------------------------


@final
@frozen
class Wanted:
    """A log that has one of the systems ``before`` is to have ``after``, that of ``epoch``."""

    epoch: int
    before: tuple[QuorumSystem, ...]
    after: QuorumSystem


def wanted(state: Membership, name: str) -> Wanted | None:
    """What the log ``name`` is to do; None: it follows."""
    log = known(state, name)
    if log is None or log.done == state.epoch:
        return None
    return Wanted(state.epoch, state.before, state.quorum)


def may_follow(state: Membership, name: str) -> bool:
    """Whether the log ``name`` may do so already.

    That of the members waits until the named decisions are settled: their old members report in it.
    """
    return name != MEMBERS_LOG or settling.is_open(state.decisions, state.epoch)


def known(state: Membership, name: str) -> KnownLog | None:
    """The log ``name``; None if it is not registered."""
    return next((it for it in state.logs if it.name == name), None)


def unfinished(state: Membership) -> tuple[str, ...]:
    """The logs that the change in progress waits for; last DECISIONS, if it waits for them."""
    logs = tuple(it.name for it in state.logs if it.done < state.epoch)
    is_decided = not state.before or settling.has_begun(state.decisions, state.epoch)
    return logs if is_decided else (*logs, DECISIONS)


def ids(state: Membership) -> frozenset[ServerId]:
    """The members."""
    return frozenset(it.server for it in state.members)


def addresses(state: Membership) -> Mapping[ServerId, Address | None]:
    """Where the servers are that take part in any log: members, and servers that are leaving."""
    return {it.server: it.address for it in (*state.members, *state.leaving)}


def steps(state: Membership) -> int:
    """How many steps of changes it knows: each change begins and ends, the last one perhaps not."""
    return 2 * state.epoch - bool(state.before)


def is_removed(state: Membership, server: ServerId) -> bool:
    """Whether ``server`` was a member, and no log needs it any more."""
    return server in state.former and all(it.server != server for it in state.leaving)


def adopting(state: Membership) -> frozenset[ServerId]:
    """The members that have not adopted what was settled for the named decisions of the epoch."""
    is_settled = settling.is_open(state.decisions, state.epoch)
    return ids(state) - state.decisions.adopted if is_settled else ids(state)


def is_pending(state: Membership, change: Change) -> bool:
    """Whether the change in progress brings in or removes a server that ``change`` does."""
    added = frozenset(it.server for it in change.add)
    leaving = frozenset(it.server for it in state.leaving)
    return bool(added & _newcomers(state) or change.remove & leaving)


def absent(state: Membership, remove: Iterable[ServerId] = ()) -> frozenset[ServerId]:
    """The founders that the first change waits for, if it removes the servers ``remove``."""
    if state.epoch > FOUNDING_EPOCH:
        return NO_SERVERS
    missing = ids(state) - state.started
    staying = missing - frozenset(remove)
    return staying if state.founders.is_phase1(state.started) else staying or missing


# --- the machine ----------------------------------------------------------------------------------


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
    if state.before and (change.add or not change.remove <= _newcomers(state)):
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


def _newcomers(state: Membership) -> frozenset[ServerId]:
    """The members that the change in progress brings in."""
    return ids(state) - state.before[0].members if state.before else NO_SERVERS


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


_MODULES: Final = (__name__, settling.__name__)


def machine(founders: QuorumSystem) -> StateMachine[Membership, Command, Result]:
    """The state machine of a cluster that was founded under ``founders``."""
    return StateMachine(
        founded(founders),
        apply,
        commands=ReportCodec(ValueCodec[Command](Command, *_MODULES)),
        states=ValueCodec[Membership](Membership, *_MODULES),
        results=ValueCodec[Result](Result, *_MODULES),
    )
