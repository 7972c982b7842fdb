"""The host: runs one process of a machine on a transport, a store and a timer.

- Take what has arrived, step through all of it, save every new record in one commit, and only
  then release what waited for it.
- The state moves on when the save has returned. A save that fails is final: nothing leaves,
  nothing is kept, and the host stops.
- A record that is durable already is not saved again.
- A message that cannot be sent is a lost message: the first is logged, the others are counted, and
  the server goes on.
- Time and chance come in here: the host draws the delay of a timer within the machine's range.
"""

from __future__ import annotations

import logging
from random import Random
from typing import Generic, get_args

from paxos import From, InvariantError, OperationalError, PaxosError, QuorumSystem, ServerId
from paxos_adapters import arguments
from paxos_adapters.driving import Driver
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.machine import Effect, M, Machine, P, Q, R, S, T
from paxos_adapters.ports import Observer, Place, Ports
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Timeouts, drawn

_log = LimitedLog(logging.getLogger(__name__))
"""Of all hosts: a program can have one for each decision."""


class EndedByProgram(PaxosError):
    """The program has ended a server: nothing is wrong. It says how to go on."""


class ServerStopped(OperationalError):
    """The server has stopped for good; ``cause`` says why. It may be that the program ended it."""

    def __init__(self, me: ServerId, cause: BaseException) -> None:
        if isinstance(cause, EndedByProgram):
            super().__init__(f"server {me} has ended: {cause}")
        else:
            super().__init__(
                f"server {me} has stopped for good ({type(cause).__name__}: {cause}): nothing that "
                "depended on this step was sent. Find the cause, then start a new host from what "
                "the store holds."
            )
        self.cause = cause


class Host(Generic[S, Q, M, T, R, P]):
    """One process, run by the program that calls ``receive``. Not thread-safe."""

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        me: ServerId,
        quorum: QuorumSystem,
        ports: Ports[M, T, R],
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        random: Random | None = None,
        observer: Observer[S, Q, M, T, R, P] | None = None,
    ) -> None:
        """Start from what the store holds.

        ``random`` draws the delays; pass a seeded one to repeat a run. Raises UnknownServer if
        ``me`` is not a member of ``quorum``, and BadArgument for an object of another type.
        """
        arguments.one_of("machine", machine, Machine)
        arguments.one_of("quorum", quorum, *get_args(QuorumSystem))
        arguments.one_of("ports", ports, Ports)
        disk = ports.store.load().records
        self._driver = Driver(machine, Place(me), quorum, disk, observer)
        self._me = me
        self._ports = ports
        self._timeouts = timeouts
        self._random = Random() if random is None else random
        self._stopped: ServerStopped | None = None
        for timer in machine.first:
            ports.timer.set_timer(timer, 0.0)

    @property
    def state(self) -> S:
        """The state after the last whole step."""
        return self._driver.process.state

    def receive(self, *events: From[M] | T | Q) -> tuple[P, ...]:
        """Take what has happened, in order, with one save for all of it.

        Returns what the server reports to the program. Raises Busy, with nothing taken, if asked
        for something while a request is in progress. Raises ServerStopped if the save failed, if
        the server found the protocol broken, or if the host had stopped before.
        """
        if self._stopped is not None:
            raise self._stopped
        before = self._driver.process
        try:
            effects = self._driver.take_batch(events)
        except InvariantError as broken:
            raise self._stop(broken) from broken
        try:
            effects += self._save()
        except BaseException as failure:
            self._driver.process = before
            stopped = self._stop(failure)
            if isinstance(failure, Exception):
                raise stopped from failure
            raise
        return self._carry_out(effects)

    def _save(self) -> tuple[Effect[M, T, P], ...]:
        """Save what waits, all at once; what that frees."""
        records = self._driver.process.unsaved
        return self._driver.stored(self._ports.store.save(records)) if records else ()

    def _carry_out(self, effects: tuple[Effect[M, T, P], ...]) -> tuple[P, ...]:
        machine, process = self._driver.machine, self._driver.process
        work = machine.sort(process, effects)
        for receiver, message in work.messages:
            self._send(receiver, message)
        for request in work.timers:
            delay_s = drawn(machine.delay(request, self._timeouts), self._random)
            self._ports.timer.set_timer(request.timer, delay_s)
        return tuple(report for report in work.reports if not self._fetch(report))

    def _fetch(self, report: P) -> bool:
        """Send what ``report`` asks for from the disk; whether it asks for anything."""
        found = self._driver.machine.fetch(self._driver.process.disk, report)
        for answer in found or ():
            self._send(answer.receiver, answer.message)
        return found is not None

    def _send(self, receiver: ServerId, message: M) -> None:
        """A send that fails is a lost message, and those are made up for."""
        try:
            self._ports.transport.send(receiver, message)
        except Exception as error:
            kind, why = (receiver, type(error)), f"{type(error).__name__}: {error}"
            text = "a message to server %s is lost, a %s (%s). More are counted"
            _log.warning(kind, text, receiver, type(message).__name__, why)

    def _stop(self, cause: BaseException) -> ServerStopped:
        self._stopped = ServerStopped(self._me, cause)
        self._driver.stop(f"stopped by {type(cause).__name__}: {cause}")
        return self._stopped
