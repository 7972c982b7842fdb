"""The log, simulated: it keeps every rule, and a planted fault does not."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
from attrs import evolve

from paxos import AfterSave, From, Now, Saved, ServerId, To, majority
from paxos.log import (
    Accepted,
    CampaignTimer,
    CatchUp,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    NotLeading,
    Prepare,
    Promise,
    Read,
    Readable,
    SnapshotInstalled,
    election,
    replica,
)
from paxos.log.events import Event
from paxos.log.progress import said
from paxos.log.replica import Replica, Step
from paxos.outbound import NO_MESSAGES, Tell
from paxos_adapters.log import LogReceive
from paxos_cli import simulate as simulate_command
from paxos_lab.rules import (
    AGREEMENT,
    FINISHED,
    KEPT,
    LINEARIZABLE,
    REPORTED,
    SAVED,
    UNDISTURBED,
)
from paxos_lab.simulate.log import LogSetup
from paxos_lab.simulate.networks import (
    FIVE,
    PARTIAL,
    THREE,
    Network,
    chained,
    constrained,
    quorum_loss,
)
from paxos_lab.simulate.schedules import play
from paxos_lab.simulate.setup import LIVENESS, SetupError
from paxos_lab.simulate.simulator import record, simulate
from paxos_lab.simulate.sweep import sweep
from tests.support.commands import call

PLACEMENTS = [
    *map(quorum_loss, FIVE),
    *(constrained(*pair) for pair in permutations(FIVE, 2)),
    *map(chained, THREE),
]


@pytest.mark.parametrize(
    "setup",
    [
        LogSetup(),
        LogSetup(servers=5),
        LogSetup(servers=5, changes=True),
        LogSetup(servers=5, changes=True, snapshots=True),
        LogSetup(servers=5, changes=True, newcomers=2, snapshots=True),
    ],
    ids=["three", "five", "changes", "snapshots", "newcomers"],
)
def test_a_log_survives(setup: LogSetup) -> None:
    done = sweep(range(20), setup)
    assert done.failure is None
    assert done.values > 20 * 10
    assert done.reports > 20 * 10


def test_newcomers_become_members_and_changes_are_finished() -> None:
    voted: set[ServerId] = set()

    def watching(state: Replica[str], event: Event[str]) -> Step[str]:
        if type(event) is From and type(event.message) is Accepted:
            voted.add(event.sender)
        return replica.receive(state, event)

    setup = LogSetup(servers=5, changes=True, newcomers=2, snapshots=True, receive=watching)
    done = sweep(range(20), setup)
    assert done.failure is None
    assert setup.quorum.members == {1, 2, 3}
    assert voted > setup.quorum.members
    assert done.slots >= done.values > done.changes >= done.finished > 0


def test_a_seed_is_a_run() -> None:
    assert simulate(3, LogSetup()) == simulate(3, LogSetup())
    assert simulate(3, LogSetup()).digest != simulate(4, LogSetup()).digest


def test_snapshots_are_installed_and_come_too_late() -> None:
    counts = {True: 0, False: 0}

    def counting(state: Replica[str], event: Event[str]) -> Step[str]:
        if type(event) is SnapshotInstalled:
            counts[event.first > state.memory.first] += 1
        return replica.receive(state, event)

    assert sweep(range(20), LogSetup(snapshots=True, receive=counting)).failure is None
    assert min(counts.values()) > 10


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


def keeps_what_a_snapshot_stands_for(state: Replica[str], event: Event[str]) -> Step[str]:
    """What was never checked stays in the store below a snapshot, and is sent to others later."""
    after, outbound = replica.receive(state, event)
    if type(event) is SnapshotInstalled and type(outbound) is AfterSave:
        record = outbound.record
        return after, AfterSave(evolve(record, floor=1), outbound.release(Saved((record,))))
    return after, outbound


PLANTED: list[tuple[LogReceive[str], int, set[str]]] = [
    (answers_before_the_save, 3, {SAVED}),
    (forgets_promises, 3, {SAVED, AGREEMENT}),
    (takes_back_promises, 3, {KEPT}),
    (hides_what_is_accepted, 3, {AGREEMENT, REPORTED}),
    (reads_without_a_quorum, 3, {LINEARIZABLE}),
    (takes_a_piece_for_the_whole, 3, {AGREEMENT, REPORTED}),
    (believes_every_heartbeat, 3, {REPORTED, AGREEMENT}),
    (keeps_what_a_snapshot_stands_for, 5, {REPORTED, UNDISTURBED}),
]


@pytest.mark.parametrize(
    ("receive", "servers", "rules"), PLANTED, ids=[it.__name__ for it, *_ in PLANTED]
)
def test_a_planted_fault_is_found(receive: LogReceive[str], servers: int, rules: set[str]) -> None:
    setup = LogSetup(servers=servers, receive=receive, snapshots=True)
    failure = sweep(range(300), setup).failure
    assert failure is not None
    assert failure.broken in rules


def counts_all_for_holders(state: Replica[str], event: Event[str]) -> Step[str]:
    """What is chosen here is said to be held by every member."""
    after, outbound = replica.receive(state, event)
    holds = tuple((it, after.memory.first) for it in sorted(replica.members(after)))
    return evolve(after, progress=holds), outbound


def counts_itself_before_its_save(state: Replica[str], event: Event[str]) -> Step[str]:
    """A replica says that it holds what it has not saved."""
    after, outbound = replica.receive(state, event)
    return evolve(after, progress=said(after.progress, after.me, after.memory.first)), outbound


@pytest.mark.parametrize("receive", [counts_all_for_holders, counts_itself_before_its_save])
def test_a_change_that_is_finished_too_early_is_found(receive: LogReceive[str]) -> None:
    setup = LogSetup(servers=5, changes=True, newcomers=2, snapshots=True, receive=receive)
    failure = sweep(range(100), setup).failure
    assert failure is not None
    assert failure.broken == FINISHED


# --- liveness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("servers", [3, 5])
@pytest.mark.parametrize("snapshots", [False, True])
def test_a_log_goes_on_once_the_faults_have_ended(servers: int, snapshots: bool) -> None:
    done = sweep(range(10), LogSetup(servers=servers, snapshots=snapshots, liveness=True))
    assert done.failure is None
    assert done.longest_ticks > LogSetup().faulty_ticks


@pytest.mark.parametrize("network", PARTIAL.values(), ids=PARTIAL)
def test_all_that_reach_a_quorum_go_on_although_links_are_gone(network: Network) -> None:
    servers = len(network.servers)
    setup = LogSetup(servers=servers, network=network, liveness=True)
    assert sweep(range(15), setup).failure is None


@pytest.mark.slow
@pytest.mark.parametrize("network", PLACEMENTS, ids=lambda it: it.summary)
def test_the_placement_of_the_links_does_not_matter(network: Network) -> None:
    servers = len(network.servers)
    setup = LogSetup(servers=servers, network=network, liveness=True)
    assert sweep(range(100), setup).failure is None


def never_campaigns(state: Replica[str], event: Event[str]) -> Step[str]:
    """No server asks for the lead of its own accord."""
    return (state, NO_MESSAGES) if type(event) is CampaignTimer else replica.receive(state, event)


def never_catches_up(state: Replica[str], event: Event[str]) -> Step[str]:
    """What was missed is missed."""
    if type(event) is From and type(event.message) is CatchUp:
        return state, NO_MESSAGES
    return replica.receive(state, event)


def names_itself(state: Replica[str], event: Event[str]) -> Step[str]:
    """A server that refuses names no other one."""
    try:
        return replica.receive(state, event)
    except NotLeading:
        raise NotLeading(state.me, state.me) from None


def disturbs_a_new_leader(state: Replica[str], event: Event[str]) -> Step[str]:
    """A Prepare says that its sender is out of contact, not that it is about to lead."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        ballot = event.message.ballot
        hint = election.heard(state.election, event.sender, ballot, in_contact=False)
        return evolve(after, election=hint), outbound
    return after, outbound


@pytest.mark.parametrize(
    "receive", [never_campaigns, never_catches_up, names_itself, disturbs_a_new_leader]
)
def test_a_fault_that_keeps_a_log_from_going_on_is_found(receive: LogReceive[str]) -> None:
    failure = sweep(range(30), LogSetup(receive=receive, liveness=True)).failure
    assert failure is not None
    assert failure.broken == LIVENESS


def test_members_that_change_need_not_be_answered() -> None:
    with pytest.raises(SetupError, match="a log whose members change"):
        LogSetup(changes=True, liveness=True)


def test_a_newcomer_needs_a_founder_and_a_change() -> None:
    with pytest.raises(SetupError, match="a newcomer needs changes"):
        LogSetup(newcomers=1)
    with pytest.raises(SetupError, match="3 newcomers among 3 servers"):
        LogSetup(changes=True, newcomers=3)


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("receive", "servers"), [(reads_without_a_quorum, 3), (keeps_what_a_snapshot_stands_for, 5)]
)
def test_a_recorded_run_can_be_played_again(receive: LogReceive[str], servers: int) -> None:
    setup = LogSetup(servers=servers, receive=receive, snapshots=True)
    failure = sweep(range(300), setup).failure
    assert failure is not None
    _, acts = record(failure.seed, setup)
    played = play(setup, acts)
    assert (played.acts, played.broken) == (acts, failure.broken)


class TestCommand:
    """``paxos simulate --log``."""

    def test_a_sweep_says_how_much_was_chosen(self) -> None:
        ended = call("simulate", "--log", "--seeds", 20, "--jobs", 1, "--plain")

        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("log: servers 3, safety.\n20 runs, ")
        (count,) = re.findall(r"^(\d+) different entries were chosen", ended.stdout, re.MULTILINE)
        assert int(count) > 100
        assert ended.stdout.endswith("No run broke a rule.\n")

    def test_a_sweep_with_newcomers_says_how_often_members_changed(self) -> None:
        options = "--servers", 5, "--changes", "--newcomers", 2, "--snapshots"
        ended = call("simulate", "--log", *options, "--seeds", 20, "--jobs", 1, "--plain")

        assert ended.returncode == 0
        assert ended.stdout.startswith(
            "log: servers 5, members change, newcomers 2, snapshots, safety.\n"
        )
        words = r"chosen in (\d+) slots, (\d+) times a change of members, finished (\d+) times; "
        (slots, changes, finished), *_ = re.findall(words, ended.stdout)
        assert int(slots) > int(changes) >= int(finished) > 0

    def test_the_end_of_the_faults_and_the_links_that_stay(self) -> None:
        options = "--liveness", "--network", "chained", "--snapshots"
        ended = call("simulate", "--log", *options, "--seeds", 5, "--jobs", 1, "--plain")

        assert ended.returncode == 0
        assert ended.stdout.startswith(
            "log: servers 3, snapshots, liveness. Network chained: the ends of a line"
        )
        assert "within 4,000 ticks after the last fault" in ended.stdout

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
            (["--log", "--liveness", "--changes"], "a log whose members change"),
            (["--log", "--network", "chained", "--servers", 5], "these must be the same"),
            (["--changes"], "--changes is for a log"),
            (["--newcomers", 1], "--newcomers is for a log"),
            (["--log", "--newcomers", 1], "a newcomer needs changes"),
            (["--snapshots"], "--snapshots is for a log"),
        ],
        ids=str,
    )
    def test_what_does_not_fit(self, options: list[object], named: str) -> None:
        ended = call("simulate", *options, "--seeds", 1)

        assert ended.returncode == 2
        assert named in ended.stderr

    def test_a_log_that_does_not_go_on_is_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_options: object) -> LogSetup:
            return LogSetup(receive=never_campaigns, liveness=True)

        monkeypatch.setattr(simulate_command, "_log_setup", broken)
        ended = call("simulate", "--log", "--seeds", 30, "--jobs", 1, "--plain")

        assert ended.returncode == 1
        assert "Again: paxos simulate --log --servers 3 --liveness --seed " in ended.stdout
        assert ended.stdout.endswith("after the last fault, or lags behind another.\n")

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
