"""The bytes of a snapshot: what a server has applied, in pieces of a bounded size.

- A stream of frames, each behind its length: a head, one frame for each session, and the state.
- Equal states make equal bytes, so the same snapshot can come from several servers.
- The head says which version of the state machine runs behind it. A program that lacks that is not
  asked to decode the state. It also says of which version the program is that has written it.
- A codec that can write its states in parts is a StreamedCodec: then neither writing nor reading
  needs a large state twice in memory.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5: a snapshot is a handle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain
from typing import Generic, Protocol, TypeVar, final, runtime_checkable

import msgspec
from attrs import frozen

from paxos import QuorumSystem, UsageError
from paxos.log import Configuration
from paxos.log.memory import governing_from
from paxos.log.sessions import Session, Sessions
from paxos_adapters import arguments
from paxos_adapters.file.snapshots import DIGEST_BYTES
from paxos_adapters.ports import Codec
from paxos_adapters.quorum_words import quorum_of, words_of
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.batches import Check
from paxos_adapters.state_machine import FIRST_VERSION, StateMachine

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

PIECE_BYTES = 1 << 15
"""A piece of a snapshot, but for the last one: it fits in one message between servers."""

LAYOUT = 1
"""Which bytes a snapshot has for what was applied: one more whenever they change."""

_LENGTH_BYTES = 8


@runtime_checkable
class StreamedCodec(Codec[S], Protocol[S]):
    """A codec of states that are too large to be encoded as a whole."""

    def encode_parts(self, state: S) -> Iterable[bytes]:
        """The bytes of ``state``, in parts."""
        ...

    def decode_parts(self, parts: Iterable[bytes]) -> S:
        """The state that these parts stand for. Raises ValueError if they stand for nothing."""
        ...


class MissingCodec(UsageError, ValueError):
    """A state machine that is to run on servers lacks a codec."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"the state machine has no codec for its {missing}; nothing was started. Servers on "
            f"files and datagrams need all three: StateMachine(..., {missing}=...)."
        )
        self.missing = missing

    def __reduce__(self) -> tuple[object, ...]:
        return MissingCodec, (self.missing,)


class BadSnapshot(ValueError):
    """Bytes that are not a snapshot of this state machine."""


@frozen
class Codecs(Generic[S, C, R]):
    """The codecs of a state machine, all there, and the versions of it that the program has."""

    commands: Codec[C]
    states: Codec[S]
    results: Codec[R]
    versions: range = range(FIRST_VERSION, FIRST_VERSION + 1)


@frozen
class OtherVersion:
    """A snapshot behind which ``version`` runs, which this program lacks: only its head is read."""

    slot: int
    configurations: tuple[Configuration, ...]
    version: int


def codecs_of(machine: StateMachine[S, C, R]) -> Codecs[S, C, R]:
    """The codecs of ``machine``. Raises MissingCodec; BadArgument for another object."""
    arguments.one_of("machine", machine, StateMachine)
    if machine.commands is None:
        raise MissingCodec("commands")
    if machine.states is None:
        raise MissingCodec("states")
    if machine.results is None:
        raise MissingCodec("results")
    return Codecs(machine.commands, machine.states, machine.results, machine.versions)


@final
class _Head(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    slot: int
    configurations: list[tuple[int, str]]
    sessions: int
    most_sessions: int
    version: int = FIRST_VERSION
    layout: int = 0
    program: int = 0


@final
class _Session(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    id: int
    done_below: int
    results: list[tuple[int, bytes]]


_ENCODER = msgspec.msgpack.Encoder()
_HEADS = msgspec.msgpack.Decoder(_Head)
_SESSIONS = msgspec.msgpack.Decoder(_Session)


def pieces(codecs: Codecs[S, C, R], applied: Applied[S, R]) -> Iterator[bytes]:
    """The pieces of a snapshot. Raises what the codecs raise."""
    return _in_pieces(_framed(_frames(codecs, applied)))


def refounded(stream: Iterable[bytes], slot: int, quorum: QuorumSystem) -> Iterator[bytes]:
    """The pieces of the same snapshot for a new cluster: of the slots below ``slot``.

    ``quorum`` governs from there on. No codec is needed. Raises BadSnapshot.
    """
    source = iter(stream)
    buffer = bytearray()
    end = _LENGTH_BYTES
    while len(buffer) < end:
        piece = next(source, None)
        if piece is None:
            raise BadSnapshot("the snapshot ends in the middle of a frame")
        buffer += piece
        if len(buffer) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(buffer[:_LENGTH_BYTES])
    try:
        head = _HEADS.decode(buffer[_LENGTH_BYTES:end])
    except msgspec.MsgspecError as error:
        raise BadSnapshot(f"its head cannot be decoded ({error})") from error
    founding = [(slot, words_of(quorum))]
    new = msgspec.structs.replace(head, slot=slot, configurations=founding)
    return _in_pieces(chain(_framed([_ENCODER.encode(new)]), (buffer[end:],), source))


def restored(codecs: Codecs[S, C, R], stream: Iterable[bytes]) -> Applied[S, R] | OtherVersion:
    """What the pieces of a snapshot stand for. Raises BadSnapshot."""
    frames = _cut(stream)
    try:
        head = _HEADS.decode(next(frames))
        configurations = tuple(
            Configuration(slot, quorum_of(it)) for slot, it in head.configurations
        )
        if head.version not in codecs.versions:
            return OtherVersion(head.slot, configurations, head.version)
        sessions = [_session(codecs.results, next(frames)) for _ in range(head.sessions)]
        state = _decoded_state(codecs.states, frames)
    except Exception as error:  # A codec of the program may raise anything.
        raise BadSnapshot(
            f"the snapshot cannot be decoded ({type(error).__name__}: {error})"
        ) from error
    table = Sessions(tuple(sessions), head.most_sessions)
    return Applied(state, table, head.slot, configurations, version=head.version)


def check_of_state(codecs: Codecs[S, C, R], applied: Applied[S, R]) -> Check:
    """What a Check of a snapshot of ``applied`` says. Raises what the codecs raise."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for piece in pieces(codecs, applied):
        digest.update(piece)
    return Check(applied.slot, LAYOUT, codecs.versions[-1], digest.digest())


def check_of(slot: int, digest: bytes, first_piece: bytes) -> Check | None:
    """What a Check of this snapshot says; None if its first piece names no program."""
    try:
        head = _HEADS.decode(next(_cut([first_piece])))
    except (StopIteration, BadSnapshot, msgspec.MsgspecError):
        return None
    return Check(slot, head.layout, head.program, digest) if head.layout else None


def _framed(frames: Iterable[bytes]) -> Iterator[bytes]:
    for frame in frames:
        yield len(frame).to_bytes(_LENGTH_BYTES)
        yield frame


def _in_pieces(stream: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """The same bytes, in pieces of one size."""
    buffer = bytearray()
    for part in stream:
        view = memoryview(part)
        for at in range(0, len(part), PIECE_BYTES):
            buffer += view[at : at + PIECE_BYTES]
            while len(buffer) >= PIECE_BYTES:
                yield bytes(buffer[:PIECE_BYTES])
                del buffer[:PIECE_BYTES]
    if buffer:
        yield bytes(buffer)


def _frames(codecs: Codecs[S, C, R], applied: Applied[S, R]) -> Iterator[bytes]:
    open_ = applied.sessions.open
    governing = governing_from(applied.configurations, applied.slot)
    configurations = [(it.slot, words_of(it.quorum)) for it in governing]
    most, version, program = applied.sessions.most, applied.version, codecs.versions[-1]
    head = _Head(applied.slot, configurations, len(open_), most, version, LAYOUT, program)
    yield _ENCODER.encode(head)
    for session in open_:
        results = [(number, codecs.results.encode(it)) for number, it in session.results]
        yield _ENCODER.encode(_Session(session.id, session.done_below, results))
    if isinstance(codecs.states, StreamedCodec):
        yield from codecs.states.encode_parts(applied.state)
    else:
        yield codecs.states.encode(applied.state)


def _session(results: Codec[R], frame: bytes) -> Session[R]:
    it = _SESSIONS.decode(frame)
    found = tuple([(number, results.decode(encoded)) for number, encoded in it.results])
    return Session(it.id, found, it.done_below)


def _decoded_state(codec: Codec[S], frames: Iterator[bytes]) -> S:
    if isinstance(codec, StreamedCodec):
        streamed: StreamedCodec[S] = codec
        return streamed.decode_parts(frames)
    (frame,) = frames
    return codec.decode(frame)


def _cut(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of a stream, each as soon as it is whole."""
    buffer = bytearray()
    length: int | None = None
    for piece in stream:
        buffer += piece
        while True:
            if length is None and len(buffer) >= _LENGTH_BYTES:
                length = int.from_bytes(buffer[:_LENGTH_BYTES])
                del buffer[:_LENGTH_BYTES]
            if length is None or len(buffer) < length:
                break
            yield bytes(buffer[:length])
            del buffer[:length]
            length = None
    if buffer or length is not None:
        raise BadSnapshot("the snapshot ends in the middle of a frame")
