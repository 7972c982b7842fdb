"""What drives Paxos drives other machines: a two-phase commit, and a log with a record a slot.

Neither knows anything of Paxos, and no driver knows anything of them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Generic, TypeAlias

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from paxos import AfterSave, From, Now, Outbound, QuorumSystem, Saved, ServerId, majority, server
from paxos_adapters.codecs import TEXT
from paxos_adapters.coding import Coder, CodingError, Json, dumped
from paxos_adapters.driving import Driver
from paxos_adapters.host import Host
from paxos_adapters.machine import Effect, M, Machine, P, Q, R, S, T, latest
from paxos_adapters.memory import MemoryStore, MemoryTransport, Network
from paxos_adapters.ports import Observer, Place, Ports
from paxos_adapters.single import Single, single
from paxos_lab.explore.cluster import Choice, ClusterState, ClusterSystem, drive
from paxos_lab.explore.search import Exploration, explore
from paxos_lab.record import (
    MAX_BYTES,
    About,
    Known,
    MachineRecorder,
    MachineReplay,
    RecordingError,
    replay_machine,
)
from paxos_lab.record.recorder import MIN_BYTES, older
from paxos_testing import strategies
from tests.support import toy_log as log
from tests.support import two_phase_commit as tpc
from tests.support.recordings import Lines, forge
from tests.support.toy_log import Append, Compact, Entry, Resend, Stored, Total, ToyLog, toy_log
from tests.support.two_phase_commit import (
    CanCommit,
    Commit,
    Decided,
    Decision,
    Impatience,
    Refuse,
    TwoPhaseCommit,
    Vote,
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
        pytest.param(lambda: logs(toy_log(), 1), (7_186, 48_068), marks=pytest.mark.slow),
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


@frozen
class NotedTimer(Generic[T]):
    """Notes the timers of ``me``; they fire when a test says so."""

    me: ServerId
    noted: list[tuple[ServerId, T]]

    def set_timer(self, timer: T, delay_s: float) -> None:  # noqa: ARG002
        """Note it."""
        self.noted.append((self.me, timer))


class HostedCluster(Generic[S, Q, M, T, R, P]):
    """Hosts of one machine, on a network and stores in memory."""

    def __init__(
        self,
        machine: Machine[S, Q, M, T, R, P],
        quorum: QuorumSystem,
        observer: Observer[S, Q, M, T, R, P] | None = None,
    ) -> None:
        self.reports: list[tuple[ServerId, P]] = []
        self.hosts: dict[ServerId, Host[S, Q, M, T, R, P]] = {}
        self._of = machine, quorum, observer
        self._network: Network[M] = Network()
        self._stores = {me: MemoryStore[R](machine.fold) for me in quorum.members}
        self._timers: list[tuple[ServerId, T]] = []
        for me in sorted(quorum.members):
            self.start(me)

    def start(self, me: ServerId) -> None:
        """Start ``me``, again if it is up, from what its store holds."""
        machine, quorum, observer = self._of
        self._timers[:] = [it for it in self._timers if it[0] != me]
        timer = NotedTimer(me, self._timers)
        ports = Ports(MemoryTransport(me, self._network), timer, self._stores[me])
        self.hosts[me] = Host(machine, me, quorum, ports, observer=observer)

    def take(self, me: ServerId, event: From[M] | T | Q) -> None:
        """``me`` takes an event, and all messages that follow are delivered."""
        self._tell(me, event)
        self.deliver()

    def deliver(self) -> None:
        """Deliver every message, and those that follow."""
        while self._network.queue:
            sender, receiver, message = self._network.queue.popleft()
            self._tell(receiver, From(sender, message))

    def lose(self) -> None:
        """All messages in flight are lost."""
        self._network.queue.clear()

    def fire(self) -> None:
        """All timers fire that are set by now."""
        due = list(self._timers)
        self._timers.clear()
        for me, timer in due:
            self.take(me, timer)

    def _tell(self, me: ServerId, event: From[M] | T | Q) -> None:
        self.reports.extend((me, it) for it in self.hosts[me].receive(event))

    def durable(self, me: ServerId) -> tuple[R, ...]:
        """What the store of ``me`` holds."""
        return self._stores[me].load().records


def test_a_hosted_participant_in_doubt_asks_until_it_knows() -> None:
    cluster = HostedCluster(two_phase_commit(), TWO)
    for event in Commit(), From(S1, CanCommit()), From(S1, Vote(yes=True)):
        cluster.hosts[S1].receive(event)
    cluster.hosts[S2].receive(From(S1, CanCommit()))
    cluster.lose()
    cluster.start(S2)
    cluster.take(S1, From(S2, Vote(yes=True)))
    cluster.lose()
    cluster.fire()

    assert cluster.reports == [(S1, Decision(commit=True)), (S2, Decision(commit=True))]
    assert cluster.durable(S2) == (Voted(yes=True), Decided(commit=True))


def test_a_hosted_log_copies_again_what_was_lost_and_starts_again_from_its_store() -> None:
    cluster = HostedCluster(toy_log(), TWO)
    cluster.hosts[S1].receive(Append(5))
    cluster.lose()
    cluster.fire()
    cluster.take(S2, Compact())
    cluster.start(S2)
    cluster.take(S1, Append(6))

    assert cluster.reports == [(S1, Entry(1, 5)), (S1, Entry(2, 6))]
    assert cluster.durable(S2) == (Total(1, 5), Entry(2, 6))
    assert cluster.hosts[S2].state.compacted == Total(1, 5)


# --- recorded and replayed ----------------------------------------------------------------------


def through_json(coded: Json) -> object:
    return json.loads(dumped(coded))


@given(st.lists(st.builds(Voted, st.booleans()) | st.builds(Decided, st.booleans())))
def test_a_transaction_is_coded_by_its_types(records: list[tpc.Record]) -> None:
    coder = Coder(tpc.KINDS, TEXT)
    state = two_phase_commit().start(S1, TWO, records)
    asked = evolve(state, votes=frozenset({S2}))

    for it in state, asked:
        assert coder.state(through_json(coder.encode(it))) == it
    assert [coder.record(through_json(coder.encode(it))) for it in records] == records
    for event in Commit(), Impatience(), From(S2, Vote(yes=True)), From(S1, CanCommit()):
        assert coder.event(through_json(coder.encode(event))) == event


@given(LOG_RECORDS)
def test_a_log_is_coded_by_its_types(records: list[log.Record]) -> None:
    coder = Coder(log.KINDS, TEXT)
    state = evolve(toy_log().start(S1, TWO, records), stored=frozenset({(1, S2), (2, S1)}))

    assert coder.state(through_json(coder.encode(state))) == state
    assert [coder.record(through_json(coder.encode(it))) for it in records] == records
    for event in Append(3), Compact(), Resend(2), From(S2, Stored(1)), From(S1, Entry(1, 2)):
        assert coder.event(through_json(coder.encode(event))) == event


def test_a_class_of_another_machine_is_not_coded() -> None:
    coder = Coder(log.KINDS, TEXT)

    with pytest.raises(CodingError):
        coder.encode(Voted(yes=True))
    with pytest.raises(CodingError):
        coder.event(["From", 1, ["Vote", True]])


def replayed(
    machine: Machine[S, Q, M, T, R, P],
    coder: Coder[S, From[M] | T | Q, R],
    path: Path,
    run: Callable[[MachineRecorder[S, From[M] | T | Q, R]], object],
    max_bytes: int = MAX_BYTES,
) -> MachineReplay[S, Q, M, T, R, P]:
    """The replay of what ``run`` records."""
    about = About("a test", machine.name)
    recorder: MachineRecorder[S, From[M] | T | Q, R] = MachineRecorder(
        path, coder, about, max_bytes=max_bytes
    )
    with recorder:
        run(recorder)
    assert recorder.failure is None
    return replay_machine({machine.name: machine}, coder, path)


TransactionRecorder: TypeAlias = MachineRecorder[
    tpc.Server, From[tpc.Message] | tpc.Impatience | tpc.Request, tpc.Record
]
LogRecorder: TypeAlias = MachineRecorder[
    log.Server, From[log.Message] | log.Resend | log.Request, log.Record
]


def test_a_hosted_transaction_is_replayed(tmp_path: Path) -> None:
    states: dict[tuple[ServerId, str], tpc.Server] = {}

    def run(recorder: TransactionRecorder) -> None:
        cluster = HostedCluster(two_phase_commit(), THREE, recorder)
        cluster.take(S3, Refuse())
        cluster.take(S1, Commit())
        cluster.start(S2)
        cluster.fire()
        states.update(((me, ""), host.state) for me, host in cluster.hosts.items())

    coder = Coder(tpc.KINDS, TEXT)
    found = replayed(two_phase_commit(), coder, tmp_path / "run.jsonl", run)

    assert found.difference is None
    assert found.other_core == ()
    assert found.headers[0].protocol == "two-phase-commit"
    assert found.states == states
    assert found.disks[S2, ""] == (Voted(yes=True), Decided(commit=False))
    reports = [(step.me, it) for step in found.steps for it in step.reports]
    assert sorted(reports) == [(me, Decision(commit=False)) for me in (S1, S2, S3)]


def append_and_compact(recorder: LogRecorder) -> None:
    cluster = HostedCluster(toy_log(), TWO, recorder)
    for number in range(40):
        cluster.take(S1, Append(number))
    cluster.take(S2, Compact())


@pytest.mark.parametrize("max_bytes", [MAX_BYTES, MIN_BYTES])
def test_a_hosted_log_is_replayed_also_from_its_last_file_alone(
    max_bytes: int, tmp_path: Path
) -> None:
    """A file that is full is followed by another, which begins with states, disks and waits."""
    path = tmp_path / "run.jsonl"
    coder = Coder(log.KINDS, TEXT)
    found = replayed(toy_log(), coder, path, append_and_compact, max_bytes)

    older(path, 1).unlink(missing_ok=True)
    again = replay_machine({"toy-log": toy_log()}, coder, path)

    assert found.difference is again.difference is None
    for place, state in again.states.items():
        assert (found.states[place], found.disks[place]) == (state, again.disks[place])
    is_split = max_bytes < MAX_BYTES
    assert isinstance(again.steps[0].entry.what, Known) == is_split
    assert (len(again.steps) < len(found.steps)) == is_split
    assert found.disks[S2, ""] == (Total(40, sum(range(40))),)
    assert len(found.disks[S1, ""]) == 40


def test_an_explored_run_of_any_machine_is_recorded_and_replayed(tmp_path: Path) -> None:
    """Two-phase commit without its saves, to the end that breaks the rule."""
    machine = two_phase_commit()
    broken = evolve(machine, receive=sent_before_saved(machine.receive))
    violation = transactions(broken, crashes=1, timeouts=1).violation
    assert violation is not None
    system = ClusterSystem(broken, TWO, ((S1, Commit()), (S2, Refuse())), 1, 1)

    def run(recorder: TransactionRecorder) -> None:
        drive(system, [choice for choice, _ in violation.run], recorder)

    found = replayed(broken, Coder(tpc.KINDS, TEXT), tmp_path / "run.jsonl", run)

    assert found.difference is None
    assert {it for step in found.steps for it in step.reports} == {
        Decision(commit=True),
        Decision(commit=False),
    }


def test_an_altered_entry_of_any_machine_is_found(tmp_path: Path) -> None:
    coder, path = Coder(log.KINDS, TEXT), tmp_path / "run.jsonl"
    replayed(toy_log(), coder, path, append_and_compact)

    def alter(lines: Lines) -> None:
        entry = next(it for it in lines if it.get("took") == ["Append", 3])
        entry["took"] = ["Append", 4]

    forge(path, alter)
    found = replay_machine({"toy-log": toy_log()}, coder, path)

    assert found.difference is not None
    assert found.difference.expected.startswith("entries ")


def test_a_machine_that_is_not_known_is_told(tmp_path: Path) -> None:
    coder, path = Coder(log.KINDS, TEXT), tmp_path / "run.jsonl"
    replayed(toy_log(), coder, path, append_and_compact)

    with pytest.raises(RecordingError, match="'toy-log'"):
        replay_machine({"another": toy_log()}, coder, path)
