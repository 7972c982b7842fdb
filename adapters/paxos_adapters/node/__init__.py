"""A node: one server of a cluster on UDP and a file. See docs/node.md.

Arrows point one way: errors, status <- links <- node.
"""

from paxos_adapters.node.errors import (
    BadName,
    Crowded,
    Insecure,
    NoAnswer,
    NodeClosed,
    OutcomeUnknown,
)
from paxos_adapters.node.node import Node
from paxos_adapters.node.status import Peer, Status

__all__ = [
    "BadName",
    "Crowded",
    "Insecure",
    "NoAnswer",
    "Node",
    "NodeClosed",
    "OutcomeUnknown",
    "Peer",
    "Status",
]
