"""A driver: batches are taken whole or not at all; the observer is told before anything leaves."""

from __future__ import annotations

import pytest

from paxos import (
    Acceptor,
    AgreementBroken,
    Busy,
    Chosen,
    From,
    InvariantError,
    MaxRound,
    NotSaved,
    Prepare,
    Propose,
    QuorumSystem,
    Saved,
    server,
)
from paxos_adapters.driving import Driver
from paxos_adapters.machine import Effect
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, SingleDriver, SingleProcess, single
from tests.support import S1, S2, S3, THREE, ballot

B12, B13 = ballot("1.2"), ballot("1.3")
PLACE = Place(S1, "leader")
MACHINE: Single[str] = single()
RECORDS: tuple[server.Record[str], ...] = (Acceptor(B12), MaxRound(2))


class Notes:
    """An observer that writes a line for each thing that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def set_time(self, now_s: float) -> None:
        self.lines.append(f"time {now_s}")

    def started(self, place: Place, quorum: QuorumSystem, process: SingleProcess[str]) -> None:
        assert (place, quorum) == (PLACE, THREE)
        self.lines.append(f"started from {len(process.disk)}")

    def stepped(
        self,
        place: Place,
        event: server.Event[str],
        before: SingleProcess[str],
        after: SingleProcess[str],
    ) -> None:
        assert place == PLACE
        waits = f"{len(before.waiting)} to {len(after.waiting)} wait"
        self.lines.append(f"stepped {type(event).__name__}, {waits}")

    def state_set(self, place: Place, process: SingleProcess[str]) -> None:
        assert place == PLACE
        self.lines.append(f"set to {process.state.proposer.max_round}")

    def saved(
        self,
        place: Place,
        process: SingleProcess[str],
        records: tuple[server.Record[str], ...],
        count: int,
    ) -> None:
        assert place == PLACE
        assert process.disk[-1] is records[-1]
        self.lines.append(f"saved {len(records)} of {count}")

    def sent(
        self,
        place: Place,
        process: SingleProcess[str],
        effects: tuple[Effect[object, object, object], ...],
    ) -> None:
        assert place == PLACE
        self.lines.append(f"sent {len(effects)}, {len(process.disk)} on the disk")

    def failed(self, place: Place, event: server.Event[str], error: InvariantError) -> None:
        assert place == PLACE
        self.lines.append(f"failed {type(event).__name__}, {type(error).__name__}")

    def stopped(self, place: Place, records: tuple[server.Record[str], ...], why: str) -> None:
        assert place == PLACE
        self.lines.append(f"stopped {why}, {len(records)} saved")


def driver(notes: Notes, *disk: server.Record[str]) -> SingleDriver[str]:
    return Driver(MACHINE, PLACE, THREE, disk, notes)


def test_a_step_is_told_before_its_messages() -> None:
    notes = Notes()
    it = driver(notes)
    assert it.take_batch([From(S2, Prepare(B12)), From(S3, Prepare(B13))]) == ()
    assert len(it.stored(Saved(it.process.unsaved))) == 2
    assert notes.lines == [
        "started from 0",
        "stepped From, 0 to 1 wait",
        "stepped From, 1 to 2 wait",
        "saved 2 of 2",
        "sent 2, 1 on the disk",
    ]


def test_a_refused_batch_changes_nothing_and_is_not_told() -> None:
    notes = Notes()
    it = driver(notes)
    with pytest.raises(Busy):
        it.take_batch([Propose("red"), Propose("blue")])
    assert it.process == MACHINE.begin(S1, THREE)
    assert notes.lines == ["started from 0"]


def test_a_broken_protocol_is_told_with_the_steps_before() -> None:
    notes = Notes()
    it = driver(notes)
    events = From(S2, Chosen(B12, "red")), From(S3, Chosen(B13, "blue"))
    with pytest.raises(AgreementBroken):
        it.take_batch(events)
    assert notes.lines[1:] == ["stepped From, 0 to 0 wait", "failed From, AgreementBroken"]
    assert it.process == MACHINE.begin(S1, THREE)
    it.step(events[0])
    with pytest.raises(AgreementBroken):
        it.step(events[1])
    assert notes.lines[-1] == "failed From, AgreementBroken"


def test_a_receipt_for_something_else_changes_nothing() -> None:
    notes = Notes()
    it = driver(notes)
    it.take(Propose("red"))
    before = it.process
    with pytest.raises(NotSaved):
        it.stored(Saved(()))
    assert it.process is before
    assert notes.lines[-1] == "stepped Propose, 0 to 1 wait"


def test_a_disk_of_ones_own_saves_some_or_all() -> None:
    it = driver(Notes())
    it.take_batch([From(S2, Prepare(B12)), Propose("red")])
    assert len(it.save(1)) == 1
    assert it.process.disk == RECORDS[:1]
    assert len(it.save()) == 3
    assert it.process.disk == RECORDS
    assert it.save() == ()


def test_a_step_on_a_disk_that_saves_at_once_waits_for_nothing() -> None:
    notes = Notes()
    it = driver(notes)
    assert len(it.step(From(S2, Prepare(B12)))) == 1
    assert notes.lines[1:] == [
        "stepped From, 0 to 0 wait",
        "saved 1 of 1",
        "sent 1, 1 on the disk",
    ]


@pytest.mark.parametrize("durable", [0, 1, 2])
def test_a_crash_leaves_the_disk_and_what_was_durable_of_the_rest(durable: int) -> None:
    notes = Notes()
    it = driver(notes)
    it.take_batch([From(S2, Prepare(B12)), Propose("red")])
    assert it.stop("crashed", durable) == RECORDS[:durable]
    assert notes.lines[-1] == f"stopped crashed, {durable} saved"


def test_a_state_by_no_event() -> None:
    notes = Notes()
    it = driver(notes)
    it.set_state(server.start(S1, THREE, (MaxRound(7),)))
    assert it.process.state.proposer.max_round == 7
    assert notes.lines[-1] == "set to 7"


def test_without_an_observer() -> None:
    it: SingleDriver[str] = Driver(single(), PLACE, THREE)
    it.take(Propose("red"))
    assert len(it.save()) == 3
    it.step(From(S2, Prepare(B13)))
    it.set_state(it.process.state)
    assert it.stop("crashed") == (MaxRound(1), Acceptor(B13))
