"""The named decisions of a node: what comes for them, and which callers wait for an answer.

- What comes waits in one queue, and a turn steps through all of it. What may leave is sent; what
  must be saved goes into the commit of the node.
- A message to this server itself does not leave it.
- While an epoch of decisions follows another, they are suspended: what comes for them is dropped,
  and requests wait. What is in memory is of the epoch that is over, and is dropped as well. Then
  each request begins anew: see ``epochs.py``.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from paxos import (
    Ballot,
    Broadcast,
    From,
    Message,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
    server,
)
from paxos.errors import assert_never
from paxos.server import ServerTimer
from paxos_adapters.file.entries import AnyRecord, Entry
from paxos_adapters.guard import Guard
from paxos_adapters.host import ServerStopped
from paxos_adapters.node.pending import Answer, PendingRequests
from paxos_adapters.node.ports import Links, NodeFile
from paxos_adapters.node.registers import Registers
from paxos_adapters.node.timers import TimerWheel
from paxos_adapters.requests.errors import (
    LEFT,
    TOO_LATE,
    NoAnswer,
    OutcomeUnknown,
    outcome_unknown,
)
from paxos_adapters.single import SingleObserver
from paxos_adapters.timeouts import Timeouts, delay_range, drawn

Late: TypeAlias = type[NoAnswer] | type[OutcomeUnknown]
"""What is raised for an answer that has not come in time."""


class Decisions:
    """The decisions of the server of ``file``. ``questions``: what programs ask."""

    def __init__(
        self,
        file: NodeFile,
        links: Links,
        guard: Guard,
        turn: Callable[[], None],
        *,
        timeouts: Timeouts,
        random: Random,
        observer: SingleObserver[bytes] | None,
    ) -> None:
        """``turn`` has the node take one, now."""
        self._file, self._links, self._turn = file, links, turn
        self._me = file.identity.server
        self._timeouts, self._random, self._observer = timeouts, random, observer
        self.questions = PendingRequests(session=int(file.session, 16))
        self._events: deque[tuple[str, server.Event[bytes]]] = deque()
        self._reports: deque[tuple[str, server.Report[bytes]]] = deque()
        self._alarms = TimerWheel(self._ring, guard)
        self._load()

    def _load(self) -> None:
        self._is_suspended = self._file.epoch.is_closed
        quorum = self._file.epoch.quorum
        self._members = tuple(sorted(quorum.members))
        load = self._file.load
        self._registers = Registers(self._me, quorum, load=load, observer=self._observer)

    def suspend(self) -> None:
        """Take nothing more, until ``resume``; what is to be saved is saved."""
        self._is_suspended = True
        self._events.clear()

    def resume(self) -> None:
        """Begin anew with what the file has, unless its epoch is closed."""
        before = self._registers
        before.close()
        self._load()
        self._registers.dropped.update(before.dropped)
        self.questions.begin_anew()
        self._begin_due()

    def __contains__(self, name: str) -> bool:
        return name in self._registers

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._registers)

    def state(self, name: str) -> server.Server[bytes]:
        """What this server holds and knows of ``name``. Raises what loading raises."""
        return self._registers.get(name).state

    @property
    def dropped(self) -> Counter[str]:
        """How many messages were dropped, by the bound that they would have exceeded."""
        return self._registers.dropped

    @property
    def is_saving(self) -> bool:
        """Whether something waits for a save, or for the end of one."""
        return self._registers.is_saving

    @property
    def promised(self) -> Ballot:
        """The highest promise of those in memory."""
        return self._registers.promised

    @property
    def size_bytes(self) -> int:
        """The bytes of the values in memory."""
        return self._registers.size_bytes

    # --- what programs ask ------------------------------------------------------------------------

    async def answer(
        self, name: str, answer: Answer, timeout_s: float | None, late: Late
    ) -> server.Report[bytes]:
        """What ``answer`` brings. Raises ``late``."""
        try:
            self._begin(name)
            self._begin_due()
            self._turn()
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise late(name, TOO_LATE) from None
        except ServerStopped as stopped:
            raise late(name, str(stopped)) from stopped
        except asyncio.CancelledError as cancelled:
            if self.questions.goes_on(name, answer):
                cancelled.add_note(outcome_unknown(name, LEFT))
            raise
        finally:
            self.questions.forget(name, answer)

    def _begin(self, name: str) -> None:
        request = None if self._is_suspended else self.questions.begin(name)
        if request is not None:
            self._events.append((name, request))

    def _begin_due(self) -> None:
        if not self._is_suspended:
            self._events.extend(self.questions.due())

    # --- a turn -----------------------------------------------------------------------------------

    def hear(self, sender: ServerId, name: str, message: Message[bytes]) -> None:
        """``message`` has come for ``name``."""
        self._take(name, From(sender, message))

    def _take(self, name: str, event: server.Event[bytes]) -> None:
        if not self._is_suspended:
            self._events.append((name, event))

    def turn(self, is_open: Callable[[], bool]) -> bool:
        """Step through what has come, as long as the node is open; whether a caller was answered.

        Raises what loading raises, and InvariantError.
        """
        has_answered = False
        while (self._events or self._reports) and is_open():
            while self._events:
                name, event = self._events.popleft()
                for effect in self._registers.receive(name, event):
                    self._perform(name, effect)
            while self._reports:
                name, report = self._reports.popleft()
                self.questions.answer(name, report)
                self._begin(name)
                has_answered = True
            self._begin_due()
        return has_answered

    def take_waiting(self) -> Sequence[Entry]:
        """What the next commit has to save."""
        return self._registers.take_waiting()

    def on_saved(self, waiting: Sequence[Entry], saved: Saved[AnyRecord]) -> None:
        """What was taken to be saved is durable: what waited for it may leave."""
        own = saved.part(tuple([record for _, record in waiting]))
        for name, effect in self._registers.on_saved(waiting, own):
            self._perform(name, effect)

    def _perform(self, name: str, effect: server.Effect[bytes]) -> None:
        if type(effect) is To:
            self._post(effect.receiver, name, effect.message)
        elif type(effect) is Broadcast:
            for member in self._members:
                self._post(member, name, effect.message)
        elif type(effect) is SetTimer:
            delay_s = drawn(delay_range(effect, self._timeouts), self._random)
            self._alarms.set((name, effect.timer), delay_s)
        elif type(effect) is Tell:
            self._reports.append((name, effect.report))
        else:
            assert_never(effect)

    def _post(self, receiver: ServerId, name: str, message: Message[bytes]) -> None:
        if receiver == self._me:
            self._take(name, From(self._me, message))
        else:
            self._links.enqueue(receiver, name, message)

    def _ring(self, alarms: Sequence[tuple[str, ServerTimer]]) -> None:
        for name, timer in alarms:
            if self._registers.is_working(name):
                self._take(name, timer)
        self._turn()
