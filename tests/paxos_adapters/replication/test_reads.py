"""Reads: after which slot, and that no answer to an older question is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from paxos import ServerId
from paxos_adapters.limits import MAX_WAITING
from paxos_adapters.replication.reads import Query, Reads, Remote
from paxos_adapters.requests.errors import TooManyRequests

Answer = asyncio.Future[int]


def in_a_loop(test: Callable[[], None]) -> None:
    async def run() -> None:
        test()

    asyncio.run(run())


def reader(reads: Reads[int]) -> Answer:
    answer: Answer = asyncio.get_running_loop().create_future()
    reads.add(Query(lambda state: state, answer))
    return answer


def test_a_read_that_comes_later_is_not_served_by_the_question_in_progress() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        first = reader(reads)
        number = reads.next_question()
        assert number is not None
        later = reader(reads)
        assert reads.next_question() is None
        reads.on_answer(number, 5)
        reads.on_applied(5, 77)
        assert first.result() == 77
        assert not later.done()
        following = reads.next_question()
        assert following not in (None, number)

    in_a_loop(test)


def test_it_waits_until_all_is_applied() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        answer = reader(reads)
        number = reads.next_question()
        assert number is not None
        reads.on_answer(number, 5)
        reads.on_applied(4, 1)
        assert not answer.done()
        reads.on_applied(6, 2)
        assert answer.result() == 2

    in_a_loop(test)


def test_the_end_of_a_leadership_asks_again() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        answer = reader(reads)
        number = reads.next_question()
        assert number is not None
        reads.on_answer(number, None)
        again = reads.next_question()
        assert again not in (None, number)
        assert again is not None
        reads.on_answer(number, 3)  # Late: to the first question.
        reads.on_applied(9, 1)
        assert not answer.done()
        reads.on_answer(again, 3)
        reads.on_applied(9, 1)
        assert answer.done()

    in_a_loop(test)


def test_a_lost_question_is_asked_again_under_another_number() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        reads.add(Remote(ServerId(2), 9))
        answer = reader(reads)
        number = reads.next_question()
        reads.ask_again()
        again = reads.next_question()
        assert again not in (None, number)
        assert again is not None
        assert reads.on_answer(again, 1) == []  # The other server asks again itself.
        reads.on_applied(1, 1)
        assert answer.done()

    in_a_loop(test)


def test_other_servers_get_the_slot() -> None:
    reads: Reads[int] = Reads()
    reads.add(Remote(ServerId(2), 9))
    number = reads.next_question()
    assert number is not None
    assert reads.on_answer(number, 4) == [Remote(ServerId(2), 9)]


def test_a_query_that_raises_is_its_caller_s() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        answer: Answer = asyncio.get_running_loop().create_future()
        reads.add(Query(lambda state: 1 // state, answer))
        other = reader(reads)
        number = reads.next_question()
        assert number is not None
        reads.on_answer(number, 1)
        reads.on_applied(1, 0)
        assert isinstance(answer.exception(), ZeroDivisionError)
        assert other.result() == 0

    in_a_loop(test)


def test_a_caller_that_has_left_costs_nothing() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        answer = reader(reads)
        answer.cancel()
        number = reads.next_question()
        assert number is not None
        reads.on_answer(number, 1)
        reads.on_applied(1, 0)
        assert len(reads) == 0

    in_a_loop(test)


def test_it_is_bounded_and_ends() -> None:
    def test() -> None:
        reads: Reads[int] = Reads()
        answers = [reader(reads) for _ in range(MAX_WAITING)]
        with pytest.raises(TooManyRequests):
            reader(reads)
        reads.next_question()
        error = ValueError()
        reads.end(error)
        assert {it.exception() for it in answers} == {error}
        assert len(reads) == 0

    in_a_loop(test)
