"""The values of a machine as JSON, and back: strict, and by their types alone.

- A class is a list: its name, then its fields in their order. A set is a sorted list, a map a
  list of pairs in the order of their keys.
- A ballot is ``"3.1"``, the id of a read ``"17/4"``.
- A value of the program goes through its codec. Bytes that are UTF-8 are a string, others
  ``{"base64": ...}``.
- Read back is only what the type of a field allows. Whatever does not fit is a CodingError.
- The same value is the same JSON each time, so that its digest can stand for it.

cattrs and msgspec were tried for this: the one leaks KeyError from tagged unions and takes negative
ballots, the other refuses unions of attrs classes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import blake2b
from itertools import pairwise
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
from attrs import frozen

from paxos import Ballot, OperationalError, QuorumError, QuorumSystem, ReadId, ServerId
from paxos.ballot import V
from paxos.quorum import BySize, ByWeight, Explicit
from paxos_adapters import arguments
from paxos_adapters.machine import R, S
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.ports import Codec
from paxos_adapters.printable import brief

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Reader: TypeAlias = Callable[[object], object]
Fields: TypeAlias = tuple[tuple[str, bool], ...]

E_co = TypeVar("E_co", covariant=True)
"""An event of a machine."""

_AS_IT_IS = frozenset({int, bool, str, NoneType})
_QUORUMS = frozenset({BySize, ByWeight, Explicit})
"""The last one is remembered: it is in nearly all that is encoded, and nearly always the same."""

MAX_BITS = 64
"""No number of the core that is in use is anywhere near."""


_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def dumped(coded: Json) -> bytes:
    """JSON as it is written: compact, in UTF-8."""
    return _dump(coded).encode()


class CodingError(OperationalError, ValueError):
    """JSON that is not what its type allows, or a value that this coder does not encode."""


@frozen
class Kinds(Generic[S, E_co, R]):
    """The types of a machine's states, events and records, for a coder that follows type hints.

    ``modules`` define the machine, beside ``paxos``: modules or packages, by name. A class of
    another module is not encoded. Values of the program are where a hint is the type variable V,
    but for ``entries``: classes of the machine that stand there, and may hold a value themselves.
    """

    state: type[S]
    event: object
    record: object
    modules: tuple[str, ...] = ()
    entries: tuple[type, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The fields of a state: they are compared each by itself."""
        state: type = self.state
        return tuple(it.name for it in attrs.fields(state))


class Coder(Generic[S, E_co, R]):
    """Encodes and decodes what a machine is made of, with the program's codec for its values."""

    def __init__(self, kinds: Kinds[S, E_co, R], codec: Codec[V]) -> None:
        arguments.fits("codec", codec, Codec)
        self.kinds = kinds
        self._codec = cast("Codec[object]", codec)
        self._readers: dict[object, Reader] = {}
        self._quorum: object = self
        self._coded_quorum: Json = None
        self._fields: dict[type, Fields] = {}

    def encode(self, it: object) -> Json:
        """``it`` as JSON. Raises CodingError for what is not of the machine."""
        kind: type = type(it)
        if kind in _AS_IT_IS:
            return cast("int | str | None", it)
        if it is self._quorum:
            return self._coded_quorum
        if kind is Ballot or kind is ReadId:
            return str(it)
        if kind is tuple:
            return [self.encode(item) for item in cast("tuple[object, ...]", it)]
        if kind is frozenset:
            return _sorted([self.encode(item) for item in cast("frozenset[object]", it)])
        if kind is bytes:
            return _coded_bytes(cast("bytes", it))
        if kind is PersistentMap:
            items = cast("PersistentMap[object]", it).scan()
            return [[key, self.encode(value)] for key, value in items]
        fields = self._fields.get(kind)
        if fields is None:
            fields = self._fields[kind] = _fields(kind, self.kinds.modules)
        coded: list[Json] = [kind.__name__]
        for name, is_value in fields:
            field: object = getattr(it, name)
            if is_value:
                coded.append(self.value(field))
            else:
                is_plain = type(field) in _AS_IT_IS
                coded.append(cast("int | str | None", field) if is_plain else self.encode(field))
        if kind in _QUORUMS:
            self._quorum, self._coded_quorum = it, coded
        return coded

    def value(self, value: object) -> Json:
        """A value of the program as JSON, or an entry that stands for one."""
        if type(value) in self.kinds.entries:
            return self.encode(value)
        return _coded_bytes(self._codec.encode(value))

    def digest(self, it: object) -> str:
        """16 characters that stand for ``it``."""
        return blake2b(dumped(self.encode(it)), digest_size=8).hexdigest()

    def event(self, coded: object) -> E_co:
        """Back to an event. Raises CodingError."""
        return cast("E_co", self._decode(self.kinds.event, coded))

    def record(self, coded: object) -> R:
        """Back to a record. Raises CodingError."""
        return cast("R", self._decode(self.kinds.record, coded))

    def state(self, coded: object) -> S:
        """Back to the state of a server. Raises CodingError."""
        return cast("S", self._decode(self.kinds.state, coded))

    def quorum(self, coded: object) -> QuorumSystem:
        """Back to a quorum system. Raises CodingError."""
        return cast("QuorumSystem", self._decode(QuorumSystem, coded))

    def number(self, coded: object) -> int:
        """Back to a number. Raises CodingError."""
        return _int(coded)

    def reader(self, hint: object) -> Reader:
        """What reads a value of the type ``hint`` from JSON. Raises CodingError if none can."""
        reader = self._readers.get(hint)
        if reader is None:
            reader = self._readers[hint] = self._reader(hint, {})
        return reader

    def _decode(self, hint: object, coded: object) -> object:
        return self.reader(hint)(coded)

    def _reader(self, hint: object, bound: Mapping[object, object]) -> Reader:
        """What reads a field of the type ``hint``; ``bound`` says what type variables stand for."""
        origin, inner = get_origin(hint), get_args(hint)
        if isinstance(hint, TypeVar):
            if hint in bound:
                return self._reader(bound[hint], {})
            return self._value if _is_value(hint) else _unreadable(hint)
        if isinstance(hint, NewType):
            return self._reader(hint.__supertype__, bound)
        if origin is Union or origin is UnionType:
            return _one_of({_plain(it): self._reader(it, bound) for it in inner})
        if origin is frozenset:
            return _set_of(self._reader(inner[0], bound))
        if origin is tuple:
            is_open = inner[-1] is ...
            readers = [self._reader(it, bound) for it in inner if it is not ...]
            return _tuple_of(readers, is_open)
        if origin is PersistentMap:
            return _map_of(self._reader(inner[0], bound))
        kind: object = origin or hint
        if kind in _PLAIN:
            return _PLAIN[kind]
        if isinstance(kind, type) and attrs.has(kind):
            stands_for = _bound(kind, inner, bound)
            return _object_of(kind, [self._reader(it, stands_for) for it in _hints(kind)])
        return _unreadable(hint)

    def _value(self, coded: object) -> object:
        try:
            return self._codec.decode(_bytes(coded))
        except ValueError as error:
            raise _unfit(coded, f"a value that the codec reads ({error})") from error


def _coded_bytes(encoded: bytes) -> Json:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(encoded).decode()}


def _plain(hint: object) -> object:
    """What a NewType is a name for."""
    return _plain(hint.__supertype__) if isinstance(hint, NewType) else hint


# --- what reads ---------------------------------------------------------------------------------


def _none(coded: object) -> None:
    if coded is not None:
        raise _unfit(coded, "None")


def _bool(coded: object) -> bool:
    if type(coded) is not bool:
        raise _unfit(coded, "true or false")
    return coded


def _int(coded: object) -> int:
    if type(coded) is not int or coded.bit_length() >= MAX_BITS:
        raise _unfit(coded, "a number that can be")
    return coded


def _text(coded: object) -> str:
    if not isinstance(coded, str):
        raise _unfit(coded, "text")
    return coded


def _bytes(coded: object) -> bytes:
    """What ``_coded_bytes`` was given."""
    fields = cast("dict[str, object]", coded) if _is_dict(coded) else {}
    text = fields.get("base64")
    try:
        if isinstance(coded, str):
            return coded.encode()
        if len(fields) == 1 and isinstance(text, str):
            return b64decode(text, validate=True)
    except ValueError:
        pass  # Half a surrogate, or not base64.
    raise _unfit(coded, "text or base64")


def _is_dict(coded: object) -> bool:
    return isinstance(coded, dict)


def _ballot(coded: object) -> Ballot:
    round_, _, me = (coded if isinstance(coded, str) else "").partition(".")
    try:
        found = Ballot(int(round_), ServerId(int(me)))
    except ValueError:
        raise _unfit(coded, "a ballot") from None
    if str(found) != coded or found.round < 0:
        raise _unfit(coded, "a ballot")
    return found


def _read_id(coded: object) -> ReadId:
    session, _, number = (coded if isinstance(coded, str) else "").partition("/")
    try:
        found = ReadId(int(session), int(number))
    except ValueError:
        raise _unfit(coded, "the id of a read") from None
    if str(found) != coded or min(found) < 0 or max(found).bit_length() > MAX_BITS:
        raise _unfit(coded, "the id of a read")
    return found


_PLAIN: dict[object, Reader] = {
    NoneType: _none,
    bool: _bool,
    int: _int,
    str: _text,
    bytes: _bytes,
    Ballot: _ballot,
    ReadId: _read_id,
}


def _items(coded: object, wanted: str) -> list[object]:
    if not isinstance(coded, list):
        raise _unfit(coded, wanted)
    return cast("list[object]", coded)


def _set_of(reader: Reader) -> Reader:
    def read(coded: object) -> object:
        items = _items(coded, "a set")
        found = frozenset(map(reader, items))
        if len(found) < len(items):
            raise _unfit(coded, "a set")
        return found

    return read


def _tuple_of(readers: list[Reader], is_open: bool) -> Reader:
    def read(coded: object) -> object:
        items = _items(coded, "a row")
        if is_open:
            return tuple(map(readers[0], items))
        if len(items) != len(readers):
            raise _unfit(coded, f"a row of {len(readers)}")
        return tuple(reader(item) for reader, item in zip(readers, items, strict=True))

    return read


def _map_of(reader: Reader) -> Reader:
    read_pair = _tuple_of([_text, reader], is_open=False)

    def read(coded: object) -> object:
        pairs = cast("list[tuple[str, object]]", list(map(read_pair, _items(coded, "a map"))))
        if any(before >= after for (before, _), (after, _) in pairwise(pairs)):
            raise _unfit(coded, "a map in the order of its keys")
        return PersistentMap.of(pairs)

    return read


def _one_of(members: dict[object, Reader]) -> Reader:
    """By the name that comes first in what is read; by None for nothing."""
    readers = {_tag(hint): reader for hint, reader in members.items()}
    if None in readers and len(readers) == 2 and not any(map(_is_object, members)):
        (only,) = (reader for name, reader in readers.items() if name is not None)
        return lambda coded: None if coded is None else only(coded)
    if not all(_is_object(it) or it is NoneType for it in members):
        return _unreadable(list(members))

    def read(coded: object) -> object:
        if coded is None:
            name = None
        else:
            name, *_ = _items(coded, "an object") or [None]
        reader = readers.get(name) if name is None or isinstance(name, str) else None
        if reader is None:
            raise _unfit(coded, f"one of {', '.join(map(str, readers))}")
        return reader(coded)

    return read


def _object_of(kind: type, readers: list[Reader]) -> Reader:
    make, name, length = cast("Callable[..., object]", kind), kind.__name__, len(readers) + 1

    def read(coded: object) -> object:
        items = _items(coded, name)
        if len(items) != length or items[0] != name:
            raise _unfit(coded, name)
        try:
            return make(*(reader(item) for reader, item in zip(readers, items[1:], strict=True)))
        except QuorumError as error:
            raise _unfit(coded, f"{name} ({error})") from error

    return read


def _tag(hint: object) -> str | None:
    """The name of a type; None for nothing."""
    kind: object = get_origin(hint) or hint
    return kind.__name__ if isinstance(kind, type) and kind is not NoneType else None


def _is_object(hint: object) -> bool:
    """Whether what has this type is written under its name."""
    kind: object = get_origin(hint) or hint
    return isinstance(kind, type) and attrs.has(kind) and kind not in _PLAIN


def _bound(
    kind: type, inner: tuple[object, ...], bound: Mapping[object, object]
) -> dict[object, object]:
    """What the type variables of ``kind`` stand for: V, if it stays one, for a value."""
    parameters: tuple[object, ...] = getattr(kind, "__parameters__", ())
    given = ((name, bound.get(it, it)) for name, it in zip(parameters, inner, strict=False))
    return {name: it for name, it in given if not isinstance(it, TypeVar)}


def _fields(kind: type, modules: tuple[str, ...]) -> Fields:
    """The fields of a class by name, and whether each is a value of the program."""
    is_known = any(f"{kind.__module__}.".startswith(f"{it}.") for it in ("paxos", *modules))
    if not attrs.has(kind) or not is_known:
        raise CodingError(f"{kind.__name__} is nothing that a recording of servers holds.")
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


def _sorted(items: list[Json]) -> Json:
    """Ids, or sets of ids, in their order."""
    items.sort(key=_order)
    return items


def _order(coded: Json) -> list[Json]:
    return coded if isinstance(coded, list) else [coded]


def _unreadable(hint: object) -> Reader:
    raise _unfit(hint, "a type that can be read")


def _unfit(coded: object, wanted: object) -> CodingError:
    return CodingError(f"{brief(coded)} is not {wanted}.")
