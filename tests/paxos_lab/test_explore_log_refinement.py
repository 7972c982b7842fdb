"""Every explored step of a log, projected on each slot, is a step of Basic Paxos."""

from __future__ import annotations

import pytest
from attrs import evolve

from paxos import From
from paxos.log import Accept, Prepare, replica
from paxos.log.events import Event
from paxos.log.replica import Replica, Step
from paxos_adapters.log import LogReceive
from paxos_lab.explore.log_refinement import refine_log
from paxos_lab.explore.log_scope import Heartbeats, LogScope
from paxos_lab.explore.specification import Action
from paxos_lab.machines.faulty_log import LOG_PROTOCOLS
from paxos_lab.machines.log_protocols import LogProtocol

PAXOS = Action.PHASE_1A, Action.PHASE_1B, Action.PHASE_2A, Action.PHASE_2B


@pytest.mark.parametrize(
    ("scope", "states", "steps", "actions"),
    [
        (LogScope(), 10_138, 31_121, (210, 6_334, 840, 9_095)),
        (LogScope(servers=2, slots=2), 6_464, 17_244, (496, 2_310, 519, 6_074)),
        pytest.param(
            *(LogScope(crashes=1), 23_717, 77_421, (302, 12_755, 1_615, 21_913)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(LogScope(heartbeats=Heartbeats.LEADERS), 86_912, 304_948),
            (632, 51_942, 1_917, 32_339),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_step_of_every_slot_is_one_of_basic_paxos(
    scope: LogScope, states: int, steps: int, actions: tuple[int, ...]
) -> None:
    """The table of docs/exploring.md."""
    system, found = refine_log(scope)

    assert (found.violation, found.exhausted) == (None, True)
    assert (found.states, found.transitions) == (states, steps)
    assert tuple(system.seen[it] for it in PAXOS) == actions


@pytest.mark.parametrize(
    ("name", "steps", "broken"),
    [
        ("found-dropped", 13, "the 1b messages of no quorum allow the value"),
        ("base-ignored", 16, "the 1b messages of no quorum allow the value"),
        ("first-hidden", 16, "the 1b messages of no quorum allow the value"),
        pytest.param("first-believed", 19, "no quorum has voted for it", marks=pytest.mark.slow),
    ],
)
def test_the_first_step_of_a_broken_log_that_is_none(name: str, steps: int, broken: str) -> None:
    heartbeats = Heartbeats.LEADERS if name == "first-believed" else Heartbeats.NONE
    _, found = refine_log(LogScope(heartbeats=heartbeats, protocol=LOG_PROTOCOLS[name]))

    assert found.violation is not None
    assert len(found.violation.run) == steps
    assert broken in (found.violation.end.wrong or "")


def keeps_no_vote(state: Replica[str], event: Event[str]) -> Step[str]:
    """A Prepare empties the slots."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Prepare:
        return evolve(after, memory=evolve(after.memory, open=())), outbound
    return after, outbound


def raises_no_promise(state: Replica[str], event: Event[str]) -> Step[str]:
    """An Accept leaves the promise where it was."""
    after, outbound = replica.receive(state, event)
    if type(event) is From and type(event.message) is Accept:
        memory = evolve(after.memory, promised=state.memory.promised)
        return evolve(after, memory=memory), outbound
    return after, outbound


@pytest.mark.parametrize(
    ("receive", "broken"),
    [
        (keeps_no_vote, "slot 1: Paxos: a step that sends nothing"),
        (raises_no_promise, "slot 1: Paxos: Phase2b"),
    ],
)
def test_an_acceptor_that_is_broken(receive: LogReceive[str], broken: str) -> None:
    _, found = refine_log(LogScope(protocol=LogProtocol("broken", "", receive)))

    assert found.violation is not None
    assert (found.violation.end.wrong or "").startswith(broken)
