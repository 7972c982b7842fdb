"""Values under keys: put, delete, compare and set, a time to live, scans by prefix.

- Each command that changes something has the next revision, counted from 1. An item carries the
  revision that wrote it, so the same value written twice can be told apart.
- CompareAndSet writes if the key is still at the revision that the program has seen; 0: if it is
  not there.
- A write sets or ends the time to live of its key. Keys expire only by a Tick, all of one Tick
  under one revision.
- Keys are strings: they have an order, and a prefix that a person chooses. Values are bytes: a
  program has a codec of its own for them.

Source: etcd, "Data model": revisions, and versions of keys.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, TypeAlias, final

from attrs import evolve, field

from paxos.errors import assert_never
from paxos.values import frozen
from paxos_adapters.codecs import TEXT
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machine import Query, StateMachine
from paxos_adapters.state_machines.ticks import Clock, Tick, check_ttl, scheduled, ticked
from paxos_adapters.value_codec import ValueCodec

PAGE_ITEMS, PAGE_BYTES = 200, 1 << 14
"""Keys on a page, and their bytes and those of their values, if it has more than one key."""

# --- commands -------------------------------------------------------------------------------------


@final
@frozen
class Put:
    """Let ``key`` have ``value``, for ``ttl_s`` seconds if said. Raises BadNumber for those."""

    key: str
    value: bytes
    ttl_s: int | None = field(default=None, validator=check_ttl)


@final
@frozen
class Delete:
    """Remove ``key``."""

    key: str


@final
@frozen
class CompareAndSet:
    """The same as Put, if ``key`` is at ``revision``; 0: if it is not there."""

    key: str
    revision: int
    value: bytes
    ttl_s: int | None = field(default=None, validator=check_ttl)


Command: TypeAlias = Put | Delete | CompareAndSet | Tick


# --- states and results ---------------------------------------------------------------------------


@final
@frozen
class Item:
    """A value, and the revision that wrote it."""

    value: bytes
    revision: int


@final
@frozen
class KeyValues:
    """The items, the revision of the last change, and the time."""

    items: PersistentMap[Item] = PersistentMap()
    revision: int = 0
    clock: Clock = Clock()


@final
@frozen
class Changed:
    """The command was carried out, as ``revision``."""

    revision: int


@final
@frozen
class Unchanged:
    """Nothing was changed: ``found`` is what the key has, None if it is not there."""

    found: Item | None


@final
@frozen
class Expired:
    """What a Tick has removed, in order, as ``revision``; that of the last change, if nothing."""

    keys: tuple[str, ...]
    revision: int


Result: TypeAlias = Changed | Unchanged | Expired

Shard: TypeAlias = tuple[tuple[str, Item], ...]
"""Some of the items, in the order of their keys."""


# --- reads ----------------------------------------------------------------------------------------


def get(state: KeyValues, key: str) -> Item | None:
    """The item of ``key``; None if it is not there."""
    return state.items.get(key)


def scan(state: KeyValues, prefix: str = "") -> list[tuple[str, Item]]:
    """The keys that start with ``prefix``, in order, and their items. It looks at every key."""
    return state.items.scan(prefix)


@final
@frozen
class Scan:
    """The keys that start with ``prefix`` and come behind ``after``, if that is not None."""

    prefix: str = ""
    after: str | None = None


@final
@frozen
class Page:
    """Keys in order, and their items. ``is_last``: no more keys come behind them."""

    items: tuple[tuple[str, Item], ...]
    is_last: bool


def page(state: KeyValues, asked: Scan) -> Page:
    """As many keys as fit on a page, and at least one if there is one."""
    rest = scan(state, asked.prefix)
    if asked.after is not None:
        rest = rest[bisect_right(rest, asked.after, key=itemgetter(0)) :]
    found: list[tuple[str, Item]] = []
    size_bytes = 0
    for key, item in rest[:PAGE_ITEMS]:
        size_bytes += len(key.encode()) + len(item.value)
        if found and size_bytes > PAGE_BYTES:
            break
        found.append((key, item))
    return Page(tuple(found), len(found) == len(rest))


# --- the machine ----------------------------------------------------------------------------------


def apply(state: KeyValues, command: Command) -> tuple[KeyValues, Result]:
    """Carry out ``command``."""
    if type(command) is Put:
        return _written(state, command)
    if type(command) is CompareAndSet:
        found = state.items.get(command.key)
        if command.revision != (0 if found is None else found.revision):
            return state, Unchanged(found)
        return _written(state, command)
    if type(command) is Delete:
        if state.items.get(command.key) is None:
            return state, Unchanged(None)
        return _removed(state, command.key)
    if type(command) is Tick:
        return _expired(state, command)
    assert_never(command)


def _written(state: KeyValues, command: Put | CompareAndSet) -> tuple[KeyValues, Result]:
    revision = state.revision + 1
    items = state.items.put(command.key, Item(command.value, revision))
    clock = scheduled(state.clock, command.key, command.ttl_s)
    return KeyValues(items, revision, clock), Changed(revision)


def _removed(state: KeyValues, key: str) -> tuple[KeyValues, Result]:
    revision = state.revision + 1
    clock = scheduled(state.clock, key, None)
    return KeyValues(state.items.remove(key), revision, clock), Changed(revision)


def _expired(state: KeyValues, tick: Tick) -> tuple[KeyValues, Result]:
    clock, gone = ticked(state.clock, tick)
    if not gone:
        return evolve(state, clock=clock), Expired((), state.revision)
    items, revision = state.items, state.revision + 1
    for key in gone:
        items = items.remove(key)
    return KeyValues(items, revision, clock), Expired(gone, revision)


_MODULES: Final = __name__, Tick.__module__

GET: Final = Query[KeyValues, str, Item | None](
    "get", get, TEXT, ValueCodec[Item | None](Item | None, __name__)
)
"""``get`` for clients: the item of a key."""

SCAN: Final = Query[KeyValues, Scan, Page](
    "scan", page, ValueCodec[Scan](Scan, __name__), ValueCodec[Page](Page, __name__)
)
"""``scan`` for clients, a page at a time."""

_HEADS: Final = ValueCodec[tuple[int, Clock]](tuple[int, Clock], *_MODULES)
_SHARDS: Final = ValueCodec[Shard](Shard, *_MODULES)


class States(ValueCodec[KeyValues]):
    """A codec of states, which may be larger than what is to be held twice: part by part."""

    def encode_parts(self, state: KeyValues) -> Iterator[bytes]:
        """The revision and the time, then the items of each shard. See ``StreamedCodec``."""
        yield _HEADS.encode((state.revision, state.clock))
        for shard in state.items.shards:
            yield _SHARDS.encode(tuple(sorted(shard.items(), key=_key)))

    def decode_parts(self, parts: Iterable[bytes]) -> KeyValues:
        """The state. Raises ValueError for parts that stand for nothing."""
        rest = iter(parts)
        revision, clock = _HEADS.decode(next(rest, b""))
        items = PersistentMap.of(item for it in rest for item in _SHARDS.decode(it))
        return KeyValues(items, revision, clock)


def _key(item: tuple[str, Item]) -> str:
    return item[0]


KEY_VALUE: Final = StateMachine(
    KeyValues(),
    apply,
    commands=ValueCodec[Command](Command, *_MODULES),
    states=States(KeyValues, *_MODULES),
    results=ValueCodec[Result](Result, *_MODULES),
    queries=(GET, SCAN),
)
"""An empty key-value map."""
