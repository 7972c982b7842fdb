"""A scenario: a schedule by name, with its heading and what the lecture says there.

- The schedule is a function on a stage. Its docstring is all that is to be read with it: the first
  line is the title, the rest the text.
- It raises if the run is not as the lecture says, and returns if it is.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import getdoc
from typing import TypeAlias

from attrs import frozen

from paxos_adapters.single import SingleObserver
from paxos_lab.lecture.stage import Stage
from paxos_lab.machines.protocols import PAXOS, Protocol

Schedule: TypeAlias = Callable[[Stage], None]


@frozen
class Scenario:
    """A schedule by name, the heading that it belongs to, and what the lecture says there."""

    heading: str
    name: str
    title: str
    text: str
    protocol: Protocol
    servers: int
    schedule: Schedule

    def stage(self, observer: SingleObserver[str] | None = None) -> Stage:
        """A stage to play it on; ``observer`` is told what happens."""
        return Stage(self.protocol, self.servers, observer)


def scenario(
    heading: str, name: str, *, protocol: Protocol = PAXOS, servers: int = 5
) -> Callable[[Schedule], Scenario]:
    """Make a scenario of a schedule, whose docstring is its title and its text."""

    def of(schedule: Schedule) -> Scenario:
        title, _, text = (getdoc(schedule) or "").partition("\n\n")
        return Scenario(heading, name, title.rstrip("."), text, protocol, servers, schedule)

    return of
