"""Runs of a log with leases: clocks drift within the bound, and every server that leads reads.

- The runtime's own ``Leases`` stamps each read, by the clock of that server at that moment. A
  server waits for 12 to 32 sixteenths of its time, so its clock is fast or slow by as much.
- A clock goes on while its process is paused.
- An acceptor that promises before its release is found.
"""

from __future__ import annotations

from functools import partial

import pytest
from attrs import Factory, evolve, field, frozen

from paxos.log import Message, Read, Replica, replica
from paxos.log.events import Event, LogTimer, Report, Request
from paxos.log.leader import Leading
from paxos.log.memory import Record
from paxos.log.replica import Step
from paxos_adapters.log import Log, LogDriver, log
from paxos_adapters.replication.leases import Instant, Leases
from paxos_adapters.timeouts import Lease
from paxos_lab.rules import LINEARIZABLE
from paxos_lab.simulate.environment import SIXTEENTHS, SKEWS
from paxos_lab.simulate.faults import Faults
from paxos_lab.simulate.log import RULES_OF_RUNS, LogSetup
from paxos_lab.simulate.setup import Run
from paxos_lab.simulate.simulator import Simulator

LEASE = Lease(duration_s=20, drift=0.47)
"""The fastest clock has 32 by 12 times the rate of the slowest one, and ticks are whole."""

TICKS = 4
"""A second, so that a lease is longer than an election takes."""

FAULTS = Faults(loss=20, partitions=6, pauses=6, crashes=2, lost_disks=0)
PAUSES = Faults(
    0, 0, 0, 0, 0, 0, 0, pauses=40, partitions=0, failing_stores=0, lost_disks=0, skew=False
)
"""Nothing else: a leader that goes on must not have heard of another one by then."""

RUNS, MORE_RUNS = 100, 300
SECOND = 1_000_000_000


def _machine(setup: LeaseSetup) -> Log[str]:
    return log(evolve(RULES_OF_RUNS, lease=TICKS * LEASE.hold_ms), setup.receive)


@frozen(kw_only=True)
class LeaseSetup(LogSetup):
    """A log with leases."""

    machine: Log[str] = field(init=False, default=Factory(_machine, takes_self=True))


class LeaseSimulator(
    Simulator[Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]]
):
    """A run in which each read is stamped. ``alone`` counts those that were answered at once."""

    def __init__(self, seed: int, setup: LeaseSetup) -> None:
        self.alone = 0
        self._leases: dict[int, tuple[LogDriver[str], Leases]] = {}
        super().__init__(seed, setup)

    def _clocks(self, place: int) -> Instant:
        return (self.now * SIXTEENTHS * SECOND // TICKS // self.skews[place],)

    def _hand(self, place: int, driver: LogDriver[str], request: Request[str]) -> None:
        if type(request) is Read and type(driver.process.state.role) is Leading:
            known, leases = self._leases.get(place, (None, Leases(None)))
            if known is not driver:  # It is another process.
                leases = Leases(LEASE, partial(self._clocks, place))
                self._leases[place] = driver, leases
            request = leases.read(request.number)
            request = evolve(request, lease=TICKS * request.lease)
            since = request.since
            self.alone += since is not None and replica.has_lease(driver.process.state, since)
        super()._hand(place, driver, request)


def simulated(setup: LeaseSetup, most: int = RUNS) -> tuple[int, list[Run]]:
    """How many reads were answered at once, and the runs up to one that breaks a rule."""
    alone, runs = 0, list[Run]()
    for seed in range(most):
        simulator = LeaseSimulator(seed, setup)
        runs.append(simulator.run())
        alone += simulator.alone
        if runs[-1].broken is not None:
            break
    return alone, runs


def test_the_bound_holds_for_the_clocks_of_runs() -> None:
    at_leader = TICKS * LEASE.duration_s * max(SKEWS) / SIXTEENTHS
    at_server = TICKS * LEASE.hold_ms // 1000 * min(SKEWS) // SIXTEENTHS

    assert at_leader <= at_server


@pytest.mark.slow
@pytest.mark.parametrize("servers", [3, 5])
@pytest.mark.parametrize("changes", [False, True])
def test_reads_are_linearizable_under_all_faults(servers: int, changes: bool) -> None:
    setup = LeaseSetup(servers=servers, changes=changes, snapshots=True, faults=FAULTS)
    alone, runs = simulated(setup)

    assert [(it.seed, it.broken) for it in runs if it.broken is not None] == []
    assert alone > RUNS


def promises_before_its_release(state: Replica[str], event: Event[str]) -> Step[str]:
    """Whatever it has granted."""
    return replica.receive(evolve(state, grant=None), event)


@pytest.mark.slow
def test_an_acceptor_that_promises_before_its_release_is_found() -> None:
    setup = LeaseSetup(faults=PAUSES, receive=promises_before_its_release)

    assert simulated(setup, MORE_RUNS)[1][-1].broken == LINEARIZABLE
