"""A node: one server of a cluster on UDP and a file, or in memory for tests. See docs/node.md.

Arrows point one way: status, ports, registers, logs, pending, timers, saving <- node <- threaded,
control; logs <- members_errors <- members <- node; memory_file <- memory_network <- memory, which
is a node, too.
"""

from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.cannot_apply import CannotApply, Diverged, LacksVersion, NewerEntry
from paxos_adapters.file import AlreadyAMember, NotALog
from paxos_adapters.forks import Forked
from paxos_adapters.host import ServerStopped
from paxos_adapters.memory import ServerDown
from paxos_adapters.node.logs import LogClosed, LogRunning, NameOfLog
from paxos_adapters.node.members import LogChange, Members, MembersStatus
from paxos_adapters.node.members_errors import (
    AddressTaken,
    BadMemberCount,
    ChangeUnfinished,
    IdUsed,
    MembershipChanging,
    NotAllStarted,
    NotAMember,
)
from paxos_adapters.node.memory import MemoryNode
from paxos_adapters.node.memory_network import Crashed, MemoryNetwork, ServerRunning
from paxos_adapters.node.node import Node
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.node.threaded import ThreadedNode
from paxos_adapters.node.threaded_log import ThreadedLog
from paxos_adapters.node.threaded_members import ThreadedMembers
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.snapshots import BadSnapshot, MissingCodec, StreamedCodec
from paxos_adapters.replication.watching import Step, WatcherTooSlow
from paxos_adapters.requests.errors import (
    BadValue,
    CommandUnknown,
    NoAnswer,
    NodeClosed,
    NotStarted,
    OutcomeUnknown,
    TooManyRequests,
    Undecodable,
    UnknownSubmission,
)
from paxos_adapters.requests.values import Found
from paxos_adapters.threads import ThreadNotStarted
from paxos_adapters.udp.addresses import BadAddress
from paxos_adapters.udp.endpoint import AddressError
from paxos_adapters.udp.errors import (
    BadName,
    Insecure,
    NoOtherServer,
    NotTheMembers,
    OlderCopy,
    Removed,
    StoreAlreadyUsed,
)
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.udp.peer import Peer
from paxos_adapters.udp.transport import DatagramTransport
from paxos_adapters.wire import TooLarge, WireError

Stopped = ServerStopped
"""The same, in short: it is what ``await node.stopped()`` returns."""

__all__ = [
    "AddressError",
    "AddressTaken",
    "AlreadyAMember",
    "BadAddress",
    "BadArgument",
    "BadMemberCount",
    "BadName",
    "BadNumber",
    "BadSnapshot",
    "BadValue",
    "CannotApply",
    "ChangeUnfinished",
    "CommandUnknown",
    "Crashed",
    "DatagramTransport",
    "Descent",
    "Diverged",
    "Forked",
    "Found",
    "IdUsed",
    "Insecure",
    "LacksVersion",
    "LogChange",
    "LogClosed",
    "LogRunning",
    "LogStatus",
    "Members",
    "MembersStatus",
    "MembershipChanging",
    "MemoryNetwork",
    "MemoryNode",
    "MissingCodec",
    "NameOfLog",
    "NetworkConfig",
    "NewerEntry",
    "NoAnswer",
    "NoOtherServer",
    "Node",
    "NodeClosed",
    "NotALog",
    "NotAMember",
    "NotAllStarted",
    "NotStarted",
    "NotTheMembers",
    "OlderCopy",
    "OutcomeUnknown",
    "Peer",
    "Removed",
    "ReplicatedLog",
    "ServerDown",
    "ServerRunning",
    "ServerStopped",
    "Status",
    "Step",
    "Stopped",
    "StoreAlreadyUsed",
    "StreamedCodec",
    "ThreadNotStarted",
    "ThreadedLog",
    "ThreadedMembers",
    "ThreadedNode",
    "TooLarge",
    "TooManyRequests",
    "Undecodable",
    "UnknownSubmission",
    "WatcherTooSlow",
    "WireError",
]
