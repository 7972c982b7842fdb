"""The pytest plugin, in sessions of its own; and the clusters that it makes.

A session gets the entry point from this tree's pyproject.toml, so that it is tried as it stands
here, whatever is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import paxos_testing as testing
from paxos import Ballot, Chosen, From, PaxosError, ServerId, majority
from paxos_adapters.host import ServerStopped
from paxos_lab.record import SingleTrace, Trace, replay
from paxos_testing import ClusterFactory, WatchedCluster, observed
from paxos_testing.observed import AsText
from tests.support import S1, S2, S3

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
GROUP = "pytest11"

FAILING = """
    def test_a_split(paxos_cluster):
        cluster = paxos_cluster(servers=3)
        cluster.propose(1, "red")
        cluster.run()
        cluster.crash(3)
        assert cluster.chosen == "blue"
"""

IN_THE_DOCUMENTS = """
    def test_colours(paxos_cluster):
        cluster = paxos_cluster()
        cluster.propose(1, "red")
        cluster.run()
        assert cluster.chosen == "blue"
"""

BAD_MACHINE = """
    from hypothesis import strategies as st
    from paxos_adapters.state_machine import StateMachine

    def apply(words, word):
        words.append(word)
        return words, len(words)

    def test_my_machine(paxos_log):
        paxos_log.check(StateMachine([], apply), commands=st.sampled_from(["red", "blue"]))
"""

PASSING = """
    def test_a_choice(paxos_cluster):
        cluster = paxos_cluster(servers=5, loss=0.2)
        cluster.propose(1, "red")
        cluster.propose(5, "blue")
        cluster.run()
        assert len(set(cluster.chosen.values())) == 1
"""

SHOWS_ITS_SEED = """
    def test_seeds(paxos_cluster):
        first, second = paxos_cluster(), paxos_cluster()
        assert (first.seed, second.seed) == (4711, 4712)
        assert paxos_cluster(seed=3).seed == 3
"""

USELESS_VALUE = """
    class Useless:
        said = "nothing"

        def __str__(self):
            return self.said.pop()

    def test_a_value(paxos_cluster):
        cluster = paxos_cluster()
        cluster.propose(1, Useless())
        assert cluster.chosen == "blue"
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of its own, into which this tree's plugin is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = pytester.mkdir("site")
    facts = installed / "paxos_of_this_tree-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Name: paxos-of-this-tree\nVersion: 1.0\n")
    points = [f"{name} = {it}" for name, it in project["entry-points"][GROUP].items()]
    (facts / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *points, ""]))
    places = [str(installed), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


class TestAFailure:
    """A failed test comes with its seed and a picture."""

    @pytest.mark.slow
    def test_says_how_to_repeat_it_and_draws_what_happened(self, session: pytest.Pytester) -> None:
        session.makepyfile(FAILING)

        result = session.runpytest_subprocess("--paxos-seed=7")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "*- paxos -*",
                "To repeat: pytest --paxos-seed=7 '*test_a_split'",
                "*- paxos cluster 1 -*",
                "3 servers, seed 7. Time runs down.",
                "S1       S2       S3",
                "◆        │        │        S1 proposes red",
                "*Prepare 1.1",
                "*Chosen red",
                "*◆*S3 crashes",
                "S1 knows red, S2 knows red",
            ],
        )

    @pytest.mark.slow
    def test_is_reported_as_the_documents_show(self, session: pytest.Pytester) -> None:
        session.makepyfile(test_colours=IN_THE_DOCUMENTS)
        page = (ROOT / "docs" / "testing.md").read_text()
        (shown,) = re.findall(r"^```console\n(.*?)^```$", page, re.M | re.S)

        result = session.runpytest_subprocess("--paxos-seed=1")

        said = "\n".join(result.stdout.lines)
        (path,) = re.findall(r"^Recorded: paxos view (.*)$", said, re.M)
        assert shown in said.replace(path, "/tmp/pytest-of-me/pytest-0/paxos0/cluster1.jsonl")
        found = replay(Path(path))
        assert found.difference is None
        assert found.steps

    @pytest.mark.slow
    def test_of_a_state_machine_says_what_is_wrong_and_draws_it(
        self, session: pytest.Pytester
    ) -> None:
        session.makepyfile(BAD_MACHINE)
        page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
        (shown,) = re.findall(r"^```text\n(E .*?)^```$", page, re.M | re.S)

        result = session.runpytest_subprocess("--paxos-seed=1")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "To repeat: pytest --paxos-seed=1 '*::test_my_machine'",
                "3 servers, without faults.*",
                "*S3 commits 1: #1 'red'",
                "Recorded: paxos view *log1.jsonl",
            ]
        )
        assert shown in result.stdout.str()
        assert "log_checks.py" not in result.stdout.str()

    @pytest.mark.slow
    def test_repeats_with_its_seed(self, session: pytest.Pytester) -> None:
        session.makepyfile(FAILING)
        first = session.runpytest_subprocess().stdout.lines
        (advice,) = (line for line in first if line.startswith("To repeat: pytest --paxos-seed="))
        seed = advice.split("=")[1].split()[0]

        again = session.runpytest_subprocess(f"--paxos-seed={seed}").stdout.lines

        assert picture(again) == picture(first)
        assert len(picture(first)) > 10

    @pytest.mark.slow
    def test_whose_picture_cannot_be_drawn_still_says_why_it_failed(
        self, session: pytest.Pytester
    ) -> None:
        session.makepyfile(USELESS_VALUE)

        result = session.runpytest_subprocess()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*assert {} == 'blue'*", "cannot be drawn: AttributeError*"])

    @pytest.mark.slow
    def test_without_a_cluster_gets_nothing_more(self, session: pytest.Pytester) -> None:
        session.makepyfile("def test_nothing(paxos_cluster): assert 0\ndef test_no(): assert 0")

        result = session.runpytest_subprocess()

        result.assert_outcomes(failed=2)
        assert result.stdout.str().count("To repeat") == 1
        assert "paxos cluster 1" not in result.stdout.str()


class TestASession:
    """The plugin keeps out of the way."""

    @pytest.mark.slow
    def test_passes_without_a_word(self, session: pytest.Pytester) -> None:
        session.makepyfile(PASSING)

        result = session.runpytest_subprocess("-rA")

        result.assert_outcomes(passed=1)
        assert "To repeat" not in result.stdout.str()

    @pytest.mark.slow
    def test_gives_each_cluster_a_seed_of_its_own(self, session: pytest.Pytester) -> None:
        session.makepyfile(SHOWS_ITS_SEED)

        session.runpytest_subprocess("--paxos-seed=4711").assert_outcomes(passed=1)

    @pytest.mark.slow
    def test_draws_another_seed_each_time(self, session: pytest.Pytester) -> None:
        session.makepyfile(FAILING)
        runs = [session.runpytest_subprocess().stdout.lines for _ in range(3)]
        seeds = {line for lines in runs for line in lines if line.startswith("To repeat")}

        assert len(seeds) > 1

    @pytest.mark.slow
    def test_without_the_plugin_does_not_know_it(self, session: pytest.Pytester) -> None:
        session.makepyfile(PASSING)

        result = session.runpytest_subprocess("-p", "no:paxos")

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*fixture 'paxos_cluster' not found"])
        refused = session.runpytest_subprocess("-p", "no:paxos", "--paxos-seed=1")
        refused.stderr.fnmatch_lines(["*unrecognized arguments: --paxos-seed=1"])

    @pytest.mark.slow
    def test_with_a_seed_that_is_none(self, session: pytest.Pytester) -> None:
        result = session.runpytest_subprocess("--paxos-seed=red")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*argument --paxos-seed: invalid int value: 'red'"])

    @pytest.mark.slow
    def test_of_a_plain_project_imports_nothing_of_ours_and_says_the_same(
        self, session: pytest.Pytester
    ) -> None:
        session.makepyfile(
            """
            import sys

            def test_plain():
                ours = {name for name in sys.modules if name.split(".")[0] == "paxos"}
                assert ours == set()
                heavy = {"paxos_testing.stores", "hypothesis", "attrs"}
                assert heavy & set(sys.modules) == set()
            """
        )
        without_hypothesis = "-p", "no:hypothesispytest"
        with_us = session.runpytest_subprocess(*without_hypothesis)
        without = session.runpytest_subprocess(*without_hypothesis, "-p", "no:paxos")

        with_us.assert_outcomes(passed=1)
        with_us.stdout.fnmatch_lines(["plugins: *paxos*", "*1 passed*"])
        assert said(with_us.stdout.lines) == said(without.stdout.lines)

    @pytest.mark.slow
    def test_lists_the_fixture_and_the_option(self, session: pytest.Pytester) -> None:
        fixtures = session.runpytest_subprocess("--fixtures").stdout
        fixtures.fnmatch_lines(["paxos_cluster*", "*Make clusters in memory*"])
        fixtures.fnmatch_lines(["paxos_log*", "*Check a state machine*"])
        session.runpytest_subprocess("--help").stdout.fnmatch_lines(["*--paxos-seed=N*"])


def said(lines: list[str]) -> list[str]:
    """All but the list of plugins and the duration."""
    return [line for line in lines if line and not re.match("plugins:|=+ 1 passed", line)]


def picture(lines: list[str]) -> list[str]:
    start = next(place for place, line in enumerate(lines) if "paxos cluster 1" in line)
    return lines[
        start : next(n for n, line in enumerate(lines) if n > start and "Recorded" in line)
    ]


def test_the_plugin_needs_nothing_but_pytest() -> None:
    """Whoever installs the library without extras, and has pytest, must not notice."""
    program = (
        "import sys; sys.modules.update(hypothesis=None, attrs=None, attr=None)\n"
        "import paxos_testing.plugin\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_kits_do_not_have() -> None:
    with pytest.raises(AttributeError, match=r"'paxos_testing' has no attribute 'Kit'"):
        getattr(testing, "Kit")  # noqa: B009 (the checkers know that it is not there)


class TestWatchedClusters:
    """Shuffled, lossy, and repeatable."""

    @pytest.mark.parametrize("seed", range(20))
    def test_agree_whatever_is_late_or_lost(self, seed: int) -> None:
        cluster = WatchedCluster[str](servers=3, seed=seed, loss=0.3)
        cluster.propose(S1, "red")
        cluster.propose(S3, "blue")
        cluster.run()
        cluster.restart(S2)
        cluster.inquire(S2)
        cluster.run()

        assert len(set(cluster.chosen.values())) == 1
        assert S2 in cluster.chosen

    def test_do_the_same_with_the_same_seed_and_something_else_with_another(self) -> None:
        def history(seed: int) -> list[object]:
            cluster = WatchedCluster[str](servers=5, seed=seed, loss=0.1)
            cluster.propose(S1, "red")
            cluster.run()
            return [*cluster.trace.steps]

        assert history(1) == history(1)
        assert history(1) != history(2)

    def test_shuffle_unless_they_are_told_not_to(self) -> None:
        def arrivals(seed: int, shuffle: bool) -> tuple[ServerId, ...]:
            cluster = WatchedCluster[str](seed=seed, shuffle=shuffle)
            cluster.propose(S1, "red")
            cluster.run()
            return tuple(it.me for it in cluster.trace.steps if it.arrival is not None)[:6]

        assert {arrivals(seed, False) for seed in range(9)} == {(S1, S2, S3, S1, S1, S1)}
        assert len({arrivals(seed, True) for seed in range(9)}) > 3

    def test_note_all_that_happens(self) -> None:
        cluster = WatchedCluster[str](loss=0.5)
        cluster.propose(S1, "red")
        cluster.crash(S2)
        cluster.restart(S2)
        cluster.inquire(S3)
        cluster.run()
        cluster.read(S2)

        rows = [line.split("  ")[-1].strip() for line in cluster.account().splitlines()]
        happened = ["S1 proposes red", "S2 crashes", "S2 starts again", "S3 asks what is chosen"]
        assert rows[2:6] == happened
        assert "lost: Promise 1.3, nothing accepted to S3" in rows
        assert rows[-2] == "S2 reads what is chosen, knows that red is chosen"

    def test_do_not_call_lost_what_is_still_to_come(self) -> None:
        cluster = WatchedCluster[str](shuffle=False)
        cluster.propose(S1, "red")

        assert "lost" not in cluster.account()

    def test_draw_values_that_cannot_be_hashed(self) -> None:
        cluster = WatchedCluster[list[str]]()
        cluster.propose(S1, ["red"])
        cluster.run()

        assert "Accept 1.1 ['red']" in cluster.account()

    def test_tell_an_observer_the_same(self) -> None:
        seen: SingleTrace[str] = Trace()
        cluster = WatchedCluster[str](observer=seen)
        cluster.propose(S1, "red")
        cluster.run()

        assert seen.steps == cluster.trace.steps

    def test_show_the_message_that_broke_them(self) -> None:
        class Lying(WatchedCluster[str]):
            def lie(self, value: str) -> None:
                self.receive(S1, From(S2, Chosen(Ballot(1, S2), value)))

        cluster = Lying()
        cluster.lie("red")
        with pytest.raises(ServerStopped):
            cluster.lie("blue")

        assert "Chosen blue" in cluster.account()

    def test_draw_the_last_of_a_long_history(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = WatchedCluster[str]()
        cluster.propose(S1, "red")
        cluster.run()
        title, heading, *rows, known = cluster.account().splitlines()
        monkeypatch.setattr(observed, "MAX_DRAWN", 5)

        left_out = f"The first {len(rows) - 5} rows are left out."
        assert cluster.account().splitlines() == [title, left_out, heading, *rows[-5:], known]

    def test_say_that_nobody_knows(self) -> None:
        assert WatchedCluster[str]().account().splitlines()[-1] == "No server knows what is chosen."

    @pytest.mark.parametrize("loss", [-0.1, 1, 2, float("nan")])
    def test_refuse_to_lose_everything(self, loss: float) -> None:
        with pytest.raises(PaxosError, match=f"a loss of {loss} cannot be"):
            WatchedCluster[str](loss=loss)

    def test_come_from_a_factory_with_all_that_a_cluster_takes(self) -> None:
        factory = ClusterFactory(seed=5)
        cluster: WatchedCluster[str] = factory(quorum=majority([ServerId(7)]), shuffle=False)
        cluster.propose(ServerId(7), "red")
        cluster.run()

        assert cluster.seed == 5
        assert cluster.chosen == {7: "red"}
        assert [account() for account in factory.accounts] == [cluster.account()]


def test_what_a_watched_cluster_records_of_a_value_is_text() -> None:
    """Text as it is, and of anything else what ``repr`` says."""
    text = AsText[object]()
    assert [text.encode(it) for it in ("red", 7, ("red",))] == [b"red", b"7", b"('red',)"]
    with pytest.raises(ValueError, match="is read as text"):
        text.decode(b"red")
