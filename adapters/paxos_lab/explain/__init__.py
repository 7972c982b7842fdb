"""Explaining: what has become of a decision, and why: as an object, and as text.

    explain(of_replay(replay(path)))          from a recording
    explain(of_files([path, ...])["leader"])  from the files of servers
    explain(Evidence(quorum, {...}))             from whatever is known

Arrows point one way: grammar <- reasons <- explain; evidence <- explain, sources.
"""

from __future__ import annotations

from paxos_lab.explain.evidence import Evidence, Known
from paxos_lab.explain.explain import explain
from paxos_lab.explain.reasons import (
    Agreed,
    Attempt,
    Block,
    Cause,
    Disagreed,
    DuelingProposers,
    Explanation,
    NoActiveProposer,
    Preempted,
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
    "DuelingProposers",
    "Evidence",
    "Explanation",
    "Known",
    "MembersDiffer",
    "NoActiveProposer",
    "Preempted",
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
