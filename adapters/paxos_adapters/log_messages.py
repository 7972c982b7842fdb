"""The messages between the servers of a replicated log: those of the core, and those of its hosts.

    request                                          reply
    Forward(batch)                                   none: the commands come back through the log
    ReadIndexRequest(number)                         ReadIndexReply(number, first)
    CatchUpRequest(first), below the floor           SnapshotOffer(slot, pieces, ...)
    SnapshotRequest(slot, digest, index, count)      SnapshotPiece(slot, digest, index, data), each
    HasVersions(first, last), with each heartbeat    none

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), sections 5.3 and 6.4.
"""

from __future__ import annotations

from typing import TypeAlias, TypeGuard, final

from paxos import Accept, Accepted, Answer, Chosen, Message, Promise
from paxos.log import messages as log
from paxos.values import frozen
from paxos_adapters.limits import MEMBERS_LOG


@final
@frozen
class Forward:
    """To the leader: propose ``batch``, encoded commands of a server that does not lead."""

    batch: bytes


@final
@frozen
class ReadIndexRequest:
    """To the leader: after which slot is a read linearizable? ``number`` is echoed."""

    number: int


@final
@frozen
class ReadIndexReply:
    """The answer: after all slots below ``first``. None: this server does not lead any more."""

    number: int
    first: int | None


@final
@frozen
class SnapshotOffer:
    """A snapshot stands for all slots below ``slot``: so many pieces, and a digest of them all."""

    slot: int
    pieces: int
    size_bytes: int
    digest: bytes


@final
@frozen
class SnapshotRequest:
    """Send ``count`` pieces of this snapshot, from ``index`` on."""

    slot: int
    digest: bytes
    index: int
    count: int


@final
@frozen
class SnapshotPiece:
    """One piece of this snapshot."""

    slot: int
    digest: bytes
    index: int
    data: bytes


@final
@frozen
class HasVersions:
    """The program of the sender has the versions ``first`` to ``last`` of the state machine."""

    first: int
    last: int


HostMessage: TypeAlias = (
    Forward
    | ReadIndexRequest
    | ReadIndexReply
    | SnapshotOffer
    | SnapshotRequest
    | SnapshotPiece
    | HasVersions
)
"""A message that the core knows nothing of."""

LogMessage: TypeAlias = log.Message[bytes] | HostMessage
"""Everything that travels between the servers of a log."""

AnyMessage: TypeAlias = Message[bytes] | LogMessage
"""A message about a name: of a decision, or of a log. A Nack may be of either."""

_OF_LOGS = frozenset(
    (
        log.Prepare,
        log.Promise,
        log.Accept,
        log.Accepted,
        log.Heartbeat,
        log.CatchUpRequest,
        log.CatchUp,
        log.Confirm,
        log.Confirmed,
        Forward,
        ReadIndexRequest,
        ReadIndexReply,
        SnapshotOffer,
        SnapshotRequest,
        SnapshotPiece,
        HasVersions,
    )
)


_TEACHING = frozenset((log.Heartbeat, log.CatchUp, SnapshotOffer, SnapshotPiece))
_ASKING = frozenset((log.CatchUpRequest, SnapshotRequest))


def teaches_members(name: str, message: AnyMessage) -> bool:
    """Whether it says what is chosen in the log of members, or which server knows it."""
    return name == MEMBERS_LOG and type(message) in _TEACHING


def asks_for_members(name: str, message: AnyMessage) -> bool:
    """Whether it asks for what is chosen in the log of members, and says nothing else."""
    return name == MEMBERS_LOG and type(message) in _ASKING


def is_for_log(message: AnyMessage) -> TypeGuard[LogMessage]:
    """Whether it can only be of a log."""
    return type(message) in _OF_LOGS


def is_for_decision(message: AnyMessage) -> TypeGuard[Message[bytes]]:
    """Whether it may be of a decision."""
    return type(message) not in _OF_LOGS


def value_bytes(message: AnyMessage) -> int:
    """The size of the values, entries or pieces that ``message`` carries."""
    if is_for_log(message):
        return _log_bytes(message)
    if type(message) is Accept or type(message) is Accepted or type(message) is Chosen:
        return len(message.value)
    if type(message) is Promise or type(message) is Answer:
        return 0 if message.accepted is None else len(message.accepted.value)
    return 0


def _log_bytes(message: LogMessage) -> int:
    if type(message) is log.Accept:
        return _entry_bytes(message.entry)
    if type(message) is Forward:
        return len(message.batch)
    if type(message) is SnapshotPiece:
        return len(message.data)
    if type(message) is log.CatchUp:
        return sum(_entry_bytes(it.value) for it in message.proposals)
    if type(message) is log.Promise:
        return sum(_entry_bytes(it.value) for _, it in message.accepted)
    return 0


def _entry_bytes(entry: log.Entry[bytes]) -> int:
    return len(entry.value) if type(entry) is log.Command else 0
