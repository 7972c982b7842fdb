"""Messages of logs to send over a wire; for the tests of the wire."""

from __future__ import annotations

from itertools import product

from paxos import (
    NO_BALLOT,
    Ballot,
    Proposal,
    QuorumSystem,
    ServerId,
    explicit,
    flexible,
    majority,
    weighted,
)
from paxos.log import messages as log
from paxos_adapters.limits import (
    MAX_ROUND,
    MAX_SERVER,
    MAX_SLOT,
    MAX_VALUE_BYTES,
    MAX_VERSION,
)
from paxos_adapters.log_messages import (
    Forward,
    HasVersions,
    LogMessage,
    ReadIndexReply,
    ReadIndexRequest,
    SnapshotOffer,
    SnapshotPiece,
    SnapshotRequest,
)
from paxos_adapters.wire.bounds import (
    MAX_PIECE_BYTES,
    MAX_PIECES,
    MAX_PROPOSALS,
    MAX_READ,
    MAX_SNAPSHOT_BYTES,
)

_IDS = [ServerId(it) for it in (1, 2, 3)]
BALLOT, LOWER = Ballot(3, ServerId(1)), Ballot(2, ServerId(2))
LAST = Ballot(MAX_ROUND, ServerId(MAX_SERVER))
DIGEST = bytes(range(16))
QUORUMS: list[QuorumSystem] = [
    majority(_IDS),
    flexible(_IDS, phase1=3, phase2=1),
    weighted({_IDS[0]: 2, _IDS[1]: 1, _IDS[2]: 0}),
    explicit(phase1=[_IDS[:2]], phase2=[_IDS[1:], _IDS[:1]]),
]
RED: log.Entry[bytes] = log.Command(b"red")
CHANGE: log.Entry[bytes] = log.Change(QUORUMS[0])
ENTRIES: list[log.Entry[bytes]] = [RED, log.Noop(), *map(log.Change, QUORUMS)]
LARGEST: log.Entry[bytes] = log.Command(bytes(MAX_VALUE_BYTES))
PROPOSALS = tuple(Proposal(LOWER, entry) for entry in ENTRIES[:3])

EACH_OF_LOG: list[LogMessage] = [
    log.Prepare(BALLOT, 5),
    log.Promise[bytes](BALLOT, 5, 4, (), is_last=True),
    log.Promise(BALLOT, 5, 4, tuple(zip((5, 6, 9), PROPOSALS, strict=True)), is_last=False),
    *(log.Accept(BALLOT, 5, entry, 4) for entry in ENTRIES),
    log.Accepted(BALLOT, 5),
    log.Heartbeat(BALLOT, leads=True, in_contact=True, first=4),
    log.Heartbeat(NO_BALLOT, leads=False, in_contact=False, first=1),
    log.CatchUpRequest(4),
    log.CatchUp(4, PROPOSALS),
    log.Confirm(BALLOT, 7),
    log.Confirmed(BALLOT, 7),
    Forward(b"red"),
    ReadIndexRequest(7),
    ReadIndexReply(7, 5),
    ReadIndexReply(7, None),
    SnapshotOffer(5, 2, 3, DIGEST),
    SnapshotRequest(5, DIGEST, 0, 2),
    SnapshotPiece(5, DIGEST, 1, b"red"),
    HasVersions(1, 2),
]
"""Every type of message of a log, with every kind of entry."""

_FULL = tuple((slot, PROPOSALS[slot % 3]) for slot in range(1, MAX_PROPOSALS + 1))

LOG_MESSAGES: list[LogMessage] = [
    *EACH_OF_LOG,
    *(log.Prepare(*it) for it in product((BALLOT, LAST), (1, MAX_SLOT))),
    log.Promise(LAST, 1, 1, ((MAX_SLOT, Proposal(LAST, LARGEST)),), is_last=True),
    log.Promise(BALLOT, 1, 1, _FULL, is_last=False),
    log.Promise[bytes](BALLOT, 1, MAX_SLOT, (), is_last=True),
    *(log.Accept(LAST, MAX_SLOT, entry, MAX_SLOT) for entry in (LARGEST, log.Command(b""))),
    log.Accepted(LAST, MAX_SLOT),
    log.Heartbeat(LAST, leads=False, in_contact=True, first=MAX_SLOT),
    log.CatchUpRequest(MAX_SLOT),
    log.CatchUp(MAX_SLOT, (Proposal(LAST, LARGEST),)),
    log.CatchUp(1, tuple(it for _, it in _FULL)),
    *(kind(LAST, it) for kind in (log.Confirm, log.Confirmed) for it in (0, MAX_READ)),
    *(Forward(it) for it in (b"", bytes(MAX_VALUE_BYTES))),
    ReadIndexRequest(MAX_READ),
    ReadIndexReply(MAX_READ, MAX_SLOT),
    SnapshotOffer(MAX_SLOT, MAX_PIECES, MAX_SNAPSHOT_BYTES, DIGEST),
    SnapshotRequest(MAX_SLOT, DIGEST, MAX_PIECES - 1, 1),
    SnapshotPiece(MAX_SLOT, DIGEST, MAX_PIECES - 1, bytes(MAX_PIECE_BYTES)),
    HasVersions(MAX_VERSION, MAX_VERSION),
]
"""The same, with the edges of every field."""
