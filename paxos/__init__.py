"""Consensus that other programs embed: Paxos as pure functions on immutable values.

    state, outbound = acceptor.receive(state, request)    what an acceptor answers
    state, outbound = proposer.receive(state, event)      how a value gets chosen
    state, outbound = learner.receive(state, event)       what was chosen
    state, outbound = server.receive(state, event)        the three in one process

Read ``acceptor.py`` first. ``Now`` may be sent at once; ``AfterSave`` opens with the receipt for a
saved record. Nothing in here reads a clock, a random number, a file or a socket.
"""

from paxos import acceptor, election, invariants, learner, proposer, quorum, reader, server
from paxos.acceptor import Acceptor
from paxos.ballot import NO_BALLOT, Ballot, Proposal, ServerId
from paxos.election import Election, HeartbeatTimer
from paxos.errors import (
    Busy,
    DisjointQuorums,
    InvariantError,
    NotSaved,
    OperationalError,
    PaxosError,
    QuorumError,
    UnexpectedInput,
    UnknownServer,
    UsageError,
)
from paxos.invariants import AgreementBroken, Decision
from paxos.learner import Learner
from paxos.messages import (
    Accept,
    Accepted,
    Answer,
    Chosen,
    From,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Query,
    ReadId,
    Reply,
    Request,
)
from paxos.outbound import (
    NO_MESSAGES,
    AfterSave,
    Broadcast,
    Now,
    Outbound,
    Saved,
    SetTimer,
    Tell,
    To,
)
from paxos.proposer import Done, Inquire, MaxRound, NothingChosen, Propose, Proposer, RetryTimer
from paxos.quorum import QuorumSystem, explicit, flexible, majority, weighted
from paxos.reader import NotYetChosen, QueryTimer, Read
from paxos.server import Server

__all__ = [
    "NO_BALLOT",
    "NO_MESSAGES",
    "Accept",
    "Accepted",
    "Acceptor",
    "AfterSave",
    "AgreementBroken",
    "Answer",
    "Ballot",
    "Broadcast",
    "Busy",
    "Chosen",
    "Decision",
    "DisjointQuorums",
    "Done",
    "Election",
    "From",
    "Heartbeat",
    "HeartbeatTimer",
    "Inquire",
    "InvariantError",
    "Learner",
    "MaxRound",
    "Message",
    "Nack",
    "NotSaved",
    "NotYetChosen",
    "NothingChosen",
    "Now",
    "OperationalError",
    "Outbound",
    "PaxosError",
    "Prepare",
    "Promise",
    "Proposal",
    "Propose",
    "Proposer",
    "Query",
    "QueryTimer",
    "QuorumError",
    "QuorumSystem",
    "Read",
    "ReadId",
    "Reply",
    "Request",
    "RetryTimer",
    "Saved",
    "Server",
    "ServerId",
    "SetTimer",
    "Tell",
    "To",
    "UnexpectedInput",
    "UnknownServer",
    "UsageError",
    "acceptor",
    "election",
    "explicit",
    "flexible",
    "invariants",
    "learner",
    "majority",
    "proposer",
    "quorum",
    "reader",
    "server",
    "weighted",
]
