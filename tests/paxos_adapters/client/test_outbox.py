"""The commands of a client that are not answered yet: numbers, and what is known of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from paxos_adapters.client import NotReached, outbox
from paxos_adapters.client.outbox import Asked, Outbox
from paxos_adapters.replication.batches import MAX_BATCH, MAX_COMMAND_BYTES
from paxos_adapters.requests.errors import CommandUnknown, TooManyRequests


def runs(run: Callable[[Outbox], None]) -> None:
    async def with_a_loop() -> None:
        it = Outbox("log")
        it.session = 7
        run(it)

    asyncio.run(with_a_loop())


def numbers(taken: Sequence[Asked]) -> list[int]:
    return [it.number for it in taken]


def test_what_is_sent_again_has_the_same_numbers() -> None:
    def run(it: Outbox) -> None:
        it.add([b"a", b"b"])
        assert numbers(it.take()) == [1, 2]
        it.add([b"c"])
        assert numbers(it.take()) == [1, 2, 3]

    runs(run)


def test_the_first_results_are_handed_out_and_the_others_asked_for_again() -> None:
    def run(it: Outbox) -> None:
        one, two = it.add([b"a", b"b"])
        it.on_results(it.take(), [b"A"])
        assert one.answer.result() == b"A"
        assert not two.answer.done()
        assert numbers(it.take()) == [2]

    runs(run)


def test_a_batch_is_bounded() -> None:
    def run(it: Outbox) -> None:
        it.add([b"x"] * (MAX_BATCH + 1))
        taken = it.take()
        assert len(taken) == MAX_BATCH
        it.on_results(taken, [b""] * MAX_BATCH)
        it.add([b"x" * MAX_COMMAND_BYTES] * 2)
        assert numbers(it.take()) == [MAX_BATCH + 1, MAX_BATCH + 2]

    runs(run)


def test_a_closed_session_has_not_run_what_was_sent_once() -> None:
    def run(it: Outbox) -> None:
        nonce = it.nonce
        (one,) = it.add([b"a"])
        it.on_results(it.take(), [b"A"])
        (two,) = it.add([b"b"])
        it.on_closed(it.take())
        assert (it.session, it.nonce == nonce) == (None, False)
        assert one.answer.result() == b"A"
        assert not two.answer.done()
        assert numbers(it.take()) == [1]

    runs(run)


def test_a_closed_session_may_have_run_what_was_sent_twice() -> None:
    def run(it: Outbox) -> None:
        (twice,) = it.add([b"a"])
        it.take()
        (once,) = it.add([b"b"])
        it.on_closed(it.take())
        with pytest.raises(CommandUnknown):
            twice.answer.result()
        assert not once.answer.done()
        assert numbers(it.take()) == [1]

    runs(run)


def test_what_a_server_refused_was_not_sent() -> None:
    def run(it: Outbox) -> None:
        asked = it.add([b"a"])
        it.on_nothing_begun(it.take())
        assert it.leave(asked) is None
        asked = it.add([b"a"])
        it.take()
        assert it.leave(asked) == 1

    runs(run)


def test_what_was_not_sent_is_forgotten_when_its_caller_leaves() -> None:
    def run(it: Outbox) -> None:
        assert type(it.late(it.add([b"a"]), "late")) is NotReached
        assert not it.is_needed.is_set()
        it.add([b"b"])
        assert [asked.body for asked in it.take()] == [b"b"]

    runs(run)


def test_what_was_sent_goes_on_when_its_caller_leaves() -> None:
    def run(it: Outbox) -> None:
        asked = it.add([b"a", b"b"])
        it.take()
        asked[0].answer.cancel()
        late = it.late(asked, "late")
        assert (type(late), late.args) == (CommandUnknown, CommandUnknown("log", "late", 1).args)
        it.on_results(it.take(), [b"A", b"B"])
        assert it.left(1) is asked
        assert [again.answer.result() for again in asked] == [b"A", b"B"]
        assert it.left(2) is None

    runs(run)


def test_a_result_that_comes_while_its_caller_leaves_is_kept() -> None:
    def run(it: Outbox) -> None:
        one, two = it.add([b"a"]), it.add([b"b"])
        taken = it.take()
        for asked in taken:
            asked.answer.cancel()
        it.on_results(taken[:1], [b"A"])
        it.fail(taken[1:], ValueError())
        assert (it.leave(one), it.leave(two)) == (1, 2)
        assert one[0].answer.result() == b"A"
        assert type(two[0].answer.exception()) is ValueError

    runs(run)


def test_a_caller_that_asks_again_and_leaves_again_has_the_same_number() -> None:
    def run(it: Outbox) -> None:
        asked = it.add([b"a"])
        it.take()
        assert (it.leave(asked), it.leave(asked)) == (1, 1)

    runs(run)


def test_only_so_many_submissions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEPT_SUBMISSIONS", 1)

    def run(it: Outbox) -> None:
        one, two = it.add([b"a"]), it.add([b"b"])
        it.take()
        assert (it.leave(one), it.leave(two)) == (1, 2)
        assert it.left(1) is None
        assert numbers(it.take()) == [2]

    runs(run)


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 2)

    def run(it: Outbox) -> None:
        one, _ = it.add([b"a", b"b"])
        with pytest.raises(TooManyRequests):
            it.add([b"c"])
        it.forget(one)
        it.add([b"c"])

    runs(run)


def test_the_end_is_an_exception_for_each() -> None:
    def run(it: Outbox) -> None:
        (sent,) = it.add([b"a"])
        it.take()
        (unsent,) = it.add([b"b"])
        it.end("closed")
        with pytest.raises(CommandUnknown):
            sent.answer.result()
        with pytest.raises(NotReached):
            unsent.answer.result()
        assert not it.is_needed.is_set()

    runs(run)
