"""The explorer of any machine, on the machine of one decision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import evolve

from paxos import Done, Message, Propose, ServerId, majority, server
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.arguments import BadNumber
from paxos_adapters.codecs import TEXT
from paxos_adapters.single import Single, single
from paxos_lab.explore.cluster import Choice, ClusterState, ClusterSystem, drive
from paxos_lab.explore.search import Exploration, explore
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.record import Ended, Recorder, replay

S1, S2 = map(ServerId, (1, 2))
TWO = majority([S1, S2])
ACCEPT_EVERYTHING = LECTURE[1].receive

State: TypeAlias = ClusterState[
    server.Server[str], Message[str], ServerTimer, server.Record[str], server.Report[str]
]
Step: TypeAlias = Choice[ClientRequest[str], Message[str], ServerTimer]
System: TypeAlias = ClusterSystem[
    server.Server[str],
    ClientRequest[str],
    Message[str],
    ServerTimer,
    server.Record[str],
    server.Report[str],
]


def cluster(
    receive: Callable[[server.Server[str], server.Event[str]], server.Step[str]] = server.receive,
    values: tuple[str, ...] = ("red",),
    *,
    crashes: int = 0,
    timeouts: int = 0,
    unsaved: int = 1,
) -> System:
    paxos: Single[str] = single()
    requests = tuple((me, Propose(value)) for me, value in zip((S1, S2), values, strict=False))
    return ClusterSystem(evolve(paxos, receive=receive), TWO, requests, crashes, timeouts, unsaved)


def done(state: State) -> set[str]:
    """The values that some program was told."""
    return {it.report.value for it in state.reports if isinstance(it.report, Done)}


def agree(state: State) -> bool:
    return len(done(state)) <= 1


def searched(system: System) -> Exploration[State, Step]:
    return explore(
        system,
        always={"agreement": agree, "undisturbed": lambda state: state.failed is None},
        sometimes={"told": lambda state: bool(done(state))},
    )


@pytest.mark.parametrize(
    ("crashes", "timeouts", "unsaved"), [(0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 3)]
)
def test_one_decision_in_all_runs(crashes: int, timeouts: int, unsaved: int) -> None:
    found = searched(cluster(crashes=crashes, timeouts=timeouts, unsaved=unsaved))

    assert (found.violation, found.exhausted, found.never) == (None, True, frozenset())


def test_rivals_of_a_protocol_without_promises_decide_two_values() -> None:
    found = searched(cluster(ACCEPT_EVERYTHING, ("red", "blue")))

    assert found.violation is not None
    assert found.violation.rule == "agreement"
    assert done(found.violation.end) == {"red", "blue"}


def test_a_server_that_finds_the_protocol_broken_ends_the_run() -> None:
    system = cluster(ACCEPT_EVERYTHING, ("red", "blue"))
    found = explore(system, always={"undisturbed": lambda state: state.failed is None})

    assert found.violation is not None
    assert "two values are chosen" in str(found.violation.end.failed)
    assert list(system.steps(found.violation.end)) == []


def test_a_request_is_made_once_and_a_refused_one_not_at_all() -> None:
    """A server at work is busy: it refuses what its program asks for then."""
    paxos: Single[str] = single()
    system = ClusterSystem(paxos, TWO, ((S1, Propose("red")), (S1, Propose("blue"))))
    (start,) = system.start()
    ((choice, after), _) = system.steps(start)

    assert choice.event == Propose("red")
    assert after.requests == (1,)
    (_, saved), *others = system.steps(after)
    assert others == []
    assert Propose("blue") not in [it.event for it, _ in system.steps(saved)]


def test_a_timer_dies_with_its_process() -> None:
    system = cluster(crashes=1, timeouts=1)
    timed: list[State] = []

    def look(state: State) -> bool:
        timed.append(state)
        return True

    explore(system, always={"": look})
    held = next(it for it in timed if it.timers[0])
    crashed = next(after for choice, after in system.steps(held) if choice.crashes)
    assert (crashed.timers[0], crashed.crashes) == (frozenset(), 0)


def test_a_crash_leaves_none_or_some_of_what_waits() -> None:
    system = cluster(crashes=1)
    (start,) = system.start()
    _, waiting = next(iter(system.steps(start)))
    disks = {
        choice.durable: after.processes[0].disk
        for choice, after in system.steps(waiting)
        if choice.server == S1 and choice.crashes
    }

    assert {durable: len(disk) for durable, disk in disks.items()} == {0: 0, 1: 1}


def test_a_disk_from_which_no_server_starts_ends_the_run() -> None:
    """Acceptors that accept above their promise save what a start refuses."""
    found = explore(
        cluster(ACCEPT_EVERYTHING, crashes=1), always={"starts": lambda it: it.failed is None}
    )

    assert found.violation is not None
    assert "was accepted above the promise" in str(found.violation.end.failed)


def not_told_after_a_crash(state: State) -> bool:
    return state.crashes == 1 or not done(state)


def not_saved_and_unsent(state: State) -> bool:
    return bool(state.sent) or not state.processes[0].disk


@pytest.mark.parametrize("rule", [not_told_after_a_crash, not_saved_and_unsent])
def test_a_run_that_is_driven_again_is_recorded(
    rule: Callable[[State], bool], tmp_path: Path
) -> None:
    system, path = cluster(crashes=1), tmp_path / "run.jsonl"
    found = explore(system, always={"": rule})
    assert found.violation is not None
    run = [choice for choice, _ in found.violation.run]

    with Recorder(path, codec=TEXT, runtime="exploration") as recorder:
        drivers = drive(system, run, recorder)
    again = replay(path)

    assert again.difference is None
    assert [it.entry.what for it in again.steps if isinstance(it.entry.what, Ended)] == [
        Ended("crashes", it.durable) for it in run if it.crashes
    ]
    assert tuple(it.process for it in drivers) == found.violation.end.processes
    for it in drivers:
        place = it.place.server, ""
        assert again.states[place] == it.process.state
        assert again.disks[place] == it.process.disk


def test_a_part_of_a_save_frees_a_part() -> None:
    system = cluster(values=("red", "blue"), unsaved=2)
    waiting: list[State] = []

    def look(state: State) -> bool:
        """Whether to go on: until two steps wait for different records."""
        waiting.extend([state] if len(state.processes[0].unsaved) == 2 else [])
        return not waiting

    explore(system, always={"": look})
    saves = [
        (choice, after)
        for choice, after in system.steps(waiting[0])
        if choice.event is None and choice.server == S1
    ]

    assert [choice.durable for choice, _ in saves] == [1, 2]
    (_, first), (_, both) = saves
    assert len(first.processes[0].waiting) == 1
    assert waiting[0].sent < first.sent < both.sent


def test_what_waits_has_sent_nothing() -> None:
    system = cluster()
    (start,) = system.start()
    (_, waiting), *_ = system.steps(start)

    assert waiting.processes[0].waiting
    assert waiting.sent == frozenset()


@pytest.mark.parametrize(("crashes", "timeouts", "unsaved"), [(-1, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_bounds_that_cannot_be(crashes: int, timeouts: int, unsaved: int) -> None:
    with pytest.raises(BadNumber):
        cluster(crashes=crashes, timeouts=timeouts, unsaved=unsaved)
