"""The parts of a node without a network: its questions, its alarms, its saves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path

import pytest

from paxos import (
    Acceptor,
    Ballot,
    Done,
    Inquire,
    NothingChosen,
    Proposal,
    Propose,
    Saved,
    ServerId,
    Wake,
    majority,
    server,
)
from paxos_adapters.file import FileStore
from paxos_adapters.host import Stopped
from paxos_adapters.node import questions as module
from paxos_adapters.node.alarms import TICK_S, Alarm, Alarms
from paxos_adapters.node.errors import Crowded, NodeClosed
from paxos_adapters.node.questions import Questions
from paxos_adapters.node.saving import Saver

ME = ServerId(1)
ONE = Ballot(1, ME)
NOTHING, RED = NothingChosen(ONE), Done(ONE, b"red", own=True)


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 30))


class TestQuestions:
    """Who is answered by what, and what is begun when."""

    def test_nothing_chosen_answers_only_who_asked_before_the_work_began(self) -> None:
        async def run() -> None:
            questions = Questions()
            early = questions.read("a")
            assert questions.begin("a") == Inquire()
            late = questions.read("a")
            assert questions.begin("a") is None
            questions.answer("a", NOTHING)
            assert early.result() == NOTHING
            assert not late.done()
            questions.forget("a", early)
            assert questions.begin("a") == Inquire()
            questions.answer("a", RED)
            assert late.result() == RED

        runs(run())

    def test_what_is_chosen_answers_everybody(self) -> None:
        async def run() -> None:
            questions = Questions()
            answers = [questions.read("a"), questions.propose("a", b"red")]
            assert questions.begin("a") == Propose(b"red")
            answers += [questions.read("a"), questions.propose("a", b"blue")]
            other = questions.read("b")
            questions.answer("a", RED)
            assert [it.result() for it in answers] == [RED] * 4
            assert not other.done()
            assert len(questions) == 1

        runs(run())

    def test_after_an_inquiry_comes_the_proposal_that_came_meanwhile(self) -> None:
        async def run() -> None:
            questions = Questions()
            reader = questions.read("a")
            assert questions.begin("a") == Inquire()
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
            questions = Questions()
            questions.read("a")
            assert questions.begin("a") == Inquire()
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
            questions = Questions()
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
            questions = Questions()
            questions.read("a")
            assert questions.begin("a") == Inquire()
            questions.read("a")
            questions.read("b")
            assert questions.begin("b") is None
            questions.answer("a", NOTHING)
            assert questions.begin("a") is None
            assert list(questions.due()) == [("b", Inquire())]

        runs(run())

    def test_how_many_may_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_ASKED", 2)

        async def run() -> None:
            questions = Questions()
            first = questions.read("a")
            questions.read("a")
            with pytest.raises(Crowded):
                questions.propose("b", b"red")
            questions.forget("a", first)
            questions.propose("b", b"red")

        runs(run())

    def test_the_end_is_told_to_everybody(self) -> None:
        async def run() -> None:
            questions = Questions()
            early = questions.read("a")
            questions.begin("a")
            waiting = [early, questions.read("a"), questions.propose("b", b"red")]
            end = Stopped(ME, NodeClosed())
            questions.end(end)
            assert [it.exception() for it in waiting] == [end] * 3
            assert len(questions) == 0

        runs(run())


def test_alarms_of_a_tick_ring_together_and_in_order() -> None:
    async def run() -> None:
        rung: list[Sequence[Alarm]] = []
        alarms, loop = Alarms(rung.append), asyncio.get_running_loop()
        started_s = loop.time()
        for number in range(50):
            alarms.set(f"{number}", Wake(ONE), 2 * TICK_S)
        alarms.set("last", Wake(ONE), 4 * TICK_S)
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
            saver = Saver(file, 1000.0 if is_quick else 0.0)
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
            saver.close()

    runs(run())
