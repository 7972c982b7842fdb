"""Lives full of faults: the same for every machine, survived by Paxos and by nothing broken."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import combinations
from typing import Any, ParamSpec, TypeVar

import pytest
from attrs import asdict, evolve

from paxos import (
    Ballot,
    From,
    MaxRound,
    NothingChosen,
    Now,
    Prepare,
    Promise,
    QuorumError,
    RetryTimer,
    ServerId,
    server,
)
from paxos_adapters.arguments import BadNumber
from paxos_cli import app
from paxos_cli import simulate as simulate_command
from paxos_lab.machines.faulty import BROKEN
from paxos_lab.machines.protocols import LECTURE, PAXOS, Event, Protocol, Server, Step
from paxos_lab.record import PROTOCOLS as PROTOCOLS_BY_NAME
from paxos_lab.rules import AGREEMENT, KEPT, LINEARIZABLE, ONE_VALUE, REPORTED, SAVED
from paxos_lab.simulate import life, steps
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
from paxos_lab.simulate.life import Simulator, record, simulate
from paxos_lab.simulate.schedules import SHOWN_ONLY, play, shrink
from paxos_lab.simulate.setup import (
    FAULTY_TICKS,
    LIVENESS,
    LIVENESS_TICKS,
    Fate,
    Life,
    Setup,
    SetupError,
)
from paxos_lab.simulate.sweep import Sweep, sweep
from paxos_lab.simulate.world import MAX_DELAY_TICKS

P = ParamSpec("P")
T = TypeVar("T")

FIVE = Setup(servers=5, proposers=3, readers=1)
PROTOCOLS = {it.name: it for it in (*LECTURE, *BROKEN)}
TRUSTING = Setup(trusting=True, faults=Faults(lost_disks=OUT_OF))

DIGESTS: dict[tuple[int, int], str] = {
    (3, 0): "7c649c6a8177e749",
    (3, 1): "f1a8c5f7efb58824",
    (3, 7): "31142cd9e4e6c005",
    (3, 1099511627776): "7fc1aeb1bf1efe7e",
    (5, 0): "eb7a978a55100a58",
    (5, 1): "a341bc535f4d8cfc",
    (5, 12345): "36112c93c968b800",
}
"""What each seed is on every machine, for three servers and for five."""


CAUGHT: list[tuple[str, set[str]]] = [
    ("promise-forgotten", {SAVED}),
    ("promise-not-raised", {KEPT}),
    ("reply-before-save", {SAVED}),
    ("round-reused", {SAVED}),
    ("own-value-kept", {AGREEMENT, REPORTED}),
    ("lowest-taken", {AGREEMENT, REPORTED}),
    ("stale-promise-counted", {AGREEMENT, REPORTED, SAVED}),
    ("read-not-completed", {REPORTED}),
    ("nothing-from-one", {LINEARIZABLE}),
    ("first-value-only", {REPORTED, KEPT}),
    ("accept-everything", {AGREEMENT, REPORTED, KEPT}),
    ("look-first", {SAVED}),
]


def first_broken(setup: Setup, seeds: int = 2_000) -> Life:
    """The first life that breaks a rule."""
    failure = sweep(range(seeds), setup).failure
    assert failure is not None, f"{setup.protocol.name} survived {seeds} seeds"
    return failure


class TestPaxos:
    """It keeps every rule, whatever happens."""

    @pytest.mark.parametrize(
        "setup",
        [Setup(), FIVE, Setup(servers=4, proposers=4, readers=0), Setup(liveness=True)],
        ids=["three", "five", "four", "liveness"],
    )
    def test_survives(self, setup: Setup) -> None:
        done = sweep(range(150), setup)
        assert done.failure is None
        assert done.lives == 150
        assert done.decided > 90
        assert done.reports > 150
        assert done.events > 150 * 30

    @pytest.mark.parametrize("proposers", [0, 1])
    def test_every_read_comes_to_an_end(self, proposers: int) -> None:
        """Once the faults are over; also if nobody ever proposes."""
        done = sweep(range(150), Setup(proposers=proposers, readers=2, liveness=True))
        assert done.failure is None
        assert done.reports > 150 * 2
        assert (done.decided > 90) == (proposers > 0)

    def test_meets_every_fault(self) -> None:
        done = sweep(range(200))
        assert [fault for fault in Fault if not done.met[fault]] == []

    def test_calm_has_no_fault(self) -> None:
        assert not any(asdict(CALM).values())

    def test_meets_none_when_all_is_calm(self) -> None:
        done = sweep(range(200), Setup(faults=CALM))
        assert [fault for fault in Fault if done.met[fault]] == [Fault.REORDERED]
        assert done.decided > 190
        assert sweep(range(200), Setup(faults=CALM, liveness=True)).decided == 200

    @pytest.mark.parametrize(
        ("faults", "met"),
        [
            (evolve(CALM, loss=60), {Fault.LOST}),
            (evolve(CALM, duplication=60), {Fault.DUPLICATED}),
            (evolve(CALM, lateness=60), {Fault.LATE}),
            (evolve(CALM, pauses=2), {Fault.PAUSED}),
            (evolve(CALM, skew=True), {Fault.SKEWED}),
            (evolve(CALM, slow_saves=60), {Fault.SAVED_SLOWLY}),
            (evolve(CALM, crashes=3), {Fault.CRASHED, Fault.UNHEARD}),
            (evolve(CALM, failing_stores=1), {Fault.STORE_FAILED, Fault.UNHEARD}),
            (
                evolve(CALM, save_crashes=30),
                {Fault.CRASHED_BEFORE_SAVE, Fault.CRASHED_AFTER_SAVE, Fault.UNHEARD},
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
        done = sweep(range(100), Setup(faults=faults))
        assert {fault for fault in Fault if done.met[fault]} - {Fault.REORDERED} == met

    def test_answers_everybody_once_the_faults_stop(self) -> None:
        done = sweep(range(150), Setup(liveness=True))
        assert done.failure is None
        assert FAULTY_TICKS < done.longest_ticks < FAULTY_TICKS + LIVENESS_TICKS // 2


class TestRepetition:
    """A seed is a life, bit for bit."""

    @pytest.mark.parametrize(("servers", "seed"), DIGESTS)
    def test_the_digest_is_that_of_every_machine(self, servers: int, seed: int) -> None:
        setup = Setup() if servers == 3 else FIVE
        assert simulate(seed, setup).digest == DIGESTS[servers, seed]

    def test_different_seeds_are_different_lives(self) -> None:
        assert len({simulate(seed).digest for seed in range(50)}) == 50

    @pytest.mark.parametrize(
        ("options", "hash_seed"), [([], "0"), ([], "1"), (["-O"], "2"), (["-X", "utf8"], "random")]
    )
    def test_no_switch_of_python_matters(self, options: list[str], hash_seed: str) -> None:
        program = "from paxos_lab.simulate.life import simulate as s; print(s(7).digest)"
        done = subprocess.run(
            [sys.executable, *options, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == DIGESTS[3, 7]

    def test_earlier_lives_do_not_matter(self) -> None:
        simulator = Simulator(Setup())
        lives = [simulator.live(seed) for seed in [*range(100), 7]]
        assert lives[-1] == lives[7] == evolve(simulate(7), digest="")

    def test_a_life_that_ended_early_leaves_nothing_behind(self) -> None:
        simulator = Simulator(Setup(protocol=PROTOCOLS["own-value-kept"]))
        fresh = [simulator.live(seed) for seed in range(40)]
        assert any(life.broken for life in fresh)
        assert [simulator.live(seed) for seed in reversed(range(40))] == fresh[::-1]

    def test_forgetting_steps_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mindful, forgetful = Simulator(Setup()), Simulator(Setup())
        lives = [mindful.live(seed) for seed in range(30)]
        monkeypatch.setattr(life, "MAX_STEPS", 300)
        assert [forgetful.live(seed) for seed in range(30)] == lives
        assert forgetful.table.taken < mindful.table.taken

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["paxos", *PROTOCOLS])
    def test_whole_servers_do_the_same(self, name: str) -> None:
        """The table of steps, which looks at parts of servers, is held against the servers."""
        setup = Setup(protocol=PROTOCOLS.get(name, PAXOS), servers=4, proposers=2, readers=2)
        for seed in range(25):
            life, acts = record(seed, setup)
            played = play(setup, acts)
            assert played.broken == life.broken
            assert played.acts == acts


class TestBroken:
    """Each broken protocol is caught, and so are those of the lecture."""

    @pytest.mark.parametrize(
        ("name", "rules"),
        [
            pytest.param(*it, marks=[pytest.mark.slow] if it[0] == "stale-promise-counted" else [])
            for it in CAUGHT
        ],
    )
    def test_is_caught(self, name: str, rules: set[str]) -> None:
        assert first_broken(evolve(FIVE, protocol=PROTOCOLS[name])).broken in rules

    def test_every_broken_protocol_is_tried(self) -> None:
        assert {name for name, _ in CAUGHT} | {"read-id-reused"} == set(PROTOCOLS)

    def test_the_id_of_a_read_used_again_is_caught_in_one_life_of_many(self) -> None:
        """A late answer to the first read, and a choice between the two: the explorer finds it."""
        rare = range(18_400, 18_500)
        broken = sweep(rare, Setup(protocol=PROTOCOLS["read-id-reused"])).failure
        assert broken is not None
        assert broken.broken == LINEARIZABLE

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
        life = first_broken(Setup(proposers=3, readers=0, protocol=PROTOCOLS[name], rules=(rule,)))
        assert life.broken == rule

    def test_a_round_that_is_used_again_carries_two_values(self) -> None:
        faults = Faults(crashes=6, loss=80)
        setup = Setup(proposers=1, readers=0, protocol=PROTOCOLS["round-reused"], faults=faults)
        assert first_broken(evolve(setup, rules=(ONE_VALUE,))).broken == ONE_VALUE
        assert sweep(range(200), evolve(setup, protocol=PAXOS)).failure is None

    def test_a_rule_that_is_not_asked_for_does_not_count(self) -> None:
        setup = Setup(protocol=PROTOCOLS["reply-before-save"], rules=())
        assert sweep(range(50), setup).failure is None

    def test_who_never_wakes_up_is_not_live(self) -> None:
        setup = Setup(protocol=Protocol("sleepy", "", sleepy), liveness=True)
        life = first_broken(setup)
        assert life.broken == LIVENESS
        assert sweep(range(100), evolve(setup, liveness=False)).failure is None


def sleepy(state: Server, event: Event) -> Step:
    """Whoever is not answered at once waits for ever."""
    return (state, Now(())) if isinstance(event, RetryTimer) else server.receive(state, event)


class TestDisks:
    """A server whose disk was wiped or rolled back does not vote; and why."""

    def test_it_would_break_agreement(self) -> None:
        lives = first_broken(evolve(TRUSTING, rules=(AGREEMENT,)), 3_000)
        assert lives.broken == AGREEMENT
        assert lives.met[Fault.DISK_WIPED] + lives.met[Fault.DISK_ROLLED_BACK]

    def test_so_it_is_refused(self) -> None:
        done = sweep(range(400), evolve(TRUSTING, trusting=False))
        assert done.failure is None
        assert done.met[Fault.DISK_WIPED] > 50
        assert done.met[Fault.DISK_ROLLED_BACK] > 50
        assert (
            done.met[Fault.REFUSED] == done.met[Fault.DISK_WIPED] + done.met[Fault.DISK_ROLLED_BACK]
        )

    def test_who_was_refused_says_nothing_more(self) -> None:
        seen = 0
        for seed in range(60):
            _, acts = record(seed, evolve(TRUSTING, trusting=False))
            refused = [(place, it) for place, it in enumerate(acts) if it.fate is Fate.REFUSED]
            for place, refusal in refused:
                seen += 1
                after = [it for it in acts[place + 1 :] if it.server == refusal.server]
                assert all(
                    it.event is None and it.fate in (*SHOWN_ONLY, Fate.BACKS_UP) for it in after
                )
        assert seen

    def test_a_quorum_always_keeps_its_disks(self) -> None:
        for seed in range(100):
            life = simulate(seed, evolve(FIVE, faults=Faults(lost_disks=OUT_OF, crashes=9)))
            assert life.met[Fault.REFUSED] <= 2


class TestSaves:
    """Before, within, after: each crash around a save, and a store that fails."""

    @pytest.mark.parametrize(
        "fate",
        [
            Fate.BEFORE_SAVE,
            Fate.TORN,
            Fate.UNSENT,
            Fate.STORE_FAILS,
            Fate.STORE_LIES,
            Fate.CRASHES,
        ],
    )
    def test_stops_the_server(self, fate: Fate) -> None:
        seen = 0
        for seed in range(120):
            _, acts = record(seed, Setup(faults=Faults(slow_saves=80, save_crashes=20)))
            for place, act in enumerate(acts):
                if act.fate is fate:
                    seen += 1
                    after = (it for it in acts[place + 1 :] if it.server == act.server)
                    following = next((it for it in after if it.fate not in SHOWN_ONLY), None)
                    allowed = Fate.RESTARTS, Fate.BACKS_UP
                    assert following is None or following.fate in allowed
        assert seen > 5

    def test_a_torn_save_keeps_a_part(self) -> None:
        torn = [
            act
            for seed in range(100)
            for act in record(seed, Setup(faults=Faults(slow_saves=120)))[1]
            if act.fate is Fate.TORN
        ]
        assert torn
        assert all(act.saved >= 1 for act in torn)
        assert max(act.saved for act in torn) > 1


class TestShrinking:
    """A schedule from which nothing can be left out."""

    @pytest.mark.parametrize("name", ["own-value-kept", "promise-forgotten", "accept-everything"])
    def test_nothing_more_can_be_left_out(self, name: str) -> None:
        setup = Setup(protocol=PROTOCOLS[name], rules=(AGREEMENT,))
        life = first_broken(setup)
        assert life.broken is not None
        _, acts = record(life.seed, setup)
        shortest = shrink(setup, acts, life.broken)
        assert shortest.broken == life.broken
        assert 0 < len(shortest.acts) < len(play(setup, acts).acts)
        assert play(setup, shortest.acts) == shortest
        for left_out in [
            *combinations(range(len(shortest.acts)), 1),
            *combinations(range(len(shortest.acts)), 2),
        ]:
            rest = [act for place, act in enumerate(shortest.acts) if place not in left_out]
            assert play(setup, rest).broken != life.broken

    def test_what_breaks_nothing_is_left_as_it_is(self) -> None:
        _, acts = record(3, Setup())
        assert shrink(Setup(), acts, AGREEMENT).acts == acts

    def test_what_is_impossible_is_left_out(self) -> None:
        _, acts = record(3, Setup())
        assert play(Setup(), acts[1:]).acts != acts[1:]


class TestSweep:
    """Many lives, on any executor."""

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
        assert sweep(range(120), executor=executor, portion=30) == sweep(range(120))

    def test_the_first_failure_is_found_whoever_is_faster(self, executor: Executor) -> None:
        setup = Setup(protocol=PROTOCOLS["own-value-kept"])
        found = sweep(range(500), setup, executor=executor, portion=10)
        assert found.failure == first_broken(setup)

    def test_is_the_sum_of_its_lives(self) -> None:
        done = sweep(range(40), portion=7)
        lives = [simulate(seed) for seed in range(40)]
        assert done == Sweep(
            lives=40,
            events=sum(life.events for life in lives),
            reports=sum(life.reports for life in lives),
            decided=sum(life.chosen is not None for life in lives),
            met=tuple(map(sum, zip(*(life.met for life in lives), strict=True))),
            longest_ticks=max(life.ticks for life in lives),
        )

    def test_shows_how_far_it_is(self) -> None:
        seen: list[int] = []

        def progress(done: Sweep) -> bool:
            seen.append(done.lives)
            return True

        assert not sweep(range(25), portion=10, progress=progress).stopped
        assert seen == [10, 20, 25]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_stopped_it_says_what_was_done(self, workers: int) -> None:
        with ThreadPoolExecutor(2) as threads:
            executor = threads if workers else None
            done = sweep(
                range(90), executor=executor, portion=10, progress=lambda done: done.lives < 30
            )
        assert done == evolve(sweep(range(30)), stopped=True)

    def test_interrupted_it_says_what_was_done(self) -> None:
        def progress(done: Sweep) -> bool:
            if done.lives == 20:
                raise KeyboardInterrupt
            return True

        assert sweep(range(90), portion=10, progress=progress) == evolve(
            sweep(range(20)), stopped=True
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

        done = sweep(range(90), portion=10, executor=Cancelling())
        assert done == evolve(sweep(range(20)), stopped=True)

    @pytest.mark.parametrize("value", [FIVE, simulate(3), Sweep(lives=3), CALM])
    def test_everything_travels(self, value: object) -> None:
        assert pickle.loads(pickle.dumps(value)) == value


class TestSetup:
    """What cannot be simulated is refused."""

    @pytest.mark.parametrize("sizes", [(10, 1, 0), (3, 0, 0), (3, 3, 1), (3, -1, 2), (3, 2, -1)])
    def test_sizes(self, sizes: tuple[int, int, int]) -> None:
        servers, proposers, readers = sizes
        with pytest.raises((SetupError, BadNumber)):
            Setup(servers=servers, proposers=proposers, readers=readers)

    def test_no_server_at_all(self) -> None:
        with pytest.raises(QuorumError):
            Setup(servers=0)

    def test_the_quorum_system_has_as_many_members(self) -> None:
        with pytest.raises(SetupError, match="quorum system of 3 members"):
            Setup(servers=4, quorum=Setup().quorum)

    def test_the_fates_are_as_ordered(self) -> None:
        fates = message_fates(40, 24, 12, far=True)
        assert len(fates) == OUT_OF
        assert [fates.count(it) for it in (LOST, TWICE, LATE)] == [40, 24, 12]
        assert set(fates) - {LOST, TWICE, LATE} == set(range(1, FAR_TICKS + 1))

    def test_nothing_is_due_after_the_end_of_the_wheel(self) -> None:
        assert 2 * steps.LONGEST_TICKS < MAX_DELAY_TICKS


def test_a_protocol_that_raises_names_its_life() -> None:
    def careless(state: Server, event: Event) -> Step:
        if isinstance(event, RetryTimer):
            raise RuntimeError("I forgot about that")
        return server.receive(state, event)

    with pytest.raises(RuntimeError, match="I forgot") as raised:
        sweep(range(100), Setup(protocol=Protocol("careless", "", careless)))
    (note,) = raised.value.__notes__
    assert note.startswith("in the life of seed ")
    assert raised.value.__context__ is None or not isinstance(raised.value.__context__, KeyError)


class TestTable:
    """Steps that are looked up."""

    @pytest.mark.slow
    def test_few_are_taken(self) -> None:
        simulator = Simulator(Setup())
        for seed in range(400):
            simulator.live(seed)
        taken = simulator.table.taken
        events = sum(simulator.live(seed).events for seed in range(400, 500))
        assert simulator.table.taken - taken < events // 4

    def test_whatever_a_step_looks_at_counts(self) -> None:
        """A protocol that looks at what Paxos does not, and only now and then."""
        setup = Setup(protocol=Protocol("moody", "", moody))
        unlike = 0
        for seed in range(50):
            life, acts = record(seed, setup)
            played = play(setup, acts)
            assert (played.broken, played.acts) == (life.broken, acts)
            unlike += life.digest != simulate(seed).digest
        assert unlike > 25


def moody(state: Server, event: Event) -> Step:
    """Does not listen while it has heard an even number of votes and an odd number of rounds."""
    if isinstance(event, From) and isinstance(event.message, Prepare):
        votes = sum(len(it.voters) for it in state.learner.tallies)
        if votes % 2 == 0 and state.proposer.max_round % 2 and state.election.beat:
            return state, Now(())
    return server.receive(state, event)


class TestCommand:
    """``paxos simulate``."""

    def test_a_sweep(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--seeds", "300", "--jobs", "2", "--plain"]) == 0
        printed = capsys.readouterr()
        assert printed.out.isascii()
        assert "300 lives, " in printed.out
        assert "events/s" in printed.out
        assert "No life broke a rule." in printed.out
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

        monkeypatch.setattr(simulate_command, "_workers", workers)
        monkeypatch.setattr(simulate_command, "cpu_count", lambda: 5)
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
        assert "broken: what is reported is chosen" in printed
        (again,) = (line for line in printed.splitlines() if line.startswith("Again: paxos "))
        assert app.run([*again.split()[2:], "--plain"]) == 1
        picture = printed[printed.index("* something") :]
        assert capsys.readouterr().out.endswith(picture)

    def test_one_life(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--seed", "7", "--plain"]) == 0
        printed = capsys.readouterr().out
        assert f"Digest {DIGESTS[3, 7]}." in printed
        assert "Prepare 1." in printed

    def test_a_life_that_is_not_live(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(PROTOCOLS_BY_NAME, "paxos", Protocol("paxos", "", sleepy))
        assert app.run(["simulate", "--liveness", "--jobs", "1"]) == 1
        assert "Somebody got no answer within 4,000 ticks" in capsys.readouterr().out

    def test_interrupted(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        look = simulate_command.Watcher.look

        def interrupted(self: simulate_command.Watcher, done: Sweep) -> bool:
            signal.raise_signal(signal.SIGINT)
            return look(self, done)

        monkeypatch.setattr(simulate_command.Watcher, "look", interrupted)
        assert app.run(["simulate", "--seeds", "2000", "--jobs", "1"]) == 130
        assert "Interrupted after 250 of 2,000 lives" in capsys.readouterr().out

    @pytest.mark.slow
    @pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT] * 3])
    def test_told_to_end_it_ends_with_all_its_workers(self, signals: list[signal.Signals]) -> None:
        command = [sys.executable, "-m", "paxos_cli", "simulate"]
        arguments = ["--seeds", "10000000", "--jobs", "2", "--plain"]
        with subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as running:
            assert running.stdout is not None
            assert "safety" in running.stdout.readline()
            for number in signals:
                os.killpg(running.pid, number) if number == signal.SIGINT else running.terminate()
            printed, _ = running.communicate(timeout=60)
            assert running.returncode == 130
            assert "Interrupted after" in printed

    def test_killed_it_leaves_no_worker(self) -> None:
        """They have its output open: that ends when the last of them has."""
        program = (
            "import os, signal; from paxos_cli import app, simulate; "
            "simulate.Watcher.look = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
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


VOTE = Ballot(1, ServerId(1)), "red"
PLAIN = steps.Check(MaxRound(1), (), None, 0, (), (), None, None)


@pytest.mark.parametrize(
    ("check", "is_plain"),
    [
        (PLAIN, True),
        (evolve(PLAIN, votes=(VOTE,)), True),
        (evolve(PLAIN, record=None), False),
        (evolve(PLAIN, asked=VOTE), False),
        (evolve(PLAIN, round=1), False),
        (evolve(PLAIN, unproven=(Promise[str](VOTE[0], None),)), False),
        (evolve(PLAIN, report=NothingChosen(VOTE[0])), False),
    ],
)
def test_what_is_left_to_judge_once_a_record_is_durable(check: steps.Check, is_plain: bool) -> None:
    assert check.is_plain == is_plain
