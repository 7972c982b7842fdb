"""The commands of one client that are not answered yet, and their session: exactly once.

- A command gets its number when it is first sent. Sent again, by way of whichever server, it has
  the same one: it is run once.
- A session that is closed has not run what was sent once, so that is sent in the next session. What
  was sent twice may have been run the first time: its outcome is unknown.
- A caller that leaves takes nothing back: what was sent goes on, and its results are kept for a
  while. What was not sent is forgotten.
- Servers run no number below the first one that is still waited for.
- Commands wait while others are in progress, and are sent together then, in their order.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), section 6.3.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from itertools import count, islice
from secrets import randbits

from attrs import define

from paxos_adapters.client.errors import NotReached
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.replication.batches import MAX_BATCH, MAX_BATCH_BYTES
from paxos_adapters.requests.errors import CommandUnknown, TooManyRequests

KEPT_SUBMISSIONS = 1_000
"""Submissions whose callers have left and that go on, or whose results are kept."""

NONCE_BITS = 63
CLOSED = "its session is closed, and it was sent before"


@define(eq=False)
class Asked:
    """One command. ``number`` is of the present session; ``times_sent`` counts in it, too."""

    body: bytes
    answer: asyncio.Future[bytes]
    number: int = 0
    times_sent: int = 0

    def renew(self) -> None:
        """Its caller, which has cancelled the answer, may ask for it again."""
        if self.answer.cancelled():
            self.answer = asyncio.get_running_loop().create_future()


class Outbox:
    """What one client has asked of the log ``name``. ``session`` is open, if it is not None."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.session: int | None = None
        self.nonce = randbits(NONCE_BITS)
        self._next = 1
        self._waiting: dict[int, Asked] = {}
        self._size_bytes = 0
        self._numbers = count(1)
        self._left: OrderedDict[int, list[Asked]] = OrderedDict()
        self.is_needed = asyncio.Event()

    def add(self, bodies: Sequence[bytes]) -> list[Asked]:
        """Take commands, all of them or none. Raises TooManyRequests."""
        size_bytes, count = sum(map(len, bodies)), len(self._waiting)
        if count + len(bodies) > MAX_WAITING or self._size_bytes + size_bytes > MAX_WAITING_BYTES:
            raise TooManyRequests(count, self._size_bytes)
        loop = asyncio.get_running_loop()
        added = [Asked(body, loop.create_future()) for body in bodies]
        self._waiting |= {id(it): it for it in added}
        self._size_bytes += size_bytes
        if added:
            self.is_needed.set()
        return added

    def take(self) -> list[Asked]:
        """What to send next: the first that wait, at most a batch. It is sent then."""
        taken: list[Asked] = []
        size_bytes = 0
        for it in islice(self._waiting.values(), MAX_BATCH):
            size_bytes += len(it.body)
            if taken and size_bytes > MAX_BATCH_BYTES:
                break
            if not it.number:
                it.number, self._next = self._next, self._next + 1
            it.times_sent += 1
            taken.append(it)
        return taken

    def on_results(self, taken: Sequence[Asked], results: Sequence[bytes]) -> None:
        """The results of the first of ``taken``."""
        for it, result in zip(taken, results, strict=False):
            it.renew()
            if not it.answer.done():
                it.answer.set_result(result)
            self.forget(it)

    def on_nothing_begun(self, taken: Sequence[Asked]) -> None:
        """A server has refused ``taken``, and sent nothing on."""
        for it in taken:
            it.times_sent -= 1

    def on_closed(self, taken: Sequence[Asked]) -> None:
        """The session is closed, and has not run ``taken`` this time."""
        self.on_nothing_begun(taken)
        self.session, self.nonce, self._next = None, randbits(NONCE_BITS), 1
        for it in [*self._waiting.values()]:
            it.number = 0
            if it.times_sent:
                self.fail([it], CommandUnknown(self._name, CLOSED, None))

    def fail(self, taken: Sequence[Asked], error: Exception) -> None:
        """There will be no results of ``taken``."""
        for it in taken:
            it.renew()
            if not it.answer.done():
                it.answer.set_exception(error)
                it.answer.exception()  # Its caller may have left: then nobody looks at it.
            self.forget(it)

    def fail_all(self, error: Exception) -> None:
        """There will be no results of what waits."""
        self.fail([*self._waiting.values()], error)

    def end(self, why: str) -> None:
        """There will be no results at all."""
        for it in [*self._waiting.values()]:
            self.fail([it], self._error(why, None, was_sent=it.times_sent > 0))

    # --- callers that leave -----------------------------------------------------------------------

    def leave(self, asked: list[Asked]) -> int | None:
        """The caller leaves; by which number it may ask again. None: nothing of it was begun."""
        if not any(it.times_sent for it in asked):
            for it in asked:
                self.forget(it)
            return None
        for it in asked:
            it.renew()
        number = next((it for it, left in self._left.items() if left is asked), None)
        if number is None:
            number = next(self._numbers)
            self._left[number] = asked
        if len(self._left) > KEPT_SUBMISSIONS:
            for it in self._left.popitem(last=False)[1]:
                self.forget(it)
        return number

    def left(self, number: int) -> list[Asked] | None:
        """What a caller that has left had asked; None if it is not kept."""
        return self._left.get(number)

    def late(self, asked: list[Asked], why: str) -> CommandUnknown | NotReached:
        """The caller leaves, since there was no answer in time: what is known of its commands."""
        number = self.leave(asked)
        return self._error(why, number, was_sent=number is not None)

    def _error(
        self, why: str, number: int | None, *, was_sent: bool
    ) -> CommandUnknown | NotReached:
        if was_sent:
            return CommandUnknown(self._name, why, number)
        return NotReached(self._name, why)

    def forget(self, asked: Asked) -> None:
        """Nobody waits for it any more."""
        if self._waiting.pop(id(asked), None) is not None:
            self._size_bytes -= len(asked.body)
        if not self._waiting:
            self.is_needed.clear()
