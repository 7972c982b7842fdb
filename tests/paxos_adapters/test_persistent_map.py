"""A persistent map is a dict, of which each version stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.persistent_map import SHARDS, PersistentMap

KEYS = st.sampled_from(["", "a", "ab", "b", "é", "\ud800"]) | st.text(max_size=2)


@given(st.lists(st.tuples(KEYS, st.none() | st.integers())))
def test_each_version_stays_what_a_dict_was(steps: list[tuple[str, int | None]]) -> None:
    """A number is put, None removes."""
    versions = [(PersistentMap[int](), dict[str, int]())]
    for key, number in steps:
        last, model = versions[-1]
        if number is None:
            rest = {it: held for it, held in model.items() if it != key}
            versions.append((last.remove(key), rest))
        else:
            versions.append((last.put(key, number), {**model, key: number}))
    for version, model in versions:
        assert version.scan() == sorted(model.items())
        assert len(version) == len(model)
        assert all(version.get(key) == model.get(key) for key, _ in steps)


@given(st.permutations([(f"{it}", it) for it in range(6)]))
def test_equal_maps_show_nothing_of_how_they_came_about(items: list[tuple[str, int]]) -> None:
    one = PersistentMap.of(items)
    other = PersistentMap[int]().put("9", 9)
    for key, number in items:
        other = other.put(key, 0).put(key, number)
    other = other.remove("9")

    assert one == other
    assert repr(one) == repr(other) == repr(PersistentMap.of(sorted(items)))
    assert one.scan() == other.scan()
    assert one != other.put("9", 9)


def test_a_scan_takes_a_prefix() -> None:
    items = PersistentMap.of((f"{it}", it) for it in range(200))

    assert items.scan("19") == [("19", 19), *((f"{it}", it) for it in range(190, 200))]
    assert items.scan("x") == []


def test_nothing_removed_is_the_same_map() -> None:
    items = PersistentMap.of([("a", 1)])

    assert items.remove("b") is items


def test_an_update_copies_one_part_of_many() -> None:
    """The other dicts are shared, and keys are spread over all of them."""
    before = PersistentMap.of((f"{it}", it) for it in range(20 * SHARDS))
    after = before.put("7", 0)
    parts = zip(before.shards, after.shards, strict=True)

    assert sum(one is not other for one, other in parts) == 1
    assert max(map(len, before.shards)) < 60
