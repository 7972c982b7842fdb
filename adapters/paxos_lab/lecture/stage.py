"""The stage: whole servers, and messages that wait until the schedule delivers them, by name.

- Nothing happens by itself: no message arrives and no time passes unless the schedule says so.
- What a server has broadcast last can be delivered to any server, any number of times; what an
  earlier ``said`` gave can still arrive, late.
- What a step saves is durable at once; a crash leaves that, and nothing else.
- All that happens is in the trace. A checker counts every acceptance, whether or not it arrives.
- A claim that does not hold ends the schedule with an error that names it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

from attrs import evolve

from paxos import (
    Acceptor,
    Ballot,
    Broadcast,
    Decision,
    From,
    HeartbeatTimer,
    Inquire,
    MaxRound,
    Message,
    NotYetChosen,
    Propose,
    RetryTimer,
    ServerId,
    SetTimer,
    Tell,
    To,
    UsageError,
    majority,
    proposer,
    server,
)
from paxos.errors import assert_never
from paxos_adapters.driving import Driver
from paxos_adapters.memory import ServerDown
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleDriver, SingleObserver
from paxos_lab.checker import Checker
from paxos_lab.machines.protocols import PAXOS, Event, Protocol, Server
from paxos_lab.machines.single import CLAIMS, SingleChecker
from paxos_lab.observers import Observers
from paxos_lab.record import SingleTrace, Trace

S1, S2, S3, S4, S5 = (ServerId(number) for number in range(1, 6))

Answers: TypeAlias = tuple[From[Message[str]], ...]
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


class Stage:
    """Servers that do one thing at a time, when the schedule says so.

    >>> stage = Stage(servers=3)
    >>> stage.propose(S1, "X")
    >>> _ = stage.deliver(S1, to=(S1, S2))  # Prepare, and the promises
    >>> _ = stage.deliver(S1, to=(S1, S2))  # Accept, and the acceptances
    >>> stage.chosen, stage.knows(S1), stage.knows(S2)
    (['X'], 'X', None)
    """

    def __init__(
        self,
        protocol: Protocol = PAXOS,
        servers: int = 5,
        observer: SingleObserver[str] | None = None,
    ) -> None:
        self.protocol = protocol
        self.servers = tuple(ServerId(number) for number in range(1, servers + 1))
        self.quorum = majority(self.servers)
        self.trace: SingleTrace[str] = Trace()
        self.checker: SingleChecker = Checker(CLAIMS)
        self.claims: list[str] = []
        more = () if observer is None else (observer,)
        self._observer: SingleObserver[str] = Observers((self.trace, self.checker, *more))
        self._observer.set_time(0)
        self._steps = 0
        self._drivers = {me: self._start(me, ()) for me in self.servers}
        self._disks: dict[ServerId, tuple[server.Record[str], ...]] = {}
        self._said: dict[ServerId, Message[str]] = {}
        self._wakes: dict[ServerId, RetryTimer] = {}
        self._beats: dict[ServerId, HeartbeatTimer] = {}

    def propose(self, me: ServerId, value: str, *, in_round: int = 1) -> None:
        """``me`` proposes ``value``, and has seen the rounds below ``in_round``."""
        self._begin(me, Propose(value), in_round)

    def inquire(self, me: ServerId, *, in_round: int = 1) -> None:
        """``me`` asks what is chosen, and has seen the rounds below ``in_round``."""
        self._begin(me, Inquire(), in_round)

    def deliver(self, me: ServerId, *, to: Sequence[ServerId]) -> tuple[Message[str], ...]:
        """What ``me`` has said last reaches ``to``, and their answers reach ``me``."""
        answers = self.arrive(me, self.said(me), to=to)
        for answer in answers:
            self.arrive(answer.sender, answer.message, to=(me,))
        return tuple(answer.message for answer in answers)

    def both_phases(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """The Prepare of ``me`` and then its Accept reach ``to``, and all answers reach ``me``."""
        self.deliver(me, to=to)
        self.deliver(me, to=to)

    def arrive(self, sender: ServerId, message: Message[str], *, to: Sequence[ServerId]) -> Answers:
        """``message`` from ``sender`` reaches ``to``, in this order; what they answer waits."""
        answers: list[From[Message[str]]] = []
        for receiver in to:
            self.state(receiver)
            answers.extend(self._step(receiver, From(sender, message)))
        return tuple(answers)

    def wake(self, me: ServerId) -> None:
        """The retry timer of ``me`` fires."""
        if me not in self._wakes:
            raise ImpossibleStep(me, "has no retry timer")
        before = self._said.pop(me)
        self._step(me, self._wakes[me])
        self._said.setdefault(me, before)

    def beat(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """It is time for the next heartbeat of ``me``, and it reaches ``to``."""
        if me not in self._beats:
            raise ImpossibleStep(me, "has no proposal in progress")
        request = self._said.pop(me)
        self._step(me, self._beats[me])
        self.arrive(me, self.said(me), to=to)
        self._said[me] = request

    def crash(self, me: ServerId) -> None:
        """``me`` goes down; what it has saved survives."""
        self._disks[me] = self._driver(me).stop("crashes")
        del self._drivers[me]
        for waiting in self._said, self._wakes, self._beats:
            waiting.pop(me, None)

    def restart(self, me: ServerId, *, round_lost: bool = False) -> None:
        """``me`` starts from what it has saved; with ``round_lost``, from all but its MaxRound."""
        disk = self._disks.get(me) or self._driver(me).process.disk
        if round_lost:
            disk = tuple(it for it in disk if type(it) is not MaxRound)
        self._drivers[me] = self._start(me, disk)
        if round_lost:
            self.tell(me, "has lost its round")

    def tell(self, me: ServerId, what: str) -> None:
        """Something happens at ``me``, with no message to show for it."""
        self.trace.note(Place(me), what)

    def check(self, claim: str, holds: bool) -> None:
        """Note what the run has shown. Raises ClaimFailed if it does not hold."""
        if not holds:
            raise ClaimFailed(claim)
        self.claims.append(claim)

    def said(self, me: ServerId) -> Message[str]:
        """What ``me`` has broadcast last."""
        if me not in self._said:
            raise ImpossibleStep(me, "has said nothing")
        return self._said[me]

    def state(self, me: ServerId) -> Server:
        """The state of a server. Raises ServerDown."""
        return self._driver(me).process.state

    def is_up(self, me: ServerId) -> bool:
        """Whether ``me`` has not crashed."""
        return me in self._drivers

    def acceptor(self, me: ServerId) -> Acceptor[str]:
        """What ``me`` has promised and accepted, or has saved of it if it is down."""
        if me in self._drivers:
            return self.state(me).acceptor
        return next((it for it in self._disks[me] if type(it) is Acceptor), Acceptor[str]())

    def knows(self, me: ServerId) -> str | None:
        """What ``me`` knows to be chosen."""
        choice = self.state(me).learner.choice
        return None if choice is None else choice.chosen.value

    def holders(self, value: str) -> set[ServerId]:
        """Who has accepted ``value`` and not another one since."""
        held = {me: self.acceptor(me).accepted for me in self.servers}
        return {me for me, it in held.items() if it is not None and it.value == value}

    @property
    def choices(self) -> tuple[Decision[Hashable], ...]:
        """Every proposal that a majority has accepted, in the order of ballots.

        Each value has its own votes: a broken protocol can have two chosen under one ballot.
        """
        return tuple(sorted(self.checker.choices, key=lambda it: it.chosen.ballot))

    @property
    def chosen(self) -> list[Hashable]:
        """The values of the choices."""
        return [choice.chosen.value for choice in self.choices]

    def _driver(self, me: ServerId) -> SingleDriver[str]:
        if me not in self._drivers:
            raise ServerDown(me)
        return self._drivers[me]

    def _start(self, me: ServerId, disk: tuple[server.Record[str], ...]) -> SingleDriver[str]:
        return Driver(self.protocol.machine, Place(me), self.quorum, disk, self._observer)

    def _begin(self, me: ServerId, request: Propose[str] | Inquire, in_round: int) -> None:
        driver, state = self._driver(me), self.state(me)
        seen = proposer.observe(state.proposer, Ballot(in_round - 1, me))
        if seen is not state.proposer:
            driver.set_state(evolve(state, proposer=seen))
        self._step(me, request)

    def _step(self, me: ServerId, event: Event) -> Answers:
        driver = self._driver(me)
        self._steps += 1
        self._observer.set_time(self._steps)
        answers = (self._carry_out(me, effect) for effect in driver.step(event))
        return tuple(answer for answer in answers if answer is not None)

    def _carry_out(self, me: ServerId, effect: server.Effect[str]) -> From[Message[str]] | None:
        if type(effect) is To:
            return From(me, effect.message)
        if type(effect) is Broadcast:
            self._said[me] = effect.message
        elif type(effect) is SetTimer:
            if type(effect.timer) is HeartbeatTimer:
                self._beats[me] = effect.timer
            elif type(effect.timer) is RetryTimer:
                self._wakes[me] = effect.timer
        elif type(effect) is Tell:
            if type(effect.report) is not NotYetChosen:
                self._wakes.pop(me, None)
                self._beats.pop(me, None)
        else:
            assert_never(effect)
        return None
