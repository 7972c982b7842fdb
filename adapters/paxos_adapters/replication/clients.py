"""Commands of clients, which come by way of this server and belong to sessions of their own.

- A client numbers its commands. So it can send one again, by way of whichever server, and it is run
  once.
- What a client asks is an item of a batch: it is sent on as it is, and answered by what is applied
  here. It is sent again until it is answered, or until its client has hung up.
- A session that is closed has run nothing, if this server came to each slot in its turn. After a
  snapshot was installed, a command of a session that is gone may have been run.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), section 6.3.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from typing import Generic, TypeVar

from attrs import define

from paxos.log.sessions import Opened, Outcome, Result, Sessions
from paxos_adapters.replication.batches import MAX_BATCH, Commands, Item, Items, Opening, encoded
from paxos_adapters.replication.submissions import SessionLost
from paxos_adapters.requests.errors import TooManyRequests

R = TypeVar("R")

MAX_CARRIED = 1_000
"""Items of clients that wait for an answer; each has at most the bytes of a batch."""


@define(eq=False)
class Carried(Generic[R]):
    """An item that is not answered yet. ``answer`` brings an outcome for each of its commands."""

    number: int
    item: Item
    items: Items
    answer: asyncio.Future[list[Outcome[R]]]


class Clients(Generic[R]):
    """What clients have asked by way of this server."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._carried: dict[int, Carried[R]] = {}
        self._unsent: deque[int] = deque()

    def __len__(self) -> int:
        """How many items are not answered yet."""
        return len(self._carried)

    @property
    def oldest(self) -> int | None:
        """Which item waits longest, by a number of its own."""
        return next(iter(self._carried), None)

    @property
    def is_due(self) -> bool:
        """Whether to send now: at once if nothing is in progress, else a quarter of a batch."""
        if len(self._unsent) == len(self._carried):
            return bool(self._unsent)
        commands = sum(self._carried[it].items.commands for it in self._unsent)
        return commands * 4 >= MAX_BATCH

    def carry(self, item: Item) -> Carried[R]:
        """Have ``item`` sent. Raises TooManyRequests."""
        if len(self._carried) >= MAX_CARRIED:
            size_bytes = sum(len(it.items.body) for it in self._carried.values())
            raise TooManyRequests(len(self._carried), size_bytes)
        answer: asyncio.Future[list[Outcome[R]]] = asyncio.get_running_loop().create_future()
        carried = Carried(next(self._numbers), item, encoded(item), answer)
        self._carried[carried.number] = carried
        self._unsent.append(carried.number)
        return carried

    def forget(self, carried: Carried[R]) -> None:
        """Its client waits for it no more. What was sent goes on."""
        if self._carried.pop(carried.number, None) is not None:
            with suppress(ValueError):
                self._unsent.remove(carried.number)

    # --- to the leader ----------------------------------------------------------------------------

    def take(self) -> Items | None:
        """What to send next; None if all is sent."""
        return self._carried[self._unsent.popleft()].items if self._unsent else None

    def send_again(self) -> None:
        """Nothing that was sent has arrived, maybe: send it all again."""
        self._unsent = deque(self._carried)

    # --- from the log -----------------------------------------------------------------------------

    def on_opened(self, opened: Opened) -> None:
        """A session was opened: for one of them, maybe."""
        for carried in [*self._carried.values()]:
            if type(carried.item) is Opening and carried.item.nonce == opened.nonce:
                self._answer(carried, [opened])

    def on_outcomes(
        self, session: int, numbers: Iterable[int], outcomes: Iterable[Outcome[R]]
    ) -> None:
        """What came of commands of ``session``: those of an item stand together in one entry."""
        waiting = [it for it in self._carried.values() if _session(it) == session]
        if waiting:
            found = dict(zip(numbers, outcomes, strict=True))
            for carried in waiting:
                self._look(carried, found)

    def _look(self, carried: Carried[R], found: Mapping[int, Outcome[R]]) -> None:
        assert type(carried.item) is Commands
        own = [number for number, _ in carried.item.commands]
        if all(number in found for number in own):
            self._answer(carried, [found[number] for number in own])

    def _answer(self, carried: Carried[R], outcomes: list[Outcome[R]]) -> None:
        self.forget(carried)
        if not carried.answer.done():
            carried.answer.set_result(outcomes)

    def on_installed(self, table: Sessions[R]) -> None:
        """Slots were left out: what came of their commands stands in the table, or is unknown."""
        kept = {
            it.id: {number: Result(result) for number, result in it.results} for it in table.open
        }
        for carried in [*self._carried.values()]:
            session = _session(carried)
            if session in kept:
                self._look(carried, kept[session])
            elif session is not None:
                self._fail(carried, SessionLost())

    def end(self, error: Exception) -> None:
        """There will be no outcomes: every client gets ``error``."""
        for carried in [*self._carried.values()]:
            self._fail(carried, error)

    def _fail(self, carried: Carried[R], error: Exception) -> None:
        self.forget(carried)
        if not carried.answer.done():
            carried.answer.set_exception(error)


def _session(carried: Carried[R]) -> int | None:
    """The session of its commands; None if it opens one."""
    return carried.item.session if type(carried.item) is Commands else None
