"""Pictures of runs: space-time diagrams, for a terminal, for a page, for Mermaid, for a notebook.

- ``terminal``: rows of text, from the messages that were delivered.
- ``layout``: where each moment of a story stands; ``svg`` draws it, as a slide would show it.
- ``history`` and ``mermaid``: the same story as rows for a terminal, and as text for Mermaid.
- ``picture``: a story that a notebook shows by itself.

What needs no story is exported here; the rest builds on recordings, which build on this.
Arrows point one way: terminal <- recordings <- layout, style <- svg, history, mermaid <- picture.
"""

from __future__ import annotations

from paxos_lab.draw.terminal import (
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
