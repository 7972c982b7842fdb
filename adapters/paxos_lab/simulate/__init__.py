"""Many runs: a cluster in virtual time, among faults of every kind.

    simulate(seed, SingleSetup(...))         one run; the same on every machine
    record(seed, SingleSetup(...))           the same, with all that happened in it
    sweep(range(10_000), SingleSetup(...))   many runs, on any executor
    shrink(setup, acts, rule)                what is needed of a run to break a rule

``SingleSetup`` is for one decision, ``LogSetup`` for a log; ``Setup`` takes any machine, and what
to ask its servers.

Arrows point one way:
faults, networks <- setup <- environment <- simulator <- sweep; setup <- schedules <- single, log.
"""

from paxos_lab.simulate.faults import CALM, Fault, Faults
from paxos_lab.simulate.log import CommandsAndReads, LogSetup
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
from paxos_lab.simulate.setup import Act, Outcome, Requests, Run, Setup, SetupError
from paxos_lab.simulate.simulator import Simulator, record, run_seed, simulate
from paxos_lab.simulate.single import ProposersAndReaders, SingleSetup
from paxos_lab.simulate.sweep import Sweep, sweep

__all__ = [
    "CALM",
    "PARTIAL",
    "Act",
    "CommandsAndReads",
    "Fault",
    "Faults",
    "LogSetup",
    "Network",
    "Outcome",
    "Played",
    "ProposersAndReaders",
    "Requests",
    "Run",
    "Setup",
    "SetupError",
    "Simulator",
    "SingleSetup",
    "Sweep",
    "answerable",
    "chained",
    "constrained",
    "everywhere",
    "play",
    "quorum_loss",
    "record",
    "run_seed",
    "shrink",
    "simulate",
    "sweep",
]
