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
from paxos.election import Beat, Election
from paxos.errors import (
    Busy,
    InvariantError,
    Misplaced,
    PaxosError,
    QuorumError,
    QuorumsMiss,
    UnknownServer,
    WrongReceipt,
)
from paxos.invariants import AgreementBroken, Choice
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
from paxos.outbound import SILENCE, AfterSave, Broadcast, Now, Outbound, Saved, To, WakeMe
from paxos.proposer import Done, Inquire, MaxRound, NothingChosen, Propose, Proposer, Wake
from paxos.quorum import QuorumSystem, flexible, listed, majority, weighted
from paxos.reader import NotYetChosen, QueryTimer, Read
from paxos.server import Server

__all__ = [
    "NO_BALLOT",
    "SILENCE",
    "Accept",
    "Accepted",
    "Acceptor",
    "AfterSave",
    "AgreementBroken",
    "Answer",
    "Ballot",
    "Beat",
    "Broadcast",
    "Busy",
    "Choice",
    "Chosen",
    "Done",
    "Election",
    "From",
    "Heartbeat",
    "Inquire",
    "InvariantError",
    "Learner",
    "MaxRound",
    "Message",
    "Misplaced",
    "Nack",
    "NotYetChosen",
    "NothingChosen",
    "Now",
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
    "QuorumsMiss",
    "Read",
    "ReadId",
    "Reply",
    "Request",
    "Saved",
    "Server",
    "ServerId",
    "To",
    "UnknownServer",
    "Wake",
    "WakeMe",
    "WrongReceipt",
    "acceptor",
    "election",
    "flexible",
    "invariants",
    "learner",
    "listed",
    "majority",
    "proposer",
    "quorum",
    "reader",
    "server",
    "weighted",
]
