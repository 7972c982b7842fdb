"""A picture: a timeline that a notebook shows by itself, and a terminal when it is printed."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from paxos_adapters.outputs import replace
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.shapes import PICTURE
from paxos_lab.draw.svg import svg
from paxos_lab.draw.terminal import text
from paxos_lab.record.timeline import Timeline


@frozen
class Picture:
    """``timeline``, drawn; with a title above and a caption below, where there is room for them."""

    timeline: Timeline
    title: str = ""
    caption: str = ""

    @property
    def svg(self) -> str:
        """One ``<svg>``."""
        return svg(self.timeline, title=self.title, caption=self.caption)

    @property
    def mermaid(self) -> str:
        """A ``sequenceDiagram``."""
        return mermaid(self.timeline)

    def save(self, path: Path) -> None:
        """Write the SVG to ``path``, in place of nothing but a picture.

        Raises OutputRefused and OSError.
        """
        replace(path, PICTURE, self.svg.encode())

    def _repr_html_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return text(self.timeline)
