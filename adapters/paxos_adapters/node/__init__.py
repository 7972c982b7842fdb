"""A node: one server of a cluster on UDP and a file. See docs/node.md.

Arrows point one way: errors, status <- links, registration <- sessions <- mesh <- transport; mesh,
questions, alarms, saving, values <- node <- threaded.
"""

from paxos_adapters.arguments import BadArgument
from paxos_adapters.node.node import Node
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.threaded import ThreadedNode
from paxos_adapters.requests.errors import (
    BadValue,
    NoAnswer,
    NodeClosed,
    NotStarted,
    OutcomeUnknown,
    TooManyRequests,
    Undecodable,
)
from paxos_adapters.requests.values import Found
from paxos_adapters.udp.errors import BadName, Insecure, NotTheMembers, OlderCopy, StoreAlreadyUsed
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.transport import DatagramTransport

__all__ = [
    "BadArgument",
    "BadName",
    "BadValue",
    "DatagramTransport",
    "Descent",
    "Found",
    "Insecure",
    "NetworkConfig",
    "NoAnswer",
    "Node",
    "NodeClosed",
    "NotStarted",
    "NotTheMembers",
    "OlderCopy",
    "OutcomeUnknown",
    "Peer",
    "Status",
    "StoreAlreadyUsed",
    "ThreadedNode",
    "TooManyRequests",
    "Undecodable",
]
