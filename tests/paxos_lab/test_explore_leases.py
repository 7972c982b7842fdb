"""Every run of a small log with leases: time is an event, and all that is known of it is an order.

- S1 leads, and asks for leases with its reads. S2 may campaign. One of the others may crash, and
  start again from its disk. A message arrives at any later time, any number of times, or never.
- The worst is assumed of S2: as soon as it leads it has got something chosen, and S1 hears nothing
  of it. So S1 must not be able to read alone then.
- Time: the lease of a Confirm runs out at the leader; and later, for that is the bound of the
  drift, the timers fire of the servers that have granted it.
- What is broken is found: a lease that is judged under a clock that stands still, an acceptor that
  promises before its release, one that forgets over a restart, clocks that drift by more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import pytest
from attrs import evolve, field, frozen

from paxos import Ballot, Broadcast, From, ServerId, SetTimer, Tell, To
from paxos.log import (
    Confirmed,
    Elected,
    Lead,
    Promise,
    Read,
    ReleaseTimer,
    Replica,
    Rules,
    replica,
)
from paxos.log.events import Effect, Event
from paxos.log.leader import Leading
from paxos.log.memory import delta
from paxos.log.messages import Message
from paxos.log.replica import Step
from paxos_lab.explore.log_processes import Numbered
from paxos_lab.explore.search import Exploration, explore
from tests.support import S1, S2, THREE, ballot, opened

RULES = Rules(window=2, piece=2, lease=1)
SERVERS = tuple(sorted(THREE.members))
ONE = ballot("1.1")
Receive: TypeAlias = Callable[[Replica[str], Event[str]], Step[str]]


class Timer(NamedTuple):
    """It fires at ``server`` once the leases up to ``needs`` have run out at the leader."""

    server: ServerId
    ballot: Ballot
    number: int
    needs: int


class State(NamedTuple):
    """Replicas and messages are numbers.

    Confirms up to ``asked`` were sent; the leases of those up to ``expired`` have run out.
    """

    replicas: tuple[int, ...]
    mail: frozenset[int]
    timers: frozenset[Timer]
    asked: int = 0
    expired: int = 0
    crashes: int = 0
    has_another_led: bool = False


Sent: TypeAlias = tuple[ServerId, ServerId, Message[str]]


@frozen
class Leases:
    """The system, with so many Confirms and crashes.

    Without ``has_clock`` no lease runs out at the leader; without ``is_bound`` timers fire early.
    ``forgets``: a server that starts again does not know that it has granted a lease.
    """

    asks: int = 1
    crashes: int = 1
    receive: Receive = replica.receive
    has_clock: bool = True
    is_bound: bool = True
    forgets: bool = False
    replicas: Numbered[Replica[str]] = field(factory=Numbered[Replica[str]], eq=False)
    mail: Numbered[Sent] = field(factory=Numbered[Sent], eq=False)

    def start(self) -> tuple[State]:
        """S1 leads; S2 and S3 have promised it nothing more than that."""
        every: list[Replica[str]] = [replica.start(me, THREE, (), RULES) for me in SERVERS]
        leader, *others = every
        leader, _ = replica.receive(leader, Lead())
        for me in SERVERS[:2]:
            leader, _ = replica.receive(leader, From(me, Promise(ONE, 1, 1, (), True)))
        assert type(leader.role) is Leading
        numbers = tuple(self.replicas.number(it) for it in (leader, *others))
        return (State(numbers, frozenset(), frozenset(), crashes=self.crashes),)

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """What can happen next."""
        leader, rival = (self.replicas.all[it] for it in state.replicas[:2])
        if type(leader.role) is not Leading:
            return  # A refusal has ended it: it reads nothing any more.
        if state.asked < self.asks:
            yield "ask", self._ask(state)
        if rival.max_round < 2:
            yield "campaign", self._take(state, S2, Lead())
        for number in state.mail:
            sender, receiver, message = self.mail.all[number]
            after = self._take(state, receiver, From(sender, message))
            if after != state:
                yield repr(message), after
        if state.expired < state.asked:
            yield "a lease runs out", state._replace(expired=state.expired + 1)
        for timer in state.timers:
            if timer.needs <= state.expired or not self.is_bound:
                rest = state._replace(timers=state.timers - {timer})
                release = ReleaseTimer(timer.ballot, timer.number, RULES.lease)
                yield "release", self._take(rest, timer.server, release)
        if state.crashes:
            for me in SERVERS[1:]:
                yield "crash", self._crash(state, me)

    def reads_alone(self, state: State) -> bool:
        """Whether S1 would answer a read now."""
        since = state.expired + 1 if self.has_clock else 1
        leader = self.replicas.all[state.replicas[0]]
        return since <= state.asked and replica.has_lease(leader, since)

    def _ask(self, state: State) -> State:
        number = state.asked + 1
        return self._take(state._replace(asked=number), S1, Read(number, None, RULES.lease))

    def _crash(self, state: State, me: ServerId) -> State:
        before = self.replicas.all[state.replicas[me - 1]]
        after: Replica[str] = replica.start(me, THREE, (delta(before.memory),), RULES)
        timers = {it for it in state.timers if it.server != me}
        if after.grant is not None:
            timers.add(Timer(me, after.grant.ballot, 0, state.asked))
        after = evolve(after, grant=None if self.forgets else after.grant)
        return self._with(state, after)._replace(
            crashes=state.crashes - 1, timers=frozenset(timers)
        )

    def _with(self, state: State, after: Replica[str]) -> State:
        place, number = after.me - 1, self.replicas.number(after)
        replicas = *state.replicas[:place], number, *state.replicas[place + 1 :]
        return state._replace(replicas=replicas)

    def _take(self, state: State, me: ServerId, event: Event[str]) -> State:
        """``state`` after ``event``, and what a server sends to itself."""
        after, outbound = self.receive(self.replicas.all[state.replicas[me - 1]], event)
        state = self._with(state, after)
        for effect in opened(outbound):
            state = self._perform(state, me, effect)
        return state

    def _perform(self, state: State, me: ServerId, effect: Effect[str]) -> State:
        if isinstance(effect, To | Broadcast):
            receivers = (effect.receiver,) if isinstance(effect, To) else SERVERS
            others = {it for it in receivers if it != me and (me, it) != (S2, S1)}
            if isinstance(effect.message, Confirmed) and me == S2:
                others.add(S1)
            sent = {self.mail.number((me, it, effect.message)) for it in others}
            state = state._replace(mail=state.mail | sent)
            return self._take(state, me, From(me, effect.message)) if me in receivers else state
        if isinstance(effect, SetTimer):
            if not isinstance(effect.timer, ReleaseTimer):
                return state
            timer = Timer(me, effect.timer.ballot, effect.timer.number, effect.timer.number)
            return state._replace(timers=state.timers | {timer})
        assert isinstance(effect, Tell)
        has_led = state.has_another_led or isinstance(effect.report, Elected)
        return state._replace(has_another_led=has_led)


def searched(system: Leases) -> Exploration[State, str]:
    return explore(
        system,
        always={
            "none reads alone once another has led": lambda it: (
                not (it.has_another_led and system.reads_alone(it))
            )
        },
        sometimes={
            "it reads alone": system.reads_alone,
            "another has led": lambda it: it.has_another_led,
        },
        max_states=100_000,
    )


def promises_before_its_release(state: Replica[str], event: Event[str]) -> Step[str]:
    """Whatever it has granted."""
    return replica.receive(evolve(state, grant=None), event)


@pytest.mark.slow
@pytest.mark.parametrize(("asks", "crashes", "states"), [(1, 1, 4_904), (2, 0, 26_170)])
def test_in_every_run_none_reads_alone_once_another_has_led(
    asks: int, crashes: int, states: int
) -> None:
    found = searched(Leases(asks, crashes))

    assert found.violation is None, found.violation.run
    assert found.exhausted
    assert not found.never
    assert found.states == states


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        Leases(has_clock=False),
        Leases(is_bound=False),
        Leases(forgets=True),
        Leases(receive=promises_before_its_release),
    ],
    ids=["a lease under a paused clock", "drift", "forgets", "promises before its release"],
)
def test_what_is_broken_is_found(broken: Leases) -> None:
    found = searched(broken)

    assert found.violation is not None
    steps = [step for step, _ in found.violation.run]
    assert {"ask", "campaign"} <= set(steps), steps
