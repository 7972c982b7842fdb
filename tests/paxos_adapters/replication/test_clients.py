"""What clients have asked by way of a server, and what is applied."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from paxos.log.sessions import Opened, Result, Session, SessionClosed, Sessions
from paxos_adapters.replication import clients
from paxos_adapters.replication.batches import Commands, Opening, encoded
from paxos_adapters.replication.clients import Clients
from paxos_adapters.replication.submissions import SessionLost
from paxos_adapters.requests.errors import TooManyRequests

ONE = Commands(7, 1, [(1, b"a")])
TWO = Commands(7, 1, [(2, b"b"), (3, b"c")])
OTHER = Commands(8, 1, [(1, b"d")])


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(run)


def is_due(it: Clients[str]) -> bool:
    return it.is_due


def test_an_item_is_sent_at_once_and_the_next_ones_while_it_waits_go_together() -> None:
    async def run() -> None:
        it: Clients[str] = Clients()
        assert not is_due(it)
        it.carry(ONE)
        assert is_due(it)
        assert it.take() == encoded(ONE)
        it.carry(OTHER)
        assert not is_due(it)
        it.on_outcomes(7, [1], [Result("a")])
        assert is_due(it)
        assert it.take() == encoded(OTHER)
        assert it.take() is None

    runs(run())


def test_outcomes_are_those_of_its_own_numbers_in_order() -> None:
    async def run() -> None:
        it: Clients[str] = Clients()
        two, other = it.carry(TWO), it.carry(OTHER)
        it.on_outcomes(7, [1], [Result("a")])
        assert not two.answer.done()
        it.on_outcomes(7, [3, 2], [Result("c"), SessionClosed()])
        assert two.answer.result() == [SessionClosed(), Result("c")]
        assert not other.answer.done()

    runs(run())


def test_an_opening_is_known_by_its_nonce() -> None:
    async def run() -> None:
        it: Clients[str] = Clients()
        opening = it.carry(Opening(5))
        it.on_opened(Opened(1, nonce=4))
        assert not opening.answer.done()
        it.on_opened(Opened(2, nonce=5))
        assert opening.answer.result() == [Opened(2, nonce=5)]

    runs(run())


def test_all_is_sent_again_but_what_was_forgotten() -> None:
    async def run() -> None:
        it: Clients[str] = Clients()
        one, _ = it.carry(ONE), it.carry(TWO)
        assert [it.take(), it.take(), it.take()] == [encoded(ONE), encoded(TWO), None]
        it.forget(one)
        it.send_again()
        assert [it.take(), it.take()] == [encoded(TWO), None]
        unsent = it.carry(ONE)
        it.forget(unsent)
        assert it.take() is None

    runs(run())


def test_after_a_snapshot_results_stand_in_the_table_or_are_unknown() -> None:
    async def run() -> None:
        it: Clients[str] = Clients()
        one, two, other = it.carry(ONE), it.carry(TWO), it.carry(OTHER)
        opening = it.carry(Opening(5))
        it.on_installed(Sessions((Session(7, ((1, "a"), (2, "b"))),)))
        assert one.answer.result() == [Result("a")]
        assert not two.answer.done()
        assert not opening.answer.done()
        with pytest.raises(SessionLost):
            other.answer.result()

    runs(run())


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MAX_CARRIED", 1)

    async def run() -> None:
        it: Clients[str] = Clients()
        one = it.carry(ONE)
        with pytest.raises(TooManyRequests):
            it.carry(TWO)
        it.forget(one)
        it.carry(TWO)

    runs(run())
