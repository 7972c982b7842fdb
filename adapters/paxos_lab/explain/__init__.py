"""Explaining: what has become of a decision, and why: as an object, and as text.

    explain(of_replay(replay(path)))          from a recording
    explain(of_files([path, ...])["leader"])  from the files of servers
    explain(Scene(quorum, {...}))             from whatever is known

Arrows point one way: words <- reasons <- explain; scene <- explain, sources.
"""

from __future__ import annotations

from paxos_lab.explain.evidence import Known, Scene
from paxos_lab.explain.explain import explain
from paxos_lab.explain.reasons import (
    Agreed,
    Attempt,
    Block,
    Cause,
    Disagreed,
    Explanation,
    NobodyAsks,
    Overtaken,
    Rivals,
    Split,
    TooFewUp,
    Undecided,
    Waiting,
)
from paxos_lab.explain.sources import (
    MembersDiffer,
    UnknownDecision,
    of_files,
    of_replay,
    of_states,
)

__all__ = [
    "Agreed",
    "Attempt",
    "Block",
    "Cause",
    "Disagreed",
    "Explanation",
    "Known",
    "MembersDiffer",
    "NobodyAsks",
    "Overtaken",
    "Rivals",
    "Scene",
    "Split",
    "TooFewUp",
    "Undecided",
    "UnknownDecision",
    "Waiting",
    "explain",
    "of_files",
    "of_replay",
    "of_states",
]
