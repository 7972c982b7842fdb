"""A node: one server of a cluster on UDP and a file. See docs/node.md.

Arrows point one way: errors, status <- links <- mesh <- transport; mesh, questions, alarms, saving
<- node <- threaded.
"""

from paxos_adapters.node.errors import (
    BadName,
    Crowded,
    Insecure,
    NoAnswer,
    NodeClosed,
    OutcomeUnknown,
    ServedBefore,
)
from paxos_adapters.node.node import Node
from paxos_adapters.node.status import Peer, Status
from paxos_adapters.node.threaded import ThreadedNode
from paxos_adapters.node.transport import DatagramTransport

__all__ = [
    "BadName",
    "Crowded",
    "DatagramTransport",
    "Insecure",
    "NoAnswer",
    "Node",
    "NodeClosed",
    "OutcomeUnknown",
    "Peer",
    "ServedBefore",
    "Status",
    "ThreadedNode",
]
