"""A machine's process: what waits for which save, what a disk holds, and what leaves when."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Broadcast,
    Done,
    From,
    Heartbeat,
    MaxRound,
    NotSaved,
    Prepare,
    Promise,
    Propose,
    RetryTimer,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
    UnknownServer,
    server,
)
from paxos_adapters.machine import in_order, latest
from paxos_adapters.single import Single, SingleProcess, single
from tests.support import NON_MEMBER, S1, S2, S3, THREE, ballot

MACHINE: Single[str] = single()
B12, B13 = ballot("1.2"), ballot("1.3")


def begin(*disk: server.Record[str]) -> SingleProcess[str]:
    return MACHINE.begin(S1, THREE, disk)


class TestTake:
    """One step."""

    def test_what_needs_a_save_waits_for_it(self) -> None:
        process, free = MACHINE.take(begin(), From(S2, Prepare(B12)))
        assert free == ()
        assert process.unsaved == (Acceptor(B12),)
        assert process.state.acceptor == Acceptor(B12)
        assert process.disk == ()

    def test_what_needs_none_leaves_at_once(self) -> None:
        process, _ = MACHINE.take(begin(), From(S3, Prepare(B13)))
        after, free = MACHINE.take(process, From(S2, Prepare(B12)))
        assert [type(it) for it in free] == [To]
        assert after.waiting == process.waiting

    def test_a_record_on_the_disk_is_not_waited_for(self) -> None:
        """By identity: an equal record may be one that was never saved."""
        process, _ = MACHINE.take(begin(), From(S2, Prepare(B12)))
        process, first = MACHINE.saved(process, Saved(process.unsaved))
        again, free = MACHINE.take(process, From(S2, Prepare(B12)))
        assert free == first == (To(S2, Promise[str](B12, None)),)
        assert again.waiting == ()
        twin = evolve(process, disk=(Acceptor[str](B12),))
        after, none = MACHINE.take(twin, From(S2, Prepare(B12)))
        assert (none, len(after.waiting)) == ((), 1)

    def test_a_process_is_a_value(self) -> None:
        """To drop the new one undoes the step."""
        process = begin()
        before = repr(process)
        MACHINE.take(process, Propose("red"))
        assert repr(process) == before

    def test_only_a_member_begins(self) -> None:
        with pytest.raises(UnknownServer):
            MACHINE.begin(NON_MEMBER, THREE)


class TestSaved:
    """The end of a save."""

    def two(self) -> SingleProcess[str]:
        process, _ = MACHINE.take(begin(), From(S2, Prepare(B12)))
        process, _ = MACHINE.take(process, Propose("red"))
        return process

    def test_steps_leave_in_order_and_their_records_are_on_the_disk(self) -> None:
        process = self.two()
        after, freed = MACHINE.saved(process, Saved(process.unsaved))
        assert [type(it) for it in freed] == [To, Broadcast, SetTimer, SetTimer]
        assert after.disk == (Acceptor(B12), MaxRound(2))
        assert after.waiting == ()

    def test_a_part_of_them(self) -> None:
        process = self.two()
        after, freed = MACHINE.saved(process, Saved(process.unsaved[:1]), 1)
        assert freed == (To(S2, Promise[str](B12, None)),)
        assert (after.disk, after.unsaved) == ((Acceptor(B12),), (MaxRound(2),))

    def test_none_of_them(self) -> None:
        process = self.two()
        assert MACHINE.saved(process, Saved(()), 0) == (process, ())

    def test_a_receipt_for_something_else_frees_nothing(self) -> None:
        process = self.two()
        with pytest.raises(NotSaved):
            MACHINE.saved(process, Saved((Acceptor[str](B12), MaxRound(2))))

    def test_a_record_is_saved_once(self) -> None:
        """A duplicate waits for the first save, and needs no other."""
        process, _ = MACHINE.take(begin(), From(S2, Prepare(B12)))
        process, none = MACHINE.take(process, From(S2, Prepare(B12)))
        assert (none, len(process.waiting), len(process.unsaved)) == ((), 2, 1)
        after, freed = MACHINE.saved(process, Saved(process.unsaved))
        assert freed == (To(S2, Promise[str](B12, None)),) * 2
        assert after.disk == (Acceptor(B12),)


class TestSort:
    """What a driver does with effects."""

    def test_each_kind(self) -> None:
        done = Done(B12, "red", own=False)
        timer = SetTimer[server.ServerTimer](RetryTimer(B12), 0)
        work = MACHINE.sort(
            begin(), (To(S2, Prepare(B12)), Broadcast(Heartbeat()), timer, Tell(done))
        )
        to_all = tuple((it, Heartbeat()) for it in (S1, S2, S3))
        assert work.messages == ((S2, Prepare(B12)), *to_all)
        assert (work.timers, work.reports) == ((timer,), (done,))


class TestFold:
    """How records make a disk."""

    RECORDS = (MaxRound(1), Acceptor[str](B12), MaxRound(2), Acceptor[str](B13), MaxRound(3))

    def test_the_latest_of_each_type(self) -> None:
        disk: tuple[server.Record[str], ...] = ()
        for record in self.RECORDS:
            disk = latest(disk, record)
        assert disk == (Acceptor(B13), MaxRound(3))

    def test_in_order(self) -> None:
        disk: tuple[server.Record[str], ...] = ()
        for record in self.RECORDS:
            disk = in_order(disk, record)
        assert disk == self.RECORDS

    @given(st.lists(st.sampled_from(RECORDS)))
    def test_a_start_from_the_folded_disk_is_one_from_all_records(
        self, records: list[server.Record[str]]
    ) -> None:
        disk: tuple[server.Record[str], ...] = ()
        for record in records:
            disk = MACHINE.fold(disk, record)
        assert MACHINE.begin(S1, THREE, disk).state == MACHINE.begin(S1, THREE, records).state


def test_every_order_of_steps_and_saves_says_the_same() -> None:
    """Three steps with saves in any portions: what has left in the end does not depend on them."""
    events: tuple[server.Event[str], ...] = (
        From(S2, Prepare(B12)),
        From(S2, Accept(B12, "red")),
        Propose("blue"),
    )
    outcomes: set[tuple[object, ...]] = set()
    for portions in itertools.product((0, 1, 2, None), repeat=3):
        process, said = begin(), list[object]()
        for event, count in zip(events, portions, strict=True):
            process, free = MACHINE.take(process, event)
            records = tuple(it.record for it in process.waiting[:count])
            process, freed = MACHINE.saved(process, Saved(records), count)
            said += [*free, *freed]
        process, freed = MACHINE.saved(process, Saved(process.unsaved))
        outcomes.add((*said, *freed))
    assert len(outcomes) == 1
    assert all(To(S2, Accepted(B12, "red")) in outcome for outcome in outcomes)


def test_a_variant_keeps_its_name() -> None:
    def silent(state: server.Server[str], event: server.Event[str]) -> server.Step[str]:
        raise AssertionError((state, event))

    variant = single(silent, "silent")
    assert (variant.name, variant.receive) == ("silent", silent)
    assert (MACHINE.name, MACHINE.receive) == ("paxos", server.receive)


def test_members_are_those_of_the_quorum_system() -> None:
    assert [*MACHINE.members(begin().state)] == [ServerId(1), ServerId(2), ServerId(3)]


def test_what_waits_is_sealed() -> None:
    process, _ = MACHINE.take(begin(), Propose("red"))
    assert [type(it) for it in process.waiting] == [AfterSave]
