"""The explorer of logs: what it reaches, what it forgets, and what it finds in broken logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import evolve

from paxos import NO_BALLOT, AfterSave, Broadcast, From, Now, Saved, ServerId, majority, weighted
from paxos.log import (
    Accept,
    Accepted,
    Command,
    Lead,
    Prepare,
    Promise,
    Propose,
    WindowFull,
    replica,
)
from paxos.log.events import Event, LogTimer, Report
from paxos.log.leader import Leading
from paxos.log.memory import Record
from paxos.log.messages import Message
from paxos.log.replica import Replica, Step
from paxos_adapters.arguments import BadNumber
from paxos_adapters.log import LogReceive
from paxos_lab.explore.cluster import ClusterState, ClusterSystem
from paxos_lab.explore.log import LogState, LogSystem, explore_log
from paxos_lab.explore.log_checking import refuted
from paxos_lab.explore.log_claims import CLAIMED
from paxos_lab.explore.log_processes import LogProcessState
from paxos_lab.explore.log_recorded import found_run, read, rerun, write
from paxos_lab.explore.log_scope import Heartbeats, LogScope
from paxos_lab.explore.scopes import ScopeError
from paxos_lab.explore.search import explore
from paxos_lab.machines.faulty_log import BROKEN_LOGS, LOG_PROTOCOLS
from paxos_lab.machines.log_protocols import LogProtocol
from paxos_lab.record import LogTrace, RecordingError, Trace, is_of_log
from paxos_lab.rules import (
    AGREEMENT,
    KEPT,
    LOG_RULES,
    ONE_VALUE,
    REPORTED,
    SAVED,
    UNDISTURBED,
    VALIDITY,
    WINDOW,
)
from tests.support import S1, S2, S3, S4

ClusterLogState: TypeAlias = ClusterState[
    Replica[str], Message[str], LogTimer, Record[str], Report[str]
]

SMALL = LogScope(servers=2)
"""Small enough to forget nothing."""


TWO_OF_THREE = LogScope(slots=2, window=1, change=majority((S1, S2)))
NEWCOMER = LogScope(
    slots=2,
    heartbeats=Heartbeats.LEADERS,
    window=1,
    founders=majority((S1, S2)),
    change=majority((S2, S3)),
)
UNEVEN = LogScope(slots=2, window=1, change=weighted({S1: 2, S2: 1}))
"""The first leader changes the members, by slot 1 for slot 2."""


def title(it: object) -> str:
    """A scope in a few words."""
    if not isinstance(it, LogScope):
        return ""
    few = f"{it.slots} slots {it.ballots} ballots {it.leaders} leaders {it.crashes} crashes"
    return f"{few} window {it.rules.window} heartbeats {it.heartbeats.value}"


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (LogScope(), (3_430, 12_893, 23)),
        (LogScope(crashes=1), (6_613, 28_076, 24)),
        (LogScope(heartbeats=Heartbeats.LEADERS), (20_677, 84_330, 28)),
        pytest.param(
            LogScope(heartbeats=Heartbeats.ALL), (86_420, 411_779, 30), marks=pytest.mark.slow
        ),
        pytest.param(LogScope(slots=2, window=1), (153_208, 657_991, 36), marks=pytest.mark.slow),
        pytest.param(LogScope(leaders=3), (146_077, 661_997, 31), marks=pytest.mark.slow),
        pytest.param(LogScope(ballots=2), (434_652, 2_134_348, 35), marks=pytest.mark.slow),
        pytest.param(LogScope(slots=2), (357_820, 2_260_653, 37), marks=pytest.mark.slow),
    ],
    ids=title,
)
def test_every_rule_holds_and_no_claim_is_refuted(
    scope: LogScope, counts: tuple[int, int, int]
) -> None:
    """The table of docs/exploring.md."""
    system, found = explore_log(scope)

    assert (found.violation, found.exhausted, found.never) == (None, True, frozenset())
    assert system.scope.forgets == CLAIMED
    assert (found.states, found.transitions, found.depth) == counts


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (NEWCOMER, (1_574, 3_538, 34)),
        (evolve(NEWCOMER, crashes=1), (5_495, 14_673, 36)),
        pytest.param(TWO_OF_THREE, (139_683, 615_093, 36), marks=pytest.mark.slow),
        pytest.param(UNEVEN, (145_079, 634_248, 36), marks=pytest.mark.slow),
    ],
    ids=title,
)
def test_every_rule_holds_while_members_change(
    scope: LogScope, counts: tuple[int, int, int]
) -> None:
    """The table of docs/exploring.md. Two founders must both promise, so only one of them leads."""
    system, found = explore_log(scope)

    alone = scope.founders is not None
    assert found.never == ({"two servers lead"} if alone else frozenset())
    assert (found.violation, found.exhausted) == (None, True)
    assert system.scope.forgets == CLAIMED
    assert (found.states, found.transitions, found.depth) == counts


def test_new_members_that_decide_nothing_are_noticed() -> None:
    """Without a heartbeat nobody asks the newcomer for a promise."""
    _, found = explore_log(evolve(NEWCOMER, heartbeats=Heartbeats.NONE))

    assert found.never == {"two servers lead", "new members choose"}


# --- what is forgotten ----------------------------------------------------------------------------


@pytest.mark.parametrize("crashes", [0, 1])
def test_what_is_forgotten_hides_no_state_of_a_replica(crashes: int) -> None:
    """Without forgetting there are more states of the whole log, and the same of its replicas."""
    scope = LogScope(servers=2, crashes=crashes)
    system, found = explore_log(scope)
    whole, all_ = explore_log(evolve(scope, forgets=frozenset()))

    assert found.exhausted
    assert all_.exhausted
    assert found.states < all_.states
    assert set(system.processes.known.all) == set(whole.processes.known.all)


@pytest.mark.slow
def test_how_much_forgetting_saves() -> None:
    """Votes and promises that are never forgotten leave 53 times as many states."""
    scope = LogScope(forgets=CLAIMED - {Accepted, Promise})

    assert explore_log(scope)[1].states == 182_524


def proposes_in_order(state: Replica[str], event: Event[str]) -> Step[str]:
    """The log whose program names the slot that an entry is for, as the explorer's does."""
    if type(event) is Propose and type(state.role) is Leading:
        slot = state.memory.first + len(state.role.in_flight)
        if event.entry != SMALL.entry(state.me, slot):
            raise WindowFull(slot)
    return replica.receive(state, event)


@pytest.mark.parametrize("servers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_explorer_of_any_machine_reaches_the_same_replicas(servers: int) -> None:
    """It leaves nothing out, and knows nothing of logs."""
    scope = LogScope(servers=servers, leaders=1)
    system, _ = explore_log(scope)
    leader = ServerId(1)
    cluster = ClusterSystem(
        evolve(scope.machine, receive=proposes_in_order),
        scope.quorum,
        ((leader, Lead()), (leader, Propose(scope.entry(leader, 1)))),
    )
    seen: set[LogProcessState] = set()

    def look(state: ClusterLogState) -> bool:
        for it in state.processes:
            if not it.waiting:
                ballots = int(it.state.me == leader and 0 in state.requests)
                plain = system.processes.plain(it.state, ballots)
                seen.add(LogProcessState(plain, it.disk, ballots))
        return True

    found = explore(cluster, always={"": look})
    assert found.exhausted
    assert seen == set(system.processes.known.all)


@pytest.mark.parametrize("kind", sorted(CLAIMED, key=str), ids=lambda it: it.__name__)
def test_a_claim_about_each_kind_is_tried_out(kind: type[object]) -> None:
    """A claim that a kind of messages is always ignored is refuted, and no other is."""
    system = LogSystem(evolve(SMALL, heartbeats=Heartbeats.LEADERS))
    assert explore(system).exhausted
    assert next(refuted(system.processes), None) is None

    known = system.processes
    those = [it for it in known.sent.all if type(it.message) is kind]
    for number, it in enumerate(known.known.all):
        for sent in those:
            if sent.receiver == it.state.me:
                known.forgotten[number] |= known.sent.bit(sent)
    assert {type(it.sent.message) for it in refuted(known)} == {kind}


def test_a_claim_that_is_wrong_is_refuted() -> None:
    """Votes under an earlier ballot count in a broken log, so they must not be forgotten."""
    broken = LOG_PROTOCOLS["old-votes-counted"]
    system = LogSystem(evolve(SMALL, ballots=2, protocol=broken))
    assert explore(system).exhausted

    wrong = next(refuted(system.processes))
    assert type(wrong.sent.message) is Accepted


# --- broken logs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scope", "rule", "events"),
    [
        ("first-believed", LogScope(heartbeats=Heartbeats.LEADERS), REPORTED, 19),
        ("found-dropped", LogScope(), AGREEMENT, 16),
        ("base-ignored", LogScope(), AGREEMENT, 18),
        ("first-hidden", LogScope(), AGREEMENT, 18),
        pytest.param(
            *("old-votes-counted", LogScope(servers=2, ballots=2), REPORTED, 15),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("lowest-found", LogScope(ballots=2), AGREEMENT, 22), marks=pytest.mark.slow),
        ("quorums-outlived", UNEVEN, AGREEMENT, 20),
    ],
)
def test_a_broken_rule_has_a_shortest_run(
    name: str, scope: LogScope, rule: str, events: int, tmp_path: Path
) -> None:
    """Drawn, recorded, and drawn again from the recording."""
    system, found = explore_log(evolve(scope, protocol=LOG_PROTOCOLS[name]))
    assert found.violation is not None
    run = found_run(system, found.violation)
    write(tmp_path / "run.jsonl", system, found.violation)

    assert (run.rule, run.events) == (rule, events)
    assert len({it.step for it in run.picture.moments}) >= events
    assert read(tmp_path / "run.jsonl") == run


def votes_twice(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader asks for another entry under the same ballot when it hears a vote."""
    after, outbound = replica.receive(state, event)
    role = state.role
    if type(role) is Leading and type(event) is From and type(event.message) is Accepted:
        other = Accept(role.ballot, event.message.slot, Command("other"), state.memory.first)
        return after, outbound.followed_by(Broadcast(other))
    return after, outbound


def forgets_its_promise(state: Replica[str], event: Event[str]) -> Step[str]:
    """A Prepare is answered, and the promise taken back."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        return evolve(after, memory=evolve(after.memory, promised=NO_BALLOT)), outbound
    return after, outbound


def answers_before_saving(state: Replica[str], event: Event[str]) -> Step[str]:
    """A vote leaves at once, and its record is not saved."""
    after, outbound = replica.receive(state, event)
    if type(outbound) is AfterSave and type(event) is From and type(event.message) is Accept:
        return after, Now(outbound.release(Saved((outbound.record,))))
    return after, outbound


def opens_another_slot(state: Replica[str], event: Event[str]) -> Step[str]:
    """An Accept opens one slot more than the window has."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Accept and after.memory.open:
        open_ = (*after.memory.open, None)
        return evolve(after, memory=evolve(after.memory, open=open_)), outbound
    return after, outbound


def proposes_what_nobody_asked_for(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader proposes an entry of its own."""
    if type(event) is Propose:
        event = Propose(Command("other"))
    return replica.receive(state, event)


@pytest.mark.parametrize(
    ("receive", "rule"),
    [
        (votes_twice, ONE_VALUE),
        (forgets_its_promise, KEPT),
        (answers_before_saving, SAVED),
        (opens_another_slot, WINDOW),
        (proposes_what_nobody_asked_for, VALIDITY),
    ],
)
def test_each_rule_can_break(receive: LogReceive[str], rule: str) -> None:
    protocol = LogProtocol("broken", "", receive)
    _, found = explore_log(LogScope(protocol=protocol))

    assert found.violation is not None
    assert found.violation.rule == rule


def test_a_replica_that_finds_the_protocol_broken_breaks_a_rule() -> None:
    """If two entries under one ballot are not looked for, an acceptor finds them."""
    protocol = LogProtocol("broken", "", votes_twice)
    rules = [it for it in LOG_RULES if it != ONE_VALUE]
    _, found = explore_log(LogScope(protocol=protocol), rules=rules)

    assert found.violation is not None
    assert found.violation.rule == UNDISTURBED


def test_every_broken_log_is_told_apart_by_its_name() -> None:
    assert set(LOG_PROTOCOLS) == {"log", *(it.name for it in BROKEN_LOGS)}
    assert len(BROKEN_LOGS) == 7
    assert all(it.summary[0].islower() and it.summary[-1] != "." for it in BROKEN_LOGS)


def nothing_follows_a_crash(state: LogState) -> bool:
    return state.crashes > 0 or state.chosen == 0 or state.votes > 0


@pytest.mark.parametrize(
    ("scope", "rule"),
    [
        (LogScope(heartbeats=Heartbeats.LEADERS, protocol=LOG_PROTOCOLS["first-believed"]), None),
        (LogScope(crashes=1), nothing_follows_a_crash),
    ],
    ids=["heartbeats", "a crash"],
)
def test_a_run_of_the_log_itself_leads_to_the_replicas_that_were_explored(
    scope: LogScope, rule: Callable[[LogState], bool] | None
) -> None:
    """The states of a driver have all that a scope leaves out of them."""
    system = LogSystem(scope)
    reported = system.breaks(REPORTED)
    found = explore(system, always={"": rule or (lambda state: not reported(state))})
    assert found.violation is not None
    trace: LogTrace[str] = Trace()
    rerun(system, found.violation, trace)

    for me, it in zip(system.processes.servers, system.replicas(found.violation.end), strict=True):
        assert system.processes.plain(trace.states[me, ""], it.ballots) == it.state
        assert trace.disks[me, ""] == it.disk


# --- scopes and recordings ------------------------------------------------------------------------


def test_scopes_that_cannot_be() -> None:
    with pytest.raises(ScopeError, match="4 leaders among 3 servers"):
        LogScope(leaders=4)
    with pytest.raises(BadNumber):
        LogScope(slots=0)
    with pytest.raises(BadNumber):
        LogScope(crashes=-1)
    with pytest.raises(ScopeError, match=r"1, 4\] are not all among the servers 1 to 3"):
        LogScope(change=majority((S1, S4)))


def test_a_log_in_which_little_happens_says_so() -> None:
    """Two leaders of two servers cannot both lead: each is asked for its promise."""
    _, found = explore_log(SMALL)

    assert found.never == {"two servers lead"}


def test_a_recording_that_is_not_of_the_explorer(tmp_path: Path) -> None:
    system, found = explore_log(LogScope(protocol=LOG_PROTOCOLS["found-dropped"]))
    assert found.violation is not None
    path = tmp_path / "run.jsonl"
    write(path, system, found.violation)
    assert is_of_log(path)

    path.write_bytes(path.read_bytes().replace(b'"rule"', b'"role"', 1))
    with pytest.raises(RecordingError):
        read(path)
