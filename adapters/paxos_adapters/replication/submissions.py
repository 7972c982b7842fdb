"""The commands of this program that are not answered yet, and the session that they belong to.

- The session is opened with the first command, and again when it was closed in the order of the
  log. A command that a closed session has refused was not run: this server came to each slot in
  its turn. So it is submitted again, in the next session.
- After a snapshot was installed, slots were left out. Then a command of a session that is not
  open any more may have been run: its outcome is unknown.
- To send a command again does no harm: its number says that it is the same.
- A caller that leaves is forgotten. Its commands go on, and their results are kept for a while.
- Bounded, by number and by bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Generic, TypeVar

from attrs import define, field

from paxos.errors import assert_never
from paxos.log.sessions import Opened, Outcome, Result, ResultDropped, SessionClosed, Sessions
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.replication.batches import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Commands,
    Items,
    Opening,
    encoded,
)
from paxos_adapters.requests.errors import TooManyRequests

R = TypeVar("R")

KEPT_RESULTS = 1_000
"""Submissions whose callers have left and whose results are kept."""

MAX_NONCE = 1 << 63


class SessionLost(Exception):
    """It is not known whether a command was run: the session is gone, and slots were left out."""


@define(eq=False)
class Submission(Generic[R]):
    """Commands that were submitted together. ``answer`` brings their results, in order.

    ``number`` names them to the program; ``size_bytes`` is that of all commands. ``was_left``: its
    caller has left, and has asked for its results again.
    """

    number: int
    commands: Sequence[bytes]
    answer: asyncio.Future[list[R]]
    size_bytes: int
    was_left: bool = False
    _results: dict[int, R] = field(factory=dict[int, R])

    def answered(self, place: int, result: R) -> bool:
        """The result of the command at ``place``; whether all results are there."""
        self._results[place] = result
        return len(self._results) == len(self.commands)

    @property
    def results(self) -> list[R]:
        """The results, in the order of the commands."""
        return [self._results[place] for place in range(len(self.commands))]


class Submissions(Generic[R]):
    """What one program has submitted to one log. ``session`` is open, if it is not None."""

    def __init__(self, nonce: int) -> None:
        """``nonce`` is another one for each opening of the file."""
        self.session: int | None = None
        self._nonce = nonce % MAX_NONCE
        self._is_opening = False
        self._numbers, self._next = count(1), 1
        self._pending: dict[int, tuple[Submission[R], int]] = {}
        self._unsent: deque[int] = deque()
        self._size_bytes = 0
        self._submissions: dict[int, Submission[R]] = {}
        self._kept: OrderedDict[int, list[R]] = OrderedDict()

    def __len__(self) -> int:
        """How many commands are not answered yet."""
        return len(self._pending)

    @property
    def oldest(self) -> int | None:
        """The number of the first command that is not answered yet."""
        return next(iter(self._pending), None)

    @property
    def unresolved(self) -> int:
        """How many submissions go on though their callers have left."""
        return sum(it.was_left or it.answer.cancelled() for it in self._submissions.values())

    @property
    def is_due(self) -> bool:
        """Whether to send now: at once if nothing is in progress, else a quarter of a batch."""
        if self.session is None:
            return self._must_open
        count = len(self._unsent)
        return bool(count) and (count >= len(self._pending) or count * 4 >= MAX_BATCH)

    @property
    def _must_open(self) -> bool:
        return bool(self._pending) and not self._is_opening

    # --- from the program -------------------------------------------------------------------------

    def submit(self, commands: Sequence[bytes]) -> Submission[R]:
        """Take ``commands``, all of them or none. Raises TooManyRequests."""
        size_bytes, waiting = sum(map(len, commands)), len(self._pending)
        is_full = waiting + len(commands) > MAX_WAITING
        if is_full or self._size_bytes + size_bytes > MAX_WAITING_BYTES:
            raise TooManyRequests(waiting, self._size_bytes)
        answer: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        submission = Submission(next(self._numbers), commands, answer, size_bytes)
        self._submissions[submission.number] = submission
        self._size_bytes += size_bytes
        for place in range(len(commands)):
            self._enqueue(submission, place)
        return submission

    def _enqueue(self, submission: Submission[R], place: int) -> None:
        number = self._next
        self._pending[number] = submission, place
        self._unsent.append(number)
        self._next = number + 1

    def again(self, number: int) -> asyncio.Future[list[R]] | None:
        """The results of a submission whose caller has left; None if they are not kept.

        Several may wait for them: none of these may cancel the future.
        """
        submission = self._submissions.get(number)
        if submission is not None and submission.was_left:
            return submission.answer
        answer: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        if submission is not None and submission.answer.cancelled():
            submission.answer, submission.was_left = answer, True
        elif number in self._kept:
            answer.set_result(self._kept[number])
        else:
            return None
        return answer

    # --- to the leader ----------------------------------------------------------------------------

    def take(self) -> Items | None:
        """What to send next, at most a batch; None if all is sent."""
        if self.session is None:
            if not self._must_open:
                return None
            self._is_opening = True
            return encoded(Opening(self._nonce))
        numbered: list[tuple[int, bytes]] = []
        size_bytes = 0
        while self._unsent and len(numbered) < MAX_BATCH:
            number = self._unsent[0]
            if number in self._pending:
                submission, place = self._pending[number]
                command = submission.commands[place]
                size_bytes += len(command)
                if numbered and size_bytes > MAX_BATCH_BYTES:
                    break
                numbered.append((number, command))
            self._unsent.popleft()
        done_below = next(iter(self._pending), self._next)
        return encoded(Commands(self.session, done_below, numbered)) if numbered else None

    def send_again(self) -> None:
        """Nothing that was sent has arrived, maybe: send it all again."""
        self._is_opening = False
        self._unsent = deque(self._pending)

    # --- from the log -----------------------------------------------------------------------------

    def on_opened(self, opened: Opened) -> None:
        """A session was opened: this one, maybe."""
        if self.session is None and opened.nonce == self._nonce:
            self.session = opened.session

    def on_outcomes(
        self, session: int, numbers: Iterable[int], outcomes: Iterable[Outcome[R]]
    ) -> None:
        """What came of commands of ``session``: it is told to their callers."""
        if session != self.session:
            return
        for number, outcome in zip(numbers, outcomes, strict=True):
            if type(outcome) is Result:
                self._on_result(number, outcome.result)
            elif type(outcome) is SessionClosed:
                self._begin_again()
                return
            elif type(outcome) is not ResultDropped and type(outcome) is not Opened:
                assert_never(outcome)

    def _on_result(self, number: int, result: R) -> None:
        submission, place = self._pending.pop(number, (None, 0))
        if submission is None or not submission.answered(place, result):
            return
        self._forget(submission)
        if not submission.answer.done():
            submission.answer.set_result(submission.results)
            if not submission.was_left:
                return
        self._kept[submission.number] = submission.results
        if len(self._kept) > KEPT_RESULTS:
            self._kept.popitem(last=False)

    def _forget(self, submission: Submission[R]) -> None:
        self._size_bytes -= submission.size_bytes
        del self._submissions[submission.number]

    def _begin_again(self) -> None:
        """What is not answered gets numbers of the next session, in the same order."""
        pending = list(self._pending.values())
        self.session, self._nonce = None, (self._nonce + 1) % MAX_NONCE
        self._is_opening, self._next = False, 1
        self._pending.clear()
        self._unsent.clear()
        for submission, place in pending:
            self._enqueue(submission, place)

    def on_installed(self, table: Sessions[R]) -> None:
        """Slots were left out: what came of their commands stands in the table, or is unknown."""
        if self.session is None:
            return
        found = next((it for it in table.open if it.id == self.session), None)
        if found is None:
            pending = list(self._submissions.values())
            self._pending.clear()
            self._begin_again()
            for submission in pending:
                self._fail(submission, SessionLost())
            return
        for number, result in found.results:
            self._on_result(number, result)

    def _fail(self, submission: Submission[R], error: Exception) -> None:
        self._forget(submission)
        if not submission.answer.done():
            submission.answer.set_exception(error)
            if submission.was_left:
                submission.answer.exception()  # Nobody may wait for it any more.

    def end(self, error: Exception) -> None:
        """There will be no results: every caller gets ``error``."""
        self._pending.clear()
        self._unsent.clear()
        for submission in list(self._submissions.values()):
            self._fail(submission, error)
