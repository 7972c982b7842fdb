"""Random histories of registers that are linearizable, since they are made by running one copy."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from random import Random
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from paxos_testing.history import Operation


@frozen
class Read:
    """The value is the output; None before the first write."""


@frozen
class Write:
    """Let the register have ``value``. The output is None."""

    value: int


@frozen
class CompareAndSet:
    """Write ``new`` if it has ``old``; whether it did is the output."""

    old: int
    new: int


Input: TypeAlias = Read | Write | CompareAndSet
Output: TypeAlias = int | bool | None
Register: TypeAlias = Operation[Input, Output]


def apply(state: int | None, given: Input) -> tuple[int | None, Output]:
    """One step of a register."""
    match given:
        case Read():
            return state, state
        case Write(value):
            return value, None
        case CompareAndSet(old, new):
            return (new, True) if state == old else (state, False)


@frozen
class Plan:
    """How many operations, clients and keys, and which share has an unknown outcome."""

    operations: int
    clients: int = 10
    keys: int = 20
    unknown: float = 0.05
    values: int = 5


@define(eq=False)
class Client:
    """One that has called ``operation``, unless that is None. ``has_run``: its output is known."""

    process: int
    operation: Register | None = None
    has_run: bool = False


@define
class Registers:
    """One copy of each register, and what was asked of it.

    Each operation runs between its call and its return. One with an unknown outcome runs at some
    time after its call, or never, and its client goes on as another process.
    """

    plan: Plan
    random: Random
    states: dict[Hashable, int | None] = field(factory=dict[Hashable, int | None])
    history: list[Register] = field(factory=list[Register])
    lost: list[Register] = field(factory=list[Register])

    def run(self) -> list[Register]:
        """The history of a whole run."""
        clients = [Client(process) for process in range(self.plan.clients)]
        processes = count(self.plan.clients)
        for time in count(1):
            if len(self.history) >= self.plan.operations:
                break
            client = self.random.choice(clients)
            operation = client.operation
            if operation is None:
                key, given = self.random.randrange(self.plan.keys), self._input()
                client.operation = Operation(client.process, key, time, None, given)
                if self.random.random() < self.plan.unknown:
                    self.lost.append(client.operation)
                    self.history.append(client.operation)
                    clients[clients.index(client)] = Client(next(processes))
            elif not client.has_run:
                client.operation = evolve(operation, output=self.step(operation))
                client.has_run = True
            else:
                self.history.append(evolve(operation, returned=time))
                client.operation, client.has_run = None, False
            self._run_a_lost_one()
        running = [client.operation for client in clients if client.operation is not None]
        return [*self.history, *running]

    def step(self, operation: Register) -> Output:
        """Run one operation on the copy of its key."""
        after, output = apply(self.states.get(operation.key), operation.input)
        self.states[operation.key] = after
        return output

    def _run_a_lost_one(self) -> None:
        if self.lost and self.random.random() < self.plan.unknown / 2:
            self.step(self.lost.pop(self.random.randrange(len(self.lost))))

    def _input(self) -> Input:
        old, new = (self.random.randrange(self.plan.values) for _ in range(2))
        inputs: list[Input] = [Read(), Write(new), CompareAndSet(old, new)]
        return self.random.choice(inputs)
