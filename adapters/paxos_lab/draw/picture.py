"""A picture: a story that a notebook shows by itself, and a terminal when it is printed."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from paxos_adapters.outputs import replace
from paxos_lab.draw.history import text
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.svg import PICTURE, svg
from paxos_lab.record.timeline import Story


@frozen
class Picture:
    """``story``, drawn; with a title above and a caption below, where there is room for them."""

    story: Story
    title: str = ""
    caption: str = ""

    @property
    def svg(self) -> str:
        """One ``<svg>``."""
        return svg(self.story, title=self.title, caption=self.caption)

    @property
    def mermaid(self) -> str:
        """A ``sequenceDiagram``."""
        return mermaid(self.story)

    def save(self, path: Path) -> None:
        """Write the SVG to ``path``, in place of nothing but a picture.

        Raises OutputRefused and OSError.
        """
        replace(path, PICTURE, self.svg.encode())

    def _repr_html_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return text(self.story)
