"""The parts of a node without a network: its questions, its alarms, its saves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path

import pytest

from paxos import (
    Acceptor,
    Ballot,
    Done,
    MaxRound,
    NotYetChosen,
    Proposal,
    Propose,
    Read,
    ReadId,
    RetryTimer,
    Saved,
    ServerId,
    majority,
    server,
)
from paxos_adapters.file import FileStore
from paxos_adapters.file.entries import Entry
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import pending as module
from paxos_adapters.node.pending import PendingRequests
from paxos_adapters.node.saving import AdaptiveSaver
from paxos_adapters.node.timers import TICK_S, TimerWheel
from paxos_adapters.requests.errors import NodeClosed, TooManyRequests
from tests.support import UNBROKEN

ME = ServerId(1)
ONE = Ballot(1, ME)
SESSION = 77
NOTHING, RED = NotYetChosen(ReadId(SESSION, 0)), Done(ONE, b"red", own=True)


def read(number: int) -> Read:
    """The read that comes in this place, from 0."""
    return Read(ReadId(SESSION, number))


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 30))


class TestQuestions:
    """Who is answered by what, and what is begun when."""

    def test_who_asks_while_a_read_is_under_way_gets_a_read_of_its_own(
        self,
    ) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            early = questions.read("a")
            assert questions.begin("a") == read(0)
            late = questions.read("a")
            assert questions.begin("a") is None
            questions.answer("a", NOTHING)
            assert early.result() == NOTHING
            assert not late.done()
            questions.forget("a", early)
            assert questions.begin("a") == read(1)
            questions.answer("a", RED)
            assert late.result() == RED

        runs(run())

    def test_what_is_chosen_answers_everybody(self) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            answers = [questions.read("a"), questions.propose("a", b"red")]
            assert questions.begin("a") == Propose(b"red")
            answers += [questions.read("a"), questions.propose("a", b"blue")]
            other = questions.read("b")
            questions.answer("a", RED)
            assert [it.result() for it in answers] == [RED] * 4
            assert not other.done()
            assert len(questions) == 1

        runs(run())

    def test_after_a_read_comes_the_proposal_that_came_meanwhile(self) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            reader = questions.read("a")
            assert questions.begin("a") == read(0)
            questions.propose("a", b"red")
            questions.answer("a", NOTHING)
            assert reader.done()
            assert questions.begin("a") == Propose(b"red")

        runs(run())

    def test_who_gives_up_is_forgotten_and_no_name_is_kept(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "WINDOW", 1)

        async def run() -> None:
            questions = PendingRequests(SESSION)
            questions.read("a")
            assert questions.begin("a") == read(0)
            for _ in range(100):
                answer = questions.propose("b", b"red")
                assert questions.begin("b") is None
                questions.forget("b", answer)
            assert len(questions) == 1
            questions.answer("a", NOTHING)
            assert list(questions.due()) == []
            assert questions.begin("b") is None

        runs(run())

    def test_the_window_is_filled_in_the_order_of_asking(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "WINDOW", 2)

        async def run() -> None:
            questions = PendingRequests(SESSION)
            for name in "abcde":
                questions.propose(name, name.encode())
            begun = [questions.begin(name) for name in "abcdec"]
            assert begun == [Propose(b"a"), Propose(b"b"), None, None, None, None]
            assert list(questions.due()) == []
            questions.answer("b", RED)
            assert list(questions.due()) == [("c", Propose(b"c"))]
            questions.answer("a", RED)
            questions.answer("c", RED)
            assert list(questions.due()) == [("d", Propose(b"d")), ("e", Propose(b"e"))]

        runs(run())

    def test_who_asks_again_comes_after_those_who_wait(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "WINDOW", 1)

        async def run() -> None:
            questions = PendingRequests(SESSION)
            questions.read("a")
            assert questions.begin("a") == read(0)
            questions.read("a")
            questions.read("b")
            assert questions.begin("b") is None
            questions.answer("a", NOTHING)
            assert questions.begin("a") is None
            assert list(questions.due()) == [("b", read(1))]

        runs(run())

    def test_how_many_may_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_WAITING", 2)

        async def run() -> None:
            questions = PendingRequests(SESSION)
            first = questions.read("a")
            questions.read("a")
            with pytest.raises(TooManyRequests):
                questions.propose("b", b"red")
            questions.forget("a", first)
            questions.propose("b", b"red")

        runs(run())

    def test_how_many_bytes_may_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until their callers are answered, or have given up; reads have none."""
        monkeypatch.setattr(module, "MAX_WAITING_BYTES", 10)

        async def run() -> None:
            questions = PendingRequests(SESSION)
            first = questions.propose("a", bytes(6))
            with pytest.raises(TooManyRequests, match="1 questions with 6 bytes of values wait"):
                questions.propose("b", bytes(5))
            second = questions.propose("b", bytes(4))
            questions.read("c")
            questions.forget("b", second)
            questions.begin("a")
            questions.answer("a", RED)
            with pytest.raises(TooManyRequests):
                questions.propose("b", bytes(5))
            questions.forget("a", first)
            questions.propose("b", bytes(10))

        runs(run())

    def test_a_proposal_is_unresolved_from_when_its_caller_leaves_until_there_is_an_answer(
        self,
    ) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            answer = questions.propose("a", b"red")
            other = questions.propose("a", b"blue")
            questions.begin("a")
            assert questions.unresolved == 0
            assert questions.goes_on("a", answer)
            questions.forget("a", answer)
            assert questions.unresolved == 1
            waiting = questions.read("a")
            assert questions.begin("a") is None, "one at a time: the read waits for what goes on"
            questions.answer("a", RED)
            assert [it.result() for it in (other, waiting)] == [RED, RED]
            assert questions.unresolved == 0

        runs(run())

    def test_nothing_goes_on_that_was_not_begun_or_is_no_proposal(self) -> None:
        """Nor what was answered."""

        async def run() -> None:
            questions = PendingRequests(SESSION)
            first, second = questions.propose("a", b"red"), questions.propose("a", b"blue")
            reader = questions.read("b")
            assert [questions.begin(name) for name in "ab"] == [Propose(b"red"), read(0)]
            queued = questions.propose("c", b"red")
            for name, answer in ("a", second), ("b", reader), ("c", queued):
                assert not questions.goes_on(name, answer)
                questions.forget(name, answer)
            questions.answer("a", RED)
            assert not questions.goes_on("a", first)
            questions.forget("a", first)
            assert questions.unresolved == 0

        runs(run())

    def test_after_the_end_nothing_goes_on(self) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            answer = questions.propose("a", b"red")
            questions.begin("a")
            questions.end(ServerStopped(ME, NodeClosed()))
            questions.forget("a", answer)
            assert questions.unresolved == 0

        runs(run())

    def test_the_end_is_told_to_everybody(self) -> None:
        async def run() -> None:
            questions = PendingRequests(SESSION)
            early = questions.read("a")
            questions.begin("a")
            waiting = [early, questions.read("a"), questions.propose("b", b"red")]
            end = ServerStopped(ME, NodeClosed())
            questions.end(end)
            assert [it.exception() for it in waiting] == [end] * 3
            assert len(questions) == 0

        runs(run())


def test_alarms_of_a_tick_ring_together_and_in_order() -> None:
    async def run() -> None:
        rung: list[Sequence[tuple[str, RetryTimer]]] = []
        alarms, loop = TimerWheel(rung.append, UNBROKEN), asyncio.get_running_loop()
        started_s = loop.time()
        for number in range(50):
            alarms.set((f"{number}", RetryTimer(ONE)), 2 * TICK_S)
        alarms.set(("last", RetryTimer(ONE)), 4 * TICK_S)
        while not rung or rung[-1][-1][0] != "last":
            await asyncio.sleep(TICK_S / 5)
        assert loop.time() >= started_s + 4 * TICK_S
        assert [name for them in rung for name, _ in them] == [*map(str, range(50)), "last"]
        assert len(rung) <= 4

    runs(run())


@pytest.mark.parametrize("is_quick", [True, False])
def test_saves_go_on_in_a_thread_while_the_disk_is_slow(tmp_path: Path, is_quick: bool) -> None:
    record = Acceptor(ONE, Proposal(ONE, b"red"))
    told: list[Saved[server.Record[bytes]] | BaseException] = []

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=majority([ME])) as file:
            saver = AdaptiveSaver(file.save, 1000.0 if is_quick else 0.0, UNBROKEN)
            saver.save([("a", record)], told.append)
            assert len(told) == (1 if is_quick else 0)
            assert saver.is_busy is not is_quick
            while not told:
                await asyncio.sleep(0)
            assert not saver.is_busy
            (receipt,) = told
            assert isinstance(receipt, Saved)
            assert receipt.covers(record)
            saver.save([("x" * 300, record)], told.append)
            while len(told) < 2:
                await asyncio.sleep(0)
            assert isinstance(told[1], ValueError)
            assert file.load("a").records == (record,)
            await saver.close()

    runs(run())


class Disk:
    """A disk whose saves take as long as it is told, on a clock of its own, and when it is told."""

    def __init__(self) -> None:
        self.takes_s = self.now_s = 0.0
        self.go = threading.Event()
        self.saves: list[tuple[bool, int]] = []
        self.at_once = self.most = 0

    def save(self, entries: Sequence[Entry]) -> Saved[server.Record[bytes]]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        is_aside = threading.current_thread() is not threading.main_thread()
        if is_aside:
            assert self.go.wait(20)
        self.saves.append((is_aside, len(entries)))
        self.now_s += self.takes_s
        self.at_once -= 1
        return Saved(tuple(record for _, record in entries))


class TestSaver:
    """How long a save takes decides where the next one is made; there is one at a time."""

    def test_slowness_is_measured_and_so_is_that_it_is_over(self) -> None:
        async def run() -> None:
            disk, told = Disk(), list[object]()
            disk.go.set()
            saver = AdaptiveSaver(disk.save, 2.0, UNBROKEN, lambda: disk.now_s)
            for number, disk.takes_s in enumerate([1, 3, 3, 1, 1, 2, 2], 1):
                saver.save([("a", MaxRound(1))], told.append)
                while len(told) < number:
                    await asyncio.sleep(0)
            await saver.close()
            assert [aside for aside, _ in disk.saves] == [False] * 2 + [True] * 2 + [False] * 2 + [
                True
            ]

        runs(run())

    def test_while_one_is_under_way_none_is_made_beside_it(self) -> None:
        """Neither at once nor in the thread, however quick the one before was."""

        async def run() -> None:
            disk, told = Disk(), list[object]()
            disk.takes_s = 1.0
            saver = AdaptiveSaver(disk.save, 0.1, UNBROKEN, lambda: disk.now_s)
            for _ in range(2):
                saver.save([("a", MaxRound(1))], told.append)
            disk.takes_s = 0.0
            saver._took_s = 0.0  # pyright: ignore[reportPrivateUsage]
            for count in 2, 3:
                saver.save([("a", MaxRound(1))] * count, told.append)
            assert (len(told), saver.is_busy) == (1, True)
            disk.go.set()
            while len(told) < 4:
                await asyncio.sleep(0)
            assert not saver.is_busy
            assert disk.most == 1
            await saver.close()
            assert sum(count for _, count in disk.saves) == 7

        runs(run())

    def test_its_thread_ends_with_it(self) -> None:
        async def run() -> None:
            before = set(threading.enumerate())
            saver = AdaptiveSaver(Disk().save, 0.1, UNBROKEN)
            (thread,) = set(threading.enumerate()) - before
            await saver.close()
            thread.join(20)
            assert not thread.is_alive()

        runs(run())

    def test_closing_waits_for_the_save_under_way_and_the_event_loop_goes_on(self) -> None:
        async def run() -> None:
            disk, told = Disk(), list[object]()
            saver = AdaptiveSaver(disk.save, 0.0, UNBROKEN)
            saver.save([("a", MaxRound(1))], told.append)
            closing = asyncio.ensure_future(saver.close())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not closing.done()
            disk.go.set()
            await closing
            assert disk.saves == [(True, 1)]

        runs(run())

    def test_a_save_that_ends_after_its_event_loop_harms_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        disk = Disk()

        async def run() -> AdaptiveSaver[Entry, server.Record[bytes]]:
            saver = AdaptiveSaver(disk.save, 0.0, UNBROKEN)
            saver.save([("a", MaxRound(1))], lambda _: None)
            return saver

        saver = asyncio.run(run())
        disk.go.set()
        asyncio.run(saver.close())
        assert disk.saves == [(True, 1)]
        assert not caplog.records
