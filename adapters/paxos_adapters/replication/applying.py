"""What a server has applied: the state machine and its sessions, after all slots below ``slot``.

- Every server runs the same entries in the same order, and so holds the same of all of this.
- An entry is a batch. Commands of one session that stand together run in one step.
- Which version of the state machine runs is said by an item, and holds for what stands behind it.
- A server that cannot decode or run a command stops there: see ``CannotApply``. It goes on voting.
- A snapshot is due after so many bytes of entries, or where an item says so: on every server after
  the same slot.
- A Change in slot n governs from slot n + window on, as in the core.

Source: the lecture, "Replicated state machine"; Ongaro, "Consensus: Bridging Theory and Practice"
(2014), section 5.1, for independent snapshots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos import Proposal, QuorumSystem
from paxos.errors import assert_never
from paxos.log import Change, Command, Configuration, Noop
from paxos.log import sessions as session_table
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos.log.sessions import Opened, OpenSession, Outcome, Sessions
from paxos_adapters.ports import Codec
from paxos_adapters.replication.batches import (
    Check,
    Commands,
    Opening,
    SnapshotDue,
    VersionChange,
    decoded,
)
from paxos_adapters.state_machine import FIRST_VERSION, StateMachine, later_version

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

DUE_BYTES = 1 << 62
"""What an item counts that makes a snapshot due: more than any bound."""

ITEM_BITS = 16
"""A session is named by its slot and its place in the batch: so many bits for the place."""


@frozen
class Applied(Generic[S, R]):
    """All slots below ``slot`` are applied.

    ``configurations`` govern the slots from ``slot`` on; ``size_bytes`` is that of the entries
    since the last snapshot was due; ``version`` of the state machine runs at ``slot``.
    """

    state: S
    sessions: Sessions[R]
    slot: int
    configurations: tuple[Configuration, ...]
    size_bytes: int = 0
    version: int = FIRST_VERSION


@frozen
class Ran(Generic[C, R]):
    """The commands of one item that were come to in ``slot``, and what came of each."""

    slot: int
    session: int
    commands: Sequence[tuple[int, C]]
    outcomes: Sequence[Outcome[R]]


Happened: TypeAlias = Ran[C, R] | Opened | Check
"""What came of an item; a Check is for the server to compare."""


def started(machine: StateMachine[S, C, R], quorum: QuorumSystem) -> Applied[S, R]:
    """Before the first slot of a log whose first slots ``quorum`` governs."""
    return Applied(machine.start, Sessions(), FIRST_SLOT, (Configuration(FIRST_SLOT, quorum),))


def applied(
    machine: StateMachine[S, C, R],
    commands: Codec[C],
    window: int,
    before: Applied[S, R],
    proposal: Proposal[Entry[bytes]],
) -> tuple[Applied[S, R], list[Happened[C, R]]]:
    """One slot more, and what came of its items.

    Raises VersionMissing, NewerItem, and what the machine and its codec raise.
    """
    entry, slot = proposal.value, before.slot
    if type(entry) is Command:
        return _batch_applied(machine, commands, before, entry.value)
    after = evolve(before, slot=slot + 1)
    if type(entry) is Change:
        change = Configuration(slot + window, entry.quorum)
        return evolve(after, configurations=(*before.configurations, change)), []
    assert type(entry) is Noop
    return after, []


def _batch_applied(
    machine: StateMachine[S, C, R], commands: Codec[C], before: Applied[S, R], batch: bytes
) -> tuple[Applied[S, R], list[Happened[C, R]]]:
    state, table, slot = before.state, before.sessions, before.slot
    version = before.version
    happened: list[Happened[C, R]] = []
    items = [*decoded(batch)]
    weight = len(batch)
    for place, item in enumerate(items):
        if type(item) is Commands:
            asked = [(number, commands.decode(body)) for number, body in item.commands]
            run = machine.of_version(version)
            table, state, outcomes = session_table.apply_all(
                run, table, state, item.session, item.done_below, asked
            )
            happened.append(Ran(slot, item.session, asked, outcomes))
        elif type(item) is Opening:
            table, opened = _opened(machine, table, state, slot << ITEM_BITS | place, item)
            happened.append(opened)
        elif type(item) is VersionChange:
            version = later_version(machine, version, item.version)
        elif type(item) is Check:
            happened.append(item)
        elif type(item) is SnapshotDue:
            weight = DUE_BYTES
        else:
            assert_never(item)
    # A snapshot makes a check due: it must not be the other way round, too.
    is_check = bool(items) and all(type(it) is Check for it in items)
    size_bytes = before.size_bytes + (0 if is_check else weight)
    return Applied(state, table, slot + 1, before.configurations, size_bytes, version), happened


def _opened(
    machine: StateMachine[S, C, R], table: Sessions[R], state: S, session: int, item: Opening
) -> tuple[Sessions[R], Opened]:
    table, _, outcome = session_table.apply(
        machine.apply, table, state, session, OpenSession(item.nonce)
    )
    assert type(outcome) is Opened
    return table, outcome
