"""All runs: every state of a small system, and every run of a small cluster.

    explore(system, always=...)        any transition system; rules of every state, or of some
    explore(ClusterSystem(...))        servers of any machine, every order of events and crashes
    explore_cluster(Scope(...))        the same for Paxos and its variants, with reductions
    explore_log(LogScope(...))         the same for a replicated log and its variants
    refine(Scope(...))                 the same, each step held against Lamport's specifications
    refine_log(LogScope(...))          the same for a log, seen through each slot

Arrows point one way: search <- cluster; search, scopes <- processes <- interleavings <- checking,
counterexamples; counterexamples <- recorded; counterexamples, specification <- refinement. For
logs: log_claims <- log_scope <- log_processes <- log_checking <- log <- log_recorded,
log_refinement.
"""

from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.cluster import Choice, ClusterState, ClusterSystem
from paxos_lab.explore.counterexamples import Counterexample, counterexample
from paxos_lab.explore.interleavings import Interleavings
from paxos_lab.explore.log import LogSystem, explore_log
from paxos_lab.explore.log_refinement import refine_log
from paxos_lab.explore.log_scope import Heartbeats, LogScope
from paxos_lab.explore.refinement import refine
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import Exploration, Progress, System, Violation, explore

__all__ = [
    "Choice",
    "ClusterState",
    "ClusterSystem",
    "Counterexample",
    "Exploration",
    "Heartbeats",
    "Interleavings",
    "LogScope",
    "LogSystem",
    "Progress",
    "Scope",
    "ScopeError",
    "System",
    "Violation",
    "counterexample",
    "explore",
    "explore_cluster",
    "explore_log",
    "refine",
    "refine_log",
]
