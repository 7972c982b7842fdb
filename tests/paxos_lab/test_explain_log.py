"""Explanations of a log: which replica leads, what is chosen, what the window waits for."""

from __future__ import annotations

from collections import defaultdict

import pytest

from paxos import From, ServerId, majority
from paxos.log import (
    Accept,
    Accepted,
    CatchUp,
    Change,
    Command,
    Committed,
    Heartbeat,
    Lead,
    Noop,
    Prepare,
    Promise,
    Propose,
    Read,
)
from paxos.log.replica import Replica
from paxos_lab.explain import (
    Agreed,
    KnownReplica,
    LogEvidence,
    Undecided,
    Waiting,
    explain_log,
    explain_slot,
    of_log,
)
from paxos_lab.machines.log_view import LogView, log_view
from paxos_lab.record import LogTrace, Trace
from paxos_lab.record.timeline import votes
from paxos_lab.simulate.log import LogSetup
from paxos_lab.simulate.schedules import play
from paxos_lab.simulate.simulator import record
from tests.support import S1, S2, S3, S4, THREE, ballot
from tests.support.logs import SMALL, fresh, held, memory, step

ONE, TWO = ballot("1.1"), ballot("2.2")
VIEW: LogView[str] = log_view()


def leading(*voters: ServerId) -> Replica[str]:
    """S1, which leads and has proposed red; ``voters`` have accepted it."""
    state, _ = step(fresh(S1), Lead())
    for me in S1, S2:
        state, _ = step(state, From(me, Promise(ONE, 1, 1, (), True)))
    state, _ = step(state, Propose(Command("red")))
    if S1 in voters:
        state, _ = step(state, From(S1, Accept(ONE, 1, Command("red"), 1)))
    for me in voters:
        state, _ = step(state, From(me, Accepted(ONE, 1)))
    return state


def following(me: ServerId, *, first: int = 1) -> Replica[str]:
    """A replica that has promised 1.1, accepted red in slot 1, and hears its leader."""
    state, _ = step(fresh(me), From(S1, Prepare(ONE, 1)))
    state, _ = step(state, From(S1, Accept(ONE, 1, Command("red"), first)))
    return step(state, From(S1, Heartbeat(ONE, True, True, first)))[0]


def evidence(*replicas: Replica[str]) -> LogEvidence[str]:
    """All that ``replicas`` hold is durable."""
    known = {it.me: KnownReplica(it.memory, it) for it in replicas}
    return LogEvidence(THREE, SMALL, known)


def test_a_leader_its_word_and_what_its_first_open_slot_waits_for() -> None:
    found = explain_log(evidence(leading(S1), fresh(S2), fresh(S3)))

    (leads,) = found.leaders
    assert (leads.ballot, leads.promised) == (ONE, frozenset((S1, S2)))
    assert (leads.in_flight, leads.room, leads.reads) == (1, 3, 0)
    ((slot, open_),) = found.slots
    assert slot == found.first == 1
    assert isinstance(open_, Undecided)
    assert isinstance(open_.cause, Waiting)
    assert (open_.cause.phase, open_.cause.answered) == (2, frozenset((S1,)))
    assert not found.is_decided
    assert found.text.splitlines()[:4] == [
        "S1 leads under 1.1, which S1 and S2 have promised. 1 slot is in flight, and 3 more may be "
        "proposed.",
        "No slot is known to be chosen.",
        "Slot 1: Nothing is chosen.",
        "1.1 of S1 waits for acceptances: it has those of S1, and needs 1 more of S2 and S3.",
    ]


def test_its_followers_and_which_replica_is_behind() -> None:
    found = explain_log(evidence(leading(S1, S2), following(S2), following(S3, first=2)))

    assert found.first == 2
    assert found.behind == ((S2, 1),)
    assert found.leaders[0].followers == {S2, S3}
    assert found.is_decided
    assert found.text.splitlines() == [
        "S1 leads under 1.1, which S1 and S2 have promised. S2 and S3 follow it.",
        "All slots below 2 are chosen.",
        "S2 knows those below 1, and catches up.",
        "Nothing is open: all that was proposed is chosen.",
    ]


def test_a_leader_that_others_have_left() -> None:
    """S1 still believes that it leads; S2 and S3 have promised more."""
    later, _ = step(following(S2), Lead())
    third, _ = step(following(S3), From(S2, Prepare(ballot("2.2"), 1)))
    found = explain_log(evidence(leading(), later, third))

    assert found.leaders[0].refusing == {S2, S3}
    assert found.leaders[0].followers == frozenset()
    (candidate,) = found.candidates
    assert (candidate.ballot, candidate.promised) == (TWO, frozenset())
    assert len(candidate.needed) == 2
    first, second, *_ = found.text.splitlines()
    assert "S2 and S3 have promised more, and will not vote for it." in first
    assert second == (
        "S2 asks for promises of 2.2, and has those of no server. It needs 2 of S1, S2 and S3."
    )


def test_a_candidate_that_does_not_know_enough_catches_up_first() -> None:
    state, _ = step(fresh(S1), Lead())
    for me, first in ((S1, 1), (S2, 7)):
        state, _ = step(state, From(me, Promise(ONE, 1, first, (), True)))
    text = explain_log(evidence(state, fresh(S3))).text

    assert "It needs" not in text
    assert "All below slot 7 is chosen, as S2 has promised; it knows what is below 1" in text


def test_a_full_window_and_reads_that_wait() -> None:
    state = leading(S1)
    for _ in range(SMALL.window - 1):
        state, _ = step(state, Propose(Command("more")))
    for number in 1, 2:
        state, _ = step(state, Read(number))
    found = explain_log(evidence(state, fresh(S2), fresh(S3)))

    assert found.leaders[0].text.endswith(
        "4 slots are in flight, and the window is full. 2 reads wait."
    )
    assert found.text.splitlines()[-1] == "Slot 4: 'more' under 1.1, accepted by no server."


def test_too_few_are_up() -> None:
    known = {
        S1: KnownReplica(leading(S1).memory, leading(S1)),
        S2: KnownReplica(memory(first=3)),
        S3: KnownReplica(memory()),
    }
    found = explain_log(LogEvidence(THREE, SMALL, known))

    assert found.too_few is not None
    assert found.too_few.up == {S1}
    assert found.too_few.missing == {S2, S3}
    assert found.down == {S2, S3}
    assert "Only S1 is up, which is not a quorum: 1 more of S2 and S3 must come back." in found.text
    assert "S3 knows those below 1 when it went down." in found.text


def test_none_leads() -> None:
    found = explain_log(evidence(fresh(S1), fresh(S2), fresh(S3)))

    assert found.text.startswith("No server leads, and none asks to")
    assert found.is_decided


def test_a_slot_behind_the_first_that_nothing_is_proposed_for() -> None:
    """A candidate has found a gap."""
    state = following(S2)
    state, _ = step(state, From(S1, Accept(ONE, 3, Command("blue"), 1)))
    lines = explain_log(evidence(fresh(S1), state, fresh(S3))).text.splitlines()

    assert lines[-2:] == [
        "Slot 2: nothing is accepted.",
        "Slot 3: 'blue' under 1.1, accepted by S2.",
    ]


def test_which_quorum_governs_a_slot_is_said_by_the_changes_that_are_chosen() -> None:
    two = majority([S1, S4])
    log = (held("1.1", Change(two)), held("1.1", Noop()))
    state, _ = step(fresh(S1), From(S2, CatchUp(1, log)))
    known = {S1: KnownReplica(state.memory, state), S4: KnownReplica(state.memory, state)}
    proposals = dict(enumerate(log, 1))
    given = LogEvidence(THREE, SMALL, known, proposals)

    assert [it.slot for it in given.configurations] == [1, 5]
    assert "From slot 5 on, S1 and S4 are the members." in explain_log(given).text
    present, later = explain_slot(given, 4), explain_slot(given, 5)
    assert isinstance(present, Undecided)
    assert isinstance(later, Undecided)
    assert (present.quorum, later.quorum) == (THREE, two)
    assert explain_slot(given, 1).text.startswith("'members 1,4' is chosen under 1.1: as reported")


# --- runs -----------------------------------------------------------------------------------------

PARTS = 4


@pytest.mark.parametrize("seed", range(8))
def test_what_is_said_of_a_simulated_log_is_what_its_votes_and_reports_say(seed: int) -> None:
    """Each slot is held against a count of the durable votes, at several moments of a run."""
    setup = LogSetup(servers=5 if seed % 3 == 0 else 3)
    _, acts = record(seed, setup)
    slots = 0
    for part in range(1, PARTS + 1):
        trace: LogTrace[str] = Trace()
        play(setup, acts[: len(acts) * part // PARTS], trace=trace)
        given = of_log(trace)
        log = explain_log(given)
        chosen = counted(trace)
        firsts = [it.memory.first for it in trace.states.values()]
        assert log.first >= max(firsts, default=1)
        for slot in range(1, log.first):
            assert explain_slot(given, slot).is_decided
        for slot, found in log.slots:
            assert isinstance(found, Agreed) == (slot in chosen)
            if isinstance(found, Agreed):
                assert found.value == chosen[slot]
        slots += log.first - 1
        assert all(
            committed(trace, slot) == {explained(given, slot)} for slot in range(1, max(firsts))
        )
    assert slots


def explained(given: LogEvidence[str], slot: int) -> str:
    found = explain_slot(given, slot)
    assert isinstance(found, Agreed)
    return found.value


def committed(trace: LogTrace[str], slot: int) -> set[str]:
    """What replicas have reported of ``slot``, in words."""
    said = set[str]()
    for step_ in trace.steps:
        for report in step_.reports:
            if type(report) is Committed and slot in range(
                report.slot, report.slot + len(report.proposals)
            ):
                one = Committed(slot, (report.proposals[slot - report.slot],))
                said.add(VIEW.told(one).removeprefix(f"commits {slot}: "))
    return said


def counted(trace: LogTrace[str]) -> dict[int, str]:
    """The entries that a quorum has durably accepted under one ballot."""
    assert trace.quorum is not None
    voters = defaultdict[object, set[ServerId]](set)
    chosen: dict[int, str] = {}
    on_disk = ((me, it) for (me, _), disk in trace.disks.items() for it in disk)
    held_ = ((me, vote) for me, it in on_disk for vote in VIEW.votes(it))
    for me, vote in (*(it for step_ in trace.steps for it in votes(step_, VIEW)), *held_):
        voters[vote].add(me)
        if trace.quorum.is_phase2(voters[vote]):
            chosen[vote.slot] = str(vote.value)
    return chosen
