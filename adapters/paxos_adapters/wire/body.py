"""What a body says: a batch of lines in MessagePack, messages about decisions and control messages.

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
- The structs are mapped to and from the messages of the core by hand, and no further: what comes
  out has its types and its bounds, or is refused.
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
from paxos_adapters.wire.bounds import (
    MAX_MESSAGES,
    MAX_NAME_BYTES,
    MAX_PINGS,
    MAX_READ,
    MAX_ROUND,
    MAX_SAVES,
    MAX_SEQUENCE,
    MAX_SERVER,
    MAX_VALUE_BYTES,
)
from paxos_adapters.wire.control import Control, Ping, Pong, Register
from paxos_adapters.wire.errors import NotBytes, OutOfBounds, Reason, RejectedDatagram, TooLarge
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.resending import Missing
from paxos_adapters.wire.sessions import NONE, SESSION_BYTES, unhexed

Entry: TypeAlias = tuple[str, Message[bytes]]
"""The name of a decision, and a message that is about it."""

Line: TypeAlias = Entry | Control | Missing
"""What one line of a body says."""


class _Line(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    decision: str


class _BallotLine(_Line):
    round: int
    server: int


class _ValueLine(_BallotLine):
    value: bytes


class _ReadLine(_Line):
    session: int
    number: int


@final
class _Prepare(_BallotLine, tag=1):
    pass


@final
class _Promise(_BallotLine, tag=2):
    accepted: tuple[int, int, bytes] | None


@final
class _Accept(_ValueLine, tag=3):
    pass


@final
class _Accepted(_ValueLine, tag=4):
    pass


@final
class _Nack(_BallotLine, tag=5):
    promised_round: int
    promised_server: int


@final
class _Chosen(_ValueLine, tag=6):
    pass


@final
class _Heartbeat(_Line, tag=7):
    pass


@final
class _Query(_ReadLine, tag=8):
    pass


@final
class _Answer(_ReadLine, tag=9):
    accepted: tuple[int, int, bytes] | None


class _ControlLine(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    number: int


@final
class _Ping(_ControlLine, tag=10):
    known: tuple[bytes, int] | None


@final
class _Pong(_ControlLine, tag=11):
    session: bytes
    known: tuple[bytes, int] | None
    votes: bool


@final
class _Register(_ControlLine, tag=12):
    pass


@final
class _Missing(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=13):
    first: int
    parts: int


_About: TypeAlias = (
    _Prepare | _Promise | _Accept | _Accepted | _Nack | _Chosen | _Heartbeat | _Query | _Answer
)
_Struct: TypeAlias = _About | _Ping | _Pong | _Register | _Missing
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Struct])


# --- sending ------------------------------------------------------------------------------------


def pack(decision: str, message: Message[bytes]) -> bytes:
    """One line of a batch. Raises TooLarge, OutOfBounds, NotBytes."""
    size = len(decision.encode())
    if not size:
        raise OutOfBounds("the size of a decision's name", size, 1, MAX_NAME_BYTES)
    if size > MAX_NAME_BYTES:
        raise TooLarge("the name of a decision", size, MAX_NAME_BYTES)
    return _ENCODER.encode(_struct(decision, message))


def pack_control(control: Control | Missing) -> bytes:
    """One line of a batch. Raises OutOfBounds, BadDiskStatus."""
    return _ENCODER.encode(_missing(control) if type(control) is Missing else _control(control))


def batch(lines: Sequence[bytes]) -> bytes:
    """The body that consists of ``lines``: a MessagePack array, its length in the fewest bytes."""
    count = len(lines)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2)
    return head + b"".join(lines)


def _control(control: Control) -> _Ping | _Pong | _Register:
    if not 0 <= control.number <= MAX_PINGS:
        raise OutOfBounds("the number of a ping", control.number, 0, MAX_PINGS)
    if type(control) is Ping:
        return _Ping(control.number, _told(control.known))
    if type(control) is Pong:
        session, known = unhexed(control.session), _told(control.known)
        return _Pong(control.number, session, known, control.votes)
    if type(control) is Register:
        return _Register(control.number)
    assert_never(control)


def _missing(missing: Missing) -> _Missing:
    if not 1 <= missing.first <= MAX_SEQUENCE:
        raise OutOfBounds("the sequence of a part", missing.first, 1, MAX_SEQUENCE)
    if not 1 <= missing.parts < 1 << MAX_PARTS:
        raise OutOfBounds("the parts that are missing", missing.parts, 1, (1 << MAX_PARTS) - 1)
    return _Missing(missing.first, missing.parts)


def _told(known: Known | None) -> tuple[bytes, int] | None:
    if known is None:
        return None
    if not 0 <= known.saves <= MAX_SAVES:
        raise OutOfBounds("the saves of a disk", known.saves, 0, MAX_SAVES)
    return unhexed(known.session), known.saves


def _struct(decision: str, message: Message[bytes]) -> _About:
    if type(message) is Heartbeat:
        return _Heartbeat(decision)
    if type(message) is Prepare:
        return _Prepare(decision, *_sent(message.ballot))
    if type(message) is Promise:
        return _Promise(decision, *_sent(message.ballot), _held(message.accepted))
    if type(message) is Accept:
        return _Accept(decision, *_sent(message.ballot), _checked(message.value))
    if type(message) is Accepted:
        return _Accepted(decision, *_sent(message.ballot), _checked(message.value))
    if type(message) is Nack:
        return _Nack(decision, *_sent(message.ballot), *_sent(message.promised))
    if type(message) is Chosen:
        return _Chosen(decision, *_sent(message.ballot), _checked(message.value))
    if type(message) is Query:
        return _Query(decision, *_asked(message.id))
    if type(message) is Answer:
        return _Answer(decision, *_asked(message.id), _held(message.accepted))
    assert_never(message)


def _sent(ballot: Ballot) -> Ballot:
    if not 1 <= ballot.round <= MAX_ROUND:
        raise OutOfBounds("a round", ballot.round, 1, MAX_ROUND)
    if not 0 <= ballot.server <= MAX_SERVER:
        raise OutOfBounds("the server of a ballot", ballot.server, 0, MAX_SERVER)
    return ballot


def _asked(read: ReadId) -> ReadId:
    for what, number in ("the session of a read", read.session), ("a read", read.number):
        if not 0 <= number <= MAX_READ:
            raise OutOfBounds(what, number, 0, MAX_READ)
    return read


def _held(proposal: Proposal[bytes] | None) -> tuple[int, int, bytes] | None:
    if proposal is None:
        return None
    number, server = _sent(proposal.ballot)
    return number, server, _checked(proposal.value)


def _checked(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise NotBytes(value)
    if len(value) > MAX_VALUE_BYTES:
        raise TooLarge("a value", len(value), MAX_VALUE_BYTES)
    return value


# --- hearing ------------------------------------------------------------------------------------


def unpack(body: bytes) -> tuple[Entry, ...]:
    """The messages of a body without control messages. Raises RejectedDatagram only."""
    entries, others = unpack_all(body)
    if others:
        raise RejectedDatagram(Reason.MALFORMED)
    return entries


def unpack_all(body: bytes) -> tuple[tuple[Entry, ...], tuple[Control | Missing, ...]]:
    """The messages of a body, and its control messages. Raises RejectedDatagram only."""
    try:
        structs = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RejectedDatagram(Reason.MALFORMED) from error
    if not 0 < len(structs) <= MAX_MESSAGES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    entries = tuple([(_name(it), _message(it)) for it in structs if isinstance(it, _Line)])
    if len(entries) == len(structs):
        return entries, ()
    return entries, tuple([_control_of(it) for it in structs if not isinstance(it, _Line)])


def _control_of(struct: _Ping | _Pong | _Register | _Missing) -> Control | Missing:
    if type(struct) is _Missing:
        return _asked_for(struct.first, struct.parts)
    if not 0 <= struct.number <= MAX_PINGS:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    if type(struct) is _Ping:
        return Ping(struct.number, _known(struct.known))
    if type(struct) is _Pong:
        session = _session(struct.session)
        return Pong(struct.number, session, _known(struct.known), struct.votes)
    if type(struct) is _Register:
        return Register(struct.number)
    assert_never(struct)


def _asked_for(first: int, parts: int) -> Missing:
    if not (1 <= first <= MAX_SEQUENCE and 1 <= parts < 1 << MAX_PARTS):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return Missing(first, parts)


def _known(told: tuple[bytes, int] | None) -> Known | None:
    if told is None:
        return None
    session, saves = told
    if not 0 <= saves <= MAX_SAVES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return Known(_session(session), saves)


def _session(session: bytes) -> str:
    if len(session) != SESSION_BYTES or session == NONE:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return session.hex()


def _name(struct: _About) -> str:
    if not 1 <= len(struct.decision.encode()) <= MAX_NAME_BYTES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return struct.decision


def _message(struct: _About) -> Message[bytes]:
    if type(struct) is _Heartbeat:
        return Heartbeat()
    if type(struct) is _Prepare:
        return Prepare(_ballot(struct.round, struct.server))
    if type(struct) is _Promise:
        return _promise(_ballot(struct.round, struct.server), _proposal(struct.accepted))
    if type(struct) is _Accept:
        return Accept(_ballot(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Accepted:
        return Accepted(_ballot(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Nack:
        promised = _ballot(struct.promised_round, struct.promised_server)
        return _nack(_ballot(struct.round, struct.server), promised)
    if type(struct) is _Chosen:
        return Chosen(_ballot(struct.round, struct.server), _value(struct.value))
    if type(struct) is _Query:
        return Query(_read(struct.session, struct.number))
    if type(struct) is _Answer:
        return Answer(_read(struct.session, struct.number), _proposal(struct.accepted))
    assert_never(struct)


def _promise(ballot: Ballot, accepted: Proposal[bytes] | None) -> Promise[bytes]:
    """The ballots may be equal: a Prepare that comes again after its Accept is promised again."""
    if accepted is not None and accepted.ballot > ballot:
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Promise(ballot, accepted)


def _nack(ballot: Ballot, promised: Ballot) -> Nack:
    if promised <= ballot:
        raise RejectedDatagram(Reason.IMPOSSIBLE)
    return Nack(ballot, promised)


def _read(session: int, number: int) -> ReadId:
    if not (0 <= session <= MAX_READ and 0 <= number <= MAX_READ):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return ReadId(session, number)


def _ballot(number: int, server: int) -> Ballot:
    if not (1 <= number <= MAX_ROUND and 0 <= server <= MAX_SERVER):
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return Ballot(number, ServerId(server))


def _proposal(accepted: tuple[int, int, bytes] | None) -> Proposal[bytes] | None:
    if accepted is None:
        return None
    number, server, value = accepted
    return Proposal(_ballot(number, server), _value(value))


def _value(value: bytes) -> bytes:
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    return value
