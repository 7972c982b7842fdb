"""Explaining: what has become of a decision, and why: as an object, and as text.

    explain(of_replay(replay(path)))          from a recording
    explain(of_files([path, ...])["leader"])  from the files of servers
    explain(Evidence(quorum, {...}))             from whatever is known
    explain_log(of_log(replay_log(path)))     a log; explain_slot(..., slot) one slot of it

Arrows point one way: grammar <- reasons <- explain; evidence <- explain, sources;
evidence <- log_evidence; explain, log_evidence <- log.
"""

from __future__ import annotations

from paxos_lab.explain.evidence import Evidence, Known
from paxos_lab.explain.explain import explain
from paxos_lab.explain.log import AsksToLead, Leads, LogExplanation, explain_log, explain_slot
from paxos_lab.explain.log_evidence import KnownReplica, LogEvidence, of_log, of_slot
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
    "AsksToLead",
    "Attempt",
    "Block",
    "Cause",
    "Disagreed",
    "DuelingProposers",
    "Evidence",
    "Explanation",
    "Known",
    "KnownReplica",
    "Leads",
    "LogEvidence",
    "LogExplanation",
    "MembersDiffer",
    "NoActiveProposer",
    "Preempted",
    "Split",
    "TooFewUp",
    "Undecided",
    "UnknownDecision",
    "Waiting",
    "explain",
    "explain_log",
    "explain_slot",
    "of_files",
    "of_log",
    "of_replay",
    "of_slot",
    "of_states",
]
