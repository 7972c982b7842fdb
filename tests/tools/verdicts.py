"""What a driver of the scoreboard says of a mutant."""

from __future__ import annotations

from typing import TypedDict

BROKEN, ERROR, NEVER, NO_ACTION = "broken", "error", "never", "no action"


class Finding(TypedDict):
    """How a driver noticed: ``after`` counts states or runs, ``events`` those of the trace."""

    kind: str
    what: str
    rung: str
    after: int
    events: int
    trace: list[str]


class Verdict(TypedDict):
    """What one driver found, or None; and the size of what it saw on each rung."""

    found: Finding | None
    seen: dict[str, list[int]]


class Verdicts(TypedDict):
    """What each driver says; None, if it does not run what the mutant edits."""

    explorer: Verdict | None
    specification: Verdict | None
    simulator: Verdict
