"""The body: a batch of messages in MessagePack, about decisions and about servers.

    [1, decision, round, server]                   Prepare
    [2, decision, round, server, accepted]         Promise; accepted: nil or [round, server, value]
    [3, decision, round, server, value]            Accept
    [4, decision, round, server, value]            Accepted
    [5, decision, round, server, round, server]    Nack; the second ballot is the promised one
    [6, decision, round, server, value]            Chosen
    [7, decision]                                  Heartbeat
    [8, decision, session, number]                 Query; which read asks
    [9, decision, session, number, accepted]       Answer; accepted as in a Promise
    [10, number, known]                            Ping; known: nil or [session, saves]
    [11, number, session, known, votes]            Pong; the number and session that it answers
    [12, number]                                   Register
    [13, first, parts]                             Missing; bit n of parts stands for part n

- The last four name no decision. They are about sessions, see ``control.py``, and about parts that
  were lost, see ``resending.py``. No other message stands in for them: a name is never empty.
- A decision is a string, a value is binary. The wire looks into neither.
- The structs are mapped to and from the messages of the core by hand: what is decoded has its types
  and its bounds, or is refused.
- The bounds are the same both ways: what cannot be sent is not received.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, final

import msgspec

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
)
from paxos.errors import assert_never
from paxos_adapters.disk_status import Known
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_ROUND, MAX_SAVES, MAX_SERVER, MAX_VALUE_BYTES
from paxos_adapters.wire.bounds import MAX_MESSAGES, MAX_PINGS, MAX_READ, MAX_SEQUENCE
from paxos_adapters.wire.control import Control, Ping, Pong, Register
from paxos_adapters.wire.errors import NotBytes, OutOfBounds, Reason, RejectedDatagram, TooLarge
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.resending import Missing
from paxos_adapters.wire.sessions import NO_SESSION_BYTES, SESSION_BYTES, session_bytes

NamedMessage: TypeAlias = tuple[str, Message[bytes]]
"""The name of a decision, and a message about it."""

WireMessage: TypeAlias = NamedMessage | Control | Missing
"""One message of a body."""


class _Named(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    decision: str


class _WithBallot(_Named):
    round: int
    server: int


class _WithValue(_WithBallot):
    value: bytes


class _WithRead(_Named):
    session: int
    number: int


@final
class _Prepare(_WithBallot, tag=1):
    pass


@final
class _Promise(_WithBallot, tag=2):
    accepted: tuple[int, int, bytes] | None


@final
class _Accept(_WithValue, tag=3):
    pass


@final
class _Accepted(_WithValue, tag=4):
    pass


@final
class _Nack(_WithBallot, tag=5):
    promised_round: int
    promised_server: int


@final
class _Chosen(_WithValue, tag=6):
    pass


@final
class _Heartbeat(_Named, tag=7):
    pass


@final
class _Query(_WithRead, tag=8):
    pass


@final
class _Answer(_WithRead, tag=9):
    accepted: tuple[int, int, bytes] | None


class _Numbered(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    number: int


@final
class _Ping(_Numbered, tag=10):
    known: tuple[bytes, int] | None


@final
class _Pong(_Numbered, tag=11):
    session: bytes
    known: tuple[bytes, int] | None
    votes: bool


@final
class _Register(_Numbered, tag=12):
    pass


@final
class _Missing(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=13):
    first: int
    parts: int


_NamedStruct: TypeAlias = (
    _Prepare | _Promise | _Accept | _Accepted | _Nack | _Chosen | _Heartbeat | _Query | _Answer
)
_Struct: TypeAlias = _NamedStruct | _Ping | _Pong | _Register | _Missing
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Struct])


# --- sending ------------------------------------------------------------------------------------


def encode_message(decision: str, message: Message[bytes]) -> bytes:
    """One message of a batch. Raises TooLarge, OutOfBounds, NotBytes."""
    return _ENCODER.encode(_message_struct(_name(decision), message))


def encode_control(control: Control | Missing) -> bytes:
    """One message of a batch. Raises OutOfBounds, BadDiskStatus."""
    return _ENCODER.encode(
        _Missing(*_missing(control.first, control.parts))
        if type(control) is Missing
        else _control_struct(control)
    )


def encode_batch(messages: Sequence[bytes]) -> bytes:
    """The body of these messages: a MessagePack array, its length in the fewest bytes."""
    count = len(messages)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2)
    return head + b"".join(messages)


def _control_struct(control: Control) -> _Ping | _Pong | _Register:
    number = _number(control.number)
    if type(control) is Ping:
        return _Ping(number, _known_struct(control.known))
    if type(control) is Pong:
        session, known = session_bytes(control.session), _known_struct(control.known)
        return _Pong(number, session, known, control.votes)
    if type(control) is Register:
        return _Register(number)
    assert_never(control)


def _known_struct(known: Known | None) -> tuple[bytes, int] | None:
    return None if known is None else (session_bytes(known.session), _saves(known.saves))


def _message_struct(decision: str, message: Message[bytes]) -> _NamedStruct:
    if type(message) is Heartbeat:
        return _Heartbeat(decision)
    if type(message) is Prepare:
        return _Prepare(decision, *_ballot(message.ballot))
    if type(message) is Promise:
        return _Promise(decision, *_ballot(message.ballot), _proposal(message.accepted))
    if type(message) is Accept:
        return _Accept(decision, *_ballot(message.ballot), _value(message.value))
    if type(message) is Accepted:
        return _Accepted(decision, *_ballot(message.ballot), _value(message.value))
    if type(message) is Nack:
        return _Nack(decision, *_ballot(message.ballot), *_ballot(message.promised))
    if type(message) is Chosen:
        return _Chosen(decision, *_ballot(message.ballot), _value(message.value))
    if type(message) is Query:
        return _Query(decision, *_read(message.id))
    if type(message) is Answer:
        return _Answer(decision, *_read(message.id), _proposal(message.accepted))
    assert_never(message)


def _proposal(proposal: Proposal[bytes] | None) -> tuple[int, int, bytes] | None:
    if proposal is None:
        return None
    number, server = _ballot(proposal.ballot)
    return number, server, _value(proposal.value)


# --- bounds -------------------------------------------------------------------------------------


def _name(decision: str) -> str:
    size = len(decision.encode())
    if not size:
        raise OutOfBounds("the size of a decision's name", size, 1, MAX_NAME_BYTES)
    if size > MAX_NAME_BYTES:
        raise TooLarge("the name of a decision", size, MAX_NAME_BYTES)
    return decision


def _number(number: int) -> int:
    if not 0 <= number <= MAX_PINGS:
        raise OutOfBounds("the number of a ping", number, 0, MAX_PINGS)
    return number


def _missing(first: int, parts: int) -> tuple[int, int]:
    if not 1 <= first <= MAX_SEQUENCE:
        raise OutOfBounds("the sequence of a part", first, 1, MAX_SEQUENCE)
    if not 1 <= parts < 1 << MAX_PARTS:
        raise OutOfBounds("the parts that are missing", parts, 1, (1 << MAX_PARTS) - 1)
    return first, parts


def _saves(saves: int) -> int:
    if not 0 <= saves <= MAX_SAVES:
        raise OutOfBounds("the saves of a disk", saves, 0, MAX_SAVES)
    return saves


def _ballot(ballot: Ballot) -> Ballot:
    if not 1 <= ballot.round <= MAX_ROUND:
        raise OutOfBounds("a round", ballot.round, 1, MAX_ROUND)
    if not 0 <= ballot.server <= MAX_SERVER:
        raise OutOfBounds("the server of a ballot", ballot.server, 0, MAX_SERVER)
    return ballot


def _read(read: ReadId) -> ReadId:
    for what, number in ("the session of a read", read.session), ("a read", read.number):
        if not 0 <= number <= MAX_READ:
            raise OutOfBounds(what, number, 0, MAX_READ)
    return read


def _value(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise NotBytes(value)
    if len(value) > MAX_VALUE_BYTES:
        raise TooLarge("a value", len(value), MAX_VALUE_BYTES)
    return value


# --- receiving ----------------------------------------------------------------------------------


def decode_messages(body: bytes) -> tuple[NamedMessage, ...]:
    """The messages of a body without control messages. Raises RejectedDatagram only."""
    messages, controls = decode_body(body)
    if controls:
        raise RejectedDatagram(Reason.MALFORMED)
    return messages


def decode_body(body: bytes) -> tuple[tuple[NamedMessage, ...], tuple[Control | Missing, ...]]:
    """The messages of a body, and its control messages. Raises RejectedDatagram only."""
    try:
        structs = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RejectedDatagram(Reason.MALFORMED) from error
    if not 0 < len(structs) <= MAX_MESSAGES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    try:
        return (
            tuple(
                [(_name(it.decision), _message_of(it)) for it in structs if isinstance(it, _Named)]
            ),
            tuple([_control_of(it) for it in structs if not isinstance(it, _Named)]),
        )
    except (OutOfBounds, TooLarge) as error:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS) from error


def _control_of(struct: _Ping | _Pong | _Register | _Missing) -> Control | Missing:
    if type(struct) is _Missing:
        return Missing(*_missing(struct.first, struct.parts))
    number = _number(struct.number)
    if type(struct) is _Ping:
        return Ping(number, _known_of(struct.known))
    if type(struct) is _Pong:
        session = _session_of(struct.session)
        return Pong(number, session, _known_of(struct.known), struct.votes)
    if type(struct) is _Register:
        return Register(number)
    assert_never(struct)


def _known_of(known: tuple[bytes, int] | None) -> Known | None:
    return None if known is None else Known(_session_of(known[0]), _saves(known[1]))


def _session_of(session: bytes) -> str:
    if len(session) != SESSION_BYTES or session == NO_SESSION_BYTES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return session.hex()


def _message_of(struct: _NamedStruct) -> Message[bytes]:
    if type(struct) is _Heartbeat:
        return Heartbeat()
    if type(struct) is _Prepare:
        return Prepare(_ballot_of(struct.round, struct.server))
    if type(struct) is _Promise:
        return _promise_of(_ballot_of(struct.round, struct.server), _proposal_of(struct.accepted))
    if type(struct) is _Accept:
        return Accept(_ballot_of(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Accepted:
        return Accepted(_ballot_of(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Nack:
        promised = _ballot_of(struct.promised_round, struct.promised_server)
        return _nack_of(_ballot_of(struct.round, struct.server), promised)
    if type(struct) is _Chosen:
        return Chosen(_ballot_of(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Query:
        return Query(_read(ReadId(struct.session, struct.number)))
    if type(struct) is _Answer:
        read = _read(ReadId(struct.session, struct.number))
        return Answer(read, _proposal_of(struct.accepted))
    assert_never(struct)


def _promise_of(ballot: Ballot, accepted: Proposal[bytes] | None) -> Promise[bytes]:
    """The ballots may be equal: a Prepare that comes again after its Accept is promised again."""
    if accepted is not None and accepted.ballot > ballot:
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Promise(ballot, accepted)


def _nack_of(ballot: Ballot, promised: Ballot) -> Nack:
    if promised <= ballot:
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Nack(ballot, promised)


def _ballot_of(number: int, server: int) -> Ballot:
    return _ballot(Ballot(number, ServerId(server)))


def _proposal_of(accepted: tuple[int, int, bytes] | None) -> Proposal[bytes] | None:
    if accepted is None:
        return None
    number, server, value = accepted
    return Proposal(_ballot_of(number, server), _value(value))
