"""The examples do what they say, run as their first lines say, and keep to what they teach."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from examples import feature_flags, leader_lease, lock_with_fencing, synchronous_loop
from examples.leader_lease import HOLDER_S, OTHERS_S, Decisions, Member
from paxos import PaxosError, ServerId
from tests.support import PACKAGES, S1, S2, S3

LIMIT_S = 60  # so that an example that waits for ever fails
EXAMPLES = Path(feature_flags.__file__).parent
OURS = [
    "feature_flags",
    "leader_lease",
    "lock_with_fencing",
    "synchronous_loop",
    "transition_test",
]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder that has nothing to do with us."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", OURS)
def test_an_example_says_what_it_shows_and_how_it_is_run(name: str) -> None:
    said = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text()))

    assert said is not None
    pytest_too = "-m pytest " if name.endswith("_test") else ""
    assert f"\nRun it: ``python {pytest_too}examples/{name}.py``\n" in said


@pytest.mark.parametrize("name", [name for name in OURS if not name.endswith("_test")])
def test_an_example_runs_and_prints_a_few_lines(name: str, tmp_path: Path) -> None:
    done = run(str(EXAMPLES / f"{name}.py"), folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert 2 < len(done.stdout.splitlines()) < 12
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_tests_of_transitions_pass(tmp_path: Path) -> None:
    test = EXAMPLES / "transition_test.py"
    done = run("-m", "pytest", "-p", "no:cacheprovider", str(test), folder=tmp_path)

    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout


class TestTheSynchronousLoop:
    """Nothing but the core, and agreement whatever gets lost."""

    @pytest.mark.parametrize("seed", range(50))
    def test_agrees_although_messages_are_lost(self, seed: int) -> None:
        known, lost = synchronous_loop.run(seed)

        assert len(set(known.values())) == 1
        assert {S1, S3} <= known.keys(), "who proposes gets an answer"
        assert lost > 0

    def test_repeats_with_its_seed(self) -> None:
        assert synchronous_loop.run(3) == synchronous_loop.run(3)

    def test_imports_the_core_alone(self) -> None:
        tree = ast.parse(Path(synchronous_loop.__file__).read_text(encoding="utf-8"))
        modules = {it.module for it in ast.walk(tree) if isinstance(it, ast.ImportFrom)}

        assert not {it for it in modules if it and it.startswith(PACKAGES)}


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class TestTheLease:
    """Epochs, renewal and takeover, each member with a clock of its own."""

    def members(self, count: int = 2) -> list[tuple[Member, Time]]:
        decisions = Decisions()
        clocks = [Time() for _ in range(count)]
        ids = [S1, S2, S3]
        return [(Member(me, decisions, it), it) for me, it in zip(ids, clocks, strict=False)]

    def test_holders_count_less_than_the_others(self) -> None:
        assert HOLDER_S < OTHERS_S

    def test_counts_from_any_moment(self) -> None:
        (a, clock), _ = self.members()
        clock.now_s = -1000

        assert not a.leads()
        assert a.campaign()

    def test_is_renewed_without_a_gap(self) -> None:
        (a, clock), _ = self.members()
        for now_s in (0, 7, 14):
            clock.now_s = now_s
            assert a.campaign()

        assert (a.epoch, a.since) == (3, 1)

    def test_that_ran_out_begins_anew_although_nobody_else_led(self) -> None:
        (a, clock), _ = self.members()
        a.campaign()
        clock.now_s = HOLDER_S
        assert not a.leads()
        assert a.campaign()

        assert (a.epoch, a.since) == (2, 2)

    def test_is_waited_for(self) -> None:
        (a, _), (b, clock) = self.members()
        a.campaign()
        assert not b.campaign()
        clock.now_s = OTHERS_S - 0.1
        assert not b.campaign()
        assert b.epoch == 1
        clock.now_s = OTHERS_S
        assert b.campaign()

        assert (b.epoch, b.since) == (2, 2)
        assert not a.campaign()
        assert (a.epoch, a.leads()) == (2, False)

    def test_of_one_who_forgot_is_waited_for_as_well(self) -> None:
        (a, clock), _ = self.members()
        a.campaign()
        forgetful = Member(a.me, a.decisions, clock)

        assert not forgetful.campaign()
        clock.now_s = OTHERS_S
        assert forgetful.campaign()
        assert (forgetful.epoch, forgetful.since) == (2, 2)

    def test_counts_from_before_it_was_asked_for(self) -> None:
        (a, clock), _ = self.members()

        class Slow(Decisions):
            def propose(self, me: ServerId, name: str) -> ServerId:
                clock.now_s += HOLDER_S
                return super().propose(me, name)

        a.decisions = Slow()
        assert not a.campaign()
        assert (a.epoch, a.leads()) == (1, False)

    @pytest.mark.parametrize("seed", range(10))
    def test_has_one_holder_at_a_time_if_clocks_run_alike(self, seed: int) -> None:
        random, members = Random(seed), self.members(3)
        have_led = set[ServerId]()
        for _ in range(100):
            pause_s = random.uniform(0, OTHERS_S)
            for _, clock in members:
                clock.now_s += pause_s
            random.choice(members)[0].campaign()
            leading = [it.me for it, _ in members if it.leads()]
            assert len(leading) <= 1
            have_led.update(leading)

        assert have_led == {S1, S2, S3}

    def test_whose_clock_stood_still_is_fenced_off(self) -> None:
        (a, _), (b, clock) = self.members()
        resource = leader_lease.Resource()
        a.campaign()
        assert resource.write(a.epoch, "by A")
        b.campaign()
        clock.now_s = OTHERS_S
        b.campaign()
        assert resource.write(b.epoch, "by B")

        assert a.leads()
        assert not resource.write(a.epoch, "too late")
        assert resource.written == ["by A", "by B"]


class TestTheLock:
    """A holder that was paused can do no harm."""

    def test_fences_off_who_lost_it(self) -> None:
        all_of_it = asyncio.wait_for(lock_with_fencing.main(patience_s=0.01), LIMIT_S)
        resource = asyncio.run(all_of_it)

        assert resource.lines == ["from A", "from B", "from A again"]
        assert resource.epoch == 3

    def test_the_fence_lets_a_holder_go_on(self) -> None:
        resource = lock_with_fencing.Resource()
        resource.write(2, "one")
        resource.write(2, "two")
        with pytest.raises(PaxosError, match="epoch 1 is over, 2 was here"):
            resource.write(1, "three")

        assert resource.lines == ["one", "two"]


def test_flags_are_read_in_the_same_order_and_none_is_lost() -> None:
    first, second = asyncio.run(asyncio.wait_for(feature_flags.main(), LIMIT_S))

    assert first == second
    assert first[-1] == {"dark mode": True, "new search": True}
    assert len(first) == 2


class TestTheReplicatedCounter:
    """Three servers, each a process: the leader is killed, and the others go on."""

    PROGRAM = EXAMPLES / "replicated_counter.py"

    def start(self, me: int, folder: Path, *words: str) -> subprocess.Popen[str]:
        command = sys.executable, "-W", "error", str(self.PROGRAM), str(me), *words
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)

    def counted(self, server: subprocess.Popen[str]) -> tuple[int, int]:
        """A total, and the server that leads then."""
        assert server.stdout is not None
        total, ballot = server.stdout.readline().split()
        return int(total), int(ballot.partition(".")[2])

    @pytest.mark.slow
    def test_counts_on_without_its_leader_and_counts_each_once(self, tmp_path: Path) -> None:
        servers = {me: self.start(me, tmp_path, "new") for me in (1, 2, 3)}
        try:
            counts = [self.counted(it) for it in servers.values() for _ in range(2)]
            leader = counts[-1][1]
            servers[leader].kill()
            servers[leader].communicate()
            others = [it for me, it in servers.items() if me != leader]
            while counts[-1][1] == leader:
                counts += [self.counted(it) for it in others]
            servers[leader] = self.start(leader, tmp_path)
            counts.append(self.counted(servers[leader]))
        finally:
            for it in servers.values():
                it.kill()
                it.communicate()
        totals = [total for total, _ in counts]
        assert len(set(totals)) == len(totals)
        assert max(totals) < 100

    def test_stands_on_the_first_page(self) -> None:
        program = self.PROGRAM.read_text(encoding="utf-8")
        code = program[program.index("import asyncio") :].rstrip()
        page = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
        assert f"```py\n{code}\n```" in page
