"""What a program has submitted: exactly once, whichever server leads and whatever is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from paxos.log.sessions import Opened, Outcome, Result, Session, SessionClosed, Sessions
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.replication.batches import MAX_BATCH, Commands, Item, Opening, batch, decoded
from paxos_adapters.replication.submissions import KEPT_RESULTS, SessionLost, Submissions
from paxos_adapters.requests.errors import TooManyRequests

Numbered = list[tuple[int, bytes]]


def in_a_loop(test: Callable[[Submissions[int]], None]) -> None:
    async def run() -> None:
        test(Submissions[int](nonce=7))

    asyncio.run(run())


def taken(submissions: Submissions[int]) -> Item | None:
    items = submissions.take()
    if items is None:
        return None
    (item,) = decoded(batch([items]))
    return item


def commands(submissions: Submissions[int]) -> Numbered:
    item = taken(submissions)
    assert isinstance(item, Commands)
    return item.commands


def opened(submissions: Submissions[int], session: int = 5) -> None:
    assert isinstance(taken(submissions), Opening)
    submissions.on_opened(Opened(session, 7))


def ran(submissions: Submissions[int], *numbers: int, session: int = 5) -> None:
    outcomes: list[Outcome[int]] = [Result(10 * it) for it in numbers]
    submissions.on_outcomes(session, numbers, outcomes)


def test_the_session_is_opened_first() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b"a"])
        assert taken(it) == Opening(7)
        assert taken(it) is None
        it.on_opened(Opened(4, 8))  # That of another server.
        assert it.session is None
        it.on_opened(Opened(5, 7))
        it.on_opened(Opened(6, 7))  # It was sent twice.
        assert taken(it) == Commands(5, 1, [(1, b"a")])
        assert taken(it) is None

    in_a_loop(test)


def test_results_come_in_the_order_of_the_commands() -> None:
    def test(it: Submissions[int]) -> None:
        one, two = it.submit([b"a", b"b"]), it.submit([b"c"])
        opened(it)
        assert commands(it) == [(1, b"a"), (2, b"b"), (3, b"c")]
        ran(it, 3)
        ran(it, 2)
        assert two.answer.result() == [30]
        assert not one.answer.done()
        ran(it, 1, session=4)  # That of another server.
        assert not one.answer.done()
        ran(it, 1)
        ran(it, 1)
        assert one.answer.result() == [10, 20]
        assert len(it) == 0

    in_a_loop(test)


def test_what_is_not_answered_is_sent_again_under_the_same_number() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b"a", b"b", b"c"])
        opened(it)
        commands(it)
        ran(it, 1)
        it.send_again()
        assert taken(it) == Commands(5, 2, [(2, b"b"), (3, b"c")])

    in_a_loop(test)


def test_the_opening_is_sent_again_too() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b"a"])
        assert taken(it) == Opening(7)
        it.send_again()
        assert taken(it) == Opening(7)

    in_a_loop(test)


def test_commands_of_a_closed_session_go_into_the_next() -> None:
    def test(it: Submissions[int]) -> None:
        first = it.submit([b"a", b"b"])
        opened(it)
        commands(it)
        ran(it, 1)
        it.on_outcomes(5, [2], [SessionClosed()])
        assert taken(it) == Opening(8)
        it.on_opened(Opened(9, 8))
        assert taken(it) == Commands(9, 1, [(1, b"b")])
        ran(it, 2)  # The old session says nothing any more.
        ran(it, 1, session=9)
        assert first.answer.result() == [10, 10]

    in_a_loop(test)


def test_a_snapshot_answers_what_it_has() -> None:
    def test(it: Submissions[int]) -> None:
        one, two = it.submit([b"a"]), it.submit([b"b"])
        opened(it)
        commands(it)
        it.on_installed(Sessions((Session(5, ((1, 10),)),)))
        assert one.answer.result() == [10]
        assert not two.answer.done()

    in_a_loop(test)


def test_after_a_snapshot_without_the_session_nothing_is_known() -> None:
    def test(it: Submissions[int]) -> None:
        one = it.submit([b"a"])
        opened(it)
        commands(it)
        it.on_installed(Sessions(()))
        assert isinstance(one.answer.exception(), SessionLost)
        assert len(it) == 0
        it.submit([b"b"])
        assert taken(it) == Opening(8)

    in_a_loop(test)


def test_a_result_whose_caller_has_left_is_kept_for_a_while() -> None:
    def test(it: Submissions[int]) -> None:
        left = [it.submit([b"a"]) for _ in range(KEPT_RESULTS + 1)]
        for one in left:
            one.answer.cancel()
        assert it.unresolved == KEPT_RESULTS + 1
        again = it.again(left[1].number)
        assert again is not None
        opened(it)
        ran(it, *range(1, KEPT_RESULTS + 2))
        assert again.result() == [20]
        assert it.again(left[0].number) is None
        kept = it.again(left[1].number)
        assert kept is not None
        assert kept.result() == [20]
        last = it.again(left[-1].number)
        assert last is not None
        assert last.result() == [10 * (KEPT_RESULTS + 1)]
        assert it.again(10_000) is None

    in_a_loop(test)


def test_a_batch_is_bounded() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b"x" * 50_000, b"x" * 50_000, *[b""] * MAX_BATCH])
        opened(it)
        assert [len(commands(it)), len(commands(it)), len(commands(it))] == [1, MAX_BATCH, 1]

    in_a_loop(test)


def test_what_waits_is_bounded() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b""] * (MAX_WAITING - 1))
        with pytest.raises(TooManyRequests):
            it.submit([b"", b""])
        it.submit([b""])
        with pytest.raises(TooManyRequests):
            it.submit([b""])

    in_a_loop(test)


def test_so_are_its_bytes() -> None:
    def test(it: Submissions[int]) -> None:
        large = bytes(MAX_WAITING_BYTES // 2)
        first = it.submit([large])
        it.submit([large])
        with pytest.raises(TooManyRequests):
            it.submit([b"a"])
        opened(it)
        ran(it, 1)
        assert first.answer.done()
        it.submit([b"a"])

    in_a_loop(test)


def test_it_waits_for_a_quarter_of_a_batch_while_more_is_in_progress() -> None:
    def test(it: Submissions[int]) -> None:
        it.submit([b"a"])
        opened(it)
        assert [it.is_due] == [True]
        commands(it)
        it.submit([b"b"] * (MAX_BATCH // 4 - 1))
        assert [it.is_due] == [False]
        it.submit([b"c"])
        assert [it.is_due] == [True]

    in_a_loop(test)


def test_the_end_reaches_all() -> None:
    def test(it: Submissions[int]) -> None:
        one = it.submit([b"a"])
        it.end(SessionLost())
        assert isinstance(one.answer.exception(), SessionLost)
        assert len(it) == 0

    in_a_loop(test)
