"""The part of a body that is about logs.

    [14, log, round, server, slot]                           Prepare
    [15, log, round, server, slot, first, accepted, last]    Promise
    [16, log, round, server, slot, entry, first]             Accept
    [17, log, round, server, slot]                           Accepted
    [18, log, round, server, leads, contact, first]          Heartbeat; round 0: follows no leader
    [19, log, first]                                         CatchUpRequest
    [20, log, slot, proposals]                               CatchUp
    [21, log, round, server, number]                         Confirm
    [22, log, round, server, number]                         Confirmed
    [23, log, batch]                                         Forward
    [24, log, number]                                        ReadIndexRequest
    [25, log, number, first]                                 ReadIndexReply; first: nil or a slot
    [26, log, slot, pieces, size, digest]                    SnapshotOffer
    [27, log, slot, digest, index, count]                    SnapshotRequest
    [28, log, slot, digest, index, data]                     SnapshotPiece
    [30, log, first, last]                                   HasVersions

- An entry is binary for a command, nil for no operation, [words] for a change of the members: their
  quorum system in words.
- ``accepted``: [[slot, round, server, entry], ...], by slot; ``proposals``: [[round, server,
  entry], ...]. A Nack is that of decisions.
- The bounds are the same both ways. What contradicts itself is refused: no server sends it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias, final

import msgspec

from paxos import Nack, Proposal
from paxos.errors import assert_never
from paxos.log import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Confirm,
    Confirmed,
    Heartbeat,
    Noop,
    Prepare,
    Promise,
)
from paxos.log.messages import Entry
from paxos_adapters.limits import MAX_DEPLOYED, MAX_SLOT, MAX_VERSION
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
from paxos_adapters.quorum_words import quorum_of, words_of
from paxos_adapters.wire.bounds import (
    MAX_PIECE_BYTES,
    MAX_PIECES,
    MAX_PROPOSALS,
    MAX_QUORUM_BYTES,
    MAX_READ,
    MAX_SNAPSHOT_BYTES,
    SNAPSHOT_DIGEST_BYTES,
)
from paxos_adapters.wire.errors import Reason, RejectedDatagram, TooLarge
from paxos_adapters.wire.fields import (
    ballot_of,
    checked_ballot,
    checked_number,
    checked_value,
)

EntryField: TypeAlias = bytes | tuple[str] | None
ProposalField: TypeAlias = tuple[int, int, EntryField]
AcceptedField: TypeAlias = tuple[int, int, int, EntryField]


class OfLog(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A message about ``log``."""

    log: str


class _WithBallot(OfLog):
    round: int
    server: int


class _WithSlot(_WithBallot):
    slot: int


class _WithNumber(_WithBallot):
    number: int


@final
class _Prepare(_WithSlot, tag=14):
    pass


@final
class _Promise(_WithSlot, tag=15):
    first: int
    accepted: list[AcceptedField]
    is_last: bool


@final
class _Accept(_WithSlot, tag=16):
    entry: EntryField
    first: int


@final
class _Accepted(_WithSlot, tag=17):
    pass


@final
class _Heartbeat(_WithBallot, tag=18):
    leads: bool
    in_contact: bool
    first: int


@final
class _CatchUpRequest(OfLog, tag=19):
    first: int


@final
class _CatchUp(OfLog, tag=20):
    slot: int
    proposals: list[ProposalField]


@final
class _Confirm(_WithNumber, tag=21):
    pass


@final
class _Confirmed(_WithNumber, tag=22):
    pass


@final
class _Forward(OfLog, tag=23):
    batch: bytes


@final
class _ReadIndexRequest(OfLog, tag=24):
    number: int


@final
class _ReadIndexReply(OfLog, tag=25):
    number: int
    first: int | None


@final
class _SnapshotOffer(OfLog, tag=26):
    slot: int
    pieces: int
    size_bytes: int
    digest: bytes


@final
class _SnapshotRequest(OfLog, tag=27):
    slot: int
    digest: bytes
    index: int
    count: int


@final
class _SnapshotPiece(OfLog, tag=28):
    slot: int
    digest: bytes
    index: int
    data: bytes


@final
class _HasVersions(OfLog, tag=30):
    first: int
    last: int


_OfCore: TypeAlias = (
    _Prepare
    | _Promise
    | _Accept
    | _Accepted
    | _Heartbeat
    | _CatchUpRequest
    | _CatchUp
    | _Confirm
    | _Confirmed
)
_OfHost: TypeAlias = (
    _Forward
    | _ReadIndexRequest
    | _ReadIndexReply
    | _SnapshotOffer
    | _SnapshotRequest
    | _SnapshotPiece
    | _HasVersions
)
LogStruct: TypeAlias = _OfCore | _OfHost
"""Any of them, as it is written."""


# --- sending --------------------------------------------------------------------------------------


def log_struct(log: str, message: LogMessage) -> LogStruct:
    """``message`` as it is written. Raises OutOfBounds, TooLarge, NotBytes."""
    if type(message) is Accept:
        slot, first = _slot(message.slot), _slot(message.first)
        return _Accept(log, *checked_ballot(message.ballot), slot, _entry(message.entry), first)
    if type(message) is Accepted:
        return _Accepted(log, *checked_ballot(message.ballot), _slot(message.slot))
    if type(message) is Heartbeat:
        ballot, first = checked_ballot(message.ballot, 0), _slot(message.first)
        return _Heartbeat(log, *ballot, message.leads, message.in_contact, first)
    if type(message) is Prepare:
        return _Prepare(log, *checked_ballot(message.ballot), _slot(message.slot))
    if type(message) is Promise:
        return _promise_struct(log, message)
    if type(message) is CatchUpRequest:
        return _CatchUpRequest(log, _slot(message.first))
    if type(message) is CatchUp:
        _last_slot(message.slot, len(message.proposals))
        proposals = [_proposal(it) for it in message.proposals[:MAX_PROPOSALS]]
        return _CatchUp(log, _slot(message.slot), proposals)
    if type(message) is Confirm:
        return _Confirm(log, *checked_ballot(message.ballot), _number(message.number))
    if type(message) is Confirmed:
        return _Confirmed(log, *checked_ballot(message.ballot), _number(message.number))
    assert type(message) is not Nack, "a Nack is written as that of a decision"
    return _host_struct(log, message)


def _host_struct(log: str, message: LogMessage) -> _OfHost:
    if type(message) is Forward:
        return _Forward(log, checked_value(message.batch))
    if type(message) is ReadIndexRequest:
        return _ReadIndexRequest(log, _number(message.number))
    if type(message) is ReadIndexReply:
        first = None if message.first is None else _slot(message.first)
        return _ReadIndexReply(log, _number(message.number), first)
    if type(message) is SnapshotOffer:
        pieces, size_bytes = _pieces(message.pieces), _size(message.size_bytes)
        return _SnapshotOffer(log, _slot(message.slot), pieces, size_bytes, _digest(message.digest))
    if type(message) is SnapshotRequest:
        digest, index, count = (
            _digest(message.digest),
            _index(message.index),
            _pieces(message.count),
        )
        _last_index(index, count)
        return _SnapshotRequest(log, _slot(message.slot), digest, index, count)
    if type(message) is HasVersions:
        return _HasVersions(log, _version(message.first), _version(message.last))
    assert type(message) is SnapshotPiece
    digest, index, data = _digest(message.digest), _index(message.index), _data(message.data)
    return _SnapshotPiece(log, _slot(message.slot), digest, index, data)


def _promise_struct(log: str, message: Promise[bytes]) -> _Promise:
    accepted = [(_slot(slot), *_proposal(it)) for slot, it in message.accepted[:MAX_PROPOSALS]]
    slot, first = _slot(message.slot), _slot(message.first)
    is_last = message.is_last and len(accepted) == len(message.accepted)
    return _Promise(log, *checked_ballot(message.ballot), slot, first, accepted, is_last)


def _proposal(proposal: Proposal[Entry[bytes]]) -> ProposalField:
    number, server = checked_ballot(proposal.ballot)
    return number, server, _entry(proposal.value)


def _entry(entry: Entry[bytes]) -> EntryField:
    if type(entry) is Command:
        return checked_value(entry.value)
    if type(entry) is Noop:
        return None
    if type(entry) is Change:
        return (_words(words_of(entry.quorum)),)
    assert_never(entry)


# --- bounds ---------------------------------------------------------------------------------------


def _slot(slot: int) -> int:
    return checked_number("a slot", slot, MAX_SLOT, 1)


def _number(number: int) -> int:
    return checked_number("the number of a read", number, MAX_READ)


def _version(version: int) -> int:
    return checked_number("a version of a state machine", version, MAX_VERSION, 1)


def _pieces(count: int) -> int:
    return checked_number("the number of pieces", count, MAX_PIECES, 1)


def _index(index: int) -> int:
    return checked_number("the index of a piece", index, MAX_PIECES - 1)


def _size(size_bytes: int) -> int:
    return checked_number("the size of a snapshot, in bytes,", size_bytes, MAX_SNAPSHOT_BYTES, 1)


def _digest(digest: bytes) -> bytes:
    checked_number(
        "the size of a digest", len(digest), SNAPSHOT_DIGEST_BYTES, SNAPSHOT_DIGEST_BYTES
    )
    return digest


def _words(words: str) -> str:
    """Few enough that the proof that its quorums meet is short: it grows faster than they do."""
    if len(words) > MAX_QUORUM_BYTES:
        raise TooLarge("a quorum system in words", len(words), MAX_QUORUM_BYTES)
    checked_number("the number of weighed servers", words.count("="), MAX_DEPLOYED)
    return words


def _last_slot(slot: int, count: int) -> None:
    _slot(slot + max(count - 1, 0))


def _last_index(index: int, count: int) -> None:
    _index(index + count - 1)


def _data(data: bytes) -> bytes:
    checked_number("the size of a piece, in bytes,", len(data), MAX_PIECE_BYTES, 1)
    return data


# --- receiving ------------------------------------------------------------------------------------


def log_message_of(struct: LogStruct) -> LogMessage:
    """The message that is written so. Raises RejectedDatagram, OutOfBounds, TooLarge."""
    if isinstance(struct, _WithBallot):
        return _ballot_message_of(struct)
    if type(struct) is _CatchUpRequest:
        return CatchUpRequest(_slot(struct.first))
    if type(struct) is _CatchUp:
        _check_count(struct.proposals)
        if not struct.proposals:
            raise RejectedDatagram(Reason.IMPOSSIBLE)
        _last_slot(struct.slot, len(struct.proposals))
        proposals = tuple([_proposal_of(*it) for it in struct.proposals])
        return CatchUp(_slot(struct.slot), proposals)
    if type(struct) is _Forward:
        return Forward(checked_value(struct.batch))
    if type(struct) is _ReadIndexRequest:
        return ReadIndexRequest(_number(struct.number))
    if type(struct) is _ReadIndexReply:
        first = None if struct.first is None else _slot(struct.first)
        return ReadIndexReply(_number(struct.number), first)
    if type(struct) is _HasVersions:
        if struct.first > struct.last:
            raise RejectedDatagram(Reason.IMPOSSIBLE)
        return HasVersions(_version(struct.first), _version(struct.last))
    return _snapshot_message_of(struct)


def _snapshot_message_of(
    struct: _SnapshotOffer | _SnapshotRequest | _SnapshotPiece,
) -> SnapshotOffer | SnapshotRequest | SnapshotPiece:
    slot, digest = _slot(struct.slot), _digest(struct.digest)
    if type(struct) is _SnapshotOffer:
        pieces, size_bytes = _pieces(struct.pieces), _size(struct.size_bytes)
        if not pieces <= size_bytes <= pieces * MAX_PIECE_BYTES:
            raise RejectedDatagram(Reason.IMPOSSIBLE)
        return SnapshotOffer(slot, pieces, size_bytes, digest)
    if type(struct) is _SnapshotRequest:
        _last_index(struct.index, struct.count)
        return SnapshotRequest(slot, digest, _index(struct.index), _pieces(struct.count))
    if type(struct) is _SnapshotPiece:
        return SnapshotPiece(slot, digest, _index(struct.index), _data(struct.data))
    assert_never(struct)


def _ballot_message_of(
    struct: _Prepare | _Promise | _Accept | _Accepted | _Heartbeat | _Confirm | _Confirmed,
) -> LogMessage:
    if type(struct) is _Heartbeat:
        return _heartbeat_of(struct)
    ballot = ballot_of(struct.round, struct.server)
    if type(struct) is _Accept:
        slot, first = _slot(struct.slot), _slot(struct.first)
        if first > slot:
            raise RejectedDatagram(Reason.IMPOSSIBLE)
        return Accept(ballot, slot, _entry_of(struct.entry), first)
    if type(struct) is _Accepted:
        return Accepted(ballot, _slot(struct.slot))
    if type(struct) is _Prepare:
        return Prepare(ballot, _slot(struct.slot))
    if type(struct) is _Promise:
        return _promise_of(struct)
    if type(struct) is _Confirm:
        return Confirm(ballot, _number(struct.number))
    if type(struct) is _Confirmed:
        return Confirmed(ballot, _number(struct.number))
    assert_never(struct)


def _heartbeat_of(struct: _Heartbeat) -> Heartbeat:
    ballot = ballot_of(struct.round, struct.server, 0)
    if not struct.round and (struct.leads or struct.server):
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Heartbeat(ballot, struct.leads, struct.in_contact, _slot(struct.first))


def _promise_of(struct: _Promise) -> Promise[bytes]:
    ballot = ballot_of(struct.round, struct.server)
    _check_count(struct.accepted)
    accepted = tuple(
        [
            (_slot(slot), _proposal_of(number, server, entry))
            for slot, number, server, entry in struct.accepted
        ]
    )
    slots = [slot for slot, _ in accepted]
    is_rising = all(it < after for it, after in pairwise(slots))
    least = max(_slot(struct.slot), _slot(struct.first))
    is_above = any(it.ballot > ballot for _, it in accepted)
    is_endless = not (accepted or struct.is_last)
    if not is_rising or is_above or is_endless or any(it < least for it in slots):
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Promise(ballot, struct.slot, struct.first, accepted, struct.is_last)


def _check_count(proposals: list[AcceptedField] | list[ProposalField]) -> None:
    checked_number("the number of proposals", len(proposals), MAX_PROPOSALS)


def _proposal_of(number: int, server: int, entry: EntryField) -> Proposal[Entry[bytes]]:
    return Proposal(ballot_of(number, server), _entry_of(entry))


def _entry_of(entry: EntryField) -> Entry[bytes]:
    if entry is None:
        return Noop()
    if isinstance(entry, bytes):
        return Command(checked_value(entry))
    try:
        return Change(quorum_of(_words(entry[0])))
    except (ValueError, OverflowError) as error:  # OutOfBounds and TooLarge are ValueErrors.
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS) from error
