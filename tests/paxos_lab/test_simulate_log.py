"""The log, simulated: it keeps every rule, and a planted fault does not."""

from __future__ import annotations

import re

import pytest
from attrs import evolve

from paxos import AfterSave, From, Now, Saved, ServerId, To, majority
from paxos.log import (
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Prepare,
    Promise,
    Read,
    Readable,
    replica,
)
from paxos.log.events import Event
from paxos.log.replica import Replica, Step
from paxos.outbound import Tell
from paxos_adapters.log import LogReceive
from paxos_cli import simulate as simulate_command
from paxos_lab.rules import AGREEMENT, KEPT, LINEARIZABLE, REPORTED, SAVED
from paxos_lab.simulate.log import LogSetup
from paxos_lab.simulate.schedules import play
from paxos_lab.simulate.simulator import record, simulate
from paxos_lab.simulate.sweep import sweep
from tests.support.commands import call


@pytest.mark.parametrize(
    "setup",
    [LogSetup(), LogSetup(servers=5), LogSetup(servers=5, changes=True)],
    ids=["three", "five", "changes"],
)
def test_a_log_survives(setup: LogSetup) -> None:
    done = sweep(range(20), setup)
    assert done.failure is None
    assert done.values > 20 * 10
    assert done.reports > 20 * 10


def test_a_seed_is_a_run() -> None:
    assert simulate(3, LogSetup()) == simulate(3, LogSetup())
    assert simulate(3, LogSetup()).digest != simulate(4, LogSetup()).digest


def test_a_prepare_that_is_sent_again_waits_for_the_save_of_its_ballot() -> None:
    me = ServerId(1)
    state: Replica[str] = replica.start(me, majority(map(ServerId, (1, 2, 3))))
    state, _ = replica.receive(state, Lead())
    for peer in 2, 3:
        beat = Heartbeat(state.memory.promised, False, False, 1)
        state, _ = replica.receive(state, From(ServerId(peer), beat))
    _, outbound = replica.receive(state, HeartbeatTimer(0))
    assert type(outbound) is AfterSave
    freed = outbound.release(Saved((outbound.record,)))
    assert any(type(it) is To and type(it.message) is Prepare for it in freed)


# --- planted faults -------------------------------------------------------------------------------


def answers_before_the_save(state: Replica[str], event: Event[str]) -> Step[str]:
    """What must wait for a save leaves at once."""
    after, outbound = replica.receive(state, event)
    if type(outbound) is AfterSave and type(event) is From:
        return after, Now(outbound.release(Saved((outbound.record,))))
    return after, outbound


def forgets_promises(state: Replica[str], event: Event[str]) -> Step[str]:
    """A Prepare is answered, and the promise not kept."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        memory = evolve(after.memory, promised=state.memory.promised)
        return evolve(after, memory=memory), outbound
    return after, outbound


def takes_back_promises(state: Replica[str], event: Event[str]) -> Step[str]:
    """A lower Prepare is promised, too."""
    if type(event) is From and type(event.message) is Prepare:
        lower = min(state.memory.promised, event.message.ballot)
        state_ = evolve(state, memory=evolve(state.memory, promised=lower))
        after, outbound = replica.receive(state_, event)
        return after, outbound
    return replica.receive(state, event)


def hides_what_is_accepted(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader does not see what its promises found."""
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, evolve(event.message, accepted=(), is_last=True))
    return replica.receive(state, event)


def reads_without_a_quorum(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader answers a read at once."""
    after, outbound = replica.receive(state, event)
    if type(event) is Read:
        return state, Now((Tell(Readable(event.number, state.memory.first)),))
    return after, outbound


def believes_every_heartbeat(state: Replica[str], event: Event[str]) -> Step[str]:
    """The first slot of a heartbeat is believed under the ballot that is held, not its own."""
    if type(event) is From and type(event.message) is Heartbeat:
        held = next((it for it in state.memory.open if it is not None), None)
        if held is not None:
            event = From(event.sender, evolve(event.message, leads=True, ballot=held.ballot))
    return replica.receive(state, event)


def takes_a_piece_for_the_whole(state: Replica[str], event: Event[str]) -> Step[str]:
    """The first piece of a promise counts as the promise."""
    if type(event) is From and type(event.message) is Promise:
        event = From(event.sender, evolve(event.message, is_last=True))
    return replica.receive(state, event)


PLANTED: list[tuple[LogReceive[str], set[str]]] = [
    (answers_before_the_save, {SAVED}),
    (forgets_promises, {SAVED, AGREEMENT}),
    (takes_back_promises, {KEPT}),
    (hides_what_is_accepted, {AGREEMENT, REPORTED}),
    (reads_without_a_quorum, {LINEARIZABLE}),
    (takes_a_piece_for_the_whole, {AGREEMENT, REPORTED}),
    (believes_every_heartbeat, {REPORTED, AGREEMENT}),
]


@pytest.mark.parametrize(("receive", "rules"), PLANTED, ids=[it.__name__ for it, _ in PLANTED])
def test_a_planted_fault_is_found(receive: LogReceive[str], rules: set[str]) -> None:
    failure = sweep(range(300), LogSetup(receive=receive)).failure
    assert failure is not None
    assert failure.broken in rules


def test_a_recorded_run_can_be_played_again() -> None:
    setup = LogSetup(receive=reads_without_a_quorum)
    failure = sweep(range(300), setup).failure
    assert failure is not None
    _, acts = record(failure.seed, setup)
    assert play(setup, acts).broken == failure.broken


class TestCommand:
    """``paxos simulate --log``."""

    def test_a_sweep_says_how_much_was_chosen(self) -> None:
        ended = call("simulate", "--log", "--seeds", 20, "--jobs", 1, "--plain")

        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("log: servers 3, safety.\n20 runs, ")
        (count,) = re.findall(r"^(\d+) different entries were chosen", ended.stdout, re.MULTILINE)
        assert int(count) > 100
        assert ended.stdout.endswith("No run broke a rule.\n")

    def test_one_run_is_drawn_with_its_slots(self) -> None:
        ended = call("simulate", "--log", "--servers", 5, "--changes", "--seed", 2, "--plain")

        assert ended.returncode == 0
        assert ended.stdout.startswith("log: servers 5, members change, safety.\n")
        assert re.search(r"commits \d+: ", ended.stdout)
        assert "No rule was broken; " in ended.stdout

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--log", "--readers", 1], "--readers is for one decision"),
            (["--log", "--liveness"], "--liveness is for one decision"),
            (["--changes"], "--changes is for a log"),
        ],
        ids=str,
    )
    def test_what_does_not_fit(self, options: list[object], named: str) -> None:
        ended = call("simulate", *options, "--seeds", 1)

        assert ended.returncode == 2
        assert named in ended.stderr

    def test_a_broken_log_is_drawn_with_its_shortest_schedule(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_options: object) -> LogSetup:
            return LogSetup(receive=reads_without_a_quorum)

        monkeypatch.setattr(simulate_command, "_log_setup", broken)
        ended = call("simulate", "--log", "--seeds", 300, "--jobs", 1, "--plain")

        assert ended.returncode == 1
        assert "Again: paxos simulate --log --servers 3 --seed " in ended.stdout
        assert f"Broken: {LINEARIZABLE}, by " in ended.stdout
        assert "begins read" in ended.stdout
