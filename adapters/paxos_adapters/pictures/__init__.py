"""Pictures of runs: space-time diagrams, for a terminal, for a page, for Mermaid, for a notebook.

- ``terminal``: rows of text, from the messages that were delivered.
- ``layout``: where each moment of a story stands; ``svg`` draws it as a slide would show it.
- ``mermaid``: the same story as a sequence diagram in text.
- ``picture``: a story that a notebook shows by itself.

What needs no story is exported here; the rest builds on recordings, which build on this.
Arrows point one way: terminal <- layout <- svg, mermaid <- picture.
"""

from __future__ import annotations

from paxos_adapters.pictures.terminal import (
    ASCII,
    UNICODE,
    Burst,
    Glyphs,
    Moment,
    Row,
    describe,
    space_time,
)

__all__ = ["ASCII", "UNICODE", "Burst", "Glyphs", "Moment", "Row", "describe", "space_time"]
