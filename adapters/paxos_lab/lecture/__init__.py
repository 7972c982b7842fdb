"""The lecture, executed: each heading of its part 1 as a schedule on the library's functions.

A ``Stage`` holds whole servers whose messages wait until a schedule delivers them by name. A
``Scenario`` is a schedule with the heading that it belongs to, and claims about what comes of it.
``paxos lecture`` lists and plays them.

Source: John Ousterhout and Diego Ongaro, "Implementing Replicated Logs with Paxos".
"""

from __future__ import annotations

from paxos_lab.lecture.examination import QUESTIONS
from paxos_lab.lecture.scenarios import PART_1
from paxos_lab.lecture.script import Scenario, scenario
from paxos_lab.lecture.stage import S1, S2, S3, S4, S5, ClaimFailed, ImpossibleStep, Stage

SCENARIOS: dict[str, Scenario] = {it.name: it for it in (*PART_1, *QUESTIONS)}
"""Every scenario by its name, in the order of the lecture."""

__all__ = [
    "S1",
    "S2",
    "S3",
    "S4",
    "S5",
    "SCENARIOS",
    "ClaimFailed",
    "ImpossibleStep",
    "Scenario",
    "Stage",
    "scenario",
]
