"""A turn of a node: step through what has arrived, send what is free, save the rest at once.

- While a save is in progress the next turns go on; what they have to save goes together into the
  next one.
- It votes, asks and answers once enough peers have acknowledged its session: ``registration.py``.
  Requests of programs wait until then.
- What leads to a turn is guarded: messages, alarms, saves that are done, requests of programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

from paxos import From, Nack, Saved, ServerId
from paxos_adapters.file.entries import AnyEntry, AnyRecord, Entry, LogEntry
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.log_messages import AnyMessage, is_for_decision, is_for_log
from paxos_adapters.node.decisions import Decisions
from paxos_adapters.node.logs import Logs
from paxos_adapters.node.ports import Links, NodeFile
from paxos_adapters.node.saving import AdaptiveSaver
from paxos_adapters.node.stopping import Stopping
from paxos_adapters.single import SingleObserver
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.udp.sessions import Registering


def _nothing() -> None:
    pass


class Turn:
    """What one node does with its ``decisions`` and its ``logs``; ``take`` takes a turn now.

    ``on_members`` is called for a message about the log of members if that does not run here, and
    ``look`` with each turn, once the logs have taken theirs.
    """

    def __init__(
        self,
        file: NodeFile,
        links: Links,
        stopping: Stopping,
        *,
        timeouts: Timeouts,
        random: Random,
        observer: SingleObserver[bytes] | None,
    ) -> None:
        self._file, self._links, self._stopping = file, links, stopping
        guard = stopping.guard
        self.take, self._end = guard(self._take), guard(self._finish)
        self.decisions = Decisions(
            file, links, guard, self.take, timeouts=timeouts, random=random, observer=observer
        )
        me = file.identity.server
        self.logs = Logs(links, guard, self.take, me=me, timeouts=timeouts, random=random)
        self.on_members: Callable[[], None] = _nothing
        self.look: Callable[[], None] = _nothing
        self._is_woken = False
        self._saver: AdaptiveSaver[AnyEntry, AnyRecord] | None = None

    def begin(self, inline_save_s: float) -> None:
        """Take turns on the event loop that runs. Raises ThreadNotStarted."""
        self._loop = asyncio.get_running_loop()
        self._saver = AdaptiveSaver(
            lambda it: self._file.save_all(it),
            inline_save_s,
            self._stopping.guard,
            save_now=lambda it: self._file.save_all(it, wait=False),
        )

    @property
    def has_begun(self) -> bool:
        """Whether ``begin`` was called, and went well."""
        return self._saver is not None

    async def wait_ended(self) -> None:
        """Finish the save in progress."""
        if self._saver is not None:
            await self._saver.close()

    def is_log(self, name: str) -> bool:
        """Whether a log of this name runs here, or is in the file."""
        return name in self.logs or self._file.has_log(name)

    def wake(self) -> None:
        """Take a turn soon."""
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self.take)

    def deliver(self, call: Callable[[], None]) -> None:
        """From another thread: have ``call`` called on the event loop, unless that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.guard(call))

    def hear(self, sender: ServerId, name: str, message: AnyMessage) -> None:
        """``message`` has come for ``name``: for the next turn."""
        if is_for_log(message):
            if name in self.logs:
                self.logs.hear(name, From(sender, message))
            elif name == MEMBERS_LOG:
                self.on_members()
            else:
                self._links.endpoint.counts["no such log here"] += 1
                self.logs.on_missing(name)
        elif type(message) is Nack and name in self.logs:
            self.logs.hear(name, From(sender, message))
        elif is_for_decision(message) and not self.is_log(name):
            self.decisions.hear(sender, name, message)

    # --- one turn -------------------------------------------------------------------------------

    def _take(self) -> None:
        self._is_woken = False
        has_answered = self.decisions.turn(lambda: self._is_open)
        if self._may_log:
            self.logs.turn()
        while self.logs.has_events and self._may_log:
            self.logs.turn()
        self.look()
        if has_answered:
            # A caller that was answered may ask more: what follows shares the datagrams.
            self._loop.call_soon(self._end)
        else:
            self._finish()

    def _finish(self) -> None:
        if self._stopping.cause is None and self._saver is not None:
            self._links.flush()
            if not self._saver.is_busy:
                self._save(self._saver)

    @property
    def _is_open(self) -> bool:
        return self._stopping.cause is None and self._links.registration.is_open

    @property
    def _may_log(self) -> bool:
        """Whether logs go on: until this server votes, all they do is learn the members."""
        it = self._links.registration
        return self._stopping.cause is None and (it.is_open or bool(it.teachers))

    def _save(self, saver: AdaptiveSaver[AnyEntry, AnyRecord]) -> None:
        waiting, sessions = self.decisions.take_waiting(), self._links.sessions.uncommitted()
        of_logs = self.logs.take_unsaved()
        if waiting or sessions or of_logs:
            saved = partial(self._saved, waiting, of_logs, sessions)
            saver.save([*waiting, *of_logs], saved)

    def _saved(
        self,
        waiting: Sequence[Entry],
        of_logs: Sequence[LogEntry],
        sessions: Sequence[Registering],
        saved: Saved[AnyRecord] | BaseException,
    ) -> None:
        if isinstance(saved, BaseException):
            self._stopping.stop(saved)
        elif self._stopping.cause is None:
            self._links.sessions.on_committed(sessions)
            self.decisions.on_saved(waiting, saved)
            self.logs.on_saved(tuple([record for _, record in of_logs]), saved)
            self.take()
