"""The diagrams of docs/transitions.md: nothing is cut off, and no line runs through words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias
from xml.etree import ElementTree

import pytest

from tests.support.svgs import SPACE, Words, overlaps, texts, tree
from tests.tools.transitions import pages

DIAGRAMS = {it.stem: text for it, text in pages().items() if it.suffix == ".svg"}
ARROW = re.compile(r"M(\d+) (\d+)((?:[HV]\d+)+)")

Point: TypeAlias = tuple[int, int]


def arrows(root: ElementTree.Element) -> Iterator[list[Point]]:
    """The corners of each arrow, from where it leaves to its tip."""
    for path in root.iter(f"{SPACE}path"):
        found = ARROW.fullmatch(path.attrib["d"])
        assert found is not None, path.attrib["d"]
        x, y = int(found[1]), int(found[2])
        corners = [(x, y)]
        for way, to in re.findall(r"([HV])(\d+)", found[3]):
            x, y = (int(to), y) if way == "H" else (x, int(to))
            corners.append((x, y))
        yield corners


def runs_through(line: tuple[Point, Point], words: Words) -> bool:
    (x0, x1), (y0, y1) = (sorted(it) for it in zip(*line, strict=True))
    across = min(x1, words.right) >= max(x0, words.left)
    return across and min(y1, words.bottom) >= max(y0, words.top)


def sides(root: ElementTree.Element) -> list[tuple[int, int, int, int]]:
    """Left, right, top and bottom of each box."""
    boxes = [it.attrib for it in root.iter(f"{SPACE}rect") if "rx" in it.attrib]
    found = ([int(it[name]) for name in ("x", "width", "y", "height")] for it in boxes)
    return [(x, x + width, y, y + height) for x, width, y, height in found]


def touches(point: Point, box: tuple[int, int, int, int]) -> bool:
    (x, y), (left, right, top, bottom) = point, box
    at_side = x in (left, right) and top < y < bottom
    return at_side or (y in (top, bottom) and left < x < right)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_words_have_room(name: str) -> None:
    root = tree(DIAGRAMS[name])
    assert overlaps(root) == []

    events = [it for it in texts(root) if len(it.words) > 1]  # letters stand on their arrows
    lines = [line for corners in arrows(root) for line in pairwise(corners)]
    assert [it.words for it in events for line in lines if runs_through(line, it)] == []


@pytest.mark.parametrize("name", DIAGRAMS)
def test_arrows_lead_from_box_to_box_and_share_no_place(name: str) -> None:
    root = tree(DIAGRAMS[name])
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    boxes = sides(root)
    corners = [*arrows(root)]
    assert all(0 < x < width and 0 < y < height for it in corners for x, y in it)

    ends = [end for it in corners for end in (it[0], it[-1])]
    assert all(any(touches(end, box) for box in boxes) for end in ends)
    assert len({*ends}) == len(ends)
