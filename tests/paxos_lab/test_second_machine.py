"""What drives Paxos drives other machines: a two-phase commit, and a log with a record a slot.

Neither knows anything of Paxos, and no driver knows anything of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Generic, TypeAlias

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import AfterSave, From, Now, Outbound, QuorumSystem, Saved, ServerId, majority, server
from paxos_adapters.driving import Driver
from paxos_adapters.machine import Effect, M, Machine, P, Q, R, S, T, latest
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, single
from paxos_lab.explore.cluster import Choice, ClusterState, ClusterSystem
from paxos_lab.explore.search import Exploration, explore
from paxos_testing import strategies
from tests.support import toy_log as log
from tests.support import two_phase_commit as tpc
from tests.support.toy_log import Append, Compact, Entry, Total, ToyLog, toy_log
from tests.support.two_phase_commit import (
    Commit,
    Decided,
    Decision,
    Refuse,
    TwoPhaseCommit,
    Voted,
    two_phase_commit,
)

S1, S2, S3 = map(ServerId, (1, 2, 3))
TWO, THREE = majority([S1, S2]), majority([S1, S2, S3])


# --- under a Driver -----------------------------------------------------------------------------


class DrivenCluster(Generic[S, Q, M, T, R, P]):
    """Drivers of one machine and a network that loses nothing. Every step is saved at once."""

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        quorum: QuorumSystem,
        disks: Iterable[Iterable[R]] = ((), (), ()),
    ) -> None:
        self.reports: list[tuple[ServerId, P]] = []
        self._drivers = {
            me: Driver(machine, Place(me), quorum, disk)
            for me, disk in zip(sorted(quorum.members), disks, strict=False)
        }
        for me in self._drivers:
            for timer in machine.first:
                self.take(me, timer)

    def take(self, receiver: ServerId, first: From[M] | T | Q) -> None:
        """``receiver`` takes an event, and all messages that follow are delivered."""
        flying = deque[tuple[ServerId, From[M] | T | Q]]([(receiver, first)])
        while flying:
            me, event = flying.popleft()
            driver = self._drivers[me]
            effects = (*driver.take(event), *driver.save())
            leaving = driver.machine.sort(driver.process, effects)
            flying.extend((to, From(me, message)) for to, message in leaving.messages)
            self.reports.extend((me, report) for report in leaving.reports)

    @property
    def disks(self) -> list[tuple[R, ...]]:
        """What each server has saved."""
        return [it.process.disk for it in self._drivers.values()]


def test_a_driven_transaction_commits_everywhere() -> None:
    cluster = DrivenCluster(two_phase_commit(), THREE)
    cluster.take(S1, Commit())

    assert sorted(cluster.reports) == [(me, Decision(commit=True)) for me in (S1, S2, S3)]
    assert cluster.disks == [(Voted(yes=True), Decided(commit=True))] * 3


def test_a_refusal_aborts_it_everywhere() -> None:
    cluster = DrivenCluster(two_phase_commit(), THREE)
    cluster.take(S3, Refuse())
    cluster.take(S1, Commit())

    assert sorted(cluster.reports) == [(me, Decision(commit=False)) for me in (S1, S2, S3)]


def test_a_participant_that_restarts_in_doubt_asks() -> None:
    """Its first timer fires at once. The coordinator remembers, and the participant learns."""
    disks: list[list[Voted | Decided]] = [
        [Voted(yes=True), Decided(commit=True)],
        [Voted(yes=True)],
    ]
    cluster = DrivenCluster(two_phase_commit(), TWO, disks)

    assert cluster.reports == [(S2, Decision(commit=True))]
    assert cluster.disks == [(Voted(yes=True), Decided(commit=True))] * 2


def test_a_driven_log_commits_every_entry_and_keeps_each_on_every_disk() -> None:
    cluster = DrivenCluster(toy_log(), THREE)
    cluster.take(S1, Append(5))
    cluster.take(S1, Append(6))

    assert cluster.reports == [(S1, Entry(1, 5)), (S1, Entry(2, 6))]
    assert cluster.disks == [(Entry(1, 5), Entry(2, 6))] * 3


def test_a_compacted_log_goes_on_behind_its_total() -> None:
    disks: list[list[Entry | Total]] = [[Total(2, 11)], [Entry(1, 5), Entry(2, 6)]]
    cluster = DrivenCluster(toy_log(), TWO, disks)
    cluster.take(S2, Compact())
    cluster.take(S1, Append(7))

    assert cluster.reports == [(S1, Entry(3, 7))]
    assert cluster.disks == [(Total(2, 11), Entry(3, 7))] * 2


# --- under the explorer -------------------------------------------------------------------------


def sent_before_saved(
    receive: Callable[[S, From[M] | T | Q], tuple[S, Outbound[R, Effect[M, T, P]]]],
) -> Callable[[S, From[M] | T | Q], tuple[S, Outbound[R, Effect[M, T, P]]]]:
    """The same steps, with nothing ever saved."""

    def broken(state: S, event: From[M] | T | Q) -> tuple[S, Outbound[R, Effect[M, T, P]]]:
        after, outbound = receive(state, event)
        if type(outbound) is AfterSave:
            return after, Now(outbound.release(Saved((outbound.record,))))
        return after, outbound

    return broken


Transactions: TypeAlias = ClusterState[
    tpc.Server, tpc.Message, tpc.Impatience, tpc.Record, Decision
]
TransactionStep: TypeAlias = Choice[tpc.Request, tpc.Message, tpc.Impatience]
Logs: TypeAlias = ClusterState[log.Server, log.Message, log.Resend, log.Record, Entry]
LogStep: TypeAlias = Choice[log.Request, log.Message, log.Resend]


def transactions(
    machine: TwoPhaseCommit, crashes: int, timeouts: int, unsaved: int = 1
) -> Exploration[Transactions, TransactionStep]:
    def tells(decision: Decision) -> Callable[[Transactions], bool]:
        return lambda state: any(it.report == decision for it in state.reports)

    requests = (S1, Commit()), (S2, Refuse())
    return explore(
        ClusterSystem(machine, TWO, requests, crashes, timeouts, unsaved),
        always={"one outcome": lambda state: len({it.report for it in state.reports}) <= 1},
        sometimes={"commit": tells(Decision(commit=True)), "abort": tells(Decision(commit=False))},
    )


@pytest.mark.parametrize(("crashes", "timeouts"), [(0, 0), (1, 0), (0, 2), (1, 1), (2, 1)])
def test_all_runs_of_a_transaction_have_one_outcome(crashes: int, timeouts: int) -> None:
    found = transactions(two_phase_commit(), crashes, timeouts)

    assert (found.violation, found.exhausted, found.never) == (None, True, frozenset())


def test_a_timer_fires_once() -> None:
    """Both servers start with one; nothing is going on, so that none is set again."""
    system = ClusterSystem(two_phase_commit(), TWO, timeouts=2)
    (start,) = system.start()
    (_, once), (_, other) = system.steps(start)
    ((choice, twice),) = system.steps(once)

    assert (once.timers[0], once.timeouts) == (frozenset(), 1)
    assert (other.timers[1], other.timeouts) == (frozenset(), 1)
    assert (choice.server, twice.timeouts, list(system.steps(twice))) == (S2, 0, [])


def test_steps_can_wait_together() -> None:
    few, many = (transactions(two_phase_commit(), 1, 0, unsaved) for unsaved in (1, 2))

    assert few.violation is many.violation is None
    assert few.states < many.states


def test_a_decision_that_leaves_before_it_is_saved_is_caught() -> None:
    machine = two_phase_commit()
    broken = evolve(machine, receive=sent_before_saved(machine.receive))
    found = transactions(broken, crashes=1, timeouts=1)

    assert found.violation is not None
    assert found.violation.rule == "one outcome"
    assert found.violation.end.crashes == 0
    assert transactions(broken, crashes=0, timeouts=1).violation is None


def is_kept(state: Logs) -> bool:
    """Every committed entry stands on every disk, by itself or in a total."""
    return all(
        any(
            record == it.report or (isinstance(record, Total) and record.slot >= it.report.slot)
            for record in process.disk
        )
        for it in state.reports
        for process in state.processes
    )


def logs(machine: ToyLog, crashes: int) -> Exploration[Logs, LogStep]:
    requests = (S1, Append(1)), (S1, Append(2)), (S2, Compact())
    return explore(
        ClusterSystem(machine, TWO, requests, crashes),
        always={"committed entries are kept": is_kept},
        sometimes={"two are committed": lambda state: len(state.reports) == 2},
    )


@pytest.mark.parametrize("crashes", [0, 1])
def test_all_runs_of_a_log_keep_what_is_committed(crashes: int) -> None:
    found = logs(toy_log(), crashes)

    assert (found.violation, found.exhausted, found.never) == (None, True, frozenset())


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (lambda: transactions(two_phase_commit(), 0, 0), (58, 212)),
        (lambda: transactions(two_phase_commit(), 1, 1), (1_371, 6_652)),
        (lambda: logs(toy_log(), 0), (1_230, 7_613)),
        (lambda: logs(toy_log(), 1), (7_186, 48_068)),
    ],
    ids=["transaction", "transaction-crash", "log", "log-crash"],
)
def test_the_counts_are_those_of_the_page(
    found: Callable[[], Exploration[object, object]], counts: tuple[int, int]
) -> None:
    """docs/exploring.md says them: another count is another system."""
    seen = found()

    assert (seen.states, seen.transitions) == counts
    page = (Path(__file__).parents[2] / "docs" / "exploring.md").read_text(encoding="utf-8")
    states, transitions = (f"{it:,}" for it in counts)
    assert f"| {states} | {transitions} |" in page


def test_a_disk_with_one_record_of_each_type_loses_entries_and_is_caught() -> None:
    found = logs(evolve(toy_log(), fold=latest), crashes=0)

    assert found.violation is not None


# --- the law of fold ----------------------------------------------------------------------------


def starts_alike(machine: Machine[S, Q, M, T, R, P], records: Iterable[R]) -> bool:
    """Whether a start from the folded disk equals a start from all ``records``, in order."""
    written = tuple(records)
    nothing: tuple[R, ...] = ()
    folded = reduce(machine.fold, written, nothing)
    return machine.start(S1, TWO, folded) == machine.start(S1, TWO, written)


@given(st.lists(strategies.records(st.sampled_from(["red", "blue"]))))
def test_the_law_of_fold_for_one_decision(records: list[server.Record[str]]) -> None:
    paxos: Single[str] = single()

    assert starts_alike(paxos, records)


@given(st.lists(st.builds(Voted, st.booleans()) | st.builds(Decided, st.booleans())))
def test_the_law_of_fold_for_two_phase_commit(records: list[tpc.Record]) -> None:
    assert starts_alike(two_phase_commit(), records)


SLOTS = st.integers(1, 5)
LOG_RECORDS = st.lists(
    st.builds(Entry, SLOTS, st.integers(0, 9)) | st.builds(Total, SLOTS, st.integers(0, 9))
)


@given(LOG_RECORDS)
def test_the_law_of_fold_for_a_log(records: list[log.Record]) -> None:
    assert starts_alike(toy_log(), records)


def test_the_latest_of_each_type_is_not_a_fold_for_a_log() -> None:
    assert not starts_alike(evolve(toy_log(), fold=latest), [Entry(1, 5), Entry(2, 6)])


# --- under Host ---------------------------------------------------------------------------------

# --- under the simulator ------------------------------------------------------------------------

# --- recorded, replayed and drawn ---------------------------------------------------------------
