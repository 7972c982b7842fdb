"""Pictures can be read: on a slide, in a page, and by those who do not see colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from paxos_lab.draw.shapes import FONT, WIDE, Point
from paxos_lab.draw.style import AROUND, GROUND, HUES, contrast, style
from paxos_lab.draw.svg import svg
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS, LogScenario, Scenario
from paxos_lab.rules import AGREEMENT, CHOOSABLE, REPORTED
from tests.support.svgs import SPACE, Words, of_class, texts, tree
from tests.tools.figures import FIGURES, drawn

SLIDE, PAGE = 1280, 736  # pixels
EVERY: dict[str, Scenario | LogScenario] = {**SCENARIOS, **LOG_SCENARIOS}


@cache
def figure(name: str) -> ElementTree.Element:
    return tree(drawn({name: FIGURES[name]})[name])


def smallest_px(root: ElementTree.Element, width_px: float) -> float:
    """The size of the smallest letters of a picture that is shown ``width_px`` wide."""
    _, _, width, _ = map(float, root.attrib["viewBox"].split())
    sizes = [float(it.attrib["font-size"]) for it in root.iter(f"{SPACE}text")]
    return min(sizes) * width_px / width


class TestLetters:
    """Large enough, and different enough from their ground."""

    @pytest.mark.parametrize("name", FIGURES)
    def test_they_can_be_read_on_a_slide_and_in_a_page(self, name: str) -> None:
        assert smallest_px(figure(name), SLIDE) >= 18
        assert smallest_px(figure(name), PAGE) >= 12

    def test_a_picture_of_the_widest_kind_has_letters_of_12_pixels(self) -> None:
        assert PAGE / WIDE >= 12
        assert float(figure("livelock").attrib["viewBox"].split()[2]) <= FONT * WIDE

    @pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
    def test_they_differ_from_their_ground(self, ground: int) -> None:
        paper = GROUND["paper"][ground]
        letters = {name: pair[ground] for name, pair in HUES.items()}
        letters |= {name: GROUND[name][ground] for name in ("ink", "soft", "alarm")}

        ratios = {name: contrast(paper, it) for name, it in letters.items()}

        assert [name for name, ratio in ratios.items() if ratio < 4.5] == []

    def test_contrast_is_that_of_the_source(self) -> None:
        assert round(contrast("#000000", "#ffffff"), 2) == 21
        assert round(contrast("#767676", "#ffffff"), 2) == 4.54

    def test_no_letters_are_faint(self) -> None:
        faint = re.findall(r"\.paxos-picture ([^{}]*)\{[^{}]*[;{]opacity:", style())

        assert faint == []


class TestTheme:
    """It is that of the page around the picture, whatever the system says."""

    @pytest.mark.parametrize(("name", "ground"), [("light", 0), ("dark", 1)])
    def test_a_page_that_is_light_or_dark_says_so(self, name: str, ground: int) -> None:
        selectors = ",".join(f"{it} .paxos-picture" for it in AROUND[name])
        _, system, after = style().partition("@media (prefers-color-scheme:dark)")

        assert system
        rule = after.partition(f"{selectors}{{")[2].partition("}")[0]
        assert f"--paxos-paper:{GROUND['paper'][ground]};" in rule


class TestChoice:
    """Who counts is framed at the moment of the choice."""

    @pytest.mark.parametrize("name", EVERY)
    def test_as_many_frames_as_acceptors_count(self, name: str) -> None:
        told = EVERY[name].play().told

        choices = of_class(tree(svg(told)), "choice")

        assert [len([*it.iter(f"{SPACE}rect")]) for it in choices] == [
            len(it.choice.voters) for it in told.decided
        ]

    def test_frames_stand_on_the_lanes_of_those_that_accepted(self) -> None:
        first, second = of_class(figure("conflicting-choices"), "choice")
        lanes = {
            it.attrib["data-lane"]: float(next(it.iter(f"{SPACE}text")).attrib["y"]) - 6
            for it in of_class(figure("conflicting-choices"), "lane")
        }

        def framed(choice: ElementTree.Element) -> list[str]:
            middles = [
                float(it.attrib["y"]) + float(it.attrib["height"]) / 2
                for it in choice.iter(f"{SPACE}rect")
            ]
            return [lane for lane, y in lanes.items() if y in middles]

        assert (framed(first), framed(second)) == (["1", "2", "3"], ["3", "4", "5"])


class TestSigns:
    """No sign rests on its colour, and each that occurs is explained."""

    def test_the_bands_of_different_values_differ_in_their_dashes(self) -> None:
        bands = {
            it.attrib["class"]
            for it in figure("split-votes").iter(f"{SPACE}line")
            if "band" in it.attrib.get("class", "")
        }

        assert bands == {"band dashes0 red", "band dashes1 blue", "band dashes2 green"}

    def test_the_key_names_them(self) -> None:
        key = " ".join(it.words for it in texts(figure("not-chosen-unseen")))

        for sign in ("outline and arrows: proposer", "fill and band: accepted value", "✗: refused"):
            assert sign in key
        for sign in ("thin arrow: answer", "dashed arrow: late", "★ and frames: chosen, by these"):
            assert sign in key

    def test_two_values_of_one_proposer_have_two_hues(self) -> None:
        told = EVERY["reused-and-late"].play().told
        filled = {it.attrib["style"] for it in of_class(tree(svg(told)), "accepted")}

        assert len(filled) == 2

    @pytest.mark.parametrize("name", EVERY)
    def test_crosses_of_lost_messages_stand_apart(self, name: str) -> None:
        crosses = [
            tuple(map(float, re.findall(r"-?[\d.]+", it.attrib["d"])[:2]))
            for it in tree(svg(EVERY[name].play().told)).iter(f"{SPACE}path")
            if it.attrib.get("class") == "cross"
        ]

        near = [
            (a, b)
            for place, a in enumerate(crosses)
            for b in crosses[place + 1 :]
            if a != b and abs(a[0] - b[0]) < 8 and abs(a[1] - b[1]) < 8
        ]
        assert near == []


def routed(root: ElementTree.Element) -> Iterator[tuple[Point, Point]]:
    """The parts of lines that turn."""
    for it in of_class(root, "message"):
        path = next(it.iter(f"{SPACE}path")).attrib["d"]
        points = [tuple(map(float, at.split())) for at in path.removeprefix("M").split("L")]
        if len(points) > 2:
            yield from pairwise([(x, y) for x, y in points])


def runs_through(line: tuple[Point, Point], words: Words) -> bool:
    """Whether a line runs through the middle of words."""
    (x, y), (to_x, to_y) = line
    for share in range(101):
        at = x + (to_x - x) * share / 100, y + (to_y - y) * share / 100
        if words.left < at[0] < words.right and words.top + 4 < at[1] < words.bottom - 2:
            return True
    return False


@pytest.mark.parametrize("name", FIGURES)
def test_routed_lines_do_not_run_through_words(name: str) -> None:
    root = figure(name)
    boxes = {it.words for group in of_class(root, "moment") for it in texts(group)}
    words = [it for it in texts(root) if it.words in boxes]

    met = [it.words for line in routed(root) for it in words if runs_through(line, it)]

    assert met == []


class TestDisasters:
    """What is broken is named, in words and with a sign, and last."""

    BROKEN: ClassVar[dict[str, str]] = {
        "split-votes": CHOOSABLE,
        "conflicting-choices": AGREEMENT,
        "looking-first": AGREEMENT,
        "reused-and-found": AGREEMENT,
        "reused-and-late": AGREEMENT,
        "promise-not-raised": AGREEMENT,
        "speaks-on": REPORTED,
        "new-quorums-unasked": AGREEMENT,
        "any-ballot": REPORTED,
        "change-too-early": CHOOSABLE,
    }

    @pytest.mark.parametrize("name", EVERY)
    def test_a_run_knows_the_rule_that_it_breaks(self, name: str) -> None:
        assert EVERY[name].play().broken == self.BROKEN.get(name)

    @pytest.mark.parametrize("name", FIGURES)
    def test_a_figure_ends_with_it(self, name: str) -> None:
        *_, last = texts(figure(name))
        rule = self.BROKEN.get(FIGURES[name].run)

        assert last.words.startswith("✗ Broken rule") == (rule is not None)
        if rule is not None:
            assert last.words == f"✗ Broken rule: {rule}"
            assert last.bottom == max(it.bottom for it in texts(figure(name)))
            assert rule in figure(name).attrib["aria-label"]


class TestBeforeNumbers:
    """The first headings of the lecture have no numbers."""

    EARLY: ClassVar = [it.name for it in SCENARIOS.values() if it.heading in ("1", "2", "3")]

    @pytest.mark.parametrize("name", EARLY)
    def test_a_picture_asks_and_is_answered(self, name: str) -> None:
        words = [it.words for it in texts(tree(svg(EVERY[name].play().told)))]

        assert "accept?(red)" in words
        assert [it for it in words if re.search(r"\d\.\d", it)] == []
