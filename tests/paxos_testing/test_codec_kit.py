"""The kit for codecs: honest codecs pass it, and it catches each lie, by the test for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import strategies as st

from paxos_adapters.codecs import INTEGER, JSON, RAW, TEXT, Integer, Json, JsonValue, Raw, Text
from paxos_testing import CodecKit
from tests.paxos_testing.faulty_codecs import KITS
from tests.support.kits import every_test_of, failures, run_pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
class TestJson(CodecKit[JsonValue]):
    """What JSON can say."""

    values: Sequence[JsonValue] = (
        None,
        True,
        0,
        -0.5,
        1e300,
        10**40,
        "é\0\n\u2028😀",
        [],
        {},
        {"b": [1, {"z": None, "é": 2, "a": "x"}], "a": True},
        [[[[]]], ""],
        "x" * 65_534,
    )
    earlier: Sequence[tuple[bytes, JsonValue]] = (
        (b'{"a":[1,-2.5,"\xc3\xa9"],"b":{}}', {"b": {}, "a": [1, -2.5, "é"]}),
        (b' [true , null, "\\u00e9"]\n', [True, None, "é"]),
    )
    undecodable = b"", b"\xff", b"{", b"1 2", b"NaN", b"[Infinity]", b"-Infinity", b"'a'"
    refused: Sequence[object] = (
        *(float("nan"), float("inf"), [float("-inf")], (1, 2), {"a": (1,)}, {1: 2}),
        *({1: 2, "1": 3}, {True: 1}, {None: 1}, b"x", "\ud800", {1}, 1j, object()),
    )

    def create(self) -> Json:
        return JSON

    def drawn(self) -> st.SearchStrategy[JsonValue]:
        text = st.text()
        numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        leaves: st.SearchStrategy[JsonValue] = st.none() | st.booleans() | numbers | text
        return st.recursive(leaves, lambda it: st.lists(it) | st.dictionaries(text, it))


class TestText(CodecKit[str]):
    """Strings."""

    values = "", "red", "é\0\n😀", "x" * 65_536
    earlier = ((b"\xc3\xa9", "é"),)
    undecodable = b"\xff", b"\xed\xa0\x80"
    refused: Sequence[object] = ("\ud800",)

    def create(self) -> Text:
        return TEXT

    def drawn(self) -> st.SearchStrategy[str]:
        return st.text()


class TestInteger(CodecKit[int]):
    """Whole numbers."""

    values = 0, -1, 2**64, 10**4_299, -(10**4_299)
    earlier = ((b"-17", -17),)
    undecodable = b"", b"+1", b"01", b"-0", b" 1", b"1_0", b"1.0", b"\xd9\xa1", b"1" * 4_301
    refused: Sequence[object] = (True, 1.0, "1", None, 10**4_300)

    def create(self) -> Integer:
        return INTEGER

    def drawn(self) -> st.SearchStrategy[int]:
        return st.integers()


@pytest.mark.slow
class TestRaw(CodecKit[bytes]):
    """Bytes: whatever they are, they stand for themselves."""

    values = b"", b"red", bytes(range(256)), b"x" * 65_536
    earlier = ((b"\xff", b"\xff"),)

    def create(self) -> Raw:
        return RAW

    def drawn(self) -> st.SearchStrategy[bytes]:
        return st.binary()


CAUGHT = {
    "Honest": {},
    "DropsWhatIsEmpty": {"every_value_comes_back_equal": "a node refuses to propose it"},
    "RoundsNumbers": {"values_drawn_at_random_come_back_equal": "comes back as"},
    "MakesABuffer": {
        "a_value_is_encoded_as_bytes_within_the_bound": "encoded as bytearray, and a node takes"
    },
    "Pads": {"a_value_is_encoded_as_bytes_within_the_bound": "at most 65,536 are carried"},
    "TakesApart": {
        "every_value_comes_back_equal": "comes back as",
        "values_drawn_at_random_come_back_equal": "comes back as",
        "a_value_stays_as_it_was": "has made {} of it",
        "a_value_has_the_same_bytes_each_time": "and then as b'{}'",
    },
    "Caches": {"each_answer_is_a_new_object": "is decoded twice as one object"},
    "Numbers": {"a_value_has_the_same_bytes_each_time": "is encoded as b'{} ' and then as"},
    "FollowsTheHash": {"a_value_has_the_same_bytes_in_another_process": "Sort what has no order"},
    "Moved": {"what_earlier_versions_encoded_is_decoded": "keep decoding old values"},
    "TakesAnything": {
        "bytes_that_stand_for_nothing_raise_value_error": "is decoded as {}",
    },
    "RaisesWhateverComes": {
        "bytes_that_stand_for_nothing_raise_value_error": "which is not a ValueError",
    },
    "CarriesTuples": {"what_it_cannot_carry_is_refused": "is declared as refused"},
}
"""For each lying codec, the tests of the kit that fail it, and why they say they do."""


EVERY_TEST = every_test_of(CodecKit)


def named(tests: Iterable[str]) -> list[str]:
    return [f"test_{test}" for test in tests]


class TestLies:
    """The kit is worth what it catches."""

    @pytest.mark.parametrize("liar", CAUGHT)
    def test_a_lie_is_caught_and_what_is_said_teaches(self, liar: str, tmp_path: Path) -> None:
        told = failures(KITS[liar], named(CAUGHT[liar]), tmp_path)
        for test, words in CAUGHT[liar].items():
            assert words in told.get(f"test_{test}", ""), test

    @pytest.mark.slow
    @pytest.mark.parametrize("liar", CAUGHT)
    def test_a_lie_is_caught_by_no_other_test(self, liar: str, tmp_path: Path) -> None:
        others = EVERY_TEST.difference(named(CAUGHT[liar]))
        assert failures(KITS[liar], others, tmp_path) == {}

    def test_every_test_of_the_kit_catches_some_lie(self) -> None:
        assert {test for caught in CAUGHT.values() for test in named(caught)} == EVERY_TEST
        assert CAUGHT.keys() == KITS.keys()


@pytest.mark.slow
def test_the_codec_of_the_how_to_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "codecs.md").read_text()
    (program,) = (it for it in re.findall(r"```python\n(.*?)```", page, re.S) if "CodecKit" in it)
    (tmp_path / "test_mine.py").write_text(program)

    done = run_pytest(tmp_path / "test_mine.py", "-p", "no:cacheprovider")

    assert "10 passed" in done.stdout, done.stdout
