"""Counterexamples of the explorer as recordings, and back.

- A process of the explorer is a lane of its own: A2 is what server 2 does as an acceptor, P2 what
  it does as a proposer. Both speak as server 2.
- What was explored is among the facts, so that the explorer can take the same run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from paxos import InvariantError, ServerId, server
from paxos_adapters.codecs import TEXT
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleDriver, single
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
from paxos_lab.record.trace import SingleStep

RUNTIME = "exploration"
COUNTS = "acceptors", "proposers", "readers", "inquirers", "reads", "ballots", "crashes"


def write(path: Path, example: Counterexample) -> None:
    """Record the run of ``example``, in place of what is there.

    Raises OutputRefused, and what has ended the recording.
    """
    scope, ids = example.scope, example.system.processes.ids
    lanes = {ServerId(process + 1): name(scope, process) for process in range(len(ids))}
    facts = {count: str(getattr(scope, count)) for count in COUNTS} | {"rule": example.rule}
    discard(path)
    with Recorder(
        path,
        codec=TEXT,
        runtime=RUNTIME,
        protocol=scope.protocol.name,
        facts=facts,
        lanes=lanes,
    ) as recorder:
        recorder.set_time(0)
        machine = single(scope.protocol.receive, scope.protocol.name)
        places = [Place(me, lane=lane) for me, lane in zip(ids, lanes, strict=True)]
        drivers = [Driver(machine, place, scope.quorum, (), recorder) for place in places]
        for number, taken in enumerate(example.run, start=1):
            recorder.set_time(number)
            process, crash = taken.act.process, taken.act.crash
            disk = _act(drivers[process], taken.act)
            if crash is not Crash.NONE:
                drivers[process] = Driver(machine, places[process], scope.quorum, disk, recorder)
    if recorder.failure is not None:
        raise recorder.failure


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
            f"{path} is a recording, and none of the explorer ({type(error).__name__}: {error}): "
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
