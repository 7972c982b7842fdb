"""All runs of a small cluster, held against the rules of consensus.

- The rules must hold in every state.
- Something must happen somewhere, or else they hold vacuously: a value is chosen, ballots compete.
- The lecture's flawed protocols know nothing of promises: of them only agreement is asked, and that
  a value can be chosen whatever has happened.
- If dropping messages turns out to be unsound for a protocol, it is searched again without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve

from paxos_lab.explore.interleavings import Interleavings, Move, State
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, Progress, explore
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.rules import AGREEMENT, CHOOSABLE, RULES


def explore_cluster(
    scope: Scope,
    *,
    rules: Iterable[str] = RULES,
    max_states: int = DEFAULT_MAX_STATES,
    on_progress: Callable[[Progress], bool] | None = None,
) -> tuple[Interleavings, Exploration[State, Move]]:
    """Search all runs of the cluster in ``scope``, and hold them against ``rules``."""
    system = Interleavings(scope)
    flawed = scope.protocol in LECTURE
    found = explore(
        system,
        always={it: _kept(system, it) for it in ((AGREEMENT,) if flawed else rules)},
        sometimes=_coverage_rules(system),
        possible={CHOOSABLE: lambda state: bool(system.chosen(state))} if flawed else None,
        max_states=max_states,
        on_progress=on_progress,
    )
    if found.violation is None and found.exhausted and system.processes.unsound_ignores():
        scope = evolve(scope, drop_ignored_messages=False)
        return explore_cluster(scope, rules=rules, max_states=max_states, on_progress=on_progress)
    return system, found


def _kept(system: Interleavings, rule: str) -> Callable[[State], bool]:
    broken = system.breaks(rule)
    return lambda state: not broken(state)


def _coverage_rules(system: Interleavings) -> dict[str, Callable[[State], bool]]:
    """What must happen somewhere, or else the rules hold vacuously."""
    rules: dict[str, Callable[[State], bool]] = {}
    rules["a value is chosen"] = lambda state: bool(system.chosen(state))
    if system.scope.proposers > 1:
        rules["two ballots compete"] = lambda state: system.active_ballots(state) > 1
    if system.scope.proposers > 1 and system.scope.protocol not in LECTURE:
        rules["a foreign value is adopted"] = system.is_adopting
    return rules
