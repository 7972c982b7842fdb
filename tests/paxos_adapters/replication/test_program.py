"""What is applied: slot after slot, the same on every server, until a command cannot be run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise

import pytest

from paxos import Ballot, Proposal, ServerId, flexible, majority
from paxos.log import Change, Command, Configuration, Noop
from paxos.log.messages import Entry
from paxos.log.sessions import Opened
from paxos_adapters.cannot_apply import CannotApply
from paxos_adapters.codecs import INTEGER
from paxos_adapters.ports import Codec
from paxos_adapters.replication.applying import Ran, applied, started
from paxos_adapters.replication.batches import Check, Commands, Item, Opening, batch, encoded
from paxos_adapters.replication.program import Program
from paxos_adapters.replication.snapshots import codecs_of
from paxos_adapters.state_machine import StateMachine

THREE = majority(map(ServerId, (1, 2, 3)))
FOUR = flexible(map(ServerId, (1, 2, 3, 4)), phase1=3, phase2=2)
WINDOW = 64


def divide(total: int, number: int) -> tuple[int, int]:
    return total + 100 // number, total


MACHINE = StateMachine(0, divide, commands=INTEGER, states=INTEGER, results=INTEGER)
COMMANDS: Codec[int] = INTEGER


def chosen(entry: Entry[bytes]) -> Proposal[Entry[bytes]]:
    return Proposal(Ballot(1, ServerId(1)), entry)


def entry(*items: Item) -> Proposal[Entry[bytes]]:
    return chosen(Command(batch(map(encoded, items))))


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


def program(snapshot_bytes: int = 1 << 30) -> Program[int, int, int]:
    start = started(MACHINE, THREE)
    return Program("log", MACHINE, codecs_of(MACHINE), WINDOW, start, 7, snapshot_bytes)


def test_sessions_that_are_opened_in_one_batch_are_two() -> None:
    before = started(MACHINE, THREE)
    after, happened = applied(MACHINE, COMMANDS, WINDOW, before, entry(Opening(1), Opening(2)))
    one, two = happened
    assert isinstance(one, Opened)
    assert isinstance(two, Opened)
    assert one.session != two.session
    assert (one.nonce, two.nonce) == (1, 2)
    assert after.slot == 2


def test_a_change_governs_a_window_later() -> None:
    before = started(MACHINE, THREE)
    after, happened = applied(MACHINE, COMMANDS, WINDOW, before, chosen(Change(FOUR)))
    assert after.configurations == (Configuration(1, THREE), Configuration(1 + WINDOW, FOUR))
    assert (after.slot, happened) == (2, [])


def test_an_entry_that_is_no_batch_does_nothing() -> None:
    before = started(MACHINE, THREE)
    for proposal in chosen(Noop()), chosen(Command(b"junk")):
        after, happened = applied(MACHINE, COMMANDS, WINDOW, before, proposal)
        assert (after.state, after.slot, happened) == (0, 2, [])


def test_slots_are_applied_in_their_order_however_they_are_reported() -> None:
    async def run() -> None:
        it = program()
        opened = entry(Opening(9))
        session = 1 << 16
        second = entry(Commands(session, 1, [(1, b"1")]))
        third = entry(Commands(session, 1, [(2, b"50")]))
        it.commit(3, (third,))
        assert it.applied.slot == 1
        it.commit(1, (opened, second))
        assert (it.applied.slot, it.applied.state) == (4, 102)
        it.commit(2, (second, third))  # Once more, and one of them twice.
        assert (it.applied.slot, it.applied.state) == (4, 102)

    runs(run())


def test_a_command_that_cannot_be_run_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        it = program()
        session = 1 << 16
        waiting = it.submissions.submit([b"7"])
        last = entry(Commands(session, 1, [(3, b"1")]))
        it.commit(1, (entry(Opening(9)), entry(Commands(session, 1, [(1, b"0")])), last))
        assert isinstance(it.failure, CannotApply)
        assert it.failure.slot == 2
        assert waiting.answer.exception() is it.failure
        it.commit(3, (entry(Commands(session, 1, [(2, b"1")])),))
        assert (it.applied.slot, it.applied.state) == (2, 0)

    runs(run())
    assert "ZeroDivisionError" in caplog.text


def test_a_snapshot_is_due_after_so_many_bytes_of_entries() -> None:
    async def run() -> None:
        it = program(snapshot_bytes=40)
        session = 1 << 16
        it.commit(1, (entry(Opening(9)),))
        due: list[int] = []
        for number in range(1, 20):
            it.commit(number + 1, (entry(Commands(session, number, [(number, b"1")])),))
            snapshot = it.take_due()
            if snapshot is not None:
                due.append(snapshot.slot)
        size_bytes = len(batch([encoded(Commands(session, 1, [(1, b"1")]))]))
        assert len(due) >= 3
        assert {after - slot for slot, after in pairwise(due[1:])} == {-(-40 // size_bytes)}

    runs(run())


def test_a_check_makes_no_snapshot_due() -> None:
    """A snapshot makes a check due: the log would never come to rest."""

    async def run() -> None:
        it = program(snapshot_bytes=1)
        it.commit(1, (entry(Check(1, 1, 1, bytes(16))),))
        assert it.take_due() is None
        it.commit(2, (entry(Opening(9)),))
        assert it.take_due() is not None

    runs(run())


def test_what_a_snapshot_brings_is_gone_on_from() -> None:
    async def run() -> None:
        it = program()
        session = 1 << 16
        later = entry(Commands(session, 1, [(2, b"1")]))
        it.commit(3, (later,))
        ahead, _ = applied(MACHINE, COMMANDS, WINDOW, it.applied, entry(Opening(9)))
        ahead, _ = applied(
            MACHINE, COMMANDS, WINDOW, ahead, entry(Commands(session, 1, [(1, b"1")]))
        )
        it.install(ahead)
        assert (it.applied.slot, it.applied.state) == (4, 200)

    runs(run())


def test_outcomes_say_which_commands_were_run() -> None:
    before, _ = applied(MACHINE, COMMANDS, WINDOW, started(MACHINE, THREE), entry(Opening(9)))
    _, (ran,) = applied(
        MACHINE, COMMANDS, WINDOW, before, entry(Commands(1 << 16, 1, [(1, b"1"), (2, b"2")]))
    )
    assert isinstance(ran, Ran)
    assert (ran.slot, ran.commands) == (2, [(1, 1), (2, 2)])
