"""Stories as pictures: what is drawn of runs that are known, and how it is marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import Heartbeat, Prepare
from paxos_adapters.codecs import TEXT
from paxos_adapters.memory import Cluster
from paxos_lab.draw.layout import layout, part, shown
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.picture import Picture
from paxos_lab.draw.svg import svg
from paxos_lab.draw.terminal import text
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import counterexample
from paxos_lab.explore.recorded import write
from paxos_lab.explore.scopes import Scope
from paxos_lab.lecture import SCENARIOS, Stage
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.machines.view import Words
from paxos_lab.record import (
    PROTOCOLS,
    Arrow,
    Kind,
    Moment,
    Recorder,
    Timeline,
    replay,
    single_timeline,
)
from tests.support import S1, S2, S3, S4, S5, ballot
from tests.support.svgs import of_class, overlaps, texts, title, tree


def recorded(
    folder: Path, run: Callable[[Recorder[str]], object], protocol: str = "paxos"
) -> Timeline:
    path = folder / "run"
    with Recorder(path, codec=TEXT, runtime="test", protocol=protocol) as recorder:
        run(recorder)
    flawed = {it.name: it for it in LECTURE}
    scenarios = {it.protocol.name: it.protocol for it in SCENARIOS.values()}
    return single_timeline(replay(path, protocols={**PROTOCOLS, **flawed, **scenarios}))


def of_scenario(name: str, folder: Path) -> Timeline:
    scenario = SCENARIOS[name]
    protocol = scenario.protocol.name
    return recorded(folder, lambda it: scenario.schedule(scenario.stage(it)), protocol)


def of_cluster(folder: Path, *values: str) -> Timeline:
    def run(recorder: Recorder[str]) -> None:
        cluster = Cluster[str](3, observer=recorder)
        for me, value in zip((S1, S3), values, strict=False):
            cluster.propose(me, value)
        cluster.run()

    return recorded(folder, run)


class TestWhatIsDrawn:
    """The lecture's example c: the older proposal is refused."""

    def test_every_message_of_its_step(self, tmp_path: Path) -> None:
        told = of_scenario("not-chosen-unseen", tmp_path)

        drawn = of_class(tree(svg(told)), "message")

        assert [
            (it.attrib["data-from"], it.attrib["data-step"], "lost" in it.attrib["class"])
            for it in drawn
        ] == [(str(it.left), str(it.arrived or it.left), it.arrived is None) for it in told.arrows]
        assert title(drawn[0]) == "Prepare 3.1, from S1 to S1"
        lost = of_class(tree(svg(told)), "lost")
        assert title(lost[0]) == "Prepare 3.1, from S1 to S4, lost or late"

    def test_what_a_newer_one_has_overtaken_is_late(self, tmp_path: Path) -> None:
        late = of_class(tree(svg(of_scenario("not-chosen-unseen", tmp_path))), "late")

        assert [title(it) for it in late] == [
            f"Accept 3.1 X, from S1 to {to}" for to in ("S3", "S4", "S5")
        ]

    def test_boxes_tell_what_became_of_a_request(self, tmp_path: Path) -> None:
        root = tree(svg(of_scenario("not-chosen-unseen", tmp_path)))

        assert [title(it) for it in of_class(root, "refused")] == [
            f"{who} receives Accept 3.1 X" for who in ("S3", "S4", "S5")
        ]
        assert [title(it) for it in of_class(root, "accepted")] == [
            "S1 receives Accept 3.1 X",
            *(f"{who} receives Accept 4.5 Y" for who in ("S3", "S4", "S5")),
            *(f"{who} receives Accept 5.1 Y" for who in ("S1", "S2", "S3")),
        ]

    def test_the_choice_stands_where_the_last_vote_does(self, tmp_path: Path) -> None:
        told = of_scenario("not-chosen-unseen", tmp_path)

        first, again = of_class(tree(svg(told)), "choice")

        assert (first.attrib["data-step"], title(first)) == (
            str(told.decided[0].step),
            "★ Y is chosen: accepted by S3, S4, S5",
        )
        assert again.attrib["class"].split()[:2] == ["choice", "again"]

    def test_what_servers_hold_and_learn_is_written(self, tmp_path: Path) -> None:
        words = [it.words for it in texts(tree(svg(of_scenario("not-chosen-unseen", tmp_path))))]

        assert words.count("promised 4.5") == 3  # three refuse because of it
        assert {"proposes X", "is refused", "starts over", "holds 3.1 X", "finds Y"} <= set(words)
        assert words.count("4.5 Y") == 2
        assert words.count("5.1 Y") == 3

    def test_every_moment_has_one_place(self, tmp_path: Path) -> None:
        told = of_scenario("not-chosen-unseen", tmp_path)

        steps = [int(it.attrib["data-step"]) for it in of_class(tree(svg(told)), "moment")]

        starts = {it.step for it in told.moments if it.text in ("starts", "is there already")}
        assert sorted(steps) == [it.step for it in told.moments if it.step not in starts]

    def test_lanes_are_those_of_the_story(self, tmp_path: Path) -> None:
        machine, walk = explore_cluster(Scope(protocol=LECTURE[1]), rules=["agreement"])
        assert walk.violation is not None
        write(tmp_path / "run", counterexample(machine, walk.violation))

        root = tree(svg(single_timeline(replay(tmp_path / "run"))))

        names = [it.findtext("{http://www.w3.org/2000/svg}text") for it in of_class(root, "lane")]
        assert names == ["A1", "A2", "A3", "P1", "P2"]
        assert len(of_class(root, "broken")) == 1


class TestOrder:
    """What may share a column, and what may not."""

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_causes_stand_left_of_effects(self, name: str, tmp_path: Path) -> None:
        told = of_scenario(name, tmp_path)
        column_of = layout(told).column_of

        for it in told.arrows:
            if it.left is not None and it.arrived is not None:
                assert column_of[it.left] < column_of[it.arrived]
        for lane in told.lanes:
            places = [
                column_of[it.step]
                for it in told.moments
                if it.lane == lane and it.step in column_of
            ]
            assert places == sorted(places)

    def test_nothing_joins_what_was_heard_before_it_was_said(self) -> None:
        lanes = {S1: "S1", S2: "S2", S3: "S3"}
        steps = (S1, Kind.TIMES_OUT), (S2, Kind.RECEIVES), (S2, Kind.TIMES_OUT), (S3, Kind.RECEIVES)
        moments = [
            Moment(step, 0.0, lane, kind, "", None, False)
            for step, (lane, kind) in enumerate(steps, 1)
        ]
        beat, words = Heartbeat(), Words("Heartbeat")
        arrows = Arrow(beat, words, S1, S2, 1, 2), Arrow(beat, words, S2, S3, 3, 4)

        columns = layout(Timeline("", lanes, tuple(moments), arrows, ())).columns

        assert [tuple(it) for it in columns] == [(S1,), (S2,), (S2,), (S3,)]

    def test_a_lane_keeps_its_order(self, tmp_path: Path) -> None:
        def run(recorder: Recorder[str]) -> None:
            stage = Stage(servers=3, observer=recorder)
            stage.propose(S1, "red")
            prepare = stage.said(S1)
            stage.arrive(S1, prepare, to=(S2,))
            stage.arrive(S1, Prepare(ballot("9.1")), to=(S3,))
            stage.arrive(S1, prepare, to=(S3,))

        columns = layout(recorded(tmp_path, run)).columns

        assert [tuple(it) for it in columns] == [(S1,), (S2,), (S3,), (S3,)]

    def test_a_burst_is_one_column(self, tmp_path: Path) -> None:
        told = of_cluster(tmp_path, "red")

        shared = [tuple(column) for column in layout(told).columns]

        everybody, proposer = (S1, S2, S3), (S1,)
        assert shared == [proposer, everybody, proposer, everybody, proposer, everybody]

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_no_words_lie_on_others(self, name: str, tmp_path: Path) -> None:
        assert overlaps(tree(svg(of_scenario(name, tmp_path), title="A title"))) == []


class TestParts:
    """Some steps of a story."""

    def test_what_was_held_before_is_known(self, tmp_path: Path) -> None:
        told = of_scenario("already-chosen", tmp_path)
        second = next(it.step for it in told.moments if it.text == "proposes Y")

        shown_part = part(told, second)

        words = [it.words for it in texts(tree(svg(shown_part)))]
        assert words.count("3.1 X") == 2
        assert "holds 3.1 X" in words
        assert "proposes X" not in words
        assert [it for it in words if "is chosen" in it or "again" in it] == ["X again, under 4.5"]

    def test_what_comes_after_is_not_lost(self, tmp_path: Path) -> None:
        told = of_scenario("split-votes", tmp_path)

        assert of_class(tree(svg(part(told, last=18))), "lost") == []
        assert part(told) == told

    def test_what_was_sent_before_comes_from_outside(self, tmp_path: Path) -> None:
        told = of_scenario("livelock", tmp_path)

        first, *_ = of_class(tree(svg(part(told, 20))), "message")

        assert title(first) == "Accept 3.1 red, from S1 to S1"
        assert "data-from" not in first.attrib


class TestNonMembers:
    """Whatever a recording holds is drawn, and is a picture."""

    @pytest.mark.slow
    @given(value=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
    def test_any_value(self, value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        told = of_cluster(tmp_path_factory.mktemp("any"), value)

        words = [it.words for it in texts(tree(svg(told, title=value, caption=value)))]

        assert f"★ {shown(value)} is chosen" in words

    def test_what_nobody_sent_and_what_came_twice(self, tmp_path: Path) -> None:
        def run(recorder: Recorder[str]) -> None:
            stage = Stage(observer=recorder)
            stage.propose(S1, "red")
            stage.arrive(S1, stage.said(S1), to=(S2, S2))
            stage.arrive(S5, Prepare(ballot("9.5")), to=(S4,))

        root = tree(svg(recorded(tmp_path, run)))

        arrived = [it for it in of_class(root, "message") if "lost" not in it.attrib["class"]]
        assert [title(it) for it in arrived if "Prepare" in title(it)] == [
            "Prepare 1.1, from S1 to S2",
            "Prepare 1.1, from S1 to S2",
            "Prepare 9.5, from S5 to S4",
        ]

    def test_nothing_happens(self, tmp_path: Path) -> None:
        told = of_cluster(tmp_path)

        root = tree(svg(told))

        assert len(of_class(root, "lane")) == 3
        assert of_class(root, "moment") == []
        assert text(told) == "S1     S2     S3\n"
        assert mermaid(told).count("\n") == 4

    def test_a_crash_leaves_the_lane_empty(self, tmp_path: Path) -> None:
        root = tree(svg(of_scenario("proposal-numbers", tmp_path)))

        words = [it.words for it in texts(root)]
        assert {"crashes", "starts again"} <= set(words)
        down = [it for it in root.iter() if it.attrib.get("class") == "down"]
        assert len(down) == 1

    def test_more_proposers_than_hues(self, tmp_path: Path) -> None:
        def run(recorder: Recorder[str]) -> None:
            stage = Stage(servers=13, observer=recorder)
            for me in stage.servers:
                stage.propose(me, f"v{me}")
                stage.deliver(me, to=(me,))

        assert len(of_class(tree(svg(recorded(tmp_path, run))), "lane")) == 13


class TestOtherWays:
    """The same story for a terminal, for Mermaid, for a notebook."""

    def test_a_notebook_shows_the_picture(self, tmp_path: Path) -> None:
        told = of_cluster(tmp_path, "red")
        picture = Picture(told, "Red wins")

        shown_by_itself = picture._repr_html_()  # pyright: ignore[reportPrivateUsage]
        assert shown_by_itself == svg(told, title="Red wins")
        assert str(picture) == text(told)
        assert picture.mermaid == mermaid(told)
        picture.save(tmp_path / "red.svg")
        assert tree((tmp_path / "red.svg").read_text()).attrib["aria-label"] == "Red wins"

    def test_a_terminal(self, tmp_path: Path) -> None:
        told = part(of_scenario("not-chosen-unseen", tmp_path), last=26)

        assert text(told, width=5).splitlines() == [
            "S1   S2   S3   S4   S5",
            "◆    │    │    │    │    S1 proposes X",
            "◆    │    │    │    │    lost: Prepare 3.1 to S4, S5",
            "◉───▶┼───▶│    │    │    Prepare 3.1",
            "◉◀───●────●    │    │    Promise 3.1, nothing accepted",
            "◆    │    │    │    │    lost: Accept 3.1 X to S2",
            "◉    │    │    │    │    Accept 3.1 X",
            "◉    │    │    │    │    Accepted 3.1 X",
            "│    │    │    │    ◆    S5 proposes Y",
            "│    │    │    │    ◆    lost: Prepare 4.5 to S1, S2",
            "│    │    │◀───┼◀───◉    Prepare 4.5",
            "│    │    ●────●───▶◉    Promise 4.5, nothing accepted",
            "│    │    │    │    ◆    lost: Accept 4.5 Y to S1, S2",
            "│    │    ◆    │    │    late: Accept 3.1 X",
            "●────┼───▶┼───▶┼───▶│    Accept 3.1 X",
        ]

    def test_mermaid(self, tmp_path: Path) -> None:
        lines = mermaid(of_scenario("not-chosen-unseen", tmp_path)).splitlines()

        assert lines[:7] == [
            "sequenceDiagram",
            *(f"    participant L{it} as S{it}" for it in range(1, 6)),
            "    Note over L1: proposes X",
        ]
        assert lines[7:10] == [
            "    L1-xL4: Prepare 3.1",
            "    L1-xL5: Prepare 3.1",
            "    L1->>L1: Prepare 3.1",
        ]
        assert "    L1-->>L3: Accept 3.1 X" in lines
        assert "    Note over L1,L5: Y is chosen under 4.5" in lines

    def test_mermaid_takes_nothing_in_a_value_for_its_own(self, tmp_path: Path) -> None:
        drawn = mermaid(of_cluster(tmp_path, "a;b#c\nend:<x>"))

        assert "a#59;b#35;c#92;nend#58;#60;x#62;" in drawn
        assert {line.split(":")[0].strip()[:1] for line in drawn.splitlines()[4:]} == {"L", "N"}
