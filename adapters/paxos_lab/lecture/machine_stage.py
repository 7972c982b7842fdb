"""A stage for any machine: servers, and messages that wait until a schedule delivers them.

- Nothing happens by itself: no message arrives and no timer fires unless the schedule says so.
- What a server has broadcast last can be delivered to any server, any number of times. What an
  earlier ``said`` gave can still arrive, late.
- What a step saves is durable at once; a crash leaves that, and nothing else.
- All that happens is in the trace. A checker counts every acceptance, whether or not it arrives.
- A claim that does not hold ends the schedule with an error that names it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from paxos import (
    Broadcast,
    From,
    QuorumSystem,
    ServerId,
    SetTimer,
    Tell,
    To,
    UsageError,
    majority,
)
from paxos.errors import assert_never
from paxos_adapters.driving import Driver
from paxos_adapters.machine import M, Machine, P, Q, R, S, T
from paxos_adapters.memory import ServerDown
from paxos_adapters.ports import Observer, Place
from paxos_lab.checker import Checker
from paxos_lab.claims import Claims
from paxos_lab.observers import Observers
from paxos_lab.record import Trace
from paxos_lab.rules import AGREEMENT, CHOOSABLE, REPORTED

X = TypeVar("X")
SEEN = AGREEMENT, REPORTED, CHOOSABLE
"""The rules that the lecture is about: what a program would see broken."""

S1, S2, S3, S4, S5 = (ServerId(number) for number in range(1, 6))

Answers: TypeAlias = tuple[From[M], ...]
"""What servers answered, each with its name, on its way."""


class ClaimFailed(UsageError):
    """A schedule went another way than the lecture says."""

    def __init__(self, claim: str) -> None:
        super().__init__(
            f"it does not hold that {claim}: the protocol that was played does not do what the "
            "lecture says of it. Look at the picture for the first message that is wrong."
        )
        self.claim = claim


class ImpossibleStep(UsageError):
    """A schedule asks for something that cannot happen now."""

    def __init__(self, me: ServerId, what: str) -> None:
        super().__init__(
            f"server {me} {what}, so the schedule cannot go on. Look at the picture for what it "
            "did instead."
        )


class MachineStage(Generic[S, Q, M, T, R, P]):
    """Servers that do one thing at a time, when the schedule says so."""

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        servers: int,
        members: Iterable[ServerId],
        claims: Claims[S, Q, M, T, R, P],
        observer: Observer[S, Q, M, T, R, P] | None,
    ) -> None:
        """Servers 1 to ``servers``, under the majority of ``members``."""
        self.servers = tuple(ServerId(number) for number in range(1, servers + 1))
        self.quorum: QuorumSystem = majority(members)
        self.trace: Trace[S, Q, M, T, R, P] = Trace(members=machine.members)
        self.checker: Checker[S, Q, M, T, R, P] = Checker(claims)
        self.seen: Checker[S, Q, M, T, R, P] = Checker(claims, SEEN)
        self.claims: list[str] = []
        more = () if observer is None else (observer,)
        self._machine = machine
        self._observer: Observer[S, Q, M, T, R, P] = Observers(
            (self.trace, self.checker, self.seen, *more)
        )
        self._observer.set_time(0)
        self._steps = 0
        self._timers: dict[tuple[ServerId, type[T]], T] = {}
        self._drivers = {me: self._start(me, ()) for me in self.servers}
        self._disks: dict[ServerId, tuple[R, ...]] = {}
        self._said: dict[ServerId, M] = {}

    def deliver(self, me: ServerId, *, to: Sequence[ServerId]) -> tuple[M, ...]:
        """What ``me`` has said last reaches ``to``, and their answers reach ``me``."""
        return self.exchange(me, self.said(me), to=to)

    def exchange(self, me: ServerId, message: M, *, to: Sequence[ServerId]) -> tuple[M, ...]:
        """``message`` from ``me`` reaches ``to``, and their answers reach ``me``.

        So does what follows among these servers, message by message.
        """
        answers = self.arrive(me, message, to=to)
        self._exchange(((me, it) for it in answers), (me, *to))
        return tuple(it.message for it in answers)

    def arrive(self, sender: ServerId, message: M, *, to: Sequence[ServerId]) -> Answers[M]:
        """``message`` from ``sender`` reaches ``to``, in this order; what they answer waits."""
        answers: list[From[M]] = []
        for receiver in to:
            self.state(receiver)
            sent = self._step(receiver, From(sender, message))
            answers.extend(From(receiver, it.message) for it in sent)
        return tuple(answers)

    def crash(self, me: ServerId) -> None:
        """``me`` goes down; what it has saved survives."""
        self._disks[me] = self._driver(me).stop("crashes")
        del self._drivers[me]
        self._said.pop(me, None)
        self._forget_timers(me)

    def restart(self, me: ServerId) -> None:
        """``me`` starts from what it has saved."""
        self._drivers[me] = self._start(me, self._disk(me))

    def tell(self, me: ServerId, what: str) -> None:
        """Something happens at ``me``, with no message to show for it."""
        self.trace.note(Place(me), what)

    def check(self, claim: str, holds: bool, *, breaks: str | None = None) -> None:
        """Note what the run has shown, and the rule that it ``breaks``, if it breaks one.

        Raises ClaimFailed if it does not hold.
        """
        if not holds:
            raise ClaimFailed(claim)
        self.claims.append(claim)
        if breaks is not None:
            self.seen.breaks(breaks)

    def said(self, me: ServerId) -> M:
        """What ``me`` has broadcast last."""
        if me not in self._said:
            raise ImpossibleStep(me, "has said nothing")
        return self._said[me]

    def state(self, me: ServerId) -> S:
        """The state of a server. Raises ServerDown."""
        return self._driver(me).process.state

    def is_up(self, me: ServerId) -> bool:
        """Whether ``me`` has not crashed."""
        return me in self._drivers

    def messages(
        self, kind: type[X], sender: ServerId | None = None, receiver: ServerId | None = None
    ) -> list[X]:
        """What was sent of ``kind``, in order, once for each receiver; by and to all, or those."""
        return [
            it.message
            for step in self.trace.steps
            for it in step.sent
            if isinstance(it.message, kind)
            and sender in (None, it.sender)
            and receiver in (None, it.receiver)
        ]

    # --- steps ----------------------------------------------------------------------------------

    def _driver(self, me: ServerId) -> Driver[S, Q, M, T, R, P]:
        if me not in self._drivers:
            raise ServerDown(me)
        return self._drivers[me]

    def _disk(self, me: ServerId) -> tuple[R, ...]:
        """What ``me`` has saved."""
        return self._driver(me).process.disk if self.is_up(me) else self._disks[me]

    def _start(self, me: ServerId, disk: tuple[R, ...]) -> Driver[S, Q, M, T, R, P]:
        for timer in self._machine.first:
            self._timers[me, type(timer)] = timer
        return Driver(self._machine, Place(me), self.quorum, disk, self._observer)

    def _timer(self, me: ServerId, kind: type[T], otherwise: str) -> T:
        """The timer of ``kind`` that ``me`` has set last. Raises ImpossibleStep."""
        if (me, kind) not in self._timers:
            raise ImpossibleStep(me, otherwise)
        return self._timers[me, kind]

    def _forget_timers(self, me: ServerId) -> None:
        self._timers = {key: it for key, it in self._timers.items() if key[0] != me}

    def _exchange(
        self, messages: Iterable[tuple[ServerId, From[M]]], among: Collection[ServerId]
    ) -> None:
        """Messages reach their receivers, and so does what follows; all else is lost."""
        waiting = deque(messages)
        while waiting:
            receiver, message = waiting.popleft()
            if receiver in among:
                sent = self._step(receiver, message)
                waiting.extend((it.receiver, From(receiver, it.message)) for it in sent)

    def _step(self, me: ServerId, event: From[M] | T | Q) -> tuple[To[M], ...]:
        """One step of ``me``; what it sends to single servers."""
        driver = self._driver(me)
        self._steps += 1
        self._observer.set_time(self._steps)
        sent: list[To[M]] = []
        for effect in driver.step(event):
            if type(effect) is To:
                sent.append(effect)
            elif type(effect) is Broadcast:
                self._said[me] = effect.message
            elif type(effect) is SetTimer:
                self._timers[me, type(effect.timer)] = effect.timer
            elif type(effect) is Tell:
                sent.extend(self._reported(me, effect.report))
            else:
                assert_never(effect)
        return tuple(sent)

    def _reported(self, me: ServerId, report: P) -> tuple[To[M], ...]:
        """What answers ``report`` from the disk, or nothing: then it is for the program."""
        process = self._driver(me).process
        fetched = self._machine.fetch(process.disk, report)
        if fetched is None:
            self._on_report(me, report)
            return ()
        self._observer.sent(Place(me), process, fetched)
        return fetched

    def _on_report(self, me: ServerId, report: P) -> None:
        """``me`` has told its program; the trace has it."""
