"""A log follows the members: what its leader proposes, and when the log is done.

- The log of members is only the wish. What governs a log are the changes in the log itself.
- A change is proposed where the log has a system of an earlier epoch. If it has another one, this
  server is late: it does nothing.
- First the newcomers are taught: each holds all but less than a window of what the leader knows.
  So the new quorums can go on at once.
- A change governs a window later. An idle log gets there by no-ops.
- A log is done when its last change is finished: see ``paxos.log.progress``.

Source: the lecture, "Multi-Paxos", "Configuration changes".
"""

from __future__ import annotations

from typing import TypeAlias, final

from attrs import frozen

from paxos import QuorumSystem, ServerId
from paxos.log import Change, Configuration, Noop, replica
from paxos.log.leader import Leading
from paxos.log.replica import Replica
from paxos_adapters.replication.membership import Wanted


@final
@frozen
class Waits:
    """The leader waits: for these servers to be taught, or for entries that are in flight."""

    untaught: frozenset[ServerId] = frozenset()


@final
@frozen
class Proposes:
    """The leader proposes ``entries``, for the next slots."""

    entries: tuple[Change | Noop, ...]


@final
@frozen
class Follows:
    """The log is done with the epoch: it needs no server that is not of it any more."""


Decision: TypeAlias = Waits | Proposes | Follows


def decide(state: Replica[bytes], wanted: Wanted) -> Decision | None:
    """What a leader does about ``wanted``; None for a replica that does not lead, or is late."""
    role = state.role
    if type(role) is not Leading:
        return None
    last = _last_configuration(state, role)
    if last.quorum == wanted.after:
        return _pushed(state, role, last)
    if last.quorum not in wanted.before:
        return None
    missing = untaught(state, last.quorum, wanted)
    if missing or not replica.room(state):
        return Waits(missing)
    return Proposes((Change(wanted.after),))


def untaught(state: Replica[bytes], quorum: QuorumSystem, wanted: Wanted) -> frozenset[ServerId]:
    """The newcomers to ``quorum`` that lack a window, or more, of what is chosen."""
    return _untaught(state, wanted.after.members - quorum.members)


def have_been_taught(state: Replica[bytes], members: frozenset[ServerId]) -> bool:
    """Whether this replica leads, and those of ``members`` that are new to its log are taught."""
    last = state.memory.configurations[-1].quorum
    return type(state.role) is Leading and not _untaught(state, members - last.members)


def _untaught(state: Replica[bytes], newcomers: frozenset[ServerId]) -> frozenset[ServerId]:
    held, window = replica.progress(state), state.rules.window
    return newcomers - {it for it, slot in held.items() if slot + window > state.memory.first}


def _last_configuration(state: Replica[bytes], role: Leading[bytes]) -> Configuration:
    """The last one in the log, also if its change is in flight."""
    last = state.memory.configurations[-1]
    for slot, it in enumerate(role.in_flight, state.memory.first):
        if type(it.entry) is Change:
            last = Configuration(slot + state.rules.window, it.entry.quorum)
    return last


def _pushed(state: Replica[bytes], role: Leading[bytes], last: Configuration) -> Decision:
    """Bring the log to the slot from which on ``last`` governs."""
    if last == state.memory.configurations[-1] and replica.is_changed(state):
        return Follows()
    lacking = last.slot - state.memory.first - len(role.in_flight)
    count = min(lacking, replica.room(state))
    return Proposes((Noop(),) * count) if count > 0 else Waits()
