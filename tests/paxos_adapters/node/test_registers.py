"""Many decisions on one server: what leaves when, what is saved, and what stays in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Broadcast,
    Chosen,
    Done,
    From,
    MaxRound,
    Nack,
    NotSaved,
    NotYetChosen,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Query,
    QuorumSystem,
    Read,
    ReadId,
    RetryTimer,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
    majority,
    server,
)
from paxos_adapters.file.entries import Entry
from paxos_adapters.node import registers as module
from paxos_adapters.node.registers import (
    CACHE_SIZE,
    CACHE_SLACK,
    MAX_AHEAD,
    MAX_BYTES,
    TOO_FAR,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
    Registers,
)
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleObserver, SingleProcess

ME, OTHER, THIRD = map(ServerId, (1, 2, 3))
ALONE = majority([ME])
THREE = majority([ME, OTHER, THIRD])
B12 = Ballot(1, OTHER)
Effect = server.Effect[bytes]


class Disk:
    """Keeps the latest record of each type for each name."""

    def __init__(self) -> None:
        self.latest: dict[tuple[str, type], server.Record[bytes]] = {}
        self.loads: list[str] = []

    def load(self, name: str) -> Saved[server.Record[bytes]]:
        self.loads.append(name)
        return Saved(tuple(it for (of, _), it in self.latest.items() if of == name))

    def save(self, entries: Sequence[Entry]) -> Saved[server.Record[bytes]]:
        self.latest.update({(name, type(record)): record for name, record in entries})
        return Saved(tuple(record for _, record in entries))


class Rig:
    """One server's registers, and what they performed."""

    def __init__(
        self,
        quorum: QuorumSystem = THREE,
        disk: Disk | None = None,
        observer: SingleObserver[bytes] | None = None,
    ) -> None:
        self.disk = disk or Disk()
        self.performed: list[tuple[str, Effect]] = []
        self.registers = Registers(ME, quorum, load=self.disk.load, observer=observer)

    def receive(self, name: str, event: server.Event[bytes]) -> None:
        effects = self.registers.receive(name, event)
        self.performed += [(name, effect) for effect in effects]

    def saved(self, waiting: Sequence[Entry], receipt: Saved[server.Record[bytes]]) -> None:
        self.performed += self.registers.on_saved(waiting, receipt)

    def flush(self) -> None:
        waiting = self.registers.take_waiting()
        self.saved(waiting, self.disk.save(waiting))

    def said(self) -> list[tuple[str, Effect]]:
        said, self.performed = self.performed, []
        return said


def test_an_answer_waits_for_its_record() -> None:
    rig = Rig()
    rig.receive("a", From(OTHER, Accept(B12, b"red")))
    assert rig.said() == []
    rig.flush()
    assert rig.said() == [("a", To(OTHER, Accepted(B12, b"red")))]
    assert rig.disk.latest[("a", Acceptor)] == Acceptor(B12, Proposal(B12, b"red"))


def test_a_repeated_answer_waits_as_long_as_the_first_and_no_longer() -> None:
    rig = Rig()
    rig.receive("a", From(OTHER, Accept(B12, b"red")))
    waiting = rig.registers.take_waiting()
    rig.receive("a", From(OTHER, Accept(B12, b"red")))
    assert rig.said() == []
    rig.saved(waiting, rig.disk.save(waiting))
    rig.flush()
    accepted = ("a", To(OTHER, Accepted(B12, b"red")))
    assert rig.said() == [accepted, accepted]
    rig.receive("a", From(OTHER, Accept(B12, b"red")))
    assert rig.said() == [accepted]
    assert rig.registers.take_waiting() == []


def test_many_names_share_a_save() -> None:
    rig = Rig()
    for name in "abc":
        rig.receive(name, From(OTHER, Prepare(B12)))
        rig.receive(name, From(OTHER, Accept(B12, name.encode())))
    waiting = rig.registers.take_waiting()
    assert [name for name, _ in waiting] == [*"aabbcc"]
    rig.saved(waiting, rig.disk.save(waiting))
    assert [it for it in rig.said() if it[0] == "b"] == [
        ("b", To(OTHER, Promise[bytes](B12, None))),
        ("b", To(OTHER, Accepted(B12, b"b"))),
    ]


def test_nothing_opens_without_the_receipt() -> None:
    rig = Rig()
    rig.receive("a", From(OTHER, Accept(B12, b"red")))
    with pytest.raises(NotSaved):
        rig.saved(rig.registers.take_waiting(), Saved(()))
    assert rig.said() == []


READ = ReadId(7, 1)


class Sent:
    """An observer of what leaves, and of nothing else."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, Effect]] = []

    def sent(
        self, place: Place, process: SingleProcess[bytes], effects: tuple[Effect, ...]
    ) -> None:
        assert process.state.proposer.me == place.server
        self.effects += [(place.name, effect) for effect in effects]

    def ignore(self, *_: object, **__: object) -> None:
        pass

    set_time = started = stepped = state_set = saved = failed = stopped = ignore


def test_an_observer_is_told_of_all_that_leaves() -> None:
    sent = Sent()
    rig = Rig(observer=sent)
    rig.receive("a", Propose(b"red"))
    rig.receive("b", From(OTHER, Prepare(B12)))
    rig.receive("b", From(OTHER, Accept(B12, b"blue")))
    rig.flush()
    assert sent.effects == rig.said()
    assert {name for name, _ in sent.effects} == {"a", "b"}


class TestReads:
    """A query changes nothing, saves nothing and loads nothing."""

    def test_a_query_of_an_unwritten_name_leaves_nothing(self) -> None:
        rig = Rig()
        for number in range(20_000):
            rig.receive(f"n{number}", From(OTHER, Query(READ)))
        nothing = To(OTHER, Answer[bytes](READ, None))
        assert rig.said() == [(f"n{number}", nothing) for number in range(20_000)]
        assert (len(rig.registers), rig.registers.take_waiting(), rig.disk.latest) == (0, [], {})

    def test_a_query_is_answered_from_the_disk_without_loading(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Accept(B12, b"red")))
        rig.flush()
        again = Rig(disk=rig.disk)
        again.receive("a", From(THIRD, Query(READ)))
        assert again.said() == [("a", To(THIRD, Answer(READ, Proposal(B12, b"red"))))]
        assert len(again.registers) == 0

    def test_what_is_not_durable_yet_is_not_told(self) -> None:
        """Nor does the query wait for it: before that save the acceptance is no vote."""
        rig = Rig()
        rig.receive("a", From(OTHER, Accept(B12, b"red")))
        waiting = rig.registers.take_waiting()
        rig.receive("a", From(THIRD, Query(READ)))
        assert rig.said() == [("a", To(THIRD, Answer[bytes](READ, None)))]
        assert rig.registers.take_waiting() == []
        rig.saved(waiting, rig.disk.save(waiting))
        rig.said()
        rig.receive("a", From(THIRD, Query(READ)))
        assert rig.said() == [("a", To(THIRD, Answer(READ, Proposal(B12, b"red"))))]

    def test_a_promise_is_not_touched(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Prepare(B12)))
        before = rig.registers.get("a").state
        rig.receive("a", From(THIRD, Query(READ)))
        assert rig.registers.get("a").state is before
        assert rig.said() == [("a", To(THIRD, Answer[bytes](READ, None)))]

    def test_a_query_is_told_the_choice_if_it_is_known(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Chosen(B12, b"red")))
        rig.said()
        rig.receive("a", From(THIRD, Query(READ)))
        assert rig.said() == [("a", To(THIRD, Chosen(B12, b"red")))]

    def test_a_non_member_is_told_nothing(self) -> None:
        rig = Rig()
        rig.receive("a", From(ServerId(9), Query(READ)))
        assert rig.said() == []

    def test_a_query_is_answered_while_too_much_waits(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_WAITING", 0)
        rig = Rig()
        rig.receive("a", From(OTHER, Query(READ)))
        assert rig.said() == [("a", To(OTHER, Answer[bytes](READ, None)))]

    def test_a_read_that_finds_nothing_leaves_nothing(self) -> None:
        """Not in memory and not on the disk; late answers to it are dropped."""
        rig = Rig()
        rig.receive("a", Read(READ))
        assert rig.registers.is_working("a")
        nothing = Answer[bytes](READ, None)
        for sender in (ME, OTHER):
            rig.receive("a", From(sender, nothing))
        assert ("a", Tell(NotYetChosen(READ))) in rig.said()
        for late in nothing, Answer(READ, Proposal(B12, b"red")):
            rig.receive("a", From(THIRD, late))
        assert (rig.said(), len(rig.registers), rig.registers.take_waiting()) == ([], 0, [])
        assert rig.disk.latest == {}

    def test_what_a_read_finds_stays_known(self) -> None:
        rig = Rig()
        rig.receive("a", Read(READ))
        for sender in (OTHER, THIRD):
            rig.receive("a", From(sender, Answer(READ, Proposal(B12, b"red"))))
        assert ("a", Tell(Done(B12, b"red", own=False))) in rig.said()
        assert len(rig.registers) == 1

    def test_a_name_in_use_outlives_a_read_that_finds_nothing(self) -> None:
        """What it has promised or accepted may be asked for soon."""
        for request in Prepare(Ballot(2_000, OTHER)), Accept(B12, b"red"):
            rig = Rig()
            rig.receive("a", From(OTHER, request))
            rig.flush()
            rig.receive("a", Read(READ))
            for sender in (OTHER, THIRD):
                rig.receive("a", From(sender, Answer[bytes](READ, None)))
            assert ("a", Tell(NotYetChosen(READ))) in rig.said()
            assert len(rig.registers) == 1

    def test_a_read_stays_in_memory_while_it_lasts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CACHE_SIZE", 0)
        monkeypatch.setattr(module, "CACHE_SLACK", 0)
        rig = Rig()
        rig.receive("a", Read(READ))
        rig.registers.get("b")
        rig.registers.get("c")
        assert rig.registers.is_working("a")


class TestPromises:
    """A promise is a record like any other."""

    def test_a_promise_waits_for_its_record(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Prepare(B12)))
        assert rig.said() == []
        rig.flush()
        assert rig.said() == [("a", To(OTHER, Promise[bytes](B12, None)))]
        assert rig.disk.latest == {("a", Acceptor): Acceptor[bytes](B12)}

    def test_what_was_promised_is_kept_through_a_crash(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Prepare(B12)))
        rig.flush()
        again = Rig(disk=rig.disk)
        again.receive("a", From(THIRD, Accept(Ballot(1, ME), b"blue")))
        assert again.said() == [("a", To(THIRD, Nack(Ballot(1, ME), B12)))]

    def test_what_was_accepted_is_kept_with_it(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Accept(B12, b"red")))
        rig.receive("a", From(THIRD, Prepare(Ballot(2, THIRD))))
        rig.flush()
        again = Rig(disk=rig.disk)
        far = Ballot(5_000_000, THIRD)
        again.receive("a", From(THIRD, Prepare(far)))
        again.flush()
        assert again.said() == [("a", To(THIRD, Promise(far, Proposal(B12, b"red"))))]


class TestRounds:
    """A round is durable before it is used, for its name."""

    def test_a_proposal_waits_for_its_round(self) -> None:
        rig = Rig()
        rig.receive("a", Propose(b"red"))
        assert rig.said() == []
        waiting = rig.registers.take_waiting()
        assert waiting == [("a", MaxRound(1))]
        rig.saved(waiting, rig.disk.save(waiting))
        prepare, wake, *_ = rig.said()
        assert prepare == ("a", Broadcast(Prepare(Ballot(1, ME))))
        assert wake == ("a", SetTimer(RetryTimer(Ballot(1, ME)), 0))

    def test_the_receipt_for_something_else_opens_no_round(self) -> None:
        rig = Rig()
        rig.receive("a", Propose(b"red"))
        with pytest.raises(NotSaved):
            rig.saved(rig.registers.take_waiting(), Saved((MaxRound(0),)))

    def test_after_a_restart_rounds_begin_above_it(self) -> None:
        first = Rig()
        first.receive("a", Propose(b"red"))
        first.flush()
        again = Rig(disk=first.disk)
        for name in "ab":
            again.receive(name, Propose(b"red"))
        again.flush()
        broadcasts = [it for it in again.said() if isinstance(it[1], Broadcast)]
        assert broadcasts[0] == ("a", Broadcast(Prepare(Ballot(2, ME))))
        assert ("b", Broadcast(Prepare(Ballot(1, ME)))) in broadcasts

    def test_a_round_is_out_of_reach_as_far_as_its_name_has_come(self) -> None:
        rig = Rig()
        for number in (1, 2):
            rig.receive("a", From(OTHER, Prepare(Ballot(number * MAX_AHEAD, OTHER))))
            rig.flush()
            assert len(rig.said()) == 1
        again = Rig(disk=rig.disk)
        again.receive("a", From(OTHER, Prepare(Ballot(3 * MAX_AHEAD + 1, OTHER))))
        again.receive("b", From(OTHER, Prepare(Ballot(MAX_AHEAD + 1, OTHER))))
        assert again.registers.dropped == {TOO_FAR: 2}
        again.receive("a", From(OTHER, Prepare(Ballot(3 * MAX_AHEAD, OTHER))))
        again.flush()
        assert len(again.said()) == 1

    def test_who_is_out_of_all_reason_is_not_heard(self) -> None:
        """One message must not use up all the rounds that there are."""
        rig = Rig()
        far = Ballot((1 << 63) - 1, OTHER)
        rig.receive("a", From(OTHER, Prepare(far)))
        rig.receive("a", From(OTHER, Accept(far, b"red")))
        rig.receive("a", From(OTHER, Nack(Ballot(1, ME), far)))
        assert rig.said() == []
        assert rig.registers.take_waiting() == []
        assert rig.registers.dropped == {TOO_FAR: 3}
        rig.receive("a", Propose(b"red"))
        rig.flush()
        assert rig.said()[0] == ("a", Broadcast(Prepare(Ballot(1, ME))))

    def test_a_round_that_a_host_has_used_is_not_used_again(self) -> None:
        disk = Disk()
        disk.save([("a", MaxRound(7))])
        rig = Rig(disk=disk)
        rig.receive("a", Propose(b"red"))
        rig.flush()
        assert rig.said()[0] == ("a", Broadcast(Prepare(Ballot(8, ME))))


def test_messages_are_dropped_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    rig = Rig()
    for _ in range(10):
        rig.receive("a", From(OTHER, Accept(B12, b"red")))
    assert rig.registers.dropped == {TOO_SLOW: 7}
    rig.flush()
    assert rig.said() == [("a", To(OTHER, Accepted(B12, b"red")))] * 3
    rig.receive("b", From(OTHER, Accept(B12, b"red")))
    rig.flush()
    assert len(rig.said()) == 1


class TestMemory:
    """What is idle leaves memory, and comes back as it was."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CACHE_SIZE", 3)
        monkeypatch.setattr(module, "CACHE_SLACK", 0)

    def test_the_least_used_is_dropped_and_loaded_again(self) -> None:
        rig = Rig()
        for name in "abcd":
            rig.receive(name, From(OTHER, Accept(B12, name.encode())))
            rig.flush()
        assert len(rig.registers) == 3
        rig.said()
        rig.disk.loads.clear()
        rig.receive("d", From(OTHER, Prepare(B12)))
        assert rig.disk.loads == []
        rig.receive("a", From(THIRD, Prepare(Ballot(1, ME))))
        assert rig.disk.loads == ["a"]
        assert rig.said()[-1][1] == To(THIRD, Nack(Ballot(1, ME), B12))

    def test_a_promise_is_saved_before_it_is_dropped(self) -> None:
        rig = Rig()
        for name in "abcd":
            rig.receive(name, From(OTHER, Prepare(B12)))
        assert (rig.said(), len(rig.registers)) == ([], 4)
        rig.flush()
        assert (len(rig.said()), len(rig.registers)) == (4, 3)
        assert rig.disk.loads.count("a") == 1
        rig.receive("a", From(THIRD, Accept(Ballot(1, ME), b"blue")))
        assert rig.disk.loads.count("a") == 2
        assert rig.said()[-1] == ("a", To(THIRD, Nack(Ballot(1, ME), B12)))

    def test_what_was_loaded_is_durable(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Accept(B12, b"red")))
        rig.flush()
        again = Rig(disk=rig.disk)
        again.receive("a", From(OTHER, Accept(B12, b"red")))
        assert again.said() == [("a", To(OTHER, Accepted(B12, b"red")))]

    def test_what_is_not_saved_stays(self) -> None:
        rig = Rig()
        for name in "abcdefg":
            rig.receive(name, From(OTHER, Accept(B12, b"red")))
        assert len(rig.registers) == 7
        rig.flush()
        assert len(rig.said()) == 7
        rig.receive("h", From(OTHER, Prepare(B12)))
        assert len(rig.registers) == 3

    def test_what_is_at_work_stays(self) -> None:
        rig = Rig()
        for name in "abcdefg":
            rig.receive(name, Propose(b"red"))
        rig.flush()
        assert len(rig.registers) == 7

    def test_a_promise_has_no_bytes_of_values(self) -> None:
        rig = Rig()
        rig.receive("a", From(OTHER, Prepare(B12)))
        assert (len(rig.registers), rig.registers.size_bytes) == (1, 0)

    def test_what_is_large_is_dropped_though_there_are_few(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "CACHE_BYTES", 10)
        monkeypatch.setattr(module, "CACHE_SLACK_BYTES", 2)
        rig = Rig()
        for name, size in ("a", 4), ("b", 4), ("c", 4):
            rig.receive(name, From(OTHER, Accept(B12, bytes(size))))
            rig.flush()
        assert (len(rig.registers), rig.registers.size_bytes) == (3, 12)
        rig.receive("c", From(OTHER, Chosen(B12, bytes(4))))
        assert (len(rig.registers), rig.registers.size_bytes) == (1, 8)
        assert rig.registers.get("a").state.acceptor.accepted == Proposal(B12, bytes(4))
        assert rig.registers.size_bytes == 12


class TestBounds:
    """What others send beyond a bound is dropped, and counted by the bound."""

    def test_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_NAMES", 3)
        rig = Rig()
        for name in "abcda":
            rig.receive(name, From(OTHER, Accept(B12, b"red")))
        assert rig.registers.dropped == {TOO_MANY: 1}
        rig.receive("e", Propose(b"red"))
        assert len(rig.registers) == 4, "what the program asks for is taken"
        assert len(rig.registers.take_waiting()) == 5

    def test_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_BYTES", 10)
        rig = Rig()
        rig.receive("w", Propose(b"red"))
        for name in "abc":
            rig.receive(name, From(OTHER, Accept(B12, bytes(6))))
        assert rig.registers.dropped == {TOO_LARGE: 1}
        rig.receive("a", From(OTHER, Chosen(B12, bytes(6))))
        assert rig.registers.dropped == {TOO_LARGE: 2}
        rig.receive("w", From(OTHER, Chosen(B12, bytes(6))))
        assert rig.said()[-1] == ("w", Tell(Done(B12, bytes(6), own=False))), (
            "what is at work goes on"
        )

    def test_bytes_that_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_WAITING_BYTES", 10)
        rig = Rig()
        for name in "abc":
            rig.receive(name, From(OTHER, Accept(B12, bytes(6))))
        assert rig.registers.dropped == {TOO_SLOW: 1}
        rig.flush()
        rig.receive("c", From(OTHER, Accept(B12, bytes(6))))
        assert rig.registers.dropped == {TOO_SLOW: 1}

    @pytest.mark.parametrize(
        "bounds", [{"MAX_NAMES": 2, "CACHE_SIZE": 1}, {"MAX_BYTES": 12, "CACHE_BYTES": 6}]
    )
    def test_there_is_room_again_after_a_save_whatever_comes(
        self, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
    ) -> None:
        """Though nothing else is asked of the names that fill the memory."""
        for bound, most in {**bounds, "CACHE_SLACK": 0, "CACHE_SLACK_BYTES": 0}.items():
            monkeypatch.setattr(module, bound, most)
        rig = Rig()
        for name in "abc":
            rig.receive(name, From(OTHER, Accept(B12, bytes(6))))
        assert rig.registers.dropped.total() == 1
        rig.flush()
        rig.receive("c", From(OTHER, Accept(B12, bytes(6))))
        assert rig.registers.dropped.total() == 1

    @pytest.mark.slow
    def test_the_real_bounds_hold_names_that_are_merely_prepared(self) -> None:
        disk = FastDisk()
        rig, most = Rig(disk=disk), 0
        for number in range(60_000):
            rig.receive(f"{number}", From(OTHER, Prepare(B12)))
            rig.performed.clear()
            most = max(most, len(rig.registers))
            if not number % 256:
                rig.flush()
        assert most <= CACHE_SIZE + CACHE_SLACK + 256
        assert not rig.registers.dropped

    def test_the_real_bounds_hold_values_of_60_kilobytes(self) -> None:
        disk, value = FastDisk(), bytes(60_000)
        rig, most = Rig(disk=disk), 0
        for number in range(11_000):
            rig.receive(f"{number}", From(OTHER, Accept(B12, value)))
            rig.performed.clear()
            most = max(most, rig.registers.size_bytes)
            if not number % 64:
                rig.flush()
        assert 60_000_000 < most < MAX_BYTES + len(value)
        assert not rig.registers.dropped


class FastDisk(Disk):
    """One that finds a name at once, however many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: dict[str, dict[type, server.Record[bytes]]] = {}

    def load(self, name: str) -> Saved[server.Record[bytes]]:
        return Saved(tuple(self.by_name.get(name, {}).values()))

    def save(self, entries: Sequence[Entry]) -> Saved[server.Record[bytes]]:
        for name, record in entries:
            self.by_name.setdefault(name, {})[type(record)] = record
        return Saved(tuple(record for _, record in entries))


@settings(max_examples=60)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=8), st.integers(0, 1 << 32))
def test_names_decide_apart_whatever_is_saved_when(asks: list[str], seed: int) -> None:
    """One server is its own quorum; saves come late and in any portion."""
    rig, chance = Rig(ALONE), Random(seed)
    queue: deque[tuple[str, server.Event[bytes]]] = deque(
        (name, Propose(f"{name}{number}".encode())) for number, name in enumerate(asks)
    )
    known: dict[str, bytes] = {}
    while queue or rig.registers._waiting:  # pyright: ignore[reportPrivateUsage]
        if queue and chance.random() < 0.5:
            name, event = queue.popleft()
            if not isinstance(event, Propose) or not rig.registers.get(name).is_working:
                rig.receive(name, event)
        else:
            rig.flush()
        for name, effect in rig.said():
            if isinstance(effect, Broadcast | To):
                queue.append((name, From(ME, effect.message)))
            elif isinstance(effect, Tell):
                assert isinstance(effect.report, Done)
                assert known.setdefault(name, effect.report.value) == effect.report.value
                assert effect.report.value[:1] == name.encode()
    assert set(known) == set(asks)


class Cluster:
    """Three servers with registers, whose messages are lost and repeated, and who crash."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.disks = {me: Disk() for me in THREE.members}
        self.flying: list[tuple[ServerId, str, server.Event[bytes]]] = []
        self.known: dict[str, set[bytes]] = {}
        self.registers = {me: self.start(me) for me in sorted(THREE.members)}

    def perform(self, me: ServerId, name: str, effect: Effect) -> None:
        if isinstance(effect, Broadcast):
            self.flying += [(it, name, From(me, effect.message)) for it in THREE.members]
        elif isinstance(effect, To):
            self.flying.append((effect.receiver, name, From(me, effect.message)))
        elif isinstance(effect, SetTimer):
            self.flying.append((me, name, effect.timer))
        elif isinstance(effect.report, Done):
            self.known.setdefault(name, set()).add(effect.report.value)

    def receive(self, me: ServerId, name: str, event: server.Event[bytes]) -> None:
        for effect in self.registers[me].receive(name, event):
            self.perform(me, name, effect)

    def start(self, me: ServerId) -> Registers:
        return Registers(me, THREE, load=self.disks[me].load)

    def step(self, number: int) -> None:
        me = self.chance.choice([ME, OTHER, THIRD])
        registers, what = self.registers[me], self.chance.random()
        if what < 0.02:
            self.registers[me] = self.start(me)
        elif what < 0.1:
            name = self.chance.choice("abc")
            if not registers.get(name).is_working:
                self.receive(me, name, Propose(f"{name}{number}".encode()))
        elif what < 0.35:
            waiting = registers.take_waiting()
            receipt = self.disks[me].save(waiting)
            for name, effect in registers.on_saved(waiting, receipt):
                self.perform(me, name, effect)
        elif self.flying:
            place = self.chance.randrange(len(self.flying))
            receiver, name, event = self.flying[place]
            if self.chance.random() < 0.9:
                del self.flying[place]
            self.receive(receiver, name, event)


@pytest.mark.parametrize("seed", range(150))
def test_one_value_a_name_whatever_is_lost_and_whoever_crashes(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Little stays in memory, so that names leave it and come back often."""
    monkeypatch.setattr(module, "CACHE_SIZE", 1)
    monkeypatch.setattr(module, "CACHE_SLACK", 0)
    cluster = Cluster(Random(seed))
    for number in range(400):
        cluster.step(number)
    assert all(len(values) == 1 for values in cluster.known.values()), cluster.known
