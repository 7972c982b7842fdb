"""Linearizable reads without an entry in the log: after which slot a read sees all it must see.

- The leader confirms with a quorum that it still leads: the core's Read. Another server asks the
  leader, and reads its own state once it has applied so much.
- At most one question is in progress. Reads that come later share the next one: the answer to
  a question that was asked before they began would be too old for them.
- A question that is not answered, since the leadership has ended or a message was lost, is asked
  again under another number.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), section 6.4, the read index.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Generic, Protocol, TypeAlias, TypeVar

from attrs import define, frozen

from paxos import ServerId
from paxos_adapters.limits import MAX_WAITING
from paxos_adapters.requests.errors import TooManyRequests

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
X = TypeVar("X")


class Reader(Protocol[S_contra]):
    """A caller that waits for what it wants to see of the state."""

    @property
    def is_done(self) -> bool:
        """Whether its caller has left."""
        ...

    def look(self, state: S_contra) -> None:
        """Answer from ``state``."""
        ...

    def fail(self, error: Exception) -> None:
        """Answer with ``error``."""
        ...


@define(eq=False)
class Query(Generic[S, X]):
    """A caller that waits for what ``query`` finds."""

    query: Callable[[S], X]
    answer: asyncio.Future[X]

    @property
    def is_done(self) -> bool:
        """See ``Reader``."""
        return self.answer.done()

    def look(self, state: S) -> None:
        """See ``Reader``."""
        try:
            self.answer.set_result(self.query(state))
        except Exception as error:  # It is the program's own code: it may raise anything.
            self.answer.set_exception(error)

    def fail(self, error: Exception) -> None:
        """See ``Reader``."""
        self.answer.set_exception(error)


@frozen
class Remote:
    """Another server that asks for its own readers."""

    server: ServerId
    number: int


Asking: TypeAlias = Reader[S] | Remote
"""What wants to know after which slot a read is linearizable."""


@define
class Question(Generic[S]):
    """What waits for the answer to the question ``number``."""

    number: int
    asking: list[Asking[S]]


class Reads(Generic[S]):
    """The reads of one log on one server."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waiting: list[Asking[S]] = []
        self._question: Question[S] | None = None
        self._ready: deque[tuple[int, Reader[S]]] = deque()
        self.answered = 0
        """How many readers have seen a state."""

    def __len__(self) -> int:
        """How many wait for an answer."""
        asked = 0 if self._question is None else len(self._question.asking)
        return len(self._waiting) + asked + len(self._ready)

    @property
    def number(self) -> int | None:
        """The question that is in progress."""
        return None if self._question is None else self._question.number

    @property
    def is_full(self) -> bool:
        """Whether there is room for none more."""
        return len(self) >= MAX_WAITING

    def add(self, asking: Asking[S]) -> None:
        """Have a question asked for ``asking``. Raises TooManyRequests for one reader too many."""
        if self.is_full:
            raise TooManyRequests(len(self), 0)
        self._waiting.append(asking)

    def next_question(self) -> int | None:
        """The number of the question to ask now; None if one is in progress, or none waits."""
        if self._question is not None or not self._waiting:
            return None
        self._question = Question(next(self._numbers), self._waiting)
        self._waiting = []
        return self._question.number

    def on_answer(self, number: int, first: int | None) -> list[Remote]:
        """The answer to the question ``number``; the servers to hand it to.

        None: the leadership has ended. Then readers of this server ask again.
        """
        question = self._question
        if question is None or question.number != number:
            return []
        self._question = None
        remote: list[Remote] = []
        for it in question.asking:
            if isinstance(it, Remote):
                remote.append(it)
            elif first is None:
                self._waiting.append(it)
            else:
                self._ready.append((first, it))
        return remote

    def ask_again(self) -> None:
        """The question that is in progress is lost, maybe; other servers ask again themselves."""
        if self._question is not None:
            own = [it for it in self._question.asking if not isinstance(it, Remote)]
            self._waiting = [*own, *self._waiting]
            self._question = None

    def on_applied(self, slot: int, state: S) -> None:
        """All slots below ``slot`` are applied: readers that waited for that read ``state``."""
        while self._ready and self._ready[0][0] <= slot:
            _, reader = self._ready.popleft()
            if not reader.is_done:
                self.answered += 1
                reader.look(state)

    def end(self, error: Exception) -> None:
        """There will be no answers: every reader gets ``error``."""
        asked = [] if self._question is None else self._question.asking
        for it in (*self._waiting, *asked, *(reader for _, reader in self._ready)):
            if not isinstance(it, Remote) and not it.is_done:
                it.fail(error)
        self._waiting, self._question = [], None
        self._ready.clear()
