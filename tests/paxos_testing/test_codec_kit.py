"""The kit for codecs: honest codecs pass it, and it catches each lie, by the test for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import strategies as st

from paxos_adapters.codecs import JSON, RAW, TEXT, Json, JsonValue, Raw, Text
from paxos_testing import CodecKit
from tests.paxos_testing.test_store_kit import run_pytest

ROOT = Path(__file__).parents[2]


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
    "Moved": {"what_earlier_versions_encoded_is_decoded": "decode old values for ever"},
    "TakesAnything": {
        "bytes_that_stand_for_nothing_raise_value_error": "is decoded as {}",
    },
    "RaisesWhateverComes": {
        "bytes_that_stand_for_nothing_raise_value_error": "which is no ValueError",
    },
    "CarriesTuples": {"what_it_cannot_carry_is_refused": "is declared as refused"},
}
"""For each lying codec, the tests of the kit that fail it, and why they say they do."""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """For each lying codec, the tests that went red, and what they said."""
    report = tmp_path_factory.mktemp("lies") / "report.xml"
    run_pytest("tests/paxos_testing/faulty_codecs.py", f"--junitxml={report}", "--tb=short")
    found: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        said = found.setdefault(case.attrib["classname"].split(".Test")[1], {})
        for failure in case.iter("failure"):
            said[case.attrib["name"].removeprefix("test_")] = str(failure.text)
    return found


class TestLies:
    """The kit is worth what it catches."""

    def test_every_lie_is_caught_by_the_tests_for_it_and_by_no_other(
        self, failures: dict[str, dict[str, str]]
    ) -> None:
        red = {liar: set(said) for liar, said in failures.items()}
        assert red == {liar: set(tests) for liar, tests in CAUGHT.items()}

    @pytest.mark.parametrize("liar", CAUGHT)
    def test_what_is_said_teaches(self, failures: dict[str, dict[str, str]], liar: str) -> None:
        for test, words in CAUGHT[liar].items():
            assert words in failures[liar][test]

    def test_every_test_of_the_kit_catches_some_lie(self) -> None:
        tests = {it.removeprefix("test_") for it in dir(CodecKit) if it.startswith("test_")}
        assert tests == {test for caught in CAUGHT.values() for test in caught}


def test_the_codec_of_the_how_to_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "codecs.md").read_text()
    (program,) = (it for it in re.findall(r"```python\n(.*?)```", page, re.S) if "CodecKit" in it)
    (tmp_path / "test_mine.py").write_text(program)

    done = run_pytest(tmp_path / "test_mine.py", "-p", "no:cacheprovider")

    assert "10 passed" in done.stdout, done.stdout
