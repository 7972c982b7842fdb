"""Runs the models: ``python -m tests.tools.models``. Exits 1 if a rule fails or a variant escapes.

Prints what was counted for each scope in which the rules hold, and a line for each broken variant.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from tests.tools.models.scopes import (
    DRAWN,
    LARGE,
    LEARNING,
    LEARNING_BROKEN,
    MEMBERS,
    MEMBERS_BROKEN,
    REGISTRATION,
    REGISTRATION_BROKEN,
    SESSIONS,
    SESSIONS_BROKEN,
    USUAL,
    Case,
    caught,
    histories,
)

EVENTS = (
    "heard",
    "late, dropped",
    "asked",
    "answered",
    "stale, dropped",
    "stopped, rightly",
    "damaged, and found",
    "beyond the bound",
)
"""What is printed of random histories."""


def main() -> int:
    """Print every count; 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.models", description=__doc__)
    parser.add_argument("--histories", type=int, default=12_000, help="random ones of each kind")
    parser.add_argument("--large", action="store_true", help="larger scopes, too: minutes")
    parser.add_argument("--traces", action="store_true", help="the shortest run of each variant")
    chosen = parser.parse_args()
    size = LARGE if chosen.large else USUAL
    wrong = 0
    print("== sessions")
    wrong += _print(_random(chosen.histories))
    wrong += _print(_walked((*SESSIONS, *SESSIONS_BROKEN), size, has_traces=chosen.traces))
    print("== registration")
    cases = (*REGISTRATION, *REGISTRATION_BROKEN)
    wrong += _print(_walked(cases, size, has_traces=chosen.traces))
    print("== learning the members")
    wrong += _print(_walked((*LEARNING, *LEARNING_BROKEN), size, has_traces=chosen.traces))
    print("== members")
    wrong += _print(_walked((*MEMBERS, *MEMBERS_BROKEN), size, has_traces=chosen.traces))
    print("All as it should be." if not wrong else f"{wrong} not as it should be.")
    return wrong > 0


def _print(lines: Iterable[tuple[bool, str]]) -> int:
    """Print as they come; how many were not as they should be."""
    failures = 0
    for is_right, line in lines:
        print(line if is_right else f"WRONG: {line}", flush=True)
        failures += not is_right
    return failures


def _random(count: int) -> Iterator[tuple[bool, str]]:
    for kind, copies in ("of one disk", False), ("with copies", True):
        found = histories(count, copies=copies)
        counts = ", ".join(f"{it} {found.events[it]:,}" for it in EVENTS if found.events[it])
        line = f"{found.seed:,} histories {kind}: {counts}"
        if found.wrong:
            line = f"{line}; {found.wrong}, seed {found.seed}"
        yield not found.wrong, line
    for broken in DRAWN:
        first = caught(broken)
        line = f"caught: {broken.value}: {first.wrong or 'nothing'}, seed {first.seed}"
        yield first.wrong != "", line


def _walked(cases: Iterable[Case], size: int, *, has_traces: bool) -> Iterator[tuple[bool, str]]:
    for case in cases:
        if case.size > size:
            continue
        found = case.run()
        if case.expected:
            line = f"caught: {case.title}: {found.wrong or 'nothing'}, depth {found.depth}"
            if has_traces:
                line = f"{line}\n    " + "\n    ".join(found.run)
        else:
            line = f"{case.title}: holds, {found.states:,} states, depth {found.depth}"
            if found.wrong:
                line = f"{case.title}: {found.wrong}: {'; '.join(found.run)}"
        yield found.wrong == case.expected, line


sys.exit(main())
