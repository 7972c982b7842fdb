"""One thread that saves for everybody."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from threading import Event, Thread

import pytest

from paxos import (
    Accept,
    AfterSave,
    Ballot,
    From,
    MaxRound,
    Prepare,
    Saved,
    ServerId,
    To,
    majority,
    server,
)
from paxos_adapters import group_commit
from paxos_adapters.file import FileStore, TooLarge
from paxos_adapters.file.entries import Entry
from paxos_adapters.group_commit import GroupCommitter, NotCommitting, Overloaded
from paxos_adapters.threads import ThreadNotStarted

ME = ServerId(1)


class Slow:
    """A store that saves when it is told to, and fails from some save on."""

    def __init__(self, fails_at: int = 1_000) -> None:
        self.go = Event()
        self.batches: list[list[int]] = []
        self.fails_at = fails_at

    def save(self, batch: Sequence[int]) -> Saved[int]:
        assert self.go.wait(20)
        self.batches.append([*batch])
        if len(self.batches) >= self.fails_at:
            raise OSError("no disk any more")
        return Saved(tuple(batch))


def test_what_waits_meanwhile_shares_a_save() -> None:
    store = Slow()
    with GroupCommitter(store.save) as committer:
        first = committer.submit([1, 2])
        while committer._waiting:  # pyright: ignore[reportPrivateUsage]
            pass  # until the thread has taken it, and is held up
        others = [committer.submit([number, number]) for number in range(3, 9)]
        store.go.set()
        wait([first, *others])
        assert store.batches == [[1, 2], [3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]]
        assert {id(it.result()) for it in others} == {id(others[0].result())}
        assert others[0].result().covers(store.batches[1][0])


def test_a_batch_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_BATCH", 4)
    store = Slow()
    with GroupCommitter(store.save) as committer:
        futures = [committer.submit([number]) for number in range(20)]
        store.go.set()
        wait(futures)
    assert [it for batch in store.batches for it in batch] == [*range(20)]
    assert max(map(len, store.batches)) <= 4


def test_the_first_failure_is_final() -> None:
    store = Slow(fails_at=2)
    store.go.set()
    with GroupCommitter(store.save) as committer:
        committer.submit([1]).result()
        for number in range(2, 5):
            with pytest.raises(OSError, match="no disk any more"):
                committer.submit([number]).result()
    assert store.batches == [[1], [2]]


def test_leaving_saves_what_still_waits() -> None:
    store = Slow()
    with GroupCommitter(store.save) as committer:
        futures = [committer.submit([number]) for number in range(9)]
        store.go.set()
    assert all(it.done() for it in futures)
    assert [it for batch in store.batches for it in batch] == [*range(9)]
    committer.close()
    with pytest.raises(NotCommitting, match="nothing was saved"):
        committer.submit([10])


def test_who_submits_too_fast_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 3)
    store = Slow()
    with GroupCommitter(store.save) as committer:
        committer.submit([0])
        while committer._waiting:  # pyright: ignore[reportPrivateUsage]
            pass  # until the thread has taken it, and is held up
        for number in range(1, 4):
            committer.submit([number])
        with pytest.raises(Overloaded, match="3 submissions with"):
            committer.submit([4])
        store.go.set()
    assert [it for batch in store.batches for it in batch] == [0, 1, 2, 3]


def test_it_cannot_be_cancelled() -> None:
    store = Slow()

    async def run() -> None:
        with GroupCommitter(store.save) as committer:
            waiting = asyncio.ensure_future(committer.save([1]))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises((asyncio.CancelledError, CancelledError)):
                await waiting
            await asyncio.sleep(0)  # The loop tells the future of the thread in a turn of its own.
            second = committer.submit([2])
            assert not second.cancel()
            store.go.set()
            await asyncio.wrap_future(second)

    asyncio.run(run())
    assert [it for batch in store.batches for it in batch] == [1, 2]


def test_its_closing_cannot_be_cancelled() -> None:
    """The task that closes it may be, while it saves what still waits."""
    store = Slow()

    async def run() -> None:
        committer = GroupCommitter(store.save)
        committer.submit([1])
        closing = asyncio.wrap_future(committer.closing())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.sleep(0)  # The loop tells the future of the thread in a turn of its own.
        store.go.set()
        await asyncio.wrap_future(committer.closing())
        committer.close()

    asyncio.run(run())
    assert store.batches == [[1]]


def test_an_event_loop_serves_many_decisions_with_few_syncs(tmp_path: Path) -> None:
    """What a host for asyncio does: step, submit, await, release."""
    path = tmp_path / "n1.db"
    quorum = majority([ME])
    ballot = Ballot(1, ServerId(2))

    async def decide(name: str, committer: GroupCommitter[Entry, server.Record[bytes]]) -> None:
        state: server.Server[bytes] = server.start(ME, quorum)
        for request in Prepare(ballot), Accept(ballot, name.encode()):
            state, outbound = server.receive(state, From(ME, request))
            assert isinstance(outbound, AfterSave)
            saved = await committer.save([(name, outbound.record)])
            (answer,) = outbound.release(saved)
            assert isinstance(answer, To)

    async def run(file: FileStore) -> None:
        with GroupCommitter(file.save) as committer:
            await asyncio.gather(*(decide(f"d{number}", committer) for number in range(200)))

    with FileStore.create(path, cluster="demo", server=ME, quorum=majority([ME])) as file:
        asyncio.run(run(file))
        assert len(file.decisions()) == 200
        assert file.saves < 100


def run_aside(program: str) -> str:
    """What a process that runs ``program`` says, on both outputs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout + done.stderr


def submit_on(committer: GroupCommitter[int, int], futures: list[Future[Saved[int]]]) -> None:
    try:
        while True:
            futures.append(committer.submit([1]))
    except (NotCommitting, Overloaded):
        pass


class TestMisuse:
    """What one does wrong harms nobody else."""

    def test_a_bad_value_among_good_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "n1.db"
        good = [("good", MaxRound(7))], [("other", MaxRound(8))]
        with FileStore.create(path, cluster="demo", server=ME, quorum=majority([ME])) as file:
            held, go = file.save, Event()

            def slow(entries: Sequence[Entry]) -> Saved[server.Record[bytes]]:
                assert go.wait(20)
                return held(entries)

            with GroupCommitter(slow) as committer:
                first = committer.submit(good[0])
                bad = committer.submit([("x" * 256, MaxRound(1))])
                last = committer.submit(good[1])
                go.set()
                assert first.result().covers(good[0][0][1])
                with pytest.raises(TooLarge):
                    bad.result()
                assert last.result().covers(good[1][0][1])
            assert file.decisions() == ("good", "other")

    def test_a_callback_that_wants_to_exit(self) -> None:
        store = Slow()
        with GroupCommitter(store.save) as committer:

            def leave(_: object) -> None:
                raise SystemExit

            committer.submit([1]).add_done_callback(leave)
            second = committer.submit([2])
            store.go.set()
            assert second.result(60).records[-1] == 2
            assert committer.submit([3]).result(60).records == (3,)

    def test_closing_from_a_callback(self) -> None:
        """In a process of its own, since a thread that waits for itself never ends."""
        program = """
from tests.paxos_adapters.test_group_commit import *
store = Slow()
committer = GroupCommitter(store.save)
committer.submit([1]).add_done_callback(lambda _: committer.close())
store.go.set()
committer.close()
try:
    committer.submit([2])
except NotCommitting:
    print("closed")
"""
        assert run_aside(program) == "closed\n"

    @pytest.mark.slow
    def test_whoever_submits_while_it_closes_is_told_or_served(self) -> None:
        store = Slow()
        store.go.set()
        for _ in range(50):
            committer = GroupCommitter(store.save)
            futures: list[Future[Saved[int]]] = []

            thread = Thread(target=submit_on, args=(committer, futures))
            thread.start()
            committer.close()
            thread.join()
            committer.close()
            assert all(it.done() for it in futures)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ends",
    [
        pytest.param("", id="without closing"),
        pytest.param("atexit.register(committer.close)", id="closing from atexit"),
        pytest.param("atexit.register(submit, 5)", id="submitting from atexit"),
        pytest.param("early.append(lambda: submit(5))", id="submitting at the very end"),
        pytest.param("early.append(committer.close)", id="closing at the very end"),
        pytest.param("del committer, submit", id="dropping it"),
    ],
)
def test_a_program_that_ends_saves_what_was_submitted_and_says_nothing(
    tmp_path: Path, ends: str
) -> None:
    path = tmp_path / "saved"
    program = f"""
import atexit
early = []
atexit.register(lambda: [act() for act in early])
import sys, time
from pathlib import Path
from paxos import Saved
from paxos_adapters.group_commit import GroupCommitter
def save(batch):
    time.sleep(0.01)
    with Path({str(path)!r}).open("a") as file:
        file.write("".join(f"{{it}} " for it in batch))
    return Saved(tuple(batch))
committer = GroupCommitter(save)
def submit(number):
    committer.submit([number])
for number in range(5):
    submit(number)
{ends}
"""
    assert run_aside(program) == ""
    assert path.read_text().split()[:5] == ["0", "1", "2", "3", "4"]
    assert ("5" in path.read_text()) == ("5" in ends)


def test_a_forked_process_has_no_committer_and_does_not_hang() -> None:
    program = """
import os, threading
from concurrent.futures import wait
from paxos import Saved
from paxos_adapters.group_commit import GroupCommitter
from paxos_adapters.forks import Forked
go = threading.Event()
def save(batch):
    go.wait()
    return Saved(tuple(batch))
committer = GroupCommitter(save)
future = committer.submit([1])
child = os.fork()
if not child:
    try:
        committer.submit([2])
    except Forked:
        committer.close()
        raise SystemExit(7)  # The functions of atexit run, too.
    os._exit(1)
_, status = os.waitpid(child, 0)
go.set()
committer.close()
assert future.result().records == (1,)
print(os.waitstatus_to_exitcode(status))
"""
    assert run_aside(program) == "7\n"


def test_a_thread_that_cannot_be_started_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    with pytest.raises(ThreadNotStarted, match="nothing was begun"):
        GroupCommitter(Slow().save)


def test_two_saves_are_never_under_way_at_once() -> None:
    at_once, most = [0], [0]

    def save(batch: Sequence[int]) -> Saved[int]:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0)
        at_once[0] -= 1
        return Saved(tuple(batch))

    with GroupCommitter(save) as committer:

        def submit() -> None:
            wait([committer.submit([number]) for number in range(200)])

        threads = [Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1]


def test_one_that_nothing_refers_to_ends_its_thread_after_what_was_submitted() -> None:
    store = Slow()
    before = set(threading.enumerate())
    future = GroupCommitter(store.save).submit([1])
    (thread,) = set(threading.enumerate()) - before
    store.go.set()
    assert future.result().records == (1,)
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_what_waits_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING_BYTES", 10)
    store = Slow()
    with GroupCommitter(store.save, size_bytes=lambda it: it) as committer:
        first = committer.submit([4])
        while committer._waiting:  # pyright: ignore[reportPrivateUsage]
            pass  # until the thread has taken it, and is held up
        committer.submit([4, 4])
        with pytest.raises(Overloaded, match="1 submissions with 8 bytes"):
            committer.submit([3])
        committer.submit([2])
        store.go.set()
        first.result()
    committer.close()
    assert [it for batch in store.batches for it in batch] == [4, 4, 4, 2]
