"""A state machine alone, and on a cluster whose leader crashes: what must be the same in both."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from random import Random
from typing import TypeVar

from paxos_adapters.log_cluster import LogCluster
from paxos_adapters.ports import Codec
from paxos_adapters.state_machine import StateMachine

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")

MAX_EVENTS = 10_000


def through(codec: Codec[V] | None, value: V) -> V:
    """``value``, encoded and decoded; equal values must have equal bytes."""
    assert codec is not None
    decoded = codec.decode(codec.encode(value))
    assert decoded == value
    assert codec.encode(decoded) == codec.encode(value)
    return decoded


def run_alone(machine: StateMachine[S, C, R], commands: Sequence[C]) -> tuple[S, list[R]]:
    """The last state and all results; each step is made again from what was decoded.

    Nothing that is handed to ``apply`` may change.
    """
    state, results = machine.start, list[R]()
    for command in commands:
        before = deepcopy((state, command))
        after, result = machine.apply(state, command)
        assert (state, command) == before
        decoded = through(machine.states, state), through(machine.commands, command)
        assert machine.apply(*decoded) == (after, through(machine.results, result))
        state = after
        results.append(result)
    return through(machine.states, state), results


def run_replicated(machine: StateMachine[S, C, R], commands: Sequence[C], seed: int) -> None:
    """Hold five servers, of which the leader crashes and restarts, against the machine alone."""
    state, results = run_alone(machine, commands)
    random = Random(seed)
    cluster = LogCluster(machine, servers=5, seed=seed)
    found = list[R]()
    while len(found) < len(commands):
        some = random.randint(1, 4)
        found += cluster.submit_many(commands[len(found) :][:some])
        down = cluster.lead()
        cluster.crash(down)
        if random.random() < 0.5:
            cluster.lead()
        cluster.restart(down)
    assert found == results
    assert cluster.read(lambda it: it) == state
    cluster.run_until(lambda: all(it == state for it in cluster.states.values()), MAX_EVENTS)
