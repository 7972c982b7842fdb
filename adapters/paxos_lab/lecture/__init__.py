"""The lecture, executed: each heading of its two parts as a schedule on the library's functions.

A ``Stage`` holds whole servers whose messages wait until a schedule delivers them by name; a
``LogStage`` holds replicas of a log. A ``Scenario`` is a schedule with the heading that it belongs
to, and claims about what comes of it. ``paxos lecture`` lists and plays them.

Source: John Ousterhout and Diego Ongaro, "Implementing Replicated Logs with Paxos".
"""

from __future__ import annotations

from paxos_lab.lecture.examination import QUESTIONS
from paxos_lab.lecture.log_examination import LOG_QUESTIONS
from paxos_lab.lecture.log_stage import LogStage
from paxos_lab.lecture.machine_stage import S1, S2, S3, S4, S5, ClaimFailed, ImpossibleStep
from paxos_lab.lecture.multi_paxos import PART_2
from paxos_lab.lecture.scenarios import PART_1
from paxos_lab.lecture.script import (
    LogScenario,
    Played,
    Scenario,
    log_scenario,
    scenario,
)
from paxos_lab.lecture.stage import Stage

SCENARIOS: dict[str, Scenario] = {it.name: it for it in (*PART_1, *QUESTIONS)}
"""Every scenario of part 1, one decision, by its name, in the order of the lecture."""

LOG_SCENARIOS: dict[str, LogScenario] = {it.name: it for it in (*PART_2, *LOG_QUESTIONS)}
"""Every scenario of part 2, a log."""

__all__ = [
    "LOG_SCENARIOS",
    "S1",
    "S2",
    "S3",
    "S4",
    "S5",
    "SCENARIOS",
    "ClaimFailed",
    "ImpossibleStep",
    "LogScenario",
    "LogStage",
    "Played",
    "Scenario",
    "Stage",
    "log_scenario",
    "scenario",
]
