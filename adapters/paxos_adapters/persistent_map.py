"""A map whose updates make a new map: for the states of state machines.

- The map that was there stays as it was. A state that was handed in can be looked at again.
- A key belongs to one of SHARDS dicts, by its CRC. An update copies that dict and the row of dicts,
  not the whole map.
- Items are listed in the order of their keys, so equal maps show nothing of how they came about.

Source: Driscoll and others, "Making Data Structures Persistent" (1989).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, Never, TypeVar, final
from zlib import crc32

from paxos.values import frozen

X = TypeVar("X")
Y = TypeVar("Y")

SHARDS = 256
"""Measured on one machine: a put takes 2 us up to 10,000 items, 4 us at 100,000, 59 us at 10^6.
Copying one dict would take 44 us, 2.9 ms and 29 ms."""

_EMPTY: Mapping[str, Never] = {}


@final
@frozen(repr=False)
class PersistentMap(Generic[X]):
    """Strings, and what each of them stands for.

    >>> empty = PersistentMap[int]()
    >>> full = empty.put("b", 2).put("a", 1)
    >>> full.get("a"), full.get("c"), full.scan(), len(empty)
    (1, None, [('a', 1), ('b', 2)], 0)
    """

    shards: tuple[Mapping[str, X], ...] = (_EMPTY,) * SHARDS

    @staticmethod
    def of(items: Iterable[tuple[str, Y]]) -> PersistentMap[Y]:
        """A map of ``items``, in one go; the last one of a key counts."""
        shards: list[dict[str, Y]] = [{} for _ in range(SHARDS)]
        for key, value in items:
            shards[_place(key)][key] = value
        return PersistentMap(tuple(shards))

    def get(self, key: str) -> X | None:
        """What ``key`` stands for; None for a key that is not there."""
        return self.shards[_place(key)].get(key)

    def put(self, key: str, value: X) -> PersistentMap[X]:
        """A map in which ``key`` stands for ``value``."""
        place = _place(key)
        return self._with(place, {**self.shards[place], key: value})

    def remove(self, key: str) -> PersistentMap[X]:
        """A map without ``key``; this one, if it is not there."""
        place = _place(key)
        if key not in self.shards[place]:
            return self
        rest = dict(self.shards[place])
        del rest[key]
        return self._with(place, rest)

    def scan(self, prefix: str = "") -> list[tuple[str, X]]:
        """The items whose keys start with ``prefix``, in the order of the keys.

        It looks at every key.
        """
        items = (item for shard in self.shards for item in shard.items())
        return sorted((it for it in items if it[0].startswith(prefix)), key=lambda it: it[0])

    def _with(self, place: int, shard: Mapping[str, X]) -> PersistentMap[X]:
        return PersistentMap((*self.shards[:place], shard, *self.shards[place + 1 :]))

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self.scan())!r})"


def _place(key: str) -> int:
    """The same in each process, unlike ``hash``; half a surrogate has a place, too."""
    return crc32(key.encode(errors="surrogatepass")) % SHARDS
