"""Many decisions on one server: what leaves when, what is saved, and what stays in memory."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Ballot,
    Broadcast,
    Done,
    From,
    MaxRound,
    Nack,
    NothingChosen,
    Prepare,
    Promise,
    Propose,
    QuorumSystem,
    Saved,
    ServerId,
    To,
    Wake,
    WakeMe,
    WrongReceipt,
    majority,
    server,
)
from paxos_adapters import registers as module
from paxos_adapters.registers import BLOCK_ROUNDS, RESERVED, Entry, Registers

ME, OTHER, THIRD = map(ServerId, (1, 2, 3))
ALONE = majority([ME])
THREE = majority([ME, OTHER, THIRD])
B12 = Ballot(1, OTHER)
Effect = server.Effect[str]


class Disk:
    """Keeps the latest record of each type for each name."""

    def __init__(self) -> None:
        self.latest: dict[tuple[str, type], server.Record[str]] = {}
        self.loads: list[str] = []

    def load(self, name: str) -> Saved[server.Record[str]]:
        self.loads.append(name)
        return Saved(tuple(it for (of, _), it in self.latest.items() if of == name))

    def save(self, entries: list[Entry[str]]) -> Saved[server.Record[str]]:
        self.latest.update({(name, type(record)): record for name, record in entries})
        return Saved(tuple(record for _, record in entries))


class Rig:
    """One server's registers, and what they performed."""

    def __init__(self, quorum: QuorumSystem = THREE, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.performed: list[tuple[str, Effect]] = []
        self.registers = Registers[str](
            ME,
            quorum,
            load=self.disk.load,
            perform=self.perform,
        )

    def perform(self, name: str, effect: Effect) -> None:
        self.performed.append((name, effect))

    def reserve(self) -> None:
        self.registers.reserved(self.disk.save([self.registers.block()]))

    def flush(self) -> None:
        waiting = self.registers.take()
        self.registers.saved(waiting, self.disk.save(self.registers.entries(waiting)))

    def said(self) -> list[tuple[str, Effect]]:
        said, self.performed = self.performed, []
        return said


def test_an_answer_waits_for_its_record() -> None:
    rig = Rig()
    rig.registers.receive("a", From(OTHER, Prepare(B12)))
    assert rig.said() == []
    rig.flush()
    assert rig.said() == [("a", To(OTHER, Promise[str](B12, None)))]
    assert rig.disk.latest[("a", Acceptor)] == Acceptor[str](B12)


def test_a_repeated_answer_waits_as_long_as_the_first_and_no_longer() -> None:
    rig = Rig()
    rig.registers.receive("a", From(OTHER, Prepare(B12)))
    waiting = rig.registers.take()
    rig.registers.receive("a", From(OTHER, Prepare(B12)))
    assert rig.said() == []
    rig.registers.saved(waiting, rig.disk.save(rig.registers.entries(waiting)))
    rig.flush()
    promise = ("a", To(OTHER, Promise[str](B12, None)))
    assert rig.said() == [promise, promise]
    rig.registers.receive("a", From(OTHER, Prepare(B12)))
    assert rig.said() == [promise]
    assert rig.registers.take() == []


def test_many_names_share_a_save() -> None:
    rig = Rig()
    for name in "abc":
        rig.registers.receive(name, From(OTHER, Prepare(B12)))
        rig.registers.receive(name, From(OTHER, Accept(B12, name)))
    waiting = rig.registers.take()
    assert len(rig.registers.entries(waiting)) == 6
    rig.registers.saved(waiting, rig.disk.save(rig.registers.entries(waiting)))
    assert [it for it in rig.said() if it[0] == "b"] == [
        ("b", To(OTHER, Promise[str](B12, None))),
        ("b", To(OTHER, Accepted(B12, "b"))),
    ]


def test_nothing_opens_without_the_receipt() -> None:
    rig = Rig()
    rig.registers.receive("a", From(OTHER, Prepare(B12)))
    with pytest.raises(WrongReceipt):
        rig.registers.saved(rig.registers.take(), Saved(()))
    assert rig.said() == []


class TestRounds:
    """Rounds are reserved in blocks."""

    def test_within_the_block_a_proposal_waits_for_nothing(self) -> None:
        rig = Rig()
        rig.reserve()
        rig.registers.receive("a", Propose("red"))
        prepare, wake, *_ = rig.said()
        assert prepare == ("a", Broadcast(Prepare(Ballot(1, ME))))
        assert wake == ("a", WakeMe(Wake(Ballot(1, ME)), 0))
        assert rig.registers.take() == []

    def test_without_a_block_it_waits_for_one(self) -> None:
        rig = Rig()
        rig.registers.receive("a", Propose("red"))
        assert rig.said() == []
        waiting = rig.registers.take()
        assert rig.registers.entries(waiting) == [(RESERVED, MaxRound(1 + BLOCK_ROUNDS))]
        rig.registers.saved(waiting, rig.disk.save(rig.registers.entries(waiting)))
        assert rig.said()[0] == ("a", Broadcast(Prepare(Ballot(1, ME))))
        rig.registers.receive("b", Propose("red"))
        assert rig.said()[0] == ("b", Broadcast(Prepare(Ballot(1, ME))))

    def test_the_receipt_for_something_else_opens_no_round(self) -> None:
        rig = Rig()
        rig.registers.receive("a", Propose("red"))
        with pytest.raises(WrongReceipt):
            rig.registers.saved(rig.registers.take(), Saved((MaxRound(0),)))

    def test_after_a_restart_rounds_begin_above_it(self) -> None:
        first = Rig()
        first.reserve()
        again = Rig(disk=first.disk)
        again.reserve()
        again.registers.receive("a", Propose("red"))
        assert again.said()[0] == ("a", Broadcast(Prepare(Ballot(BLOCK_ROUNDS + 1, ME))))
        assert again.disk.latest[(RESERVED, MaxRound)] == MaxRound(2 * BLOCK_ROUNDS)

    def test_a_rival_far_above_makes_a_new_block(self) -> None:
        rig = Rig()
        rig.reserve()
        far = Ballot(5_000_000, OTHER)
        rig.registers.receive("a", From(OTHER, Prepare(far)))
        rig.flush()
        rig.said()
        rig.registers.receive("a", Propose("red"))
        assert rig.said() == []
        rig.flush()
        assert rig.said()[0] == ("a", Broadcast(Prepare(Ballot(5_000_001, ME))))
        assert rig.disk.latest[(RESERVED, MaxRound)] == MaxRound(5_000_001 + BLOCK_ROUNDS)


class TestMemory:
    """What is idle leaves memory, and comes back as it was."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_IDLE", 3)
        monkeypatch.setattr(module, "SPARE", 0)

    def test_the_least_used_is_dropped_and_loaded_again(self) -> None:
        rig = Rig()
        for name in "abcd":
            rig.registers.receive(name, From(OTHER, Prepare(B12)))
            rig.flush()
        assert len(rig.registers) == 3
        rig.said()
        rig.disk.loads.clear()
        rig.registers.receive("d", From(OTHER, Prepare(B12)))
        assert rig.disk.loads == []
        rig.registers.receive("a", From(THIRD, Prepare(Ballot(1, ME))))
        assert rig.disk.loads == ["a"]
        assert rig.said()[-1][1] == To(THIRD, Nack(Ballot(1, ME), B12))

    def test_what_was_loaded_is_durable(self) -> None:
        rig = Rig()
        rig.registers.receive("a", From(OTHER, Prepare(B12)))
        rig.flush()
        again = Rig(disk=rig.disk)
        again.registers.receive("a", From(OTHER, Prepare(B12)))
        assert again.said() == [("a", To(OTHER, Promise[str](B12, None)))]

    def test_what_is_not_saved_stays(self) -> None:
        rig = Rig()
        for name in "abcdefg":
            rig.registers.receive(name, From(OTHER, Prepare(B12)))
        assert len(rig.registers) == 7
        rig.flush()
        assert len(rig.said()) == 7
        rig.registers.receive("h", From(OTHER, Prepare(B12)))
        assert len(rig.registers) == 3

    def test_what_is_at_work_stays(self) -> None:
        rig = Rig()
        rig.reserve()
        for name in "abcdefg":
            rig.registers.receive(name, Propose("red"))
        assert len(rig.registers) == 7


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=8), st.integers(0, 1 << 32))
def test_names_decide_apart_whatever_is_saved_when(asks: list[str], seed: int) -> None:
    """One server is its own quorum; saves come late and in any portion."""
    rig, chance = Rig(ALONE), Random(seed)
    queue: deque[tuple[str, server.Event[str]]] = deque(
        (name, Propose(f"{name}{number}")) for number, name in enumerate(asks)
    )
    known: dict[str, str] = {}
    while queue or rig.registers._waiting:  # pyright: ignore[reportPrivateUsage]
        if queue and chance.random() < 0.5:
            name, event = queue.popleft()
            if not isinstance(event, Propose) or not rig.registers.of(name).is_at_work:
                rig.registers.receive(name, event)
        else:
            rig.flush()
        for name, effect in rig.said():
            if isinstance(effect, Broadcast | To):
                queue.append((name, From(ME, effect.message)))
            elif isinstance(effect, Done):
                assert known.setdefault(name, effect.value) == effect.value
                assert effect.value[0] == name
            else:
                assert not isinstance(effect, NothingChosen)
    assert set(known) == set(asks)
