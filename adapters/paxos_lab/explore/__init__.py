"""All runs: every state of a small system, and every run of a small cluster.

    explore(system, always=...)        any transition system; rules of every state, or of some
    explore(ClusterSystem(...))        servers of any machine, every order of events and crashes
    explore_cluster(Scope(...))        the same for Paxos and its variants, with reductions
    refine(Scope(...))                 the same, each step held against Lamport's specifications

Arrows point one way: search <- cluster; search, scopes <- processes <- interleavings <- checking,
counterexamples; counterexamples <- recorded; counterexamples, specification <- refinement.
"""

from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.cluster import Choice, ClusterState, ClusterSystem
from paxos_lab.explore.counterexamples import Counterexample, counterexample
from paxos_lab.explore.interleavings import Interleavings
from paxos_lab.explore.refinement import refine
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import Exploration, Progress, System, Violation, explore

__all__ = [
    "Choice",
    "ClusterState",
    "ClusterSystem",
    "Counterexample",
    "Exploration",
    "Interleavings",
    "Progress",
    "Scope",
    "ScopeError",
    "System",
    "Violation",
    "counterexample",
    "explore",
    "explore_cluster",
    "refine",
]
