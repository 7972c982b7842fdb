"""Programs on three servers, held against the machine run alone on the commands in their order.

- A program applies what it is told, and restores a snapshot for what it is not told.
- A snapshot is what was encoded: the state, and the results that clients may ask for again.
- Each command is run once, however often it is chosen. Its result is the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import Generic, TypeVar

from attrs import define, evolve, field

from paxos import Proposal, ServerId
from paxos.log import Command
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos.log.sessions import Result, Session, SessionCommand, Sessions
from paxos_adapters.printable import brief
from paxos_adapters.state_machine import Applied, LogCommand, StateMachine, applied
from paxos_testing.histories import History, Source, Told
from paxos_testing.machines import (
    CONTRACT,
    BadStateMachine,
    Copied,
    copied,
    require_kept,
    require_same_bytes,
    run,
    step,
)

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

SESSION = 0
"""The session of all commands. It was opened before the first slot."""


@define
class Counts:
    """What has happened in all runs together.

    ``commands`` were run, and chosen ``repeats`` times more. Programs have started again
    ``restarts`` times, and have restored a snapshot ``snapshots`` times.
    """

    runs: int = 0
    commands: int = 0
    repeats: int = 0
    restarts: int = 0
    snapshots: int = 0


@define
class Replicas(Generic[S, C, R]):
    """One run. ``acts`` is how much of it has happened where something is found to be wrong."""

    machine: StateMachine[S, C, R]
    commands: Sequence[C]
    history: History
    counts: Counts
    acts: int = 0
    _states: list[Copied[S]] = field(init=False, factory=list[Copied[S]])
    _results: list[Copied[R]] = field(init=False, factory=list[Copied[R]])
    _numbers: list[int] = field(init=False, factory=list[int])
    _run_before: list[int] = field(init=False, factory=list[int])
    _copies: dict[int, Copied[C]] = field(init=False, factory=dict[int, Copied[C]])
    _waiting: dict[ServerId, dict[int, Proposal[Entry[str]]]] = field(
        init=False, factory=dict[ServerId, dict[int, Proposal[Entry[str]]]]
    )
    _replicas: dict[ServerId, Applied[S, R]] = field(
        init=False, factory=dict[ServerId, Applied[S, R]]
    )

    def check(self) -> None:
        """Run the machine alone, and then every program. Raises BadStateMachine."""
        self.acts = 0
        self._run_alone()
        for told in self.history.told:
            self.acts = told.acts
            if told.by is not Source.LOG and told.slot > len(self._run_before):
                break  # A snapshot of slots that no program was told of: the run ends here.
            self._tell(told)
        self.acts = len(self.history.acts)

    # --- alone ----------------------------------------------------------------------------------

    def _run_alone(self) -> None:
        """The states and results of the machine, in the order of the slots."""
        chosen: dict[int, tuple[Entry[str], int]] = {}
        for told in self.history.told:
            for slot, proposal in enumerate(told.proposals, told.slot):
                chosen.setdefault(slot, (proposal.value, told.acts))
        start = copied("state", self.machine.states, self.machine.start)
        # What is run is a copy, so that the next run starts where this one did.
        self._states.append(copied("state", self.machine.states, start.copy))
        self._run_before.append(0)
        for slot in range(FIRST_SLOT, len(chosen) + FIRST_SLOT):
            if slot not in chosen:
                break
            entry, self.acts = chosen[slot]
            number = self._number(entry)
            if number in self._numbers:
                self.counts.repeats += 1
            elif number is not None:
                self._run(number)
            self._run_before.append(len(self._numbers))

    def _run(self, number: int) -> None:
        command = copied("command", self.machine.commands, self.commands[number - 1])
        state, result = step(self.machine, self._states[-1], command)
        self._copies[number] = command
        self._states.append(state)
        for it in self._results:
            require_kept(it)
        self._results.append(result)
        self._numbers.append(number)
        self.counts.commands += 1

    def _number(self, entry: Entry[str]) -> int | None:
        """Which of the commands an entry is, counted from 1."""
        return self.history.labels.index(entry.value) + 1 if type(entry) is Command else None

    # --- replicas -------------------------------------------------------------------------------

    def _tell(self, told: Told) -> None:
        me, replica = told.server, self._replicas.get(told.server)
        if told.by is Source.STORE or replica is None:
            self.counts.restarts += replica is not None
            self._waiting[me] = {}
            replica = self._restored(told.slot)
        elif told.by is Source.PEER and replica.slot < told.slot:
            replica = self._restored(told.slot)
        waiting = self._waiting[me]
        waiting.update(enumerate(told.proposals, told.slot))
        while replica.slot in waiting and replica.slot < len(self._run_before):
            replica = self._applied(me, replica, waiting[replica.slot])
        self._replicas[me] = replica

    def _restored(self, slot: int) -> Applied[S, R]:
        """What a snapshot of all below ``slot`` brings back."""
        self.counts.snapshots += slot > FIRST_SLOT
        count = self._run_before[slot - FIRST_SLOT]
        state = copied("state", self.machine.states, self._states[count].value)
        results = (
            copied("result", self.machine.results, it.value).copy for it in self._results[:count]
        )
        numbered = sorted(zip(self._numbers, results, strict=False), key=itemgetter(0))
        session = Session(SESSION, tuple(numbered))
        return Applied(state.copy, Sessions((session,)), slot, self.machine.version)

    def _applied(
        self, server: ServerId, before: Applied[S, R], proposal: Proposal[Entry[str]]
    ) -> Applied[S, R]:
        """One slot more, which must bring what it brought to the machine alone."""
        number = self._number(proposal.value)
        if number is None:
            return evolve(before, slot=before.slot + 1)
        command = SessionCommand(SESSION, number, 1, self._copies[number].copy)
        entry: Entry[LogCommand[C]] = Command(command)
        after, outcome = applied(self._guarded, before, Proposal(proposal.ballot, entry))
        expected = self._results[self._numbers.index(number)].value
        state = self._states[self._run_before[after.slot - FIRST_SLOT]].value
        assert type(outcome) is Result, "a session that is never closed answers"
        if outcome.result != expected:
            raise _differs(server, command, "result", expected, outcome.result)
        if after.state != state:
            raise _differs(server, command, "state", state, after.state)
        require_same_bytes("state", self.machine.states, state, after.state)
        return after

    @property
    def _guarded(self) -> StateMachine[S, C, R]:
        """The machine, with an error of ``apply`` told as one."""
        return evolve(self.machine, apply=partial(run, self.machine))


def _differs(
    server: ServerId, command: SessionCommand[C], kind: str, alone: object, here: object
) -> BadStateMachine:
    return BadStateMachine(
        f"a replica has another {kind} than the machine run alone.\n"
        f"  command: {brief(command.command)}, on S{server}\n"
        f"  {kind} alone: {brief(alone)}\n  {kind} there: {brief(here)}\n{CONTRACT}"
    )
