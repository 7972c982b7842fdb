"""The figures of the lecture are there, are of today's runs, and can be read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest

from tests.support.svgs import least_letters, overlaps, texts, tree
from tests.tools.figures import FIGURES, FOLDER, drawn


@cache
def now() -> Mapping[str, str]:
    """The figures of today's runs."""
    return drawn()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_up_to_date(name: str) -> None:
    kept = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")

    assert kept == now()[name], "python -m tests.tools.figures draws it anew"


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_lie_on_others(name: str) -> None:
    assert overlaps(tree(now()[name])) == []


@pytest.mark.parametrize("name", FIGURES)
def test_letters_can_be_read_on_a_slide_and_in_a_page(name: str) -> None:
    """A slide is 1,280 pixels wide, and the column of a page 736."""
    figure = tree(now()[name])

    assert least_letters(figure, 1_280) >= 18
    assert least_letters(figure, 736) >= 12


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "split-votes",
            "Of 5 servers: red 2, blue 1, green 2. No value has 3, and none ever will.",
        ),
        ("conflicting-choices", "✗ blue is chosen, too!"),
        ("conflicting-choices-continued", "✗ blue is chosen, too!"),
        ("proposal-number", "3.1  <  3.3  <  4.1  <  5.3  <  6.1  <  7.3"),
        ("basic-paxos", "★ newer is chosen"),
        ("already-chosen", "finds X"),
        ("not-chosen-seen", "X again, under 3.1"),
        ("not-chosen-unseen", "★ Y is chosen"),
        ("livelock", "starts over"),
        ("selecting-log-entries", "jmp"),
        ("one-prepare", "★ 2: b is chosen"),
        ("speaks-on", "X"),
        ("new-quorums-unasked", "members 3,4,5"),
        ("change-too-early", "down"),
    ],
)
def test_a_figure_says_what_the_lecture_says(name: str, words: str) -> None:
    assert words in [it.words for it in texts(tree(now()[name]))]


def test_a_figure_stands_alone() -> None:
    for figure in now().values():
        inside = figure.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert [it for it in ("http", "url(", "href", "<script", "@import") if it in inside] == []


def test_the_same_runs_give_the_same_bytes() -> None:
    assert drawn() == now()
