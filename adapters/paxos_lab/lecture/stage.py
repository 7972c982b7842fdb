"""The stage of one decision: whole servers of Basic Paxos, driven by a schedule.

- A proposer is told which rounds it has seen, so that its ballots are those of the lecture.
- Its timers fire when the schedule says so: ``wake`` for a retry, ``beat`` for a heartbeat.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from attrs import evolve

from paxos import (
    Acceptor,
    Ballot,
    Decision,
    HeartbeatTimer,
    Inquire,
    MaxRound,
    Message,
    NotYetChosen,
    Propose,
    RetryTimer,
    ServerId,
    proposer,
    server,
)
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.single import SingleObserver
from paxos_lab.draw.picture import Picture
from paxos_lab.lecture.machine_stage import MachineStage
from paxos_lab.machines.protocols import PAXOS, Protocol, Server
from paxos_lab.machines.single import CLAIMS
from paxos_lab.record import single_timeline


class Stage(
    MachineStage[
        Server,
        ClientRequest[str],
        Message[str],
        ServerTimer,
        server.Record[str],
        server.Report[str],
    ]
):
    """Servers of one decision that do one thing at a time, when the schedule says so.

    >>> from paxos_lab.lecture import S1, S2, Stage
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
        members = map(ServerId, range(1, servers + 1))
        super().__init__(protocol.machine, servers, members, CLAIMS, observer)

    def propose(self, me: ServerId, value: str, *, in_round: int = 1) -> None:
        """``me`` proposes ``value``, and has seen the rounds below ``in_round``."""
        self._begin(me, Propose(value), in_round)

    def inquire(self, me: ServerId, *, in_round: int = 1) -> None:
        """``me`` asks what is chosen, and has seen the rounds below ``in_round``."""
        self._begin(me, Inquire(), in_round)

    def both_phases(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """The Prepare of ``me`` and then its Accept reach ``to``, and all answers reach ``me``."""
        self.deliver(me, to=to)
        self.deliver(me, to=to)

    def wake(self, me: ServerId) -> None:
        """The retry timer of ``me`` fires."""
        timer = self._timer(me, RetryTimer, "has no retry timer")
        before = self._said.pop(me)
        self._step(me, timer)
        self._said.setdefault(me, before)

    def beat(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """It is time for the next heartbeat of ``me``, and it reaches ``to``."""
        timer = self._timer(me, HeartbeatTimer, "has no proposal in progress")
        request = self._said.pop(me)
        self._step(me, timer)
        self.arrive(me, self.said(me), to=to)
        self._said[me] = request

    def restart(self, me: ServerId, *, round_lost: bool = False) -> None:
        """``me`` starts from what it has saved; with ``round_lost``, from all but its MaxRound."""
        if not round_lost:
            super().restart(me)
            return
        disk = tuple(it for it in self._disk(me) if type(it) is not MaxRound)
        self._drivers[me] = self._start(me, disk)
        self.tell(me, "has lost its round")

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
        """The servers that have accepted ``value`` and not another one since."""
        held = {me: self.acceptor(me).accepted for me in self.servers}
        return {me for me, it in held.items() if it is not None and it.value == value}

    @property
    def picture(self) -> Picture:
        """What has happened so far; a notebook shows it."""
        return Picture(single_timeline(self.trace, has_numbers=self.protocol.has_numbers))

    def _repr_html_(self) -> str:
        return self.picture.svg

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

    def _begin(self, me: ServerId, request: Propose[str] | Inquire, in_round: int) -> None:
        driver, state = self._driver(me), self.state(me)
        seen = proposer.observe(state.proposer, Ballot(in_round - 1, me))
        if seen is not state.proposer:
            driver.set_state(evolve(state, proposer=seen))
        self._step(me, request)

    def _on_report(self, me: ServerId, report: server.Report[str]) -> None:
        if type(report) is not NotYetChosen:
            self._forget_timers(me)
