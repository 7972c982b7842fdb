"""What a notebook shows by itself."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from paxos_adapters.codecs import TEXT
from paxos_lab import notebook
from paxos_lab.draw.picture import Picture
from paxos_lab.draw.shapes import HEAD
from paxos_lab.lecture import LOG_SCENARIOS, S1, S2, S3, SCENARIOS, LogStage, Stage
from paxos_lab.lecture.log_stage import RULES
from paxos_lab.notebook import Cluster, replay
from paxos_lab.record import LogRecorder, Recorder


def html(it: Cluster | LogStage | Stage | Picture) -> str:
    """What a notebook asks for."""
    shown = it._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert shown.startswith(HEAD)
    return shown


def test_a_cluster_draws_itself_as_far_as_it_is() -> None:
    cluster = Cluster(3)
    cluster.propose(S1, "red")
    before = html(cluster)
    cluster.run()

    assert "★ red is chosen" not in before
    assert "★ red is chosen" in html(cluster)


def test_the_example_in_the_documentation_is_right() -> None:
    assert doctest.testmod(notebook).failed == 0


def test_a_stage_draws_itself() -> None:
    stage = Stage(servers=3)
    stage.propose(S1, "red")
    stage.both_phases(S1, to=(S1, S2))

    assert "★ red is chosen" in html(stage)
    assert html(stage) == stage.picture.svg


def test_a_stage_of_a_log_draws_itself() -> None:
    stage = LogStage(servers=3)
    stage.lead(S1, to=(S1, S2))
    stage.propose(S1, "a", to=(S1, S2))

    assert "★ 1: a is chosen" in html(stage)


@pytest.mark.parametrize(
    ("name", "said"), [("split-votes", "accept?(red)"), ("already-chosen", "A 3.1 X")]
)
def test_a_recording_draws_itself(tmp_path: Path, name: str, said: str) -> None:
    path, scenario = tmp_path / "run", SCENARIOS[name]
    protocol = scenario.protocol.name
    with Recorder(path, codec=TEXT, runtime="test", protocol=protocol) as recorder:
        scenario.play(recorder)

    assert said in html(replay(str(path)))


def test_a_recording_of_a_log_draws_itself(tmp_path: Path) -> None:
    path, scenario = tmp_path / "run", LOG_SCENARIOS["two-leaders"]
    with LogRecorder(path, codec=TEXT, runtime="test", rules=RULES) as recorder:
        scenario.play(recorder)

    assert "★ 2: c is chosen" in html(replay(path))
    assert "★ 2: c" not in html(replay(path, slot=1))
    assert S3 in replay(path).timeline.lanes
