"""The checker: each rule has a planted fault that it finds, in two machines, and none else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Broadcast,
    Chosen,
    Done,
    From,
    InvariantError,
    MaxRound,
    NothingChosen,
    NotYetChosen,
    Now,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Read,
    ReadId,
    Saved,
    ServerId,
    Tell,
    To,
    server,
)
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, single
from paxos_lab.checker import Checker
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.machines.protocols import Event, Protocol, Server, Step
from paxos_lab.machines.single import CLAIMS, Record, SingleChecker
from paxos_lab.rules import (
    AGREEMENT,
    KEPT,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    RULES,
    SAVED,
    UNDISTURBED,
    VALIDITY,
)
from paxos_lab.simulate import Fault, Faults, SingleSetup, play, record, shrink, simulate, sweep
from tests.support import S1, S2, S3, THREE, ballot
from tests.support import toy_log as log
from tests.support import two_phase_commit as tpc
from tests.support.toy_log import Append, Entry, log_setup, toy_log
from tests.support.two_phase_commit import Decision, commit_setup, two_phase_commit

# --- one decision: every rule is found by the simulator -----------------------------------------


def invents(state: Server, event: Event) -> Step:
    """A proposer proposes what nobody asked for."""
    return server.receive(state, Propose("tin") if type(event) is Propose else event)


def suspects(state: Server, event: Event) -> Step:
    """A server takes every choice for a lie."""
    if type(event) is From and type(event.message) is Chosen:
        raise InvariantError("a lie")
    return server.receive(state, event)


PLANTED = [
    (AGREEMENT, SingleSetup(protocol=PROTOCOLS["accept-everything"])),
    (VALIDITY, SingleSetup(protocol=Protocol("invents", "", invents))),
    (
        ONE_VALUE,
        SingleSetup(
            proposers=1,
            readers=0,
            protocol=PROTOCOLS["round-reused"],
            faults=Faults(crashes=6, loss=80),
        ),
    ),
    (REPORTED, SingleSetup(protocol=PROTOCOLS["read-not-completed"])),
    (LINEARIZABLE, SingleSetup(protocol=PROTOCOLS["nothing-from-one"])),
    (KEPT, SingleSetup(protocol=PROTOCOLS["promise-not-raised"])),
    (SAVED, SingleSetup(protocol=PROTOCOLS["reply-before-save"])),
    (UNDISTURBED, SingleSetup(protocol=Protocol("suspects", "", suspects))),
]


def test_each_rule_has_a_fault() -> None:
    assert [rule for rule, _ in PLANTED] == list(RULES)


@pytest.mark.parametrize(("rule", "setup"), PLANTED, ids=RULES)
def test_a_planted_fault_is_found(rule: str, setup: SingleSetup) -> None:
    failure = sweep(range(2_000), evolve(setup, rules=(rule,))).failure
    assert failure is not None
    assert failure.broken == rule


# --- one decision: step by step -----------------------------------------------------------------


class Bench:
    """Three servers without a network, and what the checker says of them."""

    def __init__(self, machine: Single[str] | None = None, *rules: str) -> None:
        self.checker: SingleChecker = Checker(CLAIMS, rules or RULES)
        machine = machine or single()
        self.drivers = {
            me: Driver(machine, Place(me), THREE, (), self.checker) for me in (S1, S2, S3)
        }

    def hears(self, me: ServerId, message: Accept[str] | Prepare | Accepted[str]) -> None:
        self.drivers[me].take(From(S1, message))

    def says(self, me: ServerId, *effects: server.Effect[str]) -> None:
        self.checker.sent(Place(me), self.drivers[me].process, effects)

    def chosen(self) -> tuple[object, ...]:
        return self.checker.chosen

    def proposes(self, value: str) -> None:
        self.drivers[S3].take(Propose(value))


RED, BLUE = Accept(ballot("1.1"), "red"), Accept(ballot("2.2"), "blue")


def chosen(bench: Bench, accept: Accept[str] = RED) -> None:
    """S1 and S2 vote."""
    for me in S1, S2:
        bench.hears(me, accept)
        bench.drivers[me].save()


def test_a_vote_counts_once_it_is_durable() -> None:
    bench = Bench()
    bench.proposes("red")
    for me in S1, S2:
        bench.hears(me, RED)
    assert bench.chosen() == ()
    bench.drivers[S1].save()
    assert bench.chosen() == ()
    bench.drivers[S2].save()
    assert bench.chosen() == ("red",)
    assert bench.checker.broken is None


def test_a_vote_counts_that_was_saved_and_not_sent() -> None:
    bench = Bench()
    bench.proposes("red")
    for me in S1, S2:
        bench.hears(me, RED)
    bench.drivers[S1].stop("a crash after the save", durable=1)
    bench.drivers[S2].stop("a crash before the save")
    assert bench.chosen() == ()
    bench.hears(S3, RED)
    bench.drivers[S3].stop("a crash after the save", durable=2)
    assert bench.chosen() == ("red",)


def test_a_vote_that_has_left_counts() -> None:
    bench = Bench(None, AGREEMENT, VALIDITY)
    for me in S1, S2:
        bench.says(me, To(S3, Accepted(ballot("1.1"), "red")))
    assert bench.checker.broken == VALIDITY


def test_a_server_votes_once() -> None:
    bench = Bench(None, VALIDITY)
    for _ in range(2):
        bench.says(S1, To(S3, Accepted(ballot("1.1"), "red")))
    assert bench.chosen() == ()


def test_votes_under_two_ballots_do_not_add_up() -> None:
    bench = Bench(None, VALIDITY)
    bench.says(S1, To(S3, Accepted(ballot("1.1"), "red")))
    bench.says(S2, To(S3, Accepted(ballot("2.1"), "red")))
    assert bench.chosen() == ()


def test_two_votes_for_different_values_under_one_ballot() -> None:
    bench = Bench(None, ONE_VALUE)
    bench.says(S1, To(S3, Accepted(ballot("1.1"), "red")))
    assert bench.checker.broken is None
    bench.says(S2, To(S3, Accepted(ballot("1.1"), "blue")))
    assert bench.checker.broken == ONE_VALUE


def test_a_server_that_asks_for_two_values_under_one_ballot() -> None:
    bench = Bench(None, ONE_VALUE)
    bench.says(S1, Broadcast(RED))
    assert bench.checker.broken is None
    bench.says(S1, Broadcast(Accept(RED.ballot, "blue")))
    assert bench.checker.broken == ONE_VALUE


UNCOVERED: list[server.Effect[str]] = [
    Broadcast(Prepare(ballot("1.1"))),
    Broadcast(RED),
    To(S2, Promise[str](ballot("1.2"), None)),
    To(S2, Promise(ballot("3.2"), Proposal(ballot("1.1"), "red"))),
    To(S2, Accepted(ballot("1.1"), "red")),
]


@pytest.mark.parametrize("effect", UNCOVERED, ids=str)
def test_what_is_not_on_the_disk_must_not_leave(effect: server.Effect[str]) -> None:
    bench = Bench()
    bench.says(S1, effect)
    assert bench.checker.broken == SAVED


@pytest.mark.parametrize("effect", UNCOVERED, ids=str)
def test_what_is_on_the_disk_may(effect: server.Effect[str]) -> None:
    held = Proposal(ballot("1.1"), "red")
    disk: tuple[Record, ...] = (MaxRound(1), Acceptor(ballot("3.2"), held))
    bench = Bench()
    machine: Single[str] = single()
    driver = Driver(machine, Place(S1), THREE, disk)
    bench.checker.sent(Place(S1), driver.process, (effect,))
    assert bench.checker.broken is None


def test_a_report_of_what_is_not_chosen() -> None:
    bench = Bench()
    bench.says(S1, Tell(Done(ballot("1.1"), "red", True)))
    assert bench.checker.broken == REPORTED


@pytest.mark.parametrize("is_chosen_first", [True, False])
def test_nothing_is_chosen_below_where_nothing_was_found(is_chosen_first: bool) -> None:
    bench = Bench(None, REPORTED)
    if is_chosen_first:
        chosen(bench)
    bench.says(S3, Tell(NothingChosen(ballot("1.1"))))
    assert bench.checker.broken is None
    bench.says(S3, Tell(NothingChosen(ballot("2.2"))))
    if not is_chosen_first:
        assert bench.checker.broken is None
        chosen(bench)
    assert bench.checker.broken == REPORTED


@pytest.mark.parametrize("is_late", [True, False])
def test_a_read_that_finds_nothing(is_late: bool) -> None:
    bench = Bench(None, LINEARIZABLE)
    read = ReadId(0, 0)
    if is_late:
        chosen(bench)
    bench.drivers[S3].take(Read(read))
    chosen(bench)
    bench.says(S3, Tell(NotYetChosen(read)))
    assert (bench.checker.broken == LINEARIZABLE) == is_late


def test_a_read_under_an_id_that_was_used_before() -> None:
    bench = Bench(None, LINEARIZABLE)
    place, process = Place(S3), bench.drivers[S3].process
    bench.checker.stepped(place, Read(ReadId(0, 0)), process, process)
    bench.says(S3, Tell(NotYetChosen(ReadId(0, 0))))
    chosen(bench)
    bench.checker.stepped(place, Read(ReadId(0, 1)), process, process)
    assert bench.checker.broken is None
    bench.says(S3, Tell(NotYetChosen(ReadId(0, 0))))
    assert bench.checker.broken == LINEARIZABLE


def test_only_the_first_rule_that_was_asked_for_counts() -> None:
    bench = Bench(None, AGREEMENT, VALIDITY)
    bench.says(S1, To(S2, Accepted(ballot("1.1"), "red")))
    chosen(bench)
    chosen(bench, BLUE)
    assert bench.checker.broken == VALIDITY
    other = Bench(None, AGREEMENT)
    chosen(other)
    chosen(other, BLUE)
    assert other.checker.broken == AGREEMENT


def test_names_are_decisions_of_their_own() -> None:
    checker: SingleChecker = Checker(CLAIMS, (AGREEMENT,))
    machine: Single[str] = single()
    for name, accept in ("a", RED), ("b", BLUE):
        for me in S1, S2:
            driver = Driver(machine, Place(me, name), THREE, (), checker)
            driver.take(From(S1, accept))
            driver.save()
    assert checker.broken is None
    assert checker.chosen == ("red", "blue")


# --- other machines -----------------------------------------------------------------------------


def stores_unsaved(state: log.Server, event: log.Event) -> log.Step:
    """An entry is acknowledged before it is saved."""
    after, outbound = log.receive(state, event)
    if type(outbound) is AfterSave and type(event) is From:
        return after, Now(outbound.release(Saved((outbound.record,))))
    return after, outbound


def overwrites(state: log.Server, event: log.Event) -> log.Step:
    """An entry that comes again replaces another."""
    if isinstance(event, From) and isinstance(event.message, Entry) and state.entries:
        entry = Entry(state.entries[0].slot, event.message.number + 1)
        return evolve(state, entries=(entry, *state.entries[1:])), log.NOTHING
    return log.receive(state, event)


def reports_at_once(state: log.Server, event: log.Event) -> log.Step:
    """The primary reports as soon as it has stored an entry itself."""
    after, outbound = log.receive(state, event)
    if type(event) is Append and len(after.entries) > len(state.entries):
        return after, outbound.followed_by(Tell(after.entries[-1]))
    return after, outbound


def invents_entries(state: log.Server, event: log.Event) -> log.Step:
    """The primary writes another number."""
    return log.receive(state, Append(event.number + 100) if type(event) is Append else event)


LOG_FAULTS: list[tuple[str, Callable[[log.Server, log.Event], log.Step]]] = [
    (SAVED, stores_unsaved),
    (KEPT, overwrites),
    (REPORTED, reports_at_once),
    (VALIDITY, invents_entries),
]


class TestToyLog:
    """No line of the laboratory knows it."""

    @pytest.mark.parametrize("liveness", [False, True])
    def test_survives(self, liveness: bool) -> None:
        done = sweep(range(150), log_setup(liveness=liveness))
        assert done.failure is None
        assert done.decided > 100
        assert done.reports > 100
        assert {fault for fault in Fault if not done.met[fault]} <= {Fault.TORN_SAVE}

    @pytest.mark.parametrize(
        ("rule", "faulty"), LOG_FAULTS, ids=lambda it: getattr(it, "__name__", it)
    )
    def test_a_planted_fault_is_found_and_shrunk(
        self, rule: str, faulty: Callable[[log.Server, log.Event], log.Step]
    ) -> None:
        setup = log_setup(evolve(toy_log(), receive=faulty))
        failure = sweep(range(500), setup).failure
        assert failure is not None
        assert failure.broken == rule
        _, acts = record(failure.seed, setup)
        shortest = shrink(setup, acts, rule)
        assert shortest.broken == rule
        assert len(shortest.acts) <= 8

    def test_slots_are_decisions_of_their_own(self) -> None:
        run = simulate(1, log_setup(liveness=True))
        assert len(run.chosen) > 1
        assert run.broken is None

    def test_a_schedule_repeats_the_run(self) -> None:
        for seed in range(20):
            run, acts = record(seed, log_setup())
            assert run.broken is None
            assert play(log_setup(), acts).acts == acts
            assert simulate(seed, log_setup()) == run


def always_presumes_abort(state: tpc.Server, event: tpc.Event) -> tpc.Step:
    """A coordinator answers as if it had decided nothing."""
    if isinstance(event, From) and isinstance(event.message, tpc.Ask):
        return state, Now((To(event.sender, Decision(commit=False)),))
    return tpc.receive(state, event)


def forgets_a_vote(state: tpc.Server, event: tpc.Event) -> tpc.Step:
    """A participant votes anew each time it is asked."""
    return tpc.receive(evolve(state, voted=None), event)


COMMIT_FAULTS: list[tuple[str, Callable[[tpc.Server, tpc.Event], tpc.Step]]] = [
    (ONE_VALUE, always_presumes_abort),
    (KEPT, forgets_a_vote),
]


class TestTwoPhaseCommit:
    """The laboratory does not know this one either."""

    def test_survives(self) -> None:
        done = sweep(range(300), commit_setup())
        assert done.failure is None
        assert done.reports > 300

    @pytest.mark.parametrize(
        ("rule", "faulty"), COMMIT_FAULTS, ids=lambda it: getattr(it, "__name__", it)
    )
    def test_a_planted_fault_is_found(
        self, rule: str, faulty: Callable[[tpc.Server, tpc.Event], tpc.Step]
    ) -> None:
        setup = evolve(commit_setup(evolve(two_phase_commit(), receive=faulty)), rules=(rule,))
        failure = sweep(range(2_000), setup).failure
        assert failure is not None
        assert failure.broken == rule
