"""Stories: lanes, moments, arrows and the moment of choice, of runs that are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from paxos import Accept, Acceptor, From, Nack, Prepare, Proposal, ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.memory import Cluster
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import counterexample
from paxos_lab.explore.recorded import write
from paxos_lab.explore.scopes import Scope
from paxos_lab.lecture import SCENARIOS, Stage
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.machines.single_view import say
from paxos_lab.observers import Observers
from paxos_lab.record import (
    Arrow,
    Kind,
    Recorder,
    RecordingError,
    SingleTrace,
    Timeline,
    Trace,
    replay,
    single_timeline,
)
from tests.support import S1, S2, S3, S4, S5, THREE, ballot
from tests.support.recordings import driven


def recorder(folder: Path) -> Recorder[str]:
    return Recorder(folder / "run", codec=TEXT, runtime="test")


def of_scenario(name: str, folder: Path) -> Timeline:
    with recorder(folder) as recording:
        scenario = SCENARIOS[name]
        scenario.schedule(scenario.stage(recording))
    return single_timeline(replay(folder / "run"))


def test_the_lectures_example_c(tmp_path: Path) -> None:
    """S3, S4 and S5 refuse 3.1; Y is chosen as soon as the last of them has accepted it."""
    told = of_scenario("not-chosen-unseen", tmp_path)

    assert told.lanes == {S1: "S1", S2: "S2", S3: "S3", S4: "S4", S5: "S5"}
    first, again = told.decided
    assert (first.choice.chosen.value, first.choice.chosen.ballot) == ("Y", ballot("4.5"))
    assert first.choice.voters == {S3, S4, S5}
    assert again.choice.chosen.ballot == ballot("5.1")
    moment = told.moments[first.step - 1]
    assert (moment.lane, moment.kind, moment.text) == (S5, Kind.RECEIVES, "receives Accept 4.5 Y")
    assert moment.look is not None
    assert moment.look.accepted == Proposal(ballot("4.5"), "Y")
    assert moment.look.knows is None  # chosen, and nobody knows it yet
    refusals = [arrow for arrow in told.arrows if isinstance(arrow.message, Nack)]
    assert [(it.sender, it.receiver) for it in refusals] == [(S3, S1), (S4, S1), (S5, S1)]
    assert [it.text for it in refusals] == ["Nack 3.1, 4.5 is promised"] * 3


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_and_its_replay_have_the_same_timeline(name: str, tmp_path: Path) -> None:
    """But for the notes of a schedule, which follow from nothing that a recording holds."""
    scenario = SCENARIOS[name]
    protocol = scenario.protocol
    with Recorder(tmp_path / "run", codec=TEXT, runtime="test", protocol=protocol.name) as it:
        stage = scenario.stage(it)
        scenario.schedule(stage)

    told = single_timeline(stage.trace)
    again = single_timeline(replay(tmp_path / "run", protocols={protocol.name: protocol}))

    if all(it.kind is not Kind.IS_NOTED for it in told.moments):
        assert told == again
    assert [it.text for it in told.arrows] == [it.text for it in again.arrows]
    assert [it.choice for it in told.decided] == [it.choice for it in again.decided]


def test_a_run_with_saves_and_a_crash_has_the_timeline_of_its_replay(tmp_path: Path) -> None:
    trace: SingleTrace[str] = Trace()
    with recorder(tmp_path) as recording:
        cluster = Cluster[str](3, observer=Observers((trace, recording)))
        cluster.propose(S1, "red")
        cluster.propose(S3, "blue")
        for _ in range(7):
            cluster.step()
        cluster.crash(S2)
        cluster.run()

    told, again = single_timeline(trace), single_timeline(replay(tmp_path / "run"))

    rounded = tuple(evolve(it, at_s=round(it.at_s, 6)) for it in told.moments)
    assert evolve(told, moments=rounded) == again
    assert told.last[S2].look is None
    assert told.last[S2].disk.promised.round == 1  # A server that is down shows what it has saved.


def test_a_read_is_told(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        cluster = Cluster[str](3, observer=recording)
        cluster.read(S1)
        cluster.run()
    told = single_timeline(replay(tmp_path / "run"))

    (reads,) = (it for it in told.moments if it.kind is Kind.IS_ASKED)
    assert (reads.lane, reads.text) == (S1, "reads what is chosen")
    ends = [it.text for it in told.moments if "knows" in it.text]
    assert ends == [
        "receives Answer 1/0, nothing accepted, knows that nothing was chosen when it began to read"
    ]


def test_steps_are_moments_and_time_runs_on(tmp_path: Path) -> None:
    told = of_scenario("who-knows", tmp_path)

    assert [it.step for it in told.moments] == list(range(1, len(told.moments) + 1))
    for arrow in told.arrows:
        assert arrow.left is not None
        assert arrow.arrived is None or arrow.left < arrow.arrived
        assert arrow.left == told.moments[arrow.left - 1].step
        if arrow.arrived is not None:
            assert told.moments[arrow.arrived - 1].lane == arrow.receiver
            assert told.moments[arrow.arrived - 1].text.startswith(f"receives {arrow.text}")
    assert told.moments[-1].look is not None
    assert told.moments[-1].look.knows == "red"


def test_lost_repeated_and_foreign_messages(tmp_path: Path) -> None:
    """S1's Prepare comes to S2 twice, and to S3 never; S4 hears of 9.9, which nobody has sent."""
    with recorder(tmp_path) as recording:
        stage = Stage(observer=recording)
        stage.propose(S1, "red")
        prepare = stage.said(S1)
        stage.arrive(S1, prepare, to=(S2, S2))
        stage.arrive(S5, Prepare(ballot("9.5")), to=(S4,))

    told = single_timeline(replay(tmp_path / "run"))

    prepares = [it for it in told.arrows if it.message == prepare]
    ways = {(it.receiver, it.arrived is not None, it.is_repeated) for it in prepares}
    assert ways == {
        (S1, False, False),
        (S2, True, False),
        (S2, True, True),
        (S3, False, False),
        (S4, False, False),
        (S5, False, False),
    }
    (foreign,) = [it for it in told.arrows if it.message == Prepare(ballot("9.5"))]
    assert (foreign.left, foreign.sender, foreign.receiver) == (None, S5, S4)


def test_a_life_with_a_crash(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        cluster = Cluster[str](3, observer=recording)
        cluster.propose(S1, "red")
        cluster.step()
        cluster.step()
        cluster.crash(S2)
        cluster.restart(S2)
        cluster.run()

    told = single_timeline(replay(tmp_path / "run"))

    lane = [it for it in told.moments if it.lane == S2]
    assert [(it.kind, it.look is not None) for it in lane][:6] == [
        (Kind.STARTS, True),
        (Kind.RECEIVES, True),
        (Kind.HAS_SAVED, True),
        (Kind.ENDS, False),
        (Kind.STARTS, True),
        (Kind.RECEIVES, True),
    ]
    again = lane[4]
    assert again.text == "starts again"
    assert again.look is not None
    assert (again.look.promised, again.look.asks) == (ballot("1.1"), None)
    mine = [it for it in told.moments if it.lane == S1]
    assert mine[1].text == "proposes red"
    assert any(it.text == "has saved" and it.look and it.look.asks == ballot("1.1") for it in mine)
    assert any("knows that red is chosen" in it.text for it in mine)


def test_a_vote_counts_when_it_is_durable(tmp_path: Path) -> None:
    """Two of three accept; the save of the second takes its time, and is over in step 6."""
    with recorder(tmp_path) as recording:
        one, two = driven(S1, THREE, recording), driven(S2, THREE, recording)
        for it in (one, two):
            it.take(From(S3, Accept(ballot("1.3"), "red")))
        one.save()
        two.save()
        vote = Acceptor(ballot("1.3"), Proposal(ballot("1.3"), "red"))
        driven(S3, THREE, recording, (vote,))

    told = single_timeline(replay(tmp_path / "run"))

    assert [(it.step, it.choice.voters) for it in told.decided] == [(6, frozenset({S1, S2}))]


def test_the_explorers_lanes(tmp_path: Path) -> None:
    """What P1 asks goes to acceptors; what did not arrive would have gone there, too."""
    machine, walk = explore_cluster(Scope(protocol=LECTURE[1]), rules=["agreement"])
    assert walk.violation is not None
    write(tmp_path / "run", counterexample(machine, walk.violation))

    told = single_timeline(replay(tmp_path / "run"))

    ways = {(told.lanes[it.sender][0], told.lanes[it.receiver][0]) for it in told.arrows}
    assert ways == {("P", "A"), ("A", "P")}
    assert [it.choice.chosen.value for it in told.decided] == ["red", "blue"]


def test_a_decision_that_is_not_there(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        Cluster[str](3, observer=recording)

    with pytest.raises(RecordingError, match="nothing about a decision 'x'"):
        single_timeline(replay(tmp_path / "run"), "x")


def test_an_arrow_is_plain_data() -> None:
    prepare = Prepare(ballot("1.1"))
    arrow = Arrow(prepare, say(prepare), S1, ServerId(2), left=1, arrived=None)

    assert arrow.text == "Prepare 1.1"
    assert not arrow.is_repeated
