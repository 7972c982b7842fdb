"""The host: runs one server on a transport, a store and a timer.

- Take what has arrived, step through all of it, save every new record in one commit, and only
  then release what waited for it. Beside the registers, seals are opened here.
- The state moves on when the save has returned. A save that fails is final: nothing leaves,
  nothing is kept, and the host stops.
- A record that is durable already is not saved again.
- A message that cannot be sent is a lost message: the first is logged, the others are counted, and
  the server goes on.
- Time and chance come in here: the pace turns the core's wish to be woken into seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from random import Random
from typing import Generic, TypeVar

from attrs import frozen

from paxos import (
    AfterSave,
    Broadcast,
    InvariantError,
    Message,
    Now,
    Outbound,
    PaxosError,
    QuorumSystem,
    Saved,
    ServerId,
    SetTimer,
    Tell,
    To,
    server,
)
from paxos.election import HeartbeatTimer
from paxos.errors import assert_never
from paxos.server import ServerTimer
from paxos_adapters import numbers
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.ports import Observer, Store, Timer, Transport

V = TypeVar("V")
_log = LimitedLog(logging.getLogger(__name__))
"""Of all hosts: a program can have one for each decision."""


class ServerStopped(PaxosError):
    """The host has stopped for good, and says why."""

    def __init__(self, me: ServerId, cause: BaseException) -> None:
        super().__init__(
            f"server {me} has stopped for good ({type(cause).__name__}: {cause}): nothing that "
            "depended on this step was sent. Find the cause, then start a new host from what the "
            "store holds."
        )
        self.cause = cause


class InvalidTimeouts(PaxosError, ValueError):
    """Delays that would not let a rival finish."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(f"{timeouts} cannot be kept: retry_max_s must not be below retry_min_s.")


@frozen
class Timeouts:
    """How many seconds each wish to be woken becomes.

    A proposer waits for a random time in a range that starts at ``retry_min_s`` and whose upper
    end doubles with each attempt, up to ``retry_max_s`` (the lecture, "Liveness", remedy 1). A
    heartbeat comes every ``heartbeat_s``. A good ``retry_min_s`` is a few round trips and saves.

    Raises BadNumber unless all times are above 0 s and at most ``numbers.MAX_S``, and
    InvalidTimeouts unless retry_min_s <= retry_max_s.
    """

    retry_min_s: float = 0.05
    retry_max_s: float = 5.0
    heartbeat_s: float = 0.05

    def __attrs_post_init__(self) -> None:
        for name in "retry_min_s", "retry_max_s", "heartbeat_s":
            numbers.seconds(name, getattr(self, name), above_0=True)
        if self.retry_max_s < self.retry_min_s:
            raise InvalidTimeouts(self)

    def delay_s(self, wish: SetTimer[ServerTimer], random: Random) -> float:
        """Seconds until ``wish.timer`` is due."""
        if type(wish.timer) is HeartbeatTimer:
            return self.heartbeat_s
        doublings = min(wish.attempt + 1, 64)
        return random.uniform(
            self.retry_min_s, min(self.retry_max_s, self.retry_min_s * 2**doublings)
        )


DEFAULT_TIMEOUTS = Timeouts()


class Host(Generic[V]):
    """One server, run by the program that calls ``receive``. Not thread-safe."""

    def __init__(
        self,
        me: ServerId,
        quorum: QuorumSystem,
        *,
        store: Store[server.Record[V]],
        transport: Transport[Message[V]],
        timer: Timer[ServerTimer],
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        random: Random | None = None,
        observer: Observer[V] | None = None,
    ) -> None:
        """Start from what ``store`` holds.

        ``random`` draws the delays; pass a seeded one to repeat a run. ``observer`` is told what
        happens. Raises UnknownServer if ``me`` is no member of ``quorum``.
        """
        loaded = store.load()
        self._state = server.start(me, quorum, loaded.records)
        self._witness = observer
        if observer is not None:
            observer.began(me, "", quorum, loaded.records)
        self._receipts = {type(record): loaded for record in loaded.records}
        self._members = tuple(sorted(quorum.members))
        self._store = store
        self._transport = transport
        self._timer = timer
        self._timeouts = timeouts
        self._random = Random() if random is None else random
        self._stopped: ServerStopped | None = None

    @property
    def state(self) -> server.Server[V]:
        """The state after the last whole step."""
        return self._state

    def receive(self, *events: server.Event[V]) -> tuple[server.Report[V], ...]:
        """Take what has happened, in order, with one save for all of it.

        Returns what the server reports to the program. Raises Busy, with nothing taken, if asked
        for something while at work; ServerStopped if the save failed, if the server found the
        protocol broken, or if the host had stopped before.
        """
        if self._stopped is not None:
            raise self._stopped
        state = self._state
        steps: list[server.Step[V]] = []
        try:
            for event in events:
                steps.append(server.receive(state, event))
                state, _ = steps[-1]
        except InvariantError as broken:
            self._tell(events, steps, broken)
            raise self._stop(broken) from broken
        self._tell(events, steps)
        try:
            effects = self._release([outbound for _, outbound in steps])
        except Exception as failure:
            raise self._stop(failure) from failure
        except BaseException as interruption:
            self._stop(interruption)
            raise
        self._state = state
        return tuple(report for effect in effects for report in self._carry_out(effect))

    def _tell(
        self,
        events: Sequence[server.Event[V]],
        steps: Sequence[server.Step[V]],
        broken: InvariantError | None = None,
    ) -> None:
        """Tell the witness, before anything leaves; ``broken`` was raised by the step after."""
        if self._witness is None:
            return
        me = self._state.proposer.me
        for event, (after, outbound) in zip(events, steps, strict=False):
            self._witness.took(me, "", event, after, type(outbound) is AfterSave)
        if broken is not None:
            self._witness.broke(me, "", events[len(steps)], broken)

    def _release(
        self, outbounds: Sequence[Outbound[server.Record[V], server.Effect[V]]]
    ) -> list[server.Effect[V]]:
        """Save what is not durable yet, all at once; then open every seal."""
        sealed = [outbound for outbound in outbounds if type(outbound) is AfterSave]
        due = tuple(it.record for it in sealed if not self._receipt(it.record).covers(it.record))
        saved = self._store.save(due) if due else Saved[server.Record[V]](())
        if self._witness is not None and sealed:
            self._witness.saved(self._state.proposer.me, "", len(sealed))
        effects: list[server.Effect[V]] = []
        for outbound in outbounds:
            if type(outbound) is Now:
                effects.extend(outbound.messages)
                continue
            earlier = self._receipt(outbound.record)
            effects.extend(outbound.release(earlier if earlier.covers(outbound.record) else saved))
        self._receipts.update({type(record): saved for record in due})
        return effects

    def _receipt(self, record: server.Record[V]) -> Saved[server.Record[V]]:
        """The latest receipt for a record of this type; for nothing, if there is none."""
        return self._receipts.get(type(record), Saved(()))

    def _carry_out(self, effect: server.Effect[V]) -> tuple[server.Report[V], ...]:
        if type(effect) is To:
            self._send(effect.receiver, effect.message)
        elif type(effect) is Broadcast:
            for member in self._members:
                self._send(member, effect.message)
        elif type(effect) is SetTimer:
            self._timer.set_timer(effect.timer, self._timeouts.delay_s(effect, self._random))
        elif type(effect) is Tell:
            return (effect.report,)
        else:
            assert_never(effect)
        return ()

    def _send(self, receiver: ServerId, message: Message[V]) -> None:
        """A send that fails is a lost message, and those are made up for."""
        try:
            self._transport.send(receiver, message)
        except Exception as error:
            kind, why = (receiver, type(error)), f"{type(error).__name__}: {error}"
            text = "a message to server %s is lost, a %s (%s). More are counted"
            _log.warning(kind, text, receiver, type(message).__name__, why)

    def _stop(self, cause: BaseException) -> ServerStopped:
        me = self._state.proposer.me
        self._stopped = ServerStopped(me, cause)
        if self._witness is not None:
            self._witness.ended(me, "", f"stopped by {type(cause).__name__}: {cause}")
        return self._stopped
