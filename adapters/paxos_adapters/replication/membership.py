"""Which servers are members: the state of the log that says it, and what is said in that log.

- An epoch is one set of members. A change begins the next epoch; it is finished when each log that
  is known has said Done for it. Until then no other change begins.
- An address belongs to no epoch: a server that moves stays the same one.
- Named decisions follow as the logs do: see ``settling.py``. A change waits for them, too.
- How the commands change the state is in ``membership_machine.py``.

Source: the lecture, "Multi-Paxos", "Configuration changes"; Lamport, Malkhi and Zhou, "Vertical
Paxos and primary-backup replication" (2009), for a master that says which servers are members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, final

from paxos import QuorumSystem, ServerId
from paxos.quorum import NO_SERVERS
from paxos.values import frozen
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.replication import settling
from paxos_adapters.replication.settling import Settling

FOUNDING_EPOCH = 0

DECISIONS: Final = "$decisions"
"""What a change waits for, beside logs: the named decisions. No log has this name."""

Address: TypeAlias = tuple[str, int]
"""A host and a port."""

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


def newcomers(state: Membership) -> frozenset[ServerId]:
    """The members that the change in progress brings in."""
    return ids(state) - state.before[0].members if state.before else NO_SERVERS


def is_pending(state: Membership, change: Change) -> bool:
    """Whether the change in progress brings in or removes a server that ``change`` does."""
    added = frozenset(it.server for it in change.add)
    leaving = frozenset(it.server for it in state.leaving)
    return bool(added & newcomers(state) or change.remove & leaving)


def absent(state: Membership, remove: Iterable[ServerId] = ()) -> frozenset[ServerId]:
    """The founders that the first change waits for, if it removes the servers ``remove``."""
    if state.epoch > FOUNDING_EPOCH:
        return NO_SERVERS
    missing = ids(state) - state.started
    staying = missing - frozenset(remove)
    return staying if state.founders.is_phase1(state.started) else staying or missing
