"""What a test wants to know of an SVG: its words, where they stand, and which belong to a step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from xml.etree import ElementTree

from attrs import frozen

from paxos_lab.draw.shapes import width_of

SPACE = "{http://www.w3.org/2000/svg}"


@frozen
class Words:
    """A line of text, and the room that its letters take."""

    words: str
    left: float
    right: float
    top: float
    bottom: float

    def meets(self, other: Words) -> bool:
        """Whether both need the same room."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 1 and down > 1


def tree(picture: str) -> ElementTree.Element:
    """The elements of a picture. Raises ParseError if it is not well-formed."""
    return ElementTree.fromstring(picture)


def texts(root: ElementTree.Element) -> Iterator[Words]:
    """Every line of text."""
    for it in root.iter(f"{SPACE}text"):
        words = it.text or ""
        x, y, size = (float(it.attrib[name]) for name in ("x", "y", "font-size"))
        width = width_of(words, size)
        kinds = it.attrib["class"].split()
        left = x if "start" in kinds else x - width if "end" in kinds else x - width / 2
        yield Words(words, left, left + width, y - 0.75 * size, y + 0.2 * size)


def least_letters(root: ElementTree.Element, shown: float) -> float:
    """How high the smallest letters are, in pixels, in a picture that is ``shown`` so wide."""
    _, _, width, _ = map(float, root.attrib["viewBox"].split())
    sizes = [float(it.attrib["font-size"]) for it in root.iter(f"{SPACE}text")]
    return min(sizes) * shown / width


def overlaps(root: ElementTree.Element) -> list[tuple[str, str]]:
    """Pairs of lines of text that lie on one another, or beside the picture."""
    found = [*texts(root)]
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    out = [
        (it.words, "the edge")
        for it in found
        if it.left < 0 or it.top < 0 or it.right > width or it.bottom > height
    ]
    return out + [(a.words, b.words) for a, b in combinations(found, 2) if a.meets(b)]


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The groups of a class."""
    return [it for it in root.iter(f"{SPACE}g") if name in it.attrib.get("class", "").split()]


def title(group: ElementTree.Element) -> str:
    """What a group is called."""
    return group.findtext(f"{SPACE}title") or ""
