"""Counterexamples of the explorer as recordings and pictures, and back.

- A process of the explorer is a lane of its own: A2 is what server 2 does as an acceptor, P2 what
  it does as a proposer. Both speak as server 2.
- What was explored is among the facts, so that the explorer can take the same run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from paxos import InvariantError, ServerId, server
from paxos_adapters.codecs import TEXT
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleDriver, SingleObserver, single
from paxos_lab.explore.counterexamples import (
    Act,
    Counterexample,
    RunStep,
    choices,
    name,
    words,
)
from paxos_lab.explore.interleavings import Crash, Interleavings
from paxos_lab.explore.scopes import Scope
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.record.entries import Ended, Freed, Took
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.reading import discard
from paxos_lab.record.recorder import Recorder
from paxos_lab.record.replay import Replay, replay
from paxos_lab.record.timeline import Timeline, single_timeline
from paxos_lab.record.trace import SingleStep, SingleTrace, Trace

RUNTIME = "exploration"
COUNTS = "acceptors", "proposers", "readers", "inquirers", "reads", "ballots", "crashes"


def write(path: Path, example: Counterexample) -> None:
    """Record the run of ``example``, in place of what is there.

    Raises OutputRefused, and what has ended the recording.
    """
    scope = example.scope
    facts = {count: str(getattr(scope, count)) for count in COUNTS} | {"rule": example.rule}
    discard(path)
    with Recorder(
        path,
        codec=TEXT,
        runtime=RUNTIME,
        protocol=scope.protocol.name,
        facts=facts,
        lanes=lanes(scope),
    ) as recorder:
        rerun(example, recorder)
    if recorder.failure is not None:
        raise recorder.failure


def rerun(example: Counterexample, observer: SingleObserver[str]) -> None:
    """Take the run of ``example`` again, told to ``observer``. Time is the number of the act."""
    observer.set_time(0)
    scope, ids = example.scope, example.system.processes.ids
    machine = single(scope.protocol.receive, scope.protocol.name)
    places = [Place(me, lane=_lane(process)) for process, me in enumerate(ids)]
    drivers = [Driver(machine, place, scope.quorum, (), observer) for place in places]
    for number, taken in enumerate(example.run, start=1):
        observer.set_time(number)
        process = taken.act.process
        disk = _act(drivers[process], taken.act)
        if taken.act.crash is not Crash.NONE:
            drivers[process] = Driver(machine, places[process], scope.quorum, disk, observer)


def picture(example: Counterexample) -> Timeline:
    """The run of ``example``, ready to be drawn, without the messages that never arrive."""
    scope = example.scope
    trace: SingleTrace[str] = Trace(lane_names={str(it): name for it, name in lanes(scope).items()})
    rerun(example, trace)
    return evolve(single_timeline(trace).delivered, lanes=lanes(scope))


def lanes(scope: Scope) -> dict[ServerId, str]:
    """The lanes, from left to right: the first client, the acceptors, the others."""
    first, *others = range(scope.acceptors, scope.acceptors + scope.clients)
    order = (first, *range(scope.acceptors), *others)
    return {_lane(process): name(scope, process) for process in order}


def _lane(process: int) -> ServerId:
    return ServerId(process + 1)


def _act(driver: SingleDriver[str], act: Act) -> tuple[server.Record[str], ...]:
    """Take one act; the disk that is left if the process crashes."""
    if act.event is not None:
        with suppress(InvariantError):  # The observer is told.
            driver.take(act.event)
    if act.crash is not Crash.BEFORE_SENDING:
        driver.save()
    if act.crash is Crash.NONE:
        return driver.process.disk
    return driver.stop(act.crash.value, len(driver.process.waiting))


def read(path: Path) -> Counterexample:
    """Play the recording at ``path`` again. Raises OSError, and RecordingError if it differs."""
    found = replay(path)
    if found.difference is not None:
        raise RecordingError(f"{found.difference.text}: the protocol has changed since.")
    header = found.headers[0]
    try:
        acceptors, proposers, readers, inquirers, reads, ballots, crashes = (
            int(header.facts[it]) for it in COUNTS
        )
        scope = Scope(
            acceptors=acceptors,
            proposers=proposers,
            readers=readers,
            inquirers=inquirers,
            reads=reads,
            ballots=ballots,
            crashes=crashes,
            protocol=PROTOCOLS[header.protocol],
            quorum=header.quorum,
            reduced=False,
        )
        rule = header.facts["rule"]
    except (KeyError, ValueError) as error:
        raise RecordingError(
            f"{path} is a recording, but not of the explorer ({type(error).__name__}: {error}): "
            "paxos replay plays it."
        ) from error
    system = Interleavings(scope)
    return Counterexample(rule, system, tuple(_taken(system, _acts(found))))


def _acts(found: Replay) -> Iterator[Act]:
    steps = [it for it in found.steps if isinstance(it.entry.what, Took | Freed | Ended)]
    for place, step in enumerate(steps):
        process, what = step.entry.server - 1, step.entry.what
        if isinstance(what, Took):
            is_unsent = what.waits and _is_end(steps, place + 1)
            yield Act(process, what.event, Crash.BEFORE_SENDING if is_unsent else Crash.NONE)
        elif isinstance(what, Ended) and what.why != Crash.BEFORE_SENDING.value:
            yield Act(process, None, Crash.AT_REST)


def _is_end(steps: Sequence[SingleStep[str]], place: int) -> bool:
    return place < len(steps) and isinstance(steps[place].entry.what, Ended)


def _taken(system: Interleavings, acts: Iterator[Act]) -> Iterator[RunStep]:
    (state,) = system.start()
    for number, act in enumerate(acts, start=1):
        after = dict(choices(system, state)).get(act)
        if after is None:
            raise RecordingError(
                f"event {number} was {words(system.scope, act)!r}, which cannot happen now: the "
                "protocol has changed since."
            )
        yield RunStep(act, state, after)
        state = after
