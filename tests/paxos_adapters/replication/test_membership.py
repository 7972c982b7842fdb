"""The log of members: by a table of what each command does, and what holds after any commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import QuorumSystem, ServerId, flexible, majority, weighted
from paxos_adapters.limits import MAX_DEPLOYED, MEMBERS_LOG
from paxos_adapters.replication import membership, membership_machine
from paxos_adapters.replication.membership import (
    DECISIONS,
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
    Register,
    Registered,
    Result,
    Started,
    Wanted,
)
from paxos_adapters.replication.settling import Adopted, HeldAll
from tests.support.state_machines import run_alone, run_replicated

ONE, TWO, THREE, FOUR, FIVE = (ServerId(number) for number in range(1, 6))
FOUNDERS = majority([ONE, TWO, THREE])
MACHINE = membership_machine.machine(FOUNDERS)


def at(server: int) -> tuple[str, int]:
    return f"10.0.0.{server}", 47100


def started(server: int, *logs: str) -> Started:
    return Started(ServerId(server), at(server), logs)


def add(epoch: int, *servers: int) -> Change:
    return Change(epoch, tuple(Member(ServerId(it), at(it)) for it in servers))


def remove(epoch: int, *servers: int) -> Change:
    return Change(epoch, (), frozenset(map(ServerId, servers)))


def replace(epoch: int, old: int, new: int) -> Change:
    return Change(epoch, (Member(ServerId(new), at(new)),), frozenset({ServerId(old)}))


def settled(epoch: int) -> list[Command]:
    """All say that they have accepted nothing, and have adopted the epoch."""
    everyone = [ServerId(it) for it in range(1, 8)]
    held = [HeldAll(earlier, it) for earlier in range(epoch) for it in everyone]
    return [*held, *(Adopted(epoch, it) for it in everyone)]


def done(epoch: int, *logs: str) -> list[Command]:
    return [*settled(epoch), *(Done(epoch, it) for it in (MEMBERS_LOG, *logs))]


def servers(*numbers: int) -> frozenset[ServerId]:
    return frozenset(map(ServerId, numbers))


ALL: list[Command] = [started(1, "kv"), started(2, "kv"), started(3)]
ADDED = [*ALL, add(0, 4), *done(1, "kv")]
REPLACED = [*ALL, replace(0, 3, 4), *done(1, "kv")]
TABLE: dict[str, tuple[Sequence[Command], Command, Result]] = {
    "a log is founded under the founders": ([], Register("kv"), Registered(FOUNDERS)),
    "a log is registered once": ([*ADDED], Register("kv"), Registered(FOUNDERS)),
    "none has listed its logs": ([], add(0, 4), NotStarted(servers(1, 2, 3))),
    "one has not listed its logs": (ALL[:2], add(0, 4), NotStarted(servers(3))),
    "the one that has not is removed": (ALL[:2], replace(0, 3, 4), Begun(1)),
    "two that have not are too many": (ALL[:1], remove(0, 2, 3), NotStarted(servers(2, 3))),
    "one that has is removed, one that has not stays": (
        ALL[:2],
        remove(0, 2),
        NotStarted(servers(3)),
    ),
    "all have": (ALL, add(0, 4), Begun(1)),
    "an epoch too low": (ADDED, add(0, 5), OtherEpoch(1)),
    "an epoch too high": (ALL, add(1, 4), OtherEpoch(0)),
    "a change is in progress": (
        [*ALL, add(0, 4)],
        add(0, 5),
        Changing(1, (MEMBERS_LOG, "kv", DECISIONS)),
    ),
    "a change waits for one log": (
        [*ALL, add(0, 4), *settled(1), Done(1, "kv")],
        add(1, 5),
        Changing(1, (MEMBERS_LOG,)),
    ),
    "a change waits for the named decisions": (
        [*ALL, add(0, 4), Done(1, "kv"), Done(1, MEMBERS_LOG), *settled(1)[:-5]],
        add(1, 5),
        Changing(1, (DECISIONS,)),
    ),
    "a quorum has adopted them last": (
        [*ALL, add(0, 4), Done(1, "kv"), Done(1, MEMBERS_LOG), *settled(1)[:-4]],
        add(1, 5),
        Begun(2),
    ),
    "a change is finished": (ADDED, add(1, 5), Begun(2)),
    "another epoch is done": (
        [*ALL, add(0, 4), *done(0, "kv"), *done(2, "kv")],
        add(1, 5),
        Changing(1, (MEMBERS_LOG, "kv", DECISIONS)),
    ),
    "a newcomer is removed while it is brought in": ([*ALL, add(0, 4)], remove(1, 4), Begun(2)),
    "its removal expects the epoch too": ([*ALL, add(0, 4)], remove(0, 4), OtherEpoch(1)),
    "an older member is not": (
        [*ALL, add(0, 4)],
        remove(1, 3, 4),
        Changing(1, (MEMBERS_LOG, "kv", DECISIONS)),
    ),
    "nor is another one added": (
        [*ALL, add(0, 4)],
        replace(1, 4, 5),
        Changing(1, (MEMBERS_LOG, "kv", DECISIONS)),
    ),
    "the id of a member": (ALL, add(0, 3), IdUsed(THREE, is_member=True)),
    "an id twice": (ALL, add(0, 4, 4), IdUsed(FOUR, is_member=True)),
    "the id of a former member": (REPLACED, add(1, 3), IdUsed(THREE, is_member=False)),
    "the id of a newcomer that was removed": (
        [*ALL, add(0, 4), remove(1, 4), *done(2, "kv")],
        add(2, 4),
        IdUsed(FOUR, is_member=False),
    ),
    "another one is removed": (ALL, remove(0, 4), NotMember(FOUR)),
    "a former member is removed": (REPLACED, remove(1, 3), NotMember(THREE)),
    "an address that is used": (
        ALL,
        Change(0, (Member(FOUR, at(3)),)),
        AddressUsed(THREE),
    ),
    "the address of a server that is replaced": (
        ALL,
        Change(0, (Member(FOUR, at(3)),), servers(3)),
        AddressUsed(THREE),
    ),
    "nobody is left": (ALL, remove(0, 1, 2, 3), BadCount(0)),
    "as many as there may be": (ALL, add(0, *range(4, MAX_DEPLOYED + 1)), Begun(1)),
    "more than there may be": (ALL, add(0, *range(4, MAX_DEPLOYED + 2)), BadCount(16)),
    "nothing is changed": (ALL, Change(0), Begun(0)),
    "a move": (ALL, Move(ONE, at(9)), Noted()),
    "a move of another one": (ALL, Move(FOUR, at(9)), NotMember(FOUR)),
    "a move to where another one is": (ALL, Move(ONE, at(2)), AddressUsed(TWO)),
    "a move to where it is": (ALL, Move(ONE, at(1)), Noted()),
    "an unknown log is done": (ALL, Done(0, "other"), Noted()),
    "a newcomer lists logs": (ADDED, started(4, "other"), Noted()),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_a_command_does(name: str) -> None:
    before, command, result = TABLE[name]

    state, _ = run_alone(MACHINE, before)
    after, found = MACHINE.apply(state, command)

    assert found == result
    if not isinstance(result, Noted | Registered | Begun):
        assert after == state, "what is refused changes nothing"
    run_alone(MACHINE, [*before, command])


def state_after(*commands: Command) -> Membership:
    return run_alone(MACHINE, commands)[0]


def test_a_change_from_its_beginning_to_its_end() -> None:
    begun = state_after(*ALL, replace(0, 3, 4))
    assert membership.ids(begun) == servers(1, 2, 4)
    assert membership.addresses(begun) == {ServerId(it): at(it) for it in (1, 2, 3, 4)}
    assert membership.unfinished(begun) == (MEMBERS_LOG, "kv", DECISIONS)
    assert membership.adopting(begun) == servers(1, 2, 4)
    assert not membership.is_removed(begun, THREE)
    assert membership.wanted(begun, "kv") == Wanted(1, (FOUNDERS,), begun.quorum)
    assert begun.quorum.members == servers(1, 2, 4)

    half = state_after(*ALL, replace(0, 3, 4), Done(1, "kv"))
    assert membership.wanted(half, "kv") is None
    assert membership.wanted(half, MEMBERS_LOG) is not None
    assert membership.may_follow(half, "kv")
    assert not membership.may_follow(half, MEMBERS_LOG), "servers that leave report in it"
    settled_ = state_after(*ALL, replace(0, 3, 4), HeldAll(0, ONE), HeldAll(0, TWO))
    assert membership.may_follow(settled_, MEMBERS_LOG)
    assert not membership.is_removed(half, THREE)

    end = state_after(*REPLACED)
    assert membership.unfinished(end) == ()
    assert membership.adopting(end) == servers()
    assert membership.is_removed(end, THREE)
    assert membership.addresses(end) == {ServerId(it): at(it) for it in (1, 2, 4)}


def test_a_newcomer_that_is_removed_leaves_both_systems_behind() -> None:
    state = state_after(*ALL, add(0, 4), remove(1, 4))
    between = state_after(*ALL, add(0, 4)).quorum

    assert membership.wanted(state, "kv") == Wanted(2, (FOUNDERS, between), state.quorum)
    assert membership.addresses(state).keys() == servers(1, 2, 3, 4)
    assert state.quorum.members == servers(1, 2, 3)


def test_a_log_is_founded_under_the_members_of_its_time() -> None:
    state = state_after(*REPLACED, Register("new"))

    assert membership.known(state, "new") == KnownLog("new", state.quorum, 1)
    assert membership.wanted(state, "new") is None
    assert membership.known(state, "other") is None
    assert membership.wanted(state, "other") is None


def test_a_log_that_begins_while_a_change_is_in_progress_follows_it() -> None:
    state = state_after(*ALL, replace(0, 3, 4), Register("new"))

    assert membership.unfinished(state) == (MEMBERS_LOG, "kv", DECISIONS)


def test_a_move_is_no_epoch() -> None:
    before, after = state_after(*ALL), state_after(*ALL, Move(ONE, at(9)))

    assert (after.epoch, after.quorum) == (before.epoch, before.quorum)
    assert membership.addresses(after)[ONE] == at(9)


def test_a_founder_does_not_take_the_address_of_another_one() -> None:
    state = state_after(Move(TWO, at(1)), *ALL)

    assert membership.addresses(state) == {ONE: None, TWO: at(1), THREE: at(3)}


def test_an_address_that_was_moved_is_not_taken_back_by_a_restart() -> None:
    state = state_after(Move(ONE, at(9)), *ALL)

    assert membership.addresses(state)[ONE] == at(9)


def test_quorums_by_other_rules_than_majorities() -> None:
    """A phase-1 quorum of the founders has to list its logs, whatever that is."""
    state = membership.founded(flexible([ONE, TWO, THREE], phase1=1, phase2=3))
    state, _ = membership_machine.apply(state, started(1))

    assert membership.absent(state, servers(2, 3)) == frozenset()
    assert membership.absent(state, servers(3)) == servers(2)


def test_the_same_members_later_have_another_system() -> None:
    commands: list[Command] = [add(1, 5), *done(2, "kv"), remove(2, 5), *done(3, "kv")]
    first, third = state_after(*REPLACED), state_after(*REPLACED, *commands)

    assert membership.ids(third) == membership.ids(first)
    assert third.quorum != first.quorum


def test_no_later_system_is_that_of_the_founders() -> None:
    heavy = weighted({ONE: 3, TWO: 3, THREE: 3})
    commands: list[Command] = [*ALL, add(0, 4), remove(1, 4), *done(2, "kv")]

    state, _ = run_alone(membership_machine.machine(heavy), commands)

    assert (state.epoch, membership.ids(state)) == (2, heavy.members)
    assert state.quorum != heavy


# --- whatever the order ---------------------------------------------------------------------------

SERVERS = st.integers(1, 7)
IDS = SERVERS.map(ServerId)
LOGS = st.sampled_from(["kv", "queue", MEMBERS_LOG])
EPOCHS = st.integers(0, 6)
COMMANDS = st.lists(
    st.builds(started, SERVERS, LOGS)
    | st.builds(Register, LOGS)
    | st.builds(add, EPOCHS, SERVERS)
    | st.builds(remove, EPOCHS, SERVERS)
    | st.builds(replace, EPOCHS, SERVERS, SERVERS)
    | st.builds(Move, st.builds(ServerId, SERVERS), st.builds(at, SERVERS))
    | st.builds(HeldAll, EPOCHS, IDS)
    | st.builds(Adopted, EPOCHS, IDS)
    | st.builds(Done, EPOCHS, LOGS),
    max_size=40,
)
LUCKY = st.lists(
    st.builds(replace, st.just(-1), SERVERS, SERVERS)
    | st.builds(add, st.just(-1), SERVERS)
    | st.builds(remove, st.just(-1), SERVERS)
    | st.builds(HeldAll, st.just(-1), IDS)
    | st.builds(Adopted, st.just(-1), IDS)
    | st.builds(Done, st.just(-1), LOGS)
    | st.builds(Register, LOGS),
    max_size=40,
)
"""Commands that expect the present epoch, whichever it is."""


def history(commands: Iterable[Command]) -> list[tuple[Membership, Command | None, Result | None]]:
    """Each state, and the command and the result that have led to it."""
    state = MACHINE.start
    found: list[tuple[Membership, Command | None, Result | None]] = [(state, None, None)]
    for command in commands:
        if isinstance(command, Change) and command.epoch < 0:
            command = Change(state.epoch, command.add, command.remove)
        elif isinstance(command, Done | Adopted) and command.epoch < 0:
            command = evolve(command, epoch=state.epoch)
        elif isinstance(command, HeldAll) and command.epoch < 0:
            command = evolve(command, epoch=state.decisions.epoch)
        state, result = MACHINE.apply(state, command)
        found.append((state, command, result))
    return found


@given(COMMANDS | LUCKY.map(lambda some: [*ALL, *some]))
@settings(max_examples=300)
def test_what_holds_whatever_the_order(commands: list[Command]) -> None:
    states = history(commands)
    systems: dict[int, QuorumSystem] = {}
    for state, _, _ in states:
        assert not membership.ids(state) & state.former
        assert state.quorum.members == membership.ids(state)
        assert systems.setdefault(state.epoch, state.quorum) == state.quorum
        assert bool(state.before) == bool(membership.unfinished(state))
        assert state.before or not state.leaving
        assert {it.server for it in state.leaving} <= state.former
        known = [it for it in membership.addresses(state).values() if it is not None]
        assert len(known) == len(set(known)), "no two servers are at one address"
    assert len(set(systems.values())) == len(systems), "each epoch has a system of its own"


@given(COMMANDS | LUCKY.map(lambda some: [*ALL, *some]))
@settings(max_examples=300)
def test_what_a_step_may_do(commands: list[Command]) -> None:
    for (before, _, _), (after, command, result) in pairwise(history(commands)):
        assert before.former <= after.former
        is_step = (after.quorum, after.before) != (before.quorum, before.before)
        assert (membership.steps(after) > membership.steps(before)) is is_step
        assert membership.steps(after) >= membership.steps(before)
        assert [it.founded for it in before.logs] == [
            it.founded for it in after.logs[: len(before.logs)]
        ]
        if after.epoch == before.epoch:
            assert membership.ids(after) == membership.ids(before)
            continue
        assert isinstance(command, Change)
        assert result == Begun(after.epoch) == Begun(before.epoch + 1)
        assert command.epoch == before.epoch
        assert before.founders.is_phase1(before.started)
        if before.before:
            assert not command.add
            assert not command.remove & before.before[0].members


@given(COMMANDS, st.integers(0, 1 << 32))
@settings(max_examples=3)
def test_servers_agree(commands: list[Command], seed: int) -> None:
    run_replicated(MACHINE, [*ALL, *commands], seed)
