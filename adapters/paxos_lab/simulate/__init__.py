"""Many runs: lives of a cluster in virtual time, among faults of every kind.

    simulate(seed, Setup(...))         one life; the same on every machine
    record(seed, Setup(...))           the same, with all that happened in it
    sweep(range(10_000), Setup(...))   many lives, on any executor
    shrink(setup, acts, rule)          what is needed of a life to break a rule

Arrows point one way:
faults, networks <- setup <- steps <- judging <- world <- life <- schedules, sweep.
"""

from paxos_lab.simulate.faults import CALM, Fault, Faults
from paxos_lab.simulate.life import Simulator, record, simulate
from paxos_lab.simulate.networks import (
    PARTIAL,
    Network,
    answerable,
    chained,
    constrained,
    everywhere,
    quorum_loss,
)
from paxos_lab.simulate.schedules import Played, play, shrink
from paxos_lab.simulate.setup import Act, Fate, Life, Setup, SetupError
from paxos_lab.simulate.sweep import Sweep, sweep

__all__ = [
    "CALM",
    "PARTIAL",
    "Act",
    "Fate",
    "Fault",
    "Faults",
    "Life",
    "Network",
    "Played",
    "Setup",
    "SetupError",
    "Simulator",
    "Sweep",
    "answerable",
    "chained",
    "constrained",
    "everywhere",
    "play",
    "quorum_loss",
    "record",
    "shrink",
    "simulate",
    "sweep",
]
