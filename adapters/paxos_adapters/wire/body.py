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
    [11, number, session, known, votes, steps]     Pong; the number and session that it answers
    [12, number]                                   Register
    [13, first, parts]                             Missing; bit n of parts stands for part n
    [14 to 28 and 30, log, ...]                    the messages of logs: ``log_body.py``
    [29, epoch]                                    Removal; you were removed

- Messages 10 to 13 and 29 have no name. They are about servers, see ``control.py``, and about parts
  that were lost, see ``resending.py``. No other message stands in for them: a name is never empty.
- A decision is a string, a value is binary. The wire looks into neither.
- The structs are mapped to and from the messages of the core by hand: what is decoded has its types
  and its bounds, or is refused.
- The bounds are the same both ways: what cannot be sent is not received.
- Messages of kinds that are not known here are of a later version: they are counted and dropped,
  and the others of their body are received. So servers of two versions run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, final, get_args

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
)
from paxos.errors import assert_never
from paxos_adapters.disk_status import Known
from paxos_adapters.limits import MAX_SAVES
from paxos_adapters.log_messages import AnyMessage, is_for_decision, is_for_log
from paxos_adapters.wire.bounds import MAX_MESSAGES, MAX_PINGS, MAX_READ, MAX_SEQUENCE, MAX_STEPS
from paxos_adapters.wire.control import Control, Ping, Pong, Register, Removal
from paxos_adapters.wire.errors import OutOfBounds, Reason, RejectedDatagram, TooLarge
from paxos_adapters.wire.fields import (
    ballot_of,
    checked_ballot,
    checked_name,
    checked_number,
    checked_value,
)
from paxos_adapters.wire.fragments import MAX_MESSAGE_BYTES, MAX_PARTS
from paxos_adapters.wire.frame import checked_epoch
from paxos_adapters.wire.log_body import LogStruct, OfLog, log_message_of, log_struct
from paxos_adapters.wire.resending import Missing
from paxos_adapters.wire.sessions import NO_SESSION_BYTES, SESSION_BYTES, session_bytes

NamedMessage: TypeAlias = tuple[str, AnyMessage]
"""The name of a decision or a log, and a message about it."""

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
    steps: int


@final
class _Register(_Numbered, tag=12):
    pass


@final
class _Removal(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=29):
    epoch: int


@final
class _Missing(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=13):
    first: int
    parts: int


_NamedStruct: TypeAlias = (
    _Prepare | _Promise | _Accept | _Accepted | _Nack | _Chosen | _Heartbeat | _Query | _Answer
)
_ControlStruct: TypeAlias = _Ping | _Pong | _Register | _Removal
_Struct: TypeAlias = _NamedStruct | LogStruct | _ControlStruct | _Missing
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Struct])
_ONE = msgspec.msgpack.Decoder(_Struct)
_RAW = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ARRAY = msgspec.msgpack.Decoder(list[object])
_KINDS = frozenset(it.__struct_config__.tag for it in get_args(_Struct))

MAX_KIND = 1 << 16
"""The highest kind that a later version may have."""


# --- sending ------------------------------------------------------------------------------------


def encode_message(name: str, message: AnyMessage) -> bytes:
    """One message of a batch. Raises TooLarge, OutOfBounds, NotBytes."""
    name = checked_name(name)
    if is_for_log(message):
        encoded = _ENCODER.encode(log_struct(name, message))
        if len(encoded) > MAX_MESSAGE_BYTES:
            raise TooLarge("a message with its proposals", len(encoded), MAX_MESSAGE_BYTES)
        return encoded
    assert is_for_decision(message)
    return _ENCODER.encode(_message_struct(name, message))


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


def _control_struct(control: Control) -> _ControlStruct:
    if type(control) is Removal:
        return _Removal(checked_epoch(control.epoch))
    number = _number(control.number)
    if type(control) is Ping:
        return _Ping(number, _known_struct(control.known))
    if type(control) is Pong:
        session, known = session_bytes(control.session), _known_struct(control.known)
        return _Pong(number, session, known, control.votes, _steps(control.steps))
    if type(control) is Register:
        return _Register(number)
    assert_never(control)


def _known_struct(known: Known | None) -> tuple[bytes, int] | None:
    return None if known is None else (session_bytes(known.session), _saves(known.saves))


def _message_struct(decision: str, message: Message[bytes]) -> _NamedStruct:
    if type(message) is Heartbeat:
        return _Heartbeat(decision)
    if type(message) is Prepare:
        return _Prepare(decision, *checked_ballot(message.ballot))
    if type(message) is Promise:
        return _Promise(decision, *checked_ballot(message.ballot), _proposal(message.accepted))
    if type(message) is Accept:
        return _Accept(decision, *checked_ballot(message.ballot), checked_value(message.value))
    if type(message) is Accepted:
        return _Accepted(decision, *checked_ballot(message.ballot), checked_value(message.value))
    if type(message) is Nack:
        return _Nack(decision, *checked_ballot(message.ballot), *checked_ballot(message.promised))
    if type(message) is Chosen:
        return _Chosen(decision, *checked_ballot(message.ballot), checked_value(message.value))
    if type(message) is Query:
        return _Query(decision, *_read(message.id))
    if type(message) is Answer:
        return _Answer(decision, *_read(message.id), _proposal(message.accepted))
    assert_never(message)


def _proposal(proposal: Proposal[bytes] | None) -> tuple[int, int, bytes] | None:
    if proposal is None:
        return None
    number, server = checked_ballot(proposal.ballot)
    return number, server, checked_value(proposal.value)


# --- bounds -------------------------------------------------------------------------------------


def _number(number: int) -> int:
    return checked_number("the number of a ping", number, MAX_PINGS)


def _steps(steps: int) -> int:
    return checked_number("the steps of changes of members", steps, MAX_STEPS)


def _missing(first: int, parts: int) -> tuple[int, int]:
    first = checked_number("the sequence of a part", first, MAX_SEQUENCE, 1)
    return first, checked_number("the parts that are missing", parts, (1 << MAX_PARTS) - 1, 1)


def _saves(saves: int) -> int:
    return checked_number("the saves of a disk", saves, MAX_SAVES)


def _read(read: ReadId) -> ReadId:
    checked_number("the session of a read", read.session, MAX_READ)
    checked_number("a read", read.number, MAX_READ)
    return read


# --- receiving ----------------------------------------------------------------------------------


def decode_messages(body: bytes) -> tuple[tuple[str, Message[bytes]], ...]:
    """The messages of a body that is about decisions only. Raises RejectedDatagram only."""
    messages, controls = decode_body(body)
    found = tuple([(name, it) for name, it in messages if is_for_decision(it)])
    if controls or len(found) < len(messages):
        raise RejectedDatagram(Reason.MALFORMED)
    return found


def decode_body(body: bytes) -> tuple[tuple[NamedMessage, ...], tuple[Control | Missing, ...]]:
    """The messages of a body, and its control messages. Raises RejectedDatagram only."""
    messages, controls, _ = read_body(body)
    return messages, controls


def read_body(
    body: bytes,
) -> tuple[tuple[NamedMessage, ...], tuple[Control | Missing, ...], int]:
    """The same, and how many messages are of kinds that are not known."""
    try:
        structs, unknown = _DECODER.decode(body), 0
    except (msgspec.MsgspecError, ValueError):
        structs, unknown = _known(body)
    if not 0 < len(structs) + unknown <= MAX_MESSAGES:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS)
    messages: list[NamedMessage] = []
    controls: list[Control | Missing] = []
    try:
        for struct in structs:
            if isinstance(struct, OfLog):
                messages.append((checked_name(struct.log), log_message_of(struct)))
            elif isinstance(struct, _Named):
                messages.append((checked_name(struct.decision), _message_of(struct)))
            else:
                controls.append(_control_of(struct))
    except (OutOfBounds, TooLarge) as error:
        raise RejectedDatagram(Reason.OUT_OF_BOUNDS) from error
    return tuple(messages), tuple(controls), unknown


def _known(body: bytes) -> tuple[list[_Struct], int]:
    """The messages of known kinds, and how many others there are. Raises RejectedDatagram."""
    try:
        raw = _RAW.decode(body)
        known = [it for it in raw if not _is_of_later(_ARRAY.decode(it))]
        return [_ONE.decode(it) for it in known], len(raw) - len(known)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RejectedDatagram(Reason.MALFORMED) from error


def _is_of_later(line: list[object]) -> bool:
    kind = line[0] if line else None
    return type(kind) is int and kind not in _KINDS and 0 < kind <= MAX_KIND


def _control_of(struct: _ControlStruct | _Missing) -> Control | Missing:
    if type(struct) is _Missing:
        return Missing(*_missing(struct.first, struct.parts))
    if type(struct) is _Removal:
        return Removal(checked_epoch(struct.epoch))
    number = _number(struct.number)
    if type(struct) is _Ping:
        return Ping(number, _known_of(struct.known))
    if type(struct) is _Pong:
        session = _session_of(struct.session)
        known, steps = _known_of(struct.known), _steps(struct.steps)
        return Pong(number, session, known, struct.votes, steps)
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
        return Prepare(ballot_of(struct.round, struct.server))
    if type(struct) is _Promise:
        return _promise_of(ballot_of(struct.round, struct.server), _proposal_of(struct.accepted))
    if type(struct) is _Accept:
        return Accept(ballot_of(struct.round, struct.server), checked_value(struct.value))
    if type(struct) is _Accepted:
        return Accepted(ballot_of(struct.round, struct.server), checked_value(struct.value))
    if type(struct) is _Nack:
        promised = ballot_of(struct.promised_round, struct.promised_server)
        return _nack_of(ballot_of(struct.round, struct.server), promised)
    if type(struct) is _Chosen:
        return Chosen(ballot_of(struct.round, struct.server), checked_value(struct.value))
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


def _proposal_of(accepted: tuple[int, int, bytes] | None) -> Proposal[bytes] | None:
    if accepted is None:
        return None
    number, server, value = accepted
    return Proposal(ballot_of(number, server), checked_value(value))
