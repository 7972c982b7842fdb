"""Counterexamples of a log as recordings and pictures, and back.

- A run of the explorer is one of the log itself: each choice is one event, whose step is saved at
  once. Time is the number of the choice.
- Before a replica sends a heartbeat, all others seem to be alive to it, as in what was explored.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from paxos import InvariantError
from paxos.log import HeartbeatTimer
from paxos_adapters.codecs import TEXT
from paxos_adapters.driving import Driver
from paxos_adapters.log import LogObserver
from paxos_adapters.ports import Place
from paxos_lab.explore.log import LogChoice, LogState, LogSystem
from paxos_lab.explore.search import Violation
from paxos_lab.machines.faulty_log import VARIANTS
from paxos_lab.record import reading
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.logs import LogRecorder, replay_log
from paxos_lab.record.timeline import Kind, Timeline, log_timeline
from paxos_lab.record.trace import LogTrace, Trace

RUNTIME = "exploration"
CRASH = "crashes"


@frozen
class LogRun:
    """A shortest run that breaks ``rule``: of how many events, and how it looks."""

    rule: str
    events: int
    picture: Timeline


def rerun(
    system: LogSystem, violation: Violation[LogState, LogChoice], observer: LogObserver[str]
) -> None:
    """Take the run of ``violation`` again, told to ``observer``."""
    machine, quorum = system.scope.machine, system.scope.quorum
    observer.set_time(0)
    drivers = {
        me: Driver(machine, Place(me), quorum, (), observer) for me in system.processes.servers
    }
    for number, (choice, _) in enumerate(violation.run, start=1):
        observer.set_time(number)
        driver = drivers[choice.server]
        if choice.event is None:
            disk = driver.stop(CRASH)
            drivers[choice.server] = Driver(machine, driver.place, quorum, disk, observer)
            continue
        if type(choice.event) is HeartbeatTimer:
            hint = system.processes.hint(choice.server)
            driver.set_state(evolve(driver.process.state, election=hint))
        try:
            driver.step(choice.event)
        except InvariantError:
            return  # The observer was told, and nothing follows.


def found_run(system: LogSystem, violation: Violation[LogState, LogChoice]) -> LogRun:
    """The run of ``violation``, ready to be drawn."""
    trace: LogTrace[str] = Trace()
    rerun(system, violation, trace)
    return LogRun(violation.rule, len(violation.run), _picture(trace))


def write(path: Path, system: LogSystem, violation: Violation[LogState, LogChoice]) -> None:
    """Record the run of ``violation``, in place of what is there.

    Raises OutputRefused, and what has ended the recording.
    """
    reading.discard(path)
    with LogRecorder[str](
        path,
        codec=TEXT,
        runtime=RUNTIME,
        rules=system.scope.rules,
        protocol=system.scope.protocol.name,
        facts={"rule": violation.rule, "events": str(len(violation.run))},
    ) as recorder:
        rerun(system, violation, recorder)
    if recorder.failure is not None:
        raise recorder.failure


def read(path: Path) -> LogRun:
    """Play the recording at ``path`` again. Raises OSError, and RecordingError if it differs."""
    found = replay_log(path, variants=VARIANTS)
    if found.difference is not None:
        raise RecordingError(f"{found.difference.text}: the log has changed since.")
    facts = found.headers[0].facts
    try:
        return LogRun(facts["rule"], int(facts["events"]), _picture(found))
    except (KeyError, ValueError) as error:
        raise RecordingError(
            f"{path} is a recording of a log, but not of the explorer ({type(error).__name__}: "
            f"{error}): paxos replay plays it."
        ) from error


def _picture(trace: LogTrace[str]) -> Timeline:
    """What happened, without the messages that never arrive, and without what was only set."""
    told = log_timeline(trace).delivered
    moments = tuple(it for it in told.moments if it.kind is not Kind.IS_KNOWN)
    return evolve(told, moments=moments)
