"""The claims about messages that are ignored from now on, tried out once a search is over.

- Each message that a process is said to ignore is taken by it. It must change nothing, send nothing
  and break nothing.
- In every process that follows, after a step or a crash, it must be ignored still.

Then no run is lost by forgetting: a message that was forgotten could only have done nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from paxos_lab.explore.log_processes import LogProcesses, LogProcessState, Sent


@frozen
class Refuted:
    """``process`` was said to ignore ``sent`` from now on, and does not."""

    process: LogProcessState
    sent: Sent


def refuted(processes: LogProcesses) -> Iterator[Refuted]:
    """Each claim that turns out to be wrong. None, if no run is lost by forgetting."""
    for number, step in [*processes.taken]:
        forgotten, then = processes.forgotten[number], processes.forgotten[step.process]
        for sent in processes.sent.among(forgotten & ~then):
            yield Refuted(processes.known.all[number], sent)
    for number, process in enumerate([*processes.known.all]):
        for sent in processes.sent.among(processes.forgotten[number]):
            step = processes.receive(number, processes.sent.bit(sent))
            if step.process != number or step.sent or step.broken is not None:
                yield Refuted(process, sent)
