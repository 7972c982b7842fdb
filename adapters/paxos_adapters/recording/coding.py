"""The core's values as JSON, and back: strict, and by their types alone.

- A class of the core is a list: its name, then its fields in their order. A ballot is ``"3.1"``. A
  set is a sorted list.
- A value of the program goes through its codec. Bytes that are UTF-8 are a string, others
  ``{"base64": ...}``.
- Read back is only what the type of a field allows. Whatever does not fit is a RecordingError.
- The same value is the same JSON each time, so that its digest can stand for it.

cattrs and msgspec were tried for this: the one leaks KeyError from tagged unions and takes negative
ballots, the other refuses unions of attrs classes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from types import NoneType, UnionType
from typing import (
    Generic,
    NewType,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from paxos import Ballot, Message, QuorumSystem, ServerId, server
from paxos.ballot import V
from paxos_adapters.ports import Codec
from paxos_adapters.recording.errors import RecordingError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
T = TypeVar("T")

MAX_BITS = 64
"""No number of the core that is in use is anywhere near."""


class Coder(Generic[V]):
    """Encodes and decodes what the core is made of, with the program's codec for its values."""

    def __init__(self, codec: Codec[V]) -> None:
        self._codec = codec

    def encode(self, it: object) -> Json:
        """``it`` as JSON. Raises RecordingError for what is not of the core."""
        kind: type = type(it)
        if it is None or kind is int or kind is bool:
            return cast("int | None", it)
        if kind is Ballot:
            return str(it)
        if kind is tuple:
            return [self.encode(item) for item in cast("tuple[object, ...]", it)]
        if kind is frozenset:
            items = [self.encode(item) for item in cast("frozenset[object]", it)]
            return sorted(items, key=_sorted_by)
        coded: list[Json] = [kind.__name__]
        for name, is_value in _fields(kind):
            field: object = getattr(it, name)
            coded.append(self.value(cast("V", field)) if is_value else self.encode(field))
        return coded

    def value(self, value: V) -> Json:
        """A value of the program as JSON."""
        encoded = self._codec.encode(value)
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(encoded).decode()}

    def digest(self, it: object) -> str:
        """16 characters that stand for ``it``."""
        coded = json.dumps(self.encode(it), separators=(",", ":"))
        return blake2b(coded.encode(), digest_size=8).hexdigest()

    def event(self, coded: object) -> server.Event[V]:
        """Back to an event. Raises RecordingError."""
        return cast("server.Event[V]", self._decode(server.Event, coded))

    def record(self, coded: object) -> server.Record[V]:
        """Back to a record. Raises RecordingError."""
        return cast("server.Record[V]", self._decode(server.Record, coded))

    def state(self, coded: object) -> server.Server[V]:
        """Back to the state of a server. Raises RecordingError."""
        return cast("server.Server[V]", self._decode(server.Server, coded))

    def quorum(self, coded: object) -> QuorumSystem:
        """Back to a quorum system. Raises RecordingError."""
        return cast("QuorumSystem", self._decode(QuorumSystem, coded))

    def decode(self, kind: type[T], coded: object) -> T:
        """Back to a ``kind``. Raises RecordingError."""
        return cast("T", self._decode(kind, coded))

    def _decode(self, hint: object, coded: object) -> object:
        if isinstance(hint, TypeVar):
            return self._value(coded) if _is_value(hint) else self._decode(Message, coded)
        if isinstance(hint, NewType):
            return self._decode(hint.__supertype__, coded)
        if hint is NoneType and coded is None:
            return None
        if hint is bool and type(coded) is bool:
            return coded
        if hint is int and type(coded) is int and coded.bit_length() < MAX_BITS:
            return coded
        if hint is Ballot:
            return _ballot(coded)
        origin = get_origin(hint)
        if origin is Union or origin is UnionType:
            return self._decode(_chosen(hint, coded), coded)
        if origin is frozenset and isinstance(coded, list):
            return self._set(get_args(hint)[0], cast("list[object]", coded))
        if origin is tuple and isinstance(coded, list):
            return self._tuple(get_args(hint), cast("list[object]", coded))
        kind = origin or hint
        if isinstance(kind, type) and attrs.has(kind):
            return self._object(kind, coded)
        raise _unfit(coded, hint)

    def _value(self, coded: object) -> V:
        try:
            if isinstance(coded, str):
                return self._codec.decode(coded.encode())
            if isinstance(coded, dict):
                ((key, text),) = cast("dict[str, object]", coded).items()
                if key == "base64" and isinstance(text, str):
                    return self._codec.decode(b64decode(text, validate=True))
        except ValueError as error:
            raise RecordingError(f"{_short(coded)} is no value that the codec reads.") from error
        raise _unfit(coded, "a value")

    def _set(self, hint: object, coded: list[object]) -> frozenset[object]:
        items = frozenset(self._decode(hint, item) for item in coded)
        if len(items) < len(coded):
            raise _unfit(coded, "a set")
        return items

    def _tuple(self, hints: tuple[object, ...], coded: list[object]) -> tuple[object, ...]:
        if hints[-1] is ...:
            hints = (hints[0],) * len(coded)
        if len(hints) != len(coded):
            raise _unfit(coded, f"{len(hints)} items")
        return tuple(map(self._decode, hints, coded))

    def _object(self, kind: type, coded: object) -> object:
        name, *fields = cast("list[object]", coded) if isinstance(coded, list) and coded else [None]
        hints = _hints(kind)
        if name != kind.__name__ or len(fields) != len(hints):
            raise _unfit(coded, kind.__name__)
        make = cast("Callable[..., object]", kind)
        try:
            return make(*map(self._decode, hints, fields))
        except RecordingError:
            raise
        except ValueError as error:
            raise RecordingError(f"{_short(coded)} is no {kind.__name__}: {error}") from error


@cache
def _fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """The fields of a class by name, and whether each is a value of the program."""
    if not attrs.has(kind) or not kind.__module__.startswith("paxos."):
        raise RecordingError(f"{kind.__name__} is nothing that a recording of servers holds.")
    names = (it.name for it in attrs.fields(kind) if it.init)
    return tuple(zip(names, map(_is_value, _hints(kind)), strict=True))


def _is_value(hint: object) -> bool:
    """Whether it is the type of the program's values; ``From`` has another one, of messages."""
    return isinstance(hint, TypeVar) and hint.__name__ == V.__name__


@cache
def _hints(kind: type) -> tuple[object, ...]:
    """The types of its fields."""
    hints = get_type_hints(kind)
    return tuple(hints[it.name] for it in attrs.fields(kind) if it.init)


def _chosen(union: object, coded: object) -> object:
    """The member of ``union`` that ``coded`` names."""
    name = cast("list[object]", coded)[0] if isinstance(coded, list) and coded else None
    for hint in get_args(union):
        kind = get_origin(hint) or hint
        if hint is NoneType and coded is None:
            return hint
        if kind is not NoneType and getattr(kind, "__name__", "") == name:
            return hint
    raise _unfit(coded, union)


def _ballot(coded: object) -> Ballot:
    text = coded if isinstance(coded, str) else ""
    round_, _, me = text.partition(".")
    try:
        found = Ballot(int(round_), ServerId(int(me)))
    except ValueError:
        raise _unfit(coded, "a ballot") from None
    if str(found) != coded or found.round < 0:
        raise _unfit(coded, "a ballot")
    return found


def _sorted_by(coded: Json) -> tuple[bool, object]:
    return isinstance(coded, list), coded


def _unfit(coded: object, wanted: object) -> RecordingError:
    return RecordingError(f"{_short(coded)} is not {wanted}.")


def _short(coded: object) -> str:
    text = repr(coded)
    return text if len(text) <= 60 else f"{text[:57]}..."
