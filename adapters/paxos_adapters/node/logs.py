"""The logs of a node, by name.

- What comes for a log waits in one queue, and a turn works through it. What is to be sent goes to
  the links, and what is to be saved into the commit of the node.
- A name has a log from the moment on at which the program enters it. What comes before is dropped:
  the other servers send it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol, TypeAlias

from paxos import Broadcast, From, PaxosError, Saved, ServerId, SetTimer, To, UsageError
from paxos.errors import assert_never
from paxos.log.events import LogTimer
from paxos.log.replica import Replica
from paxos_adapters.file.entries import LogEntry, LogRecord
from paxos_adapters.guard import Guard
from paxos_adapters.log_messages import LogMessage
from paxos_adapters.node.ports import Links
from paxos_adapters.node.timers import TimerWheel
from paxos_adapters.ports import Place
from paxos_adapters.replication.membership import Wanted
from paxos_adapters.replication.process import LogEffect, LogEvent
from paxos_adapters.replication.served import ServedLog
from paxos_adapters.timeouts import Timeouts, drawn


class LogRunning(UsageError, ValueError):
    """A name of a node was asked for a log, and has one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the log {name!r} runs on this node already; nothing was started. Use the one that "
            "runs, from as many tasks as you like."
        )
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return LogRunning, (self.name,)


class NameOfLog(UsageError, ValueError):
    """A decision was asked for under the name of a log."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is a log on this node, and no decision; nothing was begun. A name is one of "
            "both: choose another one."
        )
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return NameOfLog, (self.name,)


class LogClosed(UsageError):
    """The log was left: its context has ended."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the log {name!r} was left on this node. Enter it again: node.log(...)")
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return LogClosed, (self.name,)


class Running(Protocol):
    """A log as its node knows it, whatever its commands are: see ``LogProcess``."""

    on_followed: Callable[[str, int], None]

    @property
    def place(self) -> Place:
        """The server, and the name of the log."""
        ...

    @property
    def timers(self) -> tuple[LogTimer, ...]:
        """What fires at once after the start."""
        ...

    @property
    def state(self) -> Replica[bytes]:
        """The replica after the last step."""
        ...

    @property
    def members(self) -> Iterable[ServerId]:
        """The servers that a Broadcast reaches."""
        ...

    def follow(self, servers: frozenset[ServerId], wanted: Wanted | None) -> None:
        """Follow the members. A newcomer asks ``servers``."""
        ...

    def delay(self, timer: SetTimer[LogTimer], timeouts: Timeouts) -> tuple[float, float]:
        """The least and the greatest delay of a timer."""
        ...

    def receive(self, event: LogEvent) -> list[LogEffect]:
        """Take one event."""
        ...

    def work(self) -> list[LogEffect]:
        """Send on what waits."""
        ...

    def take_unsaved(self) -> list[LogRecord]:
        """What the next commit has to save."""
        ...

    def on_saved(self, receipt: Saved[LogRecord]) -> list[LogEffect]:
        """It is durable."""
        ...

    def end(self, error: PaxosError) -> None:
        """The log has ended here."""
        ...


def _ignored(_name: str) -> None:
    pass


Due: TypeAlias = tuple[Running, LogEffect]
"""What is to be done for a log."""


class Logs:
    """The logs of one node. ``running``: by name; ``served``: as clients use them.

    ``on_submitted`` is called with the name of one, and the time in seconds that a submission took.
    ``on_missing`` is called with the name of one that a server or a client speaks of, and that
    does not run here.
    """

    def __init__(
        self,
        links: Links,
        guard: Guard,
        turn: Callable[[], None],
        *,
        me: ServerId,
        timeouts: Timeouts,
        random: Random,
    ) -> None:
        """``turn`` has the node take one, now."""
        self._links, self._turn, self._me = links, turn, me
        self._timeouts, self._random = timeouts, random
        self._alarms = TimerWheel(self._ring, guard)
        self.served: dict[str, ServedLog] = {}
        self.on_missing: Callable[[str], None] = _ignored
        self.on_submitted: Callable[[str, float], None] | None = None
        self.running: dict[str, Running] = {}
        self._events: deque[tuple[Running, LogEvent]] = deque()
        self._saving: list[tuple[Running, int]] = []

    def __contains__(self, name: str) -> bool:
        return name in self.running

    @property
    def has_events(self) -> bool:
        """Whether anything has come that no turn has taken."""
        return bool(self._events)

    def add(self, log: Running, served: ServedLog) -> None:
        """Let ``log`` run; clients use it as ``served``. Raises LogRunning if its name does."""
        if log.place.name in self.running:
            raise LogRunning(log.place.name)
        self.running[log.place.name] = log
        self.served[log.place.name] = served
        self._events.extend((log, timer) for timer in log.timers)

    def remove(self, log: Running, error: PaxosError) -> None:
        """End ``log``: all that wait get ``error``."""
        if self.running.get(log.place.name) is log:
            del self.running[log.place.name], self.served[log.place.name]
            log.end(error)

    def end(self, error: PaxosError) -> None:
        """End all of them."""
        for log in list(self.running.values()):
            self.remove(log, error)

    def hear(self, name: str, event: LogEvent) -> None:
        """``event`` has come for the log ``name``, which runs."""
        self._events.append((self.running[name], event))

    def turn(self) -> None:
        """Take what has come, and send on what waits. Raises InvariantError."""
        due: list[Due] = []
        while self._events:
            log, event = self._events.popleft()
            due += [(log, it) for it in log.receive(event)]
        for log in self.running.values():
            due += [(log, it) for it in log.work()]
        self._perform(due)

    def take_unsaved(self) -> list[LogEntry]:
        """What the next commit has to save."""
        entries: list[LogEntry] = []
        for name, log in self.running.items():
            records = log.take_unsaved()
            entries += [(name, it) for it in records]
            if records:
                self._saving.append((log, len(records)))
        return entries

    def on_saved(self, records: tuple[LogRecord, ...], receipt: Saved[object]) -> None:
        """What was taken to be saved is durable: what waited for it may leave."""
        due: list[Due] = []
        for log, count in self._saving:
            own, records = records[:count], records[count:]
            if self.running.get(log.place.name) is log:
                due += [(log, it) for it in log.on_saved(receipt.part(own))]
        self._saving.clear()
        self._perform(due)

    def _perform(self, due: Iterable[Due]) -> None:
        for log, effect in due:
            name = log.place.name
            if type(effect) is To:
                self._post(effect.receiver, name, effect.message)
            elif type(effect) is Broadcast:
                for member in log.members:
                    self._post(member, name, effect.message)
            elif type(effect) is SetTimer:
                delay_s = drawn(log.delay(effect, self._timeouts), self._random)
                self._alarms.set((log, effect.timer), delay_s)
            else:
                assert_never(effect)

    def _post(self, receiver: ServerId, name: str, message: LogMessage) -> None:
        if receiver != self._me:
            self._links.enqueue(receiver, name, message)
        elif name in self.running:
            self.hear(name, From(self._me, message))

    def _ring(self, alarms: Sequence[tuple[Running, LogTimer]]) -> None:
        """Nothing, for a log that has ended."""
        self._events += [it for it in alarms if self.running.get(it[0].place.name) is it[0]]
        self._turn()
