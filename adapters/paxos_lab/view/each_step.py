"""What can be said of a decision, or of a log, after each step.

- A replay that has only come to a step is a replay, too: it is explained like any other.
- Evidence is gathered as steps are added, so that a long recording takes time in proportion.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from paxos_lab.explain import explain, explain_log, explain_slot
from paxos_lab.explain.log_evidence import LogSoFar
from paxos_lab.explain.sources import SoFar
from paxos_lab.record import LogReplay, Replay


def explain_each_step(replay: Replay, name: str = "", first: int = 1) -> Iterator[str]:
    """The explanation of the decision ``name`` after each step from ``first`` on, in words."""
    so_far = evolve(replay, steps=[], states={}, disks={}, difference=None)
    seen, text = SoFar(), ""
    for step in replay.steps:
        if step.entry.name != name:
            continue
        so_far.add(step)
        seen.add(step)
        if step.number < first:
            continue
        if not text or step.before != step.after or step.saved or step.sent:
            text = explain(seen.evidence(so_far, name), name).text
        yield text


def explain_log_each_step(
    replay: LogReplay, slot: int | None = None, first: int = 1
) -> Iterator[str]:
    """The explanation of a log, or of its ``slot``, after each step from ``first`` on, in words."""
    so_far = evolve(replay, steps=[], states={}, disks={}, difference=None)
    seen: LogSoFar[str] = LogSoFar()
    text = ""
    for step in replay.steps:
        so_far.add(step)
        seen.add(step)
        if step.number < first:
            continue
        if not text or step.before != step.after or step.saved or step.sent:
            evidence = seen.evidence(so_far)
            text = (explain_log(evidence) if slot is None else explain_slot(evidence, slot)).text
        yield text
