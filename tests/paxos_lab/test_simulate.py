"""Runs full of faults: the same on every machine, survived by Paxos and by nothing broken."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import combinations
from typing import Any, ParamSpec, TypeVar

import pytest
from attrs import asdict, evolve

from paxos import (
    Now,
    QuorumError,
    RetryTimer,
    server,
)
from paxos_adapters.arguments import BadNumber
from paxos_cli import app, simulation, sweeping
from paxos_lab.draw import text
from paxos_lab.machines.faulty import BROKEN
from paxos_lab.machines.protocols import LECTURE, PAXOS, Event, Protocol, Server, Step
from paxos_lab.record import PROTOCOLS as PROTOCOLS_BY_NAME
from paxos_lab.record import SingleTrace, Trace, single_timeline
from paxos_lab.rules import AGREEMENT, KEPT, LINEARIZABLE, ONE_VALUE, REPORTED, SAVED
from paxos_lab.simulate.faults import (
    CALM,
    FAR_TICKS,
    LATE,
    LOST,
    OUT_OF,
    TWICE,
    Fault,
    Faults,
    message_fates,
)
from paxos_lab.simulate.schedules import SHOWN_ONLY, play, shrink
from paxos_lab.simulate.setup import (
    FAULTY_TICKS,
    LIVENESS,
    LIVENESS_TICKS,
    Outcome,
    Run,
    SetupError,
)
from paxos_lab.simulate.simulator import record, run_seed, simulate
from paxos_lab.simulate.single import SingleAct, SingleSetup
from paxos_lab.simulate.sweep import Sweep, sweep

P = ParamSpec("P")
T = TypeVar("T")

FIVE = SingleSetup(servers=5, proposers=3, readers=1)
PROTOCOLS = {it.name: it for it in (*LECTURE, *BROKEN)}
LOST_DISKS_VOTE = SingleSetup(allow_lost_disk_votes=True, faults=Faults(lost_disks=OUT_OF))

DIGESTS: dict[tuple[int, int], str] = {
    (3, 0): "6555d93f8c196b57",
    (3, 1): "d6935c59807ac387",
    (3, 7): "9769ea792be65e1c",
    (3, 1099511627776): "6b6eadd8215b9c91",
    (5, 0): "da6e9e3f5f4d0a9a",
    (5, 1): "7e96ef1351920f7c",
    (5, 12345): "ba7916ee6a4b12f5",
}
"""What each seed is on every machine, for three servers and for five."""


CAUGHT: list[tuple[str, set[str]]] = [
    ("promise-forgotten", {AGREEMENT, SAVED}),
    ("promise-not-raised", {KEPT}),
    ("reply-before-save", {SAVED}),
    ("round-reused", {SAVED}),
    ("own-value-kept", {AGREEMENT, REPORTED}),
    ("lowest-taken", {AGREEMENT, REPORTED}),
    ("read-not-completed", {REPORTED}),
    ("nothing-from-one", {LINEARIZABLE}),
    ("read-id-reused", {LINEARIZABLE}),
    ("first-value-only", {REPORTED, KEPT}),
    ("accept-everything", {AGREEMENT, REPORTED, KEPT}),
    ("look-first", {SAVED}),
]


def first_broken(setup: SingleSetup, seeds: int = 2_000) -> Run:
    """The first run that breaks a rule."""
    failure = sweep(range(seeds), setup).failure
    assert failure is not None, f"{setup.protocol.name} survived {seeds} seeds"
    return failure


class TestPaxos:
    """It keeps every rule, whatever happens."""

    @pytest.mark.parametrize(
        "setup",
        [
            SingleSetup(),
            FIVE,
            SingleSetup(servers=4, proposers=4, readers=0),
            SingleSetup(liveness=True),
        ],
        ids=["three", "five", "four", "liveness"],
    )
    def test_survives(self, setup: SingleSetup) -> None:
        done = sweep(range(150), setup)
        assert done.failure is None
        assert done.runs == 150
        assert done.decided > 90
        assert done.reports > 150
        assert done.events > 150 * 30

    @pytest.mark.parametrize("proposers", [0, 1])
    def test_every_read_comes_to_an_end(self, proposers: int) -> None:
        """Once the faults are over; also if nobody ever proposes."""
        done = sweep(range(150), SingleSetup(proposers=proposers, readers=2, liveness=True))
        assert done.failure is None
        assert done.reports > 150 * 2
        assert (done.decided > 90) == (proposers > 0)

    def test_meets_every_fault(self) -> None:
        done = sweep(range(200), SingleSetup())
        assert [fault for fault in Fault if not done.met[fault]] == []

    def test_calm_has_no_fault(self) -> None:
        assert not any(asdict(CALM).values())

    def test_meets_none_when_all_is_calm(self) -> None:
        done = sweep(range(200), SingleSetup(faults=CALM))
        assert [fault for fault in Fault if done.met[fault]] == [Fault.REORDERED]
        assert done.decided > 190
        assert sweep(range(200), SingleSetup(faults=CALM, liveness=True)).decided == 200

    @pytest.mark.parametrize(
        ("faults", "met"),
        [
            (evolve(CALM, loss=60), {Fault.LOST}),
            (evolve(CALM, duplication=60), {Fault.DUPLICATED}),
            (evolve(CALM, lateness=60), {Fault.LATE}),
            (evolve(CALM, stale_timers=60), {Fault.STALE_TIMER}),
            (evolve(CALM, pauses=2), {Fault.PAUSED}),
            (evolve(CALM, skew=True), {Fault.SKEWED}),
            (evolve(CALM, slow_saves=60), {Fault.SAVED_SLOWLY}),
            (evolve(CALM, crashes=3), {Fault.CRASHED, Fault.UNDELIVERED}),
            (evolve(CALM, failing_stores=1), {Fault.STORE_FAILED, Fault.UNDELIVERED}),
            (
                evolve(CALM, save_crashes=30),
                {Fault.CRASHED_BEFORE_SAVE, Fault.CRASHED_AFTER_SAVE, Fault.UNDELIVERED},
            ),
            (
                evolve(CALM, partitions=2),
                {
                    Fault.PARTITIONED,
                    Fault.ONE_WAY_PARTITIONED,
                    Fault.PARTLY_PARTITIONED,
                    Fault.CUT_OFF,
                },
            ),
        ],
    )
    def test_meets_only_what_it_is_to_meet(self, faults: Faults, met: set[Fault]) -> None:
        done = sweep(range(100), SingleSetup(faults=faults))
        assert {fault for fault in Fault if done.met[fault]} - {Fault.REORDERED} == met

    def test_answers_everybody_once_the_faults_stop(self) -> None:
        done = sweep(range(150), SingleSetup(liveness=True))
        assert done.failure is None
        assert FAULTY_TICKS < done.longest_ticks < FAULTY_TICKS + LIVENESS_TICKS // 2


class TestRepetition:
    """A seed is a run, bit for bit."""

    @pytest.mark.parametrize(("servers", "seed"), DIGESTS)
    def test_the_digest_is_that_of_every_machine(self, servers: int, seed: int) -> None:
        setup = SingleSetup() if servers == 3 else FIVE
        assert simulate(seed, setup).digest == DIGESTS[servers, seed]

    def test_different_seeds_are_different_runs(self) -> None:
        assert len({simulate(seed, SingleSetup()).digest for seed in range(50)}) == 50

    @pytest.mark.parametrize(
        ("options", "hash_seed"),
        [
            (["-O"], "2"),
            pytest.param([], "0", marks=pytest.mark.slow),
            pytest.param([], "1", marks=pytest.mark.slow),
            pytest.param(["-X", "utf8"], "random", marks=pytest.mark.slow),
        ],
    )
    def test_no_switch_of_python_matters(self, options: list[str], hash_seed: str) -> None:
        program = (
            "from paxos_lab.simulate import SingleSetup, simulate; "
            "print(simulate(7, SingleSetup()).digest)"
        )
        done = subprocess.run(
            [sys.executable, *options, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == DIGESTS[3, 7]

    def test_earlier_runs_do_not_matter(self) -> None:
        setup = SingleSetup()
        runs = [run_seed(seed, setup) for seed in [*range(50), 7]]
        assert runs[-1] == runs[7] == evolve(simulate(7, setup), digest="")

    @pytest.mark.parametrize("name", ["paxos", *PROTOCOLS])
    def test_a_schedule_repeats_the_run(self, name: str) -> None:
        """Without a clock and a network: every act is possible, and the same rule breaks."""
        setup = SingleSetup(protocol=PROTOCOLS.get(name, PAXOS), servers=4, proposers=2, readers=2)
        for seed in range(25):
            run, acts = record(seed, setup)
            played = play(setup, acts)
            assert played.broken == run.broken
            assert played.acts == acts


class TestBroken:
    """Each broken protocol is caught, and so are those of the lecture."""

    @pytest.mark.parametrize(
        ("name", "rules"),
        CAUGHT,
    )
    def test_is_caught(self, name: str, rules: set[str]) -> None:
        assert first_broken(evolve(FIVE, protocol=PROTOCOLS[name])).broken in rules

    def test_every_broken_protocol_is_tried(self) -> None:
        assert {name for name, _ in CAUGHT} | {"stale-promise-counted"} == set(PROTOCOLS)

    def test_a_stale_promise_is_caught_among_late_messages(self) -> None:
        protocol, faults = PROTOCOLS["stale-promise-counted"], Faults(lateness=80)
        setup = SingleSetup(protocol=protocol, faults=faults)
        assert first_broken(setup).broken in {AGREEMENT, SAVED}

    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            ("promise-forgotten", AGREEMENT),
            ("reply-before-save", AGREEMENT),
            ("own-value-kept", AGREEMENT),
            ("accept-everything", AGREEMENT),
            ("look-first", AGREEMENT),
        ],
    )
    def test_does_harm(self, name: str, rule: str) -> None:
        """Not only a rule of the trade is broken: what it is for breaks too."""
        run = first_broken(
            SingleSetup(proposers=3, readers=0, protocol=PROTOCOLS[name], rules=(rule,))
        )
        assert run.broken == rule

    def test_a_round_that_is_used_again_carries_two_values(self) -> None:
        faults = Faults(crashes=6, loss=80)
        setup = SingleSetup(
            proposers=1, readers=0, protocol=PROTOCOLS["round-reused"], faults=faults
        )
        assert first_broken(evolve(setup, rules=(ONE_VALUE,))).broken == ONE_VALUE
        assert sweep(range(200), evolve(setup, protocol=PAXOS)).failure is None

    def test_a_rule_that_is_not_asked_for_does_not_count(self) -> None:
        setup = SingleSetup(protocol=PROTOCOLS["reply-before-save"], rules=())
        assert sweep(range(50), setup).failure is None

    def test_who_never_wakes_up_is_not_live(self) -> None:
        setup = SingleSetup(protocol=Protocol("sleepy", "", sleepy), liveness=True)
        run = first_broken(setup)
        assert run.broken == LIVENESS
        assert sweep(range(100), evolve(setup, liveness=False)).failure is None


def sleepy(state: Server, event: Event) -> Step:
    """A server that is not answered at once waits without an end."""
    return (state, Now(())) if isinstance(event, RetryTimer) else server.receive(state, event)


class TestDisks:
    """A server whose disk was wiped or rolled back does not vote; and why."""

    def test_it_would_break_agreement(self) -> None:
        runs = first_broken(evolve(LOST_DISKS_VOTE, rules=(AGREEMENT,)), 3_000)
        assert runs.broken == AGREEMENT
        assert runs.met[Fault.DISK_WIPED] + runs.met[Fault.DISK_ROLLED_BACK]

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (Outcome.WIPED, "has its disk wiped"),
            (Outcome.RESTORED, "has its disk restored from the backup"),
        ],
    )
    def test_a_picture_shows_it(self, outcome: Outcome, words: str) -> None:
        runs = (record(seed, LOST_DISKS_VOTE)[1] for seed in range(40))
        acts = next(acts for acts in runs if any(it.outcome is outcome for it in acts))
        trace: SingleTrace[str] = Trace()
        play(LOST_DISKS_VOTE, acts, trace=trace)

        assert words in text(single_timeline(trace))

    def test_so_it_is_refused(self) -> None:
        done = sweep(range(400), evolve(LOST_DISKS_VOTE, allow_lost_disk_votes=False))
        assert done.failure is None
        assert done.met[Fault.DISK_WIPED] > 50
        assert done.met[Fault.DISK_ROLLED_BACK] > 50
        assert (
            done.met[Fault.REFUSED] == done.met[Fault.DISK_WIPED] + done.met[Fault.DISK_ROLLED_BACK]
        )

    def test_who_was_refused_says_nothing_more(self) -> None:
        seen = 0
        for seed in range(60):
            _, acts = record(seed, evolve(LOST_DISKS_VOTE, allow_lost_disk_votes=False))
            refused = [
                (place, it) for place, it in enumerate(acts) if it.outcome is Outcome.REFUSED
            ]
            for place, refusal in refused:
                seen += 1
                after = [it for it in acts[place + 1 :] if it.server == refusal.server]
                assert all(
                    it.event is None
                    and it.request is None
                    and it.outcome in (*SHOWN_ONLY, Outcome.BACKS_UP)
                    for it in after
                )
        assert seen

    def test_a_quorum_always_keeps_its_disks(self) -> None:
        for seed in range(100):
            run = simulate(seed, evolve(FIVE, faults=Faults(lost_disks=OUT_OF, crashes=9)))
            assert run.met[Fault.REFUSED] <= 2


@cache
def saving_slowly() -> list[tuple[SingleAct, ...]]:
    """What happens in many runs with slow saves."""
    setup = SingleSetup(faults=Faults(slow_saves=80, save_crashes=20))
    return [record(seed, setup)[1] for seed in range(120)]


class TestSaves:
    """Before, within, after: each crash around a save, and a store that fails."""

    @pytest.mark.parametrize(
        "outcome",
        [
            Outcome.BEFORE_SAVE,
            Outcome.TORN,
            Outcome.UNSENT,
            Outcome.STORE_FAILS,
            Outcome.STORE_LIES,
            Outcome.CRASHES,
        ],
    )
    def test_stops_the_server(self, outcome: Outcome) -> None:
        seen = 0
        for acts in saving_slowly():
            for place, act in enumerate(acts):
                if act.outcome is outcome:
                    seen += 1
                    after = (it for it in acts[place + 1 :] if it.server == act.server)
                    following = next((it for it in after if it.outcome not in SHOWN_ONLY), None)
                    allowed = Outcome.RESTARTS, Outcome.BACKS_UP
                    assert following is None or following.outcome in allowed
        assert seen > 5

    def test_a_torn_save_keeps_a_part(self) -> None:
        torn = [
            act
            for seed in range(30)
            for act in record(seed, evolve(FIVE, faults=Faults(slow_saves=120)))[1]
            if act.outcome is Outcome.TORN
        ]
        assert torn
        assert all(act.saved >= 1 for act in torn)
        assert max(act.saved for act in torn) > 1


class TestShrinking:
    """A schedule from which nothing can be left out."""

    @pytest.mark.parametrize("name", ["own-value-kept", "promise-forgotten", "accept-everything"])
    def test_nothing_more_can_be_left_out(self, name: str) -> None:
        setup = SingleSetup(protocol=PROTOCOLS[name], rules=(AGREEMENT,))
        run = first_broken(setup)
        assert run.broken is not None
        _, acts = record(run.seed, setup)
        shortest = shrink(setup, acts, run.broken)
        assert shortest.broken == run.broken
        assert 0 < len(shortest.acts) < len(play(setup, acts).acts)
        assert play(setup, shortest.acts) == shortest
        for left_out in [
            *combinations(range(len(shortest.acts)), 1),
            *combinations(range(len(shortest.acts)), 2),
        ]:
            rest = [act for place, act in enumerate(shortest.acts) if place not in left_out]
            assert play(setup, rest).broken != run.broken

    def test_what_breaks_nothing_is_left_as_it_is(self) -> None:
        _, acts = record(3, SingleSetup())
        assert shrink(SingleSetup(), acts, AGREEMENT).acts == acts

    def test_what_is_impossible_is_left_out(self) -> None:
        _, acts = record(3, SingleSetup())
        assert play(SingleSetup(), acts[1:]).acts != acts[1:]


class TestSweep:
    """Many runs, on any executor."""

    @pytest.fixture(params=["threads", "processes", pytest.param("dask", marks=pytest.mark.slow)])
    def executor(self, request: pytest.FixtureRequest) -> Iterator[Executor]:
        if request.param == "threads":
            with ThreadPoolExecutor(2) as threads:
                yield threads
        elif request.param == "processes":
            with ProcessPoolExecutor(2) as processes:
                yield processes
        else:
            reason = "needs the extra dask"
            distributed: Any = pytest.importorskip("distributed", reason=reason)
            with distributed.Client(processes=False, dashboard_address=None) as client:
                yield client.get_executor()

    @pytest.mark.slow
    def test_any_executor_finds_the_same(self, executor: Executor) -> None:
        assert sweep(range(120), SingleSetup(), executor=executor, portion=30) == sweep(
            range(120), SingleSetup()
        )

    def test_the_first_failure_is_found_whoever_is_faster(self, executor: Executor) -> None:
        setup = SingleSetup(protocol=PROTOCOLS["own-value-kept"])
        found = sweep(range(500), setup, executor=executor, portion=10)
        assert found.failure == first_broken(setup)

    def test_is_the_sum_of_its_runs(self) -> None:
        done = sweep(range(40), SingleSetup(), portion=7)
        runs = [simulate(seed, SingleSetup()) for seed in range(40)]
        assert done == Sweep(
            runs=40,
            events=sum(run.events for run in runs),
            reports=sum(run.reports for run in runs),
            decided=sum(run.chosen != () for run in runs),
            met=tuple(map(sum, zip(*(run.met for run in runs), strict=True))),
            longest_ticks=max(run.ticks for run in runs),
            values=sum(len(run.chosen) for run in runs),
            slots=sum(run.slots for run in runs),
        )

    def test_shows_how_far_it_is(self) -> None:
        seen: list[int] = []

        def progress(done: Sweep) -> bool:
            seen.append(done.runs)
            return True

        assert not sweep(range(25), SingleSetup(), portion=10, progress=progress).stopped
        assert seen == [10, 20, 25]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_stopped_it_says_what_was_done(self, workers: int) -> None:
        with ThreadPoolExecutor(2) as threads:
            executor = threads if workers else None
            done = sweep(
                range(90),
                SingleSetup(),
                executor=executor,
                portion=10,
                progress=lambda done: done.runs < 30,
            )
        assert done == evolve(sweep(range(30), SingleSetup()), stopped=True)

    def test_interrupted_it_says_what_was_done(self) -> None:
        def progress(done: Sweep) -> bool:
            if done.runs == 20:
                raise KeyboardInterrupt
            return True

        assert sweep(range(90), SingleSetup(), portion=10, progress=progress) == evolve(
            sweep(range(20), SingleSetup()), stopped=True
        )

    def test_cancelled_it_says_what_was_done(self) -> None:
        class Cancelling(Executor):
            calls = 0

            def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
                future: Future[T] = Future()
                self.calls += 1
                if self.calls <= 2:
                    future.set_result(fn(*args, **kwargs))
                else:
                    future.cancel()
                return future

        done = sweep(range(90), SingleSetup(), portion=10, executor=Cancelling())
        assert done == evolve(sweep(range(20), SingleSetup()), stopped=True)

    def test_without_its_workers_it_says_what_was_done(self) -> None:
        with ProcessPoolExecutor(1) as processes:

            def progress(done: Sweep) -> bool:
                if done.runs == 20:
                    processes.submit(os._exit, 1)
                return True

            done = sweep(
                range(5_000), SingleSetup(), portion=10, executor=processes, progress=progress
            )
        assert done.stopped
        assert 20 <= done.runs < 5_000

    @pytest.mark.parametrize("value", [FIVE, simulate(3, SingleSetup()), Sweep(runs=3), CALM])
    def test_everything_travels(self, value: object) -> None:
        assert pickle.loads(pickle.dumps(value)) == value


class TestSetup:
    """What cannot be simulated is refused."""

    @pytest.mark.parametrize("sizes", [(10, 1, 0), (3, 0, 0), (3, 3, 1), (3, -1, 2), (3, 2, -1)])
    def test_sizes(self, sizes: tuple[int, int, int]) -> None:
        servers, proposers, readers = sizes
        with pytest.raises((SetupError, BadNumber)):
            SingleSetup(servers=servers, proposers=proposers, readers=readers)

    def test_no_server_at_all(self) -> None:
        with pytest.raises(QuorumError):
            SingleSetup(servers=0)

    def test_the_quorum_system_has_as_many_members(self) -> None:
        with pytest.raises(SetupError, match="quorum system of 3 members"):
            SingleSetup(servers=4, quorum=SingleSetup().quorum)

    def test_message_fates_are_as_ordered(self) -> None:
        fates = message_fates(40, 24, 12, far=True)
        assert len(fates) == OUT_OF
        assert [fates.count(it) for it in (LOST, TWICE, LATE)] == [40, 24, 12]
        assert set(fates) - {LOST, TWICE, LATE} == set(range(1, FAR_TICKS + 1))


def test_a_protocol_that_raises_names_its_run() -> None:
    def careless(state: Server, event: Event) -> Step:
        if isinstance(event, RetryTimer):
            raise RuntimeError("I forgot about that")
        return server.receive(state, event)

    with pytest.raises(RuntimeError, match="I forgot") as raised:
        sweep(range(100), SingleSetup(protocol=Protocol("careless", "", careless)))
    (note,) = raised.value.__notes__
    assert note.startswith("in the run of seed ")


class TestCommand:
    """``paxos simulate``."""

    def test_a_sweep(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--seeds", "300", "--jobs", "2", "--plain"]) == 0
        printed = capsys.readouterr()
        assert printed.out.isascii()
        assert "300 runs, " in printed.out
        assert "events/s" in printed.out
        assert "No run broke a rule." in printed.out
        assert all(fault.label in printed.out for fault in Fault)
        assert printed.err == ""

    def test_as_many_processes_as_it_is_told_or_as_there_are_processors(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        @contextmanager
        def workers(jobs: int) -> Generator[None, None, None]:
            asked.append(jobs)
            yield None

        monkeypatch.setattr(simulation, "workers", workers)
        monkeypatch.setattr(simulation, "cpu_count", lambda: 5)
        assert app.run(["simulate", "--seeds", "2", "--jobs", "3"]) == 0
        assert app.run(["simulate", "--seeds", "2"]) == 0
        assert asked == [3, 5]

    def test_liveness(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--seeds", "50", "--jobs", "1", "--liveness"]) == 0
        assert "within 4,000 ticks after the last fault" in capsys.readouterr().out

    def test_a_failure_names_its_seed_and_draws_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert app.run(["simulate", "--jobs", "1", "--plain", "--rule", "own-value-kept"]) == 1
        printed = capsys.readouterr().out
        assert "Broken: agreement, by " in printed
        assert printed.count(" is chosen under ") == 2
        (again,) = (line for line in printed.splitlines() if line.startswith("Again: paxos "))
        assert app.run([*again.split()[2:], "--plain"]) == 1
        picture = printed[printed.index("* something") :]
        assert capsys.readouterr().out.endswith(picture)

    def test_one_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--seed", "7", "--plain"]) == 0
        printed = capsys.readouterr().out
        assert f"Digest {DIGESTS[3, 7]}." in printed
        assert "Prepare 1." in printed

    def test_a_run_that_is_not_live(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(PROTOCOLS_BY_NAME, "paxos", Protocol("paxos", "", sleepy))
        assert app.run(["simulate", "--liveness", "--jobs", "1"]) == 1
        assert "A server got no answer within 4,000 ticks" in capsys.readouterr().out

    def test_interrupted(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        look = sweeping.Watcher.look

        def interrupted(self: sweeping.Watcher, done: Sweep) -> bool:
            signal.raise_signal(signal.SIGINT)
            return look(self, done)

        monkeypatch.setattr(sweeping.Watcher, "look", interrupted)
        assert app.run(["simulate", "--seeds", "2000", "--jobs", "1"]) == 130
        assert "Interrupted after 250 of 2,000 runs" in capsys.readouterr().out

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("send", "signals"),
        [
            (os.kill, [signal.SIGTERM]),
            (os.killpg, [signal.SIGTERM]),
            (os.killpg, [signal.SIGINT] * 3),
        ],
    )
    def test_told_to_end_it_ends_with_all_its_workers(
        self, send: Callable[[int, int], None], signals: list[signal.Signals]
    ) -> None:
        command = [sys.executable, "-m", "paxos_cli", "simulate"]
        arguments = ["--seeds", "10000000", "--jobs", "2", "--plain"]
        with subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as running:
            assert running.stdout is not None
            assert "safety" in running.stdout.readline()
            for number in signals:
                send(running.pid, number)
            printed, errors = running.communicate(timeout=60)
            assert (running.returncode, errors) == (130, "")
            assert "Interrupted after" in printed

    def test_killed_it_leaves_no_worker(self) -> None:
        """They have its output open: that ends when the last of them has."""
        program = (
            "import os, signal; from paxos_cli import app, sweeping; "
            "sweeping.Watcher.look = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
            "app.run(['simulate', '--seeds', '10000000', '--jobs', '3', '--plain'])"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
        ) as running:
            try:
                running.communicate(timeout=60)
                assert running.returncode == -signal.SIGKILL
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)

    @pytest.mark.parametrize(
        "arguments",
        ["--servers 2", "--servers 10", "--servers 3 --proposers 4", "--seeds 0", "--rule x"],
    )
    def test_a_mistake_is_one_line(
        self, arguments: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert app.run(["simulate", *arguments.split()]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1
