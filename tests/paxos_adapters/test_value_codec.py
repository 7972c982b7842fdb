"""A codec made from a type: values come back equal, and damage is one error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos.values import frozen
from paxos_adapters.coding import CodingError
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.value_codec import ValueCodec
from paxos_testing import CodecKit

X = TypeVar("X")

NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@frozen
class Leaf:
    """Of all kinds of fields."""

    number: int
    text: str
    raw: bytes
    is_on: bool
    row: tuple[bytes, ...]
    few: frozenset[int]
    maybe: bytes | None


@frozen
class Tree:
    """Of maps and of another class."""

    leaves: PersistentMap[Leaf]
    counts: PersistentMap[int]
    root: Leaf | None


Value: TypeAlias = Tree | Leaf
CODEC = ValueCodec[Value](Value, __name__)
LEAF = Leaf(-1, "é\0\u2028", b"\xff", True, (b"", b"a"), frozenset({3, 1}), None)
TREE = Tree(PersistentMap.of([("b", LEAF), ("a", LEAF)]), PersistentMap(), LEAF)
LEAVES = st.builds(
    Leaf,
    NUMBERS,
    TEXTS,
    st.binary(max_size=4),
    st.booleans(),
    st.lists(st.binary(max_size=2), max_size=2).map(tuple),
    st.frozensets(st.integers(-9, 9), max_size=3),
    st.none() | st.binary(max_size=2),
)


def maps(values: st.SearchStrategy[X]) -> st.SearchStrategy[PersistentMap[X]]:
    return st.dictionaries(TEXTS, values, max_size=3).map(lambda it: PersistentMap.of(it.items()))


class TestValueCodec(CodecKit[Value]):
    """What the kit asks of every codec."""

    values: Sequence[Value] = (LEAF, TREE)
    earlier: Sequence[tuple[bytes, Value]] = (
        (
            b'["Leaf",1,"\xc3\xa9",{"base64":"/w=="},false,["","a"],[1,3],null]',
            Leaf(1, "é", b"\xff", False, (b"", b"a"), frozenset({1, 3}), None),
        ),
        (
            b'["Tree",[],[["a",1],["b",2]],null]',
            Tree(PersistentMap(), PersistentMap.of([("a", 1), ("b", 2)]), None),
        ),
    )
    undecodable = (
        *(b"", b"\xff", b"[", b"null", b"1", b"[]", b'["Other"]', b'["Tree"]', b"NaN"),
        b'["Tree",[],[["a",1]],null] ',
        b'["Tree",[],[["a",1],["a",1]],null]',
        b'["Tree",[],[["b",1],["a",1]],null]',
        b'["Tree",[],[["a",true]],null]',
        b'["Tree",[],[["\\ud800",1]],null]',
        b'["Tree",[],[["a",9223372036854775808]],null]',
        b'["Tree",[],[[1,1]],null]',
        b'["Tree",[],[["a"]],null]',
        b'["Tree",{},[],null]',
        b'["Leaf",1,"",{"base64":"/w"},false,[],[],null]',
        b'["Leaf",1,"",{"base64":1},false,[],[],null]',
        b'["Leaf",1,"",{"base64":"","base64":"/w=="},false,[],[],null]',
        b'["Leaf",1,"",1,false,[],[],null]',
        b"[" * 100_000,
    )
    refused: Sequence[object] = (1.5, {"a": 1}, object(), "\ud800", ValueCodec, 2**63, [LEAF])

    def create(self) -> ValueCodec[Value]:
        return CODEC

    def drawn(self) -> st.SearchStrategy[Value]:
        return LEAVES | st.builds(Tree, maps(LEAVES), maps(NUMBERS), st.none() | LEAVES)


@given(st.sampled_from([LEAF, TREE]), st.data())
def test_a_damaged_byte_is_one_error_or_another_value(value: Value, data: st.DataObject) -> None:
    """What is read from it is written again as the very same bytes, but for base64."""
    encoded = bytearray(CODEC.encode(value))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        found = CODEC.decode(bytes(encoded))
    except CodingError:
        return
    assert CODEC.decode(CODEC.encode(found)) == found


@pytest.mark.parametrize("cut", range(len(CODEC.encode(LEAF))))
def test_bytes_that_are_cut_are_refused(cut: int) -> None:
    with pytest.raises(CodingError, match="cannot be decoded"):
        CODEC.decode(CODEC.encode(LEAF)[:cut])


@pytest.mark.parametrize("kind", [float, dict[str, int], str | int, list[int], object])
def test_a_type_that_it_cannot_read_is_refused_at_once(kind: object) -> None:
    with pytest.raises(CodingError, match="is not a type that can be read"):
        ValueCodec[object](kind)


def test_a_class_of_a_module_that_is_not_named_is_refused() -> None:
    with pytest.raises(CodingError, match="Leaf"):
        ValueCodec[Leaf](Leaf, "elsewhere").encode(LEAF)
