"""What could have happened next: the core's own answers, from each step of a recording on."""

from __future__ import annotations

from pathlib import Path

import pytest

from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.record import Replay, single_timeline
from paxos_lab.view import following as bounds
from paxos_lab.view.following import Event, Following, following
from tests.paxos_lab.test_viewer import of_scenario, recorded

VIEW: SingleView[str] = single_view()


def all_of(found: Replay) -> Following:
    return following(found, VIEW, "", range(1, len(found.steps) + 1))


def events(found: Following, step: int) -> list[Event]:
    return found.places[found.after[step]]


def test_what_was_recorded_was_possible(tmp_path: Path) -> None:
    """Each arrival of the recording is among the events of the step before, and looks as it did."""
    run = of_scenario("not-chosen-unseen", tmp_path / "run")
    moments = single_timeline(run).moments

    found = all_of(run)

    arrivals = [it for it in run.steps if it.arrival is not None]
    assert len(arrivals) > 20
    for step in arrivals:
        moment = moments[step.number - 1]
        same = [
            it
            for it in events(found, step.number - 1)
            if it.me == moment.lane and it.words.startswith(f"S{it.me} {moment.does}, from ")
        ]
        assert same
        if step.saved or not step.waiting:
            assert moment.look in [it.look for it in same]


def test_an_event_is_told_with_what_it_sends_and_chooses(tmp_path: Path) -> None:
    run = of_scenario("not-chosen-unseen", tmp_path / "run")
    step = next(it.step for it in single_timeline(run).decided)

    chosen = [it.words for it in events(all_of(run), step - 1) if it.chooses]

    assert any(it.endswith("Y is chosen: accepted by S3, S4 and S5, a quorum.") for it in chosen)
    assert all(" Y is chosen: accepted by " in it for it in chosen)


def test_what_was_lost_may_arrive_and_a_server_may_crash(tmp_path: Path) -> None:
    run = of_scenario("not-chosen-unseen", tmp_path / "run")
    told = [it.words for it in events(all_of(run), 20)]

    assert "S2 receives Accept 3.1 X, from S1. It sends Accepted 3.1 X to S1." in told
    assert "S3 crashes, and starts again." in told


def test_a_promise_on_disk_outlives_the_crash_that_could_happen(tmp_path: Path) -> None:
    run = of_scenario("not-chosen-unseen", tmp_path / "run")
    (crash,) = (it for it in events(all_of(run), 20) if it.words.startswith("S3 crashes"))

    assert crash.look is not None
    assert str(crash.look.promised) == "4.5"


def test_it_goes_on_after_what_could_happen(tmp_path: Path) -> None:
    found = all_of(recorded(tmp_path / "run", "red", servers=3))

    places = [it.place for place in found.after.values() for it in found.places[place]]

    deeper = [it for it in places if it is not None]
    assert deeper
    assert not set(deeper) & set(found.after.values())


def test_it_is_bounded_and_the_last_steps_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = of_scenario("not-chosen-unseen", tmp_path / "run")
    monkeypatch.setattr(bounds, "MOST", 40)

    found = all_of(run)

    count = sum(map(len, found.places))
    assert 40 <= count < 40 + 40
    assert sorted(found.after) == list(range(49 - len(found.after), 49))
    assert len(found.after) < 10
