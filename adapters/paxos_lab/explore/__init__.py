"""All runs: every state of a small machine, and every run of a small cluster.

    explore(machine, always=...)       any machine; what holds in every state, and what somewhere
    explore_cluster(Scope(...))        servers of any protocol, and a network that does its worst
    refine(Scope(...))                 the same, each step held against Lamport's specifications

Arrows point one way: walk, scopes <- processes <- interleavings <- counterexamples <- refinement.
"""

from paxos_lab.explore.counterexamples import Counterexample, counterexample
from paxos_lab.explore.interleavings import Interleavings, explore_cluster
from paxos_lab.explore.refinement import refine
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import Exploration, Glimpse, Machine, Violation, explore

__all__ = [
    "Counterexample",
    "Exploration",
    "Glimpse",
    "Interleavings",
    "Machine",
    "Scope",
    "ScopeError",
    "Violation",
    "counterexample",
    "explore",
    "explore_cluster",
    "refine",
]
