"""A replicated log: Multi-Paxos as pure functions on immutable values.

    state, outbound = replica.receive(state, event)     acceptor, learner, leader and election
    sessions.apply(machine, table, state, ...)          each command exactly once

Read ``messages.py`` first, then ``memory.py``. A slot of the log is one decision of Basic Paxos:
``acceptor.py`` steps it by ``paxos.acceptor``. Outbound, quorums and ballots are
those of ``paxos``.

Source: the lecture, "Multi-Paxos".
"""

from paxos.log import (
    acceptor,
    election,
    events,
    invariants,
    leader,
    learner,
    memory,
    messages,
    progress,
    reads,
    replica,
    sessions,
)
from paxos.log.election import CampaignTimer, HeartbeatTimer
from paxos.log.events import (
    Committed,
    Elected,
    Fetch,
    Lead,
    NotLeading,
    Propose,
    Read,
    Readable,
    SnapshotInstalled,
    WindowFull,
)
from paxos.log.memory import Configuration, Delta, Memory, Prefix
from paxos.log.messages import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Confirm,
    Confirmed,
    Heartbeat,
    Message,
    Noop,
    Prepare,
    Promise,
)
from paxos.log.replica import Replica, Rules

__all__ = [
    "Accept",
    "Accepted",
    "CampaignTimer",
    "CatchUp",
    "CatchUpRequest",
    "Change",
    "Command",
    "Committed",
    "Configuration",
    "Confirm",
    "Confirmed",
    "Delta",
    "Elected",
    "Fetch",
    "Heartbeat",
    "HeartbeatTimer",
    "Lead",
    "Memory",
    "Message",
    "Noop",
    "NotLeading",
    "Prefix",
    "Prepare",
    "Promise",
    "Propose",
    "Read",
    "Readable",
    "Replica",
    "Rules",
    "SnapshotInstalled",
    "WindowFull",
    "acceptor",
    "election",
    "events",
    "invariants",
    "leader",
    "learner",
    "memory",
    "messages",
    "progress",
    "reads",
    "replica",
    "sessions",
]
